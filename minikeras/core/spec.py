"""Describe tensors without their data: dtypes, shapes and how dtypes combine."""

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np

from minikeras import config

NAMES = (
    "bool",
    "uint8", "uint16", "uint32", "uint64",
    "int8", "int16", "int32", "int64",
    "float16", "float32", "float64",
)  # fmt: skip


class DType(str):
    """Name a tensor's element type; equal to its plain name and to NumPy's dtype and type."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The plain name, such as `"float32"`."""
        return str.__str__(self)

    @property
    def as_numpy_dtype(self) -> type:
        """The NumPy scalar type of the same name."""
        return np.dtype(self.name).type

    @property
    def size(self) -> int:
        """Bytes that one element takes."""
        return np.dtype(self.name).itemsize

    @property
    def is_floating(self) -> bool:
        """Whether this is a floating type."""
        return self.startswith("float")

    @property
    def is_integer(self) -> bool:
        """Whether this is an integer type (bool is none)."""
        return "int" in self.name

    @property
    def is_bool(self) -> bool:
        """Whether this is the type of truth values."""
        return self.name == "bool"

    @property
    def min(self) -> Any:
        """The smallest value of this type."""
        return self._limits().min

    @property
    def max(self) -> Any:
        """The largest value of this type."""
        return self._limits().max

    def _limits(self) -> Any:
        if self.is_bool:
            return SimpleNamespace(min=False, max=True)
        return np.finfo(self.name) if self.is_floating else np.iinfo(self.name)

    @property
    def base_dtype(self) -> "DType":
        """This type itself: there are no reference types."""
        return self

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return str.__eq__(self, other)
        try:
            found: Any = other is not None and np.dtype(other)  # type: ignore[call-overload]
            return bool(found == np.dtype(self.name))
        except TypeError:
            return False

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__

    def __repr__(self) -> str:
        return f"tf.{self.name}"

    def __str__(self) -> str:
        return f"<dtype: '{self.name}'>"


DTYPES = {np.dtype(name): DType(name) for name in NAMES}


def as_dtype(dtype: Any) -> np.dtype[Any]:
    """Turn a name, a NumPy type or dtype, a Python type or a DType into NumPy's dtype.

    None means `config.floatx()`. Raises `ValueError` for types that no tensor can have.
    """
    if dtype is None or dtype is float:
        return np.dtype(config.floatx())
    if dtype is int:
        return np.dtype("int32")
    try:
        found = np.dtype(dtype.name if isinstance(dtype, DType) else dtype).newbyteorder("=")
    except TypeError:
        found = None
    if found not in DTYPES:
        raise ValueError(f"dtype: expected one of {', '.join(NAMES)}, got {dtype!r}.")
    return found


class TensorShape(tuple[Any, ...]):
    """A tuple of axis lengths (None where open) with the extra names TensorFlow users know."""

    __slots__ = ()

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self)

    ndims = rank

    def as_list(self) -> list[int | None]:
        """Return the axis lengths as a list."""
        return list(self)

    def num_elements(self) -> int | None:
        """Return the product of the axes, None if one is open."""
        total = 1
        for length in self:
            if length is None:
                return None
            total *= length
        return total

    def is_fully_defined(self) -> bool:
        """Tell whether no axis is open."""
        return None not in self


class Spec:
    """What a spec rule works on: a shape of plain integers (None where open) and a NumPy dtype."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[Any, ...], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Spec)
            and tuple(self.shape) == tuple(other.shape)
            and self.dtype == other.dtype
        )

    def __hash__(self) -> int:
        return hash((tuple(self.shape), self.dtype))

    def __repr__(self) -> str:
        return f"Spec({tuple(self.shape)}, {self.dtype})"


class TensorSpec:
    """Describe a tensor for users: shape (None where open), dtype and an optional name."""

    def __init__(self, shape: Any = None, dtype: Any = "float32", name: str | None = None) -> None:
        self.shape = None if shape is None else TensorShape(shape)
        self.dtype = DTYPES[as_dtype(dtype)]
        self.name = name

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TensorSpec)
            and self.shape == other.shape
            and self.dtype == other.dtype
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        shape = "<unknown>" if self.shape is None else tuple(self.shape)
        return f"TensorSpec(shape={shape}, dtype={self.dtype!r}, name={self.name!r})"


_BY_KIND = {"b": 0, "u": 1, "i": 1, "f": 2}
_promoted: dict[tuple[np.dtype[Any], np.dtype[Any]], np.dtype[Any]] = {}


def _promote_pair(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """Promote as Keras and JAX do: a float beats any integer and keeps its own width."""
    if _BY_KIND[a.kind] != _BY_KIND[b.kind]:
        return max(a, b, key=lambda dtype: _BY_KIND[dtype.kind])
    both = np.promote_types(a, b)
    if both.kind == "f" and "f" not in (a.kind, b.kind):  # uint64 with a signed integer
        return np.dtype(config.floatx())
    return both


def promote(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which values of dtypes `a` and `b` meet."""
    if a is b:
        return a
    found = _promoted.get((a, b))
    if found is None:
        found = _promoted[a, b] = _promote_pair(a, b)
    return found


def result_type(*dtypes: Any) -> DType:
    """Return the dtype in which values of `dtypes` meet; Python's `int` and `float` are weak."""
    strong = [as_dtype(dtype) for dtype in dtypes if dtype is not int and dtype is not float]
    numbers = [dtype(0) for dtype in dtypes if dtype is int or dtype is float]
    result = functools.reduce(promote, strong) if strong else np.dtype("bool")
    for number in numbers or ([] if strong else [0.0]):
        result = weak(result, number)
    return DTYPES[result]


def weak(dtype: np.dtype[Any], number: float) -> np.dtype[Any]:
    """Return the dtype in which a tensor of `dtype` meets the Python number `number`."""
    if dtype.kind == "f" or isinstance(number, bool):
        return dtype
    if isinstance(number, float):
        return np.dtype(config.floatx())
    return np.dtype("int32") if dtype.kind == "b" else dtype


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape to which `shapes` broadcast; raise `ValueError` naming them if none."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        named = " and ".join(str(tuple(shape)) for shape in shapes)
        raise ValueError(f"expected shapes that broadcast together, got {named}.") from None


def reduced(shape: Any, axis: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
    """Return `shape` with the axes `axis` of length 1, or without them."""
    if keepdims:
        return tuple(1 if i in axis else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axis)
