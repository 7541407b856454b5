"""Small models: fit, evaluate, predict, history, summary."""

from tests.golden.builders import (
    binary,
    classifier,
    convolutional,
    dict_outputs,
    logits,
    regression,
    regularized,
    subclass,
    two_inputs,
    two_outputs,
    with_added_loss,
    words,
)
from tests.golden.recipe import Case, array, flatten, integers, normal, one_hot, plain, set_weights

FAMILY = "models"
FOR_MAKER = {"eager": True}

ROWS = normal(20, 4, seed=1)
TARGETS = normal(20, 1, seed=2)
CLASSES = integers(20, high=3, seed=3)
HOT = one_hot(CLASSES, 3)
BITS = integers(20, 1, high=2, seed=4, dtype="float32")
IMAGES = normal(12, 6, 6, 1, seed=5)
DIGITS = integers(12, high=3, seed=6)
WORDS = integers(16, 5, high=7, seed=7)
FLAGS = integers(16, 1, high=2, seed=8, dtype="float32")
WEIGHTS = array([0.5, 1.0, 2.0, 0.0] * 5)
MORE_ROWS, MORE_TARGETS, MORE_CLASSES = normal(6, 4, seed=9), normal(6, 1, seed=10), CLASSES[:6]


def compiled(keras, build, compile, eager=False):
    """Return the model with seeded weights, compiled; `compile` may be a function of keras."""
    model = build(keras)
    set_weights(model)
    options = dict(compile(keras) if callable(compile) else compile)
    name, arguments = options.pop("optimizer", ("SGD", {"learning_rate": 0.1}))
    optimizer = getattr(keras.optimizers, name)(**arguments)
    model.compile(optimizer=optimizer, **options, **({"run_eagerly": True} if eager else {}))
    return model


def fit(keras, tf, build, compile, x, y, callbacks=lambda keras: [], eager=False, **options):
    """Fit without shuffling; return history, evaluation, predictions and final weights."""
    model = compiled(keras, build, compile, eager)
    settings = {"epochs": 3, "batch_size": 8, "shuffle": False, "verbose": 0} | options
    history = model.fit(x, y, callbacks=callbacks(keras), **settings)
    evaluated = model.evaluate(x, y, batch_size=8, verbose=0)
    named = model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)
    return flatten(
        keras,
        {
            "keys": list(history.history),
            "epochs": list(history.epoch),
            "history": {
                key: [float(value) for value in values] for key, values in history.history.items()
            },
            "evaluate": [float(value) for value in evaluated]
            if isinstance(evaluated, list)
            else float(evaluated),
            "evaluate_keys": list(named),
            "metrics_names": list(model.metrics_names),
            "predict": model.predict(x, batch_size=8, verbose=0),
            "weights": list(model.get_weights()),
        },
    )


def on_batches(keras, tf, build, compile, x, y, eager=False, **options):
    """Return what train_on_batch, test_on_batch and predict_on_batch give."""
    model = compiled(keras, build, compile, eager)
    steps = [model.train_on_batch(x, y, **options) for _ in range(3)]
    named = model.train_on_batch(x, y, return_dict=True, **options)
    return {
        "train": plain(keras, [float(v) for step in steps for v in step]),
        "train_dict": {key: float(value) for key, value in named.items()},
        "test": [float(value) for value in model.test_on_batch(x, y)],
        "predict": plain(keras, model.predict_on_batch(x)),
        "weights.0": plain(keras, model.get_weights()[0]),
    }


def structure(keras, tf, build, eager=False):
    """Return names, shapes and the summary."""
    model = build(keras)
    lines = []
    model.summary(line_length=80, print_fn=lambda text, **_: lines.append(text))
    return {
        "name": model.name,
        "layers": [layer.name for layer in model.layers],
        "paths": [weight.path for weight in model.weights],
        "shapes": [list(weight.shape) for weight in model.weights],
        "trainable": [weight.path for weight in model.trainable_weights],
        "count": model.count_params(),
        "summary": "\n".join(lines).rstrip().splitlines(),
    }


def calls(keras, tf, build, inputs, eager=False):
    """Return the outputs of a model called directly, in both modes."""
    model = build(keras)
    set_weights(model)
    return flatten(keras, {str(mode): model(inputs, training=mode) for mode in (False, True)})


def run(keras, tf, **spec):
    """Run the function of the case."""
    return spec.pop("how")(keras, tf, **spec)


