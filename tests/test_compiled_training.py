"""Whole trainings: compiled as eager, the same bits on any number of threads, errors, memory."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minikeras as keras
from minikeras import config, layers, ops, optimizers
from minikeras.compiler.native import llvm
from minikeras.core.tape import GradientTape
from minikeras.core.variable import Variable
from tests.compiled import left_to_numpy, step_of

pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code needs llvmlite")
SAMPLES, CLASSES = 80, 5
LABELS = np.arange(SAMPLES) % CLASSES


@pytest.fixture(autouse=True)
def restored_threads():
    before = list(config._threads)
    yield
    config._threads[:] = before


# ---- models --------------------------------------------------------------------------------------


def perceptron():
    sizes = [keras.Input((100,)), layers.Dense(101, "relu"), layers.Dropout(0.3)]
    return [*sizes, layers.Dense(64, "tanh"), layers.Dense(CLASSES, "softmax")], "adam"


def convolutional():
    first = [keras.Input((10, 10, 1)), layers.Conv2D(9, 3, activation="relu")]
    second = [layers.MaxPooling2D(), layers.Conv2D(16, 3, activation="relu", padding="same")]
    last = [layers.MaxPooling2D(), layers.Flatten(), layers.Dropout(0.5), layers.Dense(CLASSES)]
    return [*first, *second, *last, layers.Softmax()], optimizers.SGD(0.05, momentum=0.9)


def normalized():
    block = [
        each
        for filters, strides in ((8, 1), (12, 2))
        for each in (
            layers.Conv2D(filters, 3, strides, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.8),
            layers.ReLU(),
        )
    ]
    ending = [layers.GlobalAveragePooling2D(), layers.Dense(CLASSES, "softmax")]
    return [keras.Input((10, 10, 1)), *block, *ending], optimizers.RMSprop(1e-3, momentum=0.5)


def words():
    inner = [layers.Embedding(30, 16), layers.SpatialDropout1D(0.2), layers.Conv1D(20, 3)]
    ending = [layers.GlobalMaxPooling1D(), layers.LayerNormalization()]
    last = layers.Dense(CLASSES, "softmax")
    options = {"weight_decay": 0.01, "global_clipnorm": 1.0}
    return [keras.Input((12,), dtype="int32"), *inner, *ending, last], optimizers.AdamW(**options)


MODELS = [perceptron, convolutional, normalized, words]


def samples(shape, dtype):
    random = np.random.default_rng(0)
    if dtype == "int32":
        return (random.integers(0, 25, (SAMPLES, *shape)) + LABELS[:, None]).astype("int32")
    shift = (LABELS / CLASSES).reshape(-1, *(1,) * len(shape))
    return (random.normal(size=(SAMPLES, *shape)) + shift).astype(dtype)


def trained(make, eagerly=False, epochs=2, batch_size=32):
    """Return the final weights and the losses of a training, and the model."""
    keras.utils.set_random_seed(5)
    parts, optimizer = make()
    model = keras.Sequential(parts)
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=eagerly
    )
    x = samples(model.inputs[0].shape[1:], model.inputs[0].dtype.name)
    half = x[: SAMPLES // 2], LABELS[: SAMPLES // 2]
    options = {"epochs": epochs, "batch_size": batch_size, "verbose": 0}
    history = model.fit(x, LABELS, validation_data=half, **options).history
    found = [*model.get_weights(), *map(np.asarray, history.values())]
    return [*found, model.predict(x, batch_size, verbose=0)], model


@pytest.mark.parametrize("make", MODELS)
def test_trainings_end_where_eager_ones_do(make):
    compiled, model = trained(make)
    eager, _ = trained(make, eagerly=True)
    for a, b in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-4 * np.abs(b).max(initial=1))
    for name in ("train_step", "test_step", "predict_step"):
        assert left_to_numpy(step_of(model, name)) == []


@pytest.mark.parametrize("floats", ["float32", "float64"])
@pytest.mark.parametrize("make", MODELS)
def test_the_same_bits_on_any_number_of_threads(make, floats):
    config.set_floatx(floats)
    found = []
    for count in (1, 1, 2, 3):
        config.set_num_threads(count)
        arrays, model = trained(make, batch_size=64, epochs=1)
        found.append([array.tobytes() for array in arrays])
    assert {weight.dtype.name for weight in model.weights if weight.dtype.is_floating} == {floats}
    assert found[0] == found[1] == found[2] == found[3]


def own_loop(eagerly):
    """Return losses, a metric and weights after a loop of one's own; and its step."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential(perceptron()[0])
    loss_of = keras.losses.SparseCategoricalCrossentropy()
    optimizer, mean = optimizers.Adam(1e-3), keras.metrics.Mean()

    @keras.function
    def step(x, y):
        with GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        mean.update_state(loss)
        return loss

    x, seen = samples((100,), "float32"), []
    for start in range(0, SAMPLES, 24):
        batch = x[start : start + 24], LABELS[start : start + 24]
        seen.append((step.python_function if eagerly else step)(*batch))
    return [*seen, mean.result(), *model.get_weights()], step


