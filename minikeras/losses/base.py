"""Define `Loss`: shape rules, sample weights and the reduction to one number."""

import inspect
import math
from collections.abc import Callable
from typing import Any

from minikeras import tree
from minikeras.core.basic import floating, numpy_dtype
from minikeras.core.context import unique_name
from minikeras.core.spec import as_dtype
from minikeras.core.tensor import Tensor, as_tensor
from minikeras.ops.elementwise import cast, divide_no_nan
from minikeras.ops.reduction import sum
from minikeras.ops.shaping import broadcast_to, expand_dims, reshape, squeeze
from minikeras.registry import Configurable, snake_case

_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


def squeeze_or_expand_to_same_rank(x1: Any, x2: Any) -> tuple[Any, Any]:
    """Add or remove a last axis of length 1 where the ranks of two tensors differ by one.

    A tensor of rank 1 gains the axis; one of a higher rank makes the other lose it.
    """
    if x1.ndim == x2.ndim + 1 and x1.shape[-1] == 1:
        return (x1, expand_dims(x2, -1)) if x2.ndim == 1 else (squeeze(x1, -1), x2)
    if x2.ndim == x1.ndim + 1 and x2.shape[-1] == 1:
        return (expand_dims(x1, -1), x2) if x1.ndim == 1 else (x1, squeeze(x2, -1))
    return x1, x2


def fits(shape: Any, other: Any) -> bool:
    """Tell whether two shapes are equal as far as their axes are known."""
    return len(shape) == len(other) and all(
        a == b or a is None or b is None for a, b in zip(shape, other, strict=True)
    )


def matched(who: str, y_true: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return targets and predictions as floating tensors of one dtype and one shape.

    Ranks that differ by a last axis of length 1 are made equal; any other difference would be
    broadcast into a loss that nobody wanted, and raises `ValueError`.
    """
    (y_pred,) = floating([y_pred])
    y_true = cast(y_true, numpy_dtype(y_pred))
    given = tuple(y_true.shape), tuple(y_pred.shape)
    y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
    if not fits(y_true.shape, y_pred.shape):
        raise ValueError(
            f"{who}: expected y_true and y_pred of the same shape, got y_true.shape={given[0]} and "
            f"y_pred.shape={given[1]}. Reshape y_true, or give the output layer as many units."
        )
    return y_true, y_pred


def _weighted(values: Any, weight: Any) -> tuple[Any, Any]:
    """Return `values * weight` and the weight in a shape that broadcasts to the values'."""
    values, weight = squeeze_or_expand_to_same_rank(values, weight)
    missing = values.ndim - weight.ndim
    if 0 < missing < values.ndim and fits(weight.shape, values.shape[: weight.ndim]):
        weight = reshape(weight, (*weight.shape, *[1] * missing))  # one for all of a sample
    product = values * weight
    if not fits(product.shape, values.shape):
        raise ValueError(
            "sample_weight: expected a shape that broadcasts to that of the losses, "
            f"{tuple(values.shape)}, got {tuple(weight.shape)}."
        )
    return product, weight


def reduced(values: Any, reduction: str | None, weight: Any = None, mask: Any = None) -> Any:
    """Weight per-sample losses and reduce them as `Loss` describes.

    Args:
        values: the losses.
        reduction: one of the reductions of `Loss`.
        weight: sample weights that broadcast to the losses.
        mask: False where a loss does not count, neither in the sum nor in the divisor.
    """
    if weight is not None and not values.shape:  # one loss for all samples, which is that of each
        values = broadcast_to(values, weight.shape)
    is_mean = reduction in ("sum_over_batch_size", "mean")
    counted: Any = float(math.prod(values.shape))
    if mask is not None:
        counting = cast(mask, numpy_dtype(values))
        weight = counting if weight is None else _weighted(counting, weight)[0]
        counted = sum(counting) if is_mean else counted
    if weight is not None:
        values, weight = _weighted(values, weight)
    if reduction in (None, "none"):
        return values
    total = values if not values.shape else sum(values)
    if reduction == "sum" or not values.shape:
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        counted = sum(weight)
    return divide_no_nan(total, counted)


class Loss(Configurable):
    """Compute a loss from targets and predictions; the base class.

    Subclasses define `call(y_true, y_pred)`, which returns a loss for every sample.

    Args:
        name: by default the class name in snake case.
        reduction: `"sum_over_batch_size"` and `"mean"` divide the sum of all losses by their
            number, `"mean_with_sample_weight"` by the sum of the weights; `"sum"` does not divide,
            `"none"` and None do not even add up.
        dtype: in which to compute, `floatx()` by default.

    >>> class Distance(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return abs(y_true - y_pred)
    >>> float(Distance()([1.0, 2.0], [1.0, 4.0]))
    1.0
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        if reduction not in _REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: expected reduction to be one of {_REDUCTIONS}, got "
                f"{reduction!r}."
            )
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.reduction = reduction
        self._dtype = as_dtype(getattr(dtype, "compute_dtype", dtype))

    @property
    def dtype(self) -> str:
        """The dtype in which the loss is computed."""
        return self._dtype.name

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the losses of all samples, one axis or more fewer than `y_pred`."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected a method call(y_true, y_pred), got a class without."
        )

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the reduced loss.

        Args:
            y_true: targets.
            y_pred: predictions.
            sample_weight: factors of the losses, a number or a tensor that broadcasts to them:
                one for each sample, or one for each element of the result of `call`.
        """
        y_pred = tree.map_structure(lambda x: cast(x, self._dtype), _tensors(y_pred))
        y_true = self._targets(_tensors(y_true))
        values = cast(self.call(y_true, y_pred), self._dtype)
        if sample_weight is not None:
            sample_weight = cast(sample_weight, self._dtype)
        return reduced(values, self.reduction, sample_weight, self._mask(y_true, values))

    def _targets(self, y_true: Any) -> Any:
        """Return targets in the dtype that `call` is to see."""
        return tree.map_structure(lambda x: cast(x, self._dtype), y_true)

    def _mask(self, y_true: Any, values: Any) -> Any:
        """Return which of the losses `values` count, or None if they all do."""
        return None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        given = super().get_config()
        if self._dtype == as_dtype(None):
            given.pop("dtype", None)
        taken = inspect.signature(type(self)).parameters
        shared = {name: getattr(self, name) for name in ("name", "reduction") if name in taken}
        return shared | {name: value for name, value in given.items() if name not in shared}


def _tensors(structure: Any) -> Any:
    """Turn leaves into tensors; a list without tensors in it is one tensor."""
    if isinstance(structure, dict):
        return {name: _tensors(part) for name, part in structure.items()}
    if isinstance(structure, (list, tuple)) and any(isinstance(x, Tensor) for x in structure):
        return [_tensors(part) for part in structure]
    return as_tensor(structure)


class LossFunctionWrapper(Loss):
    """Make a `Loss` of a function `fn(y_true, y_pred, **kwargs)` that returns per-sample losses."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.fn = fn
        self.options = kwargs
        self.__dict__.update(kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if isinstance(y_true, Tensor) and isinstance(y_pred, Tensor):
            y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self.options)

    def __repr__(self) -> str:
        return f"<LossFunctionWrapper({self.fn}, kwargs={self.options})>"
