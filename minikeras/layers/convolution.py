"""Convolutions over one and two axes."""

from typing import Any

from minikeras import ops
from minikeras.layers.arguments import (
    along_channels,
    channel_axis,
    layout,
    one_of,
    set_recipe,
    sizes,
    weight,
    whole,
)
from minikeras.layers.base import Layer
from minikeras.layers.input_spec import InputSpec
from minikeras.registry import get


def set_window(
    layer: Any, kernel_size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any
) -> None:
    """Set the attributes that say where a convolution's kernel is laid on the inputs."""
    who, rank = type(layer).__name__, layer.rank
    layer.kernel_size = sizes(who, "kernel_size", kernel_size, rank)
    layer.strides = sizes(who, "strides", strides, rank)
    layer.padding = one_of(who, "padding", padding, layer.paddings)
    layer.data_format = layout(data_format)
    layer.dilation_rate = sizes(who, "dilation_rate", dilation_rate, rank)
    layer.input_spec = InputSpec(ndim=rank + 2)
    if max(layer.strides) > 1 and max(layer.dilation_rate) > 1:
        raise ValueError(
            f"{who}: expected strides or dilation_rate to be 1, got strides={layer.strides} and "
            f"dilation_rate={layer.dilation_rate}. Use one of the two."
        )


def window(layer: Any) -> dict[str, Any]:
    """Return the arguments of `ops.conv` that `set_window` made."""
    names = ("strides", "padding", "data_format", "dilation_rate")
    return {name: getattr(layer, name) for name in names}


def input_channels(layer: Any, input_shape: Any) -> int:
    """Return the number of channels that the inputs have, and from now on must have."""
    axis = channel_axis(layer.data_format)
    channels = input_shape[axis]
    if channels is None:
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}': expected inputs with a known number of "
            f"channels, got shape {tuple(input_shape)}. Give it in Input(shape=...)."
        )
    layer.input_spec = InputSpec(ndim=layer.rank + 2, axes={axis: channels})
    return int(channels)


def finished(layer: Any, outputs: Any) -> Any:
    """Add the bias and apply the activation."""
    if layer.use_bias:
        outputs = outputs + along_channels(layer.bias, layer.rank, layer.data_format)
    return layer.activation(outputs)


class _Convolution(Layer):
    """Convolve over `rank` axes with kernels of channels `channels / groups`."""

    rank: int
    paddings: tuple[str, ...] = ("valid", "same")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
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
        who = type(self).__name__
        set_window(self, kernel_size, strides, padding, data_format, dilation_rate)
        self.filters = whole(who, "filters", filters)
        self.groups = whole(who, "groups", groups)
        if filters % groups:
            raise ValueError(
                f"{who}: expected filters to be a multiple of groups, got filters={filters} and "
                f"groups={groups}."
            )
        self.activation = get("activation", activation or "linear")
        self.use_bias = use_bias
        set_recipe(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_recipe(self, "bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = input_channels(self, input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': expected inputs whose number of channels "
                f"is a multiple of groups={self.groups}, got shape {tuple(input_shape)}."
            )
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        self.kernel = weight(self, "kernel", shape)
        if self.use_bias:
            self.bias = weight(self, "bias", (self.filters,))

    def call(self, inputs: Any) -> Any:
        return finished(self, ops.conv(inputs, self.kernel, **window(self)))


class Conv2D(_Convolution):
    """Slide `filters` kernels over images and compute `activation(kernel * inputs + bias)`.

    Args:
        filters: length of the output's channel axis.
        kernel_size: height and width of the kernel; one integer if equal.
        strides: steps down and right.
        padding: "same" adds zeros around, so that strides of 1 keep height and width.
        data_format: "channels_last" is `(batch, height, width, channels)`.
        dilation_rate: distance of the kernel's elements.
        groups: input channels and filters are cut into so many groups that do not see each other.
        activation: name or function; None is linear.

    The kernel has shape `(height, width, channels / groups, filters)`.
    """

    rank = 2


class Conv1D(_Convolution):
    """Slide `filters` kernels over sequences `(batch, steps, channels)`; see `Conv2D`.

    `padding="causal"` adds zeros before the first step only, so that no output sees later inputs.
    """

    rank = 1
    paddings = ("valid", "same", "causal")

    def call(self, inputs: Any) -> Any:
        if self.padding != "causal":
            return super().call(inputs)
        steps = 1 if self.data_format == "channels_last" else 2
        before = self.dilation_rate[0] * (self.kernel_size[0] - 1)
        inputs = ops.pad(inputs, [(before if axis == steps else 0, 0) for axis in range(3)])
        return finished(self, ops.conv(inputs, self.kernel, **window(self) | {"padding": "valid"}))
