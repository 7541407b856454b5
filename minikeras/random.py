"""Draw random numbers as Keras does: from an integer seed, a generator or the global generator.

An integer gives the same numbers at every call. A `SeedGenerator` counts its draws in a Variable,
so that a traced function takes the state in and gives it back, and a saved one goes on.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras import registry
from minikeras.core.basic import add, filled
from minikeras.core.context import eagerly, name_scope, unique_name
from minikeras.core.spec import as_dtype
from minikeras.core.tensor import EagerTensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops import random as draws
from minikeras.ops.define import along, composite, lengths, one_axis
from minikeras.ops.elementwise import minimum
from minikeras.ops.indexing import getitem
from minikeras.registry import Configurable
from minikeras.tracking import Tracked

_UINT32 = np.dtype("uint32")
_STEP = EagerTensor(np.array([0, 1], _UINT32))


def make_default_seed() -> int:
    """Return a seed from Python's own generator, which `set_random_seed` seeds."""
    return random.randint(1, 10**9)


def _first_state(seed: int) -> Any:
    return as_tensor(np.array([seed & 0xFFFFFFFF, 0], _UINT32))


class SeedGenerator(Tracked, Configurable):
    """Hand out a new state for random numbers at every draw.

    Args:
        seed: an integer, of which the lower 32 bits count; None draws one from Python's generator.
        name: the first part of the path of `state`; numbered automatically if None.

    `state` is a Variable `[seed, draws so far]`.

    >>> generator = minikeras.random.SeedGenerator(seed=42)
    >>> a = minikeras.random.uniform((), seed=generator)
    >>> b = minikeras.random.uniform((), seed=generator)
    >>> float(a) == float(b)
    False
    """

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        if not (seed is None or isinstance(seed, (int, np.integer))):
            raise ValueError(
                f"SeedGenerator: expected an integer or None as seed, got {seed!r} of type "
                f"{type(seed).__name__}."
            )
        self.seed = seed if seed is None else int(seed)
        self.name = name or unique_name("seed_generator")
        with name_scope(self.name):
            self.state = Variable(
                _first_state(make_default_seed() if seed is None else int(seed)),
                trainable=False,
                name="seed_generator_state",
            )

    def next(self, ordered: bool = True) -> Any:
        """Return the state for one draw, and count it; `ordered` is Keras' and changes nothing."""
        state = self.state.value
        self.state.assign(add(state, _STEP))
        return state


registry.add("seed generator", "keras.random", SeedGenerator)

_shared: dict[int | None, SeedGenerator] = {}


def global_seed_generator(seed: int | None = None) -> SeedGenerator:
    """Return the generator of all draws without a seed; it is made when first needed.

    There is one for each seed that TensorFlow's operations are given, too: they go on with it.
    """
    if seed not in _shared:
        with eagerly():  # whichever traced function happens to need it first
            _shared[seed] = SeedGenerator(seed, "global_seed_generator" if seed is None else None)
    return _shared[seed]


def set_random_seed(seed: int) -> None:
    """Seed everything: Python's `random`, NumPy's global generator and the one used here."""
    if not isinstance(seed, (int, np.integer)):
        raise ValueError(
            f"set_random_seed: expected an integer, got {seed!r} of type {type(seed).__name__}."
        )
    # The same Variables get new values, since traced functions hold on to them.
    global_seed_generator()
    random.seed(int(seed))
    np.random.seed(int(seed) & 0xFFFFFFFF)  # noqa: NPY002
    for number, generator in _shared.items():
        generator.state.assign(_first_state(make_default_seed() if number is None else number))


def draw_seed(seed: Any) -> Any:
    """Return the state that an integer, a SeedGenerator or None (the global one) stands for."""
    if seed is None:
        return global_seed_generator().next()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (int, np.integer)):
        return _first_state(int(seed))
    raise ValueError(
        f"seed: expected an integer, a SeedGenerator or None, got {seed!r} of type "
        f"{type(seed).__name__}."
    )


def _as_floating(who: str, dtype: Any) -> np.dtype[Any]:
    found = as_dtype(dtype)
    if found.kind != "f":
        raise ValueError(f"{who}: expected a floating dtype, got {found.name!r}.")
    return found


def _moved(values: Any, factor: Any, shift: Any) -> Any:
    """Return `values * factor + shift`, without the steps that change nothing."""
    if not (isinstance(factor, (int, float)) and factor == 1):
        values = values * factor
    return values if isinstance(shift, (int, float)) and shift == 0 else values + shift


