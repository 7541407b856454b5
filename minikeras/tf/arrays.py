"""Make, reshape and pick from tensors under TensorFlow's names where ours take other arguments."""

from typing import Any, NamedTuple

import numpy as np

from minikeras import ops, tree
from minikeras.core.basic import astype
from minikeras.core.spec import as_dtype
from minikeras.core.tensor import EagerTensor, Tensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.tf.errors import InvalidArgumentError


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const") -> Any:
    """Return a tensor of `value`, filled up to `shape` if given."""
    tensor = as_tensor(whole_for(dtype, value), dtype)
    if shape is None:
        return tensor
    shape = tuple(int(n) for n in shape)
    return ops.broadcast_to(tensor, shape) if tensor.size == 1 else ops.reshape(tensor, shape)


def convert_to_tensor(
    value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None
) -> Any:
    """Return `value` as a tensor; raise `ValueError` if it is one of another dtype."""
    if isinstance(value, (Tensor, Variable)) and dtype is not None and value.dtype != dtype:
        raise ValueError(
            f"convert_to_tensor: expected a tensor of dtype {as_dtype(dtype)}, got one of "
            f"{value.dtype.name}. Use tf.cast."
        )
    return as_tensor(whole_for(dtype, value), dtype)


def whole_for(dtype: Any, value: Any) -> Any:
    """Return `value`; raise `TypeError` if it has Python floats and `dtype` is one of integers."""
    whole = dtype is not None and as_dtype(dtype).kind in "iu"
    if whole and any(type(leaf) is float for leaf in tree.leaves(value)):
        raise TypeError(
            f"Cannot convert {value} to EagerTensor of dtype {as_dtype(dtype)}. Use tf.cast."
        )
    return value


def fill(dims: Any, value: Any, name: str | None = None) -> Any:
    """Return a tensor of shape `dims` filled with `value`."""
    value = as_tensor(value)
    return ops.broadcast_to(value, tuple(int(n) for n in np.asarray(dims)))


def eye(
    num_rows: int,
    num_columns: int | None = None,
    batch_shape: Any = None,
    dtype: Any = "float32",
    name: str | None = None,
) -> Any:
    """Return identity matrices."""
    matrix = ops.eye(num_rows, num_columns, dtype=dtype)
    return (
        matrix if batch_shape is None else ops.broadcast_to(matrix, (*batch_shape, *matrix.shape))
    )


def range(
    start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str = "range"
) -> Any:
    """Return the numbers from `start` below `limit` in steps of `delta`."""
    if limit is None:
        start, limit = 0, start
    return ops.arange(_number(start), _number(limit), _number(delta), dtype=dtype)


def _number(x: Any) -> Any:
    return np.asarray(x).item() if isinstance(x, (Tensor, Variable)) else x


def shape(input: Any, out_type: Any = "int32", name: str | None = None) -> Any:
    """Return the shape as an integer tensor."""
    return as_tensor(np.asarray(as_tensor(input).shape, as_dtype(out_type)))


def size(input: Any, out_type: Any = "int32", name: str | None = None) -> Any:
    """Return the number of elements as an integer tensor."""
    return as_tensor(np.asarray(as_tensor(input).size, as_dtype(out_type)))


def rank(input: Any, name: str | None = None) -> Any:
    """Return the number of axes as an integer tensor."""
    return as_tensor(np.asarray(as_tensor(input).ndim, np.int32))


def split(
    value: Any, num_or_size_splits: Any, axis: int = 0, num: Any = None, name: str = "split"
) -> list[Any]:
    """Split into equal parts, or into parts of the given sizes."""
    if isinstance(num_or_size_splits, int):
        return ops.split(value, num_or_size_splits, axis)
    sizes = [int(n) for n in np.asarray(num_or_size_splits)]
    if -1 in sizes:
        rest = as_tensor(value).shape[axis] - sum(n for n in sizes if n != -1)
        sizes = [rest if n == -1 else n for n in sizes]
    return ops.split(value, [int(n) for n in np.cumsum(sizes)[:-1]], axis)


