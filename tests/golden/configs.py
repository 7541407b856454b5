"""The configs that Keras gives: get_config(), and the serialized object around it."""

import json

from tests.golden import builders
from tests.golden.recipe import Case

FAMILY = "configs"


def run(keras, tf, **spec):
    """Run the function of the case."""
    return spec.pop("how")(keras, tf, **spec)


def sorted_json(config):
    """Turn a config into plain JSON, whose keys have no order."""
    return json.loads(json.dumps(config, sort_keys=True))


def described(keras, tf, module, name, kwargs):
    """Return the config key by key, and what stands around it when serialized."""
    space = keras
    for part in module.split("."):
        space = getattr(space, part)
    made = getattr(space, name)(**(kwargs(keras) if callable(kwargs) else kwargs))
    serialized = sorted_json(keras.saving.serialize_keras_object(made))
    results = {f"config.{k}": v for k, v in sorted_json(made.get_config()).items()}
    again = type(made).from_config(made.get_config())
    results["round_trip"] = sorted_json(again.get_config()) == sorted_json(made.get_config())
    return results | {f"object.{k}": v for k, v in serialized.items() if k != "config"}


def of_model(keras, tf, build):
    """Return a model's config, and its serialized form with what it was built and compiled with."""
    model = build(keras)
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    serialized = sorted_json(keras.saving.serialize_keras_object(model))
    results = {f"config.{key}": value for key, value in serialized.pop("config").items()}
    return results | {f"object.{key}": value for key, value in serialized.items()}


def function_names(keras, tf, module, names):
    """Return what a function of the module is serialized to."""
    space = getattr(keras, module)
    return {name: sorted_json(space.serialize(space.get(name))) for name in names}


