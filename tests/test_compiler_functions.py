"""Native functions of float32: errors over the whole range, specials, and bits in every width."""

import re

import numpy as np
import pytest

from minikeras.compiler.native import llvm
from minikeras.compiler.scalars import functions, philox, trigonometry, wide
from minikeras.compiler.scalars.formula import Number
from minikeras.compiler.scalars.table import INDEXED
from minikeras.ops import random
from tests.native import compute, ulps

special = pytest.importorskip("scipy.special")
pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code is switched off")


@pytest.fixture(autouse=True)
def lenient_numpy():
    """Let oracles overflow, and be NaN outside their domain."""
    with np.errstate(all="ignore"):
        yield


def _silu(x):
    decay = np.exp(-np.abs(x))
    return np.where(x == -np.inf, np.nan, x * np.where(x < 0, decay, 1) / (1 + decay))


def _erfinv(x):
    return np.where(x == 0, x, special.erfinv(x))


_UNARY = {
    **{name: (functions, getattr(np, name)) for name in "exp exp2 expm1 tanh log log1p".split()},
    "sigmoid": (functions, special.expit),
    "silu": (functions, _silu),
    "softplus": (functions, lambda x: np.logaddexp(x, 0)),
    "erf": (functions, special.erf),
    **{name: (wide, getattr(np, name)) for name in "log2 log10 cbrt sinh cosh".split()},
    **{name: (wide, getattr(np, name)) for name in "arcsinh arccosh arctanh".split()},
    "erfc": (wide, special.erfc),
    "erfinv": (wide, _erfinv),
    **{name: (trigonometry, getattr(np, name)) for name in "sin cos tan".split()},
    **{name: (trigonometry, getattr(np, name)) for name in "arcsin arccos arctan".split()},
}
_BINARY = {
    "power": (wide, np.power),
    "hypot": (wide, np.hypot),
    "arctan2": (trigonometry, np.arctan2),
    "logaddexp": (wide, np.logaddexp),
}
_EDGES = [0, 1, 0.5, 2, 3, 1.5, 88.72284, 88.9, 103.5, 104.5, 0.625, 0.92, 1e12, 1e15, np.inf]
_EDGES += [1e-45, 1.1754942e-38, 1.1754944e-38, 3.4028235e38, 16777217, 0.99999994, 1.0000001, 0.1]
_EDGES = np.float32([*_EDGES, *np.negative(_EDGES), np.nan])


def _samples():
    """Return bit patterns from all over float32, denormals, and the intervals that matter."""
    step = 2**13
    jitter = np.random.default_rng(0).integers(0, step, 2**32 // step)
    patterns = (np.arange(2**32 // step) * step + jitter).astype(np.uint32)
    denormal = (np.arange(1, 2**13) * 1023).astype(np.uint32)
    near = [np.linspace(-limit, limit, 2**17 + 3) for limit in (0.1, 1, 2, 12, 110)]
    parts = [patterns.view(np.float32), denormal.view(np.float32), *np.float32(near), _EDGES]
    return np.concatenate(parts)


def _rule(module, name):
    formula = getattr(module, name)
    return lambda code, *values, index: formula(*(Number(code, x) for x in values)).value


def _bound(module, name):
    """Return the error that the docstring states."""
    return float(re.search(r"error at most ([\d.]+) ulp", getattr(module, name).__doc__)[1])


@pytest.fixture(scope="module")
def samples():
    return _samples()


@pytest.mark.parametrize("name", _UNARY)
def test_error_over_the_whole_range(name, samples):
    module, oracle = _UNARY[name]
    (found,) = compute([(_rule(module, name), [samples], "float32")], 16)
    errors = ulps(found, oracle(samples.astype(np.float64)))
    worst = np.argmax(errors)
    assert errors[worst] <= _bound(module, name) <= 2, (samples[worst], found[worst])


@pytest.mark.parametrize("name", _BINARY)
def test_error_over_pairs(name):
    module, oracle = _BINARY[name]
    rng = np.random.default_rng(1)
    a, b = (x.ravel() for x in np.meshgrid(_EDGES, _EDGES))
    bases = np.exp2(rng.uniform(-20, 20, 2**16))
    patterns = rng.integers(0, 2**32, (2, 2**17)).astype(np.uint32).view(np.float32)
    a = np.concatenate([a, bases, -bases, patterns[0]]).astype(np.float32)
    near = [rng.uniform(-7, 7, 2**16), rng.integers(-7, 7, 2**16)]
    b = np.concatenate([b, *near, patterns[1]]).astype(np.float32)
    (found,) = compute([(_rule(module, name), [a, b], "float32")], 16)
    exact = oracle(a.astype(np.float64), b.astype(np.float64))
    errors = ulps(found, exact)
    if name == "logaddexp":  # may cancel
        errors = np.where(np.abs(found - exact) < 1e-8 * np.abs(a), 0, errors)
    worst = np.argmax(errors)
    assert errors[worst] <= _bound(module, name) <= 2, (a[worst], b[worst], found[worst])


def test_bits_do_not_depend_on_the_lanes(samples):
    few = np.concatenate([samples[::4001], _EDGES])
    tasks = [(_rule(module, name), [few], "float32") for name, (module, _) in _UNARY.items()]
    tasks += [(_rule(module, name), [few, few[::-1]], "float32")
              for name, (module, _) in _BINARY.items()]  # fmt: skip
    wanted = [x.tobytes() for x in compute(tasks, 16)]
    for lanes in (1, 4):
        assert [x.tobytes() for x in compute(tasks, lanes)] == wanted


# ---- random words --------------------------------------------------------------------------------

STATE = np.uint32([123456789, 4000000000])


@pytest.mark.parametrize("lanes", [1, 4, 8, 16, 32])
def test_random_numbers_have_the_bits_of_numpy(lanes):
    x = np.random.default_rng(0).normal(size=1003)
    x[:5] = [np.inf, -np.inf, np.nan, 0, -0.0]
    tasks = [
        (lambda code, state, like, index: philox.words32(code, philox.key(code, state), index,
                                                         lanes), [STATE, x], "uint32"),
    ]  # fmt: skip
    for kind in ("float32", "float64"):
        values = x.astype(kind)
        tasks.append((
            lambda code, a, state, index, kind=kind: INDEXED["dropout"](
                code, a, state, kind=kind, index=index, lanes=lanes, rate=0.3, noise_shape=None
            ), [values, STATE], kind))  # fmt: skip
        tasks.append((
            lambda code, state, like, index, kind=kind: INDEXED["random_uniform"](
                code, state, kind=kind, index=index, lanes=lanes, shape=(1003,),
                dtype=np.dtype(kind)
            ), [STATE, values], kind))  # fmt: skip
    words, *results = compute(tasks, lanes)
    assert (words == random._words32(STATE, 1003)).all()
    for kind in ("float32", "float64"):
        dropped, drawn, *results = results
        wanted = random.dropout.forward(x.astype(kind), STATE, rate=0.3, noise_shape=None)
        np.testing.assert_array_equal(dropped, wanted)
        assert (np.signbit(dropped) == np.signbit(wanted))[~np.isnan(wanted)].all()
        wanted = random.uniform.forward(STATE, shape=(1003,), dtype=np.dtype(kind))
        assert drawn.tobytes() == wanted.tobytes()
