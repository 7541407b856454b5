"""Many short steps that `fit` and `evaluate` do in one call: the same as one by one."""

import tracemalloc

import numpy as np
import pytest

import minikeras as keras
from minikeras import callbacks, layers, tf
from minikeras.compiler.native import llvm
from minikeras.models import batches, loops
from minikeras.models.runner import Runner
from tests.interrupting import interrupt
from tests.training import Recorder

native = pytest.mark.skipif(not llvm.available(), reason="native code is switched off")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(203, 6)).astype("float32")
LABELS = (np.arange(203) % 3).astype("int32")
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
WEIGHTS = RANDOM.uniform(size=203).astype("float32")


class EveryBatch(callbacks.Callback):
    """Have every step done alone."""

    def on_train_batch_end(self, batch, logs=None):
        pass

    on_test_batch_end = on_train_batch_end


@pytest.fixture(autouse=True)
def counts(monkeypatch):
    """Let steps count as short; return how many were done in each call so far."""
    monkeypatch.setattr(loops, "_CALL_SECONDS", 1e9)
    counts, several = [], Runner.several

    def counted(self, stacks):
        done, logs = several(self, stacks)
        counts.append(done)
        return done, logs

    monkeypatch.setattr(Runner, "several", counted)
    return counts


def make(loss="sparse_categorical_crossentropy", metrics=("accuracy",), **options):
    keras.utils.set_random_seed(0)
    regular = [layers.BatchNormalization(), layers.Dropout(0.3)]
    model = keras.Sequential(
        [layers.Dense(8, activation="relu"), *regular, layers.Dense(3, activation="softmax")]
    )
    decay = keras.optimizers.schedules.ExponentialDecay(0.01, 20, 0.9)
    model.compile(keras.optimizers.Adam(decay), loss, metrics=list(metrics), **options)
    return model


def state(model):
    return [v.numpy() for v in [*model.variables, *model.optimizer.variables]]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def both(data, how, **options):
    """Train alike step by step and by many; return the second model and its history."""
    found = []
    for extra in ([EveryBatch()], []):
        model = make(**options)
        history = model.fit(*data, batch_size=8, epochs=3, verbose=0, callbacks=extra, **how)
        found.append((model, history.history))
    (one, expected), (many, history) = found
    assert equal(state(one), state(many))
    assert history == expected
    return many


@native
@pytest.mark.parametrize(
    ("data", "how", "most"),
    [
        ((X, LABELS), {}, 24),
        ((X, LABELS), {"shuffle": False}, 24),
        ((X, LABELS[:, None]), {"steps_per_epoch": 7}, 6),
        ((X, LABELS), {"sample_weight": WEIGHTS}, 24),
        ((X, LABELS), {"validation_split": 0.5}, 11),
        ((X, LABELS), {"validation_data": (X, LABELS, WEIGHTS)}, 24),
        ((X[:, ::-1], LABELS), {"shuffle": False}, 24),  # not contiguous
        ((X[:8], LABELS[:8]), {}, 0),  # a single batch
        ((X[:16], LABELS[:16]), {}, 0),  # no two batches behind the first
    ],
)
def test_steps_by_many_do_what_steps_one_by_one_do(data, how, most, counts):
    both(data, how)
    assert max(counts, default=0) == most


def test_they_do_so_by_numpy_too(counts):
    both((X, LABELS), {})
    assert counts


@native
def test_data_that_cannot_be_stacked_is_taken_batch_by_batch(counts):
    both((X, LABELS), {"class_weight": {0: 2.0, 1: 1.0, 2: 0.5}})
    assert counts == []
    inputs = {"a": keras.Input((6,), name="a")}
    model = keras.Model(inputs, layers.Dense(1)(inputs["a"]))
    model.compile("sgd", "mse")
    model.fit({"a": X}, LABELS, verbose=0)
    assert counts == []


@native
def test_steps_that_numpy_has_a_part_in_are_done_one_by_one(counts):
    class Sorting(layers.Layer):
        def call(self, x):
            return keras.ops.sort(x, axis=-1)

    model = keras.Sequential([Sorting(), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, LABELS, batch_size=8, epochs=2, verbose=0)
    assert counts == [0, 0]  # tried once an epoch
    assert int(model.optimizer.iterations) == 2 * 26


@native
def test_own_steps_and_metrics(counts):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense, self.mean = layers.Dense(1), keras.metrics.Mean(name="mine")
            self.seen = tf.Variable(0.0, trainable=False)

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True)[:, 0] - tf.cast(y, "float32")) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
            self.mean.update_state(loss)
            self.seen.assign_add(1.0)
            return {"mine": self.mean.result(), "last": loss}

    logs = []
    for extra in ([EveryBatch()], []):
        keras.utils.set_random_seed(1)
        model = Own()
        model.compile("sgd")
        found = model.fit(X, LABELS, batch_size=8, epochs=2, verbose=0, callbacks=extra)
        logs.append((found.history, model.get_weights()[0].tolist(), float(model.seen)))
    assert logs[0] == logs[1] and logs[0][2] == 52.0
    assert counts == [24, 24]


