"""Draw random numbers as pure functions of a state: the same state gives the same numbers always.

A state is a uint32 tensor `[seed, draw]`. Nothing here changes it; who wants other numbers passes
another `draw`. The stream is counter-based, so any part of it can be made by itself, on any number
of threads, and natively. Whoever does must keep to this:

- Block j = 0, 1, 2… is the four uint64 of Philox4x64-10 (Salmon et al. 2011,
  doi:10.1145/2063384.2063405) with key `(seed, draw)` and counter `(j + 1, attempt, part, 0)`.
  `attempt` and `part` are 0 except in gamma, beta and binomial, which use several numbers a result.
- Blocks in a row are the 64-bit words; each is two 32-bit words, the low half first. Element i, in
  C order, is made of word i: of 32 bits for float16, float32 and dropout, of 64 bits for float64,
  integers and permutations.
- uniform: the highest 11, 24, 53 bits of the word (float16, float32, float64), over 2**bits.
- normal: with k the highest 32 or 52 bits of the word as a signed integer, the z below which a
  share `0.5 + (k + 0.5) / 2**bits` of the distribution lies, computed by `normal_quantile` and
  rounded to the dtype. truncated_normal: `(k + 0.5) / 2**bits` is multiplied by `_WITHIN_2` before.
- dropout: an element stays if its word is at least `floor(rate * 2**32)`.
- integers: `low + word % (high - low)`. permutation: the order of the words by size.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import floating
from minikeras.core.dispatch import Primitive, as_tensors
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array
from minikeras.ops.normal_quantile import normal_quantile

_UNIFORM_BITS = {2: 11, 4: 24, 8: 53}  # by bytes of the dtype: what its mantissa holds


def _words64(state: Array, count: int, attempt: int = 0, part: int = 0) -> Array:
    key = int(state[0]) | int(state[1]) << 64
    return np.random.Philox(key=key, counter=[0, attempt, part, 0]).random_raw(count)


def _words32(state: Array, count: int) -> Array:
    words = _words64(state, (count + 1) // 2)
    return words.astype("<u8", copy=False).view("<u4")[:count]


def _drawn(name: str, forward: Any, doc: str) -> Primitive:
    """Make a primitive whose result's shape and dtype are parameters."""
    return Primitive(
        name,
        forward,
        lambda _, shape, dtype: Spec(shape, dtype),
        arguments=("state",),
        doc=doc,
    )


# ---- uniform and normal --------------------------------------------------------------------------


