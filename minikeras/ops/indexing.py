"""Take parts of tensors by position, and put values into such parts."""

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import astype, filled, numpy_dtype
from minikeras.core.dispatch import Primitive
from minikeras.core.graph import Slot
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array, EagerTensor, Tensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops.define import composite

# ---- x[key] --------------------------------------------------------------------------------------
#
# Integers, slices, None and Ellipsis stay in `key`; arrays of indices become one integer tensor
# `index`, broadcast together and stacked, and `key` holds a Slot for each of them.


def _measured(x: Spec, key: Any, index: Spec | None = None) -> Spec:
    """Find the result's shape on an array that takes no memory."""
    empty = np.broadcast_to(np.zeros((), x.dtype), x.shape)
    indices = None if index is None else np.broadcast_to(np.zeros((), np.int64), index.shape)
    return Spec(empty[_with_indices(key, indices)].shape, x.dtype)


def _with_indices(key: Any, index: Array | None) -> Any:
    return tuple(index[part.index] if isinstance(part, Slot) else part for part in key)  # type: ignore[index]


def whole_key(key: Sequence[Any], rank: int) -> list[Any]:
    """Return a key with a slice for every axis that it leaves out, or means by an Ellipsis."""
    parts = list(key)
    named = sum(part is not None and part is not Ellipsis for part in parts)
    at = parts.index(Ellipsis) if Ellipsis in parts else len(parts)
    parts[at : at + 1] = [builtins.slice(None)] * (rank - named)
    return parts


def _place(g: Array, key: Any, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, g.dtype)
    out[key] = g
    return out


_slice = Primitive(
    "getitem",
    lambda x, key: x[key],
    _measured,
    vjps=(lambda g, x_spec, key: _place_slice(g, key=key, shape=tuple(x_spec.shape)),),
)
_place_slice = Primitive(
    "place_slice",
    _place,
    lambda g, *, shape, **_: Spec(shape, g.dtype),
    vjps=(lambda g, key: _slice(g, key=key),),
    arguments=("values",),
)


def _add_at(values: Array, index: Array, key: Any, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, values.dtype)
    where = _with_indices(key, index)
    if values.size > index[0].size:  # whole rows: add.at is five times faster on single elements
        where = np.arange(out.size).reshape(shape)[where].ravel()
        np.add.at(out.reshape(-1), where, values.ravel())
    else:
        np.add.at(out, where, values)
    return out


_gather = Primitive(
    "gather",
    lambda x, index, key: x[_with_indices(key, index)],
    lambda x, index, key: _measured(x, key, index),
    vjps=(
        lambda g, x_spec, index, key: _scatter_add(g, index, key=key, shape=tuple(x_spec.shape)),
        None,
    ),
    arguments=("x", "index"),
)
_scatter_add = Primitive(
    "scatter_add",
    _add_at,
    lambda values, *_, shape, **__: Spec(shape, values.dtype),
    vjps=(lambda g, index, key: _gather(g, index, key=key), None),
    arguments=("values", "index"),
)


def _as_index(part: Any) -> list[Any]:
    """Return the integer tensors that one array-like part of a key stands for."""
    tensor = as_tensor(np.asarray(part, np.int64) if isinstance(part, list) and not part else part)
    if tensor.dtype.is_bool:
        if not isinstance(tensor, EagerTensor):
            raise TypeError(
                "getitem: expected a mask whose values are known, got a symbolic one: its result "
                "would have no fixed shape. Use ops.where."
            )
        return [EagerTensor(positions) for positions in tensor.array.nonzero()]
    if not tensor.dtype.is_integer:
        raise TypeError(f"getitem: expected integer or bool indices, got {tensor.dtype}.")
    return [tensor]


def getitem(x: Any, key: Any) -> Any:
    """Return `x[key]` for integers, slices, None, Ellipsis and arrays or tensors of indices."""
    parts = key if isinstance(key, tuple) else (key,)
    plain: list[Any] = []
    arrays: list[Any] = []
    for part in parts:
        if part is None or part is Ellipsis or isinstance(part, (int, np.integer, builtins.slice)):
            plain.append(_static(part))
        elif isinstance(part, (Tensor, Variable)) and not part.shape and part.dtype.is_integer:
            plain.append(_scalar(part, arrays))
        else:
            found = _as_index(part)
            plain.extend(Slot(len(arrays) + i) for i in range(len(found)))
            arrays.extend(found)
    if not arrays:
        return _slice(x, key=tuple(plain))
    return _gather(x, _stacked(arrays), key=tuple(plain))


get_item = getitem


def _static(part: Any) -> Any:
    if isinstance(part, builtins.slice):
        ends = (part.start, part.stop, part.step)
        return builtins.slice(*(None if end is None else int(end) for end in ends))
    return int(part) if isinstance(part, np.integer) else part


