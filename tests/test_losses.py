"""Losses: every one against NumPy, reductions and weights, and what is refused."""

import inspect
import json

import numpy as np
import pytest

import minikeras
from minikeras import losses, ops, registry, tf
from minikeras.core.check import check_gradients
from minikeras.core.graph import collect
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.core.variable import Variable
from tests.losses_table import ROWS

NAMED = [pytest.param(row, id=f"{i}-{row.function}") for i, row in enumerate(ROWS)]
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


def _class(row, **kwargs):
    return getattr(losses, row.name)(**row.options, **kwargs)


def _function(row):
    return lambda t, p: getattr(losses, row.function)(t, p, **row.options)


def test_every_loss_has_a_row():
    known = set(registry.known("loss").values()) - {losses.Loss, losses.LossFunctionWrapper}
    covered = {getattr(losses, name) for row in ROWS for name in (row.name, row.function)}
    assert {item.__name__ for item in known - covered} == set()


@pytest.mark.parametrize("row", NAMED)
def test_function_equals_numpy(row):
    np.testing.assert_allclose(_function(row)(*row.inputs), row.oracle(*row.inputs), rtol=2e-7)


@pytest.mark.parametrize("row", NAMED)
def test_float32_stays_float32(row):
    y_pred = row.inputs[1].astype("float32")
    result = _function(row)(row.inputs[0], y_pred)
    assert result.dtype == "float32"
    np.testing.assert_allclose(result, row.oracle(*row.inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("row", NAMED)
def test_derivatives(row):
    check_gradients(lambda p: _function(row)(row.inputs[0], p), [row.inputs[1]], order=2)


@pytest.mark.parametrize("row", NAMED)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_class_reduces_what_the_function_computes(row, reduction):
    loss = _class(row, reduction=reduction, dtype="float64")
    values = row.oracle(*row.inputs)
    total = {"sum": np.sum, "none": np.asarray, None: np.asarray}.get(reduction, np.mean)(values)
    if row.options.get("ignore_class") is not None and reduction not in ("sum", "none", None):
        total = values.sum() / (row.inputs[0] != 2).sum()
    np.testing.assert_allclose(loss(*row.inputs), total, rtol=2e-7)


@pytest.mark.parametrize("row", NAMED)
def test_config_goes_round_through_json(row):
    loss = _class(row, reduction="sum", name="mine")
    config = json.loads(json.dumps(losses.serialize(loss)))
    again = losses.deserialize(config)
    assert type(again) is type(loss)
    assert (again.name, again.reduction) == ("mine", "sum")
    assert losses.serialize(again) == config
    assert float(again(*row.inputs)) == float(loss(*row.inputs))


@pytest.mark.parametrize("row", NAMED)
def test_traced_loss_computes_the_same(row):
    loss = _class(row)
    inputs = [SymbolicTensor(x.shape, x.dtype) for x in row.inputs]
    output = loss(*inputs)
    values = {s.key: as_tensor(x) for s, x in zip(inputs, row.inputs)}
    for node in collect([output], inputs):
        arguments = [values.get(x.key, x) for x in node.inputs]
        values[node.outputs[0].key] = node.op(*arguments, **node.params)
    assert float(values[output.key]) == float(loss(*row.inputs))


# ---- weights -------------------------------------------------------------------------------------

T, P = (
    np.array([[1.0, 2.0], [3.0, 5.0], [0.0, 1.0]]),
    np.array([[1.0, 0.0], [0.0, 5.0], [2.0, 0.0]]),
)
VALUES = ((T - P) ** 2).mean(-1)
W = np.array([0.5, 0.0, 2.0])


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        ("sum_over_batch_size", (VALUES * W).sum() / 3),
        ("mean", (VALUES * W).sum() / 3),
        ("mean_with_sample_weight", (VALUES * W).sum() / W.sum()),
        ("sum", (VALUES * W).sum()),
        ("none", VALUES * W),
    ],
)
def test_sample_weights(reduction, expected):
    loss = losses.MeanSquaredError(reduction)
    for weight in (W, W[:, None]):
        result = np.squeeze(loss(T, P, sample_weight=weight))
        np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_scalar_weight_and_weights_of_zero():
    assert float(losses.MeanSquaredError()(T, P, 2.0)) == pytest.approx(2 * VALUES.mean())
    for reduction in REDUCTIONS[:4]:
        assert float(losses.MeanSquaredError(reduction)(T, P, np.zeros(3))) == 0


