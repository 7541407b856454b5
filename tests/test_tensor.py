"""Tensors and Variables: values, dtypes, operators, indexing, printing, errors."""

import copy
import operator
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minikeras as keras
from minikeras import ops, tf
from minikeras.core.spec import DTYPES, result_type

MATRIX = np.array([[2, 0], [0, 4]], np.float32)
ARITHMETIC = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow"]
COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]
A, B = np.array([[1.5, -2.0], [3.0, 0.5]], np.float32), np.array([2.0, 3.0], np.float32)


# ---- operators -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARITHMETIC + COMPARISONS)
@pytest.mark.parametrize("kind", [tf.constant, tf.Variable])
@pytest.mark.parametrize(
    "other", [tf.constant, tf.Variable, np.asarray, lambda _: 2.0, lambda _: 3]
)
def test_operators_on_either_side(name, kind, other):
    op = getattr(operator, name)
    left, right = kind(np.abs(A)), other(B)
    plain = right if isinstance(right, (int, float)) else B
    for got, expected in (
        (op(left, right), op(np.abs(A), plain)),
        (op(right, left), op(plain, np.abs(A))),
    ):
        assert isinstance(got, tf.Tensor)
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_matmul_unary_logic_and_lists():
    a, b = tf.constant(A), tf.Variable(B)
    np.testing.assert_allclose(a @ b[:, None], A @ B[:, None])
    np.testing.assert_allclose(A @ a, A @ A, rtol=1e-6)
    np.testing.assert_array_equal(-b, -B)
    np.testing.assert_array_equal(abs(a), np.abs(A))
    np.testing.assert_array_equal(+b, B)
    np.testing.assert_array_equal(b + [1.0, 2.0], B + [1, 2])
    np.testing.assert_array_equal((a > 0) & (a < 2), (A > 0) & (A < 2))
    np.testing.assert_array_equal(~(a > 0) | (a > 1), ~(A > 0) | (A > 1))
    assert (a == None) is False  # noqa: E711 - the operator is under test
    assert (a != "text") is True


@pytest.mark.parametrize("kind", [tf.constant, tf.Variable])
def test_operators_with_foreign_objects_are_type_errors(kind):
    with pytest.raises(TypeError):
        kind(1.0) + object()
    with pytest.raises(TypeError):
        "text" * kind(1.0)


def test_shapes_that_do_not_broadcast_are_named():
    with pytest.raises(ValueError, match=r"add: expected shapes .* \(2, 3\) and \(4,\)"):
        ops.ones((2, 3)) + ops.ones((4,))


# ---- dtypes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, "int32"), (2**40, "int64"), (1.0, "float32"), (True, "bool"), ([1, 2.5], "float32"),
        ([[1], [2]], "int32"), ([], "float32"), (np.float64(1), "float64"),
        (np.arange(3), "int64"), ([np.float64(1)], "float64"), (np.zeros(2, ">f4"), "float32"),
    ],
)  # fmt: skip
def test_dtype_of_new_tensors(value, dtype):
    assert tf.constant(value).dtype == dtype


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("float32", "int64"), "float32"), (("float16", "int32"), "float16"),
        (("float32", "float64"), "float64"), (("int32", "int64"), "int64"),
        (("bool", "int8"), "int8"), (("uint8", "int8"), "int16"), (("int32", float), "float32"),
        (("float16", float), "float16"), (("bool", int), "int32"), (("int8", int), "int8"),
        (("uint32", "int32"), "int64"), (("uint64", "int64"), "float32"), ((int, float), "float32"),
    ],
)  # fmt: skip
def test_promotion_is_that_of_keras(dtypes, expected):
    assert result_type(*dtypes) == expected


def test_python_numbers_are_weak():
    half = tf.constant([1.0], dtype="float16")
    assert (half * 2.5).dtype == (3 * half).dtype == "float16"
    assert (tf.constant([1]) * 2.5).dtype == "float32"
    assert (tf.constant([1], dtype="int8") + 1).dtype == "int8"
    assert (tf.constant([1]) / 2).dtype == "float32"