def _uniform(state: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    words = (_words64 if dtype.itemsize == 8 else _words32)(state, math.prod(shape))
    bits = _UNIFORM_BITS[dtype.itemsize]
    values: Array = (words >> (words.itemsize * 8 - bits)).astype(dtype).reshape(shape)
    return values * dtype.type(2**-bits)  # type: ignore[no-any-return]


def _centered(state: Array, count: int, dtype: np.dtype[Any]) -> Array:
    """Return float64 numbers spread evenly over (-0.5, 0.5), and never 0."""
    if dtype.itemsize == 8:
        words, bits = _words64(state, count).view(np.int64) >> 12, 52
    else:
        words, bits = _words32(state, count).view("<i4"), 32
    return (words + 0.5) * 2.0**-bits


def _normal(state: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    q = _centered(state, math.prod(shape), dtype)
    return normal_quantile(q).astype(dtype).reshape(shape)


_WITHIN_2 = math.erf(math.sqrt(2))  # P(-2 < N(0, 1) < 2)


def _truncated_normal(state: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    q = _centered(state, math.prod(shape), dtype)
    return normal_quantile(q * _WITHIN_2).astype(dtype).reshape(shape)


uniform = _drawn("random_uniform", _uniform, "Draw from [0, 1).")
normal = _drawn("random_normal", _normal, "Draw from the normal distribution, mean 0, variance 1.")
truncated_normal = _drawn(
    "random_truncated_normal",
    _truncated_normal,
    "Draw from the normal distribution cut at two standard deviations, as if redrawn until inside.",
)


def _fitting(what: str, shape: Sequence[int], found: tuple[int, ...]) -> tuple[int, ...]:
    """Return `found` if it broadcasts to `shape`; raise `ValueError` if not."""
    pairs = zip(reversed(found), reversed(shape), strict=False)
    if len(found) > len(shape) or any(n not in (1, length) for n, length in pairs):
        raise ValueError(f"expected {what} to fit shape {tuple(shape)}, got {tuple(found)}.")
    return found


# ---- dropout -------------------------------------------------------------------------------------


def _noise_shape(shape: Sequence[int], wanted: Sequence[int | None] | None) -> tuple[int, ...]:
    if wanted is None:
        return tuple(shape)
    if len(wanted) != len(shape):
        raise ValueError(f"expected a noise_shape of rank {len(shape)}, got {tuple(wanted)}.")
    noise = tuple(n if w is None else w for n, w in zip(shape, wanted, strict=True))
    return _fitting("a noise_shape", shape, noise)


def _dropout(x: Array, state: Array, rate: float, noise_shape: Any) -> Array:
    shape = _noise_shape(x.shape, noise_shape)
    keep = _words32(state, math.prod(shape)) >= np.uint32(int(rate * 2**32))
    return x * keep.reshape(shape) * x.dtype.type(1 / (1 - rate))  # type: ignore[no-any-return]


def _dropout_spec(x: Spec, _: Spec, *, noise_shape: Any, **_params: Any) -> Spec:
    _noise_shape(x.shape, noise_shape)
    return x


# Linear in x and its own transpose; the mask is made again, never kept.
dropout = Primitive(
    "dropout",
    _dropout,
    _dropout_spec,
    vjps=(
        lambda g, state, rate, noise_shape: dropout(g, state, rate=rate, noise_shape=noise_shape),
        None,
    ),
    arguments=("x", "state"),
    prepare=lambda inputs: [*floating(inputs[:1]), *as_tensors(inputs[1:])],
    doc="Set elements to 0 with probability `rate` in [0, 1), and divide the others by 1 - rate.",
)


def _fits(_: Spec, *arguments: Spec, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Spec:
    for argument in arguments:
        _fitting("arguments", shape, argument.shape)
    return Spec(shape, dtype)


# ---- integers ------------------------------------------------------------------------------------


def _integers(
    state: Array, low: Array, high: Array, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    if not (low < high).all():
        raise ValueError(f"randint: expected minval < maxval, got {low} and {high}.")
    low, high = low.astype(np.int64), high.astype(np.int64)
    span = (high - low).view(np.uint64)
    # The remainder of 64 bits favours small results by at most span / 2**64.
    words = _words64(state, math.prod(shape)).reshape(shape) % span
    return (words.view(np.int64) + low).astype(dtype)


integers = Primitive(
    "random_integers",
    _integers,
    _fits,
    arguments=("state", "low", "high"),
    doc="Draw integers from `low` to `high` - 1, all equally likely.",
)
permutation = Primitive(
    "random_permutation",
    lambda state, count: np.argsort(_words64(state, count), kind="stable"),
    lambda _, count: Spec((count,), np.dtype("int64")),
    arguments=("state",),
    doc="Draw an order of `count` things.",
)


def _categorical(state: Array, logits: Array, count: int, dtype: np.dtype[Any]) -> Array:
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True)).cumsum(axis=-1, dtype=np.float64)
    draws = _uniform(state, (len(logits), count), np.dtype("float64")) * weights[:, -1:]
    chosen = [np.searchsorted(*pair, side="right") for pair in zip(weights, draws, strict=True)]
    return np.asarray(chosen, dtype).reshape(draws.shape)


categorical = Primitive(
    "random_categorical",
    _categorical,
    lambda _, logits, count, dtype: Spec((logits.shape[0], count), dtype),
    arguments=("state", "logits"),
    prepare=lambda inputs: [*as_tensors(inputs[:1]), *floating(inputs[1:])],
    doc="Draw `count` classes for each row of `logits`, shape (rows, classes).",
)

# ---- gamma, beta, binomial -----------------------------------------------------------------------


def _uniforms(state: Array, count: int, attempt: int, part: int) -> Array:
    """Return float64 numbers from the open interval (0, 1)."""
    return ((_words64(state, count, attempt, part) >> 12) + 0.5) * 2.0**-52


def _gammas(state: Array, alpha: Array, part: int) -> Array:
    """Draw one gamma variate for each positive `alpha` of a vector; uses parts `part` to + 2.

    Marsaglia and Tsang 2000, doi:10.1145/358407.358414, with their boost of alpha below 1.
    """
    count = len(alpha)
    d = np.where(alpha < 1, alpha + 1, alpha) - 1 / 3
    out = np.empty(count)
    pending = np.arange(count)
    for attempt in _counting(pending):
        z = normal_quantile(_uniforms(state, count, attempt, part)[pending] - 0.5)
        u = _uniforms(state, count, attempt, part + 1)[pending]
        here = d[pending]
        v = (1 + z / np.sqrt(9 * here)) ** 3
        good = np.log(u) < 0.5 * z * z + here - here * v + here * np.log(v)  # NaN for v < 0
        out[pending[good]] = (here * v)[good]
        pending = pending[~good]
        if not len(pending):
            break
    boost = _uniforms(state, count, 0, part + 2) ** (1 / alpha)
    return np.where(alpha < 1, out * boost, out)


def _counting(pending: Array) -> Iterator[int]:
    attempt = 0
    while len(pending):
        yield attempt
        attempt += 1


def _betas(state: Array, alpha: Array, beta: Array, part: int) -> Array:
    first, second = _gammas(state, alpha, part), _gammas(state, beta, part + 3)
    return first / (first + second)  # type: ignore[no-any-return]


def _flat(values: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(values, shape).astype(np.float64).ravel()


def _gamma(state: Array, alpha: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    if not ((alpha > 0) & np.isfinite(alpha)).all():
        raise ValueError(f"gamma: expected finite alpha > 0, got {alpha}.")
    return _gammas(state, _flat(alpha, shape), 0).astype(dtype).reshape(shape)


_FEW = 32


def _binomial(
    state: Array, counts: Array, chances: Array, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    if not ((counts >= 0) & np.isfinite(counts) & (chances >= 0) & (chances <= 1)).all():
        raise ValueError(
            "binomial: expected counts >= 0 and probabilities in [0, 1], got "
            f"{counts} and {chances}."
        )
    n, p = np.floor(_flat(counts, shape)), _flat(chances, shape)
    total = np.zeros(len(n))
    part = 1
    # Of n uniforms the middle one, number i by size, is beta distributed; it tells which half the
    # rest of the count lies in (Relles 1972, doi:10.1080/01621459.1972.10481259).
    while (many := n > _FEW).any():
        i = np.where(many, np.floor((n + 1) / 2), 1)
        middle = _betas(state, i, np.where(many, n + 1 - i, 1), part)
        below = middle <= p
        total += np.where(many & below, i, 0)
        p = np.where(many, np.where(below, (p - middle) / (1 - middle), p / middle), p)
        n = np.where(many, np.where(below, n - i, i - 1), n)
        part += 6
    for trial in range(int(n.max(initial=0))):
        total += (_uniforms(state, len(n), trial, 0) < p) & (trial < n)
    return total.astype(dtype).reshape(shape)


gamma = Primitive(
    "random_gamma",
    _gamma,
    _fits,
    arguments=("state", "alpha"),
    doc="Draw from gamma distributions of scale 1.",
)
binomial = Primitive(
    "random_binomial",
    _binomial,
    _fits,
    arguments=("state", "counts", "probabilities"),
    doc="Draw how many of `counts` trials succeed.",
)


def _beta(
    state: Array, alpha: Array, beta: Array, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    for values in (alpha, beta):
        if not ((values > 0) & np.isfinite(values)).all():
            raise ValueError(f"beta: expected finite alpha and beta > 0, got {alpha} and {beta}.")
    return _betas(state, _flat(alpha, shape), _flat(beta, shape), 0).astype(dtype).reshape(shape)


beta = Primitive(
    "random_beta",
    _beta,
    _fits,
    arguments=("state", "alpha", "beta"),
    doc="Draw from beta distributions.",
)
