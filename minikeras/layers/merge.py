"""Layers that make one tensor of several."""

import functools
from collections.abc import Callable
from typing import Any

from minikeras import ops
from minikeras.layers.base import Layer


def listed(layer: Any, inputs: Any, least: int = 1) -> list[Any]:
    """Return the inputs as a list; raise `ValueError` unless they are a list of tensors."""
    if not isinstance(inputs, (list, tuple)) or len(inputs) < least:
        got = f"{len(inputs)} of them" if isinstance(inputs, (list, tuple)) else "one tensor"
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}': expected a list of at least {least} "
            f"input{'s' * (least > 1)}, got {got}. Call it on a list: layer([a, b])."
        )
    return list(inputs)


class _Merge(Layer):
    """Combine inputs of one shape, or of shapes that broadcast, one after the other.

    Inputs with fewer axes get axes of length 1 after the batch axis.
    """

    combine: Callable[[Any, Any], Any]

    def call(self, inputs: Any) -> Any:
        inputs = listed(self, inputs)
        rank = max(x.ndim for x in inputs)
        aligned = [
            ops.reshape(x, (*x.shape[:1], *(1,) * (rank - x.ndim), *x.shape[1:]))
            if x.ndim < rank
            else x
            for x in inputs
        ]
        try:
            return functools.reduce(self.combine, aligned)
        except ValueError as error:
            shapes = [tuple(x.shape) for x in inputs]
            raise ValueError(
                f"{type(self).__name__} '{self.name}': expected inputs of one shape, or that "
                f"broadcast, got shapes {shapes}."
            ) from error


class Add(_Merge):
    """Sum a list of inputs."""

    combine = staticmethod(ops.add)


class Subtract(_Merge):
    """Subtract the second of two inputs from the first."""

    combine = staticmethod(ops.subtract)

    def call(self, inputs: Any) -> Any:
        if len(listed(self, inputs, least=2)) != 2:
            raise ValueError(
                f"Subtract '{self.name}': expected a list of 2 inputs, got {len(inputs)}."
            )
        return super().call(inputs)


class Multiply(_Merge):
    """Multiply a list of inputs elementwise."""

    combine = staticmethod(ops.multiply)


class Average(_Merge):
    """Average a list of inputs elementwise."""

    combine = staticmethod(ops.add)

    def call(self, inputs: Any) -> Any:
        return super().call(inputs) / len(inputs)


class Maximum(_Merge):
    """Take the largest of a list of inputs elementwise."""

    combine = staticmethod(ops.maximum)


class Minimum(_Merge):
    """Take the smallest of a list of inputs elementwise."""

    combine = staticmethod(ops.minimum)


class Concatenate(Layer):
    """Join a list of inputs along an axis; all other axes must agree."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        inputs = listed(self, inputs)
        shapes = [tuple(x.shape) for x in inputs]
        rank = len(shapes[0])
        axis = self.axis % rank if -rank <= self.axis < rank else None
        if axis is None or len({(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}) > 1:
            raise ValueError(
                f"Concatenate '{self.name}': expected inputs of the same shape except along axis "
                f"{self.axis}, got shapes {shapes}."
            )
        return ops.concatenate(inputs, axis=axis)


def add(inputs: Any, **kwargs: Any) -> Any:
    """Return `Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """Return `Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """Return `Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """Return `Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """Return `Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """Return `Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """Return `Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)
