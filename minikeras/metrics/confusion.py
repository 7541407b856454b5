"""Metrics of yes and no: counts of right and wrong answers at thresholds, and what follows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.core.spec import as_dtype
from minikeras.core.tensor import EagerTensor, as_tensor
from minikeras.losses.base import fits, squeeze_or_expand_to_same_rank
from minikeras.metrics.base import Metric
from minikeras.ops.cumulative import cumsum
from minikeras.ops.elementwise import cast, divide_no_nan, where
from minikeras.ops.gathering import one_hot, take
from minikeras.ops.reduction import sum
from minikeras.ops.scattering import segment_sum
from minikeras.ops.shaping import broadcast_to, flip, reshape, squeeze
from minikeras.ops.sorting import searchsorted, top_k

# What a prediction outside the top k becomes: below every threshold there can be.
_NEVER = -1e10


def _checked_thresholds(who: str, thresholds: Any, default: float) -> list[float]:
    """Return thresholds as a list; raise `ValueError` for those outside `[0, 1]`."""
    if thresholds is None:
        return [default]
    thresholds = list(thresholds) if isinstance(thresholds, (list, tuple)) else [thresholds]
    wrong = [t for t in thresholds if t is None or t < 0 or t > 1]
    if wrong:
        raise ValueError(f"{who}: expected thresholds in [0, 1], got {wrong}.")
    return thresholds


def _weight_like(weight: Any, values: Any) -> Any:
    """Return sample weights in the shape of `values`: what they lack are the last axes."""
    if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
        weight = squeeze(weight, -1)
    weight = reshape(weight, (*weight.shape, *[1] * (values.ndim - weight.ndim)))
    return broadcast_to(weight, values.shape)


def confusion(
    y_true: Any, y_pred: Any, thresholds: Sequence[float], weight: Any = None, columns: bool = False
) -> dict[str, Any]:
    """Return the four counts at each threshold, which a positive prediction exceeds.

    Every prediction falls between two neighbouring thresholds; adding up the weights between each
    two, and then from the top, takes time that does not grow with the number of thresholds.

    Args:
        y_true: 0 or 1, the shape of `y_pred`.
        y_pred: floating.
        weight: one for each prediction, 1 by default.
        columns: count the columns of a matrix each for itself.

    Returns tensors of shape (thresholds,), or (thresholds, columns), by name.
    """
    width = y_pred.shape[-1] if columns else 1
    limits = np.asarray(thresholds, as_dtype(y_pred.dtype))
    order = np.argsort(limits, kind="stable")
    below = searchsorted(EagerTensor(limits[order]), reshape(y_pred, (-1, width)))
    places = reshape(below * width + as_tensor(np.arange(width, dtype=np.int32)), (-1,))
    truth = cast(cast(y_true, "bool"), y_pred.dtype)
    found = {}
    for kind, chosen in (("positives", truth), ("negatives", 1 - truth)):
        weights = chosen if weight is None else chosen * weight
        between = segment_sum(reshape(weights, (-1,)), places, width * (len(thresholds) + 1))
        above = flip(cumsum(flip(reshape(between, (-1, width)), 0), axis=0), 0)
        exceeding = above[1:]
        if (np.diff(order) < 0).any():
            exceeding = take(exceeding, np.argsort(order), axis=0)
        rest = above[:1] - exceeding
        shape = (len(thresholds), width) if columns else (len(thresholds),)
        right, wrong = (exceeding, rest) if kind == "positives" else (rest, exceeding)
        other = "negatives" if kind == "positives" else "positives"
        found[f"true_{kind}"] = reshape(right, shape)
        found[f"false_{other}"] = reshape(wrong, shape)
    return found


class ConfusionMetric(Metric):
    """Keep counts at thresholds in Variables; the base class of the metrics in this file."""

    top_k: int | None = None
    class_id: int | None = None
    true_positives: Any
    false_positives: Any
    true_negatives: Any
    false_negatives: Any
    _given_thresholds: Any = None
    columns = False
    """Whether the columns of a matrix are counted each for itself."""

    def _start(self, thresholds: Any, counts: dict[str, str], columns: Any = ()) -> None:
        """Make a Variable for each count: `counts` holds their names by attribute."""
        self._thresholds = list(thresholds)
        self._kept = tuple(counts)
        for attribute, name in counts.items():
            shape = (len(self._thresholds), *columns)
            setattr(self, attribute, self.add_variable(shape, "zeros", name=name))

    @property
    def thresholds(self) -> list[float]:
        """The thresholds that a prediction exceeds to be positive."""
        return list(self._thresholds)

    def _prepared(self, y_true: Any, y_pred: Any, weight: Any) -> tuple[Any, Any, Any]:
        """Bring the arguments of `update_state` to one shape, and pick class or top k."""
        y_pred = cast(y_pred, None)
        y_true = cast(y_true, y_pred.dtype)
        given = tuple(y_true.shape), tuple(y_pred.shape)
        y_pred, y_true = squeeze_or_expand_to_same_rank(y_pred, y_true)
        if not fits(y_true.shape, y_pred.shape):
            raise ValueError(
                f"{type(self).__name__}: expected y_true and y_pred of the same shape, got "
                f"y_true.shape={given[0]} and y_pred.shape={given[1]}."
            )
        if self.top_k is not None:
            _, best = top_k(y_pred, self.top_k)
            chosen = sum(one_hot(best, y_pred.shape[-1]), axis=-2)
            y_pred = where(chosen > 0, y_pred, _NEVER)
        if self.class_id is not None:
            if y_pred.ndim < 2:
                raise ValueError(
                    f"{type(self).__name__}: expected y_pred of shape (samples, classes) to pick "
                    f"class_id={self.class_id} from, got shape {tuple(y_pred.shape)}."
                )
            y_true, y_pred = (y[..., self.class_id, None] for y in (y_true, y_pred))
        if weight is not None:
            weight = _weight_like(cast(weight, y_pred.dtype), y_pred)
        return y_true, y_pred, weight

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count a batch of labels 0 and 1 and predictions in `[0, 1]`."""
        y_true, y_pred, weight = self._prepared(y_true, y_pred, sample_weight)
        found = confusion(y_true, y_pred, self._thresholds, weight, self.columns)
        for attribute in self._kept:
            getattr(self, attribute).assign_add(found[attribute])

    def _ratio(self, first: str, second: str) -> Any:
        """Return the share of one count in the sum of two."""
        part, other = getattr(self, first).value, getattr(self, second).value
        return divide_no_nan(part, part + other)

    def _scalar(self, values: Any) -> Any:
        """Return the value at the only threshold, or those at all of them."""
        return values[0] if len(self._thresholds) == 1 else values

    def get_config(self) -> dict[str, Any]:
        given = super().get_config()
        if "thresholds" in given:
            given["thresholds"] = self._given_thresholds
        return given


