"""keras.ops, element by element: values, gradients, edges, and the dtype of every result."""

import numpy as np

from tests.golden import operation
from tests.golden.recipe import Case, array, distinct, flatten, plain

FAMILY = "ops_elementwise"

REAL = distinct(3, 4, low=-2.6, high=2.6)
POSITIVE = distinct(3, 4, low=0.2, high=4.0)
UNIT = distinct(3, 4, low=-0.95, high=0.95)
ABOVE_ONE = distinct(3, 4, low=1.1, high=4.0)
OTHER = distinct(3, 4, low=0.3, high=2.7, seed=1)
COLUMN = distinct(3, 1, low=0.5, high=2.5, seed=2)
EDGES = array([-np.inf, -1e30, -1.0, -1e-30, -0.0, 0.0, 1e-30, 0.5, 1.0, 1e30, np.inf, np.nan])
HALVES = array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4, -2.6])
SIGNED = array([-7, -3, 3, 7], "int32")
DIVISORS = array([3, -2, -2, 2], "int32")

UNARY = {
    "abs absolute fabs arcsinh arctan cbrt cos cosh deg2rad erf erfc exp exp2 expm1 identity_ "
    "negative rad2deg sigmoid sin sinc sinh square tan tanh": REAL,
    "relu relu6 elu selu celu gelu silu swish softplus softsign hard_sigmoid hard_silu hard_swish "
    "hard_tanh hard_shrink soft_shrink tanh_shrink leaky_relu log_sigmoid squareplus": REAL * 2,
    "log log10 log1p log2 reciprocal rsqrt sqrt": POSITIVE,
    "arccos arcsin arctanh erfinv": UNIT,
    "arccosh": ABOVE_ONE,
}
UNARY = {op: x for names, x in UNARY.items() for op in names.split() if op != "identity_"}
STEPS = "ceil floor round sign trunc isfinite isinf isnan isneginf isposinf logical_not".split()
BINARY = (
    "add arctan2 divide divide_no_nan floor_divide fmax fmin hypot logaddexp maximum minimum mod "
    "multiply power subtract true_divide"
).split()
COMPARISONS = (
    "equal greater greater_equal isclose less less_equal logical_and logical_or logical_xor "
    "not_equal heaviside"
).split()

TABLE = [(op, [x]) for op, x in UNARY.items()]
TABLE += [(op, [x.astype("float64")]) for op, x in UNARY.items()]
TABLE += [(op, [POSITIVE, OTHER]) for op in BINARY]
TABLE += [(op, [POSITIVE, COLUMN]) for op in BINARY]
TABLE += [(op, [POSITIVE.astype("float64"), OTHER.astype("float64")]) for op in BINARY]
TABLE += [
    ("clip", [REAL, -1.0, 1.5]),
    ("clip", [REAL, np.float32(-1.0), COLUMN]),
    ("gelu", [REAL], {"approximate": False}),
    ("elu", [REAL], {"alpha": 0.5}),
    ("celu", [REAL], {"alpha": 0.5}),
    ("leaky_relu", [REAL], {"negative_slope": 0.1}),
    ("squareplus", [REAL], {"b": 1}),
    ("hard_shrink", [REAL], {"threshold": 1.0}),
    ("soft_shrink", [REAL], {"threshold": 1.0}),
    ("threshold", [REAL, 0.5, -1.0]),
    ("power", [POSITIVE, 3]),
    ("power", [REAL, 2]),
    ("power", [2.0, REAL]),
    ("where", [REAL > 0, REAL, COLUMN]),
    ("select", [[REAL > 1, REAL < 0], [REAL, OTHER]], {"default": 7.0}),
    ("nan_to_num", [REAL]),
    ("stop_gradient", [REAL]),
]
STEP_TABLE = [(op, [HALVES]) for op in STEPS]
STEP_TABLE += [(op, [np.stack([HALVES, REAL.ravel()[:8]])]) for op in ("sign",)]
STEP_TABLE += [(op, [EDGES]) for op in STEPS]
STEP_TABLE += [(op, [HALVES, HALVES[::-1].copy()]) for op in COMPARISONS]
STEP_TABLE += [("round", [REAL * 100], {"decimals": 1}), ("round", [REAL * 100], {"decimals": -1})]
STEP_TABLE += [(op, [SIGNED, DIVISORS]) for op in ("floor_divide", "mod", "divide", "multiply")]
STEP_TABLE += [(op, [SIGNED.astype("float32"), DIVISORS]) for op in ("floor_divide", "mod")]
STEP_TABLE += [
    ("power", [array([2, -2, 3, 0], "int32"), array([3, 3, 0, 0], "int32")]),
    ("power", [array([-8.0, 0.0, 0.0, -1.0]), array([1 / 3, 0.0, -1.0, np.inf])]),
    ("add", [array([2**31 - 1], "int32"), 1]),
    ("multiply", [array([200], "uint8"), array([2], "uint8")]),
    ("abs", [array([-(2**31)], "int32")]),
    ("divide", [array([1.0, -1.0, 0.0]), array([0.0, 0.0, 0.0])]),
    ("floor_divide", [array([1.0, -1.0, 0.0]), array([0.0, 0.0, 0.0])]),
    ("mod", [array([1.0, -1.0, 5.5]), array([0.0, np.inf, -2.0])]),
    ("divide_no_nan", [array([1.0, 0.0, np.nan]), array([0.0, 0.0, 0.0])]),
    ("maximum", [array([np.nan, 1.0, 0.0]), array([1.0, np.nan, -0.0])]),
    ("fmax", [array([np.nan, 1.0, 0.0]), array([1.0, np.nan, -0.0])]),
    ("fmin", [array([np.nan, 1.0, 0.0]), array([1.0, np.nan, -0.0])]),
    ("clip", [array([np.nan, -np.inf, np.inf]), -1.0, 1.0]),
    ("logaddexp", [array([-np.inf, np.inf, 1e4]), array([-np.inf, np.inf, 1e4])]),
    ("isclose", [array([1.0, np.nan, 1.0]), array([1.0 + 1e-6, np.nan, 1.1])]),
    ("isclose", [array([np.nan]), array([np.nan])], {"equal_nan": True}),
    ("allclose", [REAL, REAL]),
    ("nan_to_num", [EDGES]),
    ("nan_to_num", [EDGES], {"nan": 1.0, "posinf": 2.0, "neginf": 3.0}),
    ("heaviside", [array([-1.0, 0.0, 1.0]), array([0.5])]),
    ("cast", [HALVES, "int32"]),
    ("cast", [HALVES, "bool"]),
    ("saturate_cast", [array([-5.0, 300.0, 1e10]), "uint8"]),
    ("where", [array([True, False, True], "bool")]),
]


