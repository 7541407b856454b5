"""Layers that keep one value, the largest or the mean, of each window or of everything."""

from collections.abc import Callable
from typing import Any

from minikeras import ops
from minikeras.layers.arguments import layout, one_of, sizes
from minikeras.layers.base import Layer
from minikeras.layers.input_spec import InputSpec


class _Pooling(Layer):
    """Reduce windows over `rank` axes to one value each, by `pool`."""

    rank: int
    pool: Callable[..., Any]

    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        who = type(self).__name__
        self.pool_size = sizes(who, "pool_size", pool_size, self.rank)
        strides = self.pool_size if strides is None else strides
        self.strides = sizes(who, "strides", strides, self.rank)
        self.padding = one_of(who, "padding", padding, ("valid", "same"))
        self.data_format = layout(data_format)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        return self.pool(
            inputs,
            pool_size=self.pool_size,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
        )


class MaxPooling1D(_Pooling):
    """Keep the largest value of each window of steps; see `MaxPooling2D`."""

    rank, pool = 1, staticmethod(ops.max_pool)


class MaxPooling2D(_Pooling):
    """Keep the largest value of each window of an image.

    Args:
        pool_size: height and width of the window; one integer if equal.
        strides: steps down and right; `pool_size` if None.
        padding: "same" lets windows reach over the edge; "valid" leaves a rest out.
        data_format: "channels_last" is `(batch, height, width, channels)`.
    """

    rank, pool = 2, staticmethod(ops.max_pool)


class AveragePooling1D(_Pooling):
    """Keep the mean of each window of steps; see `MaxPooling2D`."""

    rank, pool = 1, staticmethod(ops.average_pool)


class AveragePooling2D(_Pooling):
    """Keep the mean of each window of an image, edges not counted; see `MaxPooling2D`."""

    rank, pool = 2, staticmethod(ops.average_pool)


class _GlobalPooling(Layer):
    """Reduce `rank` axes to one value a channel, by `pool`."""

    rank: int
    pool: Callable[..., Any]

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = layout(data_format)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        first = 1 if self.data_format == "channels_last" else 2
        return self.pool(
            inputs, axis=tuple(range(first, first + self.rank)), keepdims=self.keepdims
        )


class GlobalAveragePooling1D(_GlobalPooling):
    """Average over all steps: `(batch, steps, channels)` becomes `(batch, channels)`."""

    rank, pool = 1, staticmethod(ops.mean)


class GlobalAveragePooling2D(_GlobalPooling):
    """Average over height and width: one value a channel, length 1 axes kept if `keepdims`."""

    rank, pool = 2, staticmethod(ops.mean)


class GlobalMaxPooling1D(_GlobalPooling):
    """Keep the largest value of all steps: one value a channel."""

    rank, pool = 1, staticmethod(ops.max)


class GlobalMaxPooling2D(_GlobalPooling):
    """Keep the largest value over height and width: one value a channel."""

    rank, pool = 2, staticmethod(ops.max)
