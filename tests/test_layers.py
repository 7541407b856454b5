"""Every layer: outputs, weights, config, shapes, gradients, training; then errors."""

import json

import numpy as np
import pytest

from minikeras import function, layers, models, random, registry, tree
from minikeras.core.check import check_gradients
from minikeras.core.context import VariableScope
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import as_tensor
from minikeras.errors import ConfigError
from tests.layers_table import BLOCK, IMAGE, PAIR, ROWS, STEPS

NAMED = [pytest.param(row, id=row.id) for row in ROWS]


def shapes_of(row):
    found = [x.shape for x in row.arrays]
    return found if isinstance(row.inputs, list) else found[0]


def packed(row, tensors):
    return list(tensors) if isinstance(row.inputs, list) else tensors[0]


def values_for(layer, seed=0):
    """Draw weights; scales and variances are positive, counts 0."""
    rng = np.random.default_rng(seed)
    values = []
    for variable in layer.weights:
        drawn = rng.normal(size=tuple(variable.shape))
        if variable.name in ("gamma", "scale", "variance", "moving_variance"):
            drawn = np.abs(drawn) + 0.5
        values.append(drawn if variable.dtype.is_floating else np.zeros(drawn.shape, "int32"))
    return values


def built(row, dtype="float64"):
    layer = row.make(dtype=dtype)
    layer.build(shapes_of(row))
    layer.set_weights(values_for(layer))
    return layer


def expected_of(row, layer):
    return row.oracle(row.inputs, {v.name: v.numpy() for v in layer.weights})


# ---- every layer ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 2e-5)])
@pytest.mark.parametrize("row", NAMED)
def test_outputs_equal_numpy(row, dtype, tolerance):
    layer = built(row, dtype)
    expected = expected_of(row, layer)
    got = layer(row.inputs, training=row.training)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("row", NAMED)
def test_weights(row):
    layer = built(row)
    assert {v.name: tuple(v.shape) for v in layer.weights} == row.weights
    assert [v.name for v in layer.weights] == list(row.weights)
    assert [v.path for v in layer.weights] == [f"{layer.name}/{name}" for name in row.weights]
    assert [v.name for v in layer.non_trainable_weights] == list(row.frozen)
    assert layer.count_params() == sum(int(np.prod(shape)) for shape in row.weights.values())


@pytest.mark.parametrize("row", NAMED)
def test_config_and_weights_make_the_same_layer_again(row):
    layer = built(row)
    stored = json.loads(json.dumps(layers.serialize(layer)))
    assert stored["module"] == "keras.layers"
    again = layers.deserialize(stored)
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    again.build(shapes_of(row))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(row.inputs), again(row.inputs))


@pytest.mark.parametrize("row", NAMED)
def test_inferred_shape_and_dtype_are_the_actual_ones(row):
    layer = row.make(dtype="float64")
    symbols = [layers.Input(x.shape[1:], dtype=x.dtype) for x in row.arrays]
    inferred = layer(packed(row, symbols), training=row.training)
    actual = layer(row.inputs, training=row.training)
    assert tuple(inferred.shape) == (None, *actual.shape[1:])
    assert inferred.dtype == actual.dtype
    open_shapes = [(None, *x.shape[1:]) for x in row.arrays]
    assert layer.compute_output_shape(packed(row, open_shapes)) == tuple(inferred.shape)
    assert layer.compute_output_shape(shapes_of(row)) == tuple(actual.shape)


@pytest.mark.parametrize("row", NAMED)
def test_empty_batch(row):
    layer = built(row)
    full = layer(row.inputs)
    empty = layer(packed(row, [x[:0] for x in row.arrays]))
    assert tuple(empty.shape) == (0, *full.shape[1:])


@pytest.mark.parametrize("row", [row for row in NAMED if row.values[0].order])
def test_gradients(row):
    layer = built(row)
    floats = [x for x in row.arrays if x.dtype.kind == "f"]
    trained = [v for v in layer.weights if v.trainable]

    def function(*tensors):
        inputs = list(tensors[: len(floats)]) or [as_tensor(x) for x in row.arrays]
        replaced = list(zip(trained, tensors[len(floats) :], strict=True))
        with VariableScope(replaced):
            return layer(packed(row, inputs), training=row.training)

    check_gradients(function, [*floats, *(v.numpy() for v in trained)], order=row.order)


