"""The fully connected layer."""

from typing import Any

from minikeras.layers.arguments import set_recipe, weight
from minikeras.layers.base import Layer
from minikeras.layers.input_spec import InputSpec
from minikeras.registry import get


class Dense(Layer):
    """Compute `activation(inputs @ kernel + bias)` over the last axis.

    Args:
        units: length of the output's last axis.
        activation: name or function; None is linear.

    Input shape `(..., n)`, output shape `(..., units)`, kernel `(n, units)`, bias `(units,)`.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if not isinstance(units, int) or units <= 0:
            raise ValueError(f"Dense: expected units to be an integer > 0, got {units!r}.")
        self.units = units
        self.activation = get("activation", activation or "linear")
        self.use_bias = use_bias
        set_recipe(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_recipe(self, "bias", bias_initializer, bias_regularizer, bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)

    def build(self, input_shape: Any) -> None:
        self.kernel = weight(self, "kernel", (input_shape[-1], self.units))
        if self.use_bias:
            self.bias = weight(self, "bias", (self.units,))
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs: Any) -> Any:
        outputs = inputs @ self.kernel
        if self.use_bias:
            outputs = outputs + self.bias
        return self.activation(outputs)