def test_floating_tensors_give_ndarrays_their_dtype():
    x = tf.Variable([1.0, 2.0])
    assert (x * np.array([1.0, 2.0])).dtype == "float32"
    assert (np.array([1, 2]) - x).dtype == "float32"
    assert (x * np.float64(0.1)).dtype == "float32"


def test_dtype_objects_equal_every_spelling():
    dtype = tf.constant(1.0).dtype
    assert dtype == tf.float32 == "float32"
    assert dtype == np.float32
    assert dtype == np.dtype("float32")
    assert dtype not in ("float64", np.float64, None)
    assert (str(dtype), repr(dtype), dtype.name) == ("<dtype: 'float32'>", "tf.float32", "float32")
    assert dtype.is_floating
    assert not dtype.is_integer
    assert (tf.int8.min, tf.int8.max, tf.int64.size) == (-128, 127, 8)
    assert np.zeros(1, dtype).dtype == np.float32
    assert {dtype: 1}["float32"] == 1


def test_unknown_dtypes_are_named():
    with pytest.raises(ValueError, match=r"dtype: expected one of bool, .* got 'complex64'"):
        tf.constant(1.0, dtype="complex64")
    with pytest.raises(ValueError, match="expected numbers or truth values"):
        tf.constant("text")
    with pytest.raises(ValueError, match="regular array, got list"):
        tf.constant([[1.0], [2.0, 3.0]])


# ---- values --------------------------------------------------------------------------------------


def test_tensors_are_immutable():
    source = np.ones(3, np.float32)
    x = tf.constant(source)
    source[0] = 5
    x.numpy()[0] = 5
    view = np.asarray(x)
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5
    with pytest.raises(TypeError):
        x[0] = 5
    np.testing.assert_array_equal(x, [1, 1, 1])


def test_conversion_to_python():
    x = tf.constant(2.5)
    assert (float(x), int(x), bool(x), f"{x:.2f}") == (2.5, 2, True, "2.50")
    assert f"{x} {tf.constant([1.0, 2.0])} {tf.constant(0.1)}" == "2.5 [1. 2.] 0.10000000149011612"
    assert [1, 2, 3][tf.constant(1)] == 2
    assert type(x.numpy()) is np.float32
    assert type(tf.constant([1.0]).numpy()) is np.ndarray
    with pytest.raises(ValueError, match="truth value of an array with more than one element"):
        bool(tf.constant([1.0, 2.0]))
    with pytest.raises(TypeError, match="one element"):
        float(tf.constant([1.0, 2.0]))


def test_hash_ref_len_and_iteration():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(TypeError, match=r"Tensor is unhashable. Instead, use tensor.ref\(\)"):
        hash(x)
    with pytest.raises(TypeError, match="unhashable"):
        hash(tf.Variable(1.0))
    assert x.ref() == x.ref() != tf.constant(1.0).ref()
    assert x.ref().deref() is x
    assert len(x) == 2
    assert [row.numpy().tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(TypeError, match="got a scalar"):
        len(tf.constant(1.0))
    with pytest.raises(TypeError, match="got a scalar"):
        iter(tf.constant(1.0)).__next__()


def test_copies_and_pickles():
    x = tf.constant([1.0, 2.0])
    assert copy.deepcopy(x) is x
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(x)), x)


def test_shapes_are_tuples_with_extras():
    shape = tf.zeros((2, 3)).shape
    assert shape == (2, 3)
    assert (shape.rank, shape.as_list(), shape.num_elements()) == (2, [2, 3], 6)
    assert shape.is_fully_defined()
    assert keras.Input((3,)).shape == (None, 3)
    assert not keras.Input((3,)).shape.is_fully_defined()


# ---- indexing ------------------------------------------------------------------------------------

INDICES = st.one_of(
    st.integers(-3, 2),
    st.slices(3),
    st.just(Ellipsis),
    st.none(),
    st.lists(st.integers(-3, 2), min_size=1, max_size=3),
)


@given(st.lists(INDICES, max_size=4))
def test_indexing_is_that_of_numpy(key):
    array = np.arange(27.0).reshape(3, 3, 3)
    key = tuple(key)
    try:
        expected = array[key]
    except (IndexError, ValueError):
        with pytest.raises((IndexError, ValueError)):
            tf.constant(array)[key]
        return
    np.testing.assert_array_equal(tf.constant(array)[key], expected)