@pytest.mark.parametrize("row", [row for row in NAMED if row.values[0].weights])
def test_a_training_step_lowers_the_loss(row):
    layer = built(row, "float32")
    target = np.random.default_rng(1).normal(size=layer(row.inputs).shape).astype("float32")

    def loss():
        difference = layer(row.inputs, training=row.training) - target
        return difference * difference

    with GradientTape() as tape:
        before = loss()
    trained = layer.trainable_variables
    if not trained:
        assert row.frozen == tuple(row.weights)
        return
    for variable, grad in zip(trained, tape.gradient(before, trained), strict=True):
        assert np.any(np.asarray(grad) != 0)
        variable.assign_sub(1e-4 * np.asarray(grad))
    assert loss().numpy().sum() < before.numpy().sum()


def test_every_layer_has_a_row():
    covered = {type(row.make()) for row in ROWS}
    here = {
        c for c in registry.known("layer").values() if c.__module__.startswith("minikeras.layers")
    }
    assert sorted(c.__name__ for c in here - covered) == ["InputLayer"]


@pytest.mark.parametrize("row", NAMED)
def test_unknown_arguments_are_refused(row):
    with pytest.raises((ValueError, TypeError), match="unheard_of"):
        row.make(unheard_of=1)


# ---- how Keras writes and reads configs ----------------------------------------------------------

KERAS_CONV2D = {
    "name": "conv2d",
    "trainable": True,
    "dtype": {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": "float32"},
        "registered_name": None,
    },
    "filters": 3,
    "kernel_size": [2, 2],
    "strides": [1, 1],
    "padding": "valid",
    "data_format": "channels_last",
    "dilation_rate": [1, 1],
    "groups": 1,
    "activation": "relu",
    "use_bias": True,
    "kernel_initializer": {
        "module": "keras.initializers",
        "class_name": "GlorotUniform",
        "config": {"seed": None, "input_axes": None, "output_axes": None},
        "registered_name": None,
    },
    "bias_initializer": {
        "module": "keras.initializers",
        "class_name": "Zeros",
        "config": {},
        "registered_name": None,
    },
    "kernel_regularizer": {
        "module": "keras.regularizers",
        "class_name": "L2",
        "config": {"l2": 0.5},
        "registered_name": None,
    },
    "bias_regularizer": None,
    "activity_regularizer": None,
    "kernel_constraint": None,
    "bias_constraint": None,
}


def test_config_is_what_keras_writes():
    layer = layers.Conv2D(3, 2, activation="relu", kernel_regularizer=_l2(0.5), name="conv2d")
    config = json.loads(json.dumps(layer.get_config()))
    expected = {key: value for key, value in KERAS_CONV2D.items() if key != "activity_regularizer"}
    assert config == expected


def _l2(factor):
    return registry.find("regularizer", "L2")(factor)


def test_config_of_keras_is_read():
    layer = layers.Conv2D.from_config(KERAS_CONV2D)
    assert layer.kernel_size == (2, 2)
    assert layer.kernel_regularizer.get_config() == {"l2": 0.5}


@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (layers.Dense, {"units": 2, "quantization_config": None}),
        (layers.BatchNormalization, {"renorm": False, "synchronized": False}),
        (layers.LayerNormalization, {"axis": [-1], "rms_scaling": False}),
    ],
)
def test_what_is_off_in_keras_config_is_passed_over(cls, config):
    assert cls.from_config(config)(np.ones((2, 3))).shape[0] == 2


def test_what_is_on_but_not_here_is_refused():
    with pytest.raises(ValueError, match="renorm"):
        layers.BatchNormalization.from_config({"renorm": True})


def test_layer_and_initializer_of_one_name_are_told_apart():
    stored = layers.serialize(layers.Identity())
    assert isinstance(layers.deserialize(stored), layers.Identity)
    dense = layers.Dense(2, kernel_initializer=registry.find("initializer", "Identity")())
    again = layers.deserialize(layers.serialize(dense))
    np.testing.assert_array_equal(again.kernel_initializer((2, 2)), np.eye(2))


