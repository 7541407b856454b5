"""Make tensors of shapes and numbers; turn other things into tensors and back."""

import math
import operator
from typing import Any

import numpy as np

from minikeras.core import basic
from minikeras.core.basic import astype, numpy_dtype
from minikeras.core.spec import as_dtype, result_type
from minikeras.core.tensor import Array, EagerTensor, Tensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops.define import composite, lengths, one_axis
from minikeras.ops.elementwise import floor, power, where
from minikeras.ops.shaping import expand_dims

# ---- conversion ----------------------------------------------------------------------------------


def convert_to_tensor(
    x: Any,
    dtype: Any = None,
    sparse: bool | None = None,  # noqa: ARG001 - Keras' signature
    ragged: bool | None = None,  # noqa: ARG001
) -> Any:
    """Return `x` as a tensor, of `dtype` if given; gradients flow through tensors inside lists.

    All tensors are dense here: `sparse` and `ragged` change nothing.
    """
    if dtype is None:
        return as_tensor(x)
    return astype(as_tensor(x), as_dtype(dtype)) if is_tensor(x) else as_tensor(x, as_dtype(dtype))


def array(x: Any, dtype: Any = None) -> Any:
    """Return `x` as a tensor, of `dtype` if given."""
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x: Any) -> Array:
    """Return the numbers of a tensor as an array that the caller may change."""
    return np.array(as_tensor(x))


def is_tensor(x: Any) -> bool:
    """Tell whether `x` is a tensor or a Variable."""
    return isinstance(x, (Tensor, Variable))


# ---- constants -----------------------------------------------------------------------------------


def _filled(who: str, shape: Any, value: Any, dtype: np.dtype[Any]) -> Any:
    shape = lengths(shape, who)
    if any(n < 0 for n in shape):
        raise ValueError(f"{who}: expected lengths >= 0, got shape {shape}.")
    if isinstance(value, (int, float, np.generic)):
        return EagerTensor(np.full(shape, value, dtype))
    return basic.broadcast_to(convert_to_tensor(value, dtype), shape=shape)


def zeros(shape: Any, dtype: Any = None) -> Any:
    """Return a tensor of zeros, of `floatx()` by default."""
    return _filled("zeros", shape, 0, as_dtype(dtype))


def ones(shape: Any, dtype: Any = None) -> Any:
    """Return a tensor of ones, of `floatx()` by default."""
    return _filled("ones", shape, 1, as_dtype(dtype))


def empty(shape: Any, dtype: Any = None) -> Any:
    """Return a tensor of no particular numbers; they are zeros, so that runs repeat."""
    return _filled("empty", shape, 0, as_dtype(dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    """Return a tensor of `fill_value`, which may be a tensor that broadcasts to `shape`."""
    return _filled("full", shape, fill_value, as_dtype(dtype))


@composite
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Any:
    """Return a tensor of `fill_value` in the shape of `x`, and in its dtype by default."""
    x = convert_to_tensor(x)
    dtype = numpy_dtype(x) if dtype is None else as_dtype(dtype)
    return _filled("full_like", tuple(x.shape), fill_value, dtype)


def zeros_like(x: Any, dtype: Any = None) -> Any:
    """Return zeros in the shape of `x`, and in its dtype by default."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: Any = None) -> Any:
    """Return ones in the shape of `x`, and in its dtype by default."""
    return full_like(x, 1, dtype)


def empty_like(x: Any, dtype: Any = None) -> Any:
    """Return what `empty` returns in the shape of `x`, and in its dtype by default."""
    return full_like(x, 0, dtype)


def _matrix(who: str, rows: Any, columns: Any) -> tuple[int, ...]:
    return lengths((rows, rows if columns is None else columns), who)


def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> Any:  # noqa: N803 - Keras' names
    """Return an N x M matrix with ones on its k-th diagonal; M is N by default."""
    rows, columns = _matrix("eye", N, M)
    return EagerTensor(np.eye(rows, columns, k, as_dtype(dtype)))


def identity(n: Any, dtype: Any = None) -> Any:
    """Return the n x n matrix of the identity."""
    return eye(n, dtype=dtype)


def tri(N: Any, M: Any = None, k: int = 0, dtype: Any = None) -> Any:  # noqa: N803 - Keras' names
    """Return an N x M matrix with ones on and below its k-th diagonal; M is N by default."""
    rows, columns = _matrix("tri", N, M)
    return EagerTensor(np.tri(rows, columns, k, as_dtype(dtype)))


# ---- ranges --------------------------------------------------------------------------------------


def _kind(x: Any) -> Any:
    """Return the dtype of a tensor, an array or a list by name; a Python number's type is weak."""
    if isinstance(x, (int, float)) and not isinstance(x, np.generic):
        return type(x)
    return numpy_dtype(as_tensor(x)).name


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    """Return `start`, `start + step`, … before `stop`; with one argument, 0, 1, … before it."""
    given = [n for n in (start, stop, step) if n is not None]
    dtype = as_dtype(result_type(*map(_kind, given)) if dtype is None else dtype)
    start, stop, step = (n.numpy() if is_tensor(n) else n for n in (start, stop, step))
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    if step == 0:
        raise ValueError("arange: expected a step other than 0, got 0.")
    return EagerTensor(np.arange(start, stop, step).astype(dtype))


@composite
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Return `num` evenly spaced numbers from `start` to `stop`, along a new `axis`.

    Without `endpoint`, `stop` is left out. With `retstep`, return the distance too. Integer dtypes
    round down.
    """
    num = operator.index(num)
    if num < 0:
        raise ValueError(f"linspace: expected num >= 0, got {num}.")
    dtype = _spaced_dtype(start, stop) if dtype is None else as_dtype(dtype)
    # In float64, because rounding to the wrong side shows when integers are wanted.
    start, stop = (convert_to_tensor(n, "float64") for n in (start, stop))
    distance = stop - start
    axis = one_axis(axis, distance.ndim + 1, "linspace")
    steps = num - 1 if endpoint else num
    at = np.arange(float(num)).reshape(num, *(1,) * (distance.ndim - axis))
    first, whole, last = (
        expand_dims(basic.broadcast_to(each, shape=tuple(distance.shape)), axis)
        for each in (start, distance, stop)
    )
    result = first + whole * at / max(steps, 1)
    result = where((at == steps) & (steps > 0), last, result)
    result = astype(result if dtype.kind == "f" else floor(result), dtype)
    step = distance / steps if steps > 0 else distance * math.nan
    return (result, astype(step, _floating(dtype))) if retstep else result


def _spaced_dtype(start: Any, stop: Any) -> np.dtype[Any]:
    return as_dtype(result_type(_kind(start), _kind(stop), float))


def _floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind == "f" else as_dtype(None)


@composite
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Return `base` to the power of what `linspace` returns."""
    dtype = _spaced_dtype(start, stop) if dtype is None else as_dtype(dtype)
    exponents = linspace(start, stop, num, endpoint, dtype="float64", axis=axis)
    return astype(power(convert_to_tensor(base, "float64"), exponents), dtype)