def test_one_weight_for_all_steps_of_a_sample():
    loss = losses.MeanSquaredError("none")
    y = np.zeros((2, 2, 1))  # as many samples as steps: the weights belong to samples
    np.testing.assert_array_equal(loss(y, y + 1, [1.0, 3.0]), [[1, 1], [3, 3]])
    y = np.zeros((2, 3, 1))
    np.testing.assert_array_equal(loss(y, y + 1, [1.0, 3.0]), [[1] * 3, [3] * 3])
    np.testing.assert_array_equal(loss(y, y + 1, [1.0, 3.0, 5.0]), [[1, 3, 5]] * 2)


def test_a_loss_of_the_whole_batch_is_that_of_each_sample():
    values = {"mean": 4.0, "sum": 12.0, "none": [2.0, 4.0, 6.0], "mean_with_sample_weight": 2.0}
    for reduction, expected in values.items():
        loss = losses.LossFunctionWrapper(lambda y, p: ops.sum(p), reduction)
        np.testing.assert_allclose(loss(np.ones(3), np.full(3, 2 / 3), [1.0, 2.0, 3.0]), expected)


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"sample_weight: expected .*\(3,\), got \(4, 3\)"):
        losses.MeanSquaredError()(T, P, np.ones((4, 3)))


def test_ignored_labels_count_neither_in_the_sum_nor_in_the_divisor():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    probabilities = np.full((3, 2), 0.5)
    probabilities[1] = np.nan
    y_pred = Variable(probabilities)
    with GradientTape() as tape:
        value = loss([0, -1, 1], y_pred, sample_weight=[1.0, 5.0, 3.0])
    assert float(value) == pytest.approx(np.log(2) * 4 / 2)
    assert np.isfinite(tape.gradient(value, y_pred)).all()
    column = loss([[0], [-1], [1]], probabilities)
    assert float(column) == pytest.approx(np.log(2))


# ---- shapes --------------------------------------------------------------------------------------


def test_ranks_that_differ_by_an_axis_of_length_1_are_made_equal():
    for shapes in (((4,), (4, 1)), ((4, 1), (4,)), ((4, 2, 1), (4, 2)), ((4, 2), (4, 2, 1))):
        y_true, y_pred = np.zeros(shapes[0]), np.ones(shapes[1])
        assert float(losses.MeanSquaredError()(y_true, y_pred)) == 1
        assert np.all(np.asarray(losses.mean_squared_error(y_true, y_pred)) == 1)


@pytest.mark.parametrize("shapes", [((10, 1), (10, 5)), ((8,), (8, 3)), ((3,), (8, 3)), ((), (4,))])
@pytest.mark.parametrize("row", [row for row in NAMED if "sparse" not in row.id])
def test_targets_that_would_be_broadcast_are_refused(row, shapes):
    with pytest.raises(ValueError, match="expected y_true and y_pred of the same shape") as error:
        _class(row)(np.ones(shapes[0]), np.ones(shapes[1]))
    for name, shape in zip(("y_true", "y_pred"), shapes):
        assert f"{name}.shape={shape}" in str(error.value)


def test_open_axes_fit():
    y_pred = SymbolicTensor((None, 3), np.dtype("float32"))
    assert tuple(losses.mean_squared_error(y_pred, y_pred).shape) == (None,)