def test_aliases():
    assert layers.MaxPool2D is layers.MaxPooling2D
    assert layers.AvgPool1D is layers.AveragePooling1D
    assert layers.GlobalAvgPool2D is layers.GlobalAveragePooling2D
    assert layers.Convolution2D is layers.Conv2D
    assert layers.serialize(layers.MaxPool2D())["class_name"] == "MaxPooling2D"
    stored = {"module": "keras.layers", "class_name": "MaxPool2D", "config": {}}
    assert isinstance(layers.deserialize(stored), layers.MaxPooling2D)


def test_get():
    layer = layers.ReLU()
    assert layers.get(layer) is layer
    assert isinstance(layers.get("flatten"), layers.Flatten)
    assert isinstance(layers.get(layers.serialize(layer)), layers.ReLU)


# ---- single layers -------------------------------------------------------------------------------


def test_batch_normalization_follows_the_batch():
    layer = layers.BatchNormalization(momentum=0.9, dtype="float64")
    x = np.random.default_rng(0).normal(3.0, 2.0, (50, 4))
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean(0))
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * x.var(0))
    before = layer.get_weights()
    layer(x)
    layer(layers.Input((4,)), training=True)
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_frozen_batch_normalization_is_in_inference_mode():
    layer = layers.BatchNormalization()
    x = np.random.default_rng(0).normal(3.0, 2.0, (50, 4)).astype("float32")
    layer.build(x.shape)
    layer.trainable = False
    before = layer.get_weights()
    np.testing.assert_array_equal(layer(x, training=True), layer(x))
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    layer.trainable = True
    assert len(layer.trainable_weights) == 2
    assert np.any(layer(x, training=True).numpy() != layer(x).numpy())


def test_batch_normalization_in_float16_does_not_overflow():
    x = np.full((8, 2), 300.0, "float16")
    y = layers.BatchNormalization(dtype="float16")(x, training=True)
    assert y.dtype == "float16"
    np.testing.assert_allclose(y, 0, atol=1e-2)


def test_dropout():
    layer = layers.Dropout(0.25, seed=1)
    x = np.ones((200, 50), "float32")
    assert layer(x) is not None
    np.testing.assert_array_equal(layer(x), x)
    y = layer(x, training=True).numpy()
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.75])
    assert abs((y == 0).mean() - 0.25) < 0.02
    assert np.any(layer(x, training=True).numpy() != y)
    np.testing.assert_array_equal(layers.Dropout(0.25, seed=1)(x, training=True), y)
    np.testing.assert_array_equal(layers.Dropout(1.0)(x, training=True), 0 * x)
    np.testing.assert_array_equal(layers.Dropout(0.0)(x, training=True), x)


def test_dropout_noise_shape():
    x = np.ones((6, 5, 8), "float32")
    rows_alike = layers.Dropout(0.5, noise_shape=(None, 1, 8))(x, training=True).numpy()
    assert np.all(rows_alike == rows_alike[:, :1])
    channels = layers.SpatialDropout1D(0.5, seed=1)(x, training=True).numpy()
    assert np.all(channels == channels[:, :1])
    assert 0 < (channels == 0).mean() < 1
    image = layers.SpatialDropout2D(0.5, seed=1, data_format="channels_first")(
        np.ones((3, 8, 4, 4), "float32"), training=True
    ).numpy()
    assert np.all(image == image[:, :, :1, :1])
    assert 0 < (image == 0).mean() < 1


def test_dropout_state_is_a_variable_but_no_weight():
    layer = layers.Dropout(0.5)
    assert layer.weights == []
    assert len(layer.variables) == 1
    assert layer.trainable_variables == []
    before = layer.variables[0].numpy()
    layer(layers.Input((3,)), training=True)
    np.testing.assert_array_equal(layer.variables[0], before)


@pytest.mark.parametrize("cls", [layers.GaussianNoise, layers.GaussianDropout])
def test_gaussian_noise(cls):
    layer = cls(0.2, seed=1)
    x = np.full((200, 100), 2.0, "float32")
    y = layer(x, training=True)
    assert y.dtype == "float32"
    deviation = 0.2 if cls is layers.GaussianNoise else 2 * (0.2 / 0.8) ** 0.5
    assert abs(y.numpy().mean() - 2) < 0.02
    assert abs(y.numpy().std() - deviation) < 0.02
    np.testing.assert_array_equal(cls(0.0)(x, training=True), x)


