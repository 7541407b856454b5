"""Normalize: bring tensors to mean 0 and variance 1, or to norm 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras import config
from minikeras.core.basic import accumulator, astype, floating, numpy_dtype
from minikeras.core.gradients import stop_gradient
from minikeras.core.tensor import as_tensor
from minikeras.ops.define import all_axes, composite
from minikeras.ops.elementwise import absolute, maximum, rsqrt, sqrt, square
from minikeras.ops.reduction import amax, mean, sum
from minikeras.ops.statistics import beside, moments


def wide(x: Any) -> tuple[Any, Any]:
    """Return x in at least float32, whose range suffices for statistics, and its own dtype."""
    (x,) = floating([x])
    dtype = numpy_dtype(x)
    return astype(x, accumulator(dtype)), dtype


@composite
def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    axis: int,
    offset: Any = None,
    scale: Any = None,
    epsilon: float = 1e-3,
) -> Any:
    """Compute `(x - mean) / sqrt(variance + epsilon) * scale + offset`.

    `mean`, `variance`, `offset` and `scale` have one axis, which stands for `axis` of x.
    """
    (x,) = floating([x])
    axes = all_axes(axis, x.ndim, "batch_normalization")
    factor = rsqrt(as_tensor(variance) + epsilon)
    if scale is not None:
        factor = factor * scale
    shift = -as_tensor(mean) * factor
    if offset is not None:
        shift = shift + offset
    return x * beside(factor, x, axes) + beside(shift, x, axes)


@composite
def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
) -> Any:
    """Give every sample mean 0 and variance 1 along `axis`, then scale by gamma and add beta."""
    x, dtype = wide(x)
    axes = all_axes(axis, x.ndim, "layer_normalization")
    mean, variance = moments(x, axes, keepdims=True)
    factor = rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    if gamma is not None:
        factor = factor * beside(gamma, x, axes)
    y = (x - mean) * factor
    return astype(y if beta is None else y + beside(beta, x, axes), dtype)


@composite
def rms_normalization(
    x: Any, scale: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Any:
    """Divide by the root of the mean square along `axis`, then multiply by `scale`.

    Zhang and Sennrich 2019, arXiv:1910.07467.
    """
    x, dtype = wide(x)
    axes = all_axes(axis, x.ndim, "rms_normalization")
    power = mean(square(x), axes, keepdims=True)
    y = x * rsqrt(power + (config.epsilon() if epsilon is None else epsilon))
    return astype(y if scale is None else y * scale, dtype)


@composite
def normalize(
    x: Any, axis: int | Sequence[int] = -1, order: int = 2, epsilon: float | None = None
) -> Any:
    """Divide by the norm of order `order` along `axis`, or by `epsilon` if that is more."""
    if not isinstance(order, int) or order < 1:
        raise ValueError(f"normalize: expected an integer order of at least 1, got {order!r}.")
    x, dtype = wide(x)
    axes = all_axes(axis, x.ndim, "normalize")
    epsilon = config.epsilon() if epsilon is None else epsilon
    if order == 2:  # raising the sum and not the root keeps the gradient at 0 finite
        smallest = max(epsilon**2, float(np.finfo(numpy_dtype(x)).tiny))
        return astype(x / sqrt(maximum(sum(square(x), axes, keepdims=True), smallest)), dtype)
    size = absolute(x)
    # Powers of size / largest neither overflow nor vanish, and their sum is below 1 only where the
    # norm is below epsilon.
    largest = stop_gradient(maximum(amax(size, axes, keepdims=True), epsilon))
    total = maximum(sum((size / largest) ** order, axes, keepdims=True), 1)
    return astype(x / (largest * total ** (1 / order)), dtype)
