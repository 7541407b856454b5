"""Metrics: the result after each of three updates, with and without sample weights."""

import numpy as np

from tests.golden.recipe import (
    Case,
    array,
    flatten,
    integers,
    normal,
    one_hot,
    plain,
    probabilities,
)

FAMILY = "metrics"


def batches(make):
    """Make three batches of (y_true, y_pred)."""
    return [make(seed) for seed in (1, 2, 3)]


def bits(seed):
    chances = np.clip(np.abs(normal(5, 3, seed=seed)) / 2, 0.02, 0.98).astype("float32")
    return integers(5, 3, high=2, seed=seed, dtype="float32"), chances


REAL = batches(lambda seed: (normal(5, 3, seed=seed), normal(5, 3, seed=seed + 10)))
POSITIVE = batches(
    lambda s: (np.abs(normal(5, 3, seed=s)), np.abs(normal(5, 3, seed=s + 10)) + 0.1)
)
BITS = batches(bits)
COLUMN = batches(lambda seed: tuple(part[:, :1].copy() for part in bits(seed)))
CLASSES = batches(lambda s: (integers(5, high=4, seed=s), probabilities(5, 4, seed=s)))
HOT = [(one_hot(labels, 4), shares) for labels, shares in CLASSES]
LABELS = batches(lambda s: (integers(5, high=3, seed=s), integers(5, high=3, seed=s + 10)))
SIGNS = batches(lambda s: (2 * bits(s)[0] - 1, normal(5, 3, seed=s)))
SHARES = batches(lambda s: (probabilities(5, 3, seed=s), probabilities(5, 3, seed=s + 10)))
LOGITS = batches(lambda s: (integers(5, high=4, seed=s), normal(5, 4, seed=s, scale=2.0)))
HOT_LOGITS = [(one_hot(labels, 4), logits) for labels, logits in LOGITS]
VALUES = batches(lambda seed: (normal(5, seed=seed),))
WEIGHTS = array([0.5, 0.0, 2.0, 1.0, 1.5])
COUNTS = array([1, 0, 2, 1, 3], "int32")


def run(keras, tf, metric, kwargs, updates, weights=None):
    """Return the result after each update, the variables, and the result after a reset.

    A metric function is called once, on `updates`.
    """
    found = getattr(keras.metrics, metric)
    if not isinstance(found, type):
        return flatten(keras, {"y": found(*updates, **kwargs)})
    made = found(**kwargs)
    # Everything is read at once: a result may be a variable, which the next update changes.
    results = {"name": made.name}
    if metric not in ("R2Score", "F1Score", "FBetaScore"):  # these wait for a shape
        results["empty"] = plain(keras, made.result())
    for number, update in enumerate(updates):
        made.update_state(*update, **({} if weights is None else {"sample_weight": weights}))
        results[f"result.{number}"] = plain(keras, made.result())
    results["variables"] = flatten(keras, list(made.variables))
    made.reset_state()
    results["reset"] = made.result()
    return flatten(keras, results)