def test_set_random_seed_repeats_layers():
    found = []
    for _ in range(2):
        random.set_random_seed(3)
        layer = layers.Dense(4)
        layer.build((None, 3))
        dropped = layers.Dropout(0.5)(np.ones((4, 4)), training=True)
        found.append((layer.kernel.numpy(), dropped.numpy()))
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_normalization_adapts():
    x = np.random.default_rng(0).normal(3.0, 2.0, (60, 5, 4)).astype("float32")
    whole, batched = layers.Normalization(axis=(1, 2)), layers.Normalization(axis=(1, 2))
    assert whole.mean is None
    whole.adapt(x)
    batched.adapt((x[i : i + 25], None) for i in range(0, 60, 25))
    assert tuple(whole.mean.shape) == (1, 5, 4)
    np.testing.assert_allclose(whole.mean[0], x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(whole.variance[0], x.var(0), rtol=1e-5)
    np.testing.assert_allclose(batched.mean, whole.mean, rtol=1e-5)
    np.testing.assert_allclose(batched.variance, whole.variance, rtol=1e-5)
    y = whole(x)
    np.testing.assert_allclose(y.numpy().std(0), 1, rtol=1e-4)
    again = layers.Normalization.from_config(whole.get_config())
    again.build(x.shape)
    again.set_weights(whole.get_weights())
    np.testing.assert_array_equal(again(x), y)


def test_normalization_of_constants_and_integers():
    layer = layers.Normalization()
    layer.adapt(np.array([[1, 5], [3, 5]], "uint8"))
    y = layer(np.array([[3, 5]], "uint8"))
    assert y.dtype == "float32"
    np.testing.assert_allclose(y, [[1, 0]])


def test_rescaling_of_channels_first(restored_config):
    from minikeras import config

    config.set_image_data_format("channels_first")
    y = layers.Rescaling([1.0, 2.0])(np.ones((1, 2, 3, 3)))
    np.testing.assert_array_equal(y[0, :, 0, 0], [1, 2])


def test_embedding_weights_and_gradient():
    table = np.arange(6, dtype="float32").reshape(3, 2)
    layer = layers.Embedding(3, 2, weights=table)
    np.testing.assert_array_equal(layer(np.array([2, 0])), table[[2, 0]])
    np.testing.assert_array_equal(layer(np.array([2.0, 0.0])), table[[2, 0]])
    assert "weights" not in layer.get_config()
    with GradientTape() as tape:
        y = layer(np.array([2, 2]))
    np.testing.assert_array_equal(
        np.asarray(tape.gradient(y, layer.embeddings)), [[0, 0], [0, 0], [2, 2]]
    )
    assert layers.Embedding(3, 2)(np.zeros((2, 0), "int64")).shape == (2, 0, 2)


def test_embedding_of_bytes_and_of_negative_integers_in_a_graph():
    layer = layers.Embedding(256, 2)
    assert layer(layers.Input((4,), dtype="uint8")).shape == (None, 4, 2)
    ids = np.array([[0, 255]], "uint8")
    np.testing.assert_array_equal(function(layer)(ids), layer(ids))
    with pytest.raises(IndexError, match="got -257"):  # not one that is near the end of the table
        function(layer)(np.array([[-1]]))


def test_activity_regularization():
    layer = layers.ActivityRegularization(l1=0.1, l2=0.01)
    x = np.array([[1.0, -2.0]], "float32")
    layer(x)
    np.testing.assert_allclose([float(loss) for loss in layer.losses], [0.3 + 0.05], rtol=1e-6)
    layer(x)
    assert len(layer.losses) == 1
    assert "activity_regularizer" not in layer.get_config()


def test_activity_and_weight_regularizers_of_dense():
    layer = layers.Dense(
        2, kernel_initializer="ones", kernel_regularizer=_l2(0.5), activity_regularizer=_l2(0.1)
    )
    with GradientTape() as tape:
        layer(np.ones((1, 3), "float32"))
        losses = layer.losses
        total = sum(losses)
    assert [float(loss) for loss in losses] == pytest.approx([0.1 * 18, 0.5 * 6])
    assert np.asarray(tape.gradient(total, layer.kernel)) == pytest.approx(1 + 0.1 * 2 * 3)


def test_lambda():
    seen = []

    def function(x, training):
        seen.append(training)
        return x + 1

    layer = layers.Lambda(function)
    np.testing.assert_array_equal(layer(BLOCK, training=True), BLOCK.astype("float32") + 1)
    assert seen == [True]
    several = layers.Lambda(lambda xs: {"sum": xs[0] + xs[1], "first": xs[0]})
    found = several([layers.Input((3,)), layers.Input((3,))])
    assert {name: tuple(x.shape) for name, x in found.items()} == {
        "sum": (None, 3),
        "first": (None, 3),
    }


def test_a_lambda_is_never_made_from_code():
    stored = layers.serialize(layers.Lambda(lambda x: x))
    with pytest.raises(ConfigError, match=r"expected a built-in or registered .* got '<lambda>'"):
        layers.deserialize(stored)
    code = {"class_name": "__lambda__", "config": {"code": "aGVsbG8="}}
    with pytest.raises(ValueError, match=r"Lambda 'l': .* got the code of a Python lambda"):
        layers.Lambda.from_config({"name": "l", "function": code})
    known = layers.deserialize(
        layers.serialize(layers.Lambda(_doubled)), custom_objects={"_doubled": _doubled}
    )
    np.testing.assert_array_equal(known(np.ones(2)), [2, 2])


def _doubled(x):
    return 2 * x


def test_functional_forms():
    a, b = (x.astype("float32") for x in PAIR)
    np.testing.assert_array_equal(layers.add([a, b]), a + b)
    np.testing.assert_array_equal(layers.subtract([a, b]), a - b)
    np.testing.assert_array_equal(layers.multiply([a, b]), a * b)
    np.testing.assert_array_equal(layers.average([a, b]), (a + b) / 2)
    np.testing.assert_array_equal(layers.maximum([a, b]), np.maximum(a, b))
    np.testing.assert_array_equal(layers.minimum([a, b]), np.minimum(a, b))
    np.testing.assert_allclose(
        layers.concatenate([a, b], axis=0), np.concatenate([a, b]), rtol=1e-6
    )
    assert tuple(layers.dot([a, b], axes=2).shape) == (2, 3, 3)
    assert layers.add([layers.Input((3,)), layers.Input((3,))], name="sum").shape == (None, 3)


def test_identity_keeps_nests():
    found = layers.Identity()({"a": np.ones(2), "b": [np.zeros(3)]})
    assert tree.map_structure(lambda x: tuple(x.shape), found) == {"a": (2,), "b": [(3,)]}


def test_open_inner_axes():
    image = layers.Input((None, None, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(image)
    assert tuple(x.shape) == (None, None, None, 4)
    assert tuple(layers.MaxPooling2D()(x).shape) == (None, None, None, 4)
    assert tuple(layers.GlobalAveragePooling2D()(x).shape) == (None, 4)
    assert tuple(layers.Reshape((-1, 4))(x).shape) == (None, None, 4)
    assert tuple(layers.BatchNormalization()(x, training=True).shape) == (None, None, None, 4)
    assert tuple(layers.Embedding(5, 2)(layers.Input((None,), dtype="int32")).shape) == (
        None, None, 2,
    )  # fmt: skip
    steps = layers.Input((None, 3))
    both = layers.Concatenate(axis=1)([steps, layers.Input((4, 3))])
    assert tuple(both.shape) == (None, None, 3)
    fixed = layers.Input(batch_shape=(7, 3))
    assert tuple(layers.Dense(2)(fixed).shape) == (7, 2)


def test_input():
    x = layers.Input((28, 28), batch_size=4, dtype="uint8", name="images")
    assert (tuple(x.shape), x.dtype, x.name) == ((4, 28, 28), "uint8", "images")
    assert tuple(layers.Input(()).shape) == (None,)
    assert tuple(layers.Input(batch_shape=(None, None)).shape) == (None, None)
    layer = x.node.op
    assert isinstance(layer, layers.InputLayer)
    assert layer.get_config() == {
        "batch_shape": (4, 28, 28),
        "dtype": "uint8",
        "sparse": False,
        "ragged": False,
        "name": "images",
        "optional": False,
    }
    again = layers.InputLayer.from_config(layer.get_config())
    assert (again.batch_shape, again.dtype) == ((4, 28, 28), "uint8")
    with pytest.raises(ValueError, match="Input: expected either shape or batch_shape"):
        layers.Input()
    with pytest.raises(ValueError, match="Input: expected a shape of integers"):
        layers.Input((3, "a"))


# ---- errors --------------------------------------------------------------------------------------

MADE = {
    "filters": (lambda: layers.Conv2D(0, 3), "Conv2D: expected filters to be .* >= 1, got 0"),
    "filters text": (lambda: layers.Conv1D("8", 3), "Conv1D: expected filters .* got '8'"),
    "groups": (
        lambda: layers.Conv2D(3, 2, groups=2),
        "Conv2D: expected filters to be a multiple of groups, got filters=3 and groups=2",
    ),
    "kernel": (lambda: layers.Conv2D(3, (2, 2, 2)), "kernel_size to be an integer or 2 of them"),
    "kernel 0": (lambda: layers.Conv2D(3, (2, 0)), "expected kernel_size to be an integer >= 1"),
    "strides": (lambda: layers.MaxPooling2D(2, strides=0), "MaxPooling2D: expected strides"),
    "padding": (
        lambda: layers.Conv2D(3, 2, padding="causal"),
        r"Conv2D: expected padding to be one of \('valid', 'same'\), got 'causal'",
    ),
    "pool padding": (lambda: layers.MaxPooling2D(padding="full"), "expected padding to be one of"),
    "layout": (lambda: layers.Conv2D(3, 2, data_format="NHWC"), "data_format: expected one of"),
    "dilated strides": (
        lambda: layers.Conv2D(3, 2, strides=2, dilation_rate=2),
        "expected strides or dilation_rate to be 1",
    ),
    "output padding": (
        lambda: layers.Conv2DTranspose(3, 2, strides=2, output_padding=2),
        r"expected output_padding below strides=\(2, 2\)",
    ),
    "depth": (lambda: layers.DepthwiseConv2D(2, depth_multiplier=0), "expected depth_multiplier"),
    "units": (lambda: layers.Dense(0), "Dense: expected units to be an integer > 0, got 0"),
    "activation": (lambda: layers.Dense(1, "rleu"), "got 'rleu'. Did you mean 'relu'"),
    "rate": (lambda: layers.Dropout(1.5), "Dropout: expected rate to be a number from 0 to 1"),
    "noise": (lambda: layers.Dropout(0.5, noise_shape=(0, 1)), "expected noise_shape"),
    "gaussian": (lambda: layers.GaussianDropout(1), "expected rate to be below 1"),
    "stddev": (lambda: layers.GaussianNoise(-1), "GaussianNoise: expected stddev"),
    "vocabulary": (lambda: layers.Embedding(0, 2), "Embedding: expected input_dim"),
    "mask_zero": (lambda: layers.Embedding(3, 2, mask_zero=True), "masks are not supported yet"),
    "two open": (lambda: layers.Reshape((-1, -1)), "expected target_shape with at most one -1"),
    "dims": (lambda: layers.Permute((0, 1)), "Permute: expected dims to hold each of 1 to 2 once"),
    "n": (lambda: layers.RepeatVector(0), "RepeatVector: expected n to be an integer >= 1"),
    "pads": (lambda: layers.ZeroPadding2D((1, 2, 3)), "expected padding to be an integer, 2 of"),
    "pad": (lambda: layers.ZeroPadding1D(-1), "expected padding to be an integer >= 0, got -1"),
    "interpolation": (
        lambda: layers.UpSampling2D(interpolation="bilinear"),
        "expected interpolation to be one of",
    ),
    "axis": (lambda: layers.LayerNormalization("last"), "expected axis to be an integer or a list"),
    "slope": (lambda: layers.LeakyReLU(-0.1), "expected negative_slope to be a number >= 0"),
    "max_value": (lambda: layers.ReLU(max_value=-1.0), "ReLU: expected max_value"),
    "one statistic": (lambda: layers.Normalization(mean=1.0), "both mean and variance or neither"),
    "function": (lambda: layers.Lambda(3), "Lambda: expected a function of tensors, got 3"),
    "lambda mask": (lambda: layers.Lambda(_doubled, mask=1), "expected no mask"),
    "axes": (lambda: layers.Dot(0), "Dot: expected axes to be"),
    "three axes": (lambda: layers.Dot((1, 2, 3)), "Dot: expected axes to be"),
    "name": (lambda: layers.Dense(1, name="a/b"), "expected a name that is a string without '/'"),
}
VECTORS = np.ones((4, 3), "float32")
CALLED = {
    "rank": (
        lambda: layers.Conv2D(3, 2, name="c")(np.ones((2, 8, 8))),
        r"Conv2D 'c': expected inputs with 4 axes, got shape \(2, 8, 8\). Add the missing axis",
    ),
    "channels of groups": (
        lambda: layers.Conv2D(4, 2, groups=2)(np.ones((1, 4, 4, 3))),
        r"number of channels is a multiple of groups=2, got shape \(1, 4, 4, 3\)",
    ),
    "open channels": (
        lambda: layers.Conv2D(4, 2)(layers.Input((4, 4, None))),
        "expected inputs with a known number of channels",
    ),
    "too small": (lambda: layers.Conv2D(4, 5)(np.ones((1, 4, 4, 3))), "conv: expected"),
    "pool": (lambda: layers.MaxPooling2D()(VECTORS), "expected inputs with 4 axes, got shape"),
    "open width": (
        lambda: layers.Dense(2, name="d")(layers.Input((None,))),
        r"Dense 'd': expected the shape of weight 'kernel' as a tuple of known .* \(None, 2\)",
    ),
    "reshape": (
        lambda: layers.Reshape((5, 3), name="r")(layers.Input((12,))),
        r"Reshape 'r': expected samples that fit target_shape \(5, 3\), got .* 12 elements",
    ),
    "reshape rest": (
        lambda: layers.Reshape((5, -1))(np.ones((2, 12))),
        r"expected samples that fit target_shape \(5, -1\)",
    ),
    "permute": (lambda: layers.Permute((2, 1))(VECTORS), "expected inputs with 3 axes"),
    "crop": (lambda: layers.Cropping1D(3)(STEPS), "expected inputs longer than 6 along axis 1"),
    "crop image": (lambda: layers.Cropping2D(2)(IMAGE), "longer than 4 along axis 2"),
    "embedding": (
        lambda: layers.Embedding(5, 2, name="e")(np.array([0, 5])),
        r"Embedding 'e': expected integers in \[0, 5\), got 5",
    ),
    "embedding below": (lambda: layers.Embedding(5, 2)(np.array([-1, 2])), r"\[0, 5\), got -1"),
    "add": (
        lambda: layers.Add(name="a")([np.ones((2, 3)), np.ones((2, 4))]),
        r"Add 'a': expected inputs of one shape, or that broadcast, got shapes \[\(2, 3\), \(2, 4",
    ),
    "add one": (lambda: layers.Add()(VECTORS), "expected a list of at least 1 input, got one"),
    "add none": (lambda: layers.Add()([]), "expected a list of at least 1 input, got 0 of them"),
    "subtract": (lambda: layers.Subtract()([VECTORS] * 3), "expected a list of 2 inputs, got 3"),
    "concatenate": (
        lambda: layers.Concatenate(name="c")([np.ones((2, 3)), np.ones((3, 3))]),
        r"Concatenate 'c': expected inputs of the same shape except along axis -1, got shapes",
    ),
    "concatenate ranks": (
        lambda: layers.Concatenate()([np.ones((2, 3)), np.ones((2, 3, 1))]),
        "expected inputs of the same shape except along axis -1",
    ),
    "concatenate axis": (lambda: layers.Concatenate(2)([VECTORS]), "except along axis 2"),
    "dot lengths": (
        lambda: layers.Dot(1)([np.ones((2, 3)), np.ones((2, 4))]),
        "expected axis 1 of the first and 1 of the second input to be of one length",
    ),
    "dot axis": (lambda: layers.Dot(2)([VECTORS, VECTORS]), r"Dot 'dot\w*': expected an axis in"),
    "dot ranks": (lambda: layers.Dot(1)([np.ones(3), np.ones(3)]), "2 inputs with at least 2 axes"),
    "batch axis": (lambda: layers.BatchNormalization(axis=3)(VECTORS), "expected an axis in"),
    "open axis": (
        lambda: layers.BatchNormalization()(layers.Input((None,))),
        "expected inputs with a known length of axis -1",
    ),
    "mask": (
        lambda: layers.BatchNormalization()(VECTORS, mask=VECTORS > 0),
        "expected no mask, got one: masks are not supported yet",
    ),
    "softmax mask": (lambda: layers.Softmax()(VECTORS, mask=VECTORS > 0), "expected no mask"),
    "adapt nothing": (lambda: layers.Normalization().adapt([]), "at least one batch to adapt to"),
    "adapt batch": (lambda: layers.Normalization(axis=0)(VECTORS), "without the batch axis 0"),
    "list": (lambda: layers.Dense(2)([[1.0, 2.0]]), "Make an array of it with np.array"),
    "numbers": (lambda: layers.Flatten()(3.0), "expected a tensor, an array or a nest of them"),
}


@pytest.mark.parametrize("case", [*MADE, *CALLED])
def test_errors_say_what_is_wrong(case):
    function, message = {**MADE, **CALLED}[case]
    with pytest.raises((ValueError, TypeError), match=message):
        function()


@pytest.mark.parametrize("wrong", [-1, 5])
def test_compiled_embeddings_refuse_what_eager_ones_do(wrong):
    model = models.Sequential([layers.Embedding(5, 2, name="e"), layers.Flatten()])
    model(np.array([[0, 1]]))
    ids = np.array([[0, wrong]])
    with pytest.raises(ValueError, match=rf"Embedding 'e': expected .* \[0, 5\), got {wrong}"):
        model.predict(ids, verbose=0)
    with pytest.raises(IndexError, match="take: expected indices"):
        function(model)(ids)


def test_inputs_unlike_those_at_first_are_refused():
    conv = layers.Conv2D(3, 2, name="c")
    conv(np.ones((1, 4, 4, 2)))
    message = r"Conv2D 'c': expected inputs with last axis 2, got shape \(1, 4, 4, 3\)\.$"
    with pytest.raises(ValueError, match=message):
        conv(np.ones((1, 4, 4, 3)))
    dense = layers.Dense(3, name="hidden")
    dense(np.ones((1, 784)))
    with pytest.raises(
        ValueError,
        match=r"Dense 'hidden': expected inputs with last axis 784, got shape \(32, 28, 28\). "
        r"Add layers.Flatten\(\) before it",
    ):
        dense(np.ones((32, 28, 28)))
    normalization = layers.BatchNormalization(axis=1)
    normalization(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match="expected inputs with axis 1 3, got shape"):
        normalization(np.ones((2, 4, 4)))


def test_errors_inside_layers_name_the_layers_around():
    inner = layers.Lambda(lambda x: x @ np.ones((7, 7)), name="inner")
    outer = layers.Lambda(inner, name="outer")
    with pytest.raises(ValueError, match="matmul") as caught:
        outer(VECTORS)
    assert caught.value.__notes__ == [
        "In the call of Lambda 'inner'.",
        "In the call of Lambda 'outer'.",
    ]


def test_set_weights_checks_everything_first():
    layer = layers.Dense(2, name="d")
    with pytest.raises(ValueError, match="expected a built layer to count weights of"):
        layer.count_params()
    layer.build((None, 3))
    before = layer.get_weights()
    with pytest.raises(ValueError, match="Dense 'd': expected 2 arrays of weights, got 1"):
        layer.set_weights(before[:1])
    with pytest.raises(ValueError, match=r"expected shape \(2,\) for weight 'd/bias', got \(3,\)"):
        layer.set_weights([before[0] + 1, np.ones(3)])
    np.testing.assert_array_equal(layer.get_weights()[0], before[0])
