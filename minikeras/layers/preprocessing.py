"""Layers that bring raw data into the range that networks like."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from minikeras import config, ops
from minikeras.core.tensor import Tensor, as_tensor
from minikeras.layers.base import Layer
from minikeras.layers.batch_normalization import normalized_axes


class Rescaling(Layer):
    """Compute `inputs * scale + offset`; both may be arrays, and integers become floats."""

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset

    def call(self, inputs: Any) -> Any:
        scale, offset = (
            as_tensor(value, self.compute_dtype) for value in (self.scale, self.offset)
        )
        if scale.ndim and config.image_data_format() == "channels_first":
            scale = ops.reshape(scale, (*scale.shape, *(1,) * (3 - scale.ndim)))
        return ops.cast(inputs, self.compute_dtype) * scale + offset


class Normalization(Layer):
    """Shift and scale inputs to mean 0 and variance 1, by statistics found in data beforehand.

    Call `adapt(data)`, or give both statistics.

    Args:
        axis: axes that have a mean and variance for each place; None is none of them.
        mean: a number, or numbers along `axis`.
        variance: likewise.
        invert: whether to undo the normalization instead.

    >>> layer = Normalization()
    >>> layer.adapt(np.array([[1.0], [3.0]]))
    >>> layer(np.array([[3.0]]))
    <tf.Tensor: shape=(1, 1), dtype=float32, numpy=array([[1.]], dtype=float32)>
    """

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ValueError(
                f"Normalization: expected both mean and variance or neither, got mean={mean} and "
                f"variance={variance}."
            )
        one = isinstance(axis, int)
        self.axis = (axis,) if one else () if axis is None else tuple(axis)  # type: ignore[arg-type]
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert

    def build(self, input_shape: Any) -> None:
        kept = normalized_axes(self, self.axis, input_shape)
        if 0 in kept:
            raise ValueError(
                f"Normalization '{self.name}': expected axis without the batch axis 0, got "
                f"{self.axis}."
            )
        rank = len(input_shape)
        self._reduced = tuple(axis for axis in range(rank) if axis not in kept)
        self._shape = tuple(input_shape[axis] if axis in kept else 1 for axis in range(rank))
        if self.input_mean is None:
            shape = tuple(input_shape[axis] for axis in kept)
            self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
            self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
            # Always 0: Keras has it for the sake of its older files, and so have they.
            self.count = self.add_weight((), "zeros", "int32", trainable=False, name="count")

    @property
    def mean(self) -> Any:
        """The mean, with length 1 along the axes that have none."""
        return self._statistic(self.input_mean, "adapt_mean")

    @property
    def variance(self) -> Any:
        """The variance, with length 1 along the axes that have none."""
        return self._statistic(self.input_variance, "adapt_variance")

    def _statistic(self, given: Any, found: str) -> Any:
        if not self.built:
            return None
        if given is None:
            return ops.reshape(getattr(self, found), self._shape)
        given = as_tensor(given, self.compute_dtype)
        if 0 < given.ndim < len(self._shape):
            # As Keras does: axes of the numbers are the last ones of `axis`.
            kept = [axis for axis in range(len(self._shape)) if axis not in self._reduced]
            lengths = [1] * len(self._shape)
            for axis, n in zip(kept[-given.ndim :], given.shape, strict=True):
                lengths[axis] = n
            given = ops.reshape(given, lengths)
        return ops.broadcast_to(given, self._shape)

    def adapt(self, data: Any) -> None:
        """Find mean and variance in an array, or in a data set or other iterable of batches."""
        batches = _batches(data)
        first = next(batches, None)
        if first is None:
            raise ValueError(
                f"Normalization '{self.name}': expected at least one batch to adapt to, got none."
            )
        if not self.built:
            self.build(tuple(first.shape))
        mean, variance, total = 0.0, 0.0, 0
        for batch in itertools.chain([first], batches):
            batch_mean, batch_variance = ops.moments(
                ops.cast(batch, self.compute_dtype), self._reduced
            )
            count = math.prod(batch.shape[axis] for axis in self._reduced)
            total += count
            share = count / total if total else 0.0
            # The variance of two groups is the mean of theirs plus that of their means.
            between = ops.square(batch_mean - mean) * (share * (1 - share))
            variance = batch_variance * share + variance * (1 - share) + between
            mean = batch_mean * share + mean * (1 - share)
        self.adapt_mean.assign(mean)
        self.adapt_variance.assign(variance)

    def call(self, inputs: Any) -> Any:
        inputs = ops.cast(inputs, self.compute_dtype)
        deviation = ops.maximum(ops.sqrt(self.variance), config.epsilon())
        if self.invert:
            return inputs * deviation + self.mean
        return (inputs - self.mean) / deviation

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments: the attributes `mean` and `variance` mean more."""
        given = {"mean": self.input_mean, "variance": self.input_variance}
        plain = {
            name: value if value is None else as_tensor(value).numpy().tolist()
            for name, value in given.items()
        }
        return super().get_config() | plain


def _batches(data: Any) -> Iterator[Any]:
    """Yield tensors: `data` itself if it is one, else its elements, or the first part of each."""
    if isinstance(data, Tensor) or hasattr(data, "__array__"):
        yield as_tensor(data)
        return
    for element in data:
        yield as_tensor(element[0] if isinstance(element, tuple) else element)
