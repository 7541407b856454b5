"""Edges and errors of what makes tensors, changes their shapes, joins and repeats them."""

import numpy as np
import pytest

from minikeras import layers, ops
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.core.variable import Variable

X = np.arange(12, dtype="float32").reshape(3, 4)
OPEN = SymbolicTensor((None, 4), np.dtype("float32"))


def _shape(x):
    return tuple(x.shape)


# ---- shapes --------------------------------------------------------------------------------------


def test_reshape_takes_numbers_sequences_arrays_and_tensors():
    for new in (12, (12,), [12], np.array([12]), as_tensor(12), (as_tensor(12),), -1, (None,)):
        assert _shape(ops.reshape(X, new)) == (12,)


@pytest.mark.parametrize("new", [(5, -1), (-1, -1), (13,), (0, -1)])
def test_reshape_says_both_shapes(new):
    with pytest.raises(ValueError, match=r"reshape: expected a new shape for 12 .*\(3, 4\)"):
        ops.reshape(X, new)


def test_reshape_refuses_several_open_lengths():
    with pytest.raises(ValueError, match="reshape: expected a shape of known lengths"):
        ops.reshape(X, (None, -1))


def test_reshape_refuses_lengths_that_are_no_integers():
    with pytest.raises(TypeError, match="integer"):
        ops.reshape(X, (2.0, 6))
    with pytest.raises(TypeError, match="has no value yet"):
        ops.reshape(X, SymbolicTensor((2,), np.dtype("int32")))


def test_views_of_views_have_the_right_order():
    wide = ops.broadcast_to(X[:, :1], (3, 4))
    np.testing.assert_array_equal(
        ops.reshape(ops.transpose(wide), (6, 2)), wide.numpy().T.reshape(6, 2)
    )
    backwards = ops.flip(ops.transpose(X))
    np.testing.assert_array_equal(ops.ravel(backwards), np.flip(X.T).ravel())
    np.testing.assert_array_equal(ops.flip(ops.split(X, 2, 1)[1]), np.flip(X[:, 2:]))


