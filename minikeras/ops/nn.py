"""Compute what networks are made of: activations, softmax, cross-entropies, normalisations."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras import config
from minikeras.core.basic import astype, floating, numpy_dtype, promoted, reshape
from minikeras.core.dispatch import Primitive
from minikeras.core.gradients import stop_gradient
from minikeras.core.spec import Spec, broadcast
from minikeras.core.tensor import Array, as_tensor
from minikeras.ops.creation import tri
from minikeras.ops.define import composite, quiet, unary
from minikeras.ops.elementwise import (
    absolute,
    clip,
    exp,
    log,
    logical_and,
    maximum,
    minimum,
    rsqrt,
    sqrt,
    square,
    tanh,
    where,
)
from minikeras.ops.products import einsum
from minikeras.ops.reduction import amax, mean, moments, sum
from minikeras.ops.shaping import axes_for, repeat
from minikeras.ops.special import erfc

# ---- activations ---------------------------------------------------------------------------------
#
# Where a rule multiplies by a truth value, that is many times faster than choosing with `where`.

# exp(-x) may overflow to inf, and 1 / inf is the right 0; unlike tanh, this keeps small results.
sigmoid = unary("sigmoid", lambda x: 1 / (1 + np.exp(-x)), lambda g, y: g * (y * (1 - y)))
softplus = unary(
    "softplus",
    lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    lambda g, x: g * sigmoid(x),
    doc="Compute `log(1 + exp(x))` without overflow.",
)
relu = unary(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda g, y: g * (y > 0),
    integers=True,
    doc="Compute `max(x, 0)`; at 0 the gradient is 0.",
)
relu6 = unary(
    "relu6",
    lambda x: np.minimum(np.maximum(x, 0), 6),
    lambda g, y: g * logical_and(y > 0, y < 6),
    integers=True,
    doc="Compute `min(max(x, 0), 6)`; at 0 and 6 the gradient is 0.",
)
_leaky_relu = unary(
    "leaky_relu",
    lambda x, slope: (np.maximum if slope <= 1 else np.minimum)(x, slope * x),
    lambda g, x, slope: where(x > 0, g, slope * g),
)
# x from 0 on, `scale * (exp(x / width) - 1)` below. The slope at 0 is the one from the right (as in
# TensorFlow's selu) or the one from the left (as in its elu).


def _bend(x: Array, scale: float, width: float, **_: Any) -> Array:
    return np.maximum(x, 0) + scale * np.expm1(np.minimum(x, 0) / width)


def _bend_rule(g: Any, x: Any, scale: float, width: float, right: bool) -> Any:
    slope = exp(minimum(x, 0) / width)
    if scale != width:
        slope = where(x >= 0 if right else x > 0, slope, slope * (scale / width))
    return g * slope


_exponential_linear = unary("exponential_linear", _bend, _bend_rule)

# Klambauer et al. 2017, arXiv:1706.02515: the fixed point is mean 0, variance 1.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@composite
def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
    """Compute x where it is positive, `negative_slope * x` elsewhere."""
    return _leaky_relu(x, slope=float(negative_slope))


@composite
def elu(x: Any, alpha: float = 1.0) -> Any:
    """Compute x from 0 on, `alpha * (exp(x) - 1)` below; at 0 the gradient is `alpha`."""
    return _exponential_linear(x, scale=float(alpha), width=1.0, right=False)


@composite
def selu(x: Any) -> Any:
    """Compute the scaled exponential linear unit, which keeps mean 0 and variance 1."""
    return _SELU_SCALE * _exponential_linear(x, scale=_SELU_ALPHA, width=1.0, right=True)


@composite
def celu(x: Any, alpha: float = 1.0) -> Any:
    """Compute x from 0 on, `alpha * (exp(x / alpha) - 1)` below; at 0 the gradient is 1."""
    return _exponential_linear(x, scale=float(alpha), width=float(alpha), right=True)


@composite
def gelu(x: Any, approximate: bool = True) -> Any:
    """Compute `x * P(N(0, 1) < x)`, or its approximation by tanh."""
    (x,) = floating([x])
    if approximate:  # (1 + tanh(z)) / 2 = sigmoid(2z)
        scale = 2 * math.sqrt(2 / math.pi)
        return x * sigmoid(x * (scale + scale * 0.044715 * square(x)))
    return 0.5 * x * erfc(x * -math.sqrt(0.5))


@composite
def silu(x: Any) -> Any:
    """Compute `x * sigmoid(x)`, also called swish."""
    (x,) = floating([x])
    return x * sigmoid(x)


swish = silu


@composite
def mish(x: Any) -> Any:
    """Compute `x * tanh(softplus(x))`."""
    (x,) = floating([x])
    return x * tanh(softplus(x))


@composite
def log_sigmoid(x: Any) -> Any:
    """Compute `log(sigmoid(x))` without overflow."""
    (x,) = floating([x])
    return -softplus(-x)


@composite
def softsign(x: Any) -> Any:
    """Compute `x / (1 + |x|)`."""
    (x,) = floating([x])
    return x / (1 + absolute(x))


@composite
def squareplus(x: Any, b: float = 4) -> Any:
    """Compute `(x + sqrt(x**2 + b)) / 2`, a smooth relu without exponentials."""
    (x,) = floating([x])
    return (x + sqrt(square(x) + b)) / 2


@composite
def hard_sigmoid(x: Any) -> Any:
    """Compute `relu6(x + 3) / 6`, a sigmoid of three straight pieces."""
    (x,) = floating([x])
    return relu6(x + 3) / 6


@composite
def hard_silu(x: Any) -> Any:
    """Compute `x * hard_sigmoid(x)`, also called hard swish."""
    (x,) = floating([x])
    return x * hard_sigmoid(x)


hard_swish = hard_silu


@composite
def hard_tanh(x: Any) -> Any:
    """Limit x to `[-1, 1]`."""
    return clip(*floating([x]), -1, 1)


@composite
def tanh_shrink(x: Any) -> Any:
    """Compute `x - tanh(x)`."""
    (x,) = floating([x])
    return x - tanh(x)


@composite
def hard_shrink(x: Any, threshold: float = 0.5) -> Any:
    """Compute x where `|x| > threshold`, 0 elsewhere."""
    (x,) = floating([x])
    return where(absolute(x) > threshold, x, 0)


@composite
def soft_shrink(x: Any, threshold: float = 0.5) -> Any:
    """Move x by `threshold` towards 0, at most to 0."""
    (x,) = floating([x])
    return where(x > threshold, x - threshold, where(x < -threshold, x + threshold, 0))


@composite
def threshold(x: Any, threshold: float, default_value: float) -> Any:
    """Compute x where it is above `threshold`, `default_value` elsewhere."""
    (x,) = floating([x])
    return where(x > threshold, x, default_value)


@composite
def glu(x: Any, axis: int = -1) -> Any:
    """Multiply one half of x, along `axis`, by the sigmoid of the other.

    Dauphin et al. 2017, arXiv:1612.08083. Raises `ValueError` for an odd length.
    """
    (x,) = floating([x])
    (axis,) = axes_for("glu", axis, x.ndim)
    length = x.shape[axis]
    if length % 2:
        raise ValueError(
            f"glu: expected an even length to cut in half along axis {axis}, got shape "
            f"{tuple(x.shape)}."
        )
    before = (slice(None),) * axis
    return x[(*before, slice(None, length // 2))] * sigmoid(x[(*before, slice(length // 2, None))])


# ---- softmax -------------------------------------------------------------------------------------


def _below_maximum(x: Array, axis: Any) -> Array:
    return x - x.max(axis=axis, keepdims=True, initial=-np.inf)  # type: ignore[no-any-return]


def _softmax_of(x: Array, axis: Any) -> Array:
    powers = np.exp(_below_maximum(x, axis))
    powers /= powers.sum(axis=axis, keepdims=True)
    return powers


def _log_softmax_of(x: Array, axis: Any) -> Array:
    y = _below_maximum(x, axis)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return y


def _softmax_rule(g: Any, y: Any, axis: tuple[int, ...]) -> Any:
    pulled = g * y
    return pulled - y * sum(pulled, axis, keepdims=True)


_softmax = unary("softmax", _softmax_of, _softmax_rule)
_log_softmax = unary(
    "log_softmax", _log_softmax_of, lambda g, y, axis: g - exp(y) * sum(g, axis, keepdims=True)
)


@composite
def softmax(x: Any, axis: int | Sequence[int] | None = -1) -> Any:
    """Compute `exp(x) / sum(exp(x))` along one axis, several axes or all (None)."""
    (x,) = floating([x])
    axes = axes_for("softmax", axis, x.ndim)
    if len(axes) == 1 and x.shape[axes[0]] == 1:
        warnings.warn(
            f"You are using a softmax over axis {axis} of a tensor of shape {tuple(x.shape)}. This "
            "axis has size 1. The softmax operation will always return the value 1, which is "
            "likely not what you intended. Did you mean to use a sigmoid instead?",
            stacklevel=3,
        )
    return _softmax(x, axis=axes)


@composite
def log_softmax(x: Any, axis: int | Sequence[int] | None = -1) -> Any:
    """Compute `log(softmax(x))` without overflow along one axis, several axes or all (None)."""
    (x,) = floating([x])
    return _log_softmax(x, axis=axes_for("log_softmax", axis, x.ndim))


# ---- cross-entropies -----------------------------------------------------------------------------


def _pair(who: str, target: Any, output: Any) -> tuple[Any, Any]:
    """Return both as tensors of the output's floating dtype; their shapes must be equal."""
    (output,) = floating([output])
    target = astype(as_tensor(target), numpy_dtype(output))
    if tuple(target.shape) != tuple(output.shape):
        raise ValueError(
            f"{who}: expected target and output of the same shape, got target.shape="
            f"{tuple(target.shape)} and output.shape={tuple(output.shape)}."
        )
    return target, output


