"""Define the six primitives that promotion and the backward walk themselves stand on."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec, as_dtype, broadcast, promote, reduced, weak
from minikeras.core.tensor import Array, EagerTensor, Tensor, as_tensor
from minikeras.core.variable import Variable


def numpy_dtype(tensor: Any) -> np.dtype[Any]:
    """Return the NumPy dtype of any tensor."""
    return tensor.array.dtype if type(tensor) is EagerTensor else np.dtype(tensor.dtype.name)


def astype(tensor: Any, dtype: np.dtype[Any]) -> Any:
    """Return `tensor` in `dtype`, itself if it has it already."""
    return tensor if numpy_dtype(tensor) == dtype else cast(tensor, dtype=dtype)


def filled(like: Any, value: float) -> EagerTensor:
    """Return a tensor of `like`'s shape and dtype with every element `value`."""
    return EagerTensor(np.full(tuple(like.shape), value, numpy_dtype(like)))


# NumPy's float64 scalar is a Python float too, and as weak as one.
_NUMBERS = (float, int, bool, np.float64)


def promoted(inputs: Sequence[Any]) -> list[Any]:
    """Turn inputs into tensors of their common dtype; Python numbers adopt it."""
    if len(inputs) == 2:  # by far the most frequent case
        a, b = inputs
        a = a.value if isinstance(a, Variable) else a
        b = b.value if isinstance(b, Variable) else b
        if type(a) is EagerTensor:
            dtype = a.array.dtype
            if type(b) is EagerTensor and b.array.dtype is dtype:
                return [a, b]
            if dtype.kind == "f" and type(b) in _NUMBERS:
                return [a, EagerTensor(np.asarray(b, dtype))]
        elif type(b) is EagerTensor and type(a) in _NUMBERS and b.array.dtype.kind == "f":
            return [EagerTensor(np.asarray(a, b.array.dtype)), b]
        inputs = (a, b)
    tensors = [x if type(x) in _NUMBERS else as_tensor(x) for x in inputs]
    strong = [numpy_dtype(x) for x in tensors if type(x) not in _NUMBERS]
    if not strong:
        return promoted([as_tensor(x) for x in tensors])
    dtype = functools.reduce(promote, strong)
    for x in tensors:
        if type(x) in _NUMBERS:
            dtype = weak(dtype, x)
    return [
        EagerTensor(np.asarray(x, dtype)) if type(x) in _NUMBERS else astype(x, dtype)
        for x in tensors
    ]


def floating(inputs: Sequence[Any]) -> list[Any]:
    """Turn inputs into tensors of their common floating dtype; integers become `floatx()`."""
    if len(inputs) == 1:  # by far the most frequent case
        (x,) = inputs
        if type(x) is EagerTensor and x.array.dtype.kind == "f":
            return inputs  # type: ignore[return-value]
        tensors = [as_tensor(x)]
    else:
        tensors = promoted(inputs)
    dtype = numpy_dtype(tensors[0])
    if dtype.kind == "f":
        return tensors
    return [cast(tensor, dtype=as_dtype(None)) for tensor in tensors]


cast = Primitive(
    "cast",
    lambda x, dtype: x.astype(dtype),
    lambda x, dtype: Spec(x.shape, dtype),
    vjps=(lambda g, x_spec: astype(g, numpy_dtype(x_spec)),),
)

add = Primitive(
    "add",
    np.add,
    lambda x1, x2: Spec(broadcast(x1.shape, x2.shape), x1.dtype),
    vjps=(lambda g: g, lambda g: g),
    arguments=("x1", "x2"),
    prepare=promoted,
)


def _broadcast_spec(x: Spec, shape: tuple[int, ...]) -> Spec:
    if broadcast(x.shape, shape) != tuple(shape):
        raise ValueError(f"expected a shape that broadcasts to {tuple(shape)}, got {x.shape}.")
    return Spec(tuple(shape), x.dtype)


broadcast_to = Primitive(
    "broadcast_to",
    np.broadcast_to,
    _broadcast_spec,
    vjps=(lambda g, x_spec: sum_to(g, shape=tuple(x_spec.shape)),),
)


