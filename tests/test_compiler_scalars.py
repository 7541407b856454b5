"""Every elementwise lowering gives what the primitive's NumPy forward gives, in every dtype."""

import importlib
import itertools
import pkgutil
import platform

import numpy as np
import pytest

from minikeras import ops
from minikeras.compiler.native import llvm
from minikeras.compiler.scalars.table import ALL, FLOATS, INTEGERS, LOWERINGS, lowers, supports
from minikeras.core import basic, gradients
from minikeras.core.dispatch import Primitive
from tests.native import compute

native = pytest.mark.skipif(not llvm.available(), reason="native code is switched off")

_MODULES = [
    basic,
    gradients,
    *(importlib.import_module(f"minikeras.ops.{each.name}")
      for each in pkgutil.iter_modules(ops.__path__)),
]  # fmt: skip
PRIMITIVES = {
    value.name: value
    for module in _MODULES
    for value in vars(module).values()
    if isinstance(value, Primitive)
}
PARAMS = {
    "leaky_relu": ({"slope": 0.2}, {"slope": 1.5}),
    "exponential_linear": ({"scale": 1.67, "width": 0.7, "right": True},),
}
# What differs from NumPy by rounding: in units of the result's precision, NumPy's error included.
_NEAR = dict.fromkeys(
    """exp exp2 expm1 log log1p log2 log10 tanh sigmoid silu softplus erf erfc erfinv cbrt hypot
    sinh cosh arcsinh arccosh arctanh sin cos tan arcsin arccos arctan arctan2 sinc power logaddexp
    exponential_linear binary_crossentropy""".split(),
    8,
)


def test_every_elementwise_primitive_has_a_lowering():
    makers = ("_first", "binary.<locals>", "comparison.<locals>", "test.<locals>")
    made = {name for name, op in PRIMITIVES.items() if op.spec.__qualname__.startswith(makers)}
    assert made - {"softmax", "log_softmax"} <= set(LOWERINGS) <= set(PRIMITIVES)


def test_supports_and_lowers_tell_dtypes():
    assert supports(["float32", "bool", "uint8"])
    assert not supports(["float32", "float16"])
    assert lowers("add", ["bool", "bool"])
    assert lowers("power", ["float64", "float64"])
    assert not lowers("power", ["int32", "int32"])
    assert not lowers("matmul", ["float32", "float32"])
    assert not lowers("exp", ["complex64"])


def _numbers(kind):
    """Return numbers of one dtype that are likely to go wrong, and some others."""
    rng = np.random.default_rng(0)
    if kind == "bool":
        return np.array([False, True])
    if kind in INTEGERS:
        limits = np.iinfo(kind)
        edges = [limits.min, limits.min + 1, limits.max, limits.max - 1, 0, 1, 2, 3, 7, 100]
        edges += [-1, -2, -3, -7, -100] if limits.min else []
        return np.concatenate([np.array(edges, kind), rng.integers(0, 50, 6).astype(kind)])
    limits = np.finfo(kind)
    edges = [0, 1, 0.5, 1.5, 2.5, 2, 3, 7.25, 100, 1e10, np.inf, limits.max, limits.tiny]
    edges += [limits.smallest_subnormal, 0.3, 0.9]
    return np.array([*edges, *np.negative(edges), np.nan, *rng.normal(size=4)], kind)


def _arguments(name, kind):
    count = len(PRIMITIVES[name].arguments)
    values = _numbers(kind)
    grid = [x.ravel() for x in np.meshgrid(*[values] * (2 if count > 1 else 1))]
    long = [np.resize(x, 1201) for x in grid]  # 37 vectors of 32, and a tail
    if name == "where":
        long = [np.arange(1201) % 3 == 0, *(long * 2)[:2]]
    return long


def _agree(name, found, wanted, inputs):
    assert found.dtype == wanted.dtype, name
    if name not in _NEAR or wanted.dtype.kind != "f":
        np.testing.assert_array_equal(found, wanted, err_msg=name)
        # Which of two equal zeros maximum takes depends on the machine for which NumPy is built.
        if wanted.dtype.kind == "f" and name not in ("maximum", "minimum", "fmax", "fmin"):
            known = ~np.isnan(wanted)
            assert (np.signbit(found) == np.signbit(wanted))[known].all(), name
        return
    limits = np.finfo(wanted.dtype)
    near = _NEAR[name] * limits.eps
    size = limits.tiny * 200  # NumPy's sigmoid and silu are 0 where ours are denormal
    if name in ("logaddexp", "exponential_linear", "binary_crossentropy"):  # they cancel
        finite = [np.where(np.isfinite(x), np.abs(x), 0) for x in inputs]
        size = np.minimum(near * (1 + sum(finite)), limits.max)
    good = np.abs(found - wanted) <= near * np.abs(wanted) + size
    good |= (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    bad = np.flatnonzero(~good)[:3]
    assert good.all(), (name, [x[bad] for x in inputs], found[bad], wanted[bad])


@pytest.fixture(autouse=True)
def lenient_numpy():
    """Let oracles overflow, and divide by 0."""
    with np.errstate(all="ignore"):
        yield


@native
@pytest.mark.parametrize("kind", sorted(ALL))
@pytest.mark.parametrize("lanes", [1, 16])
def test_lowerings_give_what_numpy_gives(kind, lanes):
    tasks, wanted = [], []
    for name in LOWERINGS:
        count = len(PRIMITIVES[name].arguments)
        if name == "cast" or not lowers(name, [kind] * count):
            continue
        inputs = _arguments(name, kind)
        for params in PARAMS.get(name, ({},)):
            expected = PRIMITIVES[name].forward(*inputs, **params)
            out = str(expected.dtype)

            def rule(code, *values, index, name=name, out=out, params=params):
                return LOWERINGS[name](code, *values, kind=out, **params)

            tasks.append((rule, inputs, out))
            wanted.append((name, expected, inputs))
    for (name, expected, inputs), found in zip(wanted, compute(tasks, lanes)):
        _agree(name, found, expected, inputs)


def _castable(source, target):
    """Return numbers whose cast to `target` is the same on every machine, or on every x86."""
    values = np.resize(_numbers(source), 1201)
    if source not in FLOATS or target not in INTEGERS:
        return values
    if platform.machine() in ("x86_64", "AMD64") and target not in ("uint32", "uint64"):
        return values
    limits = np.iinfo(target)
    inside = (values > limits.min) & (values < limits.max) & (np.abs(values) < 2.0**62)
    return np.where(inside, values, values.dtype.type(3))


@native
@pytest.mark.parametrize("lanes", [1, 16])
def test_casts_give_what_numpy_gives(lanes):
    pairs = list(itertools.product(sorted(ALL), repeat=2))
    inputs = [_castable(*pair) for pair in pairs]

    def rule(target):
        return lambda code, x, index: LOWERINGS["cast"](code, x, kind=target, dtype=target)

    tasks = [(rule(target), [x], target) for x, (_, target) in zip(inputs, pairs)]
    for x, (source, target), found in zip(inputs, pairs, compute(tasks, lanes)):
        np.testing.assert_array_equal(found, x.astype(target), err_msg=f"{source} to {target}")
