"""Native gradients of convolution kernels against the primitive's NumPy forward in float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikeras.compiler.kernels.kernel_gradient import kernel_gradient
from minikeras.compiler.kernels.kernel_tiles import band_of, sweep_of, tile_of
from minikeras.compiler.native import llvm, machine
from minikeras.ops.convolution import _conv_kernel_gradient
from minikeras.ops.windows import Window, sliding
from tests import native

pytest.importorskip("llvmlite")
pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code is switched off")

KINDS = ("float32", "float64")
TOLERANCE = {"float32": 3e-6, "float64": 1e-14}


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIKERAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


def window(size, kernel, strides=1, padding="valid", dilation=1, groups=1):
    if isinstance(padding, str):
        return sliding("test", size, kernel, strides, padding, dilation, groups)
    ones = (1,) * len(size)
    return Window(size, kernel, (strides,) * len(size), padding, ones, groups)


def data(batch, window, channels, filters, kind):
    rng = np.random.default_rng(batch)
    x = rng.standard_normal((batch, *window.size, channels))
    g = rng.standard_normal((batch, *window.outputs, filters))
    return x.astype(kind), g.astype(kind)


def compute(x, g, window, shares=1):
    """Return the native gradient of the kernel, with the units in as many shares."""
    channels, filters = x.shape[-1], g.shape[-1]
    steps = kernel_gradient(len(x), window, channels, filters, str(x.dtype))
    arrays = {
        "x": x,
        "g": g,
        "out": native.spoiled((*window.kernel, channels // window.groups, filters), x.dtype),
        "scratch0": native.spoiled((max(step.scratch for step in steps),), np.uint8),
    }
    native.run([(step.kernel, step.operands) for step in steps], shares, **arrays)
    return arrays["out"]


def check(batch, window, channels, filters, kind):
    x, g = data(batch, window, channels, filters, kind)
    got = compute(x, g, window)
    wide_x, wide_g = x.astype(np.float64), g.astype(np.float64)
    expected = _conv_kernel_gradient.forward(wide_x, wide_g, window=window)
    sizes = _conv_kernel_gradient.forward(abs(wide_x), abs(wide_g), window=window)
    assert (abs(got - expected) <= TOLERANCE[kind] * sizes).all()
    for shares in (2, 3, 8):
        assert np.array_equal(got, compute(x, g, window, shares))


CASES = {
    "one channel": (3, window((9, 8), (3, 3)), 1, 32),
    "one channel, same": (3, window((9, 8), (3, 3), padding="same"), 1, 32),
    "colours": (2, window((9, 8), (3, 3), padding="same"), 3, 32),
    "colours, strides": (2, window((9, 10), (3, 3), 2, "same"), 3, 20),
    "wide": (2, window((7, 6), (3, 3)), 32, 64),
    "odd": (3, window((7, 6), (3, 3), padding="same"), 17, 37),
    "prime": (1, window((5, 6), (3, 2)), 31, 70),
    "one filter": (2, window((5, 6), (3, 3), padding="same"), 19, 1),
    "dilation": (2, window((9, 8), (3, 3), dilation=2), 5, 7),
    "dilation, same": (2, window((9, 8), (3, 3), 1, "same", (2, 3)), 5, 7),
    "strides by axis": (2, window((9, 8), (3, 3), (1, 3), "same"), 4, 9),
    "uneven padding": (2, window((6, 5), (3, 3), 2, ((2, 0), (0, 3))), 3, 18),
    "kernel larger than image": (2, window((3, 2), (5, 5), padding="same"), 2, 17),
    "image partly unused": (2, window((8, 8), (3, 2), 3), 2, 17),
    "pointwise": (2, window((7, 5), (1, 1)), 40, 50),
    "pointwise, strides": (2, window((7, 5), (1, 1), 2), 12, 20),
    "pointwise, strides into padding": (2, window((2, 1), (1, 1), 2, ((0, 1), (0, 0))), 3, 4),
    "dense": (33, window((1, 1), (1, 1)), 20, 20),
    "whole image": (4, window((4, 4), (4, 4)), 6, 10),
    "one axis": (3, window((20,), (5,), padding="same"), 8, 12),
    "one axis, strides": (3, window((20,), (5,), 3), 8, 12),
    "three axes": (2, window((5, 6, 7), (3, 2, 3), padding="same"), 3, 5),
    "three axes, strides": (2, window((5, 6, 7), (3, 2, 3), 2), 3, 5),
    "groups": (2, window((8, 7), (3, 3), padding="same", groups=2), 6, 10),
    "groups, three axes": (2, window((4, 4, 4), (2, 3, 2), groups=3), 9, 6),
    "depthwise": (2, window((8, 7), (3, 3), padding="same", groups=40), 40, 40),
    "depthwise, strides": (2, window((8, 7), (3, 3), 2, "same", 1, 20), 20, 20),
    "depthwise, dilation": (2, window((8, 7), (3, 3), 1, "same", 2, 5), 5, 5),
    "depthwise, large kernel": (2, window((8, 7), (7, 5), 1, "same", 1, 16), 16, 16),
    "depthwise, one axis": (2, window((30,), (3,), groups=7), 7, 7),
    "parts of the batch": (13, window((20, 20), (3, 3)), 1, 32),
    "parts, depthwise": (10, window((30, 30), (3, 3), padding="same", groups=16), 16, 16),
    "many images in a band": (70, window((2, 3), (2, 2)), 9, 33),
    "many bands in an image": (1, window((50, 60), (3, 3), padding="same"), 12, 40),
    "bands of planes": (1, window((12, 11, 9), (3, 3, 3), padding="same"), 6, 33),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_gradient_is_numpys_for_any_share_of_units(case, kind):
    check(*CASES[case], kind)


@pytest.mark.parametrize(("vector_bytes", "registers"), [(32, 16), (16, 32), (16, 16)])
@pytest.mark.parametrize("case", ["one channel, same", "odd", "groups", "depthwise", "one axis"])
def test_gradient_is_numpys_with_other_vectors(case, vector_bytes, registers, monkeypatch):
    host = machine.host()._replace(vector_bytes=vector_bytes, registers=registers, l1=32 << 10)
    monkeypatch.setattr(machine, "host", lambda: host)
    check(*CASES[case], "float32")


@pytest.mark.parametrize("groups", [1, 3])
def test_gradient_of_an_empty_batch_is_zero(groups):
    where = window((8, 7), (3, 3), groups=groups)
    assert not compute(*data(0, where, 3, 3, "float32"), where).any()


@st.composite
def windows(draw):
    rank = draw(st.integers(1, 3))
    axes = [
        (
            draw(st.integers(1, 9)),
            draw(st.integers(1, 4)),
            draw(st.integers(1, 3)),
            (draw(st.integers(0, 2)), draw(st.integers(0, 2))),
            draw(st.integers(1, 2)),
        )
        for _ in range(rank)
    ]
    groups = draw(st.sampled_from([1, 1, 2, 5]))
    made = Window(*zip(*axes, strict=True), groups)
    size = tuple(map(max, made.size, made.spans))
    depth, filters = draw(st.sampled_from([(1, 1), (1, 3), (3, 8), (7, 17)]))
    return made._replace(size=size), depth * groups, filters * groups


@settings(max_examples=40)
@given(windows(), st.integers(1, 5), st.sampled_from(KINDS))
def test_gradient_of_any_window_is_numpys(given_window, batch, kind):
    where, channels, filters = given_window
    check(batch, where, channels, filters, kind)


def test_errors_do_not_grow_with_the_batch():
    where = window((16, 16), (3, 3))
    x, g = (np.abs(a) + np.float32(0.5) for a in data(200, where, 1, 16, "float32"))
    expected = _conv_kernel_gradient.forward(x.astype("f8"), g.astype("f8"), window=where)
    assert (abs(compute(x, g, where) / expected - 1) < 2e-6).all()


def test_one_text_serves_every_batch():
    where = window((28, 28), (3, 3))
    texts = {kernel_gradient(n, where, 1, 32, "float32")[0].kernel.text for n in (1, 31, 32, 128)}
    assert len(texts) == 1


def test_what_has_no_lowering():
    where = window((8, 7), (3, 3))
    assert kernel_gradient(2, where, 3, 4, "float16") is None
    assert kernel_gradient(2, where, 3, 0, "float32") is None


def test_kernels_tell_their_work():
    (step,) = kernel_gradient(8, window((13, 13), (3, 3)), 32, 64, "float32")
    assert step.operands == ("x", "g", "out")
    assert step.kernel.flops == 2 * 8 * 11 * 11 * 9 * 32 * 64
    assert step.kernel.moved == 4 * (8 * 13 * 13 * 32 + 8 * 11 * 11 * 64 + 9 * 32 * 64)
    first, total = kernel_gradient(128, window((28, 28), (3, 3)), 1, 32, "float32")
    assert first.scratch == 8 * 9 * 32 * 4
    assert first.kernel.units % 8 == 0
    assert total.operands == ("scratch0", "out")


@pytest.mark.parametrize("registers", [16, 32])
@pytest.mark.parametrize("case", CASES)
def test_tiles_fit_registers_and_bands_fit_images(case, registers):
    _, where, channels, filters = CASES[case]
    sweep = sweep_of(where, channels, filters)
    tile = tile_of(sweep, 8, registers)
    assert tile.rows * tile.vectors + tile.vectors <= registers
    assert all(a % b == 0 for a, b in zip(sweep.kernel, tile.taps))
    band = band_of(sweep, 4, 32 << 10)
    assert 1 <= band.planes <= sweep.outputs[0]
    assert 1 <= band.rows <= sweep.outputs[1]
    assert band.images == 1 or (band.planes, band.rows) == sweep.outputs[:2]
