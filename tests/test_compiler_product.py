"""Compiled matrix products agree with NumPy in float64, whatever the lengths and layouts."""

import ctypes
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikeras.compiler.kernels.product import Epilogue, Matrix, matmul
from minikeras.compiler.native import llvm, machine

pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code needs llvmlite")

# Rows, depth, columns: one, remainders of every tile, runs of depth, and nothing at all.
LENGTHS = [
    (1, 1, 1), (2, 3, 5), (7, 13, 17), (13, 7, 2), (31, 33, 31), (33, 31, 100), (17, 2, 33),
    (128, 40, 10), (130, 9, 16), (1, 50, 128), (1, 33, 17), (2, 300, 200), (5, 64, 3),
    (3, 70, 40), (64, 20, 112), (9, 600, 70), (12, 1100, 17), (40, 1, 35), (65, 300, 1),
    (0, 3, 4), (3, 0, 4), (3, 4, 0),
]  # fmt: skip


def matrix(x):
    strides = [stride // x.itemsize for stride in x.strides]
    return Matrix(*x.shape[-2:], *strides[-2:], strides[0] if x.ndim > 2 and len(x) > 1 else 0)


def normal(rng, shape, kind, turned):
    if turned:
        return (
            rng.standard_normal((*shape[:-2], shape[-1], shape[-2])).astype(kind).swapaxes(-1, -2)
        )
    return rng.standard_normal(shape).astype(kind)


def run(work, buffers, cuts=()):
    """Do the work, its units in pieces between `cuts` (fractions)."""
    scratch = [np.full(size // 8 + 1, np.nan) for size in work.scratch]
    buffers = buffers | {f"scratch{i}": x for i, x in enumerate(scratch)}
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 2)
    for kernel, names, *_ in work.steps:
        table = np.array([buffers[name].ctypes.data for name in names])
        record = np.array([0] * 5 + [*range(len(names)), *kernel.parameters])
        native = function(llvm.addresses([kernel.text])[0])
        pieces = [0, *(int(cut * kernel.units) for cut in cuts), kernel.units]
        for begin, end in itertools.pairwise(pieces):
            native(table.ctypes.data, record.ctypes.data, begin, end)


def multiply(a, b, cuts=()):
    batch = max(len(x) if x.ndim > 2 else 1 for x in (a, b))
    outer = (batch,) if max(a.ndim, b.ndim) > 2 else ()
    # A guard on both sides: nothing may be written beside the result.
    count = batch * a.shape[-2] * b.shape[-1]
    memory = np.full(count + 128, 7, a.dtype)
    out = memory[64 : 64 + count]
    run(matmul(matrix(a), matrix(b), a.dtype.name, batch), {"a": a, "b": b, "out": out}, cuts)
    assert (memory[:64] == 7).all()
    assert (memory[64 + count :] == 7).all()
    return out.reshape(*outer, a.shape[-2], b.shape[-1])


def close(result, a, b):
    exact = np.matmul(a.astype(np.float64), b.astype(np.float64))
    terms = np.matmul(abs(a).astype(np.float64), abs(b).astype(np.float64))
    bound = (a.shape[-1] + 2) * np.finfo(a.dtype).eps * terms
    assert result.shape == exact.shape
    assert (abs(result - exact) <= bound).all()


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(
    ("a_turned", "b_turned"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_agrees_with_numpy_for_every_layout(rng, kind, a_turned, b_turned):
    for rows, depth, columns in LENGTHS:
        a = normal(rng, (rows, depth), kind, a_turned)
        b = normal(rng, (depth, columns), kind, b_turned)
        whole = multiply(a, b)
        close(whole, a, b)
        assert whole.tobytes() == multiply(a, b, cuts=(0.3, 0.4, 0.9)).tobytes()


@pytest.mark.parametrize(("a_turned", "b_turned"), [(False, False), (True, False), (False, True)])
def test_large_products_with_slabs_runs_and_copies(rng, a_turned, b_turned):
    for rows, depth, columns in ((150, 1024, 1024), (40, 520, 2051), (6, 1030, 1100)):
        a = normal(rng, (rows, depth), "float32", a_turned)
        b = normal(rng, (depth, columns), "float32", b_turned)
        whole = multiply(a, b)
        close(whole, a, b)
        assert whole.tobytes() == multiply(a, b, cuts=(0.47,)).tobytes()


@pytest.mark.parametrize("shapes", [(3, 3), (3, 1), (1, 3), (1, 1)])
@pytest.mark.parametrize("turned", [False, True])
def test_batches_and_broadcast_batches(rng, shapes, turned):
    for rows, depth, columns in ((5, 7, 20), (1, 40, 3), (17, 3, 1), (16, 16, 16)):
        a = normal(rng, (shapes[0], rows, depth), "float32", False)
        b = normal(rng, (shapes[1], depth, columns), "float32", turned)
        whole = multiply(a, b)
        close(whole, a, b)
        assert whole.tobytes() == multiply(a, b, cuts=(0.1, 0.6)).tobytes()


def test_a_large_batch_whose_rows_lie_badly_is_copied_first(rng):
    a, b = (
        normal(rng, (2, 66, 1024), "float32", False),
        normal(rng, (2, 1024, 600), "float32", True),
    )
    work = matmul(matrix(a), matrix(b), "float32", 2)
    assert [step.kernel.name for step in work.steps] == ["gather", "matmul"]
    close(multiply(a, b, cuts=(0.5,)), a, b)


@settings(max_examples=25)
@given(st.data())
def test_random_lengths(data):
    length = st.integers(1, 70)
    rows, depth, columns = (data.draw(length) for _ in range(3))
    flips, kind = (
        data.draw(st.tuples(st.booleans(), st.booleans())),
        data.draw(st.sampled_from(["float32", "float64"])),
    )
    rng = np.random.default_rng(rows * depth)
    a, b = normal(rng, (rows, depth), kind, flips[0]), normal(rng, (depth, columns), kind, flips[1])
    close(multiply(a, b, cuts=(data.draw(st.floats(0, 1)),)), a, b)


def test_other_strides(rng):
    a = normal(rng, (20, 60), "float32", False)[::2, ::3]
    b = normal(rng, (40, 90), "float32", False)[::2, ::2]
    close(multiply(a, b), a, b)
    column = np.broadcast_to(normal(rng, (20, 1), "float32", False), (20, 33))
    close(multiply(a, column), a, column)


def test_nan_and_infinity_stay_in_their_rows(rng):
    a, b = normal(rng, (9, 40), "float32", False), normal(rng, (40, 19), "float32", False)
    a[8, 3], a[2, 5] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        assert np.isfinite(multiply(a, b)).all(1).tolist() == [i not in (2, 8) for i in range(9)]


def bias_relu(columns):
    """Add a bias; keep both the sum and its positive part."""
    pointers = []

    def finish(code, value, row, column, mask):
        lanes, kind = value.lanes, value.kind
        total = code.add(value, code.load(pointers[0], column, kind, lanes, mask))
        zero = code.constant(0, kind, lanes)
        at = code.add(code.mul(row, columns), column)
        code.store(total, pointers[1], at, mask)
        positive = code.select(code.compare("gt", total, zero), total, zero)
        code.store(positive, pointers[2], at, mask)

    return Epilogue(("bias", "sum", "out"), lambda code, given: pointers.extend(given), finish)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "lengths", [(9, 13, 21), (128, 20, 10), (5, 7, 1), (3, 200, 6), (33, 530, 1024), (1, 300, 1024)]
)
@pytest.mark.parametrize("batch", [1, 2])
def test_epilogue_gets_every_finished_number_once(rng, lengths, turned, batch):
    rows, depth, columns = lengths
    a = normal(rng, (batch, rows, depth), "float32", False)
    b = normal(rng, (batch, depth, columns), "float32", turned)
    bias = normal(rng, (columns,), "float32", False)
    buffers = {"a": a, "b": b, "bias": bias}
    results = []
    for cuts in ((), (0.2, 0.7)):
        y, z = (np.full((batch, rows, columns), np.nan, np.float32) for _ in range(2))
        work = matmul(matrix(a), matrix(b), "float32", batch, bias_relu(columns))
        run(work, buffers | {"sum": y, "out": z}, cuts)
        results.append((y.tobytes(), z.tobytes()))
    assert results[0] == results[1]
    np.testing.assert_allclose(y, a @ b + bias, rtol=0, atol=1e-5 * depth)
    np.testing.assert_array_equal(z, np.maximum(y, 0))


def test_epilogue_may_change_what_it_reads(rng):
    a, b, total = (normal(rng, shape, "float32", False) for shape in ((9, 5), (5, 21), (9, 21)))
    before, pointers = total.copy(), []

    def finish(code, value, row, column, mask):
        at = code.add(code.mul(row, 21), column)
        old = code.load(pointers[0], at, value.kind, value.lanes, mask)
        code.store(code.add(old, value), pointers[0], at, mask)

    epilogue = Epilogue(("total",), lambda code, given: pointers.extend(given), finish)
    run(matmul(matrix(a), matrix(b), "float32", 1, epilogue), {"a": a, "b": b, "total": total})
    np.testing.assert_allclose(total, before + a @ b, rtol=0, atol=1e-4)


def test_the_last_batch_needs_no_new_code():
    def text(rows, turned):
        plain = Matrix(rows, 784, 784, 1)
        if turned:
            return matmul(Matrix(784, rows, 1, 784), Matrix(rows, 128, 128, 1), "float32")
        return matmul(plain, Matrix(784, 128, 128, 1), "float32")

    for turned in (False, True):
        first, last = (text(rows, turned).steps[0].kernel for rows in (128, 96))
        assert first.text == last.text
        assert first.parameters != last.parameters


@pytest.mark.parametrize(("vector_bytes", "registers"), [(16, 16), (16, 32), (32, 16)])
def test_forms_of_other_machines(rng, monkeypatch, vector_bytes, registers):
    other = machine.host()._replace(vector_bytes=vector_bytes, registers=registers, l2=256 << 10)
    monkeypatch.setattr(machine, "host", lambda: other)
    cases = ((33, 31, 100), (1, 300, 1000), (2, 9, 70), (130, 40, 10), (40, 300, 1024), (65, 30, 1))
    for rows, depth, columns in cases:
        for flips in ((False, False), (True, False), (False, True)):
            a = normal(rng, (rows, depth), "float32", flips[0])
            b = normal(rng, (depth, columns), "float32", flips[1])
            close(multiply(a, b, cuts=(0.5,)), a, b)