def _probabilities(output: Any) -> Any:
    """Keep logarithms finite; the gradient is 0 where this changes anything."""
    return clip(output, config.epsilon(), 1 - config.epsilon())


@composite
def categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """Compute `-sum(target * log(output))` along `axis`, for target probabilities.

    Args:
        target: probabilities, such as one-hot vectors; the shape of `output`, of which the result
            has all axes but `axis`.
        output: probabilities, which are divided by their sum and limited to
            `[epsilon(), 1 - epsilon()]`.
        from_logits: whether `output` goes through `log_softmax` instead.
    """
    target, output = _pair("categorical_crossentropy", target, output)
    if not output.shape:
        raise ValueError("categorical_crossentropy: expected at least one axis, got scalars.")
    axes = axes_for("categorical_crossentropy", axis, output.ndim)
    if from_logits:
        return -sum(target * _log_softmax(output, axis=axes), axes)
    output = _probabilities(output / sum(output, axes, keepdims=True))
    return -sum(target * log(output), axes)


def _binary_from_logits(output: Array, target: Array) -> Array:
    return np.maximum(output, 0) - output * target + np.log1p(np.exp(-np.abs(output)))  # type: ignore[no-any-return]


# log(1 + exp(x)) - t * x, split so that nothing overflows or cancels.
_binary_crossentropy = Primitive(
    "binary_crossentropy",
    quiet(_binary_from_logits),
    lambda output, target: Spec(broadcast(output.shape, target.shape), output.dtype),
    vjps=(
        lambda g, output, target: g * (sigmoid(output) - target),
        lambda g, output: -g * output,
    ),
    arguments=("output", "target"),
    prepare=promoted,
)


