"""Metrics that combine counts of several classes or numbers: F, R2 and IoU scores."""

import warnings
from collections.abc import Sequence
from typing import Any

from minikeras import config
from minikeras.core.tensor import EagerTensor, as_tensor
from minikeras.losses.base import matched
from minikeras.metrics.base import Metric
from minikeras.ops.diagonals import diagonal
from minikeras.ops.elementwise import absolute, cast, isinf, logical_and, not_equal, square, where
from minikeras.ops.reduction import argmax, max, mean, sum
from minikeras.ops.scattering import segment_sum
from minikeras.ops.shaping import broadcast_to, expand_dims, reshape


def _matrix(who: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return targets and predictions, which must be matrices of one shape."""
    y_true, y_pred = matched(who, y_true, y_pred)
    if y_pred.ndim != 2:
        raise ValueError(
            f"{who}: expected y_true and y_pred of shape (samples, outputs), got "
            f"{tuple(y_pred.shape)}."
        )
    return y_true, y_pred


class FBetaScore(Metric):
    """The weighted harmonic mean of precision and recall.

    Args:
        average: `"micro"` counts all classes together; `"macro"` averages the classes' scores,
            `"weighted"` weights them by their frequency; None returns them all.
        beta: how much more recall counts than precision.
        threshold: what a prediction must exceed to be positive; None takes the largest one.
    """

    true_positives: Any
    false_positives: Any
    false_negatives: Any
    intermediate_weights: Any

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        who = type(self).__name__
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                f"{who}: expected average to be None, 'micro', 'macro' or 'weighted', got "
                f"{average!r}."
            )
        if not beta > 0:
            raise ValueError(f"{who}: expected beta > 0, got {beta}.")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"{who}: expected threshold in (0, 1], got {threshold}.")
        self.average = average
        self.beta = beta
        self.threshold = threshold

    def _start(self, classes: int) -> None:
        shape = () if self.average == "micro" else (classes,)
        names = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
        for name in names:
            setattr(self, name, self.add_variable(shape, "zeros", self.dtype, name=name))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = _matrix(type(self).__name__, y_true, cast(y_pred, self.dtype))
        if not hasattr(self, "true_positives"):
            self._start(y_pred.shape[1])
        if self.threshold is None:
            best = y_pred >= max(y_pred, axis=-1, keepdims=True)
            chosen = logical_and(best, absolute(y_pred) > 1e-9)
        else:
            chosen = y_pred > self.threshold
        chosen = cast(chosen, self.dtype)
        axis = None if self.average == "micro" else 0
        weight: Any = 1.0
        if sample_weight is not None:
            weight = expand_dims(cast(sample_weight, self.dtype), 1)
        self.true_positives.assign_add(sum(chosen * y_true * weight, axis=axis))
        self.false_positives.assign_add(sum(chosen * (1 - y_true) * weight, axis=axis))
        self.false_negatives.assign_add(sum((1 - chosen) * y_true * weight, axis=axis))
        self.intermediate_weights.assign_add(sum(y_true * weight, axis=axis))

    def result(self) -> Any:
        if not hasattr(self, "true_positives"):
            return as_tensor(0.0, self.dtype)
        right, small = self.true_positives.value, config.epsilon()
        precision = right / (right + self.false_positives + small)
        recall = right / (right + self.false_negatives + small)
        factor = self.beta**2
        score = precision * recall / (factor * precision + recall + small) * (1 + factor)
        if self.average == "weighted":
            weights = self.intermediate_weights.value
            return sum(score * (weights / (sum(weights) + small)))
        return score if self.average is None else mean(score)


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall; arguments as for `FBetaScore`."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


class R2Score(Metric):
    """The share of the targets' variance that predictions explain: 1 is all, 0 that of the mean.

    Args:
        class_aggregation: `"uniform_average"` or `"variance_weighted_average"` of the outputs'
            scores; None returns them all.
        num_regressors: adjust the score for so many independent variables.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        known = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in known:
            raise ValueError(
                f"R2Score: expected class_aggregation to be one of {known}, got "
                f"{class_aggregation!r}."
            )
        if num_regressors < 0:
            raise ValueError(f"R2Score: expected num_regressors >= 0, got {num_regressors}.")
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")

    def _start(self, outputs: int) -> None:
        self.squared_sum = self.add_variable((outputs,), "zeros", name="squared_sum")
        self.sum = self.add_variable((outputs,), "zeros", name="sum")
        self.total_mse = self.add_variable((outputs,), "zeros", name="residual")
        self.count = self.add_variable((outputs,), "zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = _matrix("R2Score", y_true, cast(y_pred, self.dtype))
        if not hasattr(self, "total_mse"):
            self._start(y_pred.shape[1])
        weight = cast(1.0 if sample_weight is None else sample_weight, self.dtype)
        weight = expand_dims(weight, 1) if weight.ndim == 1 else weight
        weight = broadcast_to(weight, y_true.shape)
        self.sum.assign_add(sum(y_true * weight, axis=0))
        self.squared_sum.assign_add(sum(square(y_true) * weight, axis=0))
        self.total_mse.assign_add(sum(square(y_true - y_pred) * weight, axis=0))
        self.count.assign_add(sum(weight, axis=0))
        self.num_samples.assign_add(float(y_true.shape[0] * y_true.shape[1]))

    def result(self) -> Any:
        if not hasattr(self, "total_mse"):
            return as_tensor(0.0, self.dtype)
        total_of, count = self.sum.value, self.count.value
        total = self.squared_sum - total_of * (total_of / count)
        scores = 1 - self.total_mse / total
        scores = where(isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = mean(scores)
        elif self.class_aggregation == "variance_weighted_average":
            scores = sum(total * scores) / sum(total)
        return self._adjusted(scores) if self.num_regressors else scores

    def _adjusted(self, score: Any) -> Any:
        samples = self.num_samples.value
        spare = samples - self.num_regressors - 1
        if isinstance(spare, EagerTensor) and float(spare) <= 0:
            warnings.warn(
                f"R2Score: expected more samples than num_regressors + 1 = "
                f"{self.num_regressors + 1}, got {int(samples)}: the score is not adjusted.",
                stacklevel=3,
            )
        return where(spare > 0, 1 - (1 - score) * (samples - 1) / spare, score)


class IoU(Metric):
    """The mean, over `target_class_ids`, of intersection over union of true and predicted places.

    Args:
        num_classes: how many classes there are.
        target_class_ids: those to average over.
        ignore_class: leave out places with this label.
        sparse_y_true: False for one-hot targets.
        sparse_y_pred: False for scores of classes.
        axis: that of the classes where they have one.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype or "int64", name)
        if any(not 0 <= number < num_classes for number in target_class_ids):
            raise ValueError(
                f"{type(self).__name__}: expected target_class_ids in [0, {num_classes}), got "
                f"{list(target_class_ids)}."
            )
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        shape = (num_classes, num_classes)
        self.total_cm = self.add_variable(shape, "zeros", self.dtype, name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true = y_true if self.sparse_y_true else argmax(y_true, axis=self.axis)
        y_pred = y_pred if self.sparse_y_pred else argmax(y_pred, axis=self.axis)
        y_true, y_pred = (reshape(cast(y, "int64"), (-1,)) for y in (y_true, y_pred))
        weight = as_tensor(1 if sample_weight is None else sample_weight)
        weight = reshape(weight, (-1,)) if weight.ndim > 1 else weight
        weight = broadcast_to(cast(weight, self.dtype), y_true.shape)
        number = self.num_classes
        inside = [logical_and(y >= 0, y < number) for y in (y_true, y_pred)]
        counted = logical_and(*inside)
        if self.ignore_class is not None:
            counted = logical_and(counted, not_equal(y_true, self.ignore_class))
        places = where(counted, y_true * number + y_pred, 0)
        found = segment_sum(where(counted, weight, 0), places, number**2)
        self.total_cm.assign_add(reshape(found, (number, number)))

    def result(self) -> Any:
        counts = self.total_cm.value
        both = diagonal(counts)
        either = sum(counts, axis=0) + sum(counts, axis=1) - both
        both, either = (cast(x, "float32")[self.target_class_ids] for x in (both, either))
        seen = either > 1e-9
        shares = where(seen, both / (either + config.epsilon()), 0.0)
        return sum(shares) / (sum(cast(seen, "float32")) + config.epsilon())


class BinaryIoU(IoU):
    """`IoU` of two classes, predictions being 1 where they are at least `threshold`."""

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = cast(y_pred, "float32") >= self.threshold
        super().update_state(y_true, y_pred, sample_weight)


class MeanIoU(IoU):
    """`IoU` averaged over all classes."""

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, range(num_classes), name, dtype,
            ignore_class, sparse_y_true, sparse_y_pred, axis,
        )  # fmt: skip
