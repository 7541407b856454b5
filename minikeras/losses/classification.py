"""Losses of classes: crossentropies, hinges, and overlaps of masks.

Every function returns a loss for each sample; the class of the same name makes a `Loss` of it.
Where `y_pred` comes right out of a softmax or sigmoid, crossentropies take the logits before it.
"""

import warnings
from typing import Any

from minikeras import config
from minikeras import ops as nn
from minikeras.core.basic import floating
from minikeras.core.tensor import EagerTensor, as_tensor
from minikeras.losses.base import LossFunctionWrapper, matched
from minikeras.ops.elementwise import (
    cast,
    clip,
    equal,
    floor,
    log,
    logical_or,
    maximum,
    not_equal,
    square,
    where,
)
from minikeras.ops.reduction import all, any, argmax, max, mean, sum
from minikeras.ops.shaping import expand_dims, moveaxis, ravel, reshape, squeeze

_MEAN = "sum_over_batch_size"


def _smoothed(y_true: Any, smoothing: float, classes: int) -> Any:
    """Move a part of the probability from the true class to all classes alike."""
    return y_true * (1.0 - smoothing) + smoothing / classes if smoothing else y_true


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Average `-y_true * log(y_pred) - (1 - y_true) * log(1 - y_pred)` over `axis`.

    Args:
        from_logits: whether `y_pred` still has to go through `sigmoid`.
        label_smoothing: move targets this part of the way to 0.5.
    """
    y_true, y_pred = matched("binary_crossentropy", y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, 2)
    return mean(nn.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


class BinaryCrossentropy(LossFunctionWrapper):
    """The crossentropy of targets 0 and 1 with predicted probabilities of 1."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "binary_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Weight `binary_crossentropy` by `(1 - p)**gamma`, p the probability of the true class.

    From Lin et al., 2018, https://arxiv.org/abs/1708.02002.

    Args:
        apply_class_balancing: weight class 1 by `alpha` and class 0 by `1 - alpha`.
    """
    y_true, y_pred = matched("binary_focal_crossentropy", y_true, y_pred)
    y_true = _smoothed(y_true, label_smoothing, 2)
    y_pred = nn.sigmoid(y_pred) if from_logits else y_pred
    right = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    losses = (1 - right) ** gamma * nn.binary_crossentropy(y_true, y_pred)
    if apply_class_balancing:
        losses = (y_true * alpha + (1 - y_true) * (1 - alpha)) * losses
    return mean(losses, axis=axis)


class BinaryFocalCrossentropy(LossFunctionWrapper):
    """Binary crossentropy that counts samples less the better they are classified."""

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "binary_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            binary_focal_crossentropy, reduction, name, dtype,
            apply_class_balancing=apply_class_balancing, alpha=alpha, gamma=gamma,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


def _classes(who: str, y_true: Any, y_pred: Any, axis: int, smoothing: float) -> tuple[Any, Any]:
    """Return smoothed one-hot targets and predictions, and warn if there is one class only."""
    y_true, y_pred = matched(who, y_true, y_pred)
    if y_pred.shape[-1:] == (1,):
        warnings.warn(
            f"In loss {who}, expected y_pred.shape to be (batch_size, num_classes) with "
            f"num_classes > 1. Received: y_pred.shape={tuple(y_pred.shape)}. Consider using "
            "'binary_crossentropy' if you only have 2 classes.",
            SyntaxWarning,
            stacklevel=3,
        )
    return _smoothed(y_true, smoothing, y_true.shape[axis]), y_pred


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Compute `-sum(y_true * log(y_pred))` over `axis`, for one-hot or soft targets.

    Args:
        from_logits: whether `y_pred` still has to go through `softmax`.
        label_smoothing: spread this part of the targets over all classes.
        axis: that of the classes.
    """
    pair = _classes("categorical_crossentropy", y_true, y_pred, axis, label_smoothing)
    return nn.categorical_crossentropy(*pair, from_logits=from_logits, axis=axis)


class CategoricalCrossentropy(LossFunctionWrapper):
    """The crossentropy of one-hot targets with predicted probabilities."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """Weight each class' term of `categorical_crossentropy` by `alpha * (1 - y_pred)**gamma`."""
    y_true, y_pred = _classes(
        "categorical_focal_crossentropy", y_true, y_pred, axis, label_smoothing
    )
    y_pred = nn.softmax(y_pred, axis=axis) if from_logits else y_pred
    y_pred = y_pred / sum(y_pred, axis=axis, keepdims=True)
    y_pred = clip(y_pred, config.epsilon(), 1.0 - config.epsilon())
    losses = alpha * (1 - y_pred) ** gamma * (-y_true * log(y_pred))
    return sum(losses, axis=axis)


class CategoricalFocalCrossentropy(LossFunctionWrapper):
    """Categorical crossentropy that counts samples less the better they are classified."""

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "categorical_focal_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            categorical_focal_crossentropy, reduction, name, dtype,
            alpha=alpha, gamma=gamma, from_logits=from_logits,
            label_smoothing=label_smoothing, axis=axis,
        )  # fmt: skip


