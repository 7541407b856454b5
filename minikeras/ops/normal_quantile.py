"""Compute the quantiles of the normal distribution by exact IEEE operations alone.

No fused multiply-add and no function of the C library, so that every machine gets the same bits.
"""

import math

import numpy as np

from minikeras.core.tensor import Array

# Wichura 1988, Algorithm AS 241 (PPND16), doi:10.2307/2347330: numerator and denominator, highest
# power first, for the middle, for tails, and for tails below exp(-25). Relative error 1e-16.
_MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_TAIL = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
     4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
     0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
     0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358,
     5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
     7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531,
     0.59983220655588793769, 1.0),
)  # fmt: skip


def _ratio(table: tuple[tuple[float, ...], tuple[float, ...]], r: Array) -> Array:
    """Evaluate a quotient of polynomials by Horner's rule, each product rounded before the sum."""
    values = []
    for coefficients in table:
        value = coefficients[0] * r
        for coefficient in coefficients[1:-1]:
            value += coefficient
            value *= r
        value += coefficients[-1]
        values.append(value)
    return values[0] / values[1]


def _log(x: Array) -> Array:
    """Compute log x = e log 2 + 2 artanh((m - 1) / (m + 1)), `x = m * 2**e`, for small x."""
    m, e = np.frexp(x)
    low = m < math.sqrt(0.5)
    m, e = np.where(low, m + m, m), e - low
    s = (m - 1) / (m + 1)
    z = s * s  # at most 0.0295, so that the eleventh term of the series is the last that counts
    series = z / 21
    for n in range(19, 1, -2):
        series = (series + 1 / n) * z
    return e * math.log(2) + (s + s) * (series + 1)  # type: ignore[no-any-return]


def normal_quantile(q: Array) -> Array:
    """Return z with `P(N(0, 1) < z) = 0.5 + q`, for q in (-0.5, 0.5)."""
    size = np.abs(q)
    z = q * _ratio(_MIDDLE, 0.180625 - q * q)
    outer = np.flatnonzero(size > 0.425)
    r = np.sqrt(-_log(0.5 - size[outer]))
    tail = _ratio(_TAIL, r - 1.6)
    far = np.flatnonzero(r > 5)
    tail[far] = _ratio(_FAR_TAIL, r[far] - 5)
    z[outer] = np.copysign(tail, q[outer])
    return z
