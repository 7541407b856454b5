"""Training, evaluation and prediction: data of every kind, logs, callbacks, own steps."""

import gc
import random
import sys

import numpy as np
import pytest

import minikeras as keras
from minikeras import backend, callbacks, data, layers, ops
from minikeras.core.context import state
from minikeras.utils import PyDataset

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = X[:, :2] @ np.array([[1.0], [-2.0]], "float32") + 0.5
LABELS = (np.arange(12) % 3).astype("int64")


@pytest.fixture(autouse=True)
def names_and_numbers_from_the_start():
    backend.clear_session()
    keras.random.set_random_seed(0)


def linear(optimizer="sgd", loss="mse", **kwargs):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile(optimizer, loss, **kwargs)
    return model


def classifier(**kwargs):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", **kwargs)
    return model


def two_outputs(functional=True, **kwargs):
    inputs = keras.Input((4,))
    outputs = [layers.Dense(1, name="a")(inputs), layers.Dense(2, name="b")(inputs)]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", **kwargs)
    return model


class Recorder(callbacks.Callback):
    """Take note of all calls, in one letter and the number."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(f"b{batch}")

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append(f"e{batch}")

    def on_test_batch_end(self, batch, logs=None):
        self.calls.append(f"t{batch}")

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch}")


def fitted(model, *args, **kwargs):
    """Return the calls of callbacks in `fit`."""
    recorder = Recorder()
    model.fit(*args, verbose=0, callbacks=[recorder], **kwargs)
    return " ".join(recorder.calls)


def batches(count, rows=4):
    for _ in range(count):
        yield X[:rows], Y[:rows]


# -- arrays --------------------------------------------------------------------------------------


def test_fit_lowers_the_loss_and_returns_the_history():
    model = linear(keras.optimizers.SGD(0.1), metrics=["mae"])
    history = model.fit(X, Y, batch_size=4, epochs=30, verbose=0, validation_data=(X, Y))
    assert model.history is history
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert history.epoch == list(range(30))
    assert all(isinstance(v, float) for values in history.history.values() for v in values)
    assert 50 * history.history["loss"][-1] < history.history["loss"][0]


def test_one_step_is_that_of_the_textbook():
    model = linear(keras.optimizers.SGD(0.1))
    kernel, bias = model.get_weights()
    history = model.fit(X, Y, batch_size=12, verbose=0)
    error = X @ kernel + bias - Y
    assert history.history["loss"] == pytest.approx([np.mean(error**2)], rel=1e-5)
    new_kernel, new_bias = model.get_weights()
    np.testing.assert_allclose(new_kernel, kernel - 0.1 * 2 * X.T @ error / 12, rtol=1e-5)
    np.testing.assert_allclose(new_bias, bias - 0.1 * 2 * error.mean(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X.tolist(), Y.tolist()),
        (X.astype("float64"), Y[:, 0]),
        ([X], [Y]),
        ({"features": X}, {"dense": Y}),
        (ops.convert_to_tensor(X), ops.convert_to_tensor(Y)),
        (keras.Variable(X), Y),
        ((X * 50).astype("int32") / 50, Y),
    ],
)
def test_fit_takes_what_can_be_made_arrays(x, y):
    inputs = keras.Input((4,), name="features")
    model = keras.Model(inputs, layers.Dense(1, name="dense")(inputs))
    model.compile("sgd", "mse")
    assert fitted(model, x, y, batch_size=5) == "b0 e0 b1 e1 b2 e2 epoch 0"


def test_the_last_batch_counts_by_its_samples():
    model = linear(keras.optimizers.SGD(0.0))
    loss = model.fit(X, Y, batch_size=5, verbose=0).history["loss"][0]
    assert loss == pytest.approx(model.evaluate(X, Y, batch_size=12, verbose=0), rel=1e-5)


def test_shuffling_draws_a_new_order_each_epoch_from_the_seed():
    class Rows(keras.Model):
        def train_step(self, data):
            seen.extend(data.numpy()[:, 0])
            return {"loss": 0.0}

    numbers = np.arange(10)[:, None]
    orders = []
    for seed in (3, 3, 4):
        seen = []
        keras.random.set_random_seed(seed)
        model = Rows()
        model.compile()
        model.fit(numbers, epochs=2, batch_size=4, verbose=0)
        orders.append(seen)
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0][:10]) == sorted(orders[0][10:]) == list(range(10))
    assert orders[0][:10] != orders[0][10:] != list(range(10))
    seen = []
    model.fit(numbers, batch_size=4, verbose=0, shuffle=False)
    assert seen == list(range(10))


def test_the_same_seed_gives_the_same_bits():
    def train():
        keras.random.set_random_seed(7)
        model = keras.Sequential(
            [keras.Input((4,)), layers.Dense(8), layers.Dropout(0.5), layers.Dense(1)]
        )
        model.compile("adam", "mse")
        history = model.fit(X, Y, batch_size=5, epochs=3, verbose=0, validation_split=0.25)
        return [*model.get_weights(), history.history["loss"], history.history["val_loss"]]

    for a, b in zip(train(), train(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_validation_split_takes_the_last_samples():
    class Sizes(keras.Sequential):
        def train_step(self, data):
            seen.append(("train", data[0].numpy().tolist()))
            return {"loss": 0.0}

        def test_step(self, data):
            seen.append(("test", data[0].numpy().tolist()))
            return {"loss": 0.0}

    seen = []
    model = Sizes([layers.Dense(1)])
    model.compile()
    numbers = np.arange(10)[:, None]
    model.fit(numbers, numbers, validation_split=0.3, shuffle=False, verbose=0, batch_size=7)
    assert seen == [("train", [[i] for i in range(7)]), ("test", [[7], [8], [9]])]


def test_validation_data_beats_validation_split_and_has_its_own_batches():
    calls = fitted(
        linear(), X, Y, batch_size=12, epochs=4, validation_split=0.5, validation_data=(X, Y),
        validation_batch_size=6, validation_freq=2,
    )  # fmt: skip
    assert calls == "b0 e0 epoch 0 b0 e0 t0 t1 epoch 1 b0 e0 epoch 2 b0 e0 t0 t1 epoch 3"
    calls = fitted(linear(), X, Y, epochs=3, validation_data=[X, Y], validation_freq=[1, 3])
    assert calls == "b0 e0 t0 epoch 0 b0 e0 epoch 1 b0 e0 t0 epoch 2"


def test_sample_and_class_weights_weigh_the_loss_and_weighted_metrics():
    weights = np.linspace(0, 2, 12).astype("float32")
    model = linear(keras.optimizers.SGD(0.0), metrics=["mae"], weighted_metrics=["mae"])
    logs = model.evaluate(X, Y, sample_weight=weights, verbose=0, return_dict=True)
    error = (model.predict(X, verbose=0) - Y)[:, 0]
    assert logs == pytest.approx(
        {
            "loss": np.mean(weights * error**2),
            "mae": np.mean(np.abs(error)),
            "weighted_mae": np.average(np.abs(error), weights=weights),
        },
        rel=1e-5,
    )
    model = classifier()
    for labels in (LABELS, LABELS[:, None]):
        weighted = model.train_on_batch(X, labels, class_weight={0: 1.0, 2: 3.0})
        model.set_weights([w * 0 for w in model.get_weights()])
    assert weighted > 0
    by_class = model.train_on_batch(X, LABELS, class_weight={0: 1.0, 2: 3.0})
    model.set_weights([w * 0 for w in model.get_weights()])
    by_sample = model.train_on_batch(X, LABELS, sample_weight=np.array([1.0, 1.0, 3.0] * 4))
    assert by_class == pytest.approx(by_sample) == pytest.approx(np.log(3) * 5 / 3)


def test_class_weights_work_with_one_hot_targets_and_sources():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    hot = np.eye(3, dtype="float32")[LABELS]
    source = data.Dataset.from_tensor_slices((X, hot)).batch(6)
    model.fit(source, class_weight={1: 0.0}, verbose=0)
    model.fit(X, hot, class_weight={1: 0.0}, verbose=0)


# -- sources of batches ----------------------------------------------------------------------------


def test_datasets_are_read_anew_each_epoch():
    source = data.Dataset.from_tensor_slices((X, Y)).batch(5)
    calls = fitted(linear(), source, epochs=2, validation_data=source)
    assert calls == "b0 e0 b1 e1 b2 e2 t0 t1 t2 epoch 0 b0 e0 b1 e1 b2 e2 t0 t1 t2 epoch 1"
    weighted = data.Dataset.from_tensor_slices((X, Y, Y[:, 0] ** 2)).batch(6)
    assert linear().evaluate(weighted, verbose=0) > 0
    assert linear().predict(data.Dataset.from_tensor_slices(X).batch(7), verbose=0).shape == (12, 1)


@pytest.mark.parametrize(
    "source",
    [
        data.Dataset.range(9).map(lambda i: (ops.ones((1, 4)), i[None])).repeat(),
        ((np.ones((1, 4)), np.array([i])) for i in range(99)),
    ],
    ids=["dataset", "generator"],
)
def test_endless_sources_go_on_where_the_last_epoch_ended(source):
    class First(keras.Sequential):
        def train_step(self, data):
            seen.append(int(data[1][0]))
            return {"loss": 0.0}

    seen = []
    model = First([layers.Dense(1)])
    model.compile()
    model.fit(source, steps_per_epoch=3, epochs=2, verbose=0)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_data_that_runs_out_within_an_epoch_cuts_it_short_with_a_warning():
    with pytest.warns(UserWarning, match="ran out of data.*fit got 1 of 2 steps this epoch"):
        calls = fitted(linear(), X, Y, batch_size=4, steps_per_epoch=2, epochs=3)
    assert calls == "b0 e0 b1 e1 epoch 0 b0 e0 epoch 1 b0 e0 b1 e1 epoch 2"
    with pytest.warns(UserWarning, match="fit got 3 of 5 steps"):
        assert fitted(linear(), batches(3), steps_per_epoch=5) == "b0 e0 b1 e1 b2 e2 epoch 0"
    source = data.Dataset.from_tensor_slices((X, Y)).batch(4)
    with pytest.warns(UserWarning, match="validation got 3 of 5 steps"):
        linear().fit(X, Y, validation_data=source, validation_steps=5, verbose=0)
    with pytest.warns(UserWarning, match="evaluate got 3 of 9 steps"):
        linear().evaluate(source, steps=9, verbose=0)


def test_steps_divide_arrays_if_no_batch_size_does():
    assert fitted(linear(), X, Y, steps_per_epoch=3) == "b0 e0 b1 e1 b2 e2 epoch 0"
    assert linear().predict(X, steps=2, batch_size=5, verbose=0).shape == (10, 1)


def test_a_generator_is_read_once():
    assert fitted(linear(), batches(3)) == "b0 e0 b1 e1 b2 e2 epoch 0"
    with pytest.warns(UserWarning, match="interrupting training after 1 of 3 epochs"):
        assert fitted(linear(), batches(2), epochs=3) == "b0 e0 b1 e1 epoch 0"
    with pytest.warns(UserWarning, match="none to validate epoch 2 on"):
        calls = fitted(linear(), X, Y, epochs=2, validation_data=batches(2))
    assert calls == "b0 e0 t0 t1 epoch 0 b0 e0 epoch 1"


def test_a_generator_is_left_open_between_epochs_and_validations():
    source = batches(6)
    fitted(linear(), X, Y, epochs=2, validation_data=source, validation_steps=2)
    assert len(list(source)) == 2


def test_py_datasets_are_asked_by_number_and_told_of_epochs():
    class Numbers(PyDataset):
        def __init__(self, length):
            super().__init__()
            self.length, self.asked, self.told = length, [], []

        def __len__(self):
            return self.length

        def __getitem__(self, index):
            self.asked.append(index)
            return X[index : index + 2], Y[index : index + 2]

        def on_epoch_begin(self):
            self.told.append("begin")

        def on_epoch_end(self):
            self.told.append("end")

    source = Numbers(6)
    random.seed(1)
    linear().fit(source, epochs=2, verbose=0)
    assert sorted(source.asked[:6]) == sorted(source.asked[6:]) == list(range(6))
    assert source.asked[:6] != source.asked[6:]
    assert source.told == ["begin", "end"] * 2
    source.asked.clear()
    linear().fit(source, shuffle=False, verbose=0)
    assert source.asked == list(range(6))
    assert linear().predict(source, verbose=0).shape == (12, 1)

    class Endless(PyDataset):
        num_batches = None

        def __getitem__(self, index):
            return X[:2], Y[:2]

    assert fitted(linear(), Endless(), steps_per_epoch=2, epochs=2).count("e") == 6


def test_dataset_decides_about_batches():
    source = data.Dataset.from_tensor_slices((X, Y)).batch(6)
    with pytest.warns(UserWarning, match="batch_size=2 changes nothing: the Dataset decides"):
        assert fitted(linear(), source, batch_size=2) == "b0 e0 b1 e1 epoch 0"


# -- what is refused -----------------------------------------------------------------------------

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


def test_an_interrupt_anywhere_in_a_step_leaves_it_undone():
    """Raise after the n-th line that a step runs, for many n, as a signal handler may."""
    model = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"])
    model.train_on_batch(X, Y)
    variables = [*model.variables, *model.optimizer.variables]

    def interrupted(at):
        lines = 0

        def trace(frame, event, _):
            nonlocal lines
            if "minikeras" not in frame.f_code.co_filename:
                return None
            lines += event == "line"
            if lines == at:
                raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            model.train_on_batch(X, Y)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

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
        at += 61
    assert undone > 50


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


# -- epochs, callbacks and verbosity -------------------------------------------------------------


def test_epochs_are_numbered_from_the_initial_one():
    assert linear().fit(X, Y, epochs=0, verbose=0).history == {}
    assert linear().fit(X, Y, epochs=5, initial_epoch=3, verbose=0).epoch == [3, 4]
    assert linear().fit(X, Y, epochs=2, initial_epoch=5, verbose=0).history == {}


def test_callbacks_stop_training():
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 1

    recorder = Recorder()
    linear().fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=[Stop(), recorder])
    assert recorder.calls == ["b0", "e0", "b1", "e1", "epoch 0"]
    model = linear(keras.optimizers.SGD(0.0))
    stopping = callbacks.EarlyStopping(monitor="loss", patience=1)
    assert len(model.fit(X, Y, epochs=9, verbose=0, callbacks=[stopping]).epoch) == 2


def test_logs_of_batches_and_epochs():
    class Logs(callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            assert list(logs) == ["loss", "mae"]
            kept.append(logs["loss"])

        def on_epoch_end(self, epoch, logs=None):
            kept.append(dict(logs))

        def on_train_end(self, logs=None):
            kept.append(dict(logs))

    kept = []
    model = linear(keras.optimizers.SGD(0.0), metrics=["mae"])
    model.fit(X, Y, batch_size=6, shuffle=False, verbose=0, callbacks=[Logs()])
    first, second, epoch, end = kept
    assert epoch == end
    assert second == epoch["loss"] != first
    assert first == pytest.approx(model.evaluate(X[:6], Y[:6], verbose=0)[0], rel=1e-5)


def test_steps_per_execution_call_callbacks_for_groups_of_batches():
    assert fitted(linear(steps_per_execution=2), X, Y, batch_size=4) == "b0 e1 b2 e2 epoch 0"
    assert fitted(linear(steps_per_execution=9), X, Y, batch_size=4) == "b0 e2 epoch 0"
    with pytest.raises(
        ValueError, match="expected steps_per_execution to be an integer > 0, got 0"
    ):
        linear(steps_per_execution=0)


@pytest.mark.parametrize("verbose", [0, 1, 2, "auto"])
def test_verbosity(verbose, capsys):
    linear(metrics=["mae"]).fit(X, Y, batch_size=4, epochs=2, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (0 if verbose == 0 else 2)
    for number, line in enumerate(lines, 1):
        assert line.startswith(f"Epoch {number}/2 - 3/3 - ")
        assert "loss: " in line and "mae: " in line
    linear().evaluate(X, Y, verbose=verbose)
    linear().predict(X, verbose=verbose)
    assert len(capsys.readouterr().out.splitlines()) == (0 if verbose == 0 else 2)


def test_moving_averages_of_weights_are_set_at_the_end():
    model = linear(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    kernel = model.get_weights()[0]
    twin = linear(keras.optimizers.SGD(0.1))
    twin.set_weights(model.get_weights())
    model.fit(X, Y, batch_size=6, epochs=1, verbose=0, shuffle=False)
    kernels = []
    for rows in (slice(0, 6), slice(6, 12)):
        twin.train_on_batch(X[rows], Y[rows])
        kernels.append(twin.get_weights()[0])
    np.testing.assert_allclose(model.get_weights()[0], (kernels[0] + kernels[1]) / 2, rtol=1e-5)
    assert not np.allclose(kernel, kernels[0])


# -- losses and metrics --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outputs", "y", "name"),
    [
        (layers.Dense(1, activation="sigmoid"), (LABELS > 0), "binary_accuracy"),
        (layers.Dense(3), LABELS, "sparse_categorical_accuracy"),
        (layers.Dense(3), LABELS[:, None], "sparse_categorical_accuracy"),
        (layers.Dense(3), np.eye(3)[LABELS], "categorical_accuracy"),
    ],
)
def test_accuracy_is_chosen_by_shape_and_named_as_written(outputs, y, name):
    model = keras.Sequential([keras.Input((4,)), outputs])
    for written in ("accuracy", "acc", name):
        model.compile("sgd", lambda y_true, y_pred: ops.mean(y_pred**2), metrics=[written])
        logs = model.evaluate(X, y.astype("float32"), verbose=0, return_dict=True)
        assert list(logs) == sorted(["loss", written])
        known = keras.metrics.get(name)
        known = known if isinstance(known, keras.Metric) else keras.metrics.MeanMetricWrapper(known)
        known.update_state(y.astype("float32"), model.predict(X, verbose=0))
        assert logs[written] == pytest.approx(float(known.result()))


def test_names_of_several_outputs():
    model = two_outputs(
        loss={"a": "mse", "b": "mae"},
        loss_weights={"b": 2.0},
        metrics={"a": ["mae", "mse"], "b": "mae"},
        weighted_metrics=[["mae"], []],
    )
    targets = [Y, np.repeat(Y, 2, 1)]
    history = model.fit(X, targets, verbose=0).history
    assert list(history) == [
        "a_loss",
        "a_mae",
        "a_mse",
        "a_weighted_mae",
        "b_loss",
        "b_mae",
        "loss",
    ]
    assert model.metrics_names == ["loss", "compile_metrics", "a_loss", "b_loss"]
    logs = model.evaluate(X, {"b": targets[1], "a": Y}, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["a_loss"] + 2 * logs["b_loss"], rel=1e-5)
    assert model.evaluate(X, targets, verbose=0) == pytest.approx(
        [logs[name] for name in ("loss", "a_loss", "b_loss")]
        + [logs[name] for name in ("a_mae", "a_mse", "a_weighted_mae", "b_mae")]
    )


def test_outputs_without_loss_need_no_targets():
    model = two_outputs(loss=["mse", None])
    with pytest.warns(UserWarning, match="Gradients do not exist for variables"):
        assert list(model.fit(X, [Y], verbose=0).history) == ["loss"]
    assert model.evaluate(X, {"a": Y}, verbose=0) > 0


def test_sample_weights_of_several_outputs():
    model = two_outputs(loss="mse")
    targets, weights = [Y, np.repeat(Y, 2, 1)], np.linspace(0, 1, 12)
    both = model.evaluate(X, targets, sample_weight=weights, verbose=0)
    same = model.evaluate(X, targets, sample_weight=[weights, weights], verbose=0)
    named = model.evaluate(X, targets, sample_weight={"a": weights, "b": weights}, verbose=0)
    assert both == same == named
    other = model.evaluate(X, targets, sample_weight=[weights, weights * 0], verbose=0)
    assert other[1] == both[1] and other[2] == 0


def test_unnamed_outputs_are_named_by_their_losses():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(1), layers.Dense(1)

        def call(self, x):
            return [self.a(x), self.b(x)]

    model = Two()
    model.compile("sgd", ["mse", "mae"], metrics=[["mae"], ["mae"]])
    assert list(model.fit(X, [Y, Y], verbose=0).history) == [
        "loss", "mae", "mae_1", "mae_loss", "mse_loss",
    ]  # fmt: skip


def test_dict_outputs_are_matched_by_key():
    class Named(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(1), layers.Dense(2)

        def call(self, x):
            return {"p": self.a(x), "q": self.b(x)}

    model = Named()
    model.compile("sgd", {"q": "mse", "p": "mae"}, metrics={"q": ["mae"]})
    history = model.fit(X, {"q": np.repeat(Y, 2, 1), "p": Y}, verbose=0).history
    assert list(history) == ["loss", "p_loss", "q_loss", "q_mae"]
    predictions = model.predict(X, batch_size=5, verbose=0)
    assert {key: value.shape for key, value in predictions.items()} == {"p": (12, 1), "q": (12, 2)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"loss": {"a": "mse", "c": "mae"}},
            r"loss for outputs named \['a', 'b'\], got \['c'\] too",
        ),
        ({"loss": ["mse", "mse", "mse"]}, "expected loss with an entry for each of 2 outputs"),
        ({"loss": "mse", "loss_weights": [1.0, 2.0, 3.0]}, "expected loss_weights with an entry"),
        ({"loss": "mse", "metrics": ["mae"]}, "expected metrics with a list for each of 2 outputs"),
        ({"loss": "mse", "metrics": {"c": ["mae"]}}, r"metrics for outputs .* got \['c'\] too"),
        (
            {"loss": "mse", "metrics": "mae"},
            "expected `metrics` as a list, tuple or dict, got 'mae'",
        ),
        ({"loss": "msee"}, "expected the name of a known loss, got 'msee'"),
    ],
)
def test_compile_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        two_outputs(**options).fit(X, [Y, np.repeat(Y, 2, 1)], verbose=0)


def test_targets_by_name_must_all_be_there():
    with pytest.raises(ValueError, match=r"expected y for outputs named \['a', 'b'\], got \['a'\]"):
        two_outputs(loss="mse").fit(X, {"a": Y}, verbose=0)


def test_added_losses_and_penalties_are_part_of_the_total():
    class Penalty(layers.Layer):
        def call(self, inputs):
            self.add_loss(0.5 * ops.mean(inputs**2))
            return inputs

    dense = layers.Dense(1, kernel_regularizer="l2", activity_regularizer="l1")
    model = keras.Sequential([keras.Input((4,)), Penalty(), dense])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    found = model.evaluate(X, Y, batch_size=12, verbose=0)
    outputs, kernel = model.predict(X, verbose=0), model.get_weights()[0]
    expected = np.mean((outputs - Y) ** 2) + 0.5 * np.mean(X**2)
    expected += 0.01 * np.sum(kernel**2) + 0.01 * np.sum(np.abs(outputs)) / 12
    assert found == pytest.approx(expected, rel=1e-4)
    model.compile("sgd")
    assert model.fit(X, batch_size=12, verbose=0).history["loss"][0] > 0
    bare = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    bare.compile("sgd")
    with pytest.raises(ValueError, match="No loss to compute. Provide a `loss` argument"):
        bare.fit(X, Y, verbose=0)


# -- single batches ------------------------------------------------------------------------------


def test_single_batches():
    model = linear(keras.optimizers.SGD(0.1), metrics=["mae"])
    first = model.train_on_batch(X, Y)
    assert isinstance(first, list) and all(isinstance(value, float) for value in first)
    assert model.train_on_batch(X, Y, return_dict=True)["loss"] < first[0]
    before = model.get_weights()[0]
    loss, mae = model.test_on_batch(X, Y)
    assert model.test_on_batch(X, Y, return_dict=True) == {"loss": loss, "mae": mae}
    np.testing.assert_array_equal(model.get_weights()[0], before)
    np.testing.assert_allclose(model.predict_on_batch(X), model.predict(X, verbose=0), rtol=1e-6)
    assert isinstance(linear().train_on_batch(X, Y), float)
    with pytest.raises(ValueError, match="expected at least one sample"):
        model.train_on_batch(X[:0], Y[:0])


def test_predict_joins_batches_and_keeps_shapes_without_samples():
    model = linear()
    whole = model.predict(X, verbose=0)
    assert type(whole) is np.ndarray
    np.testing.assert_allclose(model.predict(X, batch_size=5, verbose=0), whole, rtol=1e-6)
    assert model.predict(X[:0], verbose=0).shape == (0, 1)
    a, b = two_outputs(loss="mse").predict(X, batch_size=5, verbose=0)
    assert (a.shape, b.shape) == ((12, 1), (12, 2))
    with pytest.raises(ValueError, match="predict: expected at least one batch"):
        model.predict(iter(()), verbose=0)
    with pytest.raises(ValueError, match="evaluate: expected at least one batch"):
        model.evaluate(iter(()), verbose=0)


# -- own steps -----------------------------------------------------------------------------------


def test_own_train_step_and_attribute_metrics():
    class Own(keras.Sequential):
        def __init__(self, *args):
            super().__init__(*args)
            self.tracker = keras.metrics.Mean(name="loss")
            self.error = keras.metrics.MeanAbsoluteError(name="mae")

        def train_step(self, data):
            x, y = data
            with keras.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = ops.mean((y - y_pred) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            self.tracker.update_state(loss)
            self.error.update_state(y, y_pred)
            return {m.name: m.result() for m in (self.tracker, self.error)}

        @property
        def metrics(self):
            return [self.tracker, self.error]

    model = Own([keras.Input((4,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(X, Y, batch_size=4, epochs=20, verbose=0).history
    assert list(history) == ["loss", "mae"]
    assert history["loss"][-1] < 0.01 < history["loss"][0]


def test_a_gan_trains_two_models_with_two_optimizers():
    class Gan(keras.Model):
        def __init__(self):
            super().__init__()
            self.generator = keras.Sequential([keras.Input((2,)), layers.Dense(4)])
            self.critic = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
            self.seeds = keras.random.SeedGenerator(1)
            self.g_loss = keras.metrics.Mean(name="g_loss")
            self.c_loss = keras.metrics.Mean(name="c_loss")

        def compile(self, g_optimizer, c_optimizer, loss):
            super().compile()
            self.g_optimizer, self.c_optimizer, self.loss_fn = g_optimizer, c_optimizer, loss

        @property
        def metrics(self):
            return [self.g_loss, self.c_loss]

        def train_step(self, real):
            noise = keras.random.normal((real.shape[0], 2), seed=self.seeds)
            with keras.GradientTape() as tape:
                both = ops.concatenate([self.generator(noise), real], axis=0)
                labels = ops.concatenate([ops.ones((12, 1)), ops.zeros((12, 1))], axis=0)
                loss = self.loss_fn(labels, self.critic(both))
            weights = self.critic.trainable_weights
            self.c_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
            self.c_loss.update_state(loss)
            with keras.GradientTape() as tape:
                loss = self.loss_fn(ops.zeros((12, 1)), self.critic(self.generator(noise)))
            weights = self.generator.trainable_weights
            self.g_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
            self.g_loss.update_state(loss)
            return {"g_loss": self.g_loss.result(), "c_loss": self.c_loss.result()}

    gan = Gan()
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    gan.compile(keras.optimizers.Adam(), keras.optimizers.Adam(), loss)
    before = gan.get_weights()
    history = gan.fit(X, epochs=2, verbose=0, batch_size=12).history
    assert list(history) == ["c_loss", "g_loss"]
    assert len(history["g_loss"]) == 2
    assert all(not np.array_equal(a, b) for a, b in zip(before, gan.get_weights()))
    assert int(gan.g_optimizer.iterations) == int(gan.c_optimizer.iterations) == 2


def test_own_compute_loss_and_compute_metrics():
    class Own(keras.Sequential):
        def compute_loss(self, x, y, y_pred, sample_weight=None):
            return 3.0 * super().compute_loss(x, y, y_pred, sample_weight)

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            return super().compute_metrics(x, y, y_pred, sample_weight) | {"rows": y.shape[0]}

        def test_step(self, data):
            return super().test_step(data) | {"tested": 1.0}

        def predict_step(self, data):
            return super().predict_step(data) * 0

    model = Own([keras.Input((4,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mse"])
    history = model.fit(X, Y, verbose=0).history
    assert history["loss"][0] == pytest.approx(3 * history["mse"][0], rel=1e-5)
    assert history["rows"] == [12]
    assert model.evaluate(X, Y, verbose=0, return_dict=True)["tested"] == 1
    assert not model.predict(X, verbose=0).any()


def test_metrics_of_layers_are_reported_and_reset():
    class Counting(layers.Layer):
        def __init__(self):
            super().__init__()
            self.mean = keras.metrics.Mean(name="activity")

        def call(self, inputs):
            self.mean.update_state(ops.mean(inputs))
            return inputs

    model = keras.Sequential([keras.Input((4,)), Counting(), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(X, Y, epochs=2, verbose=0).history
    assert history["activity"] == pytest.approx([X.mean()] * 2, abs=1e-6)


def test_a_subclass_is_built_by_fit():
    class Lazy(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, inputs):
            return self.dense(inputs)

    model = Lazy()
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    assert model.built and len(model.optimizer.variables) == 2 + 4


def test_frozen_models_and_missing_optimizers():
    model = linear()
    model.trainable = False
    with pytest.warns(UserWarning, match="The model does not have any trainable weights"):
        model.fit(X, Y, verbose=0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile(None, "mse")
    assert model.evaluate(X, Y, verbose=0) > 0
    with pytest.raises(ValueError, match="expected an optimizer, got compile.optimizer=None."):
        model.fit(X, Y, verbose=0)


def test_steps_leave_no_garbage():
    model = linear("adam", metrics=["mae"])
    model.fit(X, Y, batch_size=1, epochs=2, verbose=0)
    gc.collect()
    gc.disable()
    try:
        model.fit(X, Y, batch_size=1, epochs=20, verbose=0)
        for _ in range(50):
            model.train_on_batch(X, Y)
        assert gc.collect() < 20  # of fit itself, none of its steps
    finally:
        gc.enable()
