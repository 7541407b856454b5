import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minikeras.compiler.fusion.views import natural
from minikeras.compiler.kernels import gathering, moving
from minikeras.compiler.native import llvm
from minikeras.core.graph import Slot
from minikeras.ops import gathering as ops_gathering
from minikeras.ops import indexing, scattering
from minikeras.ops.gathering import add_rows
from tests.native import run, spoiled

pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code needs llvmlite")

DTYPES = ["float32", "float64", "int16", "uint8", "float16", "bool"]
ALL = slice(None)


def numbers(shape, dtype):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def moved(steps, shape, dtype, **inputs):
    """Run steps in one share and in several; return what they write."""
    results = []
    for shares in (1, 2, 5):
        results.append(spoiled(shape, dtype))
        run(steps, shares, out=results[-1], **inputs)
    assert all(result.tobytes() == results[0].tobytes() for result in results)
    return results[0]


# ---- copies --------------------------------------------------------------------------------------


def transpose(shape, axes, size):
    """Copy `in0`, contiguous and of `shape`, with its axes in another order."""
    lengths = [shape[axis] for axis in axes]
    strides = [natural(shape)[axis] for axis in axes]
    return moving.strided_copy(lengths, strides, natural(lengths), size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((37, 45), (1, 0)), ((64, 32), (1, 0)), ((5, 37, 3), (0, 2, 1)), ((100, 17), (1, 0)),
        ((4, 20, 33, 5), (0, 2, 1, 3)), ((3, 17, 2, 19), (3, 1, 0, 2)), ((2, 3, 4), (2, 1, 0)),
        ((7, 3, 20, 20), (0, 2, 3, 1)), ((70, 40), (0, 1)), ((), ()), ((0, 3), (1, 0)),
        ((70, 2, 17, 18), (0, 1, 3, 2)),
    ],
)  # fmt: skip
def test_transpose(shape, axes, dtype):
    x = numbers(shape, dtype)
    expected = x.transpose(axes)
    steps = transpose(shape, axes, x.itemsize)
    np.testing.assert_array_equal(moved(steps, expected.shape, dtype, in0=x), expected)


def test_shapes_are_no_part_of_the_text():
    (small,), (large,) = (transpose((n, 70, 40), (0, 2, 1), 4) for n in (3, 900))
    assert small.kernel.text == large.kernel.text