@composite
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """Compute `-target * log(output) - (1 - target) * log(1 - output)` elementwise.

    Args:
        target: 0, 1 or probabilities; the shape of `output`.
        output: probabilities, which are limited to `[epsilon(), 1 - epsilon()]`.
        from_logits: whether `output` goes through `sigmoid` before.
    """
    target, output = _pair("binary_crossentropy", target, output)
    if from_logits:
        return _binary_crossentropy(output, target)
    output = _probabilities(output)
    return -(target * log(output) + (1 - target) * log(1 - output))


def _labels_spec(logits: Spec, labels: Spec) -> None:
    if logits.shape[:-1] != labels.shape or not logits.shape:
        raise ValueError(
            "expected output with one axis more than target, got target.shape="
            f"{tuple(labels.shape)} and output.shape={tuple(logits.shape)}."
        )


def _places(logits: Array, labels: Array) -> Array:
    """Return the labels as an index along the last axis of `logits`, after checking them."""
    _labels_spec(Spec(logits.shape, logits.dtype), Spec(labels.shape, labels.dtype))
    classes = logits.shape[-1]
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        index = tuple(int(i) for i in np.argwhere((labels < 0) | (labels >= classes))[0])
        raise ValueError(
            f"sparse_categorical_crossentropy: expected labels in [0, {classes}), the number of "
            f"classes in output.shape={logits.shape}, got {int(labels[index])} at index {index}. "
            "Give the output one unit per class, or renumber the labels from 0."
        )
    return labels[..., None]


