"""Rewritten plans of every op, and of random programs: the same numbers as NumPy gives."""

import importlib
import math
import pkgutil
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minikeras as keras
from minikeras import ops
from minikeras.compiler.fusion.groups import Fusion
from minikeras.compiler.native import llvm, machine
from minikeras.compiler.native.emit import Code
from minikeras.compiler.native.program import Kernel
from minikeras.core.spec import broadcast
from minikeras.core.variable import Variable
from minikeras.ops.random import dropout, uniform
from tests import rows as table
from tests.compiled import agree, close, traced, with_derivatives
from tests.native import run

pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code needs llvmlite")

FILES = [module.name for module in pkgutil.iter_modules(table.__path__)]
ROWS = [row for name in FILES for row in importlib.import_module(f"tests.rows.{name}").ROWS]


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{i}-{row.name}") for i, row in enumerate(ROWS)]
)
def test_rows_after_rewriting(row):
    arrays = [np.asarray(x) for x in row.inputs]
    arrays = [x.astype("float32") if x.dtype.kind == "f" else x for x in arrays]
    places = [i for i, x in enumerate(arrays) if x.dtype.kind == "f"]
    agree(with_derivatives(row.op, min(row.order, 1), places), arrays, simplified=True)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2,), (5, 1), (7, 10), (3, 33), (100, 100), (9, 3, 17)])
def test_random_numbers_begin_anywhere(shape, kind):
    def step(x, state):
        kept = dropout(x, state, rate=0.4, noise_shape=None)
        parts = dropout(x, state, rate=0.4, noise_shape=(None, *(1,) * (len(shape) - 1)))
        drawn = uniform(state, shape=shape, dtype=np.dtype(kind))
        rows = tuple(range(1, len(shape)))
        turned = ops.transpose(dropout(ops.transpose(x), state, rate=0.4, noise_shape=None))
        return [kept, parts, drawn * x, turned, ops.sum(kept, 0), ops.sum(kept * drawn, rows)]

    x = np.random.default_rng(0).normal(size=shape).astype(kind)
    both = agree(step, [x, np.array([3, 5], "uint32")])
    assert not both.in_numpy


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_one_random_number(kind):
    state = np.array([3, 5], "uint32")
    both = agree(lambda state: [uniform(state, shape=(), dtype=np.dtype(kind)) * 2], [state])
    assert not both.in_numpy


@pytest.mark.parametrize("kind", ["int32", "uint8", "bool"])
def test_one_lane_of_cut_numbers_is_stored_alone(kind):
    code = Code(2)
    lanes = machine.host().vector_bytes // 8
    values = code.load(code.operand(0), 0, "int64", lanes)
    code.store(code.convert(values, kind), code.operand(1), 1, code.first_lanes(1, lanes))
    out = np.full(40, 1, kind)
    kernel = Kernel("stored", code.finish(), 1, 0)
    run([(kernel, ("x", "out"))], x=np.zeros(lanes, "int64"), out=out)
    assert out.tolist() == [1, 0, *[1] * 38]


# ---- random programs -----------------------------------------------------------------------------

SHAPES = [
    (), (0,), (1,), (3,), (5,), (17,), (40,), (2, 3), (3, 1), (1, 5), (3, 5), (0, 3), (4, 0),
    (2, 33), (2, 3, 5), (3, 1, 5), (1, 1, 1), (5, 2, 3), (2, 1, 3, 5),
]  # fmt: skip
KINDS = ["float32", "float32", "float32", "float64", "int32", "bool"]
ODD = [np.nan, np.inf, -np.inf, -0.0]


class Known(NamedTuple):
    """A tensor and what numbers it holds: below 2**high, and multiples of 2**-low.

    Where that is not more than float32 can hold, results are exact, and may be compared.
    """

    tensor: Any
    high: int
    low: int

    @property
    def exact(self):
        return self.high + self.low <= 22


_INEXACT = 99


