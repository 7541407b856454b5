"""Every op in a native plan: the same numbers as in NumPy, derivatives too; errors fall back."""

import functools
import importlib
import pkgutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minikeras as keras
from minikeras import layers, ops
from minikeras.compiler.native import llvm
from minikeras.compiler.planning.build import Native
from minikeras.compiler.tracing.graph import Graph
from minikeras.core.context import overridden
from minikeras.core.tensor import SymbolicTensor
from minikeras.ops.contraction import contract
from minikeras.ops.gathering import gather_nd
from tests import rows as table
from tests.compiled import agree, close, traced, with_derivatives

pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code needs llvmlite")

FILES = [module.name for module in pkgutil.iter_modules(table.__path__)]
ROWS = [row for name in FILES for row in importlib.import_module(f"tests.rows.{name}").ROWS]
NAMED = [pytest.param(row, id=f"{i}-{row.name}") for i, row in enumerate(ROWS)]


def numbers(*shape, dtype="float32"):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("row", NAMED)
def test_rows(row):
    for dtype, order in (("float32", 1), ("float64", 2)):
        arrays = [np.asarray(x) for x in row.inputs]
        arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in arrays]
        places = [i for i, x in enumerate(arrays) if x.dtype.kind == "f"]
        agree(with_derivatives(row.op, min(row.order, order), places), arrays)


def natively(op, *arrays, order=2):
    """Assert that results and derivatives agree, and that NumPy does nothing."""
    places = [i for i, x in enumerate(arrays) if x.dtype.kind == "f"]
    both = agree(with_derivatives(op, order, places), list(arrays))
    assert not both.in_numpy


# ---- moves ---------------------------------------------------------------------------------------


def test_one_number_is_a_view():
    natively(lambda x: x[1, 2] + x[-1, 0], numbers(3, 4))


def test_parts_are_views_and_come_together_again():
    def turned(x):
        a, b, c = ops.split(x, 3, axis=1)
        return ops.concatenate([ops.transpose(c), ops.transpose(a + b)], 0)

    natively(turned, numbers(4, 6))
    natively(lambda x: ops.stack(ops.unstack(x, axis=1), axis=-1), numbers(3, 4, 2))


@pytest.mark.parametrize(
    "op",
    [
        lambda x: ops.reshape(ops.transpose(x), (4, 6)),
        lambda x: ops.pad(x, ((1, 2), (0, 0), (3, 0))),
        lambda x: ops.tile(x, (2, 1, 3)),
        lambda x: ops.repeat(x, 2, axis=1),
        lambda x: ops.roll(x, 1, axis=1),
        lambda x: ops.flip(x, 1) + ops.reshape(ops.flip(x), x.shape),
        lambda x: ops.rearrange(x, "a b c -> (c a) b"),
        lambda x: ops.slice_update(x, (0, 1, 2), x[:2, :2, :2] * 2),
        lambda x: ops.slice(x, (0, 1, 2), (2, 1, 2)),
        lambda x: ops.sum(x, (0, 2)) + ops.max(x, (0, 2)) + ops.prod(x, (0, 2)),
        lambda x: ops.sum(x[:, :1], 1) * ops.max(ops.transpose(x), (0, 2))[0],
        lambda x: ops.mean(x, (0, 2), keepdims=True) * x,
        lambda x: ops.sum(ops.swapaxes(x, 0, 1)[:, :, ::-1] * x[0, :, None], 1),
    ],
)
def test_moves_and_reductions(op):
    natively(op, numbers(2, 3, 4))


@pytest.mark.parametrize("kind", ["float32", "float64", "int32", "uint8"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_scans_have_the_bits_of_numpy(kind, axis):
    x = (numbers(3, 5, 37) * 3).astype("int32").astype(kind)
    x[0, 0, :2] = -0.0 if x.dtype.kind == "f" else 0
    for op in (ops.cumsum, ops.cumprod):
        both = agree(lambda x, op=op: op(x, axis), [x])
        assert both.native([x])[0].tobytes() == both.interpreted([x])[0].tobytes()
        assert not both.in_numpy


@pytest.mark.parametrize("op", [ops.mod, ops.floor_divide])
@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (33,)])
def test_remainders_of_numbers_that_are_known_to_be_finite(op, kind, shape):
    agree(lambda i: op(ops.cast(i, kind), 3.0), [np.full(shape, -7, "int32")])


