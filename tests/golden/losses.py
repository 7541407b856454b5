"""Losses: classes with every reduction and weights, functions sample by sample, and gradients."""

import numpy as np

from tests.golden.recipe import (
    Case,
    array,
    flatten,
    gradients,
    integers,
    normal,
    one_hot,
    probabilities,
)

FAMILY = "losses"

TRUE, PRED = normal(4, 3, seed=1), normal(4, 3, seed=2)
POSITIVE = [np.abs(normal(4, 3, seed=seed)) + 0.1 for seed in (3, 4)]
SHARES = probabilities(4, 3, seed=5)
LOGITS = normal(4, 3, seed=6, scale=2.0)
CLASSES = array([0, 2, 1, 2], "int32")
HOT = one_hot(CLASSES, 3)
BITS = integers(4, 3, high=2, seed=7, dtype="float32")
SIGNS = 2 * BITS - 1
CHANCES = np.clip(np.abs(normal(4, 3, seed=8)) / 2, 0.05, 0.95).astype("float32")
WEIGHTS = array([0.5, 0.0, 2.0, 1.0])
SEQUENCE = probabilities(2, 4, 3, seed=9)
STEPS = integers(2, 4, high=3, seed=10)
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


def run(keras, tf, loss, kwargs, y_true, y_pred, sample_weight=None, activation="linear"):
    """Return the loss and its gradient with respect to what the activation is given."""
    function, activation = getattr(keras.losses, loss), keras.activations.get(activation)
    if isinstance(function, type):
        made = function(**kwargs)
        call = lambda y: made(y_true, activation(y), sample_weight=sample_weight)
    else:
        call = lambda y: function(y_true, activation(y), **kwargs)
    outputs, (slope,) = gradients(keras, tf, call, [y_pred])
    return flatten(keras, {"y": outputs, "grad": slope})


