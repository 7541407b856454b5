"""Training steps, losses and metrics that users write."""

import gc

import numpy as np
import pytest

import minikeras as keras
from minikeras import layers, ops
from tests.training import (
    X,
    Y,
    linear,
    names_and_numbers_from_the_start,  # noqa: F401  an autouse fixture
)


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


def test_own_train_step_updates_all_metrics_in_a_loop():
    class Own(keras.Sequential):
        def train_step(self, data):
            x, y = data
            with keras.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=y_pred)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    model = Own([keras.Input((4,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", metrics=["mae"])
    history = model.fit(X, Y, batch_size=8, shuffle=False, verbose=0).history
    assert list(history) == ["mae", "loss"]
    parts = [model.evaluate(X[rows], Y[rows], verbose=0)[0] for rows in (slice(8), slice(8, 12))]
    assert history["loss"] == [pytest.approx(np.mean(parts))]  # batches count alike here


def test_dicts_in_the_logs_of_own_steps_are_flat_with_and_without_validation():
    class Own(keras.Sequential):
        def train_step(self, data):
            return {"own": {"error": 1.0}}

        def test_step(self, data):
            return {"own": {"error": 2.0}}

    model = Own([keras.Input((4,)), layers.Dense(1)])
    model.compile("sgd")
    history = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    assert history == {"error": [1.0], "val_error": [2.0]}


@pytest.mark.parametrize("logs", [None, 3.0])
def test_steps_return_logs(logs):
    class Own(keras.Sequential):
        def test_step(self, data):
            return logs

    model = Own([keras.Input((4,)), layers.Dense(1)], name="own")
    model.compile("sgd", "mse")
    with pytest.raises(TypeError, match=f"Own 'own': expected the step to return .* got .*{logs}"):
        model.evaluate(X, Y)


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
    model.train_on_batch(X, Y)
    gc.collect()
    gc.collect()  # the graphs of models that the first one found
    gc.disable()
    try:
        model.fit(X, Y, batch_size=1, epochs=20, verbose=0)
        for _ in range(50):
            model.train_on_batch(X, Y)
        assert gc.collect() < 20  # of fit itself, none of its steps
    finally:
        gc.enable()


def test_batches_of_ever_new_shapes_run_as_written_in_the_end():
    rows = keras.Input((None, 3))
    model = keras.Sequential([rows, layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse")
    lengths = [np.ones((2, n, 3), "float32") for n in range(1, 36)]
    with pytest.warns(UserWarning, match="compiled for 32 shapes.*Pad them to a few lengths"):
        losses = [model.train_on_batch(x, np.ones((2, 1))) for x in lengths]
    assert losses[-1] < losses[0]


def test_run_eagerly_may_be_changed_at_any_time():
    class Looks(keras.Sequential):
        def train_step(self, data):
            seen.append(type(data[0]).__name__)
            return super().train_step(data)

    seen = []
    model = Looks([layers.Dense(1)])
    model.compile("sgd", "mse")
    model.train_on_batch(X, Y)
    model.run_eagerly = True
    model.train_on_batch(X, Y)
    assert seen == ["SymbolicTensor", "EagerTensor"]


def test_everything_in_an_eager_step_runs_as_written(monkeypatch):
    model = keras.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    for _ in range(5):
        model.train_on_batch(X, Y)
    seen, call = [], layers.Dense.call
    monkeypatch.setattr(layers.Dense, "call", lambda *args: seen.append(0) or call(*args))
    model.train_on_batch(X, Y)
    assert seen == [0]


def test_options_of_the_optimizer_may_be_changed_at_any_time():
    def run(eagerly):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(1, kernel_initializer="ones")])
        model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=eagerly)
        model.fit(X, Y, verbose=0)
        model.optimizer.clipvalue = 1e-3
        model.fit(X, Y, verbose=0)
        model.optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
        losses = [model.train_on_batch(X, Y) for _ in range(2)]
        model.optimizer = keras.optimizers.SGD(0.05)
        return [*losses, model.train_on_batch(X, Y), *model.get_weights()]

    for a, b in zip(run(False), run(True), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
