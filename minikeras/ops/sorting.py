"""Order elements, and find them in ordered ones: sort, top_k, searchsorted, unique."""

from typing import Any, NamedTuple

import numpy as np

from minikeras.core.basic import promoted, reshape
from minikeras.core.dispatch import Primitive, as_tensors
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array, EagerTensor, as_tensor
from minikeras.ops.define import BOOL, INT32, composite, one_axis
from minikeras.ops.elementwise import logical_not
from minikeras.ops.gathering import add_along, integers, take_along_axis

# ---- sort ----------------------------------------------------------------------------------------

# NaN comes last. The gradients of equal elements go where the stable argsort says they stood.
_sort = Primitive(
    "sort",
    np.sort,
    lambda x, **_: x,
    vjps=(
        lambda g, x, axis: add_along(g, _argsort(x, axis=axis), axis=axis, shape=tuple(x.shape)),
    ),
)
_argsort: Primitive = Primitive(
    "argsort",
    lambda x, axis: np.argsort(x, axis, kind="stable").astype(INT32),
    lambda x, **_: Spec(x.shape, INT32),
)


def _with_axis(who: str, x: Any, axis: int | None) -> tuple[Any, int]:
    x = as_tensor(x)
    if axis is None:
        return reshape(x, shape=(-1,)), 0
    try:
        return x, one_axis(axis, x.ndim)
    except ValueError as error:
        raise ValueError(f"{who}: {error}") from None


@composite
def sort(x: Any, axis: int | None = -1) -> Any:
    """Sort along `axis`, the flattened `x` if it is None; NaN comes last."""
    x, axis = _with_axis("sort", x, axis)
    return _sort(x, axis=axis)


@composite
def argsort(x: Any, axis: int | None = -1) -> Any:
    """Return the int32 indices that sort along `axis`; equal elements keep their order."""
    x, axis = _with_axis("argsort", x, axis if as_tensor(x).ndim else None)
    return _argsort(x, axis=axis)


def _largest(x: Array, k: int) -> Array:
    # Sorting the reverse and counting from its end gives descending order, equals as they stood.
    backwards = np.argsort(x[..., ::-1], -1, kind="stable")[..., ::-1]
    return (x.shape[-1] - 1 - backwards[..., :k]).astype(np.int32)  # type: ignore[no-any-return]


_top_k = Primitive("top_k", _largest, lambda x, k: Spec((*x.shape[:-1], k), INT32))


class TopK(NamedTuple):
    """What `top_k` finds."""

    values: Any
    indices: Any


@composite
def top_k(x: Any, k: int, sorted: bool = True) -> TopK:  # noqa: ARG001 - Keras' signature
    """Return the `k` largest elements along the last axis, descending, and where they stood.

    Of equal elements the one with the lower index comes first.
    """
    (x,) = as_tensors([x])
    if not x.ndim or not 0 <= k <= x.shape[-1]:
        raise ValueError(
            f"top_k: expected a k from 0 to the length of the last axis, got k={k} and shape "
            f"{tuple(x.shape)}."
        )
    indices = _top_k(x, k=int(k))
    return TopK(take_along_axis(x, indices, -1), indices)


# A row with NaN or inf, which cannot be ordered, says no, as in TensorFlow.
def _is_among(targets: Array, predictions: Array, k: int) -> Array:
    valid = (targets >= 0) & (targets < predictions.shape[1])
    chosen = np.take_along_axis(predictions, np.where(valid, targets, 0)[:, None], 1)
    larger = (predictions > chosen).sum(1)
    return valid & (larger < k) & np.isfinite(predictions).all(1)  # type: ignore[no-any-return]


_in_top_k = Primitive(
    "in_top_k",
    _is_among,
    lambda targets, *_, **__: Spec(tuple(targets.shape), BOOL),
    arguments=("targets", "predictions"),
)