# ---- labels --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "index"), [(7, 2), (-1, 1), (3, 0)])
def test_labels_out_of_range_are_refused_with_value_and_index(label, index):
    labels = [0, 1, 2, 0]
    labels[index] = label
    for loss in (losses.sparse_categorical_crossentropy, losses.SparseCategoricalCrossentropy()):
        with pytest.raises(ValueError, match=rf"labels in \[0, 3\).* got {label} at .*{index}"):
            loss(np.array(labels), np.full((4, 3), 1 / 3))


@pytest.mark.parametrize("label", [1.5, np.nan])
def test_labels_that_are_fractions_are_refused(label):
    with pytest.raises(ValueError, match=f"expected integer labels, got {label}"):
        losses.SparseCategoricalCrossentropy()([0.0, label], np.full((2, 3), 1 / 3))


def test_labels_as_floats_columns_and_along_another_axis():
    y_pred = np.arange(1, 7).reshape(2, 3) / 10
    expected = losses.sparse_categorical_crossentropy([0, 2], y_pred, from_logits=True)
    for labels in ([0.0, 2.0], [[0], [2]], np.array([0, 2], "uint8")):
        found = losses.sparse_categorical_crossentropy(np.array(labels), y_pred, from_logits=True)
        np.testing.assert_array_equal(found, expected)
    found = losses.sparse_categorical_crossentropy(
        [[0, 2]], y_pred.T[None], from_logits=True, axis=1
    )
    np.testing.assert_array_equal(np.asarray(found)[0], expected)


def test_labels_keep_their_value_in_float16():
    logits = np.zeros((1, 3000))
    logits[0, 2049] = 30
    loss = losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float16")
    assert float(loss([2049], logits)) == pytest.approx(0, abs=1e-3)


def test_one_class_is_warned_of():
    with pytest.warns(SyntaxWarning, match="Consider using 'binary_crossentropy'"):
        losses.CategoricalCrossentropy()(np.ones((2, 1)), np.ones((2, 1)))


# ---- logits behind probabilities -----------------------------------------------------------------

WIDE = np.float32([[50, -50], [200, -200], [1, 2]])  # their softmax rounds to 0 and 1
KNOWING = {
    "categorical_crossentropy": (ops.softmax, np.float32([[0, 1], [0, 1], [1, 0]])),
    "sparse_categorical_crossentropy": (ops.softmax, np.array([1, 1, 0])),
    "binary_crossentropy": (ops.sigmoid, np.float32([[0, 1], [0, 1], [1, 0]])),
}


@pytest.mark.parametrize("name", KNOWING)
@pytest.mark.parametrize("way", [lambda f: f, minikeras.function], ids=["eager", "function"])
def test_the_output_of_an_activation_counts_as_its_logits(name, way):
    activation, targets = KNOWING[name]
    loss = lambda x, **options: getattr(losses, name)(targets, x, **options)
    found = derivatives(way(lambda x: loss(activation(x))))
    expected = derivatives(way(lambda x: loss(x, from_logits=True)))
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert float(ops.max(found[0])) > 40
    assert np.abs(found[1][:2]).min() == pytest.approx(0.5, abs=0.5)


def derivatives(function):
    """Return a function's values, their gradient, and that of the gradient's squares."""
    x = Variable(WIDE)
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = function(x)
        grad = inner.gradient(y, x)
        total = ops.sum(grad * grad)
    return y, np.asarray(grad), np.asarray(outer.gradient(total, x))


@pytest.mark.parametrize("name", KNOWING)
def test_probabilities_of_anything_else_are_limited(name):
    activation, targets = KNOWING[name]
    loss = getattr(losses, name)
    between = loss(targets, 1 * activation(WIDE))
    np.testing.assert_array_equal(between, loss(targets, np.asarray(activation(WIDE))))
    assert float(ops.max(between)) < 17
    whole = ops.softmax(np.float32([[60, 0], [0, 0]]), axis=(0, 1))
    hot = np.float32([[0, 1], [0, 1]])
    assert not hasattr(whole, "logits")
    assert float(ops.max(losses.categorical_crossentropy(hot, whole))) < 17


