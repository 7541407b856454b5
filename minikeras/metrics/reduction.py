"""Metrics that add up or average values: `Sum`, `Mean`, and `Mean` of a function."""

from collections.abc import Callable
from typing import Any

from minikeras.core.tensor import as_tensor
from minikeras.losses.base import squeeze_or_expand_to_same_rank
from minikeras.metrics.base import Metric
from minikeras.ops.elementwise import cast, divide_no_nan
from minikeras.ops.reduction import mean, sum
from minikeras.ops.shaping import broadcast_to


def samplewise(values: Any, weight: Any, reduce: Callable[..., Any], dtype: Any) -> tuple[Any, Any]:
    """Reduce values, and weights if there are any, to one for each sample.

    The axes that the weights lack are reduced before weighting, the other ones after it.
    """
    values = cast(values, dtype)
    if weight is not None:
        values, weight = squeeze_or_expand_to_same_rank(values, cast(weight, dtype))
        rank = weight.ndim
        if values.ndim > rank:
            values = reduce(values, axis=tuple(range(rank, values.ndim)))
        weight = broadcast_to(weight, values.shape)
        values = values * weight
        if rank > 1:
            weight = reduce(weight, axis=tuple(range(1, rank)))
    if values.ndim > 1:
        values = reduce(values, axis=tuple(range(1, values.ndim)))
    return values, weight


class Sum(Metric):
    """The (weighted) sum of values."""

    def __init__(self, name: str | None = "sum", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", self.dtype, name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, _ = samplewise(values, sample_weight, sum, self.dtype)
        self.total.assign_add(sum(values))

    def result(self) -> Any:
        return self.total.value


class Mean(Metric):
    """The (weighted) mean of values; 0 before there are any.

    >>> metric = Mean()
    >>> metric.update_state([1.0, 3.0])
    >>> metric.update_state([5.0])
    >>> float(metric.result())
    3.0
    """

    def __init__(self, name: str | None = "mean", dtype: Any = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable((), "zeros", self.dtype, name="total")
        self.count = self.add_variable((), "zeros", self.dtype, name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take values into account, whose first axis counts samples.

        Args:
            values: a number, or a tensor; axes after the first are averaged.
            sample_weight: weights of the samples, or of the elements of more axes.
        """
        values, weight = samplewise(values, sample_weight, mean, self.dtype)
        self.total.assign_add(sum(values))
        if weight is not None:
            self.count.assign_add(sum(weight))
        else:
            self.count.assign_add(float(values.shape[0]) if values.shape else 1.0)

    def result(self) -> Any:
        return divide_no_nan(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)`, a function that returns a value per sample."""

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(name, dtype)
        self.fn = fn
        self.options = kwargs
        self.__dict__.update(kwargs)

    def update_state(  # type: ignore[override]
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        values = self.fn(as_tensor(y_true), as_tensor(y_pred), **self.options)
        super().update_state(values, sample_weight=sample_weight)
