"""Check, filter and clip gradients before a rule sees them."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import astype, numpy_dtype
from minikeras.core.tensor import as_tensor
from minikeras.core.variable import Variable
from minikeras.ops.elementwise import clip, maximum, sqrt, square
from minikeras.ops.reduction import sum as total


def present(grads: Sequence[Any], variables: Sequence[Variable]) -> list[tuple[Any, Variable]]:
    """Pair gradients with Variables, leaving out those that are None with a warning."""
    pairs = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
    if not pairs:
        raise ValueError("No gradients provided for any variable.")
    if len(pairs) < len(grads):
        missing = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
        warnings.warn(
            f"Gradients do not exist for variables {missing} when minimizing the loss. If using "
            "`model.compile()`, did you forget to provide a `loss` argument?",
            stacklevel=4,
        )
    return pairs


def dense(who: str, grad: Any, variable: Variable) -> Any:
    """Return a gradient as a dense tensor of its Variable's dtype, or refuse its shape."""
    grad = as_tensor(grad)
    if tuple(grad.shape) != tuple(variable.shape):
        raise ValueError(
            f"{who}: expected a gradient of shape {tuple(variable.shape)} for variable "
            f"'{variable.path}', got shape {tuple(grad.shape)}."
        )
    return astype(grad, numpy_dtype(variable))


def _shrink(square_of_norm: Any, limit: float) -> Any:
    """Return the factor that brings a norm down to `limit`; NaN if it is infinite."""
    norm = sqrt(square_of_norm)
    return limit / maximum(norm, limit) + (norm - norm)


def clip_each_norm(grads: Sequence[Any], limit: float) -> list[Any]:
    """Scale each gradient down to a Euclidean norm of at most `limit`."""
    return [g * _shrink(total(square(g)), limit) for g in grads]


def clip_global_norm(grads: Sequence[Any], limit: float) -> list[Any]:
    """Scale all gradients by one factor, so that their norm as one vector is at most `limit`."""
    widest = np.result_type(*(numpy_dtype(g) for g in grads))
    squares = [astype(total(square(g)), widest) for g in grads]
    scale = _shrink(sum(squares[1:], squares[0]), limit)
    return [g * astype(scale, numpy_dtype(g)) for g in grads]


def clip_values(grads: Sequence[Any], limit: float) -> list[Any]:
    """Limit each element to `[-limit, limit]`."""
    return [clip(g, -limit, limit) for g in grads]
