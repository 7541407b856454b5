"""Metrics of a whole curve of thresholds: the area under it, and points on it."""

from typing import Any

from minikeras import config
from minikeras.core.tensor import as_tensor
from minikeras.metrics.confusion import ConfusionMetric
from minikeras.ops.activations import sigmoid
from minikeras.ops.elementwise import (
    divide_no_nan,
    equal,
    greater_equal,
    log,
    logical_and,
    maximum,
    minimum,
    where,
)
from minikeras.ops.reduction import max, mean, sum

_COUNTS = {
    name: name
    for name in ("true_positives", "false_positives", "true_negatives", "false_negatives")
}
_CURVES = ("ROC", "PR", "PRGAIN")
_HEIGHTS = {
    "interpolation": lambda y: (y[:-1] + y[1:]) / 2.0,
    "minoring": lambda y: minimum(y[:-1], y[1:]),
    "majoring": lambda y: maximum(y[:-1], y[1:]),
}


def _between(number: int) -> list[float]:
    """Return equally spaced thresholds between 0 and 1, both left out, of `number` in all."""
    return [(i + 1) / (number - 1) for i in range(number - 2)]


class AUC(ConfusionMetric):
    """The area under the curve of recall over false positive rate, or of precision over recall.

    Args:
        num_thresholds: at how many thresholds the curve is known.
        curve: `"ROC"`, `"PR"` or `"PRGAIN"`.
        summation_method: `"interpolation"` draws lines between points (for "PR" the curves of
            Davis and Goadrich, 2006), `"minoring"` and `"majoring"` take the lower and upper one.
        thresholds: these, with one below 0 and one above 1, instead of equally spaced ones.
        multi_label: average the areas of the columns of a matrix.
        num_labels: how many columns there are; else the first batch shows it.
        label_weights: of the columns in the average; with one area, of their predictions.
        from_logits: whether predictions still have to go through `sigmoid`.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        self.curve = str(curve).upper().replace("_", "")
        self.summation_method = str(summation_method).lower()
        if self.curve not in _CURVES or self.summation_method not in _HEIGHTS:
            raise ValueError(
                f"AUC: expected curve in {_CURVES} and summation_method in {tuple(_HEIGHTS)}, got "
                f"{curve!r} and {summation_method!r}."
            )
        if num_thresholds <= 1:
            raise ValueError(f"AUC: expected num_thresholds > 1, got {num_thresholds}.")
        if num_labels and not multi_label:
            raise ValueError(
                f"AUC: expected num_labels with multi_label=True only, got {num_labels}."
            )
        self._given_thresholds = thresholds
        inner = _between(num_thresholds) if thresholds is None else sorted(thresholds)
        self.num_thresholds = len(inner) + 2
        self._thresholds = [-config.epsilon(), *inner, 1 + config.epsilon()]
        self.columns = self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = label_weights
        self.from_logits = from_logits
        if num_labels or not multi_label:
            self._start(self._thresholds, _COUNTS, (num_labels,) if num_labels else ())

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = sigmoid(y_pred) if self.from_logits else as_tensor(y_pred)
        if self.multi_label and y_pred.ndim != 2:
            raise ValueError(
                "AUC: expected y_pred of shape (samples, labels) with multi_label=True, got "
                f"{tuple(y_pred.shape)}."
            )
        if not hasattr(self, "true_positives"):
            self._start(self._thresholds, _COUNTS, (y_pred.shape[1],))
        super().update_state(y_true, y_pred, sample_weight)

    def _prepared(self, y_true: Any, y_pred: Any, weight: Any) -> tuple[Any, Any, Any]:
        y_true, y_pred, weight = super()._prepared(y_true, y_pred, weight)
        if self.label_weights is not None and not self.multi_label:
            labels = as_tensor(self.label_weights, y_pred.dtype)
            weight = labels + 0 * y_pred if weight is None else labels * weight
        return y_true, y_pred, weight

    def result(self) -> Any:
        if not hasattr(self, "true_positives"):
            return as_tensor(0.0)
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._averaged(self._davis_goadrich())
        x, y = self._points()
        return self._averaged((x[:-1] - x[1:]) * _HEIGHTS[self.summation_method](y))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, without thresholds unless they were given."""
        given = super().get_config()
        return {k: v for k, v in given.items() if k != "thresholds" or v is not None}

    def _averaged(self, areas: Any) -> Any:
        areas = sum(areas, axis=0)
        if not self.multi_label or self.label_weights is None:
            return mean(areas)
        weights = as_tensor(self.label_weights, areas.dtype)
        return divide_no_nan(sum(areas * weights), sum(weights))

    def _points(self) -> tuple[Any, Any]:
        """Return the coordinates of the curve, from the lowest threshold to the highest."""
        recall = self._ratio("true_positives", "false_negatives")
        if self.curve == "ROC":
            return self._ratio("false_positives", "true_negatives"), recall
        if self.curve == "PR":
            return recall, self._ratio("true_positives", "false_positives")
        right = self.true_positives.value
        odds = divide_no_nan(
            right + self.false_negatives, self.true_negatives + self.false_positives
        )
        gains = [
            where(equal(right, 0), none, 1.0 - odds * divide_no_nan(wrong, right))
            for wrong, none in ((self.false_negatives, 0.0), (self.false_positives, 1.0))
        ]
        return maximum(gains[0], 0.0), gains[1]

    def _davis_goadrich(self) -> Any:
        """Integrate precision over recall where true positives grow linearly with positives."""
        right = self.true_positives.value
        positive = right + self.false_positives
        gained = right[:-1] - right[1:]
        slope = divide_no_nan(gained, maximum(positive[:-1] - positive[1:], 0))
        intercept = right[1:] - slope * positive[1:]
        usable = logical_and(positive[:-1] > 0, positive[1:] > 0)
        ratio = where(usable, divide_no_nan(positive[:-1], maximum(positive[1:], 0)), 1.0)
        whole = maximum(right[1:] + self.false_negatives.value[1:], 0)
        return divide_no_nan(slope * (gained + intercept * log(ratio)), whole)