# ---- products ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ab,bc->ac", [(3, 4), (4, 5)]),
        ("ab,cb->ca", [(3, 4), (5, 4)]),
        ("abc,dbc->da", [(3, 4, 2), (5, 4, 2)]),
        ("abc,acd->abd", [(2, 3, 4), (2, 4, 5)]),
        ("abcd,aecd->acbe", [(2, 3, 4, 5), (2, 6, 4, 5)]),
        ("ab,ab->a", [(3, 4), (3, 4)]),
        ("ab,ab->", [(3, 4), (3, 4)]),
        ("a,b->ba", [(3,), (4,)]),
        ("aab,b->a", [(3, 3, 4), (4,)]),
        ("abc,b->c", [(2, 3, 4), (3,)]),
        ("ab,bc->ac", [(3, 1), (4, 5)]),
    ],
)
def test_contractions(subscripts, shapes):
    def op(*xs):
        return contract(*xs, subscripts=subscripts)

    arrays = [numbers(*shape) for shape in shapes]
    natively(op, *arrays, order=0)
    if not any(1 in shape for shape in shapes):
        natively(op, *arrays)


@pytest.mark.parametrize(
    "shapes",
    [
        [(3,), (3,)], [(3,), (3, 4)], [(2, 3), (3,)], [(2, 3), (3, 4)], [(2, 5, 3), (3,)],
        [(3,), (2, 3, 4)], [(2, 1, 3, 4), (5, 4, 2)], [(2, 3, 1, 4), (2, 1, 4, 5)],
    ],
)  # fmt: skip
def test_products(shapes):
    natively(ops.matmul, *(numbers(*shape) for shape in shapes))


def test_products_of_any_views():
    natively(lambda x, y: ops.matmul(x[1:, ::2], ops.flip(y)), numbers(4, 6), numbers(3, 5))
    natively(lambda x: ops.matmul(x, ops.transpose(x, (0, 2, 1))), numbers(2, 3, 4))


# ---- rows that integers select -------------------------------------------------------------------

INDEX = np.array([[2, 0, -1], [1, 1, 0]], "int32")
OTHER = np.array([1, -2, 0], "int64")


@pytest.mark.parametrize(
    "op",
    [
        lambda x, i, j: x[i],
        lambda x, i, j: x[:, i],
        lambda x, i, j: x[..., i],
        lambda x, i, j: x[i, j],
        lambda x, i, j: x[i, :, j],
        lambda x, i, j: x[0, :, j],
        lambda x, i, j: x[:, 0, j],
        lambda x, i, j: x[j, ::-1, None, 1:],
        lambda x, i, j: x[None, ::2, i, None, j],
        lambda x, i, j: x[i[0, 1], j[0]],
        lambda x, i, j: ops.take(x, i, axis=1),
        lambda x, i, j: ops.take(ops.transpose(x), i, axis=0),
        lambda x, i, j: ops.take_along_axis(x[:2], ops.reshape(i, (2, 3, 1)), 1),
        lambda x, i, j: ops.take_along_axis(x[:, :1], ops.tile(i[:1, :, None], (4, 3, 1)), 0),
        lambda x, i, j: ops.segment_sum(x, ops.concatenate([j, j[:1]]) % 3, 5),
        lambda x, i, j: ops.segment_max(x, ops.concatenate([j, j[:1]]) % 3, 3),
        lambda x, i, j: ops.scatter_update(x, ops.reshape(j, (3, 1)) % 2, x[:3] * 2),
        lambda x, i, j: ops.scatter(ops.reshape(j, (3, 1)) % 2, x[:3], (4, 3, 3)),
        lambda x, i, j: ops.slice(x, ops.cast(ops.stack([j[0], 0, j[0]]), "int32"), (2, 3, 2)),
        lambda x, i, j: ops.slice_update(x, ops.stack([j[0], j[2], j[0]]), x[:2, :3, :2] * 2),
    ],
)
def test_indices(op):
    natively(op, numbers(4, 3, 3), INDEX, OTHER)


lengths = st.integers(0, 4)


@functools.cache
def _moving():
    def windows(x, new, start):
        return [ops.slice(x, start, (2, 3)), ops.slice_update(x, start, new)]

    return traced(windows, [numbers(6, 5), numbers(2, 3), np.zeros(2, "int64")])


