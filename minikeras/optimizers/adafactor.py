"""Adafactor: Adam's divisor from the means of rows and columns, to save memory."""

from typing import Any

from minikeras.ops.elementwise import maximum, minimum, power, sqrt, square
from minikeras.ops.reduction import mean
from minikeras.ops.shaping import expand_dims
from minikeras.optimizers.base import Optimizer


def _size(x: Any) -> Any:
    """Return the root of the mean square."""
    return sqrt(mean(square(x)))


class Adafactor(Optimizer):
    """Divide the gradient by a product of row and column means of squares.

    From Shazeer and Stern, 2018, https://arxiv.org/abs/1804.04235. Steps are in proportion to the
    size of the parameter, and the learning rate is `1 / sqrt(step)` at most.

    Args:
        beta_2_decay: how fast the means come to last: a step keeps `1 - step**beta_2_decay`.
        epsilon_1: added to squares of gradients.
        epsilon_2: the least size of a parameter that steps are in proportion to.
        clip_threshold: steps are scaled down to this root of their mean square.
        relative_step: Keras' name for the limit on the learning rate, which is kept either way.
    """

    slots = (("row", "column", "velocity"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def slot_spec(self, slot: str, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
        if slot == "velocity":
            return shape, dtype
        if len(shape) < 2:
            return (), "int32"  # in the place that Keras' files have for it
        return (shape[:-1] if slot == "row" else (*shape[:-2], shape[-1])), dtype

    def pace(self, rate: Any, step: Any) -> Any:
        return minimum(rate, 1 / sqrt(step)), 1 - power(step, self.beta_2_decay)

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        row, column, velocity = slots
        rate, keep = pace
        squares = square(grad) + self.epsilon_1
        if value.ndim >= 2:
            row = keep * row + (1 - keep) * mean(squares, axis=-1)
            column = keep * column + (1 - keep) * mean(squares, axis=-2)
            share = row / mean(row, axis=-1, keepdims=True)
            velocity = expand_dims(share, -1) * expand_dims(column, -2)
        else:
            velocity = keep * velocity + (1 - keep) * squares
        step = grad / sqrt(velocity)
        step = step / maximum(_size(step) / self.clip_threshold, 1.0)
        scale = maximum(_size(value), self.epsilon_2) * rate
        return value - scale * step, (row, column, velocity)
