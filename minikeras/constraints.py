"""Bring weights back into bounds after each step: a constraint takes a weight and returns it."""

from collections.abc import Sequence
from typing import Any

from minikeras import config, registry
from minikeras.core.tensor import as_tensor
from minikeras.ops.elementwise import clip, maximum, sqrt, square
from minikeras.ops.reduction import sum
from minikeras.registry import Configurable, CustomObjectScope


class Constraint(Configurable):
    """The base class: `__call__` takes a weight and returns what replaces it."""

    def __call__(self, w: Any) -> Any:
        """Return `w`, changed so that it is within bounds."""
        return w


def _norms(w: Any, axis: Any) -> Any:
    return sqrt(sum(square(w), axis=axis, keepdims=True))


class MaxNorm(Constraint):
    """Shrink vectors that are longer than `max_value` (Srivastava et al. 2014).

    Args:
        max_value: the largest norm.
        axis: what makes up one vector: 0 for each unit of `Dense`, `[0, 1, 2]` for each filter of
            `Conv2D`.
    """

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value = max_value
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        w = as_tensor(w)
        norms = _norms(w, self.axis)
        return w * (clip(norms, 0, self.max_value) / (config.epsilon() + norms))


class NonNeg(Constraint):
    """Replace negative weights by 0."""

    def __call__(self, w: Any) -> Any:
        return maximum(as_tensor(w), 0)


class UnitNorm(Constraint):
    """Give every vector length 1; `axis` as in `MaxNorm`."""

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        w = as_tensor(w)
        return w / (config.epsilon() + _norms(w, self.axis))


class MinMaxNorm(Constraint):
    """Bring the length of every vector into `[min_value, max_value]`, or nearer to it.

    Args:
        min_value: the smallest norm.
        max_value: the largest norm.
        rate: how much of the way is gone at each step, 1 for all.
        axis: as in `MaxNorm`.
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = axis

    def __call__(self, w: Any) -> Any:
        w = as_tensor(w)
        norms = _norms(w, self.axis)
        wanted = self.rate * clip(norms, self.min_value, self.max_value) + (1 - self.rate) * norms
        return w * (wanted / (config.epsilon() + norms))


# Keras exports the classes under these names too.
max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm

registry.add(
    "constraint", "keras.constraints", *(Constraint, MaxNorm, NonNeg, UnitNorm, MinMaxNorm)
)


def get(identifier: Any) -> Any:
    """Return the constraint meant by a name, a config, a class, a function or None."""
    return registry.get("constraint", identifier)


def serialize(constraint: Any) -> Any:
    """Return the config of a constraint."""
    return registry.serialize_keras_object(constraint)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Undo `serialize`."""
    with CustomObjectScope(custom_objects or {}):
        return get(config)