def test_indexing_by_tensors_and_masks():
    x = tf.constant(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(x[tf.constant(1)], [3, 4, 5])
    np.testing.assert_array_equal(x[:, tf.constant([2, 0])], [[2, 0], [5, 3]])
    np.testing.assert_array_equal(x[x > 2], [3, 4, 5])
    with pytest.raises(TypeError, match="expected integer or bool indices"):
        x[tf.constant([0.5])]


# ---- printing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text", "representation"),
    [
        (6.0, "tf.Tensor(6.0, shape=(), dtype=float32)",
         "<tf.Tensor: shape=(), dtype=float32, numpy=6.0>"),
        ([9, 36], "tf.Tensor([ 9 36], shape=(2,), dtype=int32)",
         "<tf.Tensor: shape=(2,), dtype=int32, numpy=array([ 9, 36], dtype=int32)>"),
        ([[2.0, 0.0], [0.0, 4.0]],
         "tf.Tensor(\n[[2. 0.]\n [0. 4.]], shape=(2, 2), dtype=float32)",
         "<tf.Tensor: shape=(2, 2), dtype=float32, numpy=\n" + repr(MATRIX) + ">"),
        (True, "tf.Tensor(True, shape=(), dtype=bool)",
         "<tf.Tensor: shape=(), dtype=bool, numpy=True>"),
    ],
)  # fmt: skip
def test_printing_is_that_of_tensorflow(value, text, representation):
    assert str(tf.constant(value)) == text
    assert repr(tf.constant(value)) == representation


def test_printing_of_variables_and_symbolic_tensors():
    assert repr(tf.Variable(3.0)) == "<tf.Variable 'Variable:0' shape=() dtype=float32, numpy=3.0>"
    named = keras.Variable([1.0, 2.0], name="w")
    assert repr(named) == "<Variable path=w, shape=(2,), dtype=float32, value=[1. 2.]>"
    assert repr(keras.Input((3,), name="x")) == (
        "<KerasTensor shape=(None, 3), dtype=float32, name=x>"
    )


# ---- Variables -----------------------------------------------------------------------------------


def test_variables_assign_cast_and_check():
    v = keras.Variable(np.zeros((2,), np.float32), name="v")
    assert v.assign([1, 2]) is v
    v.assign_add([1.0, 1.0])
    v.assign_sub(0.5)
    np.testing.assert_array_equal(v, [1.5, 2.5])
    assert v.dtype == "float32"
    with pytest.raises(
        ValueError, match=r"'v': Shape mismatch. The variable shape \(2,\), .*\(3,\)"
    ):
        v.assign([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(v, [1.5, 2.5])


def test_variables_from_functions_need_a_shape():
    v = keras.Variable(lambda shape, dtype: np.ones(shape, dtype.name), shape=(2, 2))
    assert v.shape == (2, 2)
    with pytest.raises(ValueError, match="expected a shape beside the function"):
        keras.Variable(lambda shape, dtype: 0.0)
    with pytest.raises(ValueError, match=r"initial value of shape \(3,\), got shape \(2,\)"):
        keras.Variable([1.0, 2.0], shape=(3,))


def test_variables_have_paths_of_name_scopes():
    with keras.name_scope("outer"), keras.name_scope("inner"):
        assert keras.Variable(1.0, name="w").path == "outer/inner/w"


def test_symbolic_tensors_teach():
    x = keras.Input((3,))
    for wrong in (bool, float, int, np.asarray, lambda t: t.numpy(), lambda t: [1][t]):
        with pytest.raises(TypeError, match="has no value yet"):
            wrong(x)


@pytest.mark.parametrize("name", list(DTYPES.values()))
def test_every_dtype_round_trips(name):
    x = tf.cast([0, 1, 1], name)
    assert x.dtype == name
    assert x.numpy().dtype.name == name.name
    np.testing.assert_array_equal(tf.cast(x, "int64"), [0, 1, 1])
