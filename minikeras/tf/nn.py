"""`tf.nn`: names that point at ours, and the few that take other arguments."""

from typing import Any

from minikeras import ops as _ops
from minikeras.core.basic import floating as _floating
from minikeras.core.tensor import as_tensor
from minikeras.ops.crossentropy import _binary_crossentropy, _pair, _sparse_crossentropy
from minikeras.ops.linalg import l2_normalize as _l2_normalize
from minikeras.random import dropout as _dropout
from minikeras.tf.adapt import adapted as _adapted

relu = _adapted(_ops.relu, "features")
relu6 = _adapted(_ops.relu6, "features")
leaky_relu = _adapted(_ops.leaky_relu, "features alpha")
elu = _adapted(_ops.elu, "features")
selu = _adapted(_ops.selu, "features")
silu = swish = _adapted(_ops.silu, "features")
softplus = _adapted(_ops.softplus, "features")
softsign = _adapted(_ops.softsign, "features")
sigmoid = _adapted(_ops.sigmoid, "x")
tanh = _adapted(_ops.tanh, "x")
softmax = _adapted(_ops.softmax, "logits axis")
log_softmax = _adapted(_ops.log_softmax, "logits axis")
top_k = _adapted(_ops.top_k, "input k sorted")
in_top_k = _adapted(_ops.in_top_k, "targets predictions k")
l2_normalize = _adapted(_l2_normalize, "x axis epsilon")
embedding_lookup = _adapted(_ops.take, "params ids", axis=0)


def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Any:
    """Return `x * P(X <= x)` for a normal X (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    return _ops.gelu(features, approximate=approximate)


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: Any = None) -> Any:
    """Add a vector to the channels."""
    value, bias = as_tensor(value), as_tensor(bias)
    if data_format is not None and data_format.startswith("NC"):
        bias = bias[(slice(None), *(None,) * (value.ndim - 2))]
    return value + bias


def l2_loss(t: Any, name: str | None = None) -> Any:
    """Return half the sum of squares."""
    return _ops.sum(_ops.square(t)) / 2


def moments(x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: Any = None) -> Any:
    """Return mean and variance over `axes`."""
    return _ops.moments(x, axes, keepdims=keepdims)


def dropout(
    x: Any, rate: float, noise_shape: Any = None, seed: Any = None, name: Any = None
) -> Any:
    """Set a share `rate` of the elements to 0 and scale up the others."""
    return _dropout(x, rate, noise_shape=noise_shape, seed=seed)


def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: int = -1, name: Any = None
) -> Any:
    """Return the cross-entropy of each row of `logits` with the distribution in `labels`."""
    labels = as_tensor(labels)
    return -_ops.sum(labels * _ops.log_softmax(logits, axis=axis), axis=axis)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: Any = None) -> Any:
    """Return the cross-entropy of each row of `logits` with the class number in `labels`."""
    return _sparse_crossentropy(*_floating([logits]), _ops.cast(labels, "int64"))


def sigmoid_cross_entropy_with_logits(labels: Any, logits: Any, name: Any = None) -> Any:
    """Return the elementwise cross-entropy of `sigmoid(logits)` with `labels`."""
    labels, logits = _pair("sigmoid_cross_entropy_with_logits", labels, logits)
    return _binary_crossentropy(logits, labels)


def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = 1,
    name: str | None = None,
) -> Any:
    """Convolve images with `filters` of shape `(height, width, in, out)`."""
    return _ops.conv(
        input,
        filters,
        strides=_spatial(strides, data_format),
        padding=padding.lower(),
        data_format=_LAYOUTS[data_format],
        dilation_rate=_spatial(dilations, data_format),
    )


def max_pool2d(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    name: str | None = None,
) -> Any:
    """Take the largest element of each window."""
    return _pool(_ops.max_pool, input, ksize, strides, padding, data_format)


def avg_pool2d(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    name: str | None = None,
) -> Any:
    """Take the mean of each window."""
    return _pool(_ops.average_pool, input, ksize, strides, padding, data_format)


max_pool, avg_pool = max_pool2d, avg_pool2d

_LAYOUTS = {"NHWC": "channels_last", "NCHW": "channels_first"}


def _pool(op: Any, input: Any, ksize: Any, strides: Any, padding: str, data_format: str) -> Any:
    return op(
        input,
        _spatial(ksize, data_format),
        _spatial(strides, data_format),
        padding.lower(),
        _LAYOUTS[data_format],
    )


def _spatial(sizes: Any, data_format: str) -> Any:
    """Take the spatial part of one, two or four numbers."""
    if isinstance(sizes, int):
        return (sizes, sizes)
    sizes = tuple(int(n) for n in sizes)
    if len(sizes) == 4:
        return sizes[1:3] if data_format == "NHWC" else sizes[2:]
    return sizes * 2 if len(sizes) == 1 else sizes