class _Count(ConfusionMetric):
    """One of the four counts at a threshold of 0.5, or at several."""

    counted = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self._given_thresholds = thresholds
        checked = _checked_thresholds(type(self).__name__, thresholds, 0.5)
        self._start(checked, {self.counted: "accumulator"})

    def result(self) -> Any:
        return self._scalar(getattr(self, self.counted).value)


class TruePositives(_Count):
    """The number of labels 1 predicted as 1."""

    counted = "true_positives"


class TrueNegatives(_Count):
    """The number of labels 0 predicted as 0."""

    counted = "true_negatives"


class FalsePositives(_Count):
    """The number of labels 0 predicted as 1."""

    counted = "false_positives"


class FalseNegatives(_Count):
    """The number of labels 1 predicted as 0."""

    counted = "false_negatives"


class _Share(ConfusionMetric):
    """The share of true positives among them and one kind of error."""

    error = ""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(dtype, name)
        self._given_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        default = 0.5 if top_k is None else _NEVER
        checked = _checked_thresholds(type(self).__name__, thresholds, default)
        self._start(checked, {count: count for count in ("true_positives", self.error)})

    def result(self) -> Any:
        return self._scalar(self._ratio("true_positives", self.error))


class Precision(_Share):
    """The share of true ones among positive predictions.

    Args:
        thresholds: what a prediction must exceed to be positive, 0.5 by default; for a list the
            result is a tensor.
        top_k: let the k largest predictions of each sample be the positive ones.
        class_id: count this class only.
    """

    error = "false_positives"


class Recall(_Share):
    """The share of the positive labels that was predicted; arguments as for `Precision`."""

    error = "false_negatives"
