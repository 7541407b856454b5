"""Learning-rate schedules at many steps."""

from tests.golden.recipe import Case, flatten

FAMILY = "schedules"
STEPS = (0, 1, 2, 3, 4, 5, 7, 9, 10, 11, 15, 19, 20, 25, 30, 31, 50, 100)


def run(keras, tf, schedule, kwargs):
    """Return the rate at each step, the step given as an integer and as a tensor."""
    made = getattr(keras.optimizers.schedules, schedule)(**kwargs)
    results = {f"step.{step}": made(step) for step in STEPS}
    return flatten(keras, results | {"tensor": made(keras.ops.convert_to_tensor(7))})


START = {"initial_learning_rate": 0.1}
TABLE = [
    ("ExponentialDecay", START | {"decay_steps": 10, "decay_rate": 0.5}),
    ("ExponentialDecay", START | {"decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("CosineDecay", START | {"decay_steps": 20}),
    ("CosineDecay", START | {"decay_steps": 20, "alpha": 0.1}),
    ("CosineDecay", START | {"decay_steps": 20, "warmup_target": 0.5, "warmup_steps": 5}),
    (
        "CosineDecay",
        START | {"decay_steps": 20, "alpha": 0.2, "warmup_target": 0.5, "warmup_steps": 10},
    ),
    ("PiecewiseConstantDecay", {"boundaries": [5, 10], "values": [1.0, 0.5, 0.1]}),
    ("PiecewiseConstantDecay", {"boundaries": [3], "values": [0.01, 0.1]}),
    ("InverseTimeDecay", START | {"decay_steps": 10, "decay_rate": 0.5}),
    ("InverseTimeDecay", START | {"decay_steps": 10, "decay_rate": 0.5, "staircase": True}),
    ("PolynomialDecay", START | {"decay_steps": 20}),
    ("PolynomialDecay", START | {"decay_steps": 20, "end_learning_rate": 0.01, "power": 2.0}),
    ("PolynomialDecay", START | {"decay_steps": 10, "cycle": True}),
    ("CosineDecayRestarts", START | {"first_decay_steps": 10}),
    ("CosineDecayRestarts", START | {"first_decay_steps": 10, "t_mul": 1.0}),
    (
        "CosineDecayRestarts",
        START | {"first_decay_steps": 5, "t_mul": 2.0, "m_mul": 0.5, "alpha": 0.1},
    ),
]
CASES = [
    Case(FAMILY, f"{name}_{index}", {"schedule": name, "kwargs": kwargs})
    for index, (name, kwargs) in enumerate(TABLE)
]
