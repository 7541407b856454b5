"""`tf.random`: names that point at ours."""

import functools
from typing import Any

from minikeras import random as _random
from minikeras.core.spec import as_dtype
from minikeras.tf.adapt import adapted

set_seed = _random.set_random_seed


def _of_operation(seed: Any) -> Any:
    """Return what goes on from draw to draw for an operation's `seed`, as in TensorFlow."""
    return _random.global_seed_generator(seed) if isinstance(seed, int) else seed


def _around(draw: Any) -> Any:
    @functools.wraps(draw)
    def call(
        shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: Any = None
    ) -> Any:
        return draw(_sizes(shape), mean, stddev, dtype=dtype, seed=_of_operation(seed))

    return adapted(call)


normal, truncated_normal = _around(_random.normal), _around(_random.truncated_normal)


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = "float32",
    seed: Any = None,
    name: Any = None,
) -> Any:
    """Draw from `[minval, maxval)`: numbers, or integers for an integer dtype."""
    shape, seed = _sizes(shape), _of_operation(seed)
    if as_dtype(dtype).kind in "iu":
        if maxval is None:
            raise ValueError("tf.random.uniform: expected maxval for integers, got None.")
        return _random.randint(shape, minval, maxval, dtype=dtype, seed=seed)
    return _random.uniform(shape, minval, 1 if maxval is None else maxval, dtype=dtype, seed=seed)


def categorical(
    logits: Any, num_samples: int, dtype: Any = "int64", seed: Any = None, name: Any = None
) -> Any:
    """Draw `num_samples` class numbers for each row of log-probabilities."""
    return _random.categorical(logits, num_samples, dtype=dtype, seed=_of_operation(seed))


def shuffle(value: Any, seed: Any = None, name: Any = None) -> Any:
    """Put the slices along the first axis into a random order."""
    return _random.shuffle(value, axis=0, seed=_of_operation(seed))


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in shape)