def _scalar(part: Any, arrays: list[Any]) -> Any:
    tensor = as_tensor(part)
    if isinstance(tensor, EagerTensor):
        return int(tensor)
    arrays.append(tensor)
    return Slot(len(arrays) - 1)


def _stacked(arrays: list[Any]) -> Any:
    """Broadcast index tensors together and stack them along a new first axis."""
    if all(isinstance(tensor, EagerTensor) for tensor in arrays):
        return EagerTensor(np.stack(np.broadcast_arrays(*(tensor.array for tensor in arrays))))
    return _stack_indices(*arrays)


_stack_indices = Primitive(
    "stack_indices",
    lambda *xs: np.stack(np.broadcast_arrays(*xs)),
    lambda *xs: Spec((len(xs), *np.broadcast_shapes(*(x.shape for x in xs))), np.dtype("int64")),
    arguments=("xs",),
    variadic=True,
)


# ---- windows that begin where a tensor says ------------------------------------------------------


def _key_of_window(start: Array, lengths: Any, shape: Any) -> tuple[Any, ...]:
    begins = start.tolist()
    if any(b < 0 or b + n > size for b, n, size in zip(begins, lengths, shape, strict=True)):
        raise ValueError(
            f"slice: expected a window inside shape {tuple(shape)}, got one of shape "
            f"{tuple(lengths)} at {tuple(begins)}."
        )
    return tuple(builtins.slice(b, b + n) for b, n in zip(begins, lengths, strict=True))


def _updated(inputs: Array, start_indices: Array, updates: Array) -> Array:
    out = inputs.copy()
    out[_key_of_window(start_indices, updates.shape, inputs.shape)] = updates
    return out


_window: Primitive = Primitive(
    "slice",
    lambda inputs, start_indices, shape: inputs[_key_of_window(start_indices, shape, inputs.shape)],
    lambda inputs, *_, shape: Spec(shape, inputs.dtype),
    vjps=(
        lambda g, inputs_spec, start_indices: _update(filled(inputs_spec, 0), start_indices, g),
        None,
    ),
    arguments=("inputs", "start_indices"),
)
_update: Primitive = Primitive(
    "slice_update",
    _updated,
    lambda inputs, *_: inputs,
    vjps=(
        lambda g, start_indices, updates_spec: _update(g, start_indices, filled(updates_spec, 0)),
        None,
        lambda g, start_indices, updates_spec: _window(
            g, start_indices, shape=tuple(updates_spec.shape)
        ),
    ),
    arguments=("inputs", "start_indices", "updates"),
)


def _checked_start(who: str, start_indices: Any, lengths: Any, x: Any) -> Any:
    """Return the start of a window as one tensor, given as one or as numbers and tensors."""
    start = start_indices
    if isinstance(start, (list, tuple)):
        start = _stacked(
            [as_tensor(i, "int64") if isinstance(i, int) else as_tensor(i) for i in start]
        )
    start = as_tensor(start)
    fits = tuple(start.shape) == (x.ndim,) and len(lengths) == x.ndim
    if not fits or any(n > size for n, size in zip(lengths, x.shape, strict=True)):
        raise ValueError(
            f"{who}: expected a start and a length that fits for each of the {x.ndim} axes of "
            f"shape {tuple(x.shape)}, got starts of shape {tuple(start.shape)} and a window of "
            f"shape {tuple(lengths)}."
        )
    return start


@composite
def slice(inputs: Any, start_indices: Any, shape: Any) -> Any:
    """Return the window of `shape` that begins at `start_indices`; length -1 means all the rest."""
    x, lengths = as_tensor(inputs), [int(n) for n in shape]
    start = _checked_start("slice", start_indices, lengths, x)
    if -1 in lengths:
        begins = np.asarray(start).tolist()
        rests = [size - b for size, b in zip(x.shape, begins, strict=True)]
        lengths = [rest if n == -1 else n for n, rest in zip(lengths, rests, strict=True)]
    return _window(x, start, shape=tuple(lengths))


@composite
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    """Return `inputs` with `updates` in place of the window that begins at `start_indices`."""
    x = as_tensor(inputs)
    updates = astype(as_tensor(updates), numpy_dtype(x))
    start = _checked_start("slice_update", start_indices, tuple(updates.shape), x)
    return _update(x, start, updates)


def nonzero(x: Any) -> tuple[Any, ...]:
    """Return the positions of the elements that are not 0: for each axis a vector of indices."""
    x = as_tensor(x)
    if not isinstance(x, EagerTensor):
        raise TypeError(
            f"nonzero: expected a tensor with numbers, got {x!r}: how long the result is depends "
            "on them. Use ops.where with three arguments."
        )
    if not x.ndim:
        raise ValueError("nonzero: expected at least one axis, got a scalar.")
    return tuple(EagerTensor(i.astype(np.int32)) for i in x.array.nonzero())
