"""Fill new weights: an initializer takes a shape and a dtype and returns a tensor.

Random ones give the same numbers at every call, also with `seed=None`, which draws a seed when the
initializer is made; a `SeedGenerator` as seed gives other numbers at every call.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras import random, registry
from minikeras.core.spec import as_dtype
from minikeras.core.tensor import Tensor
from minikeras.core.variable import Variable
from minikeras.ops.creation import eye, full, ones, zeros
from minikeras.ops.diagonals import diag
from minikeras.ops.elementwise import cast, sign
from minikeras.ops.linalg import qr
from minikeras.ops.shaping import reshape, transpose
from minikeras.random import SeedGenerator
from minikeras.registry import Configurable, CustomObjectScope


class Initializer(Configurable):
    """The base class: `__call__` takes a shape and a dtype and returns a tensor."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Return the first value of a weight."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected a method __call__(shape, dtype=None), got none."
        )

    def clone(self) -> Any:
        """Return an initializer of the same config."""
        return self.from_config(self.get_config())


# ---- constants -----------------------------------------------------------------------------------


class Constant(Initializer):
    """Fill with `value`, a number or what broadcasts to the weight's shape."""

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return full(shape, self.value, dtype=as_dtype(dtype))


class Zeros(Initializer):
    """Fill with 0."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return zeros(shape, dtype=dtype)


class Ones(Initializer):
    """Fill with 1."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return ones(shape, dtype=dtype)


class Identity(Initializer):
    """Make a matrix with `gain` on the diagonal and 0 elsewhere."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        if len(shape) != 2:
            raise ValueError(f"Identity: expected a shape of two axes, got {tuple(shape)}.")
        return self.gain * eye(shape[0], shape[1], dtype=dtype)


# ---- random numbers ------------------------------------------------------------------------------


class RandomInitializer(Initializer):
    """The base class of initializers with a seed: an integer, a `SeedGenerator` or None."""

    def __init__(self, seed: Any = None) -> None:
        seed = registry.deserialize(seed)
        if not (seed is None or isinstance(seed, (int, np.integer, SeedGenerator))):
            raise ValueError(
                f"{type(self).__name__}: expected seed to be an integer, a SeedGenerator or None, "
                f"got {seed!r}."
            )
        self.seed = seed
        self._seed: Any = random.make_default_seed() if seed is None else seed


class RandomNormal(RandomInitializer):
    """Draw from the normal distribution."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return random.normal(shape, self.mean, self.stddev, dtype, seed=self._seed)


class TruncatedNormal(RandomInitializer):
    """Draw from the normal distribution, nothing beyond two standard deviations from the mean."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, seed=self._seed)


class RandomUniform(RandomInitializer):
    """Draw from the interval `[minval, maxval)`."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        return random.uniform(shape, self.minval, self.maxval, dtype, seed=self._seed)


def compute_fans(
    shape: Sequence[int],
    input_axes: Sequence[int] | None = None,
    output_axes: Sequence[int] | None = None,
) -> tuple[int, int]:
    """Return how many inputs a unit of a weight has and how many outputs an input goes to.

    The last two axes are inputs and outputs, those before them a convolution's window, unless
    `input_axes` and `output_axes` name others.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[i] for i in input_axes), math.prod(shape[i] for i in output_axes)
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


_MODES = ("fan_in", "fan_out", "fan_avg")
_DISTRIBUTIONS = ("uniform", "truncated_normal", "untruncated_normal")
# The standard deviation that is left of N(0, 1) when nothing beyond 2 is kept.
_TRUNCATED_STDDEV = 0.87962566103423978


class VarianceScaling(RandomInitializer):
    """Draw with mean 0 and variance `scale / n`, so that signals keep their size across layers.

    Args:
        scale: a positive number.
        mode: whether n is the number of inputs, `"fan_in"`, of outputs, `"fan_out"`, or their
            mean, `"fan_avg"`.
        distribution: `"uniform"`, `"truncated_normal"` or `"untruncated_normal"`.
        seed: an integer, a SeedGenerator or None.
        input_axes: axes of the weight that are inputs, see `compute_fans`.
        output_axes: axes that are outputs.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        if not scale > 0:
            raise ValueError(f"VarianceScaling: expected scale > 0, got {scale!r}.")
        self.scale = scale
        self.mode = _one_of("mode", mode, _MODES)
        self.distribution = _one_of("distribution", distribution, _DISTRIBUTIONS)
        self.input_axes = input_axes
        self.output_axes = output_axes

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        stddev = math.sqrt(self.scale / max(1, fans[self.mode]))
        if self.distribution == "uniform":
            limit = math.sqrt(3) * stddev
            return random.uniform(shape, -limit, limit, dtype, seed=self._seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, stddev, dtype, seed=self._seed)
        stddev /= _TRUNCATED_STDDEV
        return random.truncated_normal(shape, 0.0, stddev, dtype, seed=self._seed)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if str(value).lower() not in allowed:
        raise ValueError(f"VarianceScaling: expected {name} to be one of {allowed}, got {value!r}.")
    return value.lower()