def accumulator(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which sums are kept: float16 would lose or overflow them."""
    return np.dtype("float32") if dtype.itemsize == 2 and dtype.kind == "f" else dtype


# NumPy sums in pairs along the last axis; along others it adds one short row after another, slowly
# and losing digits. Adding whole slabs of rows is up to 40 times faster and 50 times more exact
# (measured: 1e6 rows of 4 in float32: 12 ms, error 2e-5; in 32 slabs 0.3 ms, 1e-7). It is slow on
# short last axes too: a product with ones takes a fifth of the time and errs as little.
_SLABS = 32
_LONG = 256  # shorter axes are not worth slabs, longer ones lose digits in a product


def total(x: Array, axis: tuple[int, ...], keepdims: bool, dtype: np.dtype[Any]) -> Array:
    """Sum over ascending axes, in `dtype`."""
    if x.size >= 2 * _LONG and axis and x.flags.c_contiguous:
        first, end = axis[0], axis[-1] + 1
        length, after = math.prod(x.shape[first:end]), math.prod(x.shape[end:])
        side_by_side = end - first == len(axis)
        if side_by_side and (length >= _LONG if after > 1 else length <= _LONG):
            sums = _sum_middle(x.reshape(-1, length, after), dtype)
            return sums.reshape(reduced(x.shape, axis, keepdims))
    return x.sum(axis=axis, keepdims=keepdims, dtype=dtype)  # type: ignore[no-any-return]


def _sum_middle(x: Array, dtype: np.dtype[Any]) -> Array:
    """Sum over the second of three axes."""
    before, length, after = x.shape
    if after == 1 and x.dtype == dtype and dtype.kind == "f":
        return x.reshape(before, length) @ np.ones(length, dtype)
    if length < 2 * _SLABS:
        return x.sum(axis=1, dtype=dtype)  # type: ignore[no-any-return]
    each, rest = divmod(length, _SLABS)
    slabs = x[:, : length - rest].reshape(before, _SLABS, each, after)
    sums = _sum_middle(slabs.sum(axis=1, dtype=dtype), dtype)
    return sums + x[:, length - rest :].sum(axis=1, dtype=dtype) if rest else sums


def _sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    if not shape:
        return np.asarray(x.sum(dtype=accumulator(x.dtype)), x.dtype)
    extra = x.ndim - len(shape)
    kept = (i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1)
    y = total(x, (*range(extra), *kept), False, accumulator(x.dtype))
    return np.asarray(y, x.dtype).reshape(shape)


def _sum_to_spec(x: Spec, shape: tuple[int, ...]) -> Spec:
    _broadcast_spec(Spec(shape, x.dtype), x.shape)
    return Spec(shape, x.dtype)


sum_to = Primitive(
    "sum_to",
    _sum_to,
    _sum_to_spec,
    vjps=(lambda g, x_spec: broadcast_to(g, shape=tuple(x_spec.shape)),),
)


def _reshape_spec(x: Spec, shape: tuple[int, ...]) -> Spec:
    total = int(np.prod(x.shape, dtype=object)) if x.shape else 1
    known = int(np.prod([n for n in shape if n != -1], dtype=object)) if shape else 1
    if shape.count(-1) == 1 and known and total % known == 0:
        return Spec(tuple(total // known if n == -1 else n for n in shape), x.dtype)
    if -1 in shape or known != total:
        raise ValueError(
            f"expected a new shape for {total} elements (shape {tuple(x.shape)}), got {shape}."
        )
    return Spec(tuple(shape), x.dtype)


reshape = Primitive(
    "reshape",
    lambda x, shape: x.reshape(shape),
    _reshape_spec,
    vjps=(lambda g, x_spec: reshape(g, shape=tuple(x_spec.shape)),),
)


def _stack_spec(*xs: Spec, axis: int) -> Spec:
    if any(x.shape != xs[0].shape for x in xs):
        raise ValueError(f"expected equal shapes, got {[tuple(x.shape) for x in xs]}.")
    rank = len(xs[0].shape) + 1
    if not -rank <= axis < rank:
        raise ValueError(f"expected an axis in [{-rank}, {rank}), got {axis}.")
    shape = list(xs[0].shape)
    shape.insert(axis % rank, len(xs))
    return Spec(tuple(shape), xs[0].dtype)


stack = Primitive(
    "stack",
    lambda *xs, axis: np.stack(xs, axis),
    _stack_spec,
    vjps=lambda g, axis: [g[(slice(None),) * (axis % g.ndim) + (i,)] for i in range(g.shape[axis])],
    arguments=("xs",),
    prepare=promoted,
    variadic=True,
)


def _packed(values: Any, dtype: Any) -> Any:
    tensor = stack(*values, axis=0)
    return tensor if dtype is None else astype(tensor, as_dtype(dtype))


Tensor.packed = staticmethod(_packed)  # type: ignore[method-assign]