def bounded(tensor, high, low):
    """Keep numbers small by a power of two, which is exact."""
    if tensor.dtype.is_floating and high > 6:
        return Known(tensor * 0.5 ** (high - 2), 2, low + high - 2)
    return Known(tensor, high, low)


def as_float(x):
    return x if x.tensor.dtype.is_floating else Known(ops.cast(x.tensor, "float32"), x.high, x.low)


def finite(x):
    """Return numbers which any integer dtype can hold."""
    if not x.tensor.dtype.is_floating:
        return x.tensor
    return ops.clip(ops.where(ops.isfinite(x.tensor), x.tensor, 0), 0, 100)


def is_bool(x):
    return x.tensor.dtype == "bool"


def unary(op, growth=0, finer=1):
    return lambda x, *_: (
        None if is_bool(x) else bounded(op(x.tensor), x.high + growth, x.low * finer)
    )


def smooth(op):
    def rule(x, *_):
        x = as_float(x)
        return Known(op(ops.clip(x.tensor, -20, 4)), 6, _INEXACT)

    return rule


def steps(op):
    """Make a rule of an op with jumps, which needs exact numbers."""
    return lambda x, *_: Known(op(as_float(x).tensor), x.high, 0) if x.exact else None


def fitting(x, y):
    try:
        broadcast(tuple(x.tensor.shape), tuple(y.tensor.shape))
    except ValueError:
        return False
    return True


def binary(op, high, low):
    def rule(x, y, *_):
        if not fitting(x, y) or is_bool(x) or is_bool(y):
            return None
        return bounded(op(x.tensor, y.tensor), high(x.high, y.high), low(x.low, y.low))

    return rule


def compared(op):
    def rule(x, y, *_):
        if not (fitting(x, y) and x.exact and y.exact):
            return None
        return Known(op(x.tensor, y.tensor), 1, 0)

    return rule


def quotient(x, y, *_):
    if not fitting(x, y):
        return None
    return Known(as_float(x).tensor / (ops.abs(as_float(y).tensor) + 1), x.high, _INEXACT)


def chosen(x, y, number, pool):
    test = pool[number % len(pool)]
    if not (fitting(x, y) and test.exact and fitting(test, Known(x.tensor + y.tensor, 0, 0))):
        return None
    high, low = max(x.high, y.high), max(x.low, y.low)
    return Known(ops.where(ops.cast(test.tensor, "bool"), x.tensor, y.tensor), high, low)


def casted(x, _, number, pool):
    kind = ["float32", "float64", "int32", "uint8", "bool"][number % 5]
    if kind in ("float32", "float64"):
        return Known(ops.cast(x.tensor, kind), x.high, x.low)
    return Known(ops.cast(finite(x), kind), 7, 0) if x.exact else None


def axes_of(x, number):
    return tuple(i for i in range(x.tensor.ndim) if number >> i & 1)


def folded(op, grows, extreme=False):
    def rule(x, _, number, pool):
        axes = axes_of(x, number)
        count = math.prod([x.tensor.shape[i] for i in axes])
        if extreme and not count:
            return None
        result = op(x.tensor, axis=axes, keepdims=bool(number & 16)) if axes else None
        more = math.ceil(math.log2(max(1, count))) if grows else 0
        return axes and bounded(result, x.high + more, x.low)

    return rule


def mean(x, _, number, pool):
    axes = axes_of(x, number)
    if math.prod([x.tensor.shape[i] for i in axes]) == 0 or not axes:
        return None
    return Known(ops.mean(as_float(x).tensor, axes, bool(number & 16)), x.high, _INEXACT)


def moved(op):
    """Make a rule of an op that moves numbers: `op(tensor, number)`, on at least one axis."""
    return lambda x, _, number, pool: (
        x._replace(tensor=op(x.tensor, number)) if x.tensor.ndim else None
    )


def permuted(x, number):
    order = list(range(x.ndim))
    for i in range(x.ndim):
        j = number // 3**i % x.ndim
        order[i], order[j] = order[j], order[i]
    return ops.transpose(x, order)