def run(keras, tf, **spec):
    """Run one operation, or fill a table of dtypes."""
    return spec.pop("how")(keras, tf, **spec)


def unary_dtypes(keras, _, ops):
    """Return op(x) for every op and dtype; the arrays carry the dtype of the result."""
    cells = {f"{op}.{dtype}": (op, [ONES[dtype]]) for op in ops for dtype in ONES}
    return {key: attempt(keras, *cell) for key, cell in cells.items()}


def binary_dtypes(keras, _, op):
    """Return op(x1, x2) for every pair of dtypes and Python scalars."""
    cells = {f"{a}.{b}": [x1, x2] for a, x1 in LEFT.items() for b, x2 in RIGHT.items()}
    return {key: attempt(keras, op, args) for key, args in cells.items()}


def promotion(keras, _, dtypes):
    """Return the table of keras.backend.result_type."""
    kinds = {"int": int, "float": float}
    return {
        f"{a}.{b}": str(keras.backend.result_type(kinds.get(a, a), kinds.get(b, b)))
        for a in dtypes
        for b in dtypes
    }


def attempt(keras, op, args):
    """Return the result, or "raises" where the framework refuses these dtypes."""
    tensors = [
        keras.ops.convert_to_tensor(item) if isinstance(item, np.ndarray) else item for item in args
    ]
    try:
        return flatten(keras, {"": plain(keras, getattr(keras.ops, op)(*tensors))})[""]
    except Exception:  # noqa: BLE001 - each framework has its own error for an unsupported dtype
        return "raises"


def edge(keras, tf, op):
    """Return the op at the infinities, zeros, huge and tiny values, and apart from them at NaN."""
    function = getattr(keras.ops, op)
    numbers, nan = (keras.ops.convert_to_tensor(part) for part in (EDGES[:-1], EDGES[-1:]))
    return {"y": plain(keras, function(numbers)), "nan": plain(keras, function(nan))}


DTYPES = ("bool", "uint8", "int32", "int64", "float16", "float32", "float64")
SCALARS = {"true": True, "int": 2, "float": 2.0}
ONES = {dtype: array([1, 0, 1], dtype) for dtype in DTYPES}
LEFT = {dtype: array([1, 2, 3], dtype) for dtype in DTYPES} | SCALARS
RIGHT = {dtype: array([2, 1, 3], dtype) for dtype in DTYPES} | SCALARS
PROMOTED = [*DTYPES, "int8", "int16", "uint16", "uint32", "int", "float"]

# Keras turns the Python scalar of these into a tensor first; elsewhere a scalar yields.
SCALAR_FIRST = {"arctan2", "heaviside", "hypot", "logaddexp", "mod"}
SCALARS_KEPT = ("float16.float", "float.float16", "uint8.int", "int.uint8")
# And int64 becomes float64 in these; elsewhere every integer becomes float32.
INT64_WIDENS = {"cbrt", "deg2rad", "heaviside", "hypot", "rad2deg"}
WHOLE = ("bool", "uint8", "int32", "int64", "true", "int")
FROM_INT64 = tuple(f"{a}.{b}" for a in WHOLE for b in WHOLE if "int64" in (a, b))


def dtype_case(name, **spec):
    """Make a case of one op's dtypes, without Keras' inconsistencies."""
    wrong = SCALARS_KEPT if name in SCALAR_FIRST else ()
    wrong += (f"{name}.int64", *FROM_INT64) if name in INT64_WIDENS else ()
    return Case(FAMILY, f"dtypes_of_{name}", spec, wrong=wrong)


def how(case, suffix="", **more):
    """Make a case of the ops families one of this family."""
    spec = case.spec | {"how": operation.run}
    return case._replace(name=f"{case.name}{suffix}", spec=spec, **more)


CASES = [how(case) for case in operation.rows(FAMILY, TABLE)]
CASES = [
    case._replace(tolerance=1e-6, why="TensorFlow keeps the slope in float32")
    if case.name == "leaky_relu_2"
    else case
    for case in CASES
]
CASES += [how(case, "_value") for case in operation.rows(FAMILY, STEP_TABLE, grad=False)]
CASES += [Case(FAMILY, f"{op}_edges", {"how": edge, "op": op}, free=("y",)) for op in UNARY]
CASES += [dtype_case(op, how=unary_dtypes, ops=[op]) for op in [*UNARY, *STEPS]]
CASES += [dtype_case(op, how=binary_dtypes, op=op) for op in [*BINARY, *COMPARISONS]]
CASES += [Case(FAMILY, "result_type", {"how": promotion, "dtypes": PROMOTED})]
