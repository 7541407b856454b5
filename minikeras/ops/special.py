"""Compute the error functions, for which NumPy has nothing and SciPy is asked."""

import math

from minikeras.core.tensor import Array
from minikeras.ops.define import unary
from minikeras.ops.elementwise import exp


def _scipy(name: str, x: Array) -> Array:
    """Apply the function of `scipy.special`, which answers float16 in float32."""
    from scipy import special

    found: Array = getattr(special, name)(x)
    return found.astype(x.dtype, copy=False)


erf = unary(
    "erf",
    lambda x: _scipy("erf", x),
    lambda g, x: g * (2 / math.sqrt(math.pi)) * exp(-x * x),
    doc="Compute the error function, the integral of `2 / sqrt(pi) * exp(-t**2)` from 0 to x.",
)
erfc = unary(
    "erfc",
    lambda x: _scipy("erfc", x),
    lambda g, x: g * (-2 / math.sqrt(math.pi)) * exp(-x * x),
    doc="Compute `1 - erf(x)` without cancellation for large x.",
)
erfinv = unary(
    "erfinv",
    lambda x: _scipy("erfinv", x),
    lambda g, y: g * (math.sqrt(math.pi) / 2) * exp(y * y),
    doc="Compute the inverse of `erf`; inf at 1, NaN beyond.",
)