def sliced(x, number):
    part = [slice(None, None, -1), slice(1, None), slice(None, None, 2), slice(0, 1)][number % 4]
    return x[(slice(None),) * (number // 4 % x.ndim) + (part,)]


def reshaped(x, number):
    size = math.prod(x.shape)
    lengths = [n for n in (1, 2, 3, 5, 10) if size and size % n == 0]
    if not lengths:
        return ops.reshape(x, (0, 1 + number % 3))
    first = lengths[number % len(lengths)]
    return ops.reshape(x, (first, size // first) if number % 2 else (size // first, 1, first))


def joined(x, y, number, pool):
    a, b = x.tensor, y.tensor
    if a.ndim != b.ndim or not a.ndim:
        return None
    axis = number % a.ndim
    if any(m != n for i, (m, n) in enumerate(zip(a.shape, b.shape)) if i != axis):
        return None
    high, low = max(x.high, y.high), max(x.low, y.low)
    return Known(ops.concatenate([a, b], axis), high, low)


def product(x, y, *_):
    a, b = as_float(x).tensor, as_float(y).tensor
    if not a.ndim or not b.ndim:
        return None
    if a.shape[-1] != b.shape[max(0, b.ndim - 2)]:
        b = ops.swapaxes(b, -1, -2) if b.ndim > 1 else b
    if a.shape[-1] != b.shape[max(0, b.ndim - 2)]:
        return None
    try:
        broadcast(tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    except ValueError:
        return None
    more = math.ceil(math.log2(max(1, a.shape[-1])))
    return bounded(ops.matmul(a, b), x.high + y.high + more, max(_INEXACT, x.low + y.low))


def softmax(x, _, number, pool):
    if not x.tensor.ndim or {0, 1} & {*x.tensor.shape}:
        return None
    return Known(ops.softmax(as_float(x).tensor, number % x.tensor.ndim), 0, _INEXACT)


def place(x, _, number, pool):
    if not (x.tensor.ndim and x.exact) or 0 in x.tensor.shape:
        return None
    return Known(ops.argmax(x.tensor, number % x.tensor.ndim), 6, 0)


def several(high):
    return lambda a, b: max(a, b) + high


RULES = [
    unary(ops.negative), unary(ops.abs), unary(ops.relu), unary(ops.square, 6, 2),
    smooth(ops.exp), smooth(ops.tanh), smooth(ops.sigmoid), smooth(ops.erf), smooth(ops.sin),
    smooth(lambda x: ops.sqrt(ops.abs(x))), smooth(lambda x: ops.log1p(ops.abs(x))),
    smooth(ops.gelu), smooth(lambda x: x**3 / 64), steps(ops.floor), steps(ops.sign),
    steps(ops.round),
    binary(ops.add, several(1), max), binary(ops.subtract, several(1), max),
    binary(ops.multiply, lambda a, b: a + b, lambda a, b: a + b),
    binary(ops.maximum, max, max), binary(ops.minimum, max, max), quotient, quotient,
    compared(ops.less), compared(ops.equal), compared(ops.greater_equal), chosen, chosen, casted,
    folded(ops.sum, True), folded(ops.sum, True), folded(ops.max, False, True),
    folded(ops.min, False, True), mean,
    folded(lambda x, **k: ops.any(ops.cast(x, "bool"), **k), False),
    moved(permuted), moved(permuted), moved(sliced), moved(reshaped), moved(reshaped),
    moved(lambda x, n: ops.flip(x, n % x.ndim)), moved(lambda x, n: ops.expand_dims(x, n % x.ndim)),
    moved(lambda x, n: ops.roll(x, n, n % x.ndim)),
    moved(lambda x, n: ops.repeat(x, 2, n % x.ndim)),
    moved(lambda x, n: ops.pad(x, [(n % 2, 1)] + [(0, 0)] * (x.ndim - 1))),
    moved(lambda x, n: ops.broadcast_to(x, (2, *x.shape))),
    joined, joined, product, product, product, softmax, place,
]  # fmt: skip

numbers = st.integers(0, 2**12 - 1)
instructions = st.tuples(st.integers(0, len(RULES) - 1), numbers, numbers, numbers)
programs = st.tuples(
    st.lists(st.tuples(st.sampled_from(SHAPES), st.sampled_from(KINDS)), min_size=1, max_size=3),
    st.lists(instructions, min_size=1, max_size=14),
    st.lists(numbers, min_size=1, max_size=3),
    numbers,
)


def inputs_of(kinds, seed):
    random = np.random.default_rng(seed)
    arrays = []
    for shape, kind in kinds:
        array = np.asarray(random.integers(-12, 13, shape) / (4 if kind.startswith("f") else 1))
        if seed % 5 == 0 and kind.startswith("f"):
            array = np.where(random.random(shape) < 0.1, random.choice(ODD, shape), array)
        arrays.append(np.asarray(array > 0 if kind == "bool" else array.astype(kind)))
    return arrays


def program(code, chosen):
    """Return a function that runs instructions on a pool of tensors, and returns some of them."""

    def computed(*tensors):
        pool = [Known(x, 4, 2 if x.dtype.is_floating else 0) for x in tensors]
        for number, first, second, third in code:
            x, y = pool[-1 - first % len(pool)], pool[-1 - second % len(pool)]
            result = RULES[number](x, y, third, pool)
            if result and math.prod(result.tensor.shape) < 4000:
                pool.append(result)
        return [pool[-1 - number % len(pool)].tensor for number in chosen]

    return computed


@settings(max_examples=100)
@given(programs)
def test_random_programs(drawn):
    kinds, code, chosen, seed = drawn
    single = any(kind != "float64" for _, kind in kinds)
    function, arrays = program(code, [0, *chosen]), inputs_of(kinds, seed)
    agree(function, arrays, simplified=True, tolerance=3e-4 if single else None)


# ---- in place ------------------------------------------------------------------------------------


def _halves(x):
    return ops.concatenate([x[2:], x[:2]], 0)


ASSIGNMENTS = [
    lambda v, w, old: v.assign(w),
    lambda v, w, old: v.assign(old),
    lambda v, w, old: v.assign_add(w * 0.5),
    lambda v, w, old: v.assign_sub(old * 0.25),
    lambda v, w, old: v.assign(w * 2 - old),
    lambda v, w, old: v.assign(v[::-1]),
    lambda v, w, old: v.assign(ops.transpose(v)),
    lambda v, w, old: v.assign(ops.transpose(w) + v),
    lambda v, w, old: v.assign(_halves(v.value)),
    lambda v, w, old: v.assign(ops.roll(v, 1, 0) * 0.5 + w),
    lambda v, w, old: v.assign(v - ops.mean(v, 0)),
    lambda v, w, old: v.assign(v - ops.max(v, 1, keepdims=True)),
    lambda v, w, old: v.assign(v * 0.5 + ops.sum(v) * 0.01),
    lambda v, w, old: v.assign(ops.matmul(v, w) * 0.1),
    lambda v, w, old: v.assign(ops.matmul(w, v) * 0.1 + v),
    lambda v, w, old: v.assign(ops.where(w > old, v, w)),
    lambda v, w, old: v.assign(ops.cumsum(v, 0) * 0.25),
    lambda v, w, old: v.assign(ops.take(v, np.array([3, 0, 0, 2, 1]), axis=0)),
    lambda v, w, old: v.assign(ops.softmax(v)),
    lambda v, w, old: v.assign(v[:, :1] + old * 0.5),
    lambda v, w, old: v.assign(ops.reshape(v, (5, 5))[1, 2] * 0.5 + v * 0.5),
    lambda v, w, old: v.assign(np.eye(5)),
    lambda v, w, old: v.assign(v),
]
numbers_of_variables = st.integers(0, 2)
assignments = st.tuples(
    st.integers(0, len(ASSIGNMENTS) - 1), *[numbers_of_variables] * 3, st.booleans()
)


def assigning(code, variables, keep):
    """Return a function that runs assignments, and returns values that it saw on the way."""

    def assigned(x):
        seen = [v.value for v in variables]
        returned = [seen[i] for i in keep]
        for number, target, source, old, later in code:
            ASSIGNMENTS[number](variables[target], variables[source], seen[old])
            if later:
                seen[target] = variables[target].value
                returned.append(seen[target] * x)
        return returned

    return assigned


@settings(max_examples=80)
@given(st.lists(assignments, min_size=1, max_size=6), st.lists(numbers_of_variables, max_size=2))
@example([(0, 0, 1, 0, False), (1, 1, 0, 0, False)], [])  # swap
@example([(2, 0, 1, 0, False), (1, 1, 0, 0, False)], [0])  # a += b / 2; b = a before
@example([(5, 0, 0, 0, True), (6, 0, 0, 0, True)], [0])
def test_assignments_in_any_order(code, keep):
    start = np.random.default_rng(1).normal(size=(3, 5, 5)).astype("float32")
    eager, compiled = ([Variable(x) for x in start] for _ in range(2))
    expect = assigning(code, eager, keep)
    step = keras.function(assigning(code, compiled, keep))
    held = []
    for turn in range(3):
        if turn < 2:  # in the last turn nobody holds the values of before
            held += [(v.value, v.numpy().copy()) for v in compiled]
        x = ops.convert_to_tensor(np.float32(turn + 1))
        wanted, got = expect(x), step(x)
        held += [(y, y.numpy().copy()) for y in got]
        for a, b in zip([*got, *compiled], [*wanted, *eager], strict=True):
            close(np.asarray(a), np.asarray(b))
    for tensor, before in held:
        np.testing.assert_array_equal(tensor.numpy(), before)


def test_the_first_of_two_functions_does_not_write_over_what_the_other_returned():
    v, w = Variable(np.arange(4.0)), Variable(np.ones(4))
    copy = keras.function(lambda: w.assign(v))
    move = keras.function(lambda: [v.assign_add(np.ones(4))][1:])
    for turn in range(3):
        copy()
        move()
        np.testing.assert_array_equal(w, np.arange(4.0) + turn)
    both = traced(lambda a, b: [a + b, a], [np.ones(3), np.ones(3)], donated=[(0, 0)])
    given = [np.ones(3), np.ones(3)]
    assert [x.tolist() for x in both.native(given)] == [[2] * 3, [1] * 3]


def test_fusing_looks_only_at_groups_that_lie_between_two_others(monkeypatch):
    looked = []
    before = Fusion.before
    monkeypatch.setattr(Fusion, "before", lambda *args: looked.append(1) or before(*args))

    def recurrent(steps):
        def loss(x, kernel):
            state = x[0]
            for i in range(steps):
                gate, new = ops.split(x[i] @ kernel + state @ kernel, 2, axis=-1)
                gate = ops.sigmoid(gate)
                state = gate * ops.tanh(new) + (1 - gate) * state[:, :4]
                state = ops.concatenate([state, state], axis=-1)
            return ops.mean(state * state)

        looked.clear()
        x, kernel = np.ones((steps, 3, 8), "f4"), np.ones((8, 8), "f4")
        traced(with_derivatives(loss, 1, [0, 1]), [x, kernel], simplified=True)
        return len(looked)

    assert recurrent(64) < 200_000  # 45,000 to 65,000; two million without an order of groups


@pytest.mark.parametrize(("columns", "joined"), [(1, False), (2, True)])
def test_what_follows_a_long_column_of_sums_is_computed_by_vectors(columns, joined):
    shapes = (300, 5), (5, columns)
    inputs = [np.random.default_rng(2).normal(size=shape).astype("f4") for shape in shapes]
    both = agree(lambda x, w: [ops.exp(x @ w)], inputs)
    (product,) = (g for g in both.native.plan.groups if not g.loop)
    assert (product.epilogue is not None) == joined
