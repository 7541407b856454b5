"""Check gradients against finite differences, for users' own functions and for every rule here."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import EagerTensor, as_tensor

# Error of a central difference: truncation grows with eps**2, rounding with 1/eps; they meet here.
_EPSILON = float(np.finfo(np.float64).eps ** (1 / 3))


class GradientError(AssertionError):
    """A gradient does not agree with the finite difference."""


def check_gradients(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    order: int = 2,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> None:
    """Raise `GradientError` unless the tape's derivatives of `function` are right at `inputs`.

    The derivative along one random direction, weighted by random numbers over the outputs, is
    compared with a central difference in float64, so the cost does not grow with the number of
    elements (as in HIPS autograd and `jax.test_util`). Order 2 checks the gradient's gradient too.

    Args:
        function: takes `len(inputs)` tensors, returns a tensor or a nest of them.
        inputs: arrays or tensors, taken as float64.
        order: how many times to differentiate.
        tolerance: allowed error, relative to the size of the derivative plus one.
        seed: of the random directions.
    """
    random = np.random.default_rng(seed)
    arrays = [np.asarray(x, np.float64) for x in inputs]
    _check(function, arrays, order, tolerance, random, name="first")


def _check(
    function: Callable[..., Any],
    arrays: list[Any],
    order: int,
    tolerance: float,
    random: Any,
    name: str,
) -> None:
    weights = [random.normal(size=tuple(y.shape)) for y in _outputs(function, arrays)]
    directions = [random.normal(size=x.shape) for x in arrays]
    expected = sum(
        np.vdot(weight, (plus - minus) / (2 * _EPSILON))
        for weight, plus, minus in zip(
            weights,
            _moved(function, arrays, directions, _EPSILON),
            _moved(function, arrays, directions, -_EPSILON),
            strict=True,
        )
    )

    def gradient(*tensors: Any) -> list[Any]:
        with GradientTape() as tape:
            tape.watch(tensors)
            ys = tree.flatten(function(*tensors))
        return tape.gradient(  # type: ignore[no-any-return]
            ys, list(tensors), [EagerTensor(w) for w in weights], unconnected_gradients="zero"
        )

    grads = [g.numpy() for g in gradient(*map(as_tensor, arrays))]
    got = sum(np.vdot(g, d) for g, d in zip(grads, directions, strict=True))
    terms = [float(np.abs(g * d).sum()) for g, d in zip(grads, directions, strict=True)]
    scale = 1 + abs(expected) + sum(terms)
    if not abs(got - expected) <= tolerance * scale:
        raise GradientError(
            f"check_gradients: expected a {name} derivative of {expected:.10g} along a random "
            f"direction (central difference), got {got:.10g} from the tape. The vjp rule of one "
            "of the ops, or a custom_gradient, is wrong there, or the function has a kink."
        )
    if order > 1:
        _check(gradient, arrays, order - 1, tolerance * 10, random, name="higher")


def _outputs(function: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    return [y.numpy() for y in tree.flatten(function(*map(as_tensor, arrays)))]


def _moved(
    function: Callable[..., Any], arrays: list[Any], directions: list[Any], step: float
) -> list[Any]:
    return _outputs(
        function, [x + step * direction for x, direction in zip(arrays, directions, strict=True)]
    )
