"""Bring the arguments of a call into one form, and into a key by which a trace is found again."""

import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from minikeras import tree
from minikeras.core.spec import DTYPES, TensorSpec
from minikeras.core.tensor import EagerTensor, IndexedSlices, SymbolicTensor, Tensor, as_tensor
from minikeras.core.variable import Variable

Bound = tuple[tuple[Any, ...], dict[str, Any]]


class Signature:
    """The parameters of a function, and the specs of its tensors if they are given.

    Args:
        function: anything callable.
        specs: `input_signature`: a nest of TensorSpecs for each positional parameter.
        skip: leading parameters that are filled already: 1 for `self`.
    """

    def __init__(self, function: Callable[..., Any], specs: Any = None, skip: int = 0) -> None:
        self.inspected = _inspected(function, skip)
        kinds = inspect.Parameter
        self.names: list[str] = []
        self.defaults: dict[str, Any] = {}
        self.keywords: list[str] = []
        self.any_positional = self.any_keyword = False
        for name, parameter in self.inspected.parameters.items():
            if parameter.kind is kinds.VAR_POSITIONAL:
                self.any_positional = True
            elif parameter.kind is kinds.VAR_KEYWORD:
                self.any_keyword = True
            else:
                listed = self.keywords if parameter.kind is kinds.KEYWORD_ONLY else self.names
                listed.append(name)
                if parameter.default is not kinds.empty:
                    self.defaults[name] = parameter.default
        self.specs = None if specs is None else tuple(specs)
        if self.specs is not None:
            self._check_specs()

    def _check_specs(self) -> None:
        assert self.specs is not None
        if len(self.specs) > len(self.names) and not self.any_positional:
            raise ValueError(
                f"function: expected an input_signature of {len(self.names)} entries at most, one "
                f"for each parameter of {self.inspected}, got {len(self.specs)}."
            )
        for leaf in tree.flatten(self.specs):
            if not isinstance(leaf, TensorSpec):
                raise TypeError(
                    "input_signature must be a possibly nested sequence of TensorSpec objects, got "
                    f"{leaf!r}."
                )

    # -- binding -------------------------------------------------------------------------------

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Bound:
        """Return positional and keyword arguments with defaults, each always in the same place."""
        names = self.names
        if len(args) != len(names) or kwargs or self.keywords:
            values, rest = self._arranged(args, kwargs)
        else:
            values, rest = args, {}
        return (values if self.specs is None else self._conformed(values, args, kwargs)), rest

    def _arranged(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Bound:
        if len(args) > len(self.names) and not self.any_positional:
            self._refuse(args, kwargs)
        values, rest = list(args), dict(kwargs)
        for name in self.names[len(args) :]:
            if name in rest:
                values.append(rest.pop(name))
            elif name in self.defaults:
                values.append(self.defaults[name])
            else:
                self._refuse(args, kwargs)
        known = 0
        for name in self.keywords:
            if name not in rest:
                if name not in self.defaults:
                    self._refuse(args, kwargs)
                rest[name] = self.defaults[name]
            known += 1
        if len(rest) > known and (not self.any_keyword or any(n in rest for n in self.names)):
            self._refuse(args, kwargs)
        return tuple(values), rest

    def _refuse(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> NoReturn:
        try:
            self.inspected.bind(*args, **kwargs)
        except TypeError as error:
            raise self._unbindable(str(error), args, kwargs) from None
        raise self._unbindable("positional arguments given by name", args, kwargs)

    def _unbindable(self, why: str, args: Any, kwargs: Mapping[str, Any]) -> TypeError:
        given = self.inspected
        if self.specs is not None:
            pairs = zip(self.names, self.specs, strict=False)
            given = f"({', '.join(f'{name}: {spec}' for name, spec in pairs)})"  # type: ignore[assignment]
        return TypeError(
            f"Binding inputs to tf.function failed due to `{why}`. Received args: {args} and "
            f"kwargs: {dict(kwargs)} for signature: {given}."
        )

    # -- input_signature -----------------------------------------------------------------------

    def _conformed(
        self, values: tuple[Any, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        """Return arguments as tensors of `input_signature`."""
        assert self.specs is not None
        if len(values) < len(self.specs):
            self._refuse(args, kwargs)
        try:
            first = [conformed(*pair) for pair in zip(self.specs, values, strict=False)]
        except (TypeError, ValueError) as error:
            raise self._unbindable(str(error), args, kwargs) from None
        return (*first, *values[len(first) :])


def conformed(spec: Any, value: Any) -> Any:
    """Return a nest of values as tensors of a nest of TensorSpecs; raise `TypeError` if it cannot.

    Numbers and arrays are converted to the dtype wanted, tensors must have it.
    """
    if isinstance(spec, TensorSpec):
        return _tensor_like(spec, value)
    if isinstance(spec, dict) and isinstance(value, dict) and spec.keys() == value.keys():
        return {key: conformed(spec[key], value[key]) for key in spec}
    lists = isinstance(spec, (list, tuple)) and isinstance(value, (list, tuple))
    if lists and len(spec) == len(value):
        found = [conformed(*pair) for pair in zip(spec, value, strict=True)]
        return found if isinstance(value, list) else tuple(found)
    if not tree.is_nested(spec):
        return value
    raise TypeError(f"Can not cast {value!r} to {spec}")


def _tensor_like(spec: TensorSpec, value: Any) -> Any:
    if isinstance(value, TensorSpec):
        found: Any = value
    elif isinstance(value, (Tensor, Variable)):
        found = as_tensor(value)
    else:
        found = as_tensor(value, spec.dtype)
    if found.dtype != spec.dtype or not fits(spec.shape, found.shape):
        got = None if found.shape is None else tuple(found.shape)
        raise TypeError(f"Can not cast {TensorSpec(got, found.dtype)} to {spec}")
    return found


def fits(wanted: Any, shape: Any) -> bool:
    """Tell whether a shape is one of those that a spec's shape with open axes means."""
    if wanted is None or shape is None:
        return wanted is None
    return len(wanted) == len(shape) and all(
        want is None or want == length for want, length in zip(wanted, shape, strict=True)
    )


def _inspected(function: Callable[..., Any], skip: int) -> inspect.Signature:
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):  # some builtins have none
        kinds = inspect.Parameter
        return inspect.Signature(
            [kinds("args", kinds.VAR_POSITIONAL), kinds("kwargs", kinds.VAR_KEYWORD)]
        )
    return found.replace(parameters=list(found.parameters.values())[skip:])


# ---- keys ----------------------------------------------------------------------------------------

_PLAIN = frozenset({int, bool, str, bytes, type(None)})


class Identity:
    """Stand in a key for an object that is only equal to itself, without keeping it alive."""

    __slots__ = ("_get", "_number")

    def __init__(self, thing: Any) -> None:
        self._number = id(thing)
        self._get: Callable[[], Any]
        try:
            self._get = weakref.ref(thing)
        except TypeError:
            self._get = lambda: thing

    def dead(self) -> bool:
        """Tell whether the object is gone, so that no call can bring it again."""
        return self._get() is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity) or self._number != other._number:
            return False
        thing = self._get()
        return thing is not None and thing is other._get()

    def __hash__(self) -> int:
        return self._number


def note(value: Any, key: list[Any], tensors: list[Any]) -> None:
    """Append to `key` what tells a nest from others for a trace, to `tensors` its tensors."""
    kind = type(value)
    if kind is EagerTensor:
        key += (value.array.dtype, value.array.shape)
        tensors.append(value)
    elif kind is np.ndarray and value.dtype in DTYPES:
        key += (value.dtype, value.shape)
        tensors.append(value)
    elif kind is tuple or kind is list:
        key.append((kind, len(value)))
        for child in value:
            note(child, key, tensors)
    elif kind in _PLAIN:
        key.append((kind, value))
    else:
        _note_other(value, key, tensors)


def _note_other(value: Any, key: list[Any], tensors: list[Any]) -> None:
    kind = type(value)
    if isinstance(value, (SymbolicTensor, TensorSpec)):
        key += (value.dtype, value.shape)
        tensors.append(value)
    elif isinstance(value, Variable):
        key.append((Variable, value.key))
    elif isinstance(value, (np.ndarray, np.generic, IndexedSlices)):
        note(as_tensor(value), key, tensors)
    elif isinstance(value, dict):
        names = tree._sorted(value)
        key.append((kind, *names))
        for name in names:
            note(value[name], key, tensors)
    elif isinstance(value, (list, tuple)):
        key.append((kind, len(value)))
        for child in value:
            note(child, key, tensors)
    elif isinstance(value, float):
        key.append((kind, value.hex()))  # tells 0.0 from -0.0, and finds nan again
    else:
        key.append(_token(value))


def _token(value: Any) -> Any:
    kind: Any = type(value)
    try:
        hash(value)
    except TypeError as error:
        if not hasattr(value, "__array__"):
            raise TypeError(
                "tf.function: expected arguments that are tensors or can be hashed, got "
                f"{value!r:.60} of type {kind.__name__}: it could change without a new trace. "
                "Pass a tuple, a frozenset or a frozen dataclass."
            ) from error
        return Identity(value)
    return Identity(value) if kind.__hash__ is object.__hash__ else (kind, value)


def described(names: Sequence[str], values: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """Return for each leaf of the arguments its place and what of it matters to a trace."""
    named_values = [*zip(names, values, strict=False), *sorted(named.items())]
    named_values += [(f"argument {i}", value) for i, value in list(enumerate(values))[len(names) :]]
    found = {}
    for name, nest in named_values:
        for keys, leaf in tree.flatten_with_path(nest):
            found[name + "".join(f"[{key!r}]" for key in keys)] = _leaf_text(leaf)
    return found


def _leaf_text(leaf: Any) -> tuple[str, str]:
    """Return the kind of thing a leaf is, and which one."""
    if isinstance(leaf, (Tensor, np.ndarray, np.generic, TensorSpec)):
        shape = None if leaf.shape is None else tuple(leaf.shape)
        return f"dtype {np.dtype(str(getattr(leaf.dtype, 'name', leaf.dtype)))}", f"shape {shape}"
    if isinstance(leaf, Variable):
        return "Variable", leaf.path
    if isinstance(leaf, (int, float, str, bytes, type(None))):
        return "Python value", repr(leaf)[:60]
    return "Python object", f"{type(leaf).__name__} at {id(leaf):#x}"