@pytest.mark.parametrize("name", KNOWING)
def test_logits_that_are_none_are_warned_of(name):
    activation, targets = KNOWING[name]
    loss = getattr(losses, name)
    message = f"{name}: expected logits .* Remove the {activation.__name__}"
    with pytest.warns(UserWarning, match=message):
        found = loss(targets, activation(WIDE), from_logits=True)
    np.testing.assert_array_equal(found, loss(targets, WIDE, from_logits=True))


def test_tensorflows_functions_take_logits_as_they_are():
    once = ops.softmax(WIDE)
    plain = np.asarray(once)
    for name, labels in (("sparse_softmax", [0, 1, 0]), ("softmax", plain), ("sigmoid", plain)):
        function = getattr(tf.nn, f"{name}_cross_entropy_with_logits")
        np.testing.assert_array_equal(function(labels, once), function(labels, plain))


# ---- the base class ------------------------------------------------------------------------------


class Distance(losses.Loss):
    def call(self, y_true, y_pred):
        return abs(y_true - y_pred)


def test_own_losses():
    assert float(Distance()([1.0, 2.0], [2.0, 4.0], [1.0, 3.0])) == 3.5
    assert Distance(name="d", reduction="sum").get_config() == {"name": "d", "reduction": "sum"}
    wrapped = losses.LossFunctionWrapper(lambda t, p, factor: factor * (t - p), factor=3.0)
    assert float(wrapped([2.0], [1.0])) == 3.0
    with pytest.raises(NotImplementedError, match="expected a method call"):
        losses.Loss()(1.0, 1.0)


def test_a_loss_of_dicts_gets_dicts():
    class Both(losses.Loss):
        def call(self, y_true, y_pred):
            return y_true["a"] - y_pred["a"] + y_true["b"]

    y_true, y_pred = {"a": [3.0], "b": [1.0]}, {"a": [1.0]}
    assert float(Both()(y_true, y_pred)) == 3.0


def test_dtype():
    loss = losses.MeanSquaredError(dtype="float64")
    assert loss.dtype == "float64" == loss(np.float32([1]), np.float32([2])).dtype
    assert loss.get_config()["dtype"] == "float64"
    assert losses.MeanSquaredError()(np.array([1]), np.array([2.0])).dtype == "float32"


def test_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match=r"expected reduction to be one of .*'average'"):
        losses.MeanSquaredError("average")


def test_names():
    assert losses.get("mse") is losses.get("MSE") is losses.mean_squared_error
    assert losses.get("bce") is losses.get("binary_crossentropy") is losses.binary_crossentropy
    assert isinstance(losses.get("Huber"), losses.Huber)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert losses.get(losses.huber) is losses.huber is losses.get(losses.serialize(losses.huber))
    assert losses.deserialize("mse") is losses.mean_squared_error
    assert losses.get(None) is None
    with pytest.raises(ValueError, match="mean_squared_error"):
        losses.get("mean_square_error")
    with pytest.raises(ValueError, match="loss: expected a name"):
        losses.get(3)


def test_signatures_are_those_of_keras():
    expected = {
        "Huber": "delta=1.0, reduction, name='huber_loss', dtype=None",
        "SparseCategoricalCrossentropy": "from_logits=False, ignore_class=None, reduction, "
        "axis=-1, name='sparse_categorical_crossentropy', dtype=None",
        "Dice": "reduction, name='dice', axis=None, dtype=None",
        "Tversky": "alpha=0.5, beta=0.5, reduction, name='tversky', axis=None, dtype=None",
    }
    for name, text in expected.items():
        parameters = inspect.signature(getattr(losses, name)).parameters.values()
        found = [p.name if p.name == "reduction" else f"{p.name}={p.default!r}" for p in parameters]
        assert ", ".join(found) == text
        assert {p.name: p.default for p in parameters}["reduction"] == "sum_over_batch_size"