class _Point(ConfusionMetric):
    """The best of one share at the thresholds where another is at least `value`."""

    wanted = condition = ("", "")

    def _begin(self, name: str, value: float, number: int, class_id: int | None) -> None:
        who = type(self).__name__
        if not 0 <= value <= 1:
            raise ValueError(f"{who}: expected {name} in [0, 1], got {value}.")
        if number <= 0:
            raise ValueError(f"{who}: expected num_thresholds > 0, got {number}.")
        self.value = value
        self.num_thresholds = number
        self.class_id = class_id
        self._start([0.5] if number == 1 else [0.0, *_between(number), 1.0], _COUNTS)

    def result(self) -> Any:
        feasible = greater_equal(self._ratio(*self.condition), self.value)
        return max(where(feasible, self._ratio(*self.wanted), 0.0), initial=0)


_PRECISION = ("true_positives", "false_positives")
_RECALL = ("true_positives", "false_negatives")
_SPECIFICITY = ("true_negatives", "false_positives")


class SensitivityAtSpecificity(_Point):
    """The best recall of positive labels while that of negative ones is at least `specificity`."""

    wanted, condition = _RECALL, _SPECIFICITY

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.specificity = specificity
        self._begin("specificity", specificity, num_thresholds, class_id)


class SpecificityAtSensitivity(_Point):
    """The best recall of negative labels while that of positive ones is at least `sensitivity`."""

    wanted, condition = _SPECIFICITY, _RECALL

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.sensitivity = sensitivity
        self._begin("sensitivity", sensitivity, num_thresholds, class_id)


class PrecisionAtRecall(_Point):
    """The best precision while recall is at least `recall`."""

    wanted, condition = _PRECISION, _RECALL

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.recall = recall
        self._begin("recall", recall, num_thresholds, class_id)


class RecallAtPrecision(_Point):
    """The best recall while precision is at least `precision`."""

    wanted, condition = _RECALL, _PRECISION

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self.precision = precision
        self._begin("precision", precision, num_thresholds, class_id)