class GlorotUniform(VarianceScaling):
    """Draw uniformly with variance `2 / (fan_in + fan_out)` (Glorot and Bengio 2010)."""

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed, input_axes, output_axes)


class GlorotNormal(VarianceScaling):
    """Draw from a truncated normal with variance `2 / (fan_in + fan_out)`."""

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed, input_axes, output_axes)


class LecunNormal(VarianceScaling):
    """Draw from a truncated normal with variance `1 / fan_in`."""

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(1.0, "fan_in", "truncated_normal", seed, input_axes, output_axes)


class LecunUniform(VarianceScaling):
    """Draw uniformly with variance `1 / fan_in`."""

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(1.0, "fan_in", "uniform", seed, input_axes, output_axes)


class HeNormal(VarianceScaling):
    """Draw from a truncated normal with variance `2 / fan_in` (He et al., arXiv:1502.01852)."""

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed, input_axes, output_axes)


class HeUniform(VarianceScaling):
    """Draw uniformly with variance `2 / fan_in`."""

    def __init__(self, seed: Any = None, input_axes: Any = None, output_axes: Any = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed, input_axes, output_axes)


class Orthogonal(RandomInitializer):
    """Draw a matrix with orthogonal columns, or rows if it has fewer (Saxe et al. 2014).

    Of more than two axes all but the last count as rows.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        if len(shape) < 2:
            raise ValueError(
                f"Orthogonal: expected a shape of two axes or more, got {tuple(shape)}."
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        flat = (max(rows, columns), min(rows, columns))
        q, r = qr(random.normal(flat, dtype=dtype, seed=self._seed))
        # The factorization prefers some signs; with these all orthogonal matrices are as likely.
        q = q * sign(diag(r))
        return self.gain * reshape(transpose(q) if rows < columns else q, shape)


# Keras exports the classes under these names too.
constant, zeros_initializer, ones_initializer = Constant, Zeros, Ones
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
random_uniform, random_normal = RandomUniform, RandomNormal
truncated_normal, variance_scaling = TruncatedNormal, VarianceScaling
identity = IdentityInitializer = Identity
orthogonal = OrthogonalInitializer = Orthogonal

registry.add(
    "initializer",
    "keras.initializers",
    *(Initializer, Constant, Zeros, Ones, Identity, RandomNormal, TruncatedNormal, RandomUniform),
    *(VarianceScaling, GlorotUniform, GlorotNormal, LecunNormal, LecunUniform, HeNormal),
    *(HeUniform, Orthogonal),
    normal=RandomNormal,
    uniform=RandomUniform,
    one=Ones,
    zero=Zeros,
    IdentityInitializer=Identity,
    OrthogonalInitializer=Orthogonal,
)


def get(identifier: Any) -> Any:
    """Return the initializer meant by a name, a config, a class, a function, an array or None.

    An array or tensor becomes an initializer that returns it, for weights of its shape.
    """
    if isinstance(identifier, (np.ndarray, np.generic, Tensor, Variable)):
        return _given(identifier)
    return registry.get("initializer", identifier)


def _given(value: Any) -> Any:
    def initialize(shape: Sequence[int], dtype: Any = None) -> Any:
        if tuple(shape) != tuple(value.shape):
            raise ValueError(
                f"initializer: expected a weight of the given array's shape {tuple(value.shape)}, "
                f"got {tuple(shape)}."
            )
        return cast(value, as_dtype(dtype))

    return initialize


def serialize(initializer: Any) -> Any:
    """Return the config of an initializer."""
    return registry.serialize_keras_object(initializer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Undo `serialize`."""
    with CustomObjectScope(custom_objects or {}):
        return registry.get("initializer", config)