@settings(max_examples=25, deadline=None)
@given(start=st.tuples(lengths, lengths))
def test_windows_that_move(start):
    both = _moving()
    given = [numbers(6, 5), numbers(2, 3), np.array(start, "int64")]
    got = both.native(given)
    if start[0] + 2 > 6 or start[1] + 3 > 5:
        assert got is None
        return
    for a, b in zip(got, both.interpreted(given), strict=True):
        close(a, b)


# ---- errors --------------------------------------------------------------------------------------

WRONG = np.array([0, 4, 1], "int64")


@pytest.mark.parametrize(
    "op",
    [
        lambda x, i: ops.take(x, i, axis=0),
        lambda x, i: x[i],
        lambda x, i: x[:, 0, i],
        lambda x, i: ops.take_along_axis(x, ops.reshape(i, (3, 1, 1)), 0),
        lambda x, i: gather_nd(x, ops.reshape(i, (3, 1))),
        lambda x, i: ops.scatter(ops.reshape(i, (3, 1)), x[:3], (4, 3, 4)),
        lambda x, i: ops.scatter_update(x, ops.reshape(i, (3, 1)), x[:3]),
        lambda x, i: ops.segment_max(x[:3], i, 4),
        lambda x, i: ops.slice(x, i, (2, 2, 2)),
        lambda x, i: ops.slice_update(x, i, x[:2, :2, :2]),
    ],
)
def test_an_index_outside_gives_the_plan_up(op):
    def step(x, i):
        return [op(x, i), x * 2 + 1]

    x, right = numbers(4, 3, 4), np.array([1, 0, 1], "int64")
    both = traced(step, [x, right], donated=[(0, 1)])
    assert not both.in_numpy
    for _ in range(2):
        before = x.copy()
        assert both.native([x, WRONG]) is None
        np.testing.assert_array_equal(x, before)
        with pytest.raises((IndexError, ValueError)):
            both.interpreted([x, WRONG])
        expected = both.interpreted([x, right])
        for a, b in zip(both.native([x, right]), expected, strict=True):
            close(a, b)
        x[...] = before


def test_errors_are_those_of_numpy():
    inputs = [SymbolicTensor((4, 3), np.dtype("float32")), SymbolicTensor((3,), np.dtype("int64"))]
    with overridden(inline=True):
        outputs = [ops.take(*inputs, axis=0)]
    native = Native(Graph("taken", inputs, outputs), ())
    with pytest.raises(IndexError, match=r"take: expected indices in \[-4, 4\), got 4"):
        native([numbers(4, 3), WRONG])


# ---- a model -------------------------------------------------------------------------------------


def test_a_text_classifier_trains_without_numpy():
    def step(table, kernel, ids, labels):
        with keras.GradientTape() as tape:
            tape.watch([table, kernel])
            words = ops.take(table, ids, axis=0)
            logits = ops.matmul(ops.mean(words, 1), kernel)[:, 0]
            loss = ops.mean(ops.binary_crossentropy(labels, logits, from_logits=True))
        grads = tape.gradient(loss, [table, kernel])
        return [loss, grads[0].dense(), grads[1]]

    ids = np.random.default_rng(0).integers(0, 50, (8, 6)).astype("int32")
    labels = (ids[:, 0] > 20).astype("float32")
    both = agree(step, [numbers(50, 16), numbers(16, 1), ids, labels])
    assert not both.in_numpy


def test_an_embedding_model_fits_as_it_does_eagerly():
    ids = np.random.default_rng(0).integers(0, 50, (32, 6)).astype("int32")
    labels = (ids[:, 0] > 20).astype("float32")[:, None]
    losses = []
    for eagerly in (False, True):
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                layers.Embedding(50, 8),
                layers.GlobalAveragePooling1D(),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile("adam", "binary_crossentropy", run_eagerly=eagerly)
        losses.append(model.fit(ids, labels, epochs=2, batch_size=8, verbose=0).history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("crossed", [False, True])
def test_totals_of_so_many_numbers_that_threads_share_them(crossed):
    def totals(x, y):
        y = ops.transpose(y) if crossed else ops.reshape(y, (150, 130))
        return ops.sum(x * y), ops.max(x + y), ops.any(x > y)

    both = agree(totals, [numbers(150, 130), numbers(130, 150)])
    assert not both.in_numpy