def uniform(
    shape: Sequence[int],
    minval: Any = 0.0,
    maxval: Any = 1.0,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Any:
    """Draw from the interval `[minval, maxval)`."""
    dtype = _as_floating("uniform", dtype)
    values = draws.uniform(draw_seed(seed), shape=lengths(shape, "uniform"), dtype=dtype)
    values = _moved(values, maxval - minval, minval)
    if isinstance(minval, (int, float)) and isinstance(maxval, (int, float)) and minval < maxval:
        # The sum may have been rounded up to maxval.
        values = minimum(values, float(np.nextafter(dtype.type(maxval), dtype.type(minval))))
    return values


def normal(
    shape: Sequence[int],
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Any:
    """Draw from the normal distribution."""
    dtype = _as_floating("normal", dtype)
    values = draws.normal(draw_seed(seed), shape=lengths(shape, "normal"), dtype=dtype)
    return _moved(values, stddev, mean)


def truncated_normal(
    shape: Sequence[int],
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Any:
    """Draw from the normal distribution, nothing beyond two standard deviations from the mean.

    `stddev` is that before the cut; what is drawn has 0.8796 of it.
    """
    dtype = _as_floating("truncated_normal", dtype)
    shape = lengths(shape, "truncated_normal")
    values = draws.truncated_normal(draw_seed(seed), shape=shape, dtype=dtype)
    return _moved(values, stddev, mean)


def randint(
    shape: Sequence[int],
    minval: Any,
    maxval: Any,
    dtype: Any = "int32",
    seed: int | SeedGenerator | None = None,
) -> Any:
    """Draw integers from `minval` to `maxval` - 1."""
    dtype = as_dtype(dtype)
    if dtype.kind not in "iu":
        raise ValueError(f"randint: expected an integer dtype, got {dtype.name!r}.")
    shape = lengths(shape, "randint")
    return draws.integers(draw_seed(seed), minval, maxval, shape=shape, dtype=dtype)


@composite
def categorical(
    logits: Any, num_samples: int, dtype: Any = "int32", seed: int | SeedGenerator | None = None
) -> Any:
    """Draw `num_samples` classes for each row of `logits`, shape (rows, classes).

    Class c has probability `softmax(logits)[c]`. The result has shape (rows, num_samples).
    """
    logits = as_tensor(logits)
    if logits.ndim != 2:
        raise ValueError(
            f"categorical: expected logits of shape (rows, classes), got {tuple(logits.shape)}."
        )
    dtype = as_dtype(dtype)
    return draws.categorical(draw_seed(seed), logits, count=int(num_samples), dtype=dtype)


@composite
def dropout(
    inputs: Any,
    rate: float,
    noise_shape: Sequence[int | None] | None = None,
    seed: int | SeedGenerator | None = None,
) -> Any:
    """Set elements to 0 with probability `rate`, and divide the others by `1 - rate`.

    Args:
        inputs: a tensor.
        rate: from 0 to 1.
        noise_shape: axes of length 1 are dropped or kept as a whole; None means that of `inputs`.
        seed: an integer, a SeedGenerator or None.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout: expected a rate in [0, 1], got {rate!r}.")
    inputs = as_tensor(inputs)
    if rate == 0:
        return inputs
    if rate == 1:
        return filled(inputs, 0)
    noise = None if noise_shape is None else tuple(noise_shape)
    return draws.dropout(inputs, draw_seed(seed), rate=float(rate), noise_shape=noise)


@composite
def shuffle(x: Any, axis: int = 0, seed: int | SeedGenerator | None = None) -> Any:
    """Bring `x` into a random order along `axis`."""
    x = as_tensor(x)
    axis = one_axis(axis, x.ndim, "shuffle")
    order = draws.permutation(draw_seed(seed), count=x.shape[axis])
    return getitem(x, along(axis, order))


def gamma(
    shape: Sequence[int],
    alpha: Any,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Any:
    """Draw from the gamma distribution of shape `alpha` and scale 1."""
    dtype = _as_floating("gamma", dtype)
    return draws.gamma(draw_seed(seed), alpha, shape=lengths(shape, "gamma"), dtype=dtype)


def beta(
    shape: Sequence[int],
    alpha: Any,
    beta: Any,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Any:
    """Draw from the beta distribution of `alpha` and `beta`."""
    dtype = _as_floating("beta", dtype)
    return draws.beta(draw_seed(seed), alpha, beta, shape=lengths(shape, "beta"), dtype=dtype)


def binomial(
    shape: Sequence[int],
    counts: Any,
    probabilities: Any,
    dtype: Any = None,
    seed: int | SeedGenerator | None = None,
) -> Any:
    """Draw how many of `counts` independent trials succeed, each with `probabilities`."""
    dtype = _as_floating("binomial", dtype)
    shape = lengths(shape, "binomial")
    return draws.binomial(draw_seed(seed), counts, probabilities, shape=shape, dtype=dtype)