slices = st.builds(
    slice,
    st.none() | st.integers(-45, 45),
    st.none() | st.integers(-45, 45),
    st.none() | st.sampled_from([-3, -2, -1, 1, 2, 3]),
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_strided_copy_between_any_views(data):
    dtype = data.draw(st.sampled_from(["float32", "float64", "int16", "uint8"]))
    shape = data.draw(st.lists(st.integers(1, 40), max_size=3).map(tuple))
    keys = [data.draw(st.tuples(*[slices] * len(shape))) for _ in range(2)]
    holder = numbers(shape, dtype)
    source = holder[(*keys[0], ...)]
    axes = data.draw(st.permutations(range(source.ndim)))
    source = source.transpose(axes)
    if source.size and source.ndim and data.draw(st.booleans()):
        source = np.broadcast_to(source[:1], (3, *source.shape[1:]))
    steps = tuple(data.draw(st.sampled_from([-2, -1, 1, 2])) for _ in source.shape)
    order = data.draw(st.permutations(range(source.ndim)))
    room = spoiled([abs(step) * source.shape[i] for i, step in zip(order, steps)], dtype)
    back = [order.index(i) for i in range(source.ndim)]
    target = room[(*(slice(None, None, step) for step in steps), ...)].transpose(back)
    target = target[(*(slice(n) for n in source.shape), ...)]

    def where(part, whole):
        start = part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
        return tuple(s // part.itemsize for s in part.strides), start // part.itemsize

    (read, first), (written, start) = where(source, holder), where(target, room)
    expected = room.copy()
    view = np.lib.stride_tricks.as_strided(
        expected.reshape(-1)[start:], target.shape, target.strides
    )
    if target.size:
        view[...] = source
    copies = moving.strided_copy(
        source.shape, read, written, holder.itemsize, first, start if target.size else 0
    )
    run(copies, data.draw(st.integers(1, 3)), in0=holder, out=room)
    np.testing.assert_array_equal(room, expected)


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize(
    ("shape", "key"),
    [
        ((7, 33), (ALL, slice(2, -3))), ((7, 33), (slice(1, None), ALL)), ((50, 20), (ALL, 4)),
        ((4, 9, 11, 3), (ALL, slice(1, -1), slice(2, -3))), ((5000,), (slice(5, -7),)),
        ((50, 20), (slice(None, None, -1), slice(3, None, 4))), ((5, 3), (slice(4, 2),)),
        ((4, 5), (2, None, -1)), ((4, 5), (Ellipsis, slice(1, 2))), ((6,), (3,)), ((), ()),
        ((4, 5), (ALL, None, ALL)), ((9, 8, 7), (slice(2, 3, -1), slice(1, 4))),
    ],
)  # fmt: skip
def test_place_slice(shape, key, dtype):
    expected = np.zeros(shape, dtype)
    values = numbers(np.shape(expected[key]), dtype)
    expected[key] = values
    steps = moving.place_slice(shape, key, values.itemsize)
    np.testing.assert_array_equal(moved(steps, shape, dtype, in0=values), expected)


# ---- rows by indices -----------------------------------------------------------------------------

TABLES = [
    ((50, 70), 0),
    ((9, 210), 0),
    ((50, 7), 0),
    ((1000,), 0),
    ((3, 50, 5), 1),
    ((3, 4, 50), 2),
    ((9, 8), -1),
]


def tabled(shape, axis, kind="int64"):
    axis %= len(shape)
    limit = shape[axis]
    indices = np.random.default_rng(1).integers(-limit, limit, (4, 9)).astype(kind)
    return axis, indices, gathering.along(shape, axis, indices.size, kind)


@pytest.mark.parametrize(("shape", "axis"), TABLES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_take(shape, axis, dtype):
    axis, indices, rows = tabled(shape, axis, "int8" if shape[axis] < 100 else "int32")
    x, flag = numbers(shape, dtype), np.zeros(1, np.int64)
    expected = x.take(indices, axis)
    steps = gathering.take(rows, x.itemsize)
    result = moved(steps, expected.shape, dtype, in0=x, in1=indices, flag=flag)
    np.testing.assert_array_equal(result, expected)
    assert flag[0] == 0


@pytest.mark.parametrize("wrong", [50, -51, 2**62])
def test_index_outside_raises_the_flag(wrong):
    _, indices, rows = tabled((50, 7), 0)
    indices[2, 3] = wrong
    x = numbers((50, 7), "float32")
    for steps, inputs in [
        (gathering.take(rows, 4), {"in0": x}),
        (gathering.combine_rows(rows, "float32"), {"in0": numbers((36, 7), "float32")}),
    ]:
        flag = np.zeros(1, np.int64)
        run(steps, in1=indices, out=np.zeros((50, 7), "float32"), flag=flag, **inputs)
        assert flag[0] == 1


@pytest.mark.parametrize(("shape", "axis"), TABLES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_add_rows_in_order(shape, axis, dtype):
    axis, indices, rows = tabled(shape, axis)
    values = np.random.default_rng(2).standard_normal(np.zeros(shape).take(indices, axis).shape)
    values, flag = (100 * values).astype(dtype), np.zeros(1, np.int64)
    expected = add_rows.forward(values, indices, axis=axis, shape=shape)
    steps = gathering.combine_rows(rows, dtype)
    result = moved(steps, shape, dtype, in0=values, in1=indices, flag=flag)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("how", ["maximum", "minimum", "multiply"])
def test_segments(how, dtype):
    ids = np.array([3, 0, 3, 3, 1, 0])
    data = numbers((6, 37), dtype)
    if dtype == "float32":
        data[4, 5] = data[2, 3] = np.nan
    op = {"maximum": "max", "minimum": "min", "multiply": "prod"}[how]
    with np.errstate(invalid="ignore"):
        expected = getattr(scattering, f"_segment_{op}").forward(data, ids, total=5)
    rows = gathering.along((5, 37), 0, 6, "int64")
    steps = gathering.combine_rows(rows, dtype, how)
    result = moved(steps, (5, 37), dtype, in0=data, in1=ids, flag=np.zeros(1, np.int64))
    np.testing.assert_array_equal(result, expected)


def test_the_last_row_set_stays():
    x, rows = numbers((6, 37), "float32"), -numbers((4, 37), "float32")
    indices = np.array([2, 5, 2, -1])
    expected = scattering._set_rows.forward(x, rows, indices)
    steps = gathering.set_rows(gathering.along((6, 37), 0, 4, "int64"), "float32")
    flag = np.zeros(1, np.int64)
    result = moved(steps, x.shape, "float32", in0=x, in1=rows, in2=indices, flag=flag)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("shape", "key", "depth"),
    [
        ((9, 20), (Slot(0), Slot(1)), 2), ((5, 9, 20), (ALL, Slot(0)), 1),
        ((5, 9, 20), (Ellipsis, Slot(0), Slot(1)), 2), ((9, 4, 20), (Slot(0), ALL), 1),
        ((5, 9, 20, 3), (ALL, Slot(0), Slot(1), Ellipsis), 2),
    ],
)  # fmt: skip
def test_gather_and_scatter_add(shape, key, depth):
    x, flag = numbers(shape, "float32"), np.zeros(1, np.int64)
    index = np.random.default_rng(1).integers(-4, 4, (depth, 30))
    rows = gathering.keyed(shape, key, 30, "int64")
    expected = np.ascontiguousarray(indexing._gather.forward(x, index, key=key))
    steps = gathering.take(rows, 4)
    result = moved(steps, expected.shape, "float32", in0=x, in1=index, flag=flag)
    np.testing.assert_array_equal(result, expected)
    added = indexing._scatter_add.forward(expected, index, key=key, shape=shape)
    steps = gathering.combine_rows(rows, "float32")
    result = moved(steps, shape, "float32", in0=expected, in1=index, flag=flag)
    np.testing.assert_array_equal(result, added)


def test_keys_without_kernel():
    for key in [
        (Slot(0), ALL, Slot(1)),
        (slice(1, None), Slot(0)),
        (0, Slot(0)),
        (Slot(1), Slot(0)),
    ]:
        assert gathering.keyed((5, 6, 7), key, 3, "int64") is None


@pytest.mark.parametrize(("shape", "axis"), [((9, 20), 0), ((9, 20), 1), ((3, 8, 5), 1)])
def test_take_along_axis_and_back(shape, axis):
    x, flag = numbers(shape, "float32"), np.zeros(1, np.int64)
    length = shape[axis]
    wanted = [4 if i == axis else n for i, n in enumerate(shape)]
    indices = np.random.default_rng(1).integers(-length, length, wanted).astype("int32")
    expected = ops_gathering._take_along.forward(x, indices, axis=axis)
    steps = gathering.take_along_axis(shape, wanted, axis, "int32", 4)
    result = moved(steps, wanted, "float32", in0=x, in1=indices, flag=flag)
    np.testing.assert_array_equal(result, expected)
    added = ops_gathering.add_along.forward(expected, indices, axis=axis, shape=shape)
    steps = gathering.add_along(shape, wanted, axis, "int32", "float32")
    result = moved(steps, shape, "float32", in0=expected, in1=indices, flag=flag)
    np.testing.assert_array_equal(result, added)


def test_some_tables_have_no_kernel():
    assert gathering.take(gathering.along((0, 3), 0, 2, "int64"), 4) is None
    assert gathering.take(gathering.along((5, 3), 0, 2, "uint64"), 4) is None
    assert gathering.combine_rows(gathering.along((5, 3), 0, 2, "int64"), "float16") is None
    assert gathering.take_along_axis((5, 3), (5, 1), 0, "int64", 4) is None
    assert gathering.add_along((5, 3), (1, 3), 1, "int64", "float32") is None
    assert gathering.set_rows(gathering.along((5, 3), 0, 2, "int64"), "bool") is None
    assert natural((2, 3)) == (3, 1)
