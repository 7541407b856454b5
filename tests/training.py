"""Small models and data that the tests of training share."""

import numpy as np
import pytest

import minikeras as keras
from minikeras import backend, callbacks, layers

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


def two_outputs(**kwargs):
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
