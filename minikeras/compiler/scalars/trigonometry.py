"""Compute sines, tangents and their inverses: float32 in float64 vectors, rounded once."""

import math
from typing import Any

from minikeras.compiler.scalars.formula import (
    Number,
    any_lane,
    copysign,
    fma,
    lane_by_lane,
    polynomial,
    where,
)
from minikeras.compiler.scalars.wide import double

_SIN = (-0.16666666641472944, 0.0083333293677751736, -0.00019839328930626064,
        2.7182545779486436e-06)  # fmt: skip
_COS = (-0.49999999999541628, 0.041666666561442731, -0.0013888881043226282,
        2.4799033339231377e-05, -2.7179532042457405e-07)  # fmt: skip
_QUARTER_HIGH, _QUARTER_LOW = math.pi / 2, 6.123233995736766e-17
_ROUND = 1.5 * 2**52  # added to a number, it leaves the nearest integer in the lowest bits
_HUGE = 1e12


def _quarters(x: Number) -> tuple[Any, Any, Any]:
    """Return q as an int64, and sine and cosine of r, with `x = q * pi / 2 + r` (Cody and Waite).

    Two parts of pi / 2 hold 106 bits; no float32 number below 1e12 is nearer than 1e-10 to a
    multiple of pi / 2, so that r keeps its digits.
    """
    shifted = fma(x, 2 / math.pi, _ROUND)
    n = shifted - _ROUND
    r = fma(n, -_QUARTER_LOW, fma(n, -_QUARTER_HIGH, x))
    square = r * r
    sine, cosine = r * fma(square, polynomial(square, _SIN), 1), polynomial(square, (1, *_COS))
    return shifted.bits("int64"), sine, cosine


def _or_by_library(y: Number, x: Number, symbol: str) -> Any:
    """Compute what is too large for `_quarters` by the C library, if any lane is."""
    code, lanes = x.code, x.value.lanes
    huge = (abs(x) > _HUGE) & (abs(x) < math.inf)
    cell = code.cell("float64", lanes, y.value)
    with code.when(any_lane(huge)):
        cell.set(where(huge, lane_by_lane(symbol, where(huge, x, 0)), y).value)
    return Number(code, cell.get())


def _wave(x: Number, symbol: str, ahead: int) -> Any:
    q, sine, cosine = _quarters(x)
    q = q + ahead
    y = where((q & 1) == 0, sine, cosine)
    y = (y.bits("int64") ^ ((q & 2) << 62)).bits("float64")
    return _or_by_library(y, x, symbol)


@double("sin")
def sin(x: Number) -> Any:
    """Compute the sine; error at most 0.51 ulp."""
    return _wave(x, "sin", 0)


@double("cos")
def cos(x: Number) -> Any:
    """Compute the cosine; error at most 0.51 ulp."""
    return _wave(x, "cos", 1)


@double("tan")
def tan(x: Number) -> Any:
    """Compute the tangent; error at most 0.51 ulp."""
    q, sine, cosine = _quarters(x)
    even = (q & 1) == 0
    y = where(even, sine, -cosine) / where(even, cosine, sine)
    return _or_by_library(y, x, "tan")


_ATAN = (-0.33333327433352528, 0.19999692610674552, -0.14280130739700081, 0.11060244543150635,
         -0.088188483022403508, 0.067595721123345387, -0.044946445578900492, 0.022760340718370187,
         -0.0074226376008887929, 0.001134878308791186)  # fmt: skip


def _angle(y: Number, x: Number) -> Any:
    """Return the angle of a point, of either sign of 0 and infinity too."""
    height, width = abs(y), abs(x)
    steep = height > width
    ratio = where(steep, width, height) / where(steep, height, width)
    ratio = where(height == width, where(height == 0, height, 1), ratio)  # not 0 / 0, inf / inf
    square = ratio * ratio
    angle = ratio * fma(square, polynomial(square, _ATAN), 1)
    angle = where(steep, math.pi / 2 - angle, angle)
    angle = where(x.bits("int64") < 0, math.pi - angle, angle)
    return copysign(angle, y)


@double("atan2")
def arctan2(y: Number, x: Number) -> Any:
    """Compute the angle of the point (x, y) as C's atan2; error at most 0.51 ulp."""
    return _angle(y, x)


@double("atan")
def arctan(x: Number) -> Any:
    """Compute the inverse of tan; error at most 0.51 ulp."""
    return _angle(x, x.constant(1))


@double("asin")
def arcsin(x: Number) -> Any:
    """Compute the inverse of sin, NaN beyond 1; error at most 0.51 ulp."""
    return _angle(x, ((1 - x) * (x + 1)).call("llvm.sqrt"))


@double("acos")
def arccos(x: Number) -> Any:
    """Compute the inverse of cos, NaN beyond 1; error at most 0.51 ulp."""
    return _angle(((1 - x) * (x + 1)).call("llvm.sqrt"), x)