def _labels(y_true: Any) -> Any:
    """Return class indices as int64; refuse fractions, if the values are known."""
    y_true = as_tensor(y_true)
    if y_true.dtype.is_floating and isinstance(y_true, EagerTensor):
        wrong = not_equal(y_true, floor(y_true))
        if any(wrong):
            label = float(ravel(y_true)[argmax(ravel(wrong))])
            raise ValueError(
                "sparse_categorical_crossentropy: expected integer labels, got "
                f"{label}. For probabilities of classes use categorical_crossentropy."
            )
    return cast(y_true, "int64")


def sparse_categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Any:
    """Compute `-log(y_pred[y_true])` along `axis`, for integer labels.

    Args:
        y_true: the shape of `y_pred` without `axis`, or with length 1 there.
        from_logits: whether `y_pred` still has to go through `softmax`.
        ignore_class: a label, which may be no class, whose loss is 0.

    Raises `ValueError` for fractions and for labels that are no class, if the values are known.
    """
    (y_pred,) = floating([y_pred])
    y_true = _labels(y_true)
    y_pred = y_pred if axis == -1 else moveaxis(y_pred, axis, -1)
    if y_true.ndim == y_pred.ndim and y_true.shape[axis] == 1:
        y_true = squeeze(y_true, axis)
    if ignore_class is None:
        return nn.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits)
    valid = not_equal(y_true, ignore_class)
    # What is ignored may hold NaN: no gradient must pass through it.
    y_true, y_pred = where(valid, y_true, 0), where(expand_dims(valid, -1), y_pred, 0)
    losses = nn.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits)
    return where(valid, losses, 0)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """The crossentropy of integer labels with predicted probabilities."""

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = _MEAN,
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            sparse_categorical_crossentropy, reduction, name, dtype,
            from_logits=from_logits, ignore_class=ignore_class, axis=axis,
        )  # fmt: skip

    def _targets(self, y_true: Any) -> Any:
        return y_true  # labels stay integers: float16 has no 2049

    def _mask(self, y_true: Any, values: Any) -> Any:
        ignored = self.options["ignore_class"]
        return None if ignored is None else reshape(not_equal(y_true, ignored), values.shape)


def _signs(y_true: Any) -> Any:
    """Turn targets into -1 and 1 if all of them are 0 or 1."""
    is_binary = all(logical_or(equal(y_true, 0), equal(y_true, 1)))
    return where(is_binary, 2.0 * y_true - 1.0, y_true)


def hinge(y_true: Any, y_pred: Any) -> Any:
    """Compute `mean(maximum(1 - y_true * y_pred, 0))` for targets -1 and 1, or 0 and 1."""
    y_true, y_pred = matched("hinge", y_true, y_pred)
    return mean(maximum(1.0 - _signs(y_true) * y_pred, 0.0), axis=-1)


class Hinge(LossFunctionWrapper):
    """How far predictions fall short of a margin of 1 on the right side."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "hinge", dtype: Any = None
    ) -> None:
        super().__init__(hinge, reduction, name, dtype)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """Compute `mean(maximum(1 - y_true * y_pred, 0)**2)` for targets -1 and 1, or 0 and 1."""
    y_true, y_pred = matched("squared_hinge", y_true, y_pred)
    return mean(square(maximum(1.0 - _signs(y_true) * y_pred, 0.0)), axis=-1)


class SquaredHinge(LossFunctionWrapper):
    """The square of `Hinge`, element by element."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "squared_hinge", dtype: Any = None
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """Compute `maximum(best wrong - right + 1, 0)` of classes' scores, for one-hot targets."""
    y_true, y_pred = matched("categorical_hinge", y_true, y_pred)
    right = sum(y_true * y_pred, axis=-1)
    wrong = max((1.0 - y_true) * y_pred, axis=-1)
    return maximum(wrong - right + 1.0, 0.0)


class CategoricalHinge(LossFunctionWrapper):
    """How far the right class falls short of a margin of 1 over the best wrong one."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "categorical_hinge", dtype: Any = None
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Any:
    """Compute `1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred))` over `axis`."""
    y_true, y_pred = matched("dice", y_true, y_pred)
    both = sum(y_true * y_pred, axis=axis)
    total = sum(y_true, axis=axis) + sum(y_pred, axis=axis)
    return 1 - 2.0 * both / (total + config.epsilon())


class Dice(LossFunctionWrapper):
    """How little two masks overlap."""

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "dice",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dice, reduction, name, dtype, axis=axis)


def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None
) -> Any:
    """Compute `1 - both / (both + alpha * only_true + beta * only_pred)` over `axis`.

    From Salehi et al., 2017, https://arxiv.org/abs/1706.05721.
    """
    y_true, y_pred = matched("tversky", y_true, y_pred)
    both = sum(y_true * y_pred, axis=axis)
    only_true = sum((1 - y_pred) * y_true, axis=axis)
    only_pred = sum(y_pred * (1 - y_true), axis=axis)
    return 1 - both / (both + alpha * only_true + beta * only_pred + config.epsilon())


class Tversky(LossFunctionWrapper):
    """`Dice` with weights for what only one of the masks covers."""

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = _MEAN,
        name: str = "tversky",
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(tversky, reduction, name, dtype, alpha=alpha, beta=beta, axis=axis)
