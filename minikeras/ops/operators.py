"""Hang Python's operators on tensors and Variables: the one place that does."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minikeras.core.basic import numpy_dtype
from minikeras.core.tensor import EagerTensor, IndexedSlices, Tensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops import elementwise, gathering, indexing, products

_OPERANDS = (Tensor, Variable, int, float, list, tuple)


def _adopt(tensor: Any, other: Any) -> Any:
    """Give a NumPy operand the dtype of the floating tensor it meets, as TensorFlow does."""
    if isinstance(other, (np.ndarray, np.generic)) and other.dtype.kind in "fiub":
        dtype = numpy_dtype(tensor.stored if isinstance(tensor, Variable) else tensor)
        return EagerTensor(np.array(other, dtype)) if dtype.kind == "f" else other
    return other


def _binary(op: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        kind = type(other)
        if kind is EagerTensor or kind is float:
            return op(self, other)
        if kind is np.ndarray or isinstance(other, np.generic):
            other = _adopt(self, other)
        elif not isinstance(other, _OPERANDS):
            return NotImplemented
        return op(self, other)

    return method


def _reflected(op: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        if type(other) is np.ndarray or isinstance(other, np.generic):
            other = _adopt(self, other)
        elif not isinstance(other, _OPERANDS):
            return NotImplemented
        return op(other, self)

    return method


def _unary(op: Callable[..., Any]) -> Callable[..., Any]:
    # Only plain functions become methods.
    def method(self: Any) -> Any:
        return op(self)

    return method


def _equality(op: Callable[..., Any], when_foreign: bool) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return when_foreign
        return op(self, _adopt(self, other))

    return method


_BINARY = {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "truediv": elementwise.divide,
    "floordiv": elementwise.floor_divide,
    "mod": elementwise.mod,
    "pow": elementwise.power,
    "matmul": products.matmul,
    "and": elementwise.logical_and,
    "or": elementwise.logical_or,
    "xor": elementwise.logical_xor,
}
_COMPARE = {
    "lt": elementwise.less,
    "le": elementwise.less_equal,
    "gt": elementwise.greater,
    "ge": elementwise.greater_equal,
}


def _iterate(self: Any) -> Iterator[Any]:
    if not self.shape:
        raise TypeError("iteration over a tensor: expected at least one axis, got a scalar.")
    return (self[i] for i in range(len(self)))


def _hang(kind: type) -> None:
    for name, op in _BINARY.items():
        setattr(kind, f"__{name}__", _binary(op))
        setattr(kind, f"__r{name}__", _reflected(op))
    for name, op in _COMPARE.items():
        setattr(kind, f"__{name}__", _binary(op))
    hashing = kind.__hash__
    methods: dict[str, Callable[..., Any]] = {
        "__eq__": _equality(elementwise.equal, False),
        "__ne__": _equality(elementwise.not_equal, True),
        "__neg__": _unary(elementwise.negative),
        "__pos__": _unary(as_tensor),
        "__abs__": _unary(elementwise.absolute),
        "__invert__": _unary(elementwise.logical_not),
        "__getitem__": indexing.getitem,
        "__iter__": _iterate,
        "__hash__": hashing,
    }
    for name, method in methods.items():
        setattr(kind, name, method)


for _kind in (Tensor, Variable):
    _hang(_kind)


def _add_slices(a: Any, b: Any) -> Any:
    """Add two sparse gradients of one shape into a sparse one, anything else densely."""
    if not (isinstance(a, IndexedSlices) and isinstance(b, IndexedSlices)):
        return elementwise.add(a, b)
    return gathering.joined(a, b) if a.dense_shape == b.dense_shape else elementwise.add(a, b)


IndexedSlices.__add__ = _binary(_add_slices)  # type: ignore[operator]
IndexedSlices.__radd__ = _reflected(_add_slices)  # type: ignore[attr-defined]
IndexedSlices.dense = gathering.dense  # type: ignore[assignment,method-assign]
