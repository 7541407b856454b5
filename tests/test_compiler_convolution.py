"""Native convolutions against the primitives' NumPy forwards."""

import ctypes
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikeras.compiler.kernels import convolution
from minikeras.compiler.kernels.axes import image_axes, output_axes
from minikeras.compiler.kernels.convolution_weights import Packing, pack
from minikeras.compiler.native import llvm, machine
from minikeras.ops.convolution import _conv, _conv_input_gradient
from minikeras.ops.pooling import _find_first_maximum, _max_pool
from minikeras.ops.windows import Window, sliding

pytest.importorskip("llvmlite")
pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code is switched off")

SIGNATURE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIKERAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def run(steps, arrays, pieces=1):
    """Run kernels one after the other, each in pieces from the last to the first."""
    sizes = [step.scratch for step in steps if step.scratch]
    arrays = dict(arrays) | {f"scratch{i}": np.empty(n, np.uint8) for i, n in enumerate(sizes)}
    for kernel, operands, _ in steps:
        (address,) = llvm.addresses([kernel.text])
        buffers = np.array([arrays[name].ctypes.data for name in operands], np.int64)
        numbers = [0] * 5 + [*range(len(operands)), *kernel.parameters]
        record = np.array(numbers, np.int64)
        cuts = [kernel.units * i // pieces for i in range(pieces + 1)]
        for begin, end in reversed([*itertools.pairwise(cuts)]):
            SIGNATURE(address)(buffers.ctypes.data, record.ctypes.data, begin, end)


def window(size, kernel, strides=1, padding="valid", dilation=1, groups=1):
    """Make a window from numbers for all axes, or tuples; padding may be pairs."""
    if isinstance(padding, str):
        return sliding("test", size, kernel, strides, padding, dilation, groups)
    on_all = lambda value: value if isinstance(value, tuple) else (value,) * len(size)
    return Window(size, kernel, on_all(strides), padding, on_all(dilation), groups)


def some(shape, kind, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(kind)


def close(got, expected):
    tolerance = 1e-5 if got.dtype == np.float32 else 1e-13
    scale = 1 + np.abs(expected).max(initial=0)
    np.testing.assert_allclose(got / scale, expected / scale, rtol=0, atol=tolerance)


def check(batch, w, channels, filters, kind="float32"):
    x = some((batch, *w.size, channels), kind)
    kernel = some((*w.kernel, channels // w.groups, filters), kind, 1)
    g = some((batch, *w.outputs, filters), kind, 2)
    for lowered, name, source, expected in (
        (convolution.forward, "x", x, _conv(x, kernel, window=w)),
        (convolution.input_gradient, "g", g, _conv_input_gradient(g, kernel, window=w)),
    ):
        steps = lowered(batch, w, channels, filters, kind)
        whole = np.full(expected.shape, np.nan, kind)
        run(steps, {name: source, "kernel": kernel, "out": whole})
        close(whole, expected.numpy())
        parts = np.full(expected.shape, np.nan, kind)
        run(steps, {name: source, "kernel": kernel, "out": parts}, pieces=3)
        assert parts.tobytes() == whole.tobytes()


WINDOWS = [
    # batch, window, channels, filters
    (2, window((9,), (3,)), 5, 7),
    (3, window((30,), (5,), padding=((8, 0),), dilation=2), 6, 10),  # causal
    (1, window((64,), (41,), padding="same"), 3, 10),  # borders longer than blocks
    (1, window((60,), (41,), padding=((20, 20),), dilation=(2,)), 3, 20),
    (2, window((25,), (4,), strides=3, padding="same"), 2, 33),
    (1, window((8, 9), (3, 3)), 1, 32),
    (2, window((8, 9), (3, 3), padding="same"), 32, 64),
    (2, window((8, 9), (3, 3), strides=2, padding="same"), 5, 7),
    (2, window((7, 7), (1, 1), strides=3), 5, 7),  # places that no tap meets
    (1, window((7, 8), (2, 3), strides=(3, 2), padding=((1, 2), (0, 4))), 4, 5),
    (2, window((9, 8), (3, 2), padding=((2, 1), (0, 1)), dilation=(2, 3)), 5, 33),
    (1, window((40, 3), (3, 3), padding="same"), 17, 1),
    (40, window((4, 4), (3, 3)), 40, 160),  # packed
    (12, window((7, 7), (3, 3), padding="same", groups=2), 96, 300),
    (2, window((8, 9), (3, 3), padding="same", groups=2), 6, 8),
    (2, window((8, 9), (3, 3), strides=2, padding="same", groups=3), 6, 9),
    (2, window((8, 9), (3, 3), padding="same", groups=20), 20, 20),
    (2, window((8, 9), (3, 3), strides=2, padding="same", groups=70), 70, 70),
    (1, window((8, 9), (3, 2), dilation=2, padding="same", groups=3), 3, 3),
    (1, window((3,), (7,), padding=((9, 9),), strides=4), 1, 1),
    (2, window((5, 6, 7), (3, 2, 3), padding="same", strides=(1, 2, 1)), 3, 4),
    (2, window((4, 5, 6), (2, 3, 3), padding="same"), 4, 20),
    (2, window((8, 9), (3, 3), padding="same"), 32, 1),  # vectors of a pixel's channels
    (2, window((8, 40), (3, 9), padding="same", strides=2), 48, 3),
    (2, window((9,), (9,), padding="same", dilation=2), 40, 2),
    (0, window((8, 9), (3, 3)), 2, 3),
]


@pytest.mark.parametrize(("batch", "w", "channels", "filters"), WINDOWS)
def test_windows(batch, w, channels, filters):
    check(batch, w, channels, filters)


@pytest.mark.parametrize(("batch", "w", "channels", "filters"), WINDOWS[3:18:3])
def test_float64(batch, w, channels, filters):
    check(batch, w, channels, filters, "float64")


@pytest.mark.parametrize(("vector_bytes", "registers"), [(16, 32), (32, 16)])
@pytest.mark.parametrize(("batch", "w", "channels", "filters"), WINDOWS[5:20:3])
def test_other_machines(batch, w, channels, filters, vector_bytes, registers, monkeypatch):
    host = machine.host()._replace(vector_bytes=vector_bytes, registers=registers)
    monkeypatch.setattr(machine, "host", lambda: host)
    check(batch, w, channels, filters)


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(rank))
    size, kernel, groups = each(1, 7), each(1, 4), draw(st.integers(1, 3))
    strides, dilation = each(1, 3), (1,) * rank
    if draw(st.booleans()):
        strides, dilation = dilation, strides
    padding = tuple(zip(each(0, 4), each(0, 4)))
    w = Window(size, kernel, strides, padding, dilation, groups)
    if min(w.outputs) < 1:
        w = w._replace(padding=tuple((span, lo) for span, (lo, _) in zip(w.spans, padding)))
    kind = draw(st.sampled_from(["float32", "float64"]))
    counts = draw(st.integers(1, 6)) * groups, draw(st.integers(1, 20)) * groups
    return draw(st.integers(1, 3)), w, *counts, kind


@settings(max_examples=25, deadline=None)
@given(cases())
def test_random_windows(case):
    check(*case)


def bias_relu(kind, first):
    """Make an epilogue that adds operand `first` and cuts negative numbers off."""
    found = {}

    def prepare(code):
        found["bias"] = code.operand(first)

    def finish(code, sums, row, column, mask):
        zero = code.constant(0, kind, sums.lanes)
        value = code.add(sums, code.load(found["bias"], column, kind, sums.lanes, mask))
        return code.select(code.compare("gt", value, zero), value, zero)

    return convolution.Epilogue(prepare, finish, ("bias",), "bias + relu")


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(("channels", "filters"), [(5, 37), (32, 2)])
def test_epilogue_meets_every_sum_once(kind, channels, filters):
    w = window((8, 9), (3, 3), padding="same")
    x, bias = some((3, 8, 9, channels), kind), some((filters,), kind)
    kernel, out = some((3, 3, channels, filters), kind), np.full((3, 8, 9, filters), np.nan, kind)
    steps = convolution.forward(3, w, channels, filters, kind, bias_relu(kind, 3))
    run(steps, {"x": x, "kernel": kernel, "bias": bias, "out": out}, pieces=2)
    close(out, np.maximum(_conv(x, kernel, window=w).numpy() + bias, 0))
    assert steps[-1].kernel.name == "conv + bias + relu"


def test_epilogue_is_told_rows_and_columns():
    # One that stores by itself: the sums, each with its place.
    w = window((5, 6), (3, 2), strides=2, padding="same")
    found = {}

    def prepare(code):
        found["out"] = code.operand(2)

    def finish(code, sums, row, column, mask):
        place = code.add(code.mul(row, 6), column)
        first = code.convert(code.index(place), "float32")
        more = code.convert(code.iota(sums.lanes), "float32")
        numbers = code.add(code.splat(first, sums.lanes), more)
        code.store(numbers, found["out"], place, mask)

    epilogue = convolution.Epilogue(prepare, finish)
    g, kernel = some((2, 3, 3, 4), "float32"), some((3, 2, 6, 4), "float32")
    out = np.zeros((2, 5, 6, 6), "float32")
    steps = convolution.input_gradient(2, w, 6, 4, "float32", epilogue)
    run(steps, {"g": g, "kernel": kernel, "out": out})
    np.testing.assert_array_equal(out.reshape(-1), np.arange(out.size))


POOLS = [
    (window((9, 9), (3, 3)), (2, 2)),
    (window((9, 9), (3, 3), padding="same"), (2, 2)),
    (window((9, 11), (3, 3), padding="same"), (3, 2)),
    (window((20,), (3,)), (4,)),
    (window((5, 6, 7), (2, 2, 2), padding="same"), (2, 3, 2)),
]


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(("w", "lengths"), POOLS)
@pytest.mark.parametrize(("channels", "filters"), [(3, 21), (32, 1)])
def test_pooled(w, lengths, channels, filters, kind):
    pool = window(w.outputs, lengths, lengths)
    x, bias = some((2, *w.size, channels), kind), some(filters, kind)
    kernel = some((*w.kernel, channels, filters), kind)
    full = convolution.forward(2, w, channels, filters, kind, bias_relu(kind, 3))
    y = np.empty((2, *w.outputs, filters), kind)
    run(full, {"x": x, "kernel": kernel, "bias": bias, "out": y})
    expected = _max_pool(y, window=pool)
    out, position = np.full(expected.shape, np.nan, kind), np.full(expected.shape, 255, np.uint8)
    steps = convolution.forward(2, w, channels, filters, kind, bias_relu(kind, 4), pool)
    arrays = {"x": x, "kernel": kernel, "bias": bias, "out": out, "position": position}
    run(steps, arrays, pieces=2)
    close(out, expected.numpy())
    # Many windows hold nothing but zeros: the first of equals counts.
    same = _find_first_maximum(y, expected, window=pool).numpy() == position
    assert same.mean() > (0.999 if kind == "float64" else 0.98)


def test_pooled_nan_wins():
    w = window((6, 6), (1, 1))
    pool = window((6, 6), (2, 2), (2, 2))
    x = some((1, 6, 6, 1), "float32")
    x[0, 0, 0], x[0, 3, 3], x[0, 4, 5] = np.nan, np.nan, -np.inf
    out, position = np.empty((1, 3, 3, 1), "float32"), np.empty((1, 3, 3, 1), np.uint8)
    steps = convolution.forward(1, w, 1, 1, "float32", pool=pool)
    kernel = np.ones((1, 1, 1, 1), "float32")
    run(steps, {"x": x, "kernel": kernel, "out": out, "position": position})
    np.testing.assert_array_equal(out, _max_pool(x, window=pool).numpy())


def test_text_does_not_know_the_batch():
    w = window((12, 12), (3, 3), padding="same")
    for lowered in (convolution.forward, convolution.input_gradient):
        few, many = lowered(8, w, 8, 16, "float32"), lowered(100, w, 8, 16, "float32")
        assert [step.kernel.text for step in few] == [step.kernel.text for step in many]
        assert many[-1].kernel.units == 1200
    assert convolution.forward(3, w, 8, 16, "float32")[0].kernel.flops < 2 * 3 * 144 * 9 * 8 * 16


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("groups", "inputs", "outputs", "width"), [(1, 19, 37, 16), (3, 2, 5, 5)])
def test_packed(groups, inputs, outputs, width, turned):
    packing = Packing(6, groups, inputs, outputs, width, turned, turned)
    shape = (6, outputs, groups, inputs) if turned else (6, inputs, groups, outputs)
    kernel = some(shape, "float32")
    # [group, tap, input, output]
    order = kernel[::-1].transpose(2, 0, 3, 1) if turned else kernel.transpose(2, 0, 1, 3)
    parts = [[one[..., i : i + width].ravel() for i in range(0, outputs, width)] for one in order]
    out = np.empty(kernel.size, "float32")
    step = convolution.Step(pack(packing, "float32"), ("kernel", "out"))
    run([step], {"kernel": kernel, "out": out}, pieces=2)
    np.testing.assert_array_equal(out, np.concatenate([p for some in parts for p in some]))


def test_axes_agree_with_overlaps():
    for _, w, _, _ in WINDOWS:
        for axes in (output_axes(w), image_axes(w)):
            for number, axis in enumerate(axes[3 - len(w.size) :]):
                met = 0
                for place in range(axis.length):
                    first, stop = axis.bounds(place)
                    met += stop - first
                where = [w.overlap(number, tap)[1] for tap in range(axis.taps)]
                assert met == sum(each.stop - each.start for each in where)


def test_what_has_no_lowering():
    w = window((8, 8), (3, 3))
    assert convolution.forward(1, w, 1, 1, "float16") is None
    assert convolution.input_gradient(1, w, 1, 1, "float16") is None
    both = w._replace(strides=(2, 1), dilation=(2, 1))
    assert convolution.input_gradient(1, both, 1, 1, "float32") is None
    overlapping = window((6, 6), (3, 3), 2)
    assert convolution.forward(1, w, 1, 1, "float32", pool=overlapping) is None