def test_changing_what_numpy_returns_leaves_the_tensor_alone():
    x = as_tensor(X)
    ops.transpose(x).numpy()[:] = 0
    ops.convert_to_numpy(ops.reshape(x, -1))[:] = 0
    np.testing.assert_array_equal(x, X)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (
            lambda: ops.squeeze(X, 1),
            r"squeeze: expected axes of length 1, got axis 1 of .*\(3, 4\)",
        ),
        (lambda: ops.squeeze(X, 2), r"squeeze: expected an axis in \[-2, 2\), got 2"),
        (lambda: ops.expand_dims(X, 3), r"expand_dims: expected an axis in \[-3, 3\)"),
        (lambda: ops.broadcast_to(X, (4, 3)), r"broadcast_to: .*\(3, 4\) and \(4, 3\)"),
        (lambda: ops.broadcast_to(X, (None, 4)), "broadcast_to: expected a shape of known lengths"),
        (lambda: ops.transpose(X, (0, 0)), r"transpose: expected a permutation of the 2 axes"),
        (lambda: ops.transpose(X, (0, 2)), r"transpose: expected an axis in \[-2, 2\), got 2"),
        (lambda: ops.moveaxis(X, (0, 1), 0), "moveaxis: expected as many different axes"),
        (lambda: ops.moveaxis(X, (0, 0), (0, 1)), "moveaxis: expected as many different axes"),
        (lambda: ops.swapaxes(X, 0, 2), r"swapaxes: expected an axis in \[-2, 2\), got 2"),
        (lambda: ops.flip(X, 2), r"flip: expected an axis in \[-2, 2\), got 2"),
        (lambda: ops.rot90(X, axes=(0, -2)), "rot90: expected two different axes"),
        (lambda: ops.concatenate([X, X[0]]), r"concatenate: .*one rank.*\(3, 4\), \(4,\)"),
        (lambda: ops.concatenate([]), "concatenate: expected tensors of one rank, got shapes"),
        (
            lambda: ops.concatenate([X, X.T]),
            r"concatenate: expected shapes that differ along axis 0",
        ),
        (lambda: ops.stack([X, X.T]), r"stack: expected equal shapes"),
        (lambda: ops.stack([]), "stack: expected at least one tensor, got none"),
        (lambda: ops.stack([X], 3), r"stack: expected an axis in \[-3, 3\), got 3"),
        (lambda: ops.split(X, 2), r"split: expected sections that divide axis 0 of shape \(3, 4\)"),
        (lambda: ops.split(X, 0), "split: expected sections that divide axis 0"),
        (
            lambda: ops.split(X, [2, 1]),
            r"split: expected ascending indices from 0 to 3, .*\[2, 1\]",
        ),
        (lambda: ops.split(X, [1, 9]), "split: expected ascending indices from 0 to 3"),
        (lambda: ops.array_split(X, 0), "array_split: expected at least one section, got 0"),
        (lambda: ops.unstack(X, 4), r"unstack: expected length 4 along axis 0, got shape \(3, 4\)"),
        (lambda: ops.repeat(X, [1, 2], 0), "repeat: expected one count or 3, the length of axis 0"),
        (lambda: ops.meshgrid(X, indexing="yx"), "meshgrid: expected indexing 'xy' or 'ij'"),
        (lambda: ops.pad(X, -1), "pad: expected pad_width to be a number >= 0"),
        (lambda: ops.pad(X, ((1, 1),) * 3), r"pad: expected .* 2 pairs for shape \(3, 4\)"),
        (lambda: ops.pad(X, 1, "mirror"), "pad: expected one of the modes 'constant', 'reflect'"),
        (lambda: ops.pad(X, 1, "edge", 2.0), "pad: .* constant_values only with 'constant'"),
        (lambda: ops.tril(X[0]), r"tril: expected at least two axes, got shape \(4,\)"),
        (lambda: ops.triu(X[0]), r"triu: expected at least two axes, got shape \(4,\)"),
        (lambda: ops.diagonal(X[0]), r"diagonal: expected at least two axes, got shape \(4,\)"),
        (lambda: ops.diag(X[None]), r"diag: expected one or two axes, got shape \(1, 3, 4\)"),
        (lambda: ops.rearrange(X, "a b c -> a b c"), "rearrange: expected a pattern with 2 axes"),
        (lambda: ops.rearrange(X, "a b -> a c"), "rearrange: .* the same names on both sides"),
        (lambda: ops.rearrange(X, "a b"), "rearrange: .* the same names on both sides"),
        (lambda: ops.rearrange(X, "a a -> a a"), "rearrange: .* the same names on both sides"),
        (
            lambda: ops.rearrange(X, "a (b c) -> a b c"),
            r"rearrange: .* all but one of \['b', 'c'\]",
        ),
        (lambda: ops.rearrange(X, "a (b c) -> a b c", c=3), "reshape: expected a new shape for 12"),
    ],
)
def test_errors(op, message):
    with pytest.raises(ValueError, match=message):
        op()


def test_repeated_new_axes_stand_side_by_side():
    assert _shape(ops.expand_dims(X, (0, 0))) == (1, 1, 3, 4)


def test_transpose_of_a_scalar_and_pad_of_a_scalar():
    assert float(ops.transpose(1.5)) == 1.5
    assert float(ops.pad(1.5, 1)) == 1.5


def test_dtypes_meet_as_elsewhere():
    ints = np.array([1, 2], "int32")
    assert ops.concatenate([ints, X[0]]).dtype == "float32"
    assert ops.concatenate([ints, ints.astype("int64")]).dtype == "int64"
    assert ops.stack([ints > 1, ints.astype("int8")]).dtype == "int8"
    assert ops.stack([1, 2.5]).dtype == "float32"
    assert ops.pad(ints, 1, constant_values=3.0).dtype == "int32"
    assert ops.tril(X > 3).dtype == "bool"


