"""Layers that give each sample another shape and keep its values."""

import math
from collections.abc import Sequence
from typing import Any

from minikeras import ops
from minikeras.layers.arguments import layout, whole
from minikeras.layers.base import Layer
from minikeras.layers.input_spec import InputSpec


class Flatten(Layer):
    """Turn each sample into a vector: `(batch, a, b)` becomes `(batch, a * b)`.

    Args:
        data_format: "channels_first" moves channels last before.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format)
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Any) -> Any:
        batch, *shape = inputs.shape
        if self.data_format == "channels_first" and shape:
            inputs = ops.transpose(inputs, axes=(0, *range(2, inputs.ndim), 1))
        return ops.reshape(inputs, (batch, math.prod(shape)))


class Reshape(Layer):
    """Give each sample the shape `target_shape`, in which one length may be -1 for what is left."""

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        target = (target_shape,) if isinstance(target_shape, int) else target_shape
        self.target_shape = tuple(whole("Reshape", "target_shape", n, -1) for n in target)
        if self.target_shape.count(-1) > 1:
            raise ValueError(
                f"Reshape: expected target_shape with at most one -1, got {self.target_shape}."
            )

    def call(self, inputs: Any) -> Any:
        batch, *shape = inputs.shape
        total = math.prod(shape)
        known = math.prod(n for n in self.target_shape if n != -1)
        rest = total // known if known else 0
        if known != total and (-1 not in self.target_shape or known * rest != total):
            raise ValueError(
                f"Reshape '{self.name}': expected samples that fit target_shape "
                f"{self.target_shape}, got samples of shape {tuple(shape)} with {total} elements."
            )
        return ops.reshape(inputs, (batch, *(rest if n == -1 else n for n in self.target_shape)))


class Permute(Layer):
    """Reorder the axes of each sample; `dims` counts them from 1: `(2, 1)` transposes a matrix."""

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                f"Permute: expected dims to hold each of 1 to {len(self.dims)} once, got {dims}."
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Any) -> Any:
        return ops.transpose(inputs, axes=(0, *self.dims))


class RepeatVector(Layer):
    """Repeat each vector n times: `(batch, width)` becomes `(batch, n, width)`."""

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = whole("RepeatVector", "n", n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Any) -> Any:
        return ops.repeat(inputs[:, None], self.n, axis=1)