def pad(
    tensor: Any,
    paddings: Any,
    mode: str = "CONSTANT",
    constant_values: Any = 0,
    name: str | None = None,
) -> Any:
    """Pad each axis by `(before, after)`."""
    widths = [(int(a), int(b)) for a, b in np.asarray(paddings)]
    constant_mode = mode.lower() == "constant"
    return ops.pad(tensor, widths, mode.lower(), constant_values if constant_mode else None)


def where(condition: Any, x: Any = None, y: Any = None, name: str | None = None) -> Any:
    """Choose elementwise; with `condition` alone, return the positions where it holds."""
    if x is None and y is None:
        positions = np.asarray(condition).nonzero()
        return EagerTensor(np.stack(positions, axis=1).astype(np.int64))
    return ops.where(condition, x, y)


class Unique(NamedTuple):
    """What `unique` returns."""

    y: Any
    idx: Any


def unique(x: Any, out_idx: Any = "int32", name: str | None = None) -> Unique:
    """Return the elements of a vector, each once as they appear, and for each where it is."""
    found, first, places = np.unique(as_tensor(x), return_index=True, return_inverse=True)
    order = np.argsort(first)
    return Unique(as_tensor(found[order]), as_tensor(np.argsort(order)[places], out_idx))


def gather(
    params: Any,
    indices: Any,
    validate_indices: Any = None,
    axis: int | None = None,
    batch_dims: int = 0,
    name: str | None = None,
) -> Any:
    """Take slices along `axis`; the first `batch_dims` axes of both run in step."""
    if batch_dims == 0:
        return ops.take(params, indices, axis=0 if axis is None else axis)
    params, indices = as_tensor(params), as_tensor(indices)
    at = batch_dims if axis is None else axis % params.ndim
    if at != batch_dims:
        raise ValueError(
            f"gather: expected axis to follow the {batch_dims} batch axes, got {axis}."
        )
    grid = np.indices(tuple(indices.shape[:batch_dims]), sparse=True)
    extra = indices.ndim - batch_dims
    return params[(*(g.reshape(g.shape + (1,) * extra) for g in grid), indices)]


def boolean_mask(tensor: Any, mask: Any, axis: int | None = None, name: str = "mask") -> Any:
    """Take the elements where `mask` holds."""
    mask = np.asarray(mask)
    return as_tensor(tensor)[(slice(None),) * (axis or 0) + (mask,)]


def scatter_nd(indices: Any, updates: Any, shape: Any, name: str | None = None) -> Any:
    """Add `updates` into zeros of `shape` at the positions `indices`."""
    return ops.scatter(indices, updates, tuple(int(n) for n in np.asarray(shape)))


def one_hot(
    indices: Any,
    depth: int,
    on_value: Any = None,
    off_value: Any = None,
    axis: int | None = None,
    dtype: Any = None,
    name: str | None = None,
) -> Any:
    """Return rows with `on_value` at each index and `off_value` elsewhere."""
    hot = ops.one_hot(
        indices, int(depth), axis=-1 if axis is None else axis, dtype=dtype or "float32"
    )
    if on_value is None and off_value is None:
        return hot
    on, off = 1 if on_value is None else on_value, 0 if off_value is None else off_value
    chosen = ops.where(hot > 0, on, off)
    return chosen if dtype is None else astype(chosen, as_dtype(dtype))


def argmax(input: Any, axis: Any = None, output_type: Any = "int64", name: Any = None) -> Any:
    """Return the position of the largest element along `axis`, the first one by default."""
    found = ops.argmax(input, axis=0 if axis is None else int(axis))
    return astype(found, as_dtype(output_type))


def argmin(input: Any, axis: Any = None, output_type: Any = "int64", name: Any = None) -> Any:
    """Return the position of the smallest element along `axis`, the first one by default."""
    found = ops.argmin(input, axis=0 if axis is None else int(axis))
    return astype(found, as_dtype(output_type))


