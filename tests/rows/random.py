"""Rows of `minikeras.ops.random`; the oracle makes the described stream in plain Python."""

import math
from statistics import NormalDist

import numpy as np

from minikeras.ops import random as r
from tests.rows import Row, numbers

STATE = np.array([7, 3], np.uint32)
HIGH = np.array([4294967295, 4294967295], np.uint32)
SHAPE = (3, 5)
X = numbers(*SHAPE)
F32, F64, I32 = (np.dtype(name) for name in ("float32", "float64", "int32"))


def philox(key, counter):
    """Return the four words of one block of Philox4x64-10."""
    mask = 2**64 - 1
    for _ in range(10):
        high, low = divmod(0xD2E7470EE14C6C93 * counter[0], 2**64)
        high2, low2 = divmod(0xCA5A826395121157 * counter[2], 2**64)
        counter = [high2 ^ counter[1] ^ key[0], low2, high ^ counter[3] ^ key[1], low]
        key = [(key[0] + 0x9E3779B97F4A7C15) & mask, (key[1] + 0xBB67AE8584CAA73B) & mask]
    return counter


def word64(state, i, attempt=0, part=0):
    return philox([int(n) for n in state], [i // 4 + 1, attempt, part, 0])[i % 4]


def word32(state, i):
    return word64(state, i // 2) >> 32 * (i % 2) & 0xFFFFFFFF


def filled(value, shape=SHAPE, dtype=float):
    """Return an array of `value(i)`, i the number of the element."""
    return np.array([value(i) for i in range(math.prod(shape))], dtype).reshape(shape)


def _uniform(state, dtype=F32):
    if dtype == F64:
        return filled(lambda i: (word64(state, i) >> 11) / 2**53)
    bits = {"float16": 11, "float32": 24}[dtype.name]
    return filled(lambda i: (word32(state, i) >> 32 - bits) / 2**bits, dtype=dtype)


def _signed(word, bits):
    return word - 2**bits if word >= 2 ** (bits - 1) else word


def _normal(state, within=1.0):
    probability = lambda i: 0.5 + within * (_signed(word32(state, i), 32) + 0.5) / 2**32
    return filled(lambda i: NormalDist().inv_cdf(probability(i)), dtype=F32)


def _normal64(state):
    probability = lambda i: 0.5 + (_signed(word64(state, i) >> 12, 52) + 0.5) / 2**52
    return filled(lambda i: NormalDist().inv_cdf(probability(i)))


def _dropout(x, state, shape=SHAPE, rate=0.3):
    keep = filled(lambda i: word32(state, i) >= int(rate * 2**32), shape)
    return np.where(keep, x / (1 - rate), 0)


def _open(state, i, attempt, part):
    return ((word64(state, i, attempt, part) >> 12) + 0.5) / 2**52


def _gamma_of(state, i, alpha, part):
    d = (alpha + 1 if alpha < 1 else alpha) - 1 / 3
    boost = _open(state, i, 0, part + 2) ** (1 / alpha) if alpha < 1 else 1
    for attempt in range(99):
        z = NormalDist().inv_cdf(_open(state, i, attempt, part))
        v = (1 + z / math.sqrt(9 * d)) ** 3
        u = _open(state, i, attempt, part + 1)
        if v > 0 and math.log(u) < 0.5 * z * z + d - d * v + d * math.log(v):
            return d * v * boost
    return None


def _gamma(state, alpha):
    return filled(lambda i: _gamma_of(state, i, alpha[i % 5], 0))


def _beta_of(state, i, alpha, beta, part=0):
    a, b = _gamma_of(state, i, alpha, part), _gamma_of(state, i, beta, part + 3)
    return a / (a + b)


def _binomial_of(state, i, n, p, part=1):
    if n <= 32:
        return sum(_open(state, i, trial, 0) < p for trial in range(int(n)))
    middle = (n + 1) // 2
    b = _beta_of(state, i, middle, n + 1 - middle, part)
    if b <= p:
        return middle + _binomial_of(state, i, n - middle, (p - b) / (1 - b), part + 6)
    return _binomial_of(state, i, middle - 1, p / b, part + 6)


def _binomial(state, counts, chances):
    return filled(lambda i: _binomial_of(state, i, counts[i % 5], chances))


def _categorical(state, logits):
    def choose(i):
        weights = np.exp(logits[i // 7]) / np.exp(logits[i // 7]).sum()
        return (np.cumsum(weights) <= (word64(state, i) >> 11) / 2**53).sum()

    return filled(choose, (3, 7), int)


def _drawn(name, oracle, dtype=F32, state=STATE, **kwargs):
    op = getattr(r, name)
    return Row(
        f"random_{name}",
        lambda state, *args: op(state, *args, shape=SHAPE, dtype=dtype),
        (state, *kwargs.pop("inputs", ())),
        oracle,
        order=0,
        **kwargs,
    )


LOGITS = numbers(3, 4)
ALPHA = np.array([0.1, 0.9, 1.0, 5.0, 400.0])
COUNTS = np.array([0.0, 1, 20, 33, 5000])

ROWS = [
    *(_drawn("uniform", _uniform, state=state) for state in (STATE, HIGH, np.zeros_like(STATE))),
    _drawn("uniform", lambda s: _uniform(s, F64), F64),
    _drawn("uniform", lambda s: _uniform(s, np.dtype("float16")), np.dtype("float16")),
    *(_drawn("normal", _normal, state=state, tolerance=1e-7) for state in (STATE, HIGH)),
    _drawn("normal", _normal64, F64),
    _drawn("truncated_normal", lambda s: _normal(s, math.erf(math.sqrt(2))), tolerance=1e-7),
    Row("dropout", lambda x, s: r.dropout(x, s, rate=0.3, noise_shape=None), (X, STATE), _dropout),
    Row("dropout", lambda x, s: r.dropout(x, s, rate=0.3, noise_shape=(None, 1)), (X, STATE),
        lambda x, s: _dropout(x, s, (3, 1))),
    _drawn("integers", lambda s, a, b: filled(lambda i: word64(s, i) % 17 - 5, dtype=I32), I32,
           inputs=(np.array(-5), np.array(12))),
    _drawn("integers", lambda s, a, b: filled(lambda i: word64(s, i) % (i % 5 + 1), dtype=int),
           np.dtype("int64"), inputs=(np.array(0), np.arange(1, 6))),
    Row("random_permutation", lambda s: r.permutation(s, count=9), (STATE,),
        lambda s: np.argsort(filled(lambda i: word64(s, i), (9,), np.uint64)), order=0),
    Row("random_categorical", lambda s, x: r.categorical(s, x, count=7, dtype=I32),
        (STATE, LOGITS), _categorical, order=0),
    _drawn("gamma", _gamma, F64, inputs=(ALPHA,)),
    _drawn("beta", lambda s, a, b: filled(lambda i: _beta_of(s, i, a[i % 5], b)), F64,
           inputs=(ALPHA, np.array(2.0))),
    _drawn("binomial", _binomial, F64, inputs=(COUNTS, np.array(0.3))),
]  # fmt: skip