LAYERS = [
    ("Activation", {"activation": "relu"}),
    ("Add", {}),
    ("AveragePooling2D", {"pool_size": 2}),
    ("BatchNormalization", {}),
    ("Concatenate", {"axis": 1}),
    ("Conv1D", {"filters": 2, "kernel_size": 3}),
    ("Conv2D", {"filters": 2, "kernel_size": 3}),
    ("Conv2D", {"filters": 2, "kernel_size": (3, 2), "activation": "relu", "padding": "same"}),
    ("Dense", {"units": 3}),
    (
        "Dense",
        {
            "units": 3,
            "activation": "tanh",
            "kernel_regularizer": "l2",
            "bias_constraint": "non_neg",
            "kernel_initializer": "he_normal",
            "name": "mine",
            "dtype": "float64",
            "trainable": False,
        },
    ),
    ("Dropout", {"rate": 0.5}),
    ("Dropout", {"rate": 0.5, "seed": 3, "noise_shape": [1, 2]}),
    ("Embedding", {"input_dim": 3, "output_dim": 2, "mask_zero": True}),
    ("Flatten", {}),
    ("GlobalAveragePooling2D", {"keepdims": True}),
    ("GlobalMaxPooling1D", {}),
    ("GRU", {"units": 2}),
    ("Identity", {}),
    ("LayerNormalization", {}),
    ("LayerNormalization", {"axis": [1, 2]}),
    ("LeakyReLU", {}),
    ("LSTM", {"units": 2, "return_sequences": True}),
    ("MaxPooling2D", {}),
    ("MaxPooling1D", {"strides": 1}),
    ("Normalization", {"mean": 1.0, "variance": 4.0}),
    ("Permute", {"dims": (2, 1)}),
    ("ReLU", {}),
    ("Rescaling", {"scale": 0.5}),
    ("Reshape", {"target_shape": (2, -1)}),
    ("SimpleRNN", {"units": 2}),
    ("Softmax", {}),
    ("ZeroPadding2D", {}),
    ("Conv2DTranspose", {"filters": 2, "kernel_size": 3}),
    ("DepthwiseConv2D", {"kernel_size": 3}),
    ("SeparableConv2D", {"filters": 2, "kernel_size": 3}),
    ("ELU", {}),
    ("PReLU", {}),
    ("GaussianNoise", {"stddev": 0.1}),
    ("SpatialDropout2D", {"rate": 0.1}),
    ("UpSampling2D", {}),
    ("Cropping2D", {}),
    ("RepeatVector", {"n": 2}),
    ("Dot", {"axes": 1}),
    ("GroupNormalization", {"groups": 2}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}),
    ("TimeDistributed", lambda keras: {"layer": keras.layers.Dense(2, name="inner")}),
    ("Bidirectional", lambda keras: {"layer": keras.layers.LSTM(2, name="inner")}),
]
LOSSES = [
    ("MeanSquaredError", {}),
    ("MeanAbsoluteError", {"reduction": "sum", "name": "mine", "dtype": "float64"}),
    ("Huber", {"delta": 2.0}),
    ("BinaryCrossentropy", {"from_logits": True}),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}),
    ("CosineSimilarity", {}),
    ("Hinge", {}),
    ("KLDivergence", {}),
]
METRICS = [
    ("Mean", {}),
    ("Sum", {"name": "mine"}),
    ("Accuracy", {}),
    ("BinaryAccuracy", {"threshold": 0.3}),
    ("CategoricalAccuracy", {}),
    ("SparseCategoricalAccuracy", {}),
    ("TopKCategoricalAccuracy", {"k": 2}),
    ("MeanSquaredError", {}),
    ("RootMeanSquaredError", {}),
    ("BinaryCrossentropy", {}),
    ("CategoricalCrossentropy", {}),
    ("SparseCategoricalCrossentropy", {}),
    ("Precision", {"thresholds": [0.2, 0.8]}),
    ("Recall", {"top_k": 2}),
    ("AUC", {}),
    ("F1Score", {}),
    ("MeanIoU", {"num_classes": 3}),
]
OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "clipnorm": 1.0, "weight_decay": 0.1}),
    ("RMSprop", {}),
    ("Adam", {}),
    ("Adam", {"use_ema": True, "ema_overwrite_frequency": 3}),
    ("AdamW", {}),
    ("Adagrad", {}),
    ("Adadelta", {}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Lion", {}),
    ("Ftrl", {}),
    ("Adafactor", {}),
    (
        "SGD",
        lambda keras: {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)},
    ),
]
SCHEDULES = [
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 10}),
    ("PiecewiseConstantDecay", {"boundaries": [1], "values": [0.1, 0.2]}),
    ("InverseTimeDecay", {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5}),
    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 10}),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 10}),
]
INITIALIZERS = [
    ("Zeros", {}),
    ("Ones", {}),
    ("Constant", {"value": 2.0}),
    ("Identity", {}),
    ("Orthogonal", {}),
    ("RandomNormal", {}),
    ("RandomUniform", {"seed": 3}),
    ("TruncatedNormal", {}),
    ("GlorotNormal", {}),
    ("GlorotUniform", {}),
    ("HeNormal", {}),
    ("HeUniform", {"seed": 3}),
    ("LecunNormal", {}),
    ("LecunUniform", {}),
    ("VarianceScaling", {}),
]
OTHERS = {
    "regularizers": [("L1", {}), ("L2", {"l2": 0.5}), ("L1L2", {}), ("OrthogonalRegularizer", {})],
    "constraints": [("MaxNorm", {}), ("NonNeg", {}), ("UnitNorm", {}), ("MinMaxNorm", {})],
}
ACTIVATION_NAMES = "relu linear softmax tanh sigmoid silu swish gelu elu selu leaky_relu".split()
LOSS_NAMES = "mse mae bce kld mean_squared_error sparse_categorical_crossentropy huber".split()
TABLES = {
    "layers": LAYERS,
    "losses": LOSSES,
    "metrics": METRICS,
    "optimizers": OPTIMIZERS,
    "optimizers.schedules": SCHEDULES,
    "initializers": INITIALIZERS,
    **OTHERS,
}
# Arguments that Keras' own config forgets, and features that minikeras leaves out: Keras reads a
# config without them.
FORGOTTEN = {
    "Huber": ("config.delta",),
    "CosineSimilarity": ("config.axis",),
    "SparseCategoricalCrossentropy": ("config.axis",),
    "MeanAbsoluteError": ("config.dtype",),
    "Identity": ("config.gain",),
    "SpatialDropout2D": ("config.dtype",),
    "Dense": ("config.quantization_config",),
    "Embedding": ("config.quantization_config",),
    "LayerNormalization": ("config.rms_scaling",),
    "BatchNormalization": (
        "config.renorm", "config.renorm_clipping", "config.renorm_momentum", "config.synchronized"
    ),
    # Some layers of Keras write None here, others nothing; all of them read either.
    **dict.fromkeys(
        "Conv1D Conv2D Conv2DTranspose DepthwiseConv2D SeparableConv2D".split(),
        ("config.activity_regularizer",),
    ),
}  # fmt: skip


def case(index, module, name, kwargs):
    """Make a case, named by its place in the table."""
    wrong = FORGOTTEN.get(name, ()) if module in ("layers", "losses", "initializers") else ()
    spec = {"how": described, "module": module, "name": name, "kwargs": kwargs}
    return Case(FAMILY, f"{module}.{name} {index}", spec, wrong=wrong)


CASES = [
    case(index, module, *row) for module, table in TABLES.items() for index, row in enumerate(table)
]
CASES += [
    Case(FAMILY, f"model {build.__name__}", {"how": of_model, "build": build})
    for build in (builders.regression, builders.convolutional, builders.two_outputs)
]
CASES += [
    Case(FAMILY, module, {"how": function_names, "module": module, "names": names})
    for module, names in (("activations", ACTIVATION_NAMES), ("losses", LOSS_NAMES))
]
