"""Training, evaluation and prediction with data of every kind, logs and callbacks."""

import copy
import itertools
import pickle
import random

import numpy as np
import pytest

import minikeras as keras
from minikeras import callbacks, data, layers, ops
from minikeras.utils import PyDataset
from tests.training import (
    LABELS,
    Recorder,
    X,
    Y,
    batches,
    classifier,
    fitted,
    linear,
    names_and_numbers_from_the_start,  # noqa: F401  an autouse fixture
    two_outputs,
)

# -- arrays ----------------------------------------------------------------------------------------


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
        model.compile(run_eagerly=True)
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
    model.compile(run_eagerly=True)
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
    model.compile(run_eagerly=True)
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


# -- epochs, callbacks and verbosity ---------------------------------------------------------------


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


def test_steps_per_execution_hand_the_outputs_of_all_their_batches_on():
    seen = []
    hook = callbacks.LambdaCallback(on_predict_batch_end=lambda b, logs: seen.append(logs))
    outputs = linear(steps_per_execution=2).predict(X, 4, verbose=0, callbacks=[hook])
    assert [logs["outputs"].shape for logs in seen] == [(8, 1), (4, 1)]
    np.testing.assert_array_equal(np.concatenate([logs["outputs"] for logs in seen]), outputs)


def test_predict_lists_a_number_for_each_batch():
    class Total(keras.Model):
        def call(self, inputs):
            return ops.sum(inputs)

    sums = [X[:8].sum(), X[8:].sum()]
    np.testing.assert_allclose(Total().predict(X, 8, verbose=0), sums, rtol=1e-5)


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


# -- single batches --------------------------------------------------------------------------------


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


# ---- copies --------------------------------------------------------------------------------------


def _branching():
    inputs = keras.Input((4,))
    hidden = layers.Dense(3, activation="relu")(inputs)
    added = layers.Add()([hidden, layers.Dense(3)(inputs) * 2.0])
    return keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2)(added, training=False)))


class _Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = keras.Sequential([layers.Dense(3), layers.BatchNormalization()])
        self.last = layers.Dense(1)

    def call(self, x):
        return self.last(self.inner(x))


def _row():
    return keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(1)])


def _twice(model):
    return copy.deepcopy(copy.deepcopy(model))


def _pickled(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize(
    ("make", "copier"),
    [*itertools.product([_branching, _Own, _row], [copy.deepcopy, _twice]), (_row, _pickled)],
)
def test_a_copied_model_goes_on_training_apart(make, copier):
    model = make()
    model(X)
    optimizer = keras.optimizers.Adam(0.1, weight_decay=0.1, use_ema=True)
    optimizer.exclude_from_weight_decay(model.trainable_weights[:1])
    model.compile(optimizer, "mse", metrics=["mae"])
    model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    copied = copier(model)
    before, expected = model(X).numpy(), model.get_weights()
    np.testing.assert_array_equal(copied(X), before)
    history = copied.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_array_equal(model(X), before)
    for weight, value in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(weight, value)
    again = model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    assert history == again
    for a, b in zip(model.get_weights(), copied.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    copied.set_weights([weight * 0 for weight in copied.get_weights()])
    assert not copied(X).numpy().any() and model(X).numpy().any()


def test_a_copied_optimizer_serves_the_same_variables():
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer = keras.optimizers.Adam(0.1, gradient_accumulation_steps=2)
    optimizer.apply([np.ones(3, "float32")], [variable])
    copied = copy.deepcopy(optimizer)
    copied.apply([np.ones(3, "float32")], [variable])
    np.testing.assert_allclose(variable, np.full(3, 0.9), rtol=1e-6)
    assert (int(copied.iterations), int(optimizer.iterations)) == (1, 0)