def _sparse_from_logits(logits: Array, labels: Array) -> Array:
    chosen = np.take_along_axis(logits, _places(logits, labels), -1)[..., 0]
    highest = logits.max(axis=-1, initial=-np.inf)
    total = np.exp(logits - highest[..., None]).sum(axis=-1)
    return np.log(total) + (highest - chosen)  # type: ignore[no-any-return]


def _excess_of(logits: Array, labels: Array) -> Array:
    y = _softmax_of(logits, -1)
    places = _places(logits, labels)
    np.put_along_axis(y, places, np.take_along_axis(y, places, -1) - 1, -1)
    return y


def _sparse_spec(logits: Spec, labels: Spec) -> Spec:
    _labels_spec(logits, labels)
    return Spec(labels.shape, logits.dtype)


def _excess_spec(logits: Spec, labels: Spec) -> Spec:
    _labels_spec(logits, labels)
    return logits


_sparse_crossentropy = Primitive(
    "sparse_categorical_crossentropy",
    quiet(_sparse_from_logits),
    _sparse_spec,
    vjps=(
        lambda g, logits, labels: reshape(g, shape=(*g.shape, 1)) * _excess(logits, labels),
        None,
    ),
    arguments=("logits", "labels"),
)
# softmax(logits) - one_hot(labels), the gradient of the primitive above.
_excess = Primitive(
    "softmax_minus_one_hot",
    quiet(_excess_of),
    _excess_spec,
    vjps=(
        lambda g, logits: _softmax_rule(
            g, _softmax(logits, axis=(logits.ndim - 1,)), (logits.ndim - 1,)
        ),
        None,
    ),
    arguments=("logits", "labels"),
)


@composite
def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Any:
    """Compute `-log(output[target])` along the last axis, for integer labels.

    Args:
        target: the index of the right class; the shape of `output` without its last axis, or with
            length 1 there. Labels of another dtype are cut to integers.
        output: probabilities, which are limited to `[epsilon(), 1 - epsilon()]`, then divided by
            their sum.
        from_logits: whether `output` goes through `softmax` instead.

    Raises `ValueError` for a label that is no class, when its value is known.
    """
    (output,) = floating([output])
    target = astype(as_tensor(target), np.dtype("int64"))
    if axis not in (-1, output.ndim - 1):
        raise ValueError(
            f"sparse_categorical_crossentropy: expected the classes along the last axis, got axis="
            f"{axis} and output.shape={tuple(output.shape)}. Use ops.moveaxis before."
        )
    if target.ndim == output.ndim and target.shape[-1:] == (1,):
        target = reshape(target, shape=tuple(target.shape[:-1]))
    if not from_logits:
        output = log(_probabilities(output))
    return _sparse_crossentropy(output, target)


# ---- normalisation -------------------------------------------------------------------------------


def _wide(x: Any) -> tuple[Any, Any]:
    """Return x in at least float32, whose range suffices for statistics, and its own dtype."""
    (x,) = floating([x])
    dtype = numpy_dtype(x)
    return (astype(x, np.dtype("float32")) if dtype.itemsize == 2 else x), dtype


