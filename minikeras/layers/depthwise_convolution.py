"""Convolutions that look at every channel by itself, and those that mix channels afterwards."""

from typing import Any

from minikeras import ops
from minikeras.layers.arguments import set_recipe, weight, whole
from minikeras.layers.base import Layer
from minikeras.layers.convolution import finished, input_channels, set_window, window
from minikeras.registry import get


class _DepthwiseConvolution(Layer):
    """Convolve each channel over `rank` axes with `depth_multiplier` kernels of its own."""

    rank: int
    paddings = ("valid", "same")

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        set_window(self, kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = whole(type(self).__name__, "depth_multiplier", depth_multiplier)
        self.activation = get("activation", activation or "linear")
        self.use_bias = use_bias
        set_recipe(
            self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        set_recipe(self, "bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = input_channels(self, input_shape)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = weight(self, "kernel", shape, recipe="depthwise")
        if self.use_bias:
            self.bias = weight(self, "bias", (channels * self.depth_multiplier,))

    def call(self, inputs: Any) -> Any:
        return finished(self, ops.depthwise_conv(inputs, self.kernel, **window(self)))


class DepthwiseConv1D(_DepthwiseConvolution):
    """Convolve every channel of sequences by itself; see `DepthwiseConv2D`."""

    rank = 1


class DepthwiseConv2D(_DepthwiseConvolution):
    """Convolve every channel of images by itself; other arguments are those of `Conv2D`.

    Args:
        depth_multiplier: how many output channels each input channel gives.
    """

    rank = 2


class _SeparableConvolution(Layer):
    """Convolve each channel by itself over `rank` axes, then mix channels at every place."""

    rank: int
    paddings = ("valid", "same")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        set_window(self, kernel_size, strides, padding, data_format, dilation_rate)
        self.filters = whole(type(self).__name__, "filters", filters)
        self.depth_multiplier = whole(type(self).__name__, "depth_multiplier", depth_multiplier)
        self.activation = get("activation", activation or "linear")
        self.use_bias = use_bias
        set_recipe(
            self, "depthwise", depthwise_initializer, depthwise_regularizer, depthwise_constraint
        )
        set_recipe(
            self, "pointwise", pointwise_initializer, pointwise_regularizer, pointwise_constraint
        )
        set_recipe(self, "bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = input_channels(self, input_shape)
        deep = (*self.kernel_size, channels, self.depth_multiplier)
        point = (1,) * self.rank + (channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = weight(self, "depthwise_kernel", deep, recipe="depthwise")
        self.pointwise_kernel = weight(self, "pointwise_kernel", point, recipe="pointwise")
        if self.use_bias:
            self.bias = weight(self, "bias", (self.filters,))

    def call(self, inputs: Any) -> Any:
        kernels = (self.depthwise_kernel, self.pointwise_kernel)
        return finished(self, ops.separable_conv(inputs, *kernels, **window(self)))


class SeparableConv1D(_SeparableConvolution):
    """Convolve every channel of sequences by itself, then mix channels; see `SeparableConv2D`."""

    rank = 1


class SeparableConv2D(_SeparableConvolution):
    """Convolve every channel of images by itself, then mix channels with a 1x1 convolution.

    Args:
        depth_multiplier: how many channels each input channel gives before they are mixed.

    The other arguments are those of `Conv2D`.
    """

    rank = 2
