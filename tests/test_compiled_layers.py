"""Every layer, loss, metric and optimizer: compiled steps compute what eager ones do."""

import numpy as np
import pytest

import minikeras as keras
from minikeras import layers, losses, metrics, optimizers
from minikeras.compiler.native import llvm
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import IndexedSlices
from minikeras.core.variable import Variable
from minikeras.optimizers import schedules
from tests import layers_table, losses_table, optimizers_table, test_metrics
from tests.compiled import left_to_numpy, step_of
from tests.rows import numbers

pytestmark = pytest.mark.skipif(not llvm.available(), reason="native code needs llvmlite")


def near(compiled, eager, tolerance=1e-4):
    """Assert equal numbers, up to `tolerance` of the largest one."""
    assert len(compiled) == len(eager)
    for a, b in zip(compiled, eager):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        room = tolerance * np.abs(b[np.isfinite(b)]).max(initial=1e-3) if b.dtype.kind == "f" else 0
        np.testing.assert_allclose(a, b, rtol=0, atol=room)


def narrow(array):
    return array.astype("float32") if array.dtype.kind == "f" else array


# What NumPy does, for now: the normal distribution's quantiles, and sorting.
IN_NUMPY = {"random_normal", "top_k"}


# ---- layers --------------------------------------------------------------------------------------