def test_negative_shift_and_shift_beyond_the_end():
    np.testing.assert_array_equal(ops.roll(X, -9, 1), np.roll(X, -9, 1))
    assert _shape(ops.roll(X[:, :0], 1, 1)) == (3, 0)


def test_zero_repeats_leave_nothing():
    assert _shape(ops.tile(X, (0, 1))) == (0, 4)
    assert _shape(ops.repeat(X, 0, 1)) == (3, 0)


def test_padding_with_infinity_leaves_the_inside_finite():
    padded = ops.pad(X, 1, constant_values=np.inf).numpy()
    np.testing.assert_array_equal(padded[1:-1, 1:-1], X)
    assert np.isinf(padded[0]).all()


def test_gradient_reaches_only_the_part_that_is_used():
    x = as_tensor(X)
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.split(x, 2, axis=1)[1]
    np.testing.assert_array_equal(tape.gradient(y, x), [[0, 0, 1, 1]] * 3)


def test_gradient_of_padding_reaches_the_constant():
    x, constant = as_tensor(X), as_tensor(2.0)
    with GradientTape() as tape:
        tape.watch(constant)
        y = ops.pad(x, 1, constant_values=constant)
    assert float(tape.gradient(y, constant)) == 5 * 6 - 12


def test_shape_size_and_ndim():
    assert ops.shape(X) == (3, 4)
    assert ops.shape(OPEN) == (None, 4)
    assert int(ops.size(X)) == 12
    assert ops.size(X).dtype == "int32"
    assert ops.ndim(X) == 2
    assert ops.ndim(1.5) == 0


def test_copy_is_another_tensor_for_tapes():
    x = as_tensor(X)
    y = ops.copy(x)
    assert y.key != x.key
    np.testing.assert_array_equal(x, y)


# ---- open axes -----------------------------------------------------------------------------------


def test_errors_show_open_axes_as_none():
    with pytest.raises(ValueError, match=r"got \(None, 3\) and \(None, 4\)"):
        layers.Input((3,)) + layers.Input((4,))


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (lambda x: ops.reshape(x, (-1, 2, 2)), (None, 2, 2)),
        (lambda x: ops.reshape(x, (None, 2, 2)), (None, 2, 2)),
        (ops.ravel, (None,)),
        (ops.transpose, (4, None)),
        (lambda x: ops.expand_dims(x, -1), (None, 4, 1)),
        (lambda x: ops.squeeze(ops.expand_dims(x, 0)), (None, 4)),
        (lambda x: ops.concatenate([x, x], 0), (None, 4)),
        (lambda x: ops.concatenate([x, x], 1), (None, 8)),
        (lambda x: ops.stack([x, x], 1), (None, 2, 4)),
        (lambda x: ops.split(x, 2, 1)[0], (None, 2)),
        (lambda x: ops.unstack(x, axis=1)[0], (None,)),
        (lambda x: ops.tile(x, (2, 3)), (None, 12)),
        (lambda x: ops.repeat(x, 2, 1), (None, 8)),
        (lambda x: ops.pad(x, ((0, 0), (1, 1))), (None, 6)),
        (lambda x: ops.flip(x, 0), (None, 4)),
        (lambda x: ops.roll(x, 1), (None, 4)),
        (ops.tril, (None, 4)),
        (ops.size, ()),
        (ops.zeros_like, (None, 4)),
        (lambda x: ops.full_like(x, 3, "int32"), (None, 4)),
    ],
)
def test_open_axes(op, shape):
    assert _shape(op(OPEN)) == shape


# ---- creation ------------------------------------------------------------------------------------


