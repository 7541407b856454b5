"""Convolutions that enlarge: the transpose of what `Conv1D` and `Conv2D` compute."""

from typing import Any

from minikeras import ops
from minikeras.layers.arguments import set_recipe, sizes, weight, whole
from minikeras.layers.base import Layer
from minikeras.layers.convolution import finished, input_channels, set_window, window
from minikeras.registry import get


class _TransposedConvolution(Layer):
    """Spread each value over `rank` axes; channels come last in the kernel."""

    rank: int
    paddings = ("valid", "same")

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = sizes(who, "output_padding", output_padding, self.rank, lowest=0)
            if any(p >= s for p, s in zip(self.output_padding, self.strides, strict=True)):
                raise ValueError(
                    f"{who}: expected output_padding below strides={self.strides}, got "
                    f"{self.output_padding}."
                )
        self.activation = get("activation", activation or "linear")
        self.use_bias = use_bias
        set_recipe(self, "kernel", kernel_initializer, kernel_regularizer, kernel_constraint)
        set_recipe(self, "bias", bias_initializer, bias_regularizer, bias_constraint)

    def build(self, input_shape: Any) -> None:
        channels = input_channels(self, input_shape)
        self.kernel = weight(self, "kernel", (*self.kernel_size, self.filters, channels))
        if self.use_bias:
            self.bias = weight(self, "bias", (self.filters,))

    def call(self, inputs: Any) -> Any:
        padding = self.output_padding
        outputs = ops.conv_transpose(inputs, self.kernel, output_padding=padding, **window(self))
        return finished(self, outputs)


class Conv1DTranspose(_TransposedConvolution):
    """Enlarge sequences by the transpose of a convolution; see `Conv2DTranspose`."""

    rank = 1


class Conv2DTranspose(_TransposedConvolution):
    """Enlarge images by the transpose of a convolution; other arguments are those of `Conv2D`.

    Args:
        output_padding: rows and columns added at the end, fewer than strides; None chooses.
    """

    rank = 2
