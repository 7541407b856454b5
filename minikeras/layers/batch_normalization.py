"""Normalization by the statistics of the batch."""

from typing import Any

from minikeras import ops
from minikeras.core.spec import result_type
from minikeras.layers.arguments import refuse_mask, set_recipe, weight
from minikeras.layers.base import Layer
from minikeras.layers.input_spec import InputSpec
from minikeras.ops.define import all_axes
from minikeras.registry import get


class BatchNormalization(Layer):
    """Compute `gamma * (inputs - mean) / sqrt(variance + epsilon) + beta` for each channel.

    In training, mean and variance are those of the batch, and moving averages of both are kept,
    which serve otherwise, and always while `trainable` is False.

    Args:
        axis: of the channels.
        momentum: share of the old moving average in the new.
        epsilon: keeps the root away from 0.
        center: whether there is a beta.
        scale: whether there is a gamma.

    Weights: gamma, beta, moving_mean, moving_variance, one number a channel each. The moving
    variance follows that of the batch divided by n, not by n - 1.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        set_recipe(self, "beta", beta_initializer, beta_regularizer, beta_constraint)
        set_recipe(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)
        self.moving_mean_initializer = get("initializer", moving_mean_initializer)
        self.moving_variance_initializer = get("initializer", moving_variance_initializer)

    def build(self, input_shape: Any) -> None:
        axis = normalized_axes(self, self.axis, input_shape)[0]
        shape = (input_shape[axis],)
        self.gamma = weight(self, "gamma", shape) if self.scale else None
        self.beta = weight(self, "beta", shape) if self.center else None
        self.moving_mean, self.moving_variance = (
            self.add_weight(shape, initializer, trainable=False, name=name)
            for name, initializer in (
                ("moving_mean", self.moving_mean_initializer),
                ("moving_variance", self.moving_variance_initializer),
            )
        )
        self.input_spec = InputSpec(ndim=len(input_shape), axes={axis: input_shape[axis]})

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        refuse_mask(self, mask)
        inputs = ops.cast(inputs, result_type(inputs.dtype, "float32"))  # float16 is too narrow
        mean, variance = self.moving_mean, self.moving_variance
        if training and self.trainable:
            axis = self.axis % inputs.ndim
            mean, variance = ops.moments(inputs, [i for i in range(inputs.ndim) if i != axis])
            self._follow(self.moving_mean, mean)
            self._follow(self.moving_variance, variance)
        outputs = ops.batch_normalization(
            inputs,
            mean,
            variance,
            self.axis,
            offset=self.beta,
            scale=self.gamma,
            epsilon=self.epsilon,
        )
        return ops.cast(outputs, self.compute_dtype)

    def _follow(self, average: Any, value: Any) -> None:
        average.assign(average * self.momentum + value * (1 - self.momentum))


def normalized_axes(layer: Any, axis: Any, input_shape: Any) -> tuple[int, ...]:
    """Return the axes to normalize, counted from the front, ascending; their lengths are known."""
    rank = len(input_shape)
    try:
        axes = all_axes(axis, rank)
    except ValueError as error:
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}': {error} The inputs have shape {input_shape}."
        ) from None
    if any(input_shape[a] is None for a in axes):
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}': expected inputs with a known length of axis "
            f"{axis}, got shape {tuple(input_shape)}. Give it in Input(shape=...)."
        )
    return axes