@composite
def in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    """Tell for each row whether fewer than `k` predictions exceed that of the target class."""
    targets, predictions = integers("in_top_k", targets), as_tensor(predictions)
    if predictions.ndim != 2 or tuple(targets.shape) != tuple(predictions.shape[:1]):
        raise ValueError(
            "in_top_k: expected predictions of shape (batch, classes) and targets of shape "
            f"(batch,), got {tuple(predictions.shape)} and {tuple(targets.shape)}."
        )
    return _in_top_k(targets, predictions, k=int(k))


# ---- search --------------------------------------------------------------------------------------

_searchsorted = Primitive(
    "searchsorted",
    lambda sequence, values, side: np.asarray(np.searchsorted(sequence, values, side), np.int32),
    lambda _, values, **__: Spec(tuple(values.shape), INT32),
    arguments=("sequence", "values"),
    prepare=promoted,
)


def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Any:
    """Return for each value the int32 place at which it fits into the ascending sequence.

    Args:
        side: `"left"` for the first such place, `"right"` for the last.
    """
    sorted_sequence = as_tensor(sorted_sequence)
    if sorted_sequence.ndim != 1 or side not in ("left", "right"):
        raise ValueError(
            "searchsorted: expected a sequence with one axis and side 'left' or 'right', got "
            f"shape {tuple(sorted_sequence.shape)} and {side!r}."
        )
    return _searchsorted(sorted_sequence, values, side=side)


def digitize(x: Any, bins: Any) -> Any:
    """Return for each element how many of the ascending `bins` are not above it."""
    x, edges = as_tensor(x), np.asarray(bins)
    if edges.ndim != 1 or (edges[1:] < edges[:-1]).any():
        raise ValueError(f"digitize: expected ascending bins along one axis, got {bins}.")
    if edges.dtype.kind == "f" and x.dtype.is_floating:
        edges = edges.astype(x.dtype.name)  # else 0.7 in float32 is less than the bin 0.7
    return searchsorted(edges, x, side="right")


_isin = Primitive(
    "isin",
    np.isin,
    lambda x1, _: Spec(x1.shape, BOOL),
    arguments=("x1", "x2"),
    prepare=promoted,
)


def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Any:  # noqa: ARG001
    """Tell for each element of `x1` whether it is one of `x2`; or is not, with `invert`."""
    found = _isin(x1, x2)
    return logical_not(found) if invert else found


# ---- unique --------------------------------------------------------------------------------------


def unique(
    x: Any,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """Return the different elements of `x`, or the different slices along `axis`.

    Args:
        sorted: ascending, rather than in order of their first occurrence.
        return_index: also return where each occurs first.
        return_inverse: also return which of them each element of `x` is.
        return_counts: also return how often each occurs.
        size: cut the result to that length, or fill it up.
        fill_value: what to fill up with, 0 if None; indices with 1, counts with 0.
    """
    x = as_tensor(x)
    if not isinstance(x, EagerTensor):
        raise TypeError(
            f"unique: expected a tensor with numbers, got {x!r}: how long the result is depends "
            "on them."
        )
    along = 0 if axis is None else _with_axis("unique", x, axis)[1]
    shape = x.array.shape if axis is None else (-1,)
    values, index, inverse, counts = np.unique(
        x.array, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(shape)  # NumPy 2.0 keeps axes of length 1
    if not sorted:
        order = index.argsort()
        values, index, counts = values.take(order, along), index[order], counts[order]
        inverse = order.argsort()[inverse]
    if size is not None:
        values = _resized(values, size, along, fill_value or 0)
        index, counts = _resized(index, size, 0, 1), _resized(counts, size, 0, 0)
    asked = ((index, return_index), (inverse, return_inverse), (counts, return_counts))
    others = [EagerTensor(array.astype(INT32)) for array, wanted in asked if wanted]
    return (EagerTensor(values), *others) if others else EagerTensor(values)


def _resized(array: Array, size: int, axis: int, fill: Any) -> Array:
    array = array.take(range(min(size, array.shape[axis])), axis)
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, size - array.shape[axis])
    return np.pad(array, widths, constant_values=fill)
