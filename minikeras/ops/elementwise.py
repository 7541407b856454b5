"""Compute element by element: arithmetic, powers, exponentials, trigonometry, comparisons."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import add as add
from minikeras.core.basic import astype, filled, floating, numpy_dtype, promoted
from minikeras.core.dispatch import Primitive, as_tensors
from minikeras.core.spec import Spec, as_dtype, broadcast
from minikeras.core.tensor import Array, as_tensor
from minikeras.ops.define import BOOL, INT32, binary, comparison, composite, test, unary
from minikeras.ops.indexing import nonzero

# ---- arithmetic ----------------------------------------------------------------------------------

negative = unary("negative", np.negative, lambda g: -g, integers=True)
subtract = binary("subtract", np.subtract, (lambda g: g, lambda g: -g))
multiply = binary("multiply", np.multiply, (lambda g, x2: g * x2, lambda g, x1: g * x1))
divide = binary(
    "divide",
    np.divide,
    (lambda g, x2: g / x2, lambda g, y, x2: -g * y / x2),
    prepare=floating,
    doc="Divide elementwise; integers give `floatx()`.",
)
true_divide = divide
floor_divide = binary("floor_divide", np.floor_divide)


def _numbers(inputs: Sequence[Any]) -> list[Any]:
    """Promote, truth values to int32."""
    tensors = promoted(inputs)
    truths = numpy_dtype(tensors[0]).kind == "b"
    return [astype(x, INT32) for x in tensors] if truths else tensors


mod = binary(
    "mod",
    np.mod,
    (lambda g: g, lambda g, x1, x2: -g * floor_divide(x1, x2)),
    prepare=_numbers,
    doc="Compute the remainder that has the divisor's sign, as Python does.",
)
divide_no_nan = binary(
    "divide_no_nan",
    lambda x1, x2: np.where(x2 == 0, 0, np.divide(x1, np.where(x2 == 0, 1, x2))),
    (
        lambda g, x2: divide_no_nan(g, x2),
        lambda g, x1, x2: g * divide_no_nan(divide_no_nan(-x1, x2), x2),
    ),
    prepare=floating,
    doc="Divide elementwise; where the divisor is 0 the result is 0.",
)
# Where two arguments tie, the gradient goes to the first.
maximum = binary(
    "maximum",
    np.maximum,
    (lambda g, x1, x2: where(x1 >= x2, g, 0), lambda g, x1, x2: where(x1 < x2, g, 0)),
)
minimum = binary(
    "minimum",
    np.minimum,
    (lambda g, x1, x2: where(x1 <= x2, g, 0), lambda g, x1, x2: where(x1 > x2, g, 0)),
)
squared_difference = binary(
    "squared_difference",
    lambda x1, x2: np.square(x1 - x2),
    (lambda g, x1, x2: 2 * g * (x1 - x2), lambda g, x1, x2: 2 * g * (x2 - x1)),
)
fmax = binary(
    "fmax",
    np.fmax,
    (lambda g, y, x1: where(equal(y, x1), g, 0), lambda g, y, x1: where(equal(y, x1), 0, g)),
    doc="Return the larger of two elements; a NaN gives way to a number.",
)
fmin = binary(
    "fmin",
    np.fmin,
    (lambda g, y, x1: where(equal(y, x1), g, 0), lambda g, y, x1: where(equal(y, x1), 0, g)),
    doc="Return the smaller of two elements; a NaN gives way to a number.",
)
hypot = binary(
    "hypot",
    np.hypot,
    (lambda g, y, x1: g * divide_no_nan(x1, y), lambda g, y, x2: g * divide_no_nan(x2, y)),
    prepare=floating,
)
heaviside = binary("heaviside", np.heaviside, prepare=floating)


def _zero(g: Any) -> Any:
    return filled(g, 0)


absolute = unary("absolute", np.abs, lambda g, x: g * sign(x), integers=True)
abs = absolute
sign = unary("sign", np.sign, _zero, integers=True)
fabs = unary("fabs", np.fabs, lambda g, x: g * sign(x))
reciprocal = unary("reciprocal", np.reciprocal, lambda g, y: -g * y * y)

# ---- rounding ------------------------------------------------------------------------------------

floor = unary("floor", np.floor)
ceil = unary("ceil", np.ceil)
trunc = unary("trunc", np.trunc, integers=True)
_round = unary("round", np.round, integers=True)


@composite
def round(x: Any, decimals: int = 0) -> Any:
    """Round to `decimals` places, halves to the even neighbour."""
    if decimals == 0:
        return _round(x)
    scale = 10.0**decimals
    return astype(_round(as_tensor(x) * scale) / scale, numpy_dtype(as_tensor(x)))


@composite
def clip(x: Any, x_min: Any, x_max: Any) -> Any:
    """Limit values to `[x_min, x_max]`; at the limits the gradient is 1."""
    return minimum(maximum(x, x_min), x_max)


# ---- powers, exponentials, logarithms ------------------------------------------------------------


def _power(x1: Any, x2: Any) -> Any:
    if x2.ndim == 0 and x2 == 2:  # the common case, many times faster
        return np.square(x1)
    if x1.dtype.kind == "i" and (x2 < 0).any():
        raise ValueError("expected exponents >= 0 for integers, got a negative one.")
    return np.power(x1, x2)


power = binary(
    "power",
    _power,
    (
        lambda g, x1, x2: g * x2 * power(x1, x2 - 1),
        lambda g, y, x1: g * y * where(x1 > 0, log(where(x1 > 0, x1, 1)), 0),
    ),
)
square = Primitive(
    "square",
    np.square,
    lambda x: x,
    vjps=(lambda g, x: 2 * g * x,),
    prepare=_numbers,
    doc="Multiply every element by itself.",
)
# A gradient of 0 stays 0 even where the derivative is infinite, as in TensorFlow.
sqrt = unary("sqrt", np.sqrt, lambda g, y: where(equal(g, 0), 0, 0.5 * g / y))
rsqrt = unary(
    "rsqrt",
    lambda x: 1 / np.sqrt(x),
    lambda g, y: where(equal(g, 0), 0, -0.5 * g * y * y * y),  # as sqrt
)
cbrt = unary("cbrt", np.cbrt, lambda g, y: g / (3 * y * y))
exp = unary("exp", np.exp, lambda g, y: g * y)
exp2 = unary("exp2", np.exp2, lambda g, y: g * y * math.log(2))
expm1 = unary("expm1", np.expm1, lambda g, y: g * (y + 1))
log = unary("log", np.log, lambda g, x: g / x)
log2 = unary("log2", np.log2, lambda g, x: g / (x * math.log(2)))
log10 = unary("log10", np.log10, lambda g, x: g / (x * math.log(10)))
log1p = unary("log1p", np.log1p, lambda g, x: g / (1 + x))
logaddexp = binary(
    "logaddexp",
    np.logaddexp,
    (lambda g, y, x1: g * exp(x1 - y), lambda g, y, x2: g * exp(x2 - y)),
    prepare=floating,
)

# ---- trigonometry --------------------------------------------------------------------------------

sin = unary("sin", np.sin, lambda g, x: g * cos(x))
cos = unary("cos", np.cos, lambda g, x: -g * sin(x))
tan = unary("tan", np.tan, lambda g, y: g * (1 + y * y))
arcsin = unary("arcsin", np.arcsin, lambda g, x: g * rsqrt(1 - x * x))
arccos = unary("arccos", np.arccos, lambda g, x: -g * rsqrt(1 - x * x))
arctan = unary("arctan", np.arctan, lambda g, x: g / (1 + x * x))
sinh = unary("sinh", np.sinh, lambda g, x: g * cosh(x))
cosh = unary("cosh", np.cosh, lambda g, x: g * sinh(x))
tanh = unary("tanh", np.tanh, lambda g, y: g * (1 - y * y))
arcsinh = unary("arcsinh", np.arcsinh, lambda g, x: g * rsqrt(1 + x * x))
arccosh = unary("arccosh", np.arccosh, lambda g, x: g * rsqrt(x * x - 1))
arctanh = unary("arctanh", np.arctanh, lambda g, x: g / (1 - x * x))
deg2rad = unary("deg2rad", np.deg2rad, lambda g: g * (math.pi / 180))
rad2deg = unary("rad2deg", np.rad2deg, lambda g: g * (180 / math.pi))
sinc = unary(
    "sinc",
    np.sinc,
    lambda g, y, x: g * divide_no_nan(cos(math.pi * x) - y, x),
    doc="Compute `sin(pi x) / (pi x)`, 1 at 0.",
)
arctan2 = binary(
    "arctan2",
    np.arctan2,
    (
        lambda g, x1, x2: g * x2 / (x1 * x1 + x2 * x2),
        lambda g, x1, x2: -g * x1 / (x1 * x1 + x2 * x2),
    ),
    prepare=floating,
)

# ---- questions -----------------------------------------------------------------------------------

equal = comparison("equal", np.equal)
not_equal = comparison("not_equal", np.not_equal)
less = comparison("less", np.less)
less_equal = comparison("less_equal", np.less_equal)
greater = comparison("greater", np.greater)
greater_equal = comparison("greater_equal", np.greater_equal)
isnan = test("isnan", np.isnan)
isinf = test("isinf", np.isinf)
isfinite = test("isfinite", np.isfinite)
isposinf = test("isposinf", np.isposinf)
isneginf = test("isneginf", np.isneginf)


def _truths(inputs: Sequence[Any]) -> list[Any]:
    return [astype(tensor, BOOL) for tensor in as_tensors(inputs)]


logical_and = comparison("logical_and", np.logical_and, prepare=_truths)
logical_or = comparison("logical_or", np.logical_or, prepare=_truths)
logical_xor = comparison("logical_xor", np.logical_xor, prepare=_truths)
logical_not = test("logical_not", np.logical_not)


@composite
def isclose(
    x1: Any, x2: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """Tell elementwise whether `|x1 - x2| <= atol + rtol * |x2|`."""
    x1, x2 = floating([x1, x2])
    near = logical_or(absolute(x1 - x2) <= atol + rtol * absolute(x2), equal(x1, x2))
    near = logical_and(near, logical_or(isfinite(x2), equal(x1, x2)))
    return logical_or(near, logical_and(isnan(x1), isnan(x2))) if equal_nan else near


# ---- choosing and casting ------------------------------------------------------------------------


def _condition_and_values(inputs: Sequence[Any]) -> list[Any]:
    condition, x1, x2 = inputs
    return [*_truths([condition]), *promoted([x1, x2])]


_INTEGERS = {np.dtype(f"float{bits}"): np.dtype(f"int{bits}") for bits in (16, 32, 64)}


def _choose(condition: Array, x1: Array, x2: Array) -> Array:
    if _is_zero(x2) and condition.shape == x1.shape != ():
        return _masked(condition, x1)
    if _is_zero(x1) and condition.shape == x2.shape != ():
        return _masked(~condition, x2)
    return np.where(condition, x1, x2)


def _is_zero(x: Array) -> bool:
    return x.ndim == 0 and x.dtype in _INTEGERS and x == 0 and not np.signbit(x)


def _masked(mask: Array, x: Array) -> Array:
    """Clear the bits of `x` where `mask` is false; np.where takes 15 times as long."""
    integers = _INTEGERS[x.dtype]
    bits: Array = np.negative(mask.view(np.int8), dtype=integers)
    bits &= x.view(integers)
    return bits.view(x.dtype)


_where = Primitive(
    "where",
    _choose,
    lambda condition, x1, x2: Spec(broadcast(condition.shape, x1.shape, x2.shape), x1.dtype),
    vjps=(
        None,
        lambda g, condition: where(condition, g, 0),
        lambda g, condition: where(condition, 0, g),
    ),
    arguments=("condition", "x1", "x2"),
    prepare=_condition_and_values,
)


@composite
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """Take from `x1` where `condition` holds, from `x2` elsewhere; broadcasts.

    With `condition` alone, return where it holds, as `nonzero` does.

    The gradient of the branch not taken is 0, but a NaN or inf derivative inside that branch
    still gives NaN: make the argument safe before the function, not the result after it.
    """
    if x1 is None and x2 is None:
        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError("where: expected both x1 and x2, or neither, got one of them.")
    return _where(condition, x1, x2)


@composite
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """Take from the choice whose condition is the first to hold, else `default`."""
    if len(condlist) != len(choicelist):
        raise ValueError(
            f"select: expected as many choices as conditions, {len(condlist)}, got "
            f"{len(choicelist)}."
        )
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return result


def saturate_cast(x: Any, dtype: Any) -> Any:
    """Cast to `dtype` after limiting the values to what it can hold."""
    x, wanted = as_tensor(x), as_dtype(dtype)
    if wanted.kind not in "iu" or numpy_dtype(x).kind == "b":
        return astype(x, wanted)
    limits = np.iinfo(wanted)
    return astype(clip(x, int(limits.min), int(limits.max)), wanted)


def cast(x: Any, dtype: Any) -> Any:
    """Return `x` in another dtype; gradients are cast back, integers have none."""
    return astype(as_tensor(x), as_dtype(dtype))


@composite
def nan_to_num(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Replace NaN by `nan`, and infinities by the given or the largest finite numbers."""
    (x,) = as_tensors([x])
    if numpy_dtype(x).kind != "f":
        return x
    limits = np.finfo(numpy_dtype(x))
    x = where(isnan(x), nan, x)
    x = where(equal(x, math.inf), float(limits.max) if posinf is None else posinf, x)
    return where(equal(x, -math.inf), float(limits.min) if neginf is None else neginf, x)
