"""Layers with seeded weights: outputs, gradients, and the weights that training changes."""

import numpy as np

from tests.golden.recipe import (
    Case,
    array,
    distinct,
    flatten,
    gradients,
    integers,
    normal,
    set_weights,
    uniform,
)

FAMILY = "layers"
IMAGE = distinct(2, 7, 6, 4, seed=1)
ROWS = normal(3, 5, seed=2)
BLOCK = normal(2, 3, 4, seed=3)
PAIR = [normal(2, 3, 4, seed=4), normal(2, 3, 4, seed=5)]
NO_PARAMETERS = {"center": False, "scale": False}
BOTH = (False, True)
FOR_MAKER = {"twin": True}


def run(keras, tf, layer, kwargs, inputs, modes=(False,), calls=None, twin=False):
    """Build, set weights, and call in each training mode, differentiating.

    `twin` runs a channels_first case as channels_last with moved axes, which is what it must equal:
    TensorFlow has no such convolution on a CPU.
    """
    options = dict(kwargs(keras) if callable(kwargs) else kwargs)
    twin = twin and options.get("data_format") == "channels_first"
    if twin:
        options["data_format"] = "channels_last"
    made = getattr(keras.layers, layer)(**options)
    several = isinstance(inputs, list)
    arrays = inputs if several else [inputs]
    shapes = [np.moveaxis(item, 1, -1).shape if twin else item.shape for item in arrays]
    made.build(shapes if several else shapes[0])
    results = {"names": set_weights(made), "shapes": [list(w.shape) for w in made.weights]}
    for training in modes:

        def call(*tensors, training=training):
            if twin:
                tensors = [keras.ops.moveaxis(item, 1, -1) for item in tensors]
            given = list(tensors) if several else tensors[0]
            outputs = made(given, training=training, **(calls or {}))
            return keras.ops.moveaxis(outputs, -1, 1) if twin and outputs.ndim > 2 else outputs

        weights = lambda: made.trainable_weights
        outputs, slopes = gradients(keras, tf, call, arrays, weights)
        mode = "training" if training else "inference"
        results[mode] = flatten(keras, {"y": outputs, "grad": slopes})
    if True in modes:
        results["after"] = flatten(keras, list(made.non_trainable_weights))
    return flatten(keras, results)


