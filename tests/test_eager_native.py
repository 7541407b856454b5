"""What eager programs run natively by themselves: single ops, calls of layers, gradients."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest

import minikeras
from minikeras import Input, Model, Sequential, layers, ops, tf
from minikeras.compiler.eager import calls, single
from minikeras.compiler.native import llvm
from minikeras.compiler.tracing.function import run_functions_eagerly
from minikeras.core.context import record_source_lines, state
from minikeras.core.tensor import as_tensor
from minikeras.models.batches import ArrayBatches
from minikeras.ops.gathering import _take
from minikeras.ops.windows import sliding
from tests.rows import numbers

pytestmark = pytest.mark.skipif(not llvm.available(), reason="needs llvmlite")

CONV = sliding("conv", (14, 14), (3, 3), (1, 1), "same", (1, 1), 1)
POOL = sliding("pool", (14, 14), (2, 2), (2, 2), "valid")
X = numbers(24, 14, 14, 8, seed=1).astype("float32")
KERNEL = numbers(3, 3, 8, 16, seed=2).astype("float32")
GRADS = numbers(24, 14, 14, 16, seed=3).astype("float32")
SMALL = numbers(48, 7, 7, 8, seed=4).astype("float32")
WIDE = numbers(600, 512, seed=5).astype("float32")
BIG = numbers(48, 14, 14, 8, seed=6).astype("float32")
PLACES = np.random.default_rng(0).integers(0, 4, SMALL.shape).astype("uint8")
SEED = np.array([1, 2], np.uint32)
CASES = {
    "conv": ([X, KERNEL], {"window": CONV}),
    "conv_input_gradient": ([GRADS, KERNEL], {"window": CONV}),
    "conv_kernel_gradient": ([X, GRADS], {"window": CONV}),
    "max_pool": ([X], {"window": POOL}),
    "first_maximum": ([X, X[:, 1::2, ::2]], {"window": POOL}),
    "put_position": ([SMALL, PLACES], {"window": POOL}),
    "take_position": ([BIG, PLACES], {"window": POOL}),
    "average_pool": ([X], {"window": POOL}),
    "average_pool_gradient": ([SMALL], {"window": POOL}),
    "dropout": ([WIDE, SEED], {"rate": 0.5, "noise_shape": None}),
    "softmax": ([WIDE], {"axis": (1,)}),
    "log_softmax": ([WIDE], {"axis": (1,)}),
    "where": ([WIDE > 0, WIDE, WIDE * 2], {}),
    "cast": ([WIDE], {"dtype": np.dtype("int32")}),
    "sum_to": ([WIDE], {"shape": (512,)}),
    "sum": ([WIDE], {"axis": (0,), "keepdims": False}),
}
UNARY = {"relu", "sigmoid", "tanh", "exp"}
BINARY = {"add", "subtract", "multiply", "divide", "greater", "maximum"}
CASES |= {name: ([WIDE], {}) for name in UNARY}
CASES |= {name: ([WIDE, WIDE[::-1].copy()], {}) for name in BINARY}
HOOKED = {op.name: op for op in (*single._MANY, *single._ONE)}


@pytest.fixture(autouse=True)
def _afresh():
    single._kinds.clear()
    yield
    single._kinds.clear()


def _native(op):
    return [
        found for key, found in single._kinds.items() if key[0] is op and type(found) is not int
    ]


def test_every_hooked_op_is_tested():
    assert set(HOOKED) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_op_gives_natively_what_numpy_gives(name):
    op, (arrays, params) = HOOKED[name], CASES[name]
    assert arrays[0].nbytes >= op.native_from
    want = state.quietly(op.forward, *arrays, **params)
    tensors = list(map(as_tensor, arrays))
    results = [op(*tensors, **params).array for _ in range(5)]
    assert _native(op) not in ([], [None])
    for found in results:
        assert found.dtype == want.dtype
        np.testing.assert_allclose(found, want, rtol=2e-5, atol=1e-6 * abs(want).max())
    for found, other in (results[-2:], results[-2:][::-1]):
        assert found.base is None
        assert found.flags.c_contiguous
        assert not any(np.shares_memory(found, array) for array in (*arrays, other))


@pytest.mark.parametrize("name", ["conv", "add", "max_pool"])
def test_arrays_that_are_not_contiguous(name):
    op, (arrays, params) = HOOKED[name], CASES[name]
    turned = [as_tensor(a) for a in arrays]
    for tensor in turned:
        tensor.array = np.asfortranarray(tensor.array)
    want = op.forward(*arrays, **params)
    for _ in range(5):
        np.testing.assert_allclose(op(*turned, **params), want, rtol=2e-5, atol=2e-5)


def test_small_and_empty_arrays_stay_with_numpy():
    conv = HOOKED["conv"]
    for count in (0, 1):
        for _ in range(5):
            conv(X[:count], KERNEL, window=CONV)
    assert not single._kinds


def test_errors_are_numpys_in_our_words():
    for _ in range(5):
        with pytest.raises(ValueError, match="conv: expected a kernel of shape"):
            HOOKED["conv"](X, KERNEL[:, :2], window=CONV)


def test_the_kinds_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(single, "_MOST_KINDS", 4)
    add = HOOKED["add"]
    for more in range(9):
        x = as_tensor(np.ones((1 << 18) + more, "float32"))
        for _ in range(3):
            add(x, x)
    assert len(single._kinds) == 4
    assert np.array(add(x, x))[0] == 2


def test_gradients_through_native_ops_to_second_order():
    def derivatives():
        x, kernel = as_tensor(X), as_tensor(KERNEL)
        with tf.GradientTape() as outer:
            outer.watch([x, kernel])
            with tf.GradientTape() as inner:
                inner.watch([x, kernel])
                y = ops.max_pool(ops.conv(x, kernel, padding="same") ** 2, 2)
                loss = ops.sum(y * y)
            first = inner.gradient(loss, [x, kernel])
            total = ops.sum(first[0]) + ops.sum(first[1] ** 2)
        return [*map(np.array, first), *map(np.array, outer.gradient(total, [x, kernel]))]

    want = derivatives()
    for _ in range(4):
        for a, b in zip(derivatives(), want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * abs(b).max())


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_shuffled_batches_are_the_rows_that_numpy_takes(dtype):
    array = (numbers(700, 30, 40, seed=8) * 100).astype(dtype)
    for source in (array, np.asfortranarray(array), array[::2], array[:, ::-1]):
        batches = ArrayBatches(source, np.arange(len(source)), batch_size=100, shuffle=True)
        for _ in range(2):
            for x, y, _weight in batches:
                np.testing.assert_array_equal(x.array, source[y.array])
    assert _native(_take) not in ([], [None])


# ---- calls of layers -----------------------------------------------------------------------------


def _model(*more, name=None):
    return Sequential(
        [
            Input((10, 10, 2)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.3, seed=1),
            layers.Flatten(),
            *more,
            layers.Dense(3, activation="softmax"),
        ],
        name=name,
    )


IMAGES = as_tensor(numbers(6, 10, 10, 2, seed=7).astype("float32"))


def _found(layer):
    often = layer.__dict__.get("_often")
    found = often._calls._found if often is not None and often._calls is not None else {}
    return [call for call in found.values() if call is not None]


def _written(function):
    run_functions_eagerly(True)
    try:
        return function()
    finally:
        run_functions_eagerly(False)


def test_the_third_call_is_compiled_and_computes_the_same():
    model = _model()
    results = [model(IMAGES).numpy() for _ in range(2)]
    assert not _found(model)
    results += [model(IMAGES).numpy() for _ in range(3)]
    assert len(_found(model)) == 1
    for result in results:
        np.testing.assert_allclose(result, results[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("training", [None, False, True])
def test_gradients_are_those_of_the_code_as_written(training):
    def run():
        minikeras.utils.set_random_seed(3)
        model, results = _model(), []
        for _ in range(5):
            with tf.GradientTape() as outer:
                with tf.GradientTape() as tape:
                    loss = ops.sum(model(IMAGES, training=training) ** 2)
                first = tape.gradient(loss, model.trainable_weights)
                total = sum(ops.sum(g * g) for g in first)
            second = outer.gradient(total, model.trainable_weights)
            state = [v.numpy() for v in model.variables]
            results.append([loss.numpy(), *map(np.array, first), *map(np.array, second), *state])
        return results, model

    (found, model), (want, _) = run(), _written(run)
    assert _found(model)
    for step, wanted in zip(found, want, strict=True):
        for a, b in zip(step, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * max(1, abs(b).max()))


def _two_heads():
    x = Input((12,))
    z = layers.Dense(4)(x)
    return Model(x, {"p": layers.Softmax()(z), "q": [ops.sigmoid(z), z]})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sequential([Input((12,)), layers.Dense(8, "relu"), layers.Dense(4, "softmax")]),
        lambda: layers.Dense(4, "sigmoid"),
        layers.Softmax,
        _two_heads,
    ],
)
def test_probabilities_know_their_logits_after_every_call(make):
    layer, x = make(), as_tensor(1000 * numbers(800, 12, seed=3).astype("float32"))
    found = []
    for _ in range(4):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            y = y["p"] if isinstance(y, dict) else y
            loss = ops.categorical_crossentropy(np.eye(y.shape[-1])[np.arange(800) % 4], y)
        other = layer(x)
        other = other["p"] if isinstance(other, dict) else other
        found.append([y.logits, other.logits, loss, tape.gradient(loss, x)])
    assert layer._often._calls._found
    assert float(ops.max(found[0][2])) > 100
    with np.errstate(under="ignore"):
        for first, last in zip(found[0], found[-1], strict=True):
            np.testing.assert_allclose(first, last, rtol=1e-4, atol=1e-3)


def test_only_gradients_that_are_wanted_are_computed():
    model = _model()
    model.layers[0].trainable = False
    for _ in range(4):
        with tf.GradientTape() as tape:
            loss = ops.sum(model(IMAGES) ** 2)
        grads = tape.gradient(loss, model.weights)
    (call,) = _found(model)
    ((live, _),) = call._halves.items()
    names = [call._graph.variables[i - 1].path for i in live]
    assert not any("conv2d" in name for name in names)
    assert [g is not None for g in grads] == [v.trainable for v in model.weights]


def test_gradients_of_inputs_forwards_and_persistent_tapes():
    def run():
        model = _model(name="same")
        model.set_weights([numbers(*v.shape, seed=i) for i, v in enumerate(model.weights)])
        results = []
        for _ in range(4):
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(IMAGES)
                columns = ops.unstack(model(IMAGES), axis=1)
            rows = [tape.gradient(column, IMAGES).numpy() for column in columns]
            with tf.autodiff.ForwardAccumulator(IMAGES, IMAGES) as forwards:
                y = model(IMAGES)
            results.append([*rows, forwards.jvp(y).numpy()])
        return results

    for step, want in zip(run(), _written(run), strict=True):
        for a, b in zip(step, want, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_values_that_are_assigned_count_in_the_next_call():
    model = _model()
    for _ in range(4):
        model(IMAGES)
    model.set_weights([np.zeros(v.shape) for v in model.weights])
    np.testing.assert_allclose(model(IMAGES), np.full((6, 3), 1 / 3), rtol=1e-6)


def test_attributes_that_are_assigned_count_in_the_next_call():
    model = _model()
    first = [model(IMAGES).numpy() for _ in range(4)][-1]
    model.layers[-1].activation = minikeras.activations.linear
    assert abs(model(IMAGES).numpy() - first).max() > 1e-3
    logits = [model(IMAGES).numpy() for _ in range(4)]
    np.testing.assert_allclose(ops.softmax(logits[-1]), first, rtol=1e-4)
    model.pop()
    assert model(IMAGES).shape == (6, 64)


def test_a_frozen_batch_normalization_stops_at_once():
    model = _model()
    for _ in range(4):
        model(IMAGES, training=True)
    before = model.layers[1].moving_mean.numpy()
    model.layers[1].trainable = False
    model(IMAGES, training=True)
    np.testing.assert_array_equal(model.layers[1].moving_mean, before)


def test_dropout_draws_anew_in_every_compiled_call():
    layer, x = layers.Dropout(0.5, seed=1), as_tensor(np.ones((100, 200), "float32"))
    drawn = {layer(x, training=True).numpy().tobytes() for _ in range(6)}
    assert len(drawn) == 6
    assert _found(layer)


class Noisy(layers.Layer):
    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs * 1.0


def test_code_of_the_user_runs_in_every_call():
    noisy, seen = Noisy(), []
    model = _model(noisy, layers.Lambda(lambda x: seen.append(0) or x))
    built, drawn = noisy.calls, len(seen)
    for _ in range(6):
        model(IMAGES)
    assert (noisy.calls - built, len(seen) - drawn) == (6, 6)
    dense = layers.Dense(64, activation=lambda x: seen.append(0) or x)
    x = as_tensor(np.ones((200, 64), "float32"))
    dense(x)
    del seen[:]
    for _ in range(5):
        dense(x)
    assert len(seen) == 5


def test_layers_of_a_users_model_are_compiled_one_by_one():
    class Mine(Model):
        def __init__(self):
            super().__init__()
            self.conv, self.flat = layers.Conv2D(8, 3, activation="relu"), layers.Flatten()

        def call(self, inputs):
            return self.flat(self.conv(inputs))

    model, x = Mine(), as_tensor(numbers(16, 20, 20, 2).astype("float32"))
    results = [model(x).numpy() for _ in range(5)]
    assert not _found(model)
    assert _found(model.conv)
    np.testing.assert_allclose(results[0], results[-1], rtol=1e-5, atol=1e-6)


def test_penalties_keep_a_call_as_it_is_written():
    model = _model(layers.Dense(5, activity_regularizer="l2"))
    for _ in range(5):
        model(IMAGES)
        assert len(model.losses) == 1
    assert not _found(model)


def test_errors_are_those_of_the_code_as_written():
    model = Sequential([Input((3,), dtype="int32"), layers.Embedding(4, 2), layers.Flatten()])
    good, bad = as_tensor(np.ones((2, 3), "int32")), as_tensor(np.full((2, 3), 9, "int32"))
    for _ in range(5):
        model(good)
    with pytest.raises((ValueError, IndexError)) as before:
        _written(lambda: model(bad))
    with pytest.raises(type(before.value)) as after:
        model(bad)
    assert str(after.value) == str(before.value)
    with pytest.raises(ValueError, match="expected"):
        _model()(as_tensor(np.ones((2, 9, 9, 2), "float32")))


def test_what_a_signal_handler_raises_is_not_taken_for_the_codes_own_error(monkeypatch):
    model = _model()
    for _ in range(4):
        model(IMAGES, training=True)
    (call,) = _found(model)
    before, run = [v.numpy() for v in model.variables], call.run

    def interrupted(arrays, foreign):
        run(arrays, foreign)
        raise TimeoutError("too slow")

    monkeypatch.setattr(call, "run", interrupted)
    with pytest.raises(TimeoutError, match="too slow"):
        model(IMAGES, training=True)
    monkeypatch.undo()
    once = [v.numpy() for v in model.variables]
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    model(IMAGES, training=True)
    for a, b in zip(once, model.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_hooks_that_look_at_every_op_get_every_op():
    model = _model()
    record_source_lines(True)
    try:
        for _ in range(5):
            model(IMAGES)
    finally:
        record_source_lines(False)
    assert not _found(model)


def test_copies_of_a_layer_compute_with_their_own_weights():
    model = _model()
    for _ in range(4):
        model(IMAGES)
    for other in (copy.deepcopy(model.layers[-1]), pickle.loads(pickle.dumps(model.layers[-1]))):
        assert "_often" not in other.__dict__
    assert "_often" not in copy.copy(model).__dict__


def test_a_model_that_was_compiled_goes_with_its_last_reference():
    model = _model()
    for _ in range(4):
        model(IMAGES)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_kinds_of_calls_that_are_compiled_are_bounded(monkeypatch):
    monkeypatch.setattr(calls, "_MOST_KINDS", 2)
    model = _model()
    for count in range(1, 5):
        for _ in range(4):
            assert model(IMAGES[:count]).shape == (count, 3)
    assert len(_found(model)) == 2


def test_without_native_code_everything_runs_as_it_is_written():
    code = (
        "import numpy as np, sys\n"
        "from minikeras import layers, ops, optimizers, Variable\n"
        "from minikeras.compiler.eager import single\n"
        "layer, x = layers.Dense(64), ops.convert_to_tensor(np.ones((500, 512), 'float32'))\n"
        "for _ in range(5): layer(x); ops.add(x, x)\n"
        "v, o = Variable(np.zeros(3)), optimizers.SGD(1.0)\n"
        "for _ in range(5): o.apply([np.ones(3)], [v])\n"
        "assert v.numpy().tolist() == [-5, -5, -5]\n"
        "assert not [f for f in single._kinds.values() if f is not None and type(f) is not int]\n"
        "assert 'llvmlite' not in sys.modules\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"MINIKERAS_JIT": "0"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
