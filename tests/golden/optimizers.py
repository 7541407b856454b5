"""Optimizers: variables, state and iterations after each of a few steps with fixed gradients."""

from tests.golden.recipe import Case, flatten, normal

FAMILY = "optimizers"

START = [normal(2, 3, seed=1), normal(3, seed=2)]
GRADIENTS = [[normal(2, 3, seed=10 + step), normal(3, seed=20 + step)] for step in range(4)]


def run(keras, tf, optimizer, kwargs, steps=3, constrained=False):
    """Apply the gradients step by step; `kwargs` may be a function of keras."""
    made = getattr(keras.optimizers, optimizer)(**(kwargs(keras) if callable(kwargs) else kwargs))
    variables = [keras.Variable(value, name=f"v{i}") for i, value in enumerate(START)]
    if constrained:
        variables[0].constraint = keras.constraints.NonNeg()
    made.build(variables)
    results = {"rate": made.learning_rate}
    for step in range(steps):
        gradients = [keras.ops.convert_to_tensor(gradient) for gradient in GRADIENTS[step]]
        made.apply_gradients(zip(gradients, variables, strict=True))
        results[f"step.{step}"] = flatten(keras, [variable.value for variable in variables])
    results["iterations"] = int(made.iterations)
    state = [variable for variable in made.variables if "learning_rate" not in variable.path]
    results["names"] = [variable.path.split("/")[-1] for variable in made.variables]
    results["state"] = flatten(keras, {str(i): v.value for i, v in enumerate(state)})
    made.finalize_variable_values(variables)
    results["final"] = flatten(keras, [variable.value for variable in variables])
    return flatten(keras, results)


def rate(schedule, *args, **kwargs):
    """Return kwargs that make the learning rate a schedule."""
    make = lambda keras: getattr(keras.optimizers.schedules, schedule)(*args, **kwargs)
    return lambda keras: {"learning_rate": make(keras)}


OWN = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.1}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.01, "rho": 0.8, "momentum": 0.5}),
    ("RMSprop", {"learning_rate": 0.01, "centered": True}),
    ("RMSprop", {"learning_rate": 0.01, "centered": True, "momentum": 0.5, "epsilon": 1e-3}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3}),
    ("Adam", {"learning_rate": 0.01, "amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.1, "amsgrad": True}),
    ("Adagrad", {"learning_rate": 0.1}),
]
SHARED = [
    {"weight_decay": 0.1},
    {"clipnorm": 0.5},
    {"clipvalue": 0.2},
    {"global_clipnorm": 0.5},
    {"use_ema": True, "ema_momentum": 0.5},
    {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
    {"gradient_accumulation_steps": 2},
    {"loss_scale_factor": 8.0},
]
SCHEDULED = [
    ("SGD", "ExponentialDecay", rate("ExponentialDecay", 0.1, 2, 0.5)),
    ("Adam", "CosineDecay", rate("CosineDecay", 0.1, 4)),
    ("RMSprop", "PiecewiseConstantDecay", rate("PiecewiseConstantDecay", [1, 2], [0.1, 0.01, 0.5])),
]
LATER = [
    ("Adagrad", {"initial_accumulator_value": 0.5, "epsilon": 0.01}),
    ("Adadelta", {}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.8}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.01, "beta_1": 0.8}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.01, "weight_decay": 0.1}),
    ("Ftrl", {"learning_rate": 0.1}),
    ("Ftrl", {"learning_rate": 0.1, "l1_regularization_strength": 0.1}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "l2_regularization_strength": 0.1,
            "l2_shrinkage_regularization_strength": 0.2,
            "beta": 0.5,
        },
    ),
    ("Adafactor", {}),
    ("Adafactor", {"learning_rate": 0.1, "relative_step": False}),
]


def case(group, optimizer, kwargs, **more):
    words = kwargs if isinstance(kwargs, dict) else {}
    label = " ".join([optimizer, *(f"{key}={value}" for key, value in words.items()), *more])
    spec = {"optimizer": optimizer, "kwargs": kwargs} | more
    # Keras leaves some of their variables to be named automatically.
    unnamed = optimizer in ("Nadam", "Adafactor")
    return Case(FAMILY, f"{group} {label}", spec, wrong=("names",) if unnamed else ())


CASES = [case("own", *row) for row in OWN]
CASES += [
    case("shared", optimizer, {"learning_rate": 0.05} | kwargs, steps=4)
    for optimizer in ("SGD", "RMSprop", "Adam", "AdamW")
    for kwargs in SHARED
    if not (optimizer == "AdamW" and "weight_decay" in kwargs)
]
CASES += [
    case("shared", "SGD", {"learning_rate": 0.05, "momentum": 0.9} | kwargs, steps=4)
    for kwargs in SHARED
]
CASES += [
    Case(FAMILY, f"schedule {optimizer} {name}", {"optimizer": optimizer, "kwargs": kwargs})
    for optimizer, name, kwargs in SCHEDULED
]
CASES += [
    case("constraint", "SGD", {"learning_rate": 0.5}, constrained=True),
    case("constraint", "SGD", {"gradient_accumulation_steps": 2}, constrained=True, steps=3),
]
CASES += [case("later", *row) for row in LATER]
