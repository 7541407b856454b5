"""Compute functions of float32 in float64 vectors, and round once.

That is the shorter way to two ulp where a result cancels, an argument is squared or a logarithm is
multiplied by a large number. The work is done to a relative error of some 1e-9, a hundredth of
float32's half ulp; nothing overflows here, and float32's denormals are normal numbers. float64
asks the C library lane by lane.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from minikeras.compiler.scalars.formula import (
    Number,
    copysign,
    fma,
    is_nan,
    lane_by_lane,
    largest,
    polynomial,
    where,
    within,
)
from minikeras.compiler.scalars.functions import Function, exp_less_1, log_edges


def double(symbol: str) -> Callable[[Function], Function]:
    """Mark a function of float64 to serve float32; float64 is passed to the C library."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(*xs: Number) -> Any:
            if xs[0].kind == "float64":
                return lane_by_lane(symbol, *xs)
            return function(*(x.to("float64") for x in xs)).to("float32")

        return call

    return decorate


# ---- building blocks -----------------------------------------------------------------------------

_ROUND_64 = 1.5 * 2**52
_ROUND_64_BITS = 0x4338000000000000
_ROOT_HALF_64_BITS = 0x3FE6A09E00000000
_EXP_64 = (0.50000000468251649, 0.16666666813458031, 0.041666353009113713, 0.0083332738636778744,
           0.001394114016744611, 0.00019913738477876294)  # fmt: skip
# log(1 + f) = s * (2 + s**2 * polynomial(s**2)) with s = f / (2 + f)
_LOG_64 = (0.66666665639954081, 0.40000336548487475, 0.28537215909084307, 0.23584020449351992)


def _exp_parts(x: Number) -> tuple[Any, Any]:
    """Return 2**n, and e**r - 1; |x| is limited to 700."""
    shifted = fma(within(x, -700, 700), math.log2(math.e), _ROUND_64)
    r = fma(shifted - _ROUND_64, -math.log(2), within(x, -700, 700))
    scale = ((shifted.bits("int64") << 52) + (1023 << 52)).bits("float64")
    return scale, exp_less_1(r, _EXP_64)


def wide_exp(x: Number) -> Any:
    """Compute e**x, x in float64, to float32's precision and in more than its range."""
    scale, small = _exp_parts(x)
    return fma(scale, small, scale)


def _wide_expm1(x: Number) -> Any:
    scale, small = _exp_parts(x)
    return fma(scale, small, scale - 1)


def _exponent_and_mantissa_64(x: Number) -> tuple[Any, Any]:
    bits = x.bits("uint64") + (0x3FF0000000000000 - _ROOT_HALF_64_BITS)
    e = ((bits >> 52) + _ROUND_64_BITS).bits("float64") - (_ROUND_64 + 1023)
    return e, ((bits & 0xFFFFFFFFFFFFF) + _ROOT_HALF_64_BITS).bits("float64")


def _log_sum_64(e: Number, f: Number) -> Any:
    s = f / (f + 2)
    square = s * s
    return fma(e, math.log(2), s * fma(square, polynomial(square, _LOG_64), 2.0))


def wide_log(x: Number) -> Any:
    """Compute log(x), x in float64 and not denormal there, to float32's precision."""
    e, mantissa = _exponent_and_mantissa_64(x)
    return log_edges(_log_sum_64(e, mantissa - 1), x)


def wide_log1p(x: Number) -> Any:
    """Compute log(1 + x), x in float64, to float32's precision."""
    total = x + 1
    e, mantissa = _exponent_and_mantissa_64(total)
    # What 1 + x lost, x - ((1 + x) - 1), is added to f in proportion.
    lost = where(abs(x) < 1e9, x - (total - 1), 0)
    return log_edges(_log_sum_64(e, fma(lost / total, mantissa, mantissa - 1)), total)


# ---- functions -----------------------------------------------------------------------------------


@double("log2")
def log2(x: Number) -> Any:
    """Compute the logarithm to base 2; error at most 0.51 ulp."""
    return wide_log(x) * math.log2(math.e)


@double("log10")
def log10(x: Number) -> Any:
    """Compute the logarithm to base 10; error at most 0.51 ulp."""
    return wide_log(x) * math.log10(math.e)


@double("cbrt")
def cbrt(x: Number) -> Any:
    """Compute the cube root; error at most 0.51 ulp."""
    root = wide_exp(wide_log(abs(x)) * (1 / 3))
    return where(abs(x) < math.inf, copysign(where(x == 0, 0, root), x), x)


@double("sinh")
def sinh(x: Number) -> Any:
    """Compute sinh by expm1; error at most 0.51 ulp."""
    small = _wide_expm1(abs(x))
    return copysign((small + small / (small + 1)) * 0.5, x)


@double("cosh")
def cosh(x: Number) -> Any:
    """Compute cosh; error at most 0.51 ulp."""
    power = wide_exp(abs(x))
    return (power + 1 / power) * 0.5


