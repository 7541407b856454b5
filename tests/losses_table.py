"""The table of losses: one row or more for each, with what NumPy computes for every sample."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.rows import numbers, positive

TRUE, PRED = numbers(4, 3, seed=1), numbers(4, 3, low=-1.7, seed=2)
COUNTS, RATES = positive(4, 3, seed=3), positive(4, 3, seed=4)
SHARES = positive(4, 3, seed=5) / positive(4, 3, seed=5).sum(-1, keepdims=True)
TRUE_SHARES = positive(4, 3, seed=6) / positive(4, 3, seed=6).sum(-1, keepdims=True)
LOGITS = numbers(4, 3, low=-3, high=3, seed=7)
LABELS = np.array([0, 2, 1, 2])
HOT = np.eye(3)[LABELS]
BITS = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1]], float)
SIGNS = 2 * BITS - 1
CHANCES = numbers(4, 3, low=0.05, high=0.95, seed=8)
EPSILON = 1e-7


@dataclass
class Row:
    """One loss: the class, the function of the same meaning, and an oracle.

    Args:
        name: the class.
        function: the function.
        inputs: y_true and y_pred in float64 (or integer labels).
        oracle: computes the losses of the samples from them.
        options: what function and class are both given.
    """

    name: str
    function: str
    inputs: tuple[np.ndarray, np.ndarray]
    oracle: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def crossentropy(t, p):
    return -(t * np.log(p / p.sum(-1, keepdims=True))).sum(-1)


def bits(t, p):
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def cosine(t, p):
    return -(t * p).sum(-1) / np.linalg.norm(t, axis=-1) / np.linalg.norm(p, axis=-1)


def huber(t, p, delta=1.0):
    error = np.abs(t - p)
    return np.where(error <= delta, error**2 / 2, delta * (error - delta / 2)).mean(-1)


def focal(t, p):
    return ((1 - np.where(t == 1, p, 1 - p)) ** 2 * bits(t, p)).mean(-1)


def balanced_focal(t, p):
    weight = np.where(t == 1, 0.4, 0.6) * (1 - np.where(t == 1, p, 1 - p)) ** 3
    return (weight * bits(t, p)).mean(-1)


def tversky(t, p, alpha=0.5, beta=0.5):
    both = (t * p).sum()
    return 1 - both / (both + alpha * (t * (1 - p)).sum() + beta * (p * (1 - t)).sum() + EPSILON)


def ignoring(t, p):
    return np.where(t == 2, 0, -np.log(p[np.arange(4), t]))


ROWS = [
    Row(
        "MeanSquaredError", "mean_squared_error", (TRUE, PRED),
        lambda t, p: ((t - p) ** 2).mean(-1),
    ),
    Row("MeanAbsoluteError", "mean_absolute_error", (TRUE, PRED), lambda t, p: abs(t - p).mean(-1)),
    Row(
        "MeanAbsolutePercentageError", "mean_absolute_percentage_error", (COUNTS, PRED),
        lambda t, p: 100 * abs((t - p) / t).mean(-1),
    ),
    Row(
        "MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", (COUNTS, RATES),
        lambda t, p: (np.log((1 + t) / (1 + p)) ** 2).mean(-1),
    ),
    Row("Huber", "huber", (TRUE, PRED), huber),
    Row("Huber", "huber", (TRUE, PRED), lambda t, p: huber(t, p, 0.3), {"delta": 0.3}),
    Row("LogCosh", "log_cosh", (TRUE, PRED), lambda t, p: np.log(np.cosh(t - p)).mean(-1)),
    Row("CosineSimilarity", "cosine_similarity", (TRUE, PRED), cosine),
    Row(
        "CosineSimilarity", "cosine_similarity", (TRUE, PRED), lambda t, p: cosine(t.T, p.T),
        {"axis": 0},
    ),
    Row("Poisson", "poisson", (COUNTS, RATES), lambda t, p: (p - t * np.log(p)).mean(-1)),
    Row(
        "KLDivergence", "kl_divergence", (TRUE_SHARES, SHARES),
        lambda t, p: (t * np.log(t / p)).sum(-1),
    ),
    Row("Hinge", "hinge", (SIGNS, PRED), lambda t, p: np.maximum(1 - t * p, 0).mean(-1)),
    Row("Hinge", "hinge", (BITS, PRED), lambda t, p: np.maximum(1 - (2 * t - 1) * p, 0).mean(-1)),
    Row(
        "SquaredHinge", "squared_hinge", (SIGNS, PRED),
        lambda t, p: (np.maximum(1 - t * p, 0) ** 2).mean(-1),
    ),
    Row(
        "CategoricalHinge", "categorical_hinge", (HOT, PRED),
        lambda t, p: np.maximum(((1 - t) * p).max(-1) - (t * p).sum(-1) + 1, 0),
    ),
    Row(
        "BinaryCrossentropy", "binary_crossentropy", (BITS, CHANCES),
        lambda t, p: bits(t, p).mean(-1),
    ),
    Row(
        "BinaryCrossentropy", "binary_crossentropy", (BITS, LOGITS),
        lambda t, p: bits(t, sigmoid(p)).mean(-1), {"from_logits": True},
    ),
    Row(
        "BinaryCrossentropy", "binary_crossentropy", (BITS, CHANCES),
        lambda t, p: bits(0.8 * t + 0.1, p).mean(0), {"label_smoothing": 0.2, "axis": 0},
    ),
    Row("BinaryFocalCrossentropy", "binary_focal_crossentropy", (BITS, CHANCES), focal),
    Row(
        "BinaryFocalCrossentropy", "binary_focal_crossentropy", (BITS, LOGITS),
        lambda t, p: balanced_focal(t, sigmoid(p)),
        {"apply_class_balancing": True, "alpha": 0.4, "gamma": 3.0, "from_logits": True},
    ),
    Row("CategoricalCrossentropy", "categorical_crossentropy", (HOT, RATES), crossentropy),
    Row(
        "CategoricalCrossentropy", "categorical_crossentropy", (HOT, LOGITS),
        lambda t, p: crossentropy(0.7 * t + 0.1, softmax(p)),
        {"from_logits": True, "label_smoothing": 0.3},
    ),
    Row(
        "CategoricalFocalCrossentropy", "categorical_focal_crossentropy", (HOT, SHARES),
        lambda t, p: -(0.25 * (1 - p) ** 2 * t * np.log(p)).sum(-1),
    ),
    Row(
        "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", (LABELS, SHARES),
        lambda t, p: -np.log(p[np.arange(4), t]),
    ),
    Row(
        "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", (LABELS, LOGITS),
        lambda t, p: -np.log(softmax(p)[np.arange(4), t]), {"from_logits": True},
    ),
    Row(
        "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", (LABELS, SHARES),
        ignoring, {"ignore_class": 2},
    ),
    Row("Dice", "dice", (BITS, CHANCES), tversky),
    Row("Tversky", "tversky", (BITS, CHANCES), tversky),
    Row(
        "Tversky", "tversky", (BITS, CHANCES), lambda t, p: tversky(t, p, 0.3, 0.8),
        {"alpha": 0.3, "beta": 0.8},
    ),
]  # fmt: skip