def _along(values: Any, shape: Sequence[int], axes: tuple[int, ...]) -> Any:
    """Give parameters of a few axes length 1 along all others."""
    values = as_tensor(values)
    return reshape(values, shape=tuple(n if i in axes else 1 for i, n in enumerate(shape)))


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
    axes = axes_for("batch_normalization", axis, x.ndim)
    factor = rsqrt(as_tensor(variance) + epsilon)
    if scale is not None:
        factor = factor * scale
    shift = -as_tensor(mean) * factor
    if offset is not None:
        shift = shift + offset
    return x * _along(factor, x.shape, axes) + _along(shift, x.shape, axes)


@composite
def layer_normalization(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    axis: int | Sequence[int] = -1,
    epsilon: float | None = None,
) -> Any:
    """Give every sample mean 0 and variance 1 along `axis`, then scale by gamma and add beta."""
    x, dtype = _wide(x)
    axes = axes_for("layer_normalization", axis, x.ndim)
    mean, variance = moments(x, axes, keepdims=True)
    factor = rsqrt(variance + (config.epsilon() if epsilon is None else epsilon))
    if gamma is not None:
        factor = factor * _along(gamma, x.shape, axes)
    y = (x - mean) * factor
    return astype(y if beta is None else y + _along(beta, x.shape, axes), dtype)


@composite
def rms_normalization(
    x: Any, scale: Any = None, axis: int | Sequence[int] = -1, epsilon: float | None = None
) -> Any:
    """Divide by the root of the mean square along `axis`, then multiply by `scale`.

    Zhang and Sennrich 2019, arXiv:1910.07467.
    """
    x, dtype = _wide(x)
    axes = axes_for("rms_normalization", axis, x.ndim)
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
    x, dtype = _wide(x)
    axes = axes_for("normalize", axis, x.ndim)
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


# ---- attention -----------------------------------------------------------------------------------


def _attention_heads(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    """Promote, check, and repeat the heads of key and value that several query heads share."""
    query, key, value = floating([query, key, value])
    shapes = [tuple(tensor.shape) for tensor in (query, key, value)]
    if any(len(shape) != 4 for shape in shapes) or query.shape[2] % key.shape[2]:
        raise ValueError(
            "dot_product_attention: expected query (batch, queries, heads, size), key and value "
            "(batch, keys, heads, size), with as many heads in query as in key or a multiple, got "
            f"shapes {shapes}."
        )
    share = query.shape[2] // key.shape[2]
    if share > 1:
        key, value = repeat(key, share, axis=2), repeat(value, share, axis=2)
    return query, key, value


@composite
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    scale: float | None = None,
    is_causal: bool = False,
    flash_attention: bool | None = None,
    attn_logits_soft_cap: float | None = None,
) -> Any:
    """Average `value` by how well each key fits a query: `softmax(query @ key.T * scale) @ value`.

    Vaswani et al. 2017, arXiv:1706.03762.

    Args:
        query: shape (batch, queries, heads, size).
        key: shape (batch, keys, heads, size); heads may be fewer, each for several of `query`.
        value: shape (batch, keys, heads, size).
        bias: added to the products; broadcasts to (batch, heads, queries, keys).
        mask: False where a query must not see a key; broadcasts likewise.
        scale: by default `1 / sqrt(size)`.
        is_causal: whether query i sees the keys up to i only.
        flash_attention: not available; None or False.
        attn_logits_soft_cap: products are limited to this size by tanh.
    """
    if flash_attention:
        raise ValueError("dot_product_attention: expected flash_attention=False, got True.")
    query, key, value = _attention_heads(query, key, value)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    fits, dtype = _wide(einsum("btnh,bsnh->bnts", query, key))
    fits = fits * scale
    if attn_logits_soft_cap is not None:
        fits = attn_logits_soft_cap * tanh(fits / attn_logits_soft_cap)
    if bias is not None:
        fits = fits + bias
    # Not -inf, so that a query which sees nothing gets an average and not NaN.
    hidden = -0.7 * float(np.finfo(numpy_dtype(fits)).max)
    if is_causal:
        fits = where(tri(fits.shape[2], fits.shape[3], dtype="bool"), fits, hidden)
    if mask is not None:
        fits = where(mask, fits, hidden)
    weights = astype(_softmax(fits, axis=(3,)), dtype)
    return einsum("bnts,bsnh->btnh", weights, value)