# metric, arguments, updates
TABLE = [
    ("Mean", {}, VALUES),
    ("Sum", {}, VALUES),
    ("Accuracy", {}, LABELS),
    ("BinaryAccuracy", {}, COLUMN),
    ("BinaryAccuracy", {}, BITS),
    ("BinaryAccuracy", {"threshold": 0.3}, BITS),
    ("CategoricalAccuracy", {}, HOT),
    ("SparseCategoricalAccuracy", {}, CLASSES),
    ("SparseCategoricalAccuracy", {}, [(y[:, None].copy(), p) for y, p in CLASSES]),
    ("TopKCategoricalAccuracy", {"k": 2}, HOT),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, CLASSES),
    ("SparseTopKCategoricalAccuracy", {}, [(y, np.hstack([p, p])) for y, p in CLASSES]),
    ("MeanSquaredError", {}, REAL),
    ("MeanAbsoluteError", {}, REAL),
    ("RootMeanSquaredError", {}, REAL),
    ("MeanAbsolutePercentageError", {}, REAL),
    ("MeanSquaredLogarithmicError", {}, POSITIVE),
    ("CosineSimilarity", {}, REAL),
    ("LogCoshError", {}, REAL),
    ("Poisson", {}, POSITIVE),
    ("KLDivergence", {}, SHARES),
    ("Hinge", {}, SIGNS),
    ("SquaredHinge", {}, SIGNS),
    ("CategoricalHinge", {}, HOT),
    ("BinaryCrossentropy", {}, BITS),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, BITS),
    ("CategoricalCrossentropy", {}, HOT),
    ("CategoricalCrossentropy", {"from_logits": True}, HOT_LOGITS),
    ("SparseCategoricalCrossentropy", {}, CLASSES),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, LOGITS),
    ("SparseCategoricalCrossentropy", {"ignore_class": 1}, CLASSES),
    ("TruePositives", {}, BITS),
    ("TrueNegatives", {}, BITS),
    ("FalsePositives", {}, BITS),
    ("FalseNegatives", {"thresholds": [0.2, 0.6]}, BITS),
    ("Precision", {}, BITS),
    ("Precision", {"thresholds": 0.3}, BITS),
    ("Precision", {"thresholds": [0.2, 0.5, 0.8]}, BITS),
    ("Precision", {"class_id": 1}, BITS),
    ("Precision", {"top_k": 2}, HOT),
    ("Precision", {"top_k": 2, "class_id": 1}, HOT),
    ("Recall", {}, BITS),
    ("Recall", {"thresholds": [0.2, 0.5, 0.8]}, BITS),
    ("Recall", {"class_id": 1}, BITS),
    ("Recall", {"top_k": 2}, HOT),
    ("Recall", {"top_k": 2, "class_id": 1}, HOT),
    ("AUC", {}, BITS),
    ("AUC", {"num_thresholds": 5}, BITS),
    ("AUC", {"curve": "PR"}, BITS),
    ("AUC", {"curve": "PR", "summation_method": "minoring", "num_thresholds": 10}, BITS),
    ("AUC", {"summation_method": "majoring", "num_thresholds": 10}, BITS),
    ("AUC", {"thresholds": [0.25, 0.5, 0.75]}, BITS),
    ("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 20}, COLUMN),
    ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 20}, COLUMN),
    ("SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 20}, COLUMN),
    ("SpecificityAtSensitivity", {"sensitivity": 0.5, "num_thresholds": 20}, COLUMN),
    ("R2Score", {}, REAL),
    ("R2Score", {"class_aggregation": None}, REAL),
    ("R2Score", {"class_aggregation": "variance_weighted_average"}, REAL),
]
# These keep integer counts, so their weights are integers.
COUNTING = [
    ("MeanIoU", {"num_classes": 3}, LABELS),
    ("IoU", {"num_classes": 3, "target_class_ids": [0, 2]}, LABELS),
    ("BinaryIoU", {"threshold": 0.4}, COLUMN),
]
UNWEIGHTED = [
    ("AUC", {"multi_label": True, "num_labels": 3, "num_thresholds": 10}, BITS),
    ("AUC", {"from_logits": True, "num_thresholds": 10}, [(y, p * 4 - 2) for y, p in BITS]),
    ("F1Score", {}, HOT),
    ("F1Score", {"average": "macro", "threshold": 0.5}, BITS),
    ("F1Score", {"average": "micro", "threshold": 0.5}, BITS),
    ("FBetaScore", {"beta": 2.0, "average": "weighted", "threshold": 0.3}, BITS),
    ("PearsonCorrelation", {}, REAL),
    ("Mean", {"dtype": "float64"}, VALUES),
    ("Mean", {"name": "mine"}, [(3.0,), ([1.0, 2.0],), (array([[1], [2]], "int32"),)]),
    ("Mean", {}, [(array([]),)]),
    ("Precision", {}, [(array([0.0, 0.0]), array([0.1, 0.2]))]),
    ("BinaryAccuracy", {}, [(array([[0.0], [1.0]]), array([[0.5], [0.5]]))]),
    ("TopKCategoricalAccuracy", {"k": 1}, [(array([[0, 0, 1.0]]), array([[0.5, 0.5, 0.5]]))]),
    ("CategoricalAccuracy", {}, [(array([[0, 1.0]]), array([[0.5, 0.5]]))]),
]
FUNCTIONS = [
    ("binary_accuracy", {}, BITS[0]),
    ("binary_accuracy", {"threshold": 0.2}, COLUMN[0]),
    ("categorical_accuracy", {}, HOT[0]),
    ("sparse_categorical_accuracy", {}, CLASSES[0]),
    ("top_k_categorical_accuracy", {"k": 2}, HOT[0]),
    ("sparse_top_k_categorical_accuracy", {"k": 2}, CLASSES[0]),
    ("pearson_correlation", {}, REAL[0]),
]


def cases(table, suffix="", **more):
    """Number the cases of each metric."""
    seen = {}
    for metric, kwargs, updates in table:
        number = seen[metric] = seen.get(metric, 0) + 1
        spec = {"metric": metric, "kwargs": kwargs, "updates": updates} | more
        yield Case(FAMILY, f"{metric}_{number}{suffix}", spec)


CASES = [*cases(TABLE), *cases(TABLE, "_weighted", weights=WEIGHTS)]
CASES += [*cases(COUNTING), *cases(COUNTING, "_weighted", weights=COUNTS)]
CASES += [*cases(UNWEIGHTED, "_more"), *cases(FUNCTIONS)]
