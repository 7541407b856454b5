"""Compute the frequent functions of float32 in vectors: exp, log, tanh, sigmoid, erf and theirs.

Every function takes and returns a `Number`. The bits do not depend on the number of lanes. Errors
are stated in units in the last place (ulp) of the exact result, denormal ones included, as
measured over the whole range. Coefficients are minimax fits for the interval that they serve.
float64 asks the C library lane by lane.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from minikeras.compiler.scalars.formula import (
    Number,
    copysign,
    fma,
    lane_by_lane,
    largest,
    polynomial,
    where,
    within,
)

Function = Callable[..., Any]


def single(symbol: str) -> Callable[[Function], Function]:
    """Mark a function of float32; float64 is passed to `symbol` of the C library."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(*xs: Number) -> Any:
            return lane_by_lane(symbol, *xs) if xs[0].kind == "float64" else function(*xs)

        return call

    return decorate


# ---- exponentials in float32 ---------------------------------------------------------------------
#
# exp(x) = 2**n * exp(r) with x = n * log(2) + r and |r| <= log(2) / 2; log(2) in two parts (Cody
# and Waite 1980, "Software Manual for the Elementary Functions", chapter 6).

_LOG2_HIGH, _LOG2_LOW = 0.693145751953125, 1.42860682030941723e-6
_ROUND = 1.5 * 2**23  # added to a small number, it leaves the nearest integer in the lowest bits
_ROUND_BITS = 0x4B400000
_EXP = (0.4999999404, 0.1666652113, 0.04166828096, 0.008368690498, 0.001381949056)
_EXPM1 = (0.5, 0.1666654348, 0.04166642949, 0.008366559632, 0.001393827493)
_EXP2 = (0.6931471825, 0.2402265072, 0.05550359562, 0.009618062526, 0.001339098439, 0.0001546288258)


def _reduced(x: Number) -> tuple[Any, Any]:
    """Return n, an int32, and r."""
    shifted = fma(x, math.log2(math.e), _ROUND)
    n = shifted - _ROUND
    r = fma(n, -_LOG2_LOW, fma(n, -_LOG2_HIGH, x))
    return shifted.bits("int32") - _ROUND_BITS, r


def _power_of_two(n: Number) -> Any:
    """Return 2**n for n in [-126, 127]."""
    return ((n << 23) + 0x3F800000).bits("float32")


def _halves(n: Number) -> tuple[Any, Any]:
    """Return two factors of 2**n: to multiply by one after the other rounds denormals once."""
    half = n >> 1
    return _power_of_two(half), _power_of_two(n - half)


def exp_less_1(r: Number, coefficients: tuple[float, ...]) -> Any:
    """Compute e**r - 1 for a small r; the coefficients begin with that of r**2."""
    return fma(r * r, polynomial(r, coefficients), r)


@single("exp")
def exp(x: Number) -> Any:
    """Compute e**x; error at most 1.0 ulp."""
    n, r = _reduced(within(x, -104, 89))
    first, second = _halves(n)
    return (exp_less_1(r, _EXP) + 1) * first * second


@single("exp2")
def exp2(x: Number) -> Any:
    """Compute 2**x; error at most 0.9 ulp."""
    x = within(x, -151, 129)
    shifted = x + _ROUND
    first, second = _halves(shifted.bits("int32") - _ROUND_BITS)
    f = x - (shifted - _ROUND)
    return fma(f, polynomial(f, _EXP2), 1) * first * second


@single("expm1")
def expm1(x: Number) -> Any:
    """Compute e**x - 1 without cancellation; error at most 1.6 ulp."""
    n, r = _reduced(within(x, -18, 89))
    small = exp_less_1(r, _EXPM1)
    scale = _power_of_two(n - 1)  # for half the result: 2**128 would overflow
    half = fma(scale, small, scale - 0.5)
    return copysign(where(n == 0, small, half + half), x)


# ---- made of one exponential ---------------------------------------------------------------------


def _logistic(x: Number) -> tuple[Any, Any]:
    """Return s and t with `sigmoid(x) = s / t`; s is a power of two, and neither overflows.

    1 / (1 + p * 2**n) = 2**-h / (2**-h + p * 2**(n - h)): only the quotient may be denormal.
    """
    n, r = _reduced(within(-x, -80, 125))
    half = where(n < 0, 0, n) >> 1
    scale, power = _power_of_two(-half), _power_of_two(n - half)
    total = power + scale
    lost = scale - (total - power)  # of 2**24 + 1
    return scale, fma(power, exp_less_1(r, _EXP), lost) + total


def sigmoid(x: Number) -> Any:
    """Compute 1 / (1 + e**-x); error at most 1.7 ulp."""
    if x.kind == "float64":
        return 1 / (exp(-x) + 1)
    s, t = _logistic(x)
    return s / t