# class, its function, good (y_true, y_pred)
KINDS = [
    ("MeanSquaredError", "mean_squared_error", (TRUE, PRED)),
    ("MeanAbsoluteError", "mean_absolute_error", (TRUE, PRED)),
    ("MeanAbsolutePercentageError", "mean_absolute_percentage_error", (TRUE, PRED)),
    ("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", POSITIVE),
    ("Huber", "huber", (TRUE, PRED)),
    ("LogCosh", "log_cosh", (TRUE, PRED)),
    ("CosineSimilarity", "cosine_similarity", (TRUE, PRED)),
    ("Poisson", "poisson", POSITIVE),
    ("KLDivergence", "kl_divergence", (probabilities(4, 3, seed=11), SHARES)),
    ("Hinge", "hinge", (SIGNS, PRED)),
    ("SquaredHinge", "squared_hinge", (SIGNS, PRED)),
    ("CategoricalHinge", "categorical_hinge", (HOT, SHARES)),
    ("BinaryCrossentropy", "binary_crossentropy", (BITS, CHANCES)),
    ("BinaryFocalCrossentropy", "binary_focal_crossentropy", (BITS, CHANCES)),
    ("CategoricalCrossentropy", "categorical_crossentropy", (HOT, SHARES)),
    ("CategoricalFocalCrossentropy", "categorical_focal_crossentropy", (HOT, SHARES)),
    ("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", (CLASSES, SHARES)),
    ("Dice", "dice", (BITS, CHANCES)),
    ("Tversky", "tversky", (BITS, CHANCES)),
]
OPTIONS = [
    ("huber", {"delta": 0.5}, (TRUE, PRED)),
    ("hinge", {}, (BITS, PRED)),
    ("cosine_similarity", {"axis": 0}, (TRUE, PRED)),
    ("binary_crossentropy", {"from_logits": True}, (BITS, LOGITS)),
    ("binary_crossentropy", {"label_smoothing": 0.2}, (BITS, CHANCES)),
    ("binary_crossentropy", {"axis": 0}, (BITS, CHANCES)),
    ("binary_focal_crossentropy", {"apply_class_balancing": True}, (BITS, CHANCES)),
    ("binary_focal_crossentropy", {"gamma": 1.0, "from_logits": True}, (BITS, LOGITS)),
    ("categorical_crossentropy", {"from_logits": True}, (HOT, LOGITS)),
    ("categorical_crossentropy", {"label_smoothing": 0.1}, (HOT, SHARES)),
    ("categorical_crossentropy", {"axis": 0}, (HOT, SHARES)),
    ("categorical_crossentropy", {}, (HOT, SHARES * 5)),
    ("categorical_focal_crossentropy", {"gamma": 1.0, "alpha": 0.5}, (HOT, SHARES)),
    ("categorical_focal_crossentropy", {"from_logits": True}, (HOT, LOGITS)),
    ("sparse_categorical_crossentropy", {"from_logits": True}, (CLASSES, LOGITS)),
    ("sparse_categorical_crossentropy", {"ignore_class": 2}, (CLASSES, SHARES)),
    ("sparse_categorical_crossentropy", {"ignore_class": -1}, (STEPS - 1, SEQUENCE)),
    ("sparse_categorical_crossentropy", {}, (CLASSES[:, None].copy(), SHARES)),
    ("sparse_categorical_crossentropy", {}, (STEPS, SEQUENCE)),
    ("sparse_categorical_crossentropy", {}, (CLASSES.astype("float32"), SHARES)),
    ("dice", {"axis": 1}, (BITS, CHANCES)),
    ("tversky", {"alpha": 0.3, "beta": 0.7}, (BITS, CHANCES)),
    ("tversky", {"axis": 1}, (BITS, CHANCES)),
    ("mean_squared_error", {}, (integers(4, 3), PRED)),
    ("mean_squared_error", {}, (TRUE.astype("float64"), PRED.astype("float64"))),
    ("mean_squared_error", {}, (TRUE[:, 0].copy(), PRED[:, :1].copy())),
]
EDGES = [
    (
        "binary_crossentropy",
        {},
        (array([[0.0], [1.0], [0.0], [1.0]]), array([[0.0], [0.0], [1.0], [1.0]])),
    ),
    (
        "binary_crossentropy",
        {"from_logits": True},
        (array([[0.0], [1.0]]), array([[500.0], [-500.0]])),
    ),
    ("binary_focal_crossentropy", {}, (array([[0.0], [1.0]]), array([[1.0], [0.0]]))),
    (
        "categorical_crossentropy",
        {},
        (array([[1.0, 0.0], [1.0, 0.0]]), array([[0.0, 1.0], [1.0, 0.0]])),
    ),
    ("categorical_crossentropy", {}, (array([[1.0, 0.0]]), array([[0.0, 0.0]]))),
    (
        "categorical_crossentropy",
        {"from_logits": True},
        (array([[1.0, 0.0]]), array([[-1e4, 1e4]])),
    ),
    (
        "sparse_categorical_crossentropy",
        {},
        (array([0, 0], "int32"), array([[0.0, 1.0], [1.0, 0.0]])),
    ),
    (
        "sparse_categorical_crossentropy",
        {"from_logits": True},
        (array([0], "int32"), array([[-1e4, 1e4]])),
    ),
    ("kl_divergence", {}, (array([[0.0, 1.0]]), array([[1.0, 0.0]]))),
    ("poisson", {}, (array([[0.0, 1.0]]), array([[0.0, 0.0]]))),
    ("mean_absolute_error", {}, (array([[1.0, 2.0]]), array([[1.0, 3.0]]))),
    ("mean_absolute_percentage_error", {}, (array([[0.0, 2.0]]), array([[1.0, 3.0]]))),
    ("mean_squared_logarithmic_error", {}, (array([[-5.0, 2.0]]), array([[-1.0, 0.0]]))),
    ("cosine_similarity", {}, (array([[0.0, 0.0]]), array([[1.0, 2.0]]))),
    ("cosine_similarity", {}, (array([[1.0, 2.0]]), array([[0.0, 0.0]]))),
    ("huber", {}, (array([[0.0, 0.0, 0.0]]), array([[1.0, -1.0, 0.0]]))),
    ("log_cosh", {}, (array([[0.0, 0.0]]), array([[500.0, -500.0]]))),
    ("hinge", {}, (array([[1.0, -1.0]]), array([[1.0, -1.0]]))),
    ("dice", {}, (array([[0.0, 0.0]]), array([[0.0, 0.0]]))),
]