class Scale(layers.Layer):
    """Let gradients flow to the input of the next layer."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[1:], initializer="ones", name="scale")

    def call(self, inputs):
        return inputs * self.scale


def layer_steps(row, eagerly):
    """Return losses and weights of three train steps, of two sizes; and the model."""
    keras.utils.set_random_seed(3)
    arrays = [narrow(x) for x in row.arrays]
    inputs = [keras.Input(x.shape[1:], dtype=x.dtype.name) for x in arrays]
    scaled = [Scale()(x) if x.dtype.is_floating else x for x in inputs]
    outputs = row.make()(scaled if isinstance(row.inputs, list) else scaled[0])
    model = keras.Model(inputs, outputs)
    model.compile(optimizers.SGD(0.05), "mse", run_eagerly=eagerly)
    rng = np.random.default_rng(1)
    model.set_weights([
        np.abs(rng.normal(size=v.shape)) + 0.5 if v.dtype.is_floating else v.numpy()
        for v in model.weights
    ])  # fmt: skip
    found = []
    for size in (len(arrays[0]), 1, len(arrays[0])):
        batch = [x[:size] for x in arrays]
        target = rng.normal(size=(size, *outputs.shape[1:])).astype("float32")
        found += [model.train_on_batch(batch, target), *model.predict_on_batch(batch)]
    return [*found, *model.get_weights()], model


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.parametrize("row", [pytest.param(row, id=row.id) for row in layers_table.ROWS])
def test_layers_train_and_predict(row):
    compiled, model = layer_steps(row, False)
    eager, _ = layer_steps(row, True)
    near(compiled, eager, 1e-5)
    assert {*left_to_numpy(step_of(model))} <= IN_NUMPY
    assert left_to_numpy(step_of(model, "predict_step")) == []


# ---- losses and metrics --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=f"{i}-{r.function}") for i, r in enumerate(losses_table.ROWS)]
)
def test_losses_and_their_gradients(row):
    loss = getattr(losses, row.name)(**row.options)

    @keras.function
    def both(y_true, y_pred, weight):
        with GradientTape() as tape:
            tape.watch(y_pred)
            values = [loss(y_true, y_pred), loss(y_true, y_pred, sample_weight=weight)]
        return [*values, tape.gradient(values, y_pred)]

    for size in (4, 3):
        arrays = [narrow(x[:size]) for x in row.inputs]
        shape = getattr(losses, row.function)(*arrays, **row.options).shape
        weight = np.linspace(0.5, 2, int(np.prod(shape)), dtype="float32").reshape(shape)
        given = [keras.ops.convert_to_tensor(x) for x in (*arrays, weight)]
        near(both(*given), both.python_function(*given), 1e-5)
    assert left_to_numpy(both) == []


@pytest.mark.parametrize(("name", "options", "data", "oracle"), test_metrics.NAMED)
def test_metrics_over_batches(name, options, data, oracle):
    found = []
    for eagerly in (False, True):
        metric = getattr(metrics, name)(**options)
        update, result = keras.function(metric.update_state), keras.function(metric.result)
        if eagerly:
            update, result = update.python_function, result.python_function
        else:
            parts = update, result
        results = []
        for _ in range(2):
            for batch in test_metrics._batches([*data, test_metrics.WEIGHTS]):
                update(*map(narrow, batch))
                results.append(result())
            metric.reset_state()
        found.append(results)
    near(*found, 2e-6)
    assert {name for part in parts for name in left_to_numpy(part)} <= IN_NUMPY


# ---- optimizers ----------------------------------------------------------------------------------

START = [numbers(40, 30, seed=1), numbers(30, seed=2), np.array(0.7), numbers(2, 3, 4, seed=3)]
OPTIONS = [
    {},
    {"weight_decay": 0.05},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.6},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    {"loss_scale_factor": 8.0},
    {"gradient_accumulation_steps": 2, "use_ema": True, "clipnorm": 0.4, "weight_decay": 0.1},
]
SCHEDULES = [
    schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True),
    schedules.CosineDecay(0.1, 3, warmup_steps=1, warmup_target=0.2),
    schedules.CosineDecayRestarts(0.1, 2),
    schedules.PiecewiseConstantDecay([1, 2], [0.1, 0.05, 0.01]),
    schedules.PolynomialDecay(0.1, 3, cycle=True),
    schedules.InverseTimeDecay(0.1, 1, 0.5),
]
OPTIMIZERS = [
    (row, options) for row in optimizers_table.ROWS for options in (OPTIONS[0], OPTIONS[-1])
]
OPTIMIZERS += [(row, options) for row in optimizers_table.ROWS[6:7] for options in OPTIONS[1:-1]]
OPTIMIZERS += [(optimizers_table.ROWS[1], {"learning_rate": each}) for each in SCHEDULES]


def updates(row, options, dtype, eagerly):
    """Return parameters and state after four steps of an optimizer, and the function."""
    names = ("kernel", "bias", "scale", "filters")
    variables = [Variable(x.astype(dtype), name=name) for x, name in zip(START, names)]
    optimizer = getattr(optimizers, row.name)(**{"learning_rate": row.rate} | row.options | options)

    @keras.function
    def step(*grads):
        optimizer.apply_gradients(zip(grads, variables))

    for number in range(4):
        random = np.random.default_rng(number)
        grads = [(random.normal(size=x.shape) * (1 + number)).astype(dtype) for x in START]
        (step.python_function if eagerly else step)(*grads)
    return [*variables, *optimizer.variables], step


@pytest.mark.parametrize(
    ("row", "options"),
    [pytest.param(*each, id=f"{i}-{each[0].name}") for i, each in enumerate(OPTIMIZERS)],
)
def test_optimizers(row, options):
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-12)):
        compiled, step = updates(row, options, dtype, False)
        eager, _ = updates(row, options, dtype, True)
        near(compiled, eager, tolerance)
        assert left_to_numpy(step) == []


def rows_updated(name, eagerly):
    """Return a table and an optimizer's state after steps that used some rows; and the function."""
    table, optimizer = Variable(numbers(9, 4).astype("float32")), getattr(optimizers, name)(0.1)

    @keras.function
    def step(ids):
        with GradientTape() as tape:
            loss = keras.ops.sum(keras.ops.take(table, ids, axis=0) ** 2)
        grad = tape.gradient(loss, table)
        assert isinstance(grad, IndexedSlices)
        optimizer.apply_gradients([(grad, table)])
        return loss

    for ids in ([1, 4, 1], [0, 8, 8]):
        (step.python_function if eagerly else step)(np.array(ids))
    return [table, *optimizer.variables], step


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adagrad", "Ftrl", "Adafactor"])
def test_optimizers_take_the_rows_of_a_table_that_were_used(name):
    compiled, step = rows_updated(name, False)
    near(compiled, rows_updated(name, True)[0], 1e-5)
    assert left_to_numpy(step) == []