def silu(x: Number) -> Any:
    """Compute x / (1 + e**-x), NaN at -inf as NumPy; error at most 1.8 ulp."""
    if x.kind == "float64":
        return x / (exp(-x) + 1)
    s, t = _logistic(x)
    return where(x < -125, -(x - x), x) * s / t


_TANH = (-0.3333328366, 0.133314833, -0.05374275893, 0.02064795606, -0.005713881925)


@single("tanh")
def tanh(x: Number) -> Any:
    """Compute tanh; a polynomial up to 0.625, 1 - 2 / (e**2x + 1) beyond; error at most 1.4 ulp."""
    size = abs(x)
    square = x * x
    small = fma(size * square, polynomial(square, _TANH), size)
    n, r = _reduced(where(size > 9.5, 9.5, size) * 2)
    scale = _power_of_two(n)
    large = 1 - 2 / (fma(scale, exp_less_1(r, _EXP), scale) + 1)
    return copysign(where(size < 0.625, small, large), x)


# ---- logarithms in float32 -----------------------------------------------------------------------
#
# log(x) = e * log(2) + log(1 + f), x = (1 + f) * 2**e, with 1 + f from sqrt(1/2) to sqrt(2).

_LOG = (0.3333331048, -0.2499998659, 0.2000222355, -0.1666924953, 0.1421871632, -0.1238440201,
        0.1187261939, -0.1178937033, 0.06915612519)  # fmt: skip
_ROOT_HALF_BITS = 0x3F3504F3


def _exponent_and_mantissa(x: Number) -> tuple[Any, Any]:
    """Return e, an int32, and 1 + f, of a positive number that is not denormal."""
    bits = x.bits("int32") - _ROOT_HALF_BITS
    return bits >> 23, ((bits & 0x7FFFFF) + _ROOT_HALF_BITS).bits("float32")


def _log_sum(e: Number, f: Number) -> Any:
    """Return e * log(2) + log(1 + f)."""
    square = f * f
    small = fma(square * f, polynomial(f, _LOG), square * -0.5)
    return fma(e, _LOG2_HIGH, f + fma(e, _LOG2_LOW, small))


def log_edges(y: Number, x: Number) -> Any:
    """Replace `y`, meant to be log(x), where x is not positive and finite."""
    y = where(x < math.inf, y, x)
    return where(x <= 0, where(x == 0, x.constant(-math.inf), math.nan), y)


@single("log")
def log(x: Number) -> Any:
    """Compute the natural logarithm; error at most 0.9 ulp."""
    denormal = x < 2.0**-126
    e, mantissa = _exponent_and_mantissa(where(denormal, x * 2.0**23, x))
    e = e.to("float32") - where(denormal, x.constant(23), 0)
    return log_edges(_log_sum(e, mantissa - 1), x)


def _log1p(x: Number) -> Any:
    """Compute log(1 + x) for x > -1, not infinite."""
    total = x + 1
    e, mantissa = _exponent_and_mantissa(total)
    # f = (1 + x) / 2**e - 1 without the rounding of 1 + x; from 2**40 on that does not count.
    scale = _power_of_two(-e)
    f = where(x < 2.0**40, fma(x, scale, scale - 1), mantissa - 1)
    return _log_sum(e.to("float32"), f)


@single("log1p")
def log1p(x: Number) -> Any:
    """Compute log(1 + x) without cancellation; error at most 1.5 ulp."""
    y = where(x < math.inf, _log1p(x), x)
    y = where(x <= -1, where(x == -1, x.constant(-math.inf), math.nan), y)
    return where(x == 0, x, y)


def softplus(x: Number) -> Any:
    """Compute log(1 + e**x) as max(x, 0) + log(1 + e**-|x|); error at most 1.8 ulp."""
    power = exp(-abs(x))
    return largest(x, 0) + (_log1p(power) if x.kind == "float32" else log1p(power))


# ---- error functions -----------------------------------------------------------------------------

_ERF_SMALL = (0.1283791661, -0.3761262894, 0.1128362566, -0.02685573138, 0.005192405079,
              -0.0008049769676, 7.996649947e-05)  # fmt: skip
_LOG_ERFC = (0.0001758745639, -1.129520774, -0.6333348751, -0.1082935408, 0.02512823977,
             -0.004174443893, 0.0004351656244, -2.115614734e-05)  # fmt: skip


@single("erf")
def erf(x: Number) -> Any:
    """Compute the error function; beyond 0.92 as 1 - e**polynomial; error at most 1.1 ulp."""
    size = abs(x)
    small = fma(size, polynomial(x * x, _ERF_SMALL), size)
    n, r = _reduced(polynomial(where(size > 4, 4, size), _LOG_ERFC))
    scale = _power_of_two(n)
    large = 1 - fma(scale, exp_less_1(r, _EXP), scale)
    return copysign(where(size < 0.92, small, large), x)