MSE = {"loss": "mse"}
SPARSE = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
SLOW = {"optimizer": ("SGD", {"learning_rate": 1e-5})}
ADAM = {"optimizer": ("Adam", {"learning_rate": 0.05})}
BOTH = {"loss": ["mse", "sparse_categorical_crossentropy"]}
TRAINED = {
    "regression": (regression, MSE, ROWS, TARGETS),
    "regression_mae_metric": (regression, MSE | {"metrics": ["mae", "mse"]}, ROWS, TARGETS),
    "regression_adam": (regression, MSE | ADAM, ROWS, TARGETS),
    "classifier": (classifier, SPARSE, ROWS, CLASSES),
    "classifier_adam": (classifier, SPARSE | ADAM, ROWS, CLASSES),
    "classifier_unscaled": (classifier, SPARSE | SLOW, 255 * ROWS, CLASSES),
    "classifier_one_hot_unscaled": (
        classifier,
        {"loss": "categorical_crossentropy", "metrics": ["categorical_crossentropy"]} | SLOW,
        255 * ROWS,
        HOT,
    ),
    "classifier_acc_name": (classifier, SPARSE | {"metrics": ["acc"]}, ROWS, CLASSES),
    "classifier_one_hot": (
        classifier,
        {"loss": "categorical_crossentropy", "metrics": ["accuracy"]},
        ROWS,
        HOT,
    ),
    "classifier_column": (classifier, SPARSE, ROWS, CLASSES[:, None].copy()),
    "logits": (
        logits,
        lambda keras: {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": [keras.metrics.SparseCategoricalAccuracy(name="mine"), "accuracy"],
        },
        ROWS,
        CLASSES,
    ),
    "binary": (binary, {"loss": "binary_crossentropy", "metrics": ["accuracy"]}, ROWS, BITS),
    "binary_unscaled": (
        binary,
        {"loss": "binary_crossentropy", "metrics": ["binary_crossentropy"]} | SLOW,
        255 * ROWS,
        BITS,
    ),
    "binary_metrics": (
        binary,
        lambda keras: {
            "loss": "binary_crossentropy",
            "metrics": [keras.metrics.Precision(), keras.metrics.Recall(), keras.metrics.AUC()],
        },
        ROWS,
        BITS,
    ),
    "function_loss": (
        regression,
        lambda keras: {
            "loss": lambda y_true, y_pred: keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1),
            "metrics": [lambda y_true, y_pred: keras.ops.mean(y_pred)],
        },
        ROWS,
        TARGETS,
    ),
    "convolutional": (convolutional, SPARSE, IMAGES, DIGITS),
    # Not with Adam or RMSprop: Keras on TensorFlow squares the gradients of a repeated word one by
    # one, before it adds them.
    "words": (words, {"loss": "binary_crossentropy", "metrics": ["accuracy"]}, WORDS, FLAGS),
    "words_momentum": (
        words,
        {"loss": "binary_crossentropy", "optimizer": ("SGD", {"momentum": 0.9})},
        WORDS,
        FLAGS,
    ),
    "two_outputs": (two_outputs, BOTH, ROWS, [TARGETS, CLASSES]),
    "two_outputs_weights": (
        two_outputs,
        BOTH | {"loss_weights": [0.3, 2.0]},
        ROWS,
        [TARGETS, CLASSES],
    ),
    "two_outputs_metrics": (
        two_outputs,
        BOTH | {"metrics": [["mae"], ["accuracy"]]},
        ROWS,
        [TARGETS, CLASSES],
    ),
    "two_outputs_named": (
        two_outputs,
        {
            "loss": {"value": "mse", "kind": "sparse_categorical_crossentropy"},
            "loss_weights": {"value": 0.5, "kind": 1.0},
            "metrics": {"kind": "accuracy"},
        },
        ROWS,
        {"value": TARGETS, "kind": CLASSES},
    ),
    "dict_outputs": (
        dict_outputs,
        {"loss": {"value": "mse", "kind": "sparse_categorical_crossentropy"}},
        ROWS,
        {"value": TARGETS, "kind": CLASSES},
    ),
    "two_inputs": (two_inputs, MSE, [ROWS, ROWS[::-1].copy()], TARGETS),
    "two_inputs_named": (two_inputs, MSE, {"left": ROWS, "right": ROWS[::-1].copy()}, TARGETS),
    "regularized": (regularized, MSE, ROWS, TARGETS),
    "with_added_loss": (with_added_loss, MSE, ROWS, TARGETS),
    "subclass": (subclass, MSE, ROWS, TARGETS),
}
OPTIONS = {
    "class_weight": (classifier, SPARSE, ROWS, CLASSES, {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}),
    "class_weight_one_hot": (
        classifier,
        {"loss": "categorical_crossentropy"},
        ROWS,
        HOT,
        {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}},
    ),
    "sample_weight": (classifier, SPARSE, ROWS, CLASSES, {"sample_weight": WEIGHTS}),
    "weighted_metrics": (
        classifier,
        SPARSE | {"weighted_metrics": ["accuracy"]},
        ROWS,
        CLASSES,
        {"sample_weight": WEIGHTS},
    ),
    "validation_data": (
        classifier,
        SPARSE,
        ROWS,
        CLASSES,
        {"validation_data": (MORE_ROWS, MORE_CLASSES)},
    ),
    "validation_weights": (
        regression,
        MSE,
        ROWS,
        TARGETS,
        {"validation_data": (MORE_ROWS, MORE_TARGETS, WEIGHTS[:6])},
    ),
    "validation_split": (
        regression,
        MSE | {"metrics": ["mae"]},
        ROWS,
        TARGETS,
        {"validation_split": 0.25},
    ),
    "validation_freq": (
        regression,
        MSE,
        ROWS,
        TARGETS,
        {"validation_split": 0.25, "validation_freq": 2, "epochs": 4},
    ),
    "two_outputs_validation": (
        two_outputs,
        BOTH | {"metrics": [["mae"], ["accuracy"]]},
        ROWS,
        [TARGETS, CLASSES],
        {"validation_data": (MORE_ROWS, [MORE_TARGETS, MORE_CLASSES])},
    ),
    "two_outputs_sample_weight": (
        two_outputs,
        BOTH,
        ROWS,
        [TARGETS, CLASSES],
        {"sample_weight": [WEIGHTS, WEIGHTS[::-1].copy()]},
    ),
    "convolutional_validation": (convolutional, SPARSE, IMAGES, DIGITS, {"validation_split": 0.25}),
    "initial_epoch": (regression, MSE, ROWS, TARGETS, {"initial_epoch": 1}),
    "steps_per_epoch": (regression, MSE, ROWS, TARGETS, {"batch_size": 2, "steps_per_epoch": 3}),
    "batch_size_default": (regression, MSE, ROWS, TARGETS, {"batch_size": None}),
    "scheduler": (
        regression,
        MSE,
        ROWS,
        TARGETS,
        {"callbacks": lambda k: [k.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)]},
    ),
    "plateau": (
        regression,
        MSE,
        ROWS,
        TARGETS,
        {
            "epochs": 5,
            "callbacks": lambda k: [
                k.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=10.0)
            ],
        },
    ),
    "early_stopping": (
        regression,
        MSE,
        ROWS,
        TARGETS,
        {
            "epochs": 9,
            "callbacks": lambda k: [
                k.callbacks.EarlyStopping(
                    "loss", patience=2, min_delta=10, restore_best_weights=True
                )
            ],
        },
    ),
    "ema": (
        regression,
        MSE | {"optimizer": ("SGD", {"use_ema": True, "ema_momentum": 0.5})},
        ROWS,
        TARGETS,
        {},
    ),
    "accumulation": (
        regression,
        MSE | {"optimizer": ("Adam", {"gradient_accumulation_steps": 2})},
        ROWS,
        TARGETS,
        {},
    ),
}
BUILDERS = (
    regression,
    classifier,
    convolutional,
    words,
    two_outputs,
    two_inputs,
    regularized,
)