@native
def test_evaluate(counts):
    model = make()
    model.fit(X, LABELS, batch_size=8, verbose=0)
    counts.clear()
    one = model.evaluate(X, LABELS, batch_size=8, verbose=0, callbacks=[EveryBatch()])
    assert counts == []
    assert model.evaluate(X, LABELS, batch_size=8, verbose=0) == one
    assert counts == [24]


def test_callbacks_hear_of_every_batch_if_they_ask_for_it(counts):
    heard = Recorder()
    make().fit(X, LABELS, batch_size=8, verbose=0, callbacks=[heard])
    assert heard.calls == [f"{c}{i}" for i in range(26) for c in "be"] + ["epoch 0"]
    make().fit(X, LABELS, batch_size=8, verbose=0, callbacks=[callbacks.TerminateOnNaN()])
    assert counts == []


@native
def test_callbacks_that_do_not_ask_for_it_hear_of_the_first_and_the_last(counts, tmp_path):
    class Seldom(Recorder):
        every_batch = False

    heard = Seldom()
    saving = callbacks.ModelCheckpoint(tmp_path / "a.weights.h5", save_weights_only=True)
    make().fit(X, LABELS, batch_size=8, verbose=0, callbacks=[heard, saving])
    assert heard.calls == ["b0", "e0", "b1", "e24", "b25", "e25", "epoch 0"]
    assert counts == [24]


@native
@pytest.mark.parametrize("late", [False, True])
def test_hooks_added_to_callbacks_that_do_not_ask_for_it_hear_of_every_batch(counts, late):
    heard = []

    def hear(batch, logs=None):
        heard.append(batch)

    class Bar(callbacks.ProgbarLogger):
        if not late:
            on_train_batch_begin = staticmethod(hear)

    bar = Bar()
    if late:
        bar.on_train_batch_begin = hear
    make().fit(X, LABELS, batch_size=8, verbose=0, callbacks=[bar])
    assert heard == [*range(26)]
    assert counts == []


def test_a_bar_shows_all_steps(capsys):
    make().fit(X, LABELS, batch_size=8)
    assert capsys.readouterr().out.startswith("26/26 - 0s")


@native
@pytest.mark.parametrize("bad", [9, 20, 202])
def test_a_label_that_is_none_stops_at_its_batch(bad, counts):
    labels = LABELS.copy()
    labels[bad * 8 % 203] = 7
    states = []
    for extra in ([EveryBatch()], []):
        model = make()
        with pytest.raises(ValueError, match="label"):
            model.fit(X, labels, batch_size=8, shuffle=False, verbose=0, callbacks=extra)
        states.append(state(model))
    assert equal(*states)
    assert int(model.optimizer.iterations) == bad * 8 % 203 // 8


@native
def test_little_is_copied_at_once(counts, monkeypatch):
    monkeypatch.setattr(batches, "_STACKED_BYTES", 8 * 7 * 4 * 5)
    both((X, LABELS), {})
    assert max(counts) == 5


@pytest.mark.parametrize("order", [None, np.arange(20_000)])
def test_little_of_an_array_that_is_not_contiguous_is_copied_at_once(order):
    x = np.asfortranarray(np.zeros((20_000, 64), "float32"))
    batching = batches.Pass((x, None, None), 20_000, 32, order)
    tracemalloc.start()
    try:
        next(batching)
        assert len(batching.several(512)[0]) == batches._STACKED_BYTES // (32 * 64 * 4)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * batches._STACKED_BYTES
    finally:
        tracemalloc.stop()


@native
def test_long_steps_are_done_one_by_one(counts, monkeypatch):
    monkeypatch.setattr(loops, "_CALL_SECONDS", 0.0)
    both((X, LABELS), {})
    assert counts == []


@native
@pytest.mark.parametrize("at", range(1, 2000, 97))
def test_an_interrupt_leaves_whole_steps(at, counts):
    model = make()
    model.fit(X[:24], LABELS[:24], batch_size=8, epochs=2, verbose=0)
    begin = int(model.optimizer.iterations)
    with interrupt(at):
        model.fit(X, LABELS, batch_size=8, shuffle=False, verbose=0)
    steps = int(model.optimizer.iterations) - begin
    assert steps in (0, 1, 25, 26)
    again = make()
    again.fit(X[:24], LABELS[:24], batch_size=8, epochs=2, verbose=0, callbacks=[EveryBatch()])
    for i in range(steps):
        again.train_on_batch(X[8 * i : 8 * i + 8], LABELS[8 * i : 8 * i + 8])
    assert equal(model.get_weights(), again.get_weights())
