"""Metrics: numbers computed over many batches, and how to find one by name."""

from typing import Any

from minikeras import registry
from minikeras.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from minikeras.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from minikeras.metrics.averages import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    PearsonCorrelation,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    pearson_correlation,
)
from minikeras.metrics.base import Metric
from minikeras.metrics.confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from minikeras.metrics.curves import (
    AUC,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from minikeras.metrics.reduction import Mean, MeanMetricWrapper, Sum
from minikeras.metrics.scores import BinaryIoU, F1Score, FBetaScore, IoU, MeanIoU, R2Score

# Functions first: a name in snake case means the class where there is one.
registry.add(
    "metric",
    "keras.metrics",
    binary_accuracy, categorical_accuracy, sparse_categorical_accuracy,
    top_k_categorical_accuracy, sparse_top_k_categorical_accuracy, pearson_correlation,
    binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy,
    categorical_focal_crossentropy, categorical_hinge, hinge, huber, kl_divergence, log_cosh,
    mean_absolute_error, mean_absolute_percentage_error, mean_squared_error,
    mean_squared_logarithmic_error, poisson, sparse_categorical_crossentropy, squared_hinge,
    Metric, Mean, Sum, MeanMetricWrapper,
    Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy,
    TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy,
    MeanSquaredError, RootMeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError,
    MeanSquaredLogarithmicError, LogCoshError, CosineSimilarity, PearsonCorrelation, R2Score,
    Poisson, KLDivergence, Hinge, SquaredHinge, CategoricalHinge,
    BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy,
    TruePositives, TrueNegatives, FalsePositives, FalseNegatives, Precision, Recall,
    AUC, PrecisionAtRecall, RecallAtPrecision, SensitivityAtSpecificity, SpecificityAtSensitivity,
    FBetaScore, F1Score, IoU, BinaryIoU, MeanIoU,
    bce=BinaryCrossentropy, BCE=BinaryCrossentropy,
    mse=MeanSquaredError, MSE=MeanSquaredError,
    mae=MeanAbsoluteError, MAE=MeanAbsoluteError,
    mape=MeanAbsolutePercentageError, MAPE=MeanAbsolutePercentageError,
    msle=MeanSquaredLogarithmicError, MSLE=MeanSquaredLogarithmicError,
)  # fmt: skip


def get(identifier: Any) -> Any:
    """Return the metric that a name, a config, a class, a function or a Metric means."""
    return registry.get("metric", identifier)


def serialize(metric: Any) -> Any:
    """Return a metric's config: module, class name and constructor arguments."""
    return registry.serialize_keras_object(metric)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the metric that `serialize` described; its state is not part of a config."""
    with registry.CustomObjectScope(custom_objects or {}):
        return get(config)


def resolve_accuracy(name: str, y_true_shape: Any, y_pred_shape: Any) -> str:
    """Return the metric or loss that `"accuracy"`, `"acc"`, `"crossentropy"` or `"ce"` means.

    One prediction a sample is binary; labels with fewer axes, or a last axis of 1, are sparse.
    """
    kind = "crossentropy" if name.lower() in ("crossentropy", "ce") else "accuracy"
    last = y_pred_shape[-1] if y_pred_shape else 1
    if last == 1:
        return f"binary_{kind}"
    if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        return f"sparse_categorical_{kind}"
    return f"categorical_{kind}"
