"""Layers that add zeros around images and sequences, cut edges off, or repeat pixels."""

from typing import Any

from minikeras import ops
from minikeras.layers.arguments import layout, one_of, pairs, sizes, whole
from minikeras.layers.base import Layer
from minikeras.layers.input_spec import InputSpec


def _first_axis(data_format: str) -> int:
    """Return the first axis that is neither batch nor channels."""
    return 1 if data_format == "channels_last" else 2


def _cropped(layer: Any, inputs: Any, first: int, amounts: Any) -> Any:
    """Cut `amounts` off both ends of the axes from `first` on."""
    for axis, (start, end) in enumerate(amounts, first):
        if start + end >= inputs.shape[axis]:
            raise ValueError(
                f"{type(layer).__name__} '{layer.name}': expected inputs longer than {start + end} "
                f"along axis {axis}, got shape {tuple(inputs.shape)}. Crop less."
            )
        kept = slice(start, inputs.shape[axis] - end)
        inputs = inputs[(*(slice(None),) * axis, kept)]
    return inputs


class ZeroPadding1D(Layer):
    """Add zeros before and after sequences `(batch, steps, channels)`.

    Args:
        padding: how many steps at both ends, or before and after.
    """

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = sizes("ZeroPadding1D", "padding", padding, 2, lowest=0)
        self.data_format = layout(data_format)
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Any) -> Any:
        widths: list[tuple[int, ...]] = [(0, 0)] * 3
        widths[_first_axis(self.data_format)] = self.padding
        return ops.pad(inputs, widths)


class ZeroPadding2D(Layer):
    """Add rows and columns of zeros around images.

    Args:
        padding: n on all sides, `(vertical, horizontal)` or `((top, bottom), (left, right))`.
        data_format: "channels_last" is `(batch, height, width, channels)`.
    """

    def __init__(
        self, padding: Any = (1, 1), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.padding = pairs("ZeroPadding2D", "padding", padding)
        self.data_format = layout(data_format)
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        first = _first_axis(self.data_format)
        return ops.pad(inputs, [*[(0, 0)] * first, *self.padding, *[(0, 0)] * (2 - first)])


class Cropping1D(Layer):
    """Cut steps off both ends of sequences `(batch, steps, channels)`."""

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = sizes("Cropping1D", "cropping", cropping, 2, lowest=0)
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Any) -> Any:
        return _cropped(self, inputs, 1, [self.cropping])


class Cropping2D(Layer):
    """Cut rows and columns off the edges of images.

    Args:
        cropping: n on all sides, `(vertical, horizontal)` or `((top, bottom), (left, right))`.
    """

    def __init__(
        self, cropping: Any = ((0, 0), (0, 0)), data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.cropping = pairs("Cropping2D", "cropping", cropping)
        self.data_format = layout(data_format)
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        return _cropped(self, inputs, _first_axis(self.data_format), self.cropping)


class UpSampling1D(Layer):
    """Repeat every step of sequences `(batch, steps, channels)` `size` times."""

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = whole("UpSampling1D", "size", size)
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs: Any) -> Any:
        return ops.repeat(inputs, self.size, axis=1)


class UpSampling2D(Layer):
    """Repeat the rows and columns of images.

    Args:
        size: how many times, down and right.
        interpolation: "nearest", which repeats pixels, is the only one.
    """

    def __init__(
        self,
        size: Any = (2, 2),
        data_format: str | None = None,
        interpolation: str = "nearest",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = sizes("UpSampling2D", "size", size, 2)
        self.data_format = layout(data_format)
        self.interpolation = one_of("UpSampling2D", "interpolation", interpolation, ("nearest",))
        self.input_spec = InputSpec(ndim=4)

    def call(self, inputs: Any) -> Any:
        first = _first_axis(self.data_format)
        return ops.repeat(
            ops.repeat(inputs, self.size[0], axis=first), self.size[1], axis=first + 1
        )
