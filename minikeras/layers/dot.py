"""The dot product of two inputs."""

import string
from collections.abc import Sequence
from typing import Any

from minikeras import ops
from minikeras.layers.base import Layer
from minikeras.layers.merge import listed
from minikeras.ops.define import one_axis


class Dot(Layer):
    """Multiply two inputs sample by sample and sum over one axis of each.

    Args:
        axes: the axis to sum over, or a pair of them, one for each input; the batch axis is 0.
        normalize: divide by the norms along these axes first, so that the result is a cosine.

    Shapes `(batch, a, n)` and `(batch, b, n)` give `(batch, a, b)`; two vectors give `(batch, 1)`.
    """

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = [axes, axes] if isinstance(axes, int) else list(axes)
        if len(pair) != 2 or not all(isinstance(axis, int) for axis in pair) or 0 in pair:
            raise ValueError(
                f"Dot: expected axes to be an integer or 2 of them, not the batch axis 0, got "
                f"{axes!r}."
            )
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize

    def call(self, inputs: Any) -> Any:
        first, second = self._checked(listed(self, inputs, least=2))
        pair = [self.axes] * 2 if isinstance(self.axes, int) else self.axes
        one, other = (
            one_axis(axis, x.ndim, f"Dot '{self.name}'")
            for axis, x in zip(pair, (first, second), strict=True)
        )
        if first.shape[one] != second.shape[other]:
            raise ValueError(
                f"Dot '{self.name}': expected axis {pair[0]} of the first and {pair[1]} of the "
                f"second input to be of one length, got shapes {tuple(first.shape)} and "
                f"{tuple(second.shape)}."
            )
        if self.normalize:
            first, second = ops.normalize(first, axis=one), ops.normalize(second, axis=other)
        letters = iter(string.ascii_lowercase[2:])
        left = ["b", *(next(letters) for _ in first.shape[1:])]
        right = ["b", *(next(letters) for _ in second.shape[1:])]
        left[one] = right[other] = "a"
        kept = [letter for letter in left + right[1:] if letter != "a"]
        outputs = ops.einsum(f"{''.join(left)},{''.join(right)}->{''.join(kept)}", first, second)
        return outputs if outputs.ndim > 1 else ops.reshape(outputs, (*outputs.shape, 1))

    def _checked(self, inputs: list[Any]) -> list[Any]:
        if len(inputs) != 2 or any(x.ndim < 2 for x in inputs):
            raise ValueError(
                f"Dot '{self.name}': expected 2 inputs with at least 2 axes, got shapes "
                f"{[tuple(x.shape) for x in inputs]}."
            )
        return inputs


def dot(inputs: Any, axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """Return `Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
