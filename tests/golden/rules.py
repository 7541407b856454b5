"""Initializers, regularizers and constraints."""

import numpy as np

from tests.golden.recipe import Case, array, flatten, gradients, normal

FAMILY = "rules"
MATRIX = normal(3, 4, seed=1)
KERNEL = normal(2, 2, 3, 4, seed=2)
ZEROS = np.zeros((2, 2), "float32")
SAMPLE = (60, 80, 5)  # a one-dimensional kernel: fan_in 4800, fan_out 300


def run(keras, tf, **spec):
    """Run the function of the case."""
    return spec.pop("how")(keras, tf, **spec)


def initializer(keras, _, name, kwargs, shape, dtype=None):
    """Return what a deterministic initializer makes."""
    return flatten(keras, {"y": getattr(keras.initializers, name)(**kwargs)(shape, dtype=dtype)})


def spread(keras, _, name, kwargs, shape):
    """Return the moments and, if it has any, the bounds of a big sample."""
    made = getattr(keras.initializers, name)(**kwargs, seed=1)
    sample = np.asarray(keras.ops.convert_to_numpy(made(shape)), "float64")
    # In units of the deviation, so that one tolerance fits all.
    results = {"mean": float(sample.mean() / sample.std()), "log std": float(np.log(sample.std()))}
    if "uniform" in name.lower() or "Truncated" in name:
        results |= {"min": float(sample.min() / sample.std())}
        results |= {"max": float(sample.max() / sample.std())}
    return results


def orthogonal(keras, _, shape, gain):
    """Return the product with its own transpose along the shorter side."""
    sample = keras.initializers.Orthogonal(gain=gain, seed=1)(shape)
    flat = np.asarray(keras.ops.convert_to_numpy(sample)).reshape(-1, shape[-1])
    return {"gram": flat @ flat.T if len(flat) <= flat.shape[1] else flat.T @ flat}


def regularizer(keras, tf, name, kwargs, x):
    """Return the penalty and its gradient."""
    made = getattr(keras.regularizers, name)(**kwargs)
    outputs, (slope,) = gradients(keras, tf, made, [x])
    return flatten(keras, {"y": outputs, "grad": slope})


def constraint(keras, _, name, kwargs, x):
    """Return the constrained weights."""
    made = getattr(keras.constraints, name)(**kwargs)
    return flatten(keras, {"y": made(keras.ops.convert_to_tensor(x))})


FIXED = [
    ("Zeros", {}, (2, 3)),
    ("Ones", {}, (2, 3)),
    ("Ones", {}, (2,), "int32"),
    ("Constant", {"value": 2.5}, (2, 3)),
    ("Constant", {"value": 2.5}, (), "float64"),
    ("Identity", {}, (3, 3)),
    ("Identity", {"gain": 2.0}, (2, 3)),
]
RANDOM = [
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": 1.0, "stddev": 2.0}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": -1.0, "maxval": 3.0}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": 1.0, "stddev": 2.0}),
    ("GlorotNormal", {}),
    ("GlorotUniform", {}),
    ("HeNormal", {}),
    ("HeUniform", {}),
    ("LecunNormal", {}),
    ("LecunUniform", {}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "uniform"}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_avg", "distribution": "untruncated_normal"}),
]
REGULARIZERS = [
    ("L1", {}, MATRIX),
    ("L1", {"l1": 0.3}, ZEROS),
    ("L2", {}, MATRIX),
    ("L2", {"l2": 0.3}, KERNEL),
    ("L1L2", {"l1": 0.1}, MATRIX),
    ("L1L2", {"l1": 0.1, "l2": 0.2}, MATRIX),
    ("OrthogonalRegularizer", {}, MATRIX),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}, MATRIX),
]
CONSTRAINTS = [
    ("MaxNorm", {}, MATRIX * 2),
    ("MaxNorm", {"max_value": 1.0, "axis": 1}, MATRIX),
    ("MaxNorm", {"max_value": 1.0, "axis": [0, 1, 2]}, KERNEL),
    ("MaxNorm", {}, ZEROS),
    ("NonNeg", {}, MATRIX),
    ("NonNeg", {}, array([0.0, -0.0, -1.0])),
    ("UnitNorm", {}, MATRIX),
    ("UnitNorm", {"axis": [0, 1, 2]}, KERNEL),
    ("UnitNorm", {}, ZEROS),
    ("MinMaxNorm", {}, MATRIX),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 1.5, "rate": 0.5, "axis": 1}, MATRIX),
]


def cases(how, table, fields, **more):
    """Make numbered cases of a table."""
    for index, row in enumerate(table):
        spec = {"how": how} | dict(zip(("name", "kwargs", *fields), row, strict=False))
        yield Case(FAMILY, f"{row[0]}_{index}", spec, **more)


CASES = [*cases(initializer, FIXED, ("shape", "dtype"))]
CASES += cases(
    spread,
    [(*row, SAMPLE) for row in RANDOM],
    ("shape",),
    tolerance=0.06,
    why="another stream of random numbers: 24000 of them agree in their moments only",
)
CASES += [
    Case(FAMILY, f"Orthogonal_{shape}_{gain}", {"how": orthogonal, "shape": shape, "gain": gain})
    for shape, gain in [((4, 4), 1.0), ((3, 5), 2.0), ((5, 3), 1.0), ((2, 2, 3), 1.0)]
]
CASES += cases(regularizer, REGULARIZERS, ("x",))
CASES += cases(constraint, CONSTRAINTS, ("x",))
