import numpy as np
import pytest

from minikeras.compiler.kernels import pooling as native
from minikeras.compiler.native import llvm
from minikeras.compiler.native.emit import Code
from minikeras.ops import pooling
from minikeras.ops.windows import Window, sliding
from tests.native import run, spoiled

pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code needs llvmlite")

CASES = {
    "halves": ((26, 26), (2, 2), (2, 2), "valid", 32, "float32"),
    "odd rest": ((11, 13), (2, 2), (2, 2), "valid", 20, "float32"),
    "overlapping": ((11, 13), (3, 3), (2, 2), "same", 20, "float32"),
    "many vectors": ((7, 5), (3, 2), (1, 2), "same", 83, "float32"),
    "gaps": ((11, 13), (2, 3), (3, 4), "same", 3, "float64"),
    "gaps, valid": ((11, 13), (2, 3), (3, 4), "valid", 70, "int8"),
    "one channel": ((12, 9), (2, 2), (2, 2), "valid", 1, "float32"),
    "one channel, overlapping": ((12, 9), (3, 2), (2, 1), "same", 1, "float64"),
    "line": ((9,), (2,), (2,), "same", 33, "int32"),
    "line, overlapping": ((9,), (5,), (2,), "same", 7, "float64"),
    "volume": ((5, 6, 7), (2, 3, 2), (2, 3, 2), "same", 7, "float32"),
    "volume, overlapping": ((5, 6, 4), (3, 2, 3), (2, 1, 2), "same", 5, "float32"),
    "large window": ((20, 20), (17, 17), (2, 1), "same", 3, "float32"),
    "single pixels": ((3, 4), (1, 1), (2, 3), "valid", 3, "uint8"),
}


def numbers(shape, dtype, seed=0):
    """Return numbers with many ties, NaN and infinities among them."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0 if dtype[0] == "u" else -3, 4, shape).astype(dtype)
    if dtype[0] == "f":
        x[rng.random(shape) < 0.02] = np.nan
        x[rng.random(shape) < 0.1] = -np.inf
    return x


def pooled(batch, size, kernel, strides, padding, channels, dtype):
    window = sliding("test", size, kernel, strides, padding)
    x = numbers((batch, *size, channels), dtype)
    y = pooling._largest(x, window)
    return native.job(window, channels, dtype), x, y, pooling._first_maximum(x, y, window), window


def checked(steps, expected, close=False, **inputs):
    """Run steps in one share and in several, and compare with what NumPy computed."""
    results = []
    for shares in (1, 2, 5):
        out = spoiled(expected.shape, expected.dtype)
        run(steps, shares, out=out, **inputs)
        results.append(out)
    assert all(result.tobytes() == results[0].tobytes() for result in results)
    if close:
        tolerance = 1e-5 if expected.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(results[0], expected, rtol=tolerance, atol=tolerance)
    else:
        np.testing.assert_array_equal(results[0], expected)


@pytest.mark.parametrize("name", CASES)
def test_reads_windows(name):
    job, x, y, index, window = pooled(2, *CASES[name])
    checked(native.max_pool(job, 2), y, in0=x)
    checked(native.first_maximum(job, 2), index, in0=x, in1=y)
    checked(native.take_position(job, 2), pooling._take(x, index, window), in0=x, in1=index)
    if job.kind.startswith("float"):
        x = np.where(np.isfinite(x), x, 1).astype(x.dtype)
        checked(native.average_pool(job, 2), pooling._mean(x, window), close=True, in0=x)


@pytest.mark.parametrize("name", CASES)
def test_finds_maximum_and_position_in_one_pass(name):
    job, x, y, index, _ = pooled(3, *CASES[name])
    largest, where = spoiled(y.shape, y.dtype), spoiled(index.shape, index.dtype)
    run(native.max_pool_with_position(job, 3), 3, in0=x, out0=largest, out1=where)
    np.testing.assert_array_equal(largest, y)
    np.testing.assert_array_equal(where, index)


@pytest.mark.parametrize("name", CASES)
def test_writes_every_number_once(name):
    job, _, y, index, window = pooled(2, *CASES[name])
    g = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    checked(native.put_position(job, 2), pooling._put(g, index, window), in0=g, in1=index)
    if job.kind.startswith("float"):
        expected = pooling._spread(g, window)
        checked(native.average_pool_gradient(job, 2), expected, close=True, in0=g)


def test_puts_infinity_and_nan_where_they_belong():
    job, _, _, index, window = pooled(2, *CASES["halves"])
    g = numbers(index.shape, "float32", 3)
    checked(native.put_position(job, 2), pooling._put(g, index, window), in0=g, in1=index)


def test_batch_is_no_part_of_the_text_and_may_be_empty():
    job, *_ = pooled(2, *CASES["overlapping"])
    for write in (
        native.max_pool, native.max_pool_with_position, native.first_maximum, native.put_position,
        native.take_position, native.average_pool, native.average_pool_gradient,
    ):  # fmt: skip
        (two,), (none,) = write(job, 2), write(job, 0)
        assert two.kernel.text == none.kernel.text
        assert none.kernel.units == 0


@pytest.mark.parametrize("write", ["max_pool", "put_position", "average_pool"])
def test_caller_goes_on_with_results(write):
    """Multiply by what another operand holds, in the same pass."""
    window = sliding("test", (9, 10), (2, 2), (2, 2), "valid")
    plain = native.job(window, 20, "float32")
    x = np.random.default_rng(0).standard_normal((2, 9, 10, 20)).astype("float32")
    y = pooling._largest(x, window)
    index = pooling._first_maximum(x, y, window)
    inputs = {"in0": y, "in1": index} if write == "put_position" else {"in0": x}
    own = len(inputs)
    pointers = []

    def prepare(code: Code):
        pointers.extend(code.operand(own + i) for i in range(2))

    def emit(code, value, row, column, mask):
        at = code.add(code.mul(row, 20), column)
        factor = code.load(pointers[0], at, "float32", value.lanes, mask)
        code.store(code.mul(value, factor), pointers[1], at, mask)

    job = native.job(window, 20, "float32", emit=emit, prepare=prepare, extra=2)
    (step,) = getattr(native, write)(job, 2)
    assert step.operands == tuple(inputs)
    out = spoiled(x.shape if write == "put_position" else y.shape, "float32")
    factor = np.random.default_rng(1).standard_normal(out.shape).astype("float32")
    expected = spoiled(out.shape, "float32")
    run(getattr(native, write)(plain, 2), out=expected, **inputs)
    run([(step.kernel, (*step.operands, "factor", "out"))], 3, factor=factor, out=out, **inputs)
    np.testing.assert_array_equal(out, expected * factor)


def test_some_poolings_have_no_kernel():
    window = sliding("test", (9, 10), (2, 2), (2, 2), "valid")
    assert native.job(window, 3, "float16") is None
    beyond = Window((4,), (2,), (2,), ((3, 0),), (1,))
    assert native.job(beyond, 3, "float32") is None
    integers = native.job(window, 3, "int32")
    assert native.average_pool(integers, 1) is None
    assert native.average_pool_gradient(integers, 1) is None
    long = sliding("test", (10_000,), (3,), (2,), "same")
    assert native.average_pool(native.job(long, 3, "float32"), 1) is None