def case(name, how, **spec):
    """Make a case; training gets more tolerance."""
    more = {"tolerance": 1e-4, "why": "many float32 sums in another order"} if how is fit else {}
    if name == "fit weighted_metrics":  # Keras gives the unweighted accuracy twice more
        more["wrong"] = ("evaluate",)
    return Case(FAMILY, name, {"how": how} | spec, **more)


FIELDS = ("build", "compile", "x", "y")
CASES = [
    case(f"fit {name}", fit, **dict(zip(FIELDS, row, strict=True))) for name, row in TRAINED.items()
]
CASES += [
    case(f"fit {name}", fit, **dict(zip(FIELDS, row[:4], strict=True)), **row[4])
    for name, row in OPTIONS.items()
]
CASES += [
    case("batches", on_batches, build=classifier, compile=SPARSE, x=ROWS, y=CLASSES),
    case(
        "batches_weighted",
        on_batches,
        build=classifier,
        compile=SPARSE,
        x=ROWS,
        y=CLASSES,
        sample_weight=WEIGHTS,
    ),
]
CASES += [case(f"structure {build.__name__}", structure, build=build) for build in BUILDERS]
CASES += [
    case("call two_outputs", calls, build=two_outputs, inputs=ROWS[:3]),
    case("call convolutional", calls, build=convolutional, inputs=IMAGES[:3]),
]