# Logits whose probabilities are 0 and 1 in float32.
WIDE = array([[50, -50, 3], [-50, 50, 0], [200, -200, 1], [1, 2, 3]])
WRONG = array([1, 0, 1, 2], "int32")
WRONG_HOT, WRONG_BITS = one_hot(WRONG, 3), array([[0, 1, 1], [1, 0, 0], [0, 1, 0], [1, 1, 1]])
SATURATED = [
    ("binary_crossentropy", {}, WRONG_BITS),
    ("binary_crossentropy", {"label_smoothing": 0.2}, WRONG_BITS),
    ("binary_focal_crossentropy", {}, WRONG_BITS),
    ("categorical_crossentropy", {}, WRONG_HOT),
    ("categorical_crossentropy", {"label_smoothing": 0.1}, WRONG_HOT),
    ("categorical_focal_crossentropy", {}, WRONG_HOT),
    ("sparse_categorical_crossentropy", {}, WRONG),
    ("sparse_categorical_crossentropy", {"ignore_class": 2}, WRONG),
    ("BinaryCrossentropy", {}, WRONG_BITS),
    ("BinaryFocalCrossentropy", {}, WRONG_BITS),
    ("CategoricalCrossentropy", {}, WRONG_HOT),
    ("CategoricalCrossentropy", {"dtype": "float64"}, WRONG_HOT),
    ("SparseCategoricalCrossentropy", {}, WRONG),
]


def case(name, loss, kwargs, pair, sample_weight=None, activation="linear", **more):
    y_true, y_pred = pair
    spec = {"loss": loss, "kwargs": kwargs, "y_true": y_true, "y_pred": y_pred}
    spec |= {"sample_weight": sample_weight, "activation": activation}
    return Case(FAMILY, name, spec, **more)


CASES = []
for kind, function, pair in KINDS:
    CASES += [
        case(f"{kind}_{reduction}", kind, {"reduction": reduction}, pair)
        for reduction in REDUCTIONS
    ]
    if kind not in ("Dice", "Tversky"):  # their value is one number for the batch
        CASES += [
            case(f"{kind}_{reduction}_weighted", kind, {"reduction": reduction}, pair, WEIGHTS)
            for reduction in REDUCTIONS[:5]
        ]
    CASES += [case(function, function, {}, pair)]
CASES += [
    case(f"{loss}_option_{number}", loss, kwargs, pair)
    for number, (loss, kwargs, pair) in enumerate(OPTIONS)
]
CASES += [
    case(f"{loss}_edge_{number}", loss, kwargs, pair, free=("y", "grad"))
    for number, (loss, kwargs, pair) in enumerate(EDGES)
]
CASES += [
    case(f"{activation}_{loss}_{number}", loss, kwargs, (target, WIDE), activation=activation)
    for number, (loss, kwargs, target) in enumerate(SATURATED)
    for activation in ("softmax", "sigmoid")
]
CASES += [
    case("weights_column", "MeanSquaredError", {}, (TRUE, PRED), WEIGHTS[:, None].copy()),
    case("weights_scalar", "MeanSquaredError", {}, (TRUE, PRED), 2.0),
    case("weights_all_zero", "MeanSquaredError", {}, (TRUE, PRED), np.zeros(4, "float32")),
    case(
        "weights_all_zero_mean",
        "MeanSquaredError",
        {"reduction": "mean_with_sample_weight"},
        (TRUE, PRED),
        np.zeros(4, "float32"),
    ),
    case(
        "weights_of_steps",
        "SparseCategoricalCrossentropy",
        {},
        (STEPS, SEQUENCE),
        integers(2, 4, high=3, seed=12, dtype="float32"),
    ),
    case("dtype_float64", "MeanSquaredError", {"dtype": "float64"}, (TRUE, PRED)),
    case(
        "dtype_float16",
        "MeanSquaredError",
        {"dtype": "float16"},
        (TRUE, PRED),
        tolerance=2e-3,
        why="the float32 gradient went through float16",
    ),
    case("smoothed", "CategoricalCrossentropy", {"label_smoothing": 0.1}, (HOT, SHARES), WEIGHTS),
    case("ignored", "SparseCategoricalCrossentropy", {"ignore_class": 2}, (CLASSES, SHARES)),
    case(
        "ignored_weighted",
        "SparseCategoricalCrossentropy",
        {"ignore_class": 2, "reduction": "mean_with_sample_weight"},
        (CLASSES, SHARES),
        WEIGHTS,
    ),
]
