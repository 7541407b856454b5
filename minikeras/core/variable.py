"""Define `Variable`: the named, assignable value that tapes watch and optimizers update."""

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minikeras.core.context import eagerly, state, unique_name
from minikeras.core.overwriting import wait, writers
from minikeras.core.spec import DTYPES, DType, TensorShape, as_dtype
from minikeras.core.tensor import (
    Array,
    EagerTensor,
    Reference,
    SymbolicTensor,
    Tensor,
    as_tensor,
    next_key,
)


class Variable:
    """A tensor-like value that `assign` replaces; tapes watch trainable ones when they are read.

    Args:
        initializer: the first value (array, tensor, number), or a function of shape and dtype.
        shape: required with a function; otherwise checked against the value.
        dtype: the element type; by default the value's own, `floatx()` for Python floats.
        trainable: whether tapes watch it and optimizers update it.
        name: the last part of `path`; numbered automatically if None.
    """

    __array_priority__ = 100

    def __init__(
        self,
        initializer: Any,
        shape: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str | None = "none",
        synchronization: str = "auto",
        name: str | None = None,
    ) -> None:
        self.name = name or unique_name("variable")
        self.path = "/".join((*state.names, self.name))
        self.born_trainable = self._trainable = bool(trainable)
        self.frozen = False
        self.autocast = autocast
        self.aggregation = aggregation
        self.synchronization = synchronization
        self.key = next_key()
        self.regularizer: Any = None
        self.constraint: Any = None
        self.overwrite_with_gradient = False
        self.stored: Any = self._created(initializer, shape, dtype)
        """The current value, read past tapes and scopes."""

    @property
    def trainable(self) -> bool:
        """Whether tapes watch this Variable by themselves and optimizers update it.

        False while a layer that holds it is frozen, whatever was set here.
        """
        return self._trainable and not self.frozen

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)

    def _created(self, initializer: Any, shape: Any, dtype: Any) -> EagerTensor:
        """Return the first value, which has numbers even while a function is traced."""
        if state.trace is None:
            return self._first_value(initializer, shape, dtype)
        state.trace.create(self)
        with eagerly():
            value = self._first_value(initializer, shape, dtype)
        if type(value) is not EagerTensor:
            raise ValueError(
                f"Variable '{self.name}': expected a first value that is known while the function "
                f"that makes it is traced, got {value!r}. Make it of a constant, and assign."
            )
        return value

    def _first_value(self, initializer: Any, shape: Any, dtype: Any) -> EagerTensor:
        if callable(initializer):
            if shape is None:
                raise ValueError(
                    f"Variable '{self.name}': expected a shape beside the function that "
                    "initializes it, got None. Pass shape=."
                )
            dtype = DTYPES[as_dtype(dtype)]
            initializer = initializer(tuple(shape), dtype=dtype)
        value: EagerTensor = as_tensor(initializer, dtype)
        if shape is not None and not _fits(value.array.shape, shape):
            raise ValueError(
                f"Variable '{self.name}': expected an initial value of shape {tuple(shape)}, "
                f"got shape {value.array.shape}."
            )
        return value

    @property
    def value(self) -> Any:
        """The current value as a tensor; reading it lets tapes watch this Variable."""
        value = self._now()
        for recorder in state.recorders:
            recorder.read(self, value)
        return value

    @property
    def shape(self) -> TensorShape:
        """The length of each axis."""
        return self.stored.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self.stored.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.stored.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.stored.size  # type: ignore[no-any-return]

    def numpy(self) -> Any:
        """Return a copy of the value as an ndarray or a NumPy scalar."""
        return self._now().numpy()

    def read_value(self) -> Any:
        """Return `value`."""
        return self.value

    def get_shape(self) -> TensorShape:
        """Return `shape`."""
        return self.shape

    def assign(self, value: Any, read_value: bool = True) -> "Variable":
        """Replace the value by `value`, cast to this Variable's dtype.

        Raises `ValueError` for a value of another shape. Gradients taken through reads of
        the value before do not change.
        """
        if hasattr(value, "__tensor__"):
            value = value.__tensor__()
        if type(value) is not SymbolicTensor:
            if type(value) is not EagerTensor or value.array.dtype != self.stored.array.dtype:
                value = as_tensor(value, self.stored.dtype)
            # A tensor of its own: state does not carry gradients from what was assigned.
            value = EagerTensor(value.array)
        if value.plain_shape != self.stored.plain_shape:
            raise self._misshapen(value)
        if state.scope is None:
            self.stored = value
        else:
            state.scope.assign(self, value)
        return self

    def _misshapen(self, value: Tensor) -> ValueError:
        return ValueError(
            f"Cannot assign value to variable '{self.name}': Shape mismatch. The variable shape "
            f"{self.stored.plain_shape}, and the assigned value shape {value.plain_shape} are "
            "incompatible."
        )

    def assign_add(self, delta: Any, read_value: bool = True) -> "Variable":
        """Add `delta` to the value."""
        return self._moved(operator.add, delta)

    def assign_sub(self, delta: Any, read_value: bool = True) -> "Variable":
        """Subtract `delta` from the value."""
        return self._moved(operator.sub, delta)

    def _moved(self, op: Callable[[Any, Any], Any], delta: Any) -> "Variable":
        now = self._now()
        if type(now) is EagerTensor and type(delta) is EagerTensor:
            a, b = now.array, delta.array
            if a.dtype is b.dtype and a.shape == b.shape:  # the usual case, past the tapes
                return self.assign(EagerTensor(np.asarray(state.quietly(op, a, b))))
        recorders, state.recorders = state.recorders, ()
        try:
            return self.assign(op(now, delta))
        finally:
            state.recorders = recorders

    def __tensor__(self) -> Any:
        return self.value

    def _now(self) -> Any:
        value = self.stored if state.scope is None else state.scope.read(self)
        if writers:
            wait((self,))
        return value

    def ref(self) -> Reference:
        """Return a hashable stand-in for this Variable, for use as a key."""
        return Reference(self)

    def __hash__(self) -> int:
        raise TypeError("Variable is unhashable. Instead, use variable.ref() as the key.")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return self._now().__array__(dtype, copy)  # type: ignore[no-any-return]

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        # A copy is another Variable: tapes and optimizers must not take it for the first one.
        self.__dict__.update(attributes)
        self.key = next_key()

    def __len__(self) -> int:
        return len(self.stored)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.value)

    def __bool__(self) -> bool:
        return bool(self._now())

    def __float__(self) -> float:
        return float(self._now())

    def __int__(self) -> int:
        return int(self._now())

    def __index__(self) -> int:
        return int(self._now().__index__())

    def __format__(self, spec: str) -> str:
        return format(self._now(), spec) if spec else str(self)

    def __repr__(self) -> str:
        facts = f"path={self.path}, shape={tuple(self.shape)}, dtype={self.dtype.name}"
        return f"<Variable {facts}, value={self.stored.array}>"


def _fits(actual: tuple[int, ...], wanted: Any) -> bool:
    wanted = (wanted,) if isinstance(wanted, int) else tuple(wanted)
    return len(actual) == len(wanted) and all(
        w in (None, a) for a, w in zip(actual, wanted, strict=True)
    )