# name, layer, arguments, input(s)
TABLE = [
    ("dense", "Dense", {"units": 4}, ROWS),
    ("dense_no_bias", "Dense", {"units": 4, "use_bias": False}, ROWS),
    ("dense_relu", "Dense", {"units": 4, "activation": "relu"}, ROWS),
    ("dense_softmax", "Dense", {"units": 4, "activation": "softmax"}, ROWS),
    ("dense_tanh_3d", "Dense", {"units": 2, "activation": "tanh"}, BLOCK),
    ("dense_float64", "Dense", {"units": 4, "dtype": "float64"}, normal(3, 5, dtype="float64")),
    ("dense_of_integers", "Dense", {"units": 4}, integers(3, 5)),
    ("conv2d", "Conv2D", {"filters": 3, "kernel_size": 3}, IMAGE),
    ("conv2d_same", "Conv2D", {"filters": 3, "kernel_size": (3, 2), "padding": "same"}, IMAGE),
    ("conv2d_even_same", "Conv2D", {"filters": 3, "kernel_size": 4, "padding": "same"}, IMAGE),
    ("conv2d_strides", "Conv2D", {"filters": 3, "kernel_size": 3, "strides": 2}, IMAGE),
    (
        "conv2d_strides_same",
        "Conv2D",
        {"filters": 3, "kernel_size": 3, "strides": (2, 3), "padding": "same"},
        IMAGE,
    ),
    ("conv2d_dilation", "Conv2D", {"filters": 3, "kernel_size": 2, "dilation_rate": 2}, IMAGE),
    (
        "conv2d_dilation_same",
        "Conv2D",
        {"filters": 3, "kernel_size": 3, "dilation_rate": (2, 1), "padding": "same"},
        IMAGE,
    ),
    ("conv2d_groups", "Conv2D", {"filters": 6, "kernel_size": 3, "groups": 2}, IMAGE),
    ("conv2d_1x1", "Conv2D", {"filters": 3, "kernel_size": 1, "use_bias": False}, IMAGE),
    (
        "conv2d_relu",
        "Conv2D",
        {"filters": 3, "kernel_size": 3, "activation": "relu", "strides": 2, "padding": "same"},
        IMAGE,
    ),
    (
        "conv2d_channels_first",
        "Conv2D",
        {"filters": 3, "kernel_size": 3, "data_format": "channels_first"},
        IMAGE,
    ),
    (
        "conv2d_channels_first_same",
        "Conv2D",
        {
            "filters": 7,
            "kernel_size": 3,
            "strides": 2,
            "padding": "same",
            "groups": 7,
            "data_format": "channels_first",
        },
        IMAGE,
    ),
    ("max_pool", "MaxPooling2D", {}, IMAGE),
    ("max_pool_same", "MaxPooling2D", {"pool_size": 2, "padding": "same"}, IMAGE),
    ("max_pool_overlapping", "MaxPooling2D", {"pool_size": 3, "strides": 1}, IMAGE),
    (
        "max_pool_overlapping_same",
        "MaxPooling2D",
        {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"},
        IMAGE,
    ),
    ("max_pool_gaps", "MaxPooling2D", {"pool_size": 2, "strides": 3}, IMAGE),
    ("max_pool_first", "MaxPooling2D", {"data_format": "channels_first"}, IMAGE),
    ("max_pool_ties", "MaxPooling2D", {}, np.zeros((1, 4, 4, 2), "float32")),
    ("average_pool", "AveragePooling2D", {"pool_size": 2}, IMAGE),
    ("average_pool_same", "AveragePooling2D", {"pool_size": 2, "padding": "same"}, IMAGE),
    ("average_pool_overlapping", "AveragePooling2D", {"pool_size": 3, "strides": 1}, IMAGE),
    (
        "average_pool_overlapping_same",
        "AveragePooling2D",
        {"pool_size": 3, "strides": 2, "padding": "same"},
        IMAGE,
    ),
    (
        "average_pool_first",
        "AveragePooling2D",
        {"pool_size": 2, "data_format": "channels_first"},
        IMAGE,
    ),
    ("global_average", "GlobalAveragePooling2D", {}, IMAGE),
    ("global_average_keepdims", "GlobalAveragePooling2D", {"keepdims": True}, IMAGE),
    ("global_average_first", "GlobalAveragePooling2D", {"data_format": "channels_first"}, IMAGE),
    ("flatten", "Flatten", {}, IMAGE),
    ("flatten_channels_first", "Flatten", {"data_format": "channels_first"}, IMAGE),
    ("flatten_vector", "Flatten", {}, normal(3)),
    ("reshape", "Reshape", {"target_shape": (6, 2)}, BLOCK),
    ("reshape_minus_one", "Reshape", {"target_shape": (-1, 2)}, BLOCK),
    ("reshape_flat", "Reshape", {"target_shape": (-1,)}, BLOCK),
    ("layer_normalization", "LayerNormalization", {}, BLOCK),
    ("layer_normalization_axes", "LayerNormalization", {"axis": [1, 2]}, BLOCK),
    ("layer_normalization_axis_1", "LayerNormalization", {"axis": 1}, BLOCK),
    ("layer_normalization_epsilon", "LayerNormalization", {"epsilon": 0.5}, BLOCK),
    ("layer_normalization_bare", "LayerNormalization", NO_PARAMETERS, BLOCK),
    ("layer_normalization_no_scale", "LayerNormalization", {"scale": False}, BLOCK),
    (
        "layer_normalization_constant_rows",
        "LayerNormalization",
        {},
        np.full((2, 4), 3.0, "float32"),
    ),
    ("embedding", "Embedding", {"input_dim": 6, "output_dim": 3}, array([[1, 5], [1, 0]], "int32")),
    (
        "embedding_int64",
        "Embedding",
        {"input_dim": 6, "output_dim": 3},
        integers(4, high=6, dtype="int64"),
    ),
    ("embedding_float_ids", "Embedding", {"input_dim": 6, "output_dim": 3}, array([1.0, 5.0])),
    ("relu", "ReLU", {}, BLOCK),
    ("relu_max", "ReLU", {"max_value": 0.5}, BLOCK),
    ("relu_slope", "ReLU", {"negative_slope": 0.2}, BLOCK),
    ("relu_threshold", "ReLU", {"threshold": 0.4}, BLOCK),
    (
        "relu_everything",
        "ReLU",
        {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.3},
        BLOCK,
    ),
    ("leaky_relu", "LeakyReLU", {}, BLOCK),
    ("softmax", "Softmax", {}, BLOCK),
    ("softmax_axis_1", "Softmax", {"axis": 1}, BLOCK),
    ("softmax_axes", "Softmax", {"axis": [1, 2]}, BLOCK),
    ("rescaling", "Rescaling", {"scale": 1 / 255, "offset": -0.5}, uniform(2, 3, high=255)),
    (
        "rescaling_integers",
        "Rescaling",
        {"scale": 1 / 255},
        integers(2, 3, high=255, dtype="uint8"),
    ),
    ("rescaling_vector", "Rescaling", {"scale": [1.0, 2.0, 3.0, 4.0]}, BLOCK),
    ("add", "Add", {}, PAIR),
    ("add_three", "Add", {}, [*PAIR, BLOCK]),
    ("add_broadcast", "Add", {}, [BLOCK, normal(2, 1, 4, seed=6)]),
    ("add_ranks", "Add", {}, [BLOCK, normal(2, 4, seed=6)]),
    ("concatenate", "Concatenate", {}, PAIR),
    ("concatenate_axis_1", "Concatenate", {"axis": 1}, [BLOCK, normal(2, 2, 4, seed=7)]),
    ("dropout_inference", "Dropout", {"rate": 0.5}, BLOCK),
    ("dropout_zero", "Dropout", {"rate": 0.0}, BLOCK, BOTH),
    ("batch_normalization", "BatchNormalization", {}, normal(6, 3, shift=2.0), BOTH),
    ("batch_normalization_image", "BatchNormalization", {}, IMAGE, BOTH),
    ("batch_normalization_axis_1", "BatchNormalization", {"axis": 1}, IMAGE, BOTH),
    ("batch_normalization_momentum", "BatchNormalization", {"momentum": 0.5}, BLOCK, BOTH),
    ("batch_normalization_epsilon", "BatchNormalization", {"epsilon": 0.1}, BLOCK, BOTH),
    ("batch_normalization_bare", "BatchNormalization", NO_PARAMETERS, BLOCK, BOTH),
    ("batch_normalization_no_scale", "BatchNormalization", {"scale": False}, BLOCK, BOTH),
    ("batch_normalization_no_center", "BatchNormalization", {"center": False}, BLOCK, BOTH),
    ("batch_normalization_one_row", "BatchNormalization", {}, normal(1, 3), BOTH),
    ("batch_normalization_frozen", "BatchNormalization", {"trainable": False}, BLOCK, BOTH),
]

ACTIVATIONS = (
    "elu exponential gelu hard_sigmoid leaky_relu linear log_softmax relu selu sigmoid silu swish "
    "softmax softplus softsign tanh celu glu hard_shrink hard_silu hard_swish hard_tanh "
    "log_sigmoid mish relu6 soft_shrink squareplus tanh_shrink"
).split()
TABLE += [
    (f"activation_{name}", "Activation", {"activation": name}, normal(3, 4, scale=3.0))
    for name in ACTIVATIONS
]
TABLE = [row if len(row) == 5 else (*row, (False,)) for row in TABLE]
CASES = [
    Case(FAMILY, name, dict(zip(("layer", "kwargs", "inputs", "modes"), row, strict=True)))
    for name, *row in TABLE
]
