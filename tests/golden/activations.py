"""Activation functions: values and slopes on a grid, and apart from it at huge values and NaN."""

import numpy as np

from tests.golden.recipe import Case, array, flatten, gradients, normal

FAMILY = "activations"
GRID = array(
    [-1e4, -100, -20, -6, -3, -2.5, -1, -0.5, -1e-3, -1e-6, -0.0]
    + [0, 1e-6, 1e-3, 0.5, 1, 2.5, 3, 6, 20, 80, 100, 1e4]
)
HUGE = array([-np.inf, np.inf, -3e38, 3e38])
NAN = array([np.nan])
ROWS = normal(3, 4, scale=3.0)
SATURATED = array([[1e4, 0, -1e4, 5], [-200, -100, -300, -101], [7, 7, 7, 7]])
MASKED = array([[0, -np.inf, 1, 2], [3, -np.inf, -np.inf, 2]])


def run(keras, tf, function, kwargs, x):
    """Return values and slopes; each slope is weighed, so that it is read apart from the others."""
    call = lambda tensor: getattr(keras.activations, function)(tensor, **kwargs)
    outputs, (slope,) = gradients(keras, tf, call, [x])
    return flatten(keras, {"y": outputs, "grad": slope})


ELEMENTWISE = [
    ("elu", {}),
    ("elu", {"alpha": 0.5}),
    ("exponential", {}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("hard_sigmoid", {}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("linear", {}),
    ("relu", {}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"negative_slope": 0.1}),
    ("relu", {"threshold": 1.0}),
    ("relu", {"negative_slope": 0.1, "max_value": 3.0, "threshold": 0.5}),
    ("selu", {}),
    ("sigmoid", {}),
    ("silu", {}),
    ("swish", {}),
    ("softplus", {}),
    ("softsign", {}),
    ("tanh", {}),
    ("celu", {}),
    ("celu", {"alpha": 2.0}),
    ("hard_shrink", {}),
    ("hard_shrink", {"threshold": 1.0}),
    ("hard_silu", {}),
    ("hard_swish", {}),
    ("hard_tanh", {}),
    ("log_sigmoid", {}),
    ("mish", {}),
    ("relu6", {}),
    ("soft_shrink", {}),
    ("soft_shrink", {"threshold": 1.0}),
    ("squareplus", {}),
    ("squareplus", {"b": 1}),
    ("tanh_shrink", {}),
    ("threshold", {"threshold": 0.5, "default_value": -1.0}),
]
ALONG_AXIS = [
    ("softmax", {}),
    ("softmax", {"axis": 0}),
    ("log_softmax", {}),
    ("log_softmax", {"axis": 0}),
    ("glu", {}),
]


def label(function, kwargs):
    """Name a row by its function and arguments."""
    return "_".join([function, *(f"{key}={value}" for key, value in kwargs.items())])


def grid_of(function, _):
    """Return the grid; for celu without 0, where both halves of its formula pass the gradient."""
    return GRID[GRID != 0] if function == "celu" else GRID


UNKNOWN = "there is no slope at NaN"
IN_FLOAT32 = {"tolerance": 1e-6, "why": "TensorFlow keeps a constant in float32"}
LOOSE = {"leaky_relu": IN_FLOAT32, "relu": IN_FLOAT32, "gelu": IN_FLOAT32}


def case(function, kwargs, x, suffix="", **more):
    spec = {"function": function, "kwargs": kwargs, "x": x}
    return Case(FAMILY, label(function, kwargs) + suffix, spec, **more)


CASES = [case(*row, grid_of(*row)) for row in ELEMENTWISE]
CASES += [
    case(*row, grid_of(*row).astype("float64"), "_float64", **LOOSE.get(row[0], {}))
    for row in ELEMENTWISE
]
CASES += [case(*row, HUGE, "_huge", free=("y", "grad")) for row in ELEMENTWISE]
CASES += [case(*row, NAN, "_nan", wrong=("grad",), why=UNKNOWN) for row in ELEMENTWISE]
CASES += [case(*row, ROWS) for row in ALONG_AXIS]
CASES += [case(*row, SATURATED, "_saturated") for row in ALONG_AXIS]
CASES += [case(*row, MASKED, "_masked", free=("y", "grad")) for row in ALONG_AXIS]
