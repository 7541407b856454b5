"""Activation functions as layers of their own."""

from collections.abc import Sequence
from typing import Any

from minikeras import activations, ops
from minikeras.layers.arguments import refuse_mask, set_recipe, weight
from minikeras.layers.base import Layer
from minikeras.layers.input_spec import InputSpec
from minikeras.registry import get


def _not_negative(who: str, name: str, value: Any) -> Any:
    if not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"{who}: expected {name} to be a number >= 0, got {value!r}.")
    return value


class Activation(Layer):
    """Apply an activation function, given by name or as a function."""

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = get("activation", activation or "linear")

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)


class ReLU(Layer):
    """Compute `max(x, 0)`, or with other bounds and slope than that.

    Args:
        max_value: the largest result; None is no bound.
        negative_slope: slope below `threshold`.
        threshold: where the slope changes; results jump there unless it is 0.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if max_value is not None:
            _not_negative("ReLU", "max_value", max_value)
        self.max_value = max_value
        self.negative_slope = _not_negative("ReLU", "negative_slope", negative_slope)
        self.threshold = _not_negative("ReLU", "threshold", threshold)

    def call(self, inputs: Any) -> Any:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """Compute x where it is positive, `negative_slope * x` elsewhere."""

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = _not_negative("LeakyReLU", "negative_slope", negative_slope)

    def call(self, inputs: Any) -> Any:
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)


class ELU(Layer):
    """Compute x where it is positive, `alpha * (exp(x) - 1)` elsewhere."""

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Any) -> Any:
        return activations.elu(inputs, alpha=self.alpha)


class PReLU(Layer):
    """Compute x where it is positive, `alpha * x` elsewhere, with a weight alpha.

    Args:
        shared_axes: axes along which one alpha serves all, counted with the batch axis as 0;
            `[1, 2]` gives images one alpha a channel.
    """

    def __init__(
        self,
        alpha_initializer: Any = "Zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_recipe(self, "alpha", alpha_initializer, alpha_regularizer, alpha_constraint)
        shared_axes = [shared_axes] if isinstance(shared_axes, int) else shared_axes
        self.shared_axes = None if shared_axes is None else list(shared_axes)

    def build(self, input_shape: Any) -> None:
        shared = self.shared_axes or []
        lengths = dict(enumerate(input_shape))
        lengths = {axis: n for axis, n in lengths.items() if axis and axis not in shared}
        shape = tuple(lengths.get(axis, 1) for axis in range(1, len(input_shape)))
        self.alpha = weight(self, "alpha", shape)
        self.input_spec = InputSpec(ndim=len(input_shape), axes=lengths)

    def call(self, inputs: Any) -> Any:
        return ops.relu(inputs) - self.alpha * ops.relu(-inputs)


class Softmax(Layer):
    """Compute `exp(x) / sum(exp(x))` along one axis or several."""

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any, mask: Any = None) -> Any:
        refuse_mask(self, mask)
        return ops.softmax(inputs, axis=self.axis)
