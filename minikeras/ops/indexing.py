"""Take parts of tensors, and put values into parts of them."""

from typing import Any

import numpy as np

from minikeras.core.dispatch import Primitive, as_tensors
from minikeras.core.graph import Slot
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array, EagerTensor, SymbolicTensor, Tensor, Variable, as_tensor

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


def _place(g: Array, key: Any, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, g.dtype)
    out[key] = g
    return out


_slice = Primitive(
    "slice",
    lambda x, key: x[key],
    _measured,
    vjps=(lambda g, x_spec, key: _place_slice(g, key=key, shape=tuple(x_spec.shape)),),
)
_place_slice = Primitive(
    "place_slice",
    _place,
    lambda g, key, shape: Spec(shape, g.dtype),
    vjps=(lambda g, key: _slice(g, key=key),),
    arguments=("values",),
)


def _add_at(values: Array, index: Array, key: Any, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, values.dtype)
    np.add.at(out, _with_indices(key, index), values)
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
    lambda values, index, key, shape: Spec(shape, values.dtype),
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
        if part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice)):
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
    if isinstance(part, slice):
        ends = (part.start, part.stop, part.step)
        return slice(*(None if end is None else int(end) for end in ends))
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