@double("asinh")
def arcsinh(x: Number) -> Any:
    """Compute the inverse of sinh; error at most 0.51 ulp."""
    size = abs(x)
    root = (fma(x, x, 1)).call("llvm.sqrt")
    argument = size + x * x / (root + 1)
    return copysign(wide_log1p(where(size < math.inf, argument, size)), x)


@double("acosh")
def arccosh(x: Number) -> Any:
    """Compute the inverse of cosh, NaN below 1; error at most 0.51 ulp."""
    t = x - 1
    y = wide_log1p(t + (t * (t + 2)).call("llvm.sqrt"))
    return where(x < 1, math.nan, y)


@double("atanh")
def arctanh(x: Number) -> Any:
    """Compute the inverse of tanh, NaN beyond 1; error at most 0.51 ulp."""
    size = abs(x)
    return copysign(wide_log1p((size + size) / (1 - size)) * 0.5, x)


@double("hypot")
def hypot(a: Number, b: Number) -> Any:
    """Compute sqrt(a**2 + b**2), inf if either is infinite; error at most 0.51 ulp."""
    infinite = (abs(a) == math.inf) | (abs(b) == math.inf)
    return where(infinite, math.inf, fma(a, a, b * b).call("llvm.sqrt"))


@double("pow")
def power(x: Number, y: Number) -> Any:
    """Compute x**y with the special cases of IEEE 754; error at most 0.51 ulp."""
    size = abs(x)
    whole = y.call("llvm.floor") == y
    odd = whole & ((y * 0.5).call("llvm.floor") != y * 0.5)
    # 1 to any power is 1, and 0 * inf would be NaN.
    result = wide_exp(where(size == 1, 0, y * wide_log(size)))
    result = where(odd, copysign(result, x), result)
    meaningless = is_nan(y) | ((x < 0) & (x > -math.inf) & ~whole)
    result = where(meaningless, math.nan, result)
    return where((y == 0) | (x == 1), 1, result)


def logaddexp(a: Number, b: Number) -> Any:
    """Compute log(e**a + e**b); error at most 0.6 ulp, but where it cancels: 1e-9 of |a|."""
    if a.kind == "float64":
        return _log_of_sum(a, b, lambda x: lane_by_lane("log1p", lane_by_lane("exp", x)))
    result = _log_of_sum(a.to("float64"), b.to("float64"), lambda x: wide_log1p(wide_exp(x)))
    return result.to("float32")


def _log_of_sum(a: Number, b: Number, softplus: Callable[[Any], Any]) -> Any:
    return largest(a, b) + softplus(where(a == b, 0, -abs(a - b)))  # inf - inf would be NaN


# exp(x**2) * erfc(x) * (1 + 2x) as a polynomial of (x - 3) / (x + 3), for x from 0 to 10.2.
_ERFC = (1.2530080589056387, -0.13562111254830983, -0.047562380302065672, 0.12964540791193443,
         -0.11927168465780953, 0.068306004439758858, -0.023787363174296174, 0.0025296841317052118,
         0.0019493730606679523, -0.00074178287675864645, -0.00018202004822616413,
         3.5783473456684617e-05)  # fmt: skip


@double("erfc")
def erfc(x: Number) -> Any:
    """Compute 1 - erf(x) without cancellation; error at most 0.53 ulp."""
    size = where(abs(x) > 10.5, 10.5, abs(x))
    above, twice = size + 3, size * 2 + 1
    inverse = 1 / (above * twice)
    scaled = polynomial((size - 3) * twice * inverse, _ERFC) * (above * inverse)
    result = scaled * wide_exp(-(size * size))
    return where(x < 0, 2 - result, result)


# erfinv(x) / x as a polynomial of w - 2.5 up to w = 5, beyond of sqrt(w) - 3, with
# w = -log(1 - x**2), as in Giles 2012, "Approximating the erfinv function".
_ERFINV = (1.5014093592826954, 0.24664028615338179, -0.004177386781137547, -0.0012527418782960729,
           0.00021834443946370727, -4.9633479456210727e-06, -3.4627047683297163e-06,
           4.661706841310731e-07, 2.3232645057769119e-08, -8.7910579510408482e-09)  # fmt: skip
_ERFINV_TAIL = (2.9332316500556463, 1.0033559901525688, 0.0074614609933412179,
                -0.0056937695144629596, 0.0041075329774541425, -0.0027299831017446475,
                0.0013675538617980432, -0.00026999065988821125, -0.00020505724340322716,
                0.00011978912001246039)  # fmt: skip


def erfinv(x: Number) -> Any:
    """Compute the inverse of erf for float32; error at most 0.6 ulp."""
    wide = x.to("float64")
    w = -wide_log((1 - wide) * (wide + 1))
    tail = polynomial(w.call("llvm.sqrt") - 3.1, _ERFINV_TAIL)
    result = wide * where(w < 5, polynomial(w - 2.5, _ERFINV), tail)
    return where(abs(wide) == 1, copysign(wide.constant(math.inf), wide), result).to("float32")