def sort(values: Any, axis: int = -1, direction: str = "ASCENDING", name: Any = None) -> Any:
    """Sort along `axis`, `"ASCENDING"` or `"DESCENDING"`."""
    found = ops.sort(values, axis=axis)
    return ops.flip(found, axis) if _descending("sort", direction) else found


def argsort(
    values: Any,
    axis: int = -1,
    direction: str = "ASCENDING",
    stable: bool = False,
    name: Any = None,
) -> Any:
    """Return the positions that sort along `axis`."""
    if _descending("argsort", direction):
        values = -as_tensor(values)
    return ops.argsort(values, axis=axis)


def _descending(who: str, direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ValueError(f"{who}: expected 'ASCENDING' or 'DESCENDING', got {direction!r}.")
    return direction == "DESCENDING"


def cumsum(
    x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: Any = None
) -> Any:
    """Add up along `axis`, from the end if `reverse`, each without itself if `exclusive`."""
    return _scan(ops.cumsum, x, axis, exclusive, reverse, 0)


def cumprod(
    x: Any, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: Any = None
) -> Any:
    """Multiply up along `axis`, from the end if `reverse`, each without itself if `exclusive`."""
    return _scan(ops.cumprod, x, axis, exclusive, reverse, 1)


def _scan(op: Any, x: Any, axis: int, exclusive: bool, reverse: bool, start: int) -> Any:
    x = as_tensor(x)
    axis %= x.ndim
    if reverse:
        x = ops.flip(x, axis)
    if exclusive:
        widths = [(1, 0) if i == axis else (0, 0) for i in np.arange(x.ndim)]
        before = (slice(None),) * axis + (slice(0, x.shape[axis]),)
        x = ops.pad(x, widths, constant_values=start)[before]
    result = op(x, axis=axis)
    return ops.flip(result, axis) if reverse else result


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: Any = None) -> Any:
    """Scale `t` down so that its 2-norm over `axes` is at most `clip_norm`."""
    t = as_tensor(t)
    squared = ops.sum(t * t, axis=axes, keepdims=True)
    safe = ops.where(squared > 0, squared, 1)
    length = ops.where(squared > 0, ops.sqrt(safe), squared)
    return t * clip_norm / ops.maximum(length, clip_norm)


def global_norm(t_list: Any, name: Any = None) -> Any:
    """Return the 2-norm of all tensors together; None entries are left out."""
    parts = [ops.sum(ops.square(t)) for t in t_list if t is not None]
    return ops.sqrt(ops.sum(ops.stack(parts)))


def clip_by_global_norm(t_list: Any, clip_norm: Any, use_norm: Any = None, name: Any = None) -> Any:
    """Scale all tensors so that their common 2-norm is at most `clip_norm`; return it too."""
    norm = global_norm(t_list) if use_norm is None else as_tensor(use_norm)
    scale = clip_norm * ops.minimum(1 / norm, 1 / as_tensor(float(clip_norm)))
    scale = scale + (norm - norm)  # NaN if the norm is not finite
    return [None if t is None else as_tensor(t) * scale for t in t_list], norm


def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False) -> Any:
    """Return a vector or matrix norm; all elements count as one vector if `axis` is None."""
    tensor = as_tensor(tensor)
    if axis is None and not keepdims:
        tensor = ops.ravel(tensor)
    return ops.norm(tensor, None if ord == "euclidean" else ord, axis, keepdims)


def add_n(inputs: Any, name: Any = None) -> Any:
    """Add all tensors of a list."""
    total = as_tensor(inputs[0])
    for tensor in inputs[1:]:
        total = total + tensor
    return total


def ensure_shape(x: Any, shape: Any, name: Any = None) -> Any:
    """Return `x`; raise `InvalidArgumentError` unless it has this shape; None fits any length."""
    x = as_tensor(x)
    wanted = tuple(shape)
    fits = len(wanted) == x.ndim and all(
        w in (None, n) for w, n in zip(wanted, x.shape, strict=True)
    )
    if not fits:
        raise InvalidArgumentError(f"ensure_shape: expected shape {wanted}, got {tuple(x.shape)}.")
    return x
