"""Define what a tensor is: one that holds an array, one that only has a shape, sparse rows."""

import itertools
from typing import Any

import numpy as np

from minikeras.core.context import user_line
from minikeras.core.spec import DTYPES, DType, TensorShape, as_dtype
from minikeras.errors import NotAllowedInTraceError

Array = np.ndarray[Any, np.dtype[Any]]

next_key = itertools.count().__next__

_NUMBERS = frozenset({float, int, bool})


class Tensor:
    """An immutable n-dimensional array of one dtype; the base of eager and symbolic tensors.

    `key` is a number of its own for every tensor: tapes know tensors by it, so that they keep
    no tensor alive. `logits`, which most tensors do not have, is what a softmax or sigmoid made
    this one of. Operators are hung on by `minikeras.ops.operators`.
    """

    __slots__ = ("__weakref__", "key", "logits")
    # NumPy's own operators step back for ours: `ndarray - tensor` is `tensor.__rsub__`.
    __array_priority__ = 100

    key: int
    logits: "Tensor"

    @property
    def shape(self) -> TensorShape:
        """The length of each axis."""
        raise NotImplementedError

    @property
    def plain_shape(self) -> tuple[Any, ...]:
        """`shape` as a plain tuple, which is quicker to have."""
        raise NotImplementedError

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int | None:
        """The number of elements, None if an axis is open."""
        return self.shape.num_elements()

    def get_shape(self) -> TensorShape:
        """Return `shape`."""
        return self.shape

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor: expected at least one axis, got a scalar.")
        return self.shape[0]  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        raise TypeError("Tensor is unhashable. Instead, use tensor.ref() as the key.")

    def ref(self) -> "Reference":
        """Return a hashable stand-in for this tensor, for use as a key."""
        return Reference(self)

    @staticmethod
    def packed(values: Any, dtype: Any) -> "Tensor":
        """Return a tensor of nested lists that hold tensors; `core.basic` hangs this on."""
        raise NotImplementedError


class Reference:
    """Stand for one tensor or Variable as a dictionary key; compares by identity."""

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor

    def deref(self) -> Any:
        """Return the tensor this stands for."""
        return self._tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._tensor is other._tensor

    def __hash__(self) -> int:
        return id(self._tensor)


class EagerTensor(Tensor):
    """A tensor that holds its numbers, in `array`, which nobody may write to."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array
        self.key = next_key()

    @property
    def shape(self) -> TensorShape:
        return TensorShape(self.array.shape)

    @property
    def plain_shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def dtype(self) -> DType:
        return DTYPES[self.array.dtype]

    def numpy(self) -> Any:
        """Return a copy of the numbers: an ndarray, or a NumPy scalar if there are no axes."""
        return self.array.copy() if self.array.ndim else self.array[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.array.astype(dtype, copy=bool(copy)) if dtype is not None else self.array
        if copy:
            return array.copy() if array is self.array else array
        if array is self.array:
            array = array.view()
            array.flags.writeable = False
        return array

    def __bool__(self) -> bool:
        if self.array.size > 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. "
                "Use a.any() or a.all()"
            )
        return bool(self.array)

    def __float__(self) -> float:
        return float(self._only())

    def __int__(self) -> int:
        return int(self._only())

    def __index__(self) -> int:
        return int(self.array.__index__())

    def _only(self) -> Any:
        if self.array.size != 1:
            raise TypeError(
                f"Only tensors of one element become Python numbers, got shape {self.array.shape}."
            )
        return self.array.reshape(())[()]

    def __format__(self, spec: str) -> str:
        return format(self.array, spec)  # in text a tensor reads like its array, as in TensorFlow

    def __str__(self) -> str:
        return f"tf.Tensor({array_text(self.array, str)}, {self._facts()})"

    def __repr__(self) -> str:
        return f"<tf.Tensor: {self._facts()}, numpy={array_text(self.array, repr)}>"

    def _facts(self) -> str:
        return f"shape={self.array.shape}, dtype={self.array.dtype}"

    def __copy__(self) -> "EagerTensor":
        return self

    def __deepcopy__(self, _: Any) -> "EagerTensor":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return EagerTensor, (self.array,)


def array_text(array: Array, form: Any) -> str:
    """Print the numbers as TensorFlow does: scalars bare, several lines on lines of their own."""
    text = form(array) if array.ndim else str(array[()])
    return "\n" + text if "\n" in text else text


class SymbolicTensor(Tensor):
    """A tensor without numbers: an input or a result in a graph, with the node that made it.

    Open axes are None. A tape also keeps these in place of arrays that no gradient needs.
    """

    __slots__ = ("_dtype", "_shape", "name", "node")

    def __init__(
        self,
        shape: tuple[int | None, ...],
        dtype: np.dtype[Any],
        *,
        key: int | None = None,
        name: str | None = None,
    ) -> None:
        self._shape = shape
        self._dtype = dtype
        self.key = next_key() if key is None else key
        self.name = name
        self.node: Any = None

    @property
    def shape(self) -> TensorShape:
        return TensorShape(self._shape)

    @property
    def plain_shape(self) -> tuple[Any, ...]:
        return self._shape

    @property
    def dtype(self) -> DType:
        return DTYPES[self._dtype]

    def _refuse(self, wanted: str) -> TypeError:
        where = user_line()
        return NotAllowedInTraceError(
            f"{self!r} has no value yet: it stands for one while a model is built or a function "
            f"is traced, so {wanted} is not possible{f' ({where})' if where else ''}. Use "
            "ops.where, ops.cond or ops.while_loop for choices, return what is to be looked at, "
            "or run eagerly: run_eagerly=True, or no @function."
        )

    def __len__(self) -> int:
        if self._shape and self._shape[0] is None:
            raise self._refuse("going through an axis of unknown length")
        return super().__len__()

    def numpy(self) -> Any:
        """Raise: there are no numbers yet."""
        raise self._refuse("numpy()")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        raise self._refuse("making it a NumPy array")

    def __bool__(self) -> bool:
        raise self._refuse("using it as a condition of Python")

    def __float__(self) -> float:
        raise self._refuse("float()")

    def __int__(self) -> int:
        raise self._refuse("int()")

    def __index__(self) -> int:
        raise self._refuse("using it as a Python index")

    def __repr__(self) -> str:
        name = f", name={self.name}" if self.name else ""
        return f"<KerasTensor shape={tuple(self._shape)}, dtype={self._dtype}{name}>"


class IndexedSlices(Tensor):
    """The sparse gradient of a gather: `values[i]` belongs to row `indices[i]`; rows may repeat.

    It is usable like the dense tensor of `dense_shape` that it stands for (`dense()`), and two of
    them add up without becoming dense; `minikeras.ops.operators` hangs both on.
    """

    __slots__ = ("dense_shape", "indices", "values")

    def __init__(self, values: Tensor, indices: Tensor, dense_shape: tuple[int, ...]) -> None:
        self.values = values
        self.indices = indices
        self.dense_shape = tuple(dense_shape)
        self.key = next_key()

    @property
    def shape(self) -> TensorShape:
        return TensorShape(self.dense_shape)

    @property
    def plain_shape(self) -> tuple[Any, ...]:
        return self.dense_shape

    @property
    def dtype(self) -> DType:
        return self.values.dtype

    def dense(self) -> Tensor:
        """Return the dense tensor, repeated rows summed."""
        raise NotImplementedError

    def __tensor__(self) -> Tensor:
        return self.dense()

    def numpy(self) -> Any:
        """Return the dense tensor's numbers."""
        return self.dense().numpy()  # type: ignore[attr-defined]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.dense(), dtype=dtype)

    def __repr__(self) -> str:
        return (
            f"IndexedSlices(indices={self.indices!r}, values={self.values!r}, "
            f"dense_shape={self.dense_shape})"
        )


