"""Metrics that count right answers."""

from typing import Any

from minikeras.core.basic import astype
from minikeras.core.spec import as_dtype
from minikeras.core.tensor import as_tensor
from minikeras.losses.base import fits, squeeze_or_expand_to_same_rank
from minikeras.metrics.reduction import MeanMetricWrapper
from minikeras.ops.elementwise import cast, equal, greater
from minikeras.ops.reduction import any, argmax
from minikeras.ops.shaping import expand_dims, reshape, squeeze
from minikeras.ops.sorting import in_top_k


def _same_shape(who: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    given = tuple(y_true.shape), tuple(y_pred.shape)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    if not fits(y_true.shape, y_pred.shape):
        raise ValueError(
            f"{who}: expected y_true and y_pred of the same shape, got y_true.shape={given[0]} and "
            f"y_pred.shape={given[1]}."
        )
    return y_true, y_pred


def _float(truths: Any) -> Any:
    return astype(truths, as_dtype(None))


def accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return 1 where the two are equal, 0 elsewhere."""
    return _float(equal(*_same_shape("accuracy", y_true, y_pred)))


class Accuracy(MeanMetricWrapper):
    """How often predictions equal labels."""

    def __init__(self, name: str | None = "accuracy", dtype: Any = None) -> None:
        super().__init__(accuracy, name, dtype)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """Return 1 where `y_pred > threshold` says what `y_true`, 0 or 1, says."""
    y_true, y_pred = _same_shape("binary_accuracy", y_true, y_pred)
    return _float(equal(y_true, astype(greater(y_pred, threshold), as_dtype(y_true.dtype))))


class BinaryAccuracy(MeanMetricWrapper):
    """How often predictions above or below the threshold match labels 1 or 0."""

    def __init__(
        self, name: str | None = "binary_accuracy", dtype: Any = None, threshold: float = 0.5
    ) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return 1 where the largest prediction is that of the largest, one-hot target."""
    y_true, y_pred = _same_shape("categorical_accuracy", y_true, y_pred)
    return _float(equal(argmax(y_true, axis=-1), argmax(y_pred, axis=-1)))


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the class of the largest prediction is that of a one-hot target."""

    def __init__(self, name: str | None = "categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


def _labels(who: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return integer labels without an axis of their own, and the predictions."""
    y_true, y_pred = as_tensor(y_true), as_tensor(y_pred)
    given = tuple(y_true.shape)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = squeeze(y_true, -1)
    if not fits(y_true.shape, y_pred.shape[:-1]):
        raise ValueError(
            f"{who}: expected y_true with one label for each row of y_pred, got y_true.shape="
            f"{given} and y_pred.shape={tuple(y_pred.shape)}. For one-hot targets use "
            f"{who.removeprefix('sparse_')}."
        )
    return y_true, y_pred


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """Return 1 where the largest prediction is that of the integer label."""
    y_true, y_pred = _labels("sparse_categorical_accuracy", y_true, y_pred)
    return _float(equal(y_true, argmax(y_pred, axis=-1)))


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the class of the largest prediction is the integer label."""

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: Any = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


def _among_top(labels: Any, y_pred: Any, k: int) -> Any:
    rows = reshape(y_pred, (-1, y_pred.shape[-1]))
    found = in_top_k(cast(reshape(labels, (-1,)), "int32"), rows, k=k)
    return _float(reshape(found, labels.shape))


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """Return 1 where the prediction of the one-hot target's class is among the k largest."""
    y_true, y_pred = _same_shape("top_k_categorical_accuracy", y_true, y_pred)
    return _among_top(argmax(y_true, axis=-1), y_pred, k)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the class of a one-hot target is among the k largest predictions."""

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


def sparse_top_k_categorical_accuracy(
    y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False
) -> Any:
    """Return 1 where the prediction of the integer label's class is among the k largest.

    Args:
        from_sorted_ids: whether `y_pred` holds classes, the best first, instead of predictions.
    """
    y_true, y_pred = _labels("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if from_sorted_ids:
        return _float(any(equal(expand_dims(y_true, -1), y_pred[..., :k]), axis=-1))
    return _among_top(y_true, y_pred, k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the class of an integer label is among the k largest predictions."""

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: Any = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(
            sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids
        )
