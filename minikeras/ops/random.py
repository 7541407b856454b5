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
  share `0.5 + (k + 0.5) / 2**bits` of the distribution lies, computed by `_quantile` in float64
  without fused multiply-add and rounded to the dtype. It uses only operations that IEEE 754 makes
  exact, so that the result is the same on every machine. truncated_normal: `(k + 0.5) / 2**bits`
  is multiplied by `_WITHIN_2` before.
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
from minikeras.ops.define import quiet

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


# Wichura 1988, Algorithm AS 241 (PPND16), doi:10.2307/2347330: numerator and denominator, highest
# power first, for the middle, for tails, and for tails below exp(-25). Relative error 1e-16.
_MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852854561, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
_TAIL = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
     4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
     0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
     0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358,
     5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
     7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531,
     0.59983220655588793769, 1.0),
)  # fmt: skip


def _ratio(table: tuple[tuple[float, ...], tuple[float, ...]], r: Array) -> Array:
    """Evaluate a quotient of polynomials by Horner's rule, each product rounded before the sum."""
    values = []
    for coefficients in table:
        value = coefficients[0] * r
        for coefficient in coefficients[1:-1]:
            value += coefficient
            value *= r
        value += coefficients[-1]
        values.append(value)
    return values[0] / values[1]


def _log(x: Array) -> Array:
    """Compute log x = e log 2 + 2 artanh((m - 1) / (m + 1)), `x = m * 2**e`, for small x."""
    m, e = np.frexp(x)
    low = m < math.sqrt(0.5)
    m, e = np.where(low, m + m, m), e - low
    s = (m - 1) / (m + 1)
    z = s * s  # at most 0.0295, so that the eleventh term of the series is the last that counts
    series = z / 21
    for n in range(19, 1, -2):
        series = (series + 1 / n) * z
    return e * math.log(2) + (s + s) * (series + 1)  # type: ignore[no-any-return]


def _quantile(q: Array) -> Array:
    """Return z with `P(N(0, 1) < z) = 0.5 + q`, for q in (-0.5, 0.5)."""
    size = np.abs(q)
    z = q * _ratio(_MIDDLE, 0.180625 - q * q)
    outer = np.flatnonzero(size > 0.425)
    r = np.sqrt(-_log(0.5 - size[outer]))
    tail = _ratio(_TAIL, r - 1.6)
    far = np.flatnonzero(r > 5)
    tail[far] = _ratio(_FAR_TAIL, r[far] - 5)
    z[outer] = np.copysign(tail, q[outer])
    return z


def _centered(state: Array, count: int, dtype: np.dtype[Any]) -> Array:
    """Return float64 numbers spread evenly over (-0.5, 0.5), and never 0."""
    if dtype.itemsize == 8:
        words, bits = _words64(state, count).view(np.int64) >> 12, 52
    else:
        words, bits = _words32(state, count).view("<i4"), 32
    return (words + 0.5) * 2.0**-bits


def _normal(state: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    q = _centered(state, math.prod(shape), dtype)
    return _quantile(q).astype(dtype).reshape(shape)


_WITHIN_2 = math.erf(math.sqrt(2))  # P(-2 < N(0, 1) < 2)


def _truncated_normal(state: Array, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    q = _centered(state, math.prod(shape), dtype)
    return _quantile(q * _WITHIN_2).astype(dtype).reshape(shape)


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
    quiet(_dropout),
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
    quiet(_integers),
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
    quiet(_categorical),
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
        z = _quantile(_uniforms(state, count, attempt, part)[pending] - 0.5)
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
    quiet(_gamma),
    _fits,
    arguments=("state", "alpha"),
    doc="Draw from gamma distributions of scale 1.",
)
binomial = Primitive(
    "random_binomial",
    quiet(_binomial),
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
    quiet(_beta),
    _fits,
    arguments=("state", "alpha", "beta"),
    doc="Draw from beta distributions.",
)