def as_tensor(value: Any, dtype: Any = None) -> Any:
    """Return `value` as a tensor; arrays are copied, so that no one changes them later.

    Gradients flow through tensors inside lists. Python floats become `floatx()`, Python ints
    int32 (int64 if they do not fit). What has a method `__tensor__`, as Variables do, is asked for
    its tensor.
    """
    if hasattr(value, "__tensor__"):
        value = value.__tensor__()
    if isinstance(value, Tensor):
        if dtype is None or value.dtype == dtype:
            return value
        if isinstance(value, EagerTensor):
            return EagerTensor(value.array.astype(as_dtype(dtype)))
        raise TypeError(f"as_tensor: expected dtype {dtype}, got {value!r}. Use ops.cast.")
    if isinstance(value, (list, tuple)) and _holds_tensors(value):
        return Tensor.packed(value, dtype)
    return EagerTensor(as_array(value, dtype))


def _holds_tensors(values: Any) -> bool:
    kinds = set(map(type, values)) - _NUMBERS
    if not kinds:
        return False
    if any(issubclass(kind, Tensor) or hasattr(kind, "__tensor__") for kind in kinds):
        return True
    return any(isinstance(x, (list, tuple)) and _holds_tensors(x) for x in values)


def as_array(value: Any, dtype: Any = None) -> Array:
    """Return a fresh NumPy array of `value`, a number, an ndarray or nested lists of them."""
    if isinstance(value, (np.ndarray, np.generic)):
        return np.array(value, dtype=as_dtype(value.dtype if dtype is None else dtype), copy=True)
    wanted = None if dtype is None else as_dtype(dtype)
    try:
        array = np.array(value, dtype=wanted)
    except (ValueError, TypeError) as error:
        raise _no_tensor(value) from error
    if wanted is None:
        array = array.astype(_default_dtype(array, value), copy=False)
    return array


def _default_dtype(array: Array, value: Any) -> np.dtype[Any]:
    if array.dtype not in DTYPES:
        raise _no_tensor(value)
    if isinstance(value, (list, tuple)) and _holds_arrays(value):
        return array.dtype
    if array.dtype.kind == "f":
        return as_dtype(None)
    small = array.dtype.kind == "i" and np.all(np.abs(array) < 2**31) if array.size else False
    return np.dtype("int32") if small else array.dtype if array.size else as_dtype(None)


def _holds_arrays(value: Any) -> bool:
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return hasattr(value, "dtype")


def _no_tensor(value: Any) -> ValueError:
    return ValueError(
        f"convert_to_tensor: expected numbers or truth values in a regular array, got "
        f"{type(value).__name__}: {str(value)[:80]}."
    )
