"""Say for each elementwise primitive which formula computes it natively.

A formula gives what the primitive's NumPy forward gives: NaN where that does, the same zero of two
that are equal, 0 for integers divided by 0. It holds for any number of lanes. Where IEEE arithmetic
decides, the bits are NumPy's; functions differ by their stated errors.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from minikeras.compiler.native.emit import Code, Value
from minikeras.compiler.scalars import functions, philox, trigonometry, wide
from minikeras.compiler.scalars.formula import (
    Number,
    copysign,
    is_nan,
    lane_by_lane,
    largest,
    smallest,
    where,
)

Formula = Callable[..., Any]

FLOATS = frozenset({"float32", "float64"})
INTEGERS = frozenset({f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)})
NUMBERS = FLOATS | INTEGERS
ALL = NUMBERS | {"bool"}
"""The dtypes that kernels compute in; not float16, bfloat16 and complex numbers."""


# ---- formulas of more than a line ----------------------------------------------------------------


def _arithmetic(number: Formula, truth: Formula) -> Formula:
    """Choose the formula for numbers or the one for truth values."""
    return lambda a, b: (truth if a.kind == "bool" else number)(a, b)


def _sign(x: Any) -> Any:
    one = where(x > 0, x.constant(1), 0)
    return where(is_nan(x), x, where(x < 0, -1, one)) if x.value.floating else _integer_sign(x, one)


def _integer_sign(x: Any, one: Any) -> Any:
    return where(x < 0, -1, one) if x.value.signed else one


def _divisor(a: Any, b: Any) -> Any:
    """Return an integer divisor that no processor refuses: not 0, and not -1."""
    bad = b == 0
    return where(bad | (b == -1) if a.value.signed else bad, 1, b)


def _floor_divide(a: Any, b: Any) -> Any:
    if a.value.floating:
        return _float_floor_divide(a, b)
    safe = _divisor(a, b)
    quotient = a / safe
    if a.value.signed:
        rest = a - quotient * safe
        quotient = where((rest != 0) & ((rest ^ safe) < 0), quotient - 1, quotient)
        quotient = where(b == -1, -a, quotient)
    return where(b == 0, 0, quotient)


def _mod(a: Any, b: Any) -> Any:
    if a.value.floating:
        return _float_mod(a, b)[0]
    safe = _divisor(a, b)
    rest = a % safe  # by 1 it is 0, as it is by -1
    if a.value.signed:
        rest = where((rest != 0) & ((rest ^ safe) < 0), rest + safe, rest)
    return where(b == 0, 0, rest)


def _float_mod(a: Any, b: Any) -> tuple[Any, Any, Any]:
    """Return the remainder with the divisor's sign, C's remainder, and whether they differ."""
    rest = lane_by_lane("fmodf" if a.kind == "float32" else "fmod", a, b)
    apart = (rest != 0) & ((b < 0) ^ (rest < 0)) & ~is_nan(rest)
    result = where(apart, rest + b, where(rest == 0, copysign(rest, b), rest))
    return where(b == 0, rest, result), rest, apart


def _float_floor_divide(a: Any, b: Any) -> Any:
    """Divide as NumPy does, by way of the remainder, so that the two fit together."""
    _, rest, apart = _float_mod(a, b)
    quotient = (a - rest) / b
    quotient = where(apart, quotient - 1, quotient)
    floor = quotient.call("llvm.floor")
    floor = where(quotient - floor > 0.5, floor + 1, floor)
    ratio = a / b
    floor = where(quotient == 0, copysign(quotient, ratio), floor)
    return where(b == 0, ratio, floor)


def _heaviside(a: Any, b: Any) -> Any:
    return where(a == 0, b, where(a > 0, 1, where(a < 0, a.constant(0), a)))


def _power(a: Any, b: Any) -> Any:
    # A number known now: as NumPy, by one product.
    return a * a if b.value.name == b.constant(2).value.name else wide.power(a, b)


def _sinc(x: Any) -> Any:
    y = x * math.pi
    return where(y == 0, 1, trigonometry.sin(y) / y)


def _bend(x: Any, scale: float, width: float, **_: Any) -> Any:
    below = functions.expm1(smallest(x, 0) / width) * scale
    return largest(x, 0) + below


def _binary_crossentropy(a: Any, b: Any) -> Any:
    return largest(a, 0) - a * b + functions.softplus(-abs(a))


def _relu(x: Any) -> Any:
    """Compute max(x, 0); adding 0 makes the 0 positive, in floats."""
    positive = where(x < 0, 0, x)
    return positive + 0.0 if x.value.floating else positive


# ---- the tables ----------------------------------------------------------------------------------


def _unless_integer(formula: Formula) -> Formula:
    """Leave integers as they are."""
    return lambda x: formula(x) if x.value.floating else x


def _same(x: Any) -> Any:
    return x


_FOR_ALL: dict[str, Formula] = {
    "add": _arithmetic(lambda a, b: a + b, lambda a, b: a | b),
    "multiply": _arithmetic(lambda a, b: a * b, lambda a, b: a & b),
    "maximum": _arithmetic(largest, lambda a, b: a | b),
    "minimum": _arithmetic(smallest, lambda a, b: a & b),
    "equal": lambda a, b: a == b,
    "not_equal": lambda a, b: a != b,
    "less": lambda a, b: a < b,
    "less_equal": lambda a, b: a <= b,
    "greater": lambda a, b: a > b,
    "greater_equal": lambda a, b: a >= b,
    "logical_not": lambda x: x == 0,
    "where": where,
    "identity": _same,
    "stop_gradient": _same,
}
_FOR_TRUTHS: dict[str, Formula] = {
    "logical_and": lambda a, b: a & b,
    "logical_or": lambda a, b: a | b,
    "logical_xor": lambda a, b: a ^ b,
}
_FOR_NUMBERS: dict[str, Formula] = {
    "negative": lambda x: -x,
    "subtract": lambda a, b: a - b,
    "floor_divide": _floor_divide,
    "mod": _mod,
    "squared_difference": lambda a, b: (a - b) * (a - b),
    "fmax": lambda a, b: where((a > b) | is_nan(b), a, b),
    "fmin": lambda a, b: where((a < b) | is_nan(b), a, b),
    "absolute": abs,
    "sign": _sign,
    "trunc": _unless_integer(lambda x: x.call("llvm.trunc")),
    "round": _unless_integer(lambda x: x.call("llvm.rint")),
    "square": lambda x: x * x,
    "relu": _relu,
    "relu6": lambda x: smallest(largest(x, 0), 6),
}
_FOR_FLOATS: dict[str, Formula] = {
    "divide": lambda a, b: a / b,
    "divide_no_nan": lambda a, b: where(b == 0, 0, a / where(b == 0, 1, b)),
    "reciprocal": lambda x: 1 / x,
    "heaviside": _heaviside,
    "fabs": abs,
    "floor": lambda x: x.call("llvm.floor"),
    "ceil": lambda x: x.call("llvm.ceil"),
    "sqrt": lambda x: x.call("llvm.sqrt"),
    "rsqrt": lambda x: 1 / x.call("llvm.sqrt"),
    "deg2rad": lambda x: x * (x.constant(math.pi) / 180),  # NumPy divides in x's dtype
    "rad2deg": lambda x: x * (x.constant(180) / math.pi),
    "isnan": is_nan,
    "isinf": lambda x: abs(x) == math.inf,
    "isfinite": lambda x: abs(x) < math.inf,
    "isposinf": lambda x: x == math.inf,
    "isneginf": lambda x: x == -math.inf,
    "power": _power,
    "sinc": _sinc,
    "leaky_relu": lambda x, slope: (largest if slope <= 1 else smallest)(x, x * slope),
    "exponential_linear": _bend,
    "softsign": lambda x: x / (abs(x) + 1),
    "binary_crossentropy": _binary_crossentropy,
    **{name: getattr(functions, name) for name in (
        "exp", "exp2", "expm1", "log", "log1p", "tanh", "sigmoid", "silu", "softplus", "erf",
    )},
    **{name: getattr(wide, name) for name in (
        "log2", "log10", "logaddexp", "cbrt", "hypot", "sinh", "cosh", "arcsinh", "arccosh",
        "arctanh", "erfc",
    )},
    **{name: getattr(trigonometry, name) for name in (
        "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2",
    )},
}  # fmt: skip
_FOR_FLOAT32: dict[str, Formula] = {"erfinv": wide.erfinv}

_TABLES = (
    (ALL, _FOR_ALL),
    (frozenset({"bool"}), _FOR_TRUTHS),
    (NUMBERS, _FOR_NUMBERS),
    (FLOATS, _FOR_FLOATS),
    (frozenset({"float32"}), _FOR_FLOAT32),
)


def _value(number: Number) -> Value:
    return number.value


def _rule(formula: Formula) -> Callable[..., Value]:
    def write(code: Code, *values: Value, kind: str, **params: Any) -> Value:  # noqa: ARG001
        result = formula(*(Number(code, value) for value in values), **params)
        return _value(result)

    return write


# ---- casts ---------------------------------------------------------------------------------------


def _cast(code: Code, x: Value, kind: str, **_: Any) -> Value:
    """Convert as NumPy's astype.

    A float that an integer cannot hold becomes what x86 makes of it in NumPy's C code: NaN and
    what an int64 (int32 for smaller integers) cannot hold, the lowest number; of the others, the
    lowest bits.
    """
    if not (x.floating and kind in INTEGERS):
        return code.convert(x, kind)
    number = Number(code, x)
    if kind == "uint64":
        top = number >= 2.0**63
        low = _whole(where(top, number - 2.0**63, number), "int64")
        return _value((low ^ where(top, low.constant(-(2**63)), 0)).to(kind))
    wanted = "int64" if kind in ("int64", "uint32") else "int32"
    return _value(_whole(number, wanted).to(kind))


def _whole(x: Any, kind: str) -> Any:
    """Convert to int32 or int64; what does not fit, and NaN, becomes the lowest number."""
    limit = 2.0 ** (31 if kind == "int32" else 63)
    fits = (x >= -limit) & (x < limit)
    return where(fits, where(fits, x, 0).to(kind), int(-limit))


# ---- what a compiler asks ------------------------------------------------------------------------

LOWERINGS: dict[str, Callable[..., Value]] = {
    "cast": _cast,
    **{name: _rule(formula) for _, table in _TABLES for name, formula in table.items()},
}
"""By a primitive's name: `rule(code, *values, kind=dtype of the result, **params)`."""

INDEXED: dict[str, Callable[..., Value]] = {
    "dropout": philox.dropout,
    "random_uniform": philox.uniform,
}
"""Rules that ask where in the result the first lane lies, `index`, and how many `lanes` there are;
`state` is the pointer to its two numbers. `index` is a multiple of 8, or of fewer lanes, if it is
`aligned`."""

_KINDS = {"cast": ALL, **{name: kinds for kinds, table in _TABLES for name in table}}


def supports(kinds: Sequence[str]) -> bool:
    """Return whether kernels compute in all of these dtypes."""
    return all(kind in ALL for kind in kinds)


def lowers(name: str, kinds: Sequence[str]) -> bool:
    """Return whether `LOWERINGS` has the primitive for inputs of these dtypes."""
    return name in _KINDS and all(kind in _KINDS[name] for kind in kinds)
