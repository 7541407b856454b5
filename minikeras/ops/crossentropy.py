"""Compute cross-entropies, the losses of classification.

Probabilities that come right out of a softmax or sigmoid are not looked at, but their logits.
"""

import warnings
from typing import Any

import numpy as np

from minikeras import config
from minikeras.core.basic import astype, floating, numpy_dtype, reshape
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array, as_tensor
from minikeras.ops.activations import _log_softmax, _softmax, sigmoid, softmax_of, softmax_rule
from minikeras.ops.define import all_axes, binary, composite
from minikeras.ops.elementwise import clip, log
from minikeras.ops.reduction import sum


def _seen_through(who: str, made_by: str, output: Any, from_logits: bool) -> tuple[Any, bool]:
    """Return the logits of `output` if it knows them, and whether what is returned are logits."""
    logits = getattr(output, "logits", None)
    if logits is None:
        return output, from_logits
    if from_logits:
        warnings.warn(
            f"{who}: expected logits because of from_logits=True, got the output of an activation, "
            f"whose own logits are taken. Remove the {made_by}, or from_logits=True.",
            stacklevel=4,
        )
    return logits, True


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
    output, from_logits = _seen_through("categorical_crossentropy", "softmax", output, from_logits)
    target, output = _pair("categorical_crossentropy", target, output)
    if not output.shape:
        raise ValueError("categorical_crossentropy: expected at least one axis, got scalars.")
    axes = all_axes(axis, output.ndim, "categorical_crossentropy")
    if from_logits:
        return -sum(target * _log_softmax(output, axis=axes), axes)
    output = _probabilities(output / sum(output, axes, keepdims=True))
    return -sum(target * log(output), axes)


# log(1 + exp(x1)) - x2 * x1 of output x1 and target x2, split so that nothing overflows or cancels.
_binary_crossentropy = binary(
    "binary_crossentropy",
    lambda x1, x2: np.maximum(x1, 0) - x1 * x2 + np.log1p(np.exp(-np.abs(x1))),
    (lambda g, x1, x2: g * (sigmoid(x1) - x2), lambda g, x1: -g * x1),
)


@composite
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Any:
    """Compute `-target * log(output) - (1 - target) * log(1 - output)` elementwise.

    Args:
        target: 0, 1 or probabilities; the shape of `output`.
        output: probabilities, which are limited to `[epsilon(), 1 - epsilon()]`.
        from_logits: whether `output` goes through `sigmoid` before.
    """
    output, from_logits = _seen_through("binary_crossentropy", "sigmoid", output, from_logits)
    target, output = _pair("binary_crossentropy", target, output)
    if from_logits:
        return _binary_crossentropy(output, target)
    output = _probabilities(output)
    return -(target * log(output) + (1 - target) * log(1 - output))


def _sparse_spec(logits: Any, labels: Any) -> Spec:
    if logits.shape[:-1] != labels.shape or not logits.shape:
        raise ValueError(
            "expected output with one axis more than target, got target.shape="
            f"{tuple(labels.shape)} and output.shape={tuple(logits.shape)}."
        )
    return Spec(labels.shape, logits.dtype)


def _places(logits: Array, labels: Array) -> Array:
    """Return the labels as an index along the last axis of `logits`, after checking them."""
    _sparse_spec(logits, labels)
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
    y = softmax_of(logits, (logits.ndim - 1,))
    places = _places(logits, labels)
    np.put_along_axis(y, places, np.take_along_axis(y, places, -1) - 1, -1)
    return y


_sparse_crossentropy = Primitive(
    "sparse_categorical_crossentropy",
    _sparse_from_logits,
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
    _excess_of,
    lambda logits, labels: Spec(logits.shape, _sparse_spec(logits, labels).dtype),
    vjps=(
        lambda g, logits: softmax_rule(
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
    output, from_logits = _seen_through(
        "sparse_categorical_crossentropy", "softmax", output, from_logits
    )
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
