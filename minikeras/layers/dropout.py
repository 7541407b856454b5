"""Layers that disturb their inputs at random while training, and pass them on otherwise."""

from collections.abc import Sequence
from typing import Any

from minikeras import random
from minikeras.layers.arguments import fraction, layout, whole
from minikeras.layers.base import Layer
from minikeras.layers.input_spec import InputSpec


class Dropout(Layer):
    """Set inputs to 0 with probability `rate`, and divide the others by `1 - rate`.

    Args:
        rate: from 0 to 1.
        noise_shape: shape of the random choice, which broadcasts; None in it is the input's length.
        seed: an integer makes the sequence of choices repeatable.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = fraction(type(self).__name__, "rate", rate)
        self.noise_shape = None
        if noise_shape is not None:
            self.noise_shape = tuple(
                n if n is None else whole("Dropout", "noise_shape", n) for n in noise_shape
            )
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed) if rate > 0 else None

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        if self.rate == 1:
            return inputs * 0
        shape = self._noise_shape_for(inputs)
        return random.dropout(inputs, self.rate, noise_shape=shape, seed=self.seed_generator)

    def _noise_shape_for(self, inputs: Any) -> Any:
        return self.noise_shape


class SpatialDropout1D(Dropout):
    """Set whole channels of sequences `(batch, steps, channels)` to 0; see `Dropout`."""

    def __init__(
        self, rate: float, seed: int | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.input_spec = InputSpec(ndim=3)

    def _noise_shape_for(self, inputs: Any) -> Any:
        return (None, 1, None)


class SpatialDropout2D(Dropout):
    """Set whole channels of images to 0; see `Dropout`."""

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        self.data_format = layout(data_format)
        self.input_spec = InputSpec(ndim=4)

    def _noise_shape_for(self, inputs: Any) -> Any:
        return (None, 1, 1, None) if self.data_format == "channels_last" else (None, None, 1, 1)


class GaussianNoise(Layer):
    """Add normal noise of mean 0 and standard deviation `stddev`, from 0 to 1."""

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stddev = fraction("GaussianNoise", "stddev", stddev)
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.stddev == 0:
            return inputs
        noise = random.normal(
            inputs.shape, stddev=self.stddev, dtype=inputs.dtype, seed=self.seed_generator
        )
        return inputs + noise


class GaussianDropout(Layer):
    """Multiply by normal noise of mean 1 and standard deviation `sqrt(rate / (1 - rate))`."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = fraction("GaussianDropout", "rate", rate)
        if rate == 1:
            raise ValueError("GaussianDropout: expected rate to be below 1, got 1.")
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return inputs
        return inputs * random.normal(
            inputs.shape,
            mean=1.0,
            stddev=(self.rate / (1 - self.rate)) ** 0.5,
            dtype=inputs.dtype,
            seed=self.seed_generator,
        )