def test_own_loops_end_where_eager_ones_do():
    compiled, step = own_loop(False)
    for a, b in zip(compiled, own_loop(True)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert left_to_numpy(step) == []


# ---- errors --------------------------------------------------------------------------------------


def classifier(eagerly=False):
    keras.utils.set_random_seed(5)
    model = keras.Sequential(perceptron()[0])
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=eagerly
    )
    return model


def state_of(model):
    return [v.numpy().copy() for v in (*model.variables, *model.optimizer.variables)]


@pytest.mark.parametrize("labels", [[0, 1, 5, 2], [0, -1, 3, 2], [0.0, 7.0, 1.0, 2.0]])
def test_wrong_labels_raise_as_eagerly_and_change_nothing(labels):
    x, said = samples((100,), "float32")[:4], []
    for eagerly in (False, True):
        model = classifier(eagerly)
        model.fit(x, LABELS[:4], verbose=0)
        before = state_of(model)
        with pytest.raises((ValueError, IndexError)) as error:
            model.train_on_batch(x, np.array(labels))
        said.append(str(error.value))
        for a, b in zip(state_of(model), before, strict=True):
            np.testing.assert_array_equal(a, b)
        assert np.isfinite(model.fit(x, LABELS[:4], verbose=0).history["loss"]).all()
    assert said[0].split("\n")[0] == said[1].split("\n")[0]
    with pytest.raises(ValueError, match="sparse_categorical_crossentropy: expected"):
        classifier().fit(x, np.array(labels), verbose=0)


def test_labels_of_any_dtype():
    x, found = samples((100,), "float32")[:8], []
    for dtype in ("int64", "int32", "uint8", "float32"):
        model = classifier()
        found.append(model.train_on_batch(x, LABELS[:8].astype(dtype)))
        assert left_to_numpy(step_of(model)) == []
    assert all(each == found[0] for each in found)


def test_nan_goes_through():
    x = samples((100,), "float32")[:8]
    x[3, 2] = np.nan
    for eagerly in (False, True):
        model = classifier(eagerly)
        assert np.isnan(model.evaluate(x, LABELS[:8], verbose=0)[0])
        outputs = model.predict(x, verbose=0)
        assert np.isnan(outputs).any(1).tolist() == [i == 3 for i in range(8)]
        model.train_on_batch(x, LABELS[:8])
        assert all(np.isnan(w).any() for w in model.get_weights())


# ---- many calls ----------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux about memory")
def test_20000_calls_leave_memory_as_it_was():
    weight, count = Variable(np.ones((40, 30), "float32")), Variable(0.0)

    @keras.function
    def step(x, scale):
        count.assign_add(1.0)
        with GradientTape() as tape:
            loss = ops.mean(ops.square(ops.matmul(x, weight)))
        weight.assign_sub(tape.gradient(loss, weight) * scale)
        return loss, x * 2

    arrays = [np.ones((n, 40), "float32") for n in (8, 5)]
    scale = ops.convert_to_tensor(np.float32(1e-4))

    def calls(number):
        for i in range(number):
            step(arrays[i % 7 == 0], scale)

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    calls(3000)
    gc.collect()
    objects = len(gc.get_objects())  # a list of them takes memory, so this comes first
    memory = resident()
    calls(20_000)
    gc.collect()
    assert resident() - memory < 1 << 20
    assert len(gc.get_objects()) - objects < 50
    assert float(count) == 23_000


# ---- without native code -------------------------------------------------------------------------

SCRIPT = """
import json, sys
import numpy as np
import minikeras as keras
from minikeras import ops
from tests.test_compiled_training import convolutional, trained

arrays, _ = trained(convolutional, epochs=1)
step = keras.function(lambda x: ops.sum(ops.tanh(x) * 2, 0))
arrays.append(step(np.arange(6.0).reshape(2, 3)))
kind = type(next(iter(step._cache.values())).execute).__name__
print(json.dumps([kind, [np.asarray(a).ravel().tolist() for a in arrays]]))
"""


def test_without_native_code_the_numbers_are_the_same():
    root, found = str(Path(__file__).parents[1]), {}
    for switch in ("0", "1"):
        env = os.environ | {"MINIKERAS_JIT": switch, "PYTHONPATH": root}
        command = [sys.executable, "-W", "error::UserWarning", "-c", SCRIPT]
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        kind, arrays = json.loads(done.stdout)
        found[kind] = arrays
    assert set(found) == {"Interpreter", "Native"}
    for a, b in zip(*found.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
