"""Penalise large or entangled weights: a regularizer takes a tensor and returns a scalar."""

import math
from typing import Any

from minikeras import registry
from minikeras.ops.creation import eye
from minikeras.ops.elementwise import absolute, square
from minikeras.ops.normalization import normalize
from minikeras.ops.products import matmul
from minikeras.ops.reduction import sum
from minikeras.ops.shaping import transpose
from minikeras.registry import Configurable, CustomObjectScope


class Regularizer(Configurable):
    """The base class: `__call__` takes a tensor and returns a scalar to be added to the loss."""

    def __call__(self, x: Any) -> Any:
        """Return the penalty for `x`."""
        return 0.0


def _factor(who: str, name: str, value: Any) -> float:
    if not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise ValueError(f"{who}: expected {name} to be a number from 0 on, got {value!r}.")
    return float(value)


class L1(Regularizer):
    """Penalise by `l1 * sum(abs(x))`, which makes weights vanish."""

    def __init__(self, l1: float | None = 0.01) -> None:
        self.l1 = _factor("L1", "l1", 0.01 if l1 is None else l1)

    def __call__(self, x: Any) -> Any:
        return self.l1 * sum(absolute(x))


class L2(Regularizer):
    """Penalise by `l2 * sum(x**2)`, which makes weights small."""

    def __init__(self, l2: float | None = 0.01) -> None:
        self.l2 = _factor("L2", "l2", 0.01 if l2 is None else l2)

    def __call__(self, x: Any) -> Any:
        return self.l2 * sum(square(x))


class L1L2(Regularizer):
    """Penalise by `l1 * sum(abs(x)) + l2 * sum(x**2)`."""

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _factor("L1L2", "l1", l1 or 0.0)
        self.l2 = _factor("L1L2", "l2", l2 or 0.0)

    def __call__(self, x: Any) -> Any:
        return self.l1 * sum(absolute(x)) + self.l2 * sum(square(x))


class OrthogonalRegularizer(Regularizer):
    """Penalise rows, or columns, of a matrix for pointing in similar directions.

    Args:
        factor: is multiplied by the mean size of the cosines between all pairs.
        mode: `"rows"` or `"columns"`.
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("OrthogonalRegularizer", "factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(
                f"OrthogonalRegularizer: expected mode to be 'rows' or 'columns', got {mode!r}."
            )
        self.mode = mode

    def __call__(self, x: Any) -> Any:
        if len(x.shape) != 2:
            raise ValueError(
                f"OrthogonalRegularizer: expected a matrix, got shape {tuple(x.shape)}."
            )
        rows = normalize(x if self.mode == "rows" else transpose(x), axis=1)
        count = rows.shape[0]
        cosines = matmul(rows, transpose(rows)) * (1 - eye(count, dtype=rows.dtype))
        pairs = max(count * (count - 1), 1)  # both orders; a single row has none to be like
        return self.factor * sum(absolute(cosines)) / pairs


# Keras exports the classes under these names too.
l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

registry.add(
    "regularizer",
    "keras.regularizers",
    *(Regularizer, L1, L2, L1L2, OrthogonalRegularizer),
    l1_l2=L1L2,
)


def get(identifier: Any) -> Any:
    """Return the regularizer meant by a name, a config, a class, a function or None."""
    return registry.get("regularizer", identifier)


def serialize(regularizer: Any) -> Any:
    """Return the config of a regularizer."""
    return registry.serialize_keras_object(regularizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Undo `serialize`."""
    with CustomObjectScope(custom_objects or {}):
        return get(config)
