"""What training refuses, and what an error or an interrupt leaves behind."""

import numpy as np
import pytest

import minikeras as keras
from minikeras import callbacks, data, layers
from minikeras.core.context import state
from tests.interrupting import interrupt
from tests.training import (
    X,
    Y,
    batches,
    linear,
    names_and_numbers_from_the_start,  # noqa: F401  an autouse fixture
)

STRINGS = np.array([["a"] * 4] * 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((X, Y[:7])), r"samples\.'x' sizes: 12 'y' sizes: 7"),
        ((X[:0], Y[:0]), "expected at least one sample, got data of length 0"),
        ((X[:, :3], Y), r"expected inputs with last axis 4, got shape \(12, 3\)"),
        ((X, np.repeat(Y, 3, 1)), r"y_true.shape=\(12, 3\) and y_pred.shape=\(12, 1\)"),
        ((STRINGS, Y), "expected arrays of numbers or truth values, got ndarray of dtype <U1"),
        ((X, np.array([None] * 12)), "got ndarray of dtype object"),
        ((X, np.float32(3)), "expected y to have a batch axis, got a scalar"),
        ((None, Y), "expected x to be arrays or a source of batches, got None"),
        ((X,), "expected targets y to compute the loss with, got None"),
        ((X, [Y, Y]), "expected y for 1 outputs named"),
        ((data.Dataset.from_tensor_slices((X, Y)).batch(4), Y), "it is a Dataset, .* got y too"),
        ((iter(()),), "expected at least one batch, got a source that has none"),
        ((data.Dataset.from_tensor_slices((X, Y)).batch(4).take(0),), "got data of length 0"),
        ((iter([(X, Y, Y, Y)]),), "or .x, y, sample_weight., got a tuple of 4"),
    ],
)  # fmt: skip
def test_fit_refuses_data(arguments, message):
    model = linear()
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(*arguments, verbose=0)
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert int(model.optimizer.iterations) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "expected batch_size to be an integer > 0, got 0"),
        ({"batch_size": -1}, "expected batch_size to be an integer > 0, got -1"),
        ({"batch_size": 2.5}, "expected batch_size to be an integer > 0, got 2.5"),
        ({"steps_per_epoch": 0}, "expected steps to be an integer > 0, got 0"),
        ({"validation_split": 1.0}, "expected validation_split between 0 and 1, got 1.0"),
        ({"validation_split": -0.5}, "expected validation_split between 0 and 1, got -0.5"),
        ({"validation_split": 0.999}, "leaves samples on both sides, got 0.999 of 12 samples"),
        ({"validation_data": (X, Y), "validation_freq": 0}, "expected validation_freq to be"),
        ({"validation_data": (X[:0], Y[:0])}, "expected at least one sample"),
        ({"shuffle": "batch"}, "expected shuffle to be True or False, got 'batch'"),
        ({"class_weight": {0: 1.0}, "sample_weight": np.ones(12)}, "expected either class_weight"),
        ({"sample_weight": np.ones(5)}, "'sample_weight' sizes: 5"),
        (
            {"sample_weight": np.ones((12, 7))},
            "expected shapes that broadcast together, got .12,. and .12, 7.",
        ),
    ],
)
def test_fit_refuses_options(options, message):
    with pytest.raises(ValueError, match=message):
        linear().fit(X, Y, verbose=0, **options)


def test_class_weight_is_a_dict():
    with pytest.raises(TypeError, match=r"expected class_weight as a dict .*, got \[1.0, 2.0\]"):
        linear().fit(X, Y, class_weight=[1.0, 2.0], verbose=0)


@pytest.mark.parametrize("y", [Y, Y[:, 0]])
def test_targets_are_not_broadcast(y):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"got y_true.shape=\(12,.* and y_pred.shape=\(12, 3\)"):
        model.fit(X, y, verbose=0)
    assert int(model.optimizer.iterations) == 0


def test_validation_split_needs_arrays():
    source = data.Dataset.from_tensor_slices((X, Y)).batch(4)
    with pytest.raises(
        ValueError, match="expected arrays to use validation_split with, got a Data"
    ):
        linear().fit(source, validation_split=0.5)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_a_model_must_be_compiled(method):
    model = keras.Sequential([layers.Dense(1)])
    with pytest.raises(ValueError, match=r"You must call `compile\(\)` before using the model"):
        getattr(model, method)(X, Y)


def test_an_error_of_a_compiled_step_names_the_layer():
    model = keras.Sequential([layers.Embedding(5, 2, name="e"), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    words = np.zeros((12, 3), "int64")
    model.fit(words, Y, verbose=0)
    before = [v.numpy() for v in (*model.variables, model.optimizer.iterations)]
    words[3, 2] = 5
    with pytest.raises(ValueError, match=r"Embedding 'e': expected integers in \[0, 5\), got 5"):
        model.fit(words, Y, verbose=0)
    for a, b in zip(before, (*model.variables, model.optimizer.iterations), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("labels", [np.array([0, 7, 1] * 4), np.array([0, -1, 1] * 4)])
def test_labels_out_of_range_are_refused_before_any_update(labels):
    model = keras.Sequential(
        [keras.Input((4,)), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    before = [v.numpy() for v in model.variables]
    with pytest.raises(ValueError, match=f"{labels.min() if labels.min() < 0 else 7}"):
        model.fit(X, labels, verbose=0)
    for a, b in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(model.optimizer.iterations) == 0


def test_an_error_in_the_source_keeps_its_type_and_complete_updates():
    class OwnError(Exception):
        pass

    def source():
        yield from batches(2)
        raise OwnError("the disk is gone")

    model, twin = linear("adam"), linear("adam")
    twin.set_weights(model.get_weights())
    with pytest.raises(OwnError, match="the disk is gone"):
        model.fit(source(), verbose=0)
    twin.fit(batches(2), verbose=0)
    assert int(model.optimizer.iterations) == 2
    for a, b in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("eagerly", "step", "least"), [(True, 61, 50), (False, 3, 50)])
def test_an_interrupt_anywhere_in_a_step_leaves_it_undone(eagerly, step, least):
    """Raise after the n-th line that a step runs, for many n, as a signal handler may."""
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(1)])
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(optimizer, "mse", metrics=["mae"], run_eagerly=eagerly)
    model.train_on_batch(X, Y)
    variables = [*model.variables, *model.optimizer.variables]

    def interrupted(at):
        with interrupt(at, before="line") as found:
            model.train_on_batch(X, Y)
        return found.came

    begin = [v.numpy() for v in variables]
    undone, at = 0, 1
    while interrupted(at):
        changed = [not np.array_equal(a, v) for a, v in zip(begin, variables)]
        assert all(changed[:-6]) if any(changed) else True
        assert any(changed) == (int(model.optimizer.iterations) == 2)
        assert (state.scope, state.recorders, state.training, state.names) == (None, (), None, ())
        undone += not any(changed)
        for variable, value in zip(variables, begin):
            variable.assign(value)
        at += step
    assert undone > least


def test_nan_goes_on_and_is_seen():
    model = linear()
    bad = X.copy()
    bad[0, 0] = np.nan
    history = model.fit(bad, Y, batch_size=12, epochs=2, verbose=0)
    assert np.isnan(history.history["loss"]).all()
    model = linear()
    history = model.fit(
        bad, Y, batch_size=12, epochs=5, verbose=0, callbacks=[callbacks.TerminateOnNaN()]
    )
    assert len(history.history["loss"]) == 1