def test_default_dtypes():
    assert ops.zeros(3).dtype == ops.ones((3,)).dtype == ops.full([3], 1).dtype == "float32"
    assert ops.eye(2).dtype == ops.tri(2).dtype == ops.linspace(0, 1).dtype == "float32"
    assert ops.arange(3).dtype == ops.arange(0, 3, 2).dtype == "int32"
    assert ops.arange(3.0).dtype == ops.arange(0, 1, 0.5).dtype == "float32"
    assert ops.arange(np.int64(3)).dtype == ops.arange(as_tensor(3, "int64")).dtype == "int64"
    assert ops.zeros_like(np.int8(1)).dtype == "int8"
    assert ops.linspace(np.float64(0), 1).dtype == "float64"


def test_arange_counts_steps_exactly():
    np.testing.assert_array_equal(ops.arange(0, 1, 0.1), (np.arange(10) / 10).astype("float32"))
    np.testing.assert_array_equal(ops.arange(7, 0, -3), [7, 4, 1])
    assert _shape(ops.arange(3, 3)) == (0,)


def test_linspace_ends_exactly_and_rounds_integers_down():
    assert float(ops.linspace(0.1, 0.7, 7)[-1]) == np.float32(0.7)
    np.testing.assert_array_equal(ops.linspace(0, 9, 10, dtype="int32"), np.arange(10))
    np.testing.assert_array_equal(ops.linspace(-5, 5, 4, dtype="int32"), [-5, -2, 1, 5])


def test_linspace_of_one_or_no_number():
    values, step = ops.linspace(2, 3, 1, retstep=True)
    np.testing.assert_array_equal(values, [2])
    assert np.isnan(float(step))
    assert _shape(ops.linspace(0, 1, 0)) == (0,)


def test_logspace_rounds_after_the_power():
    np.testing.assert_array_equal(ops.logspace(0, 2, 4, dtype="int32"), [1, 4, 21, 100])


@pytest.mark.parametrize(
    ("op", "message"),
    [
        (lambda: ops.zeros((-1, 2)), r"zeros: expected lengths >= 0, got shape \(-1, 2\)"),
        (lambda: ops.ones((None, 2)), r"ones: expected a shape of known lengths, got \(None, 2\)"),
        (lambda: ops.full((2,), X), "broadcast_to: expected"),
        (lambda: ops.arange(1, 5, 0), "arange: expected a step other than 0"),
        (lambda: ops.linspace(0, 1, -1), "linspace: expected num >= 0, got -1"),
        (lambda: ops.linspace(0, 1, axis=1), r"linspace: expected an axis in \[-1, 1\), got 1"),
        (lambda: ops.convert_to_tensor(None), "convert_to_tensor: expected numbers"),
        (lambda: ops.convert_to_tensor([[1, 2], [3]]), "convert_to_tensor: expected numbers"),
    ],
)
def test_creation_errors(op, message):
    with pytest.raises(ValueError, match=message):
        op()


def test_convert_to_tensor_keeps_tensors_and_gradients():
    x = as_tensor(X)
    assert ops.convert_to_tensor(x) is x
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.convert_to_tensor(x, "float64")
        z = ops.convert_to_tensor([[x[0, 0], 2.0], [3, x[0, 1]]])
    assert tape.gradient([y, z], x).dtype == "float32"
    assert z.dtype == "float32"
    np.testing.assert_array_equal(z, [[0, 2], [3, 1]])


def test_convert_to_numpy_returns_arrays_of_the_callers_own():
    variable = Variable([1.0, 2.0])
    array = ops.convert_to_numpy(variable)
    array[:] = 0
    np.testing.assert_array_equal(variable, [1, 2])
    assert type(ops.convert_to_numpy(1.5)) is np.ndarray


def test_is_tensor():
    assert ops.is_tensor(as_tensor(1.0))
    assert ops.is_tensor(Variable(1.0))
    assert not ops.is_tensor(X)


def test_arrays_that_become_tensors_are_copied():
    mine = X.copy()
    tensor = ops.array(mine)
    mine[:] = 0
    np.testing.assert_array_equal(tensor, X)
