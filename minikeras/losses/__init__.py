"""Losses: functions that give every sample a loss, and classes that reduce a batch to one."""

from typing import Any

from minikeras import registry
from minikeras.losses.base import Loss, LossFunctionWrapper
from minikeras.losses.classification import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    Dice,
    Hinge,
    SparseCategoricalCrossentropy,
    SquaredHinge,
    Tversky,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    dice,
    hinge,
    sparse_categorical_crossentropy,
    squared_hinge,
    tversky,
)
from minikeras.losses.regression import (
    CosineSimilarity,
    Huber,
    KLDivergence,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    cosine_similarity,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
)

# Classes first: a name in snake case means the function.
registry.add(
    "loss",
    "keras.losses",
    Loss, LossFunctionWrapper,
    BinaryCrossentropy, BinaryFocalCrossentropy, CategoricalCrossentropy,
    CategoricalFocalCrossentropy, CategoricalHinge, CosineSimilarity, Dice, Hinge, Huber,
    KLDivergence, LogCosh, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError,
    MeanSquaredLogarithmicError, Poisson, SparseCategoricalCrossentropy, SquaredHinge, Tversky,
    binary_crossentropy, binary_focal_crossentropy, categorical_crossentropy,
    categorical_focal_crossentropy, categorical_hinge, cosine_similarity, dice, hinge, huber,
    kl_divergence, log_cosh, mean_absolute_error, mean_absolute_percentage_error,
    mean_squared_error, mean_squared_logarithmic_error, poisson, sparse_categorical_crossentropy,
    squared_hinge, tversky,
    bce=binary_crossentropy, BCE=binary_crossentropy,
    kld=kl_divergence, KLD=kl_divergence, kullback_leibler_divergence=kl_divergence,
    mae=mean_absolute_error, MAE=mean_absolute_error,
    mape=mean_absolute_percentage_error, MAPE=mean_absolute_percentage_error,
    mse=mean_squared_error, MSE=mean_squared_error,
    msle=mean_squared_logarithmic_error, MSLE=mean_squared_logarithmic_error,
    logcosh=log_cosh,
)  # fmt: skip


def get(identifier: Any) -> Any:
    """Return the loss that a name, a config, a class, a function or a Loss means."""
    if isinstance(identifier, dict) and identifier.get("class_name") == "function":
        return registry.find("loss", identifier["config"])
    return registry.get("loss", identifier)


def serialize(loss: Any) -> Any:
    """Return a loss' config: module, class name and constructor arguments; a function's name."""
    config = registry.serialize_keras_object(loss)
    if not isinstance(config, str) or isinstance(loss, str):
        return config
    return {
        "module": "builtins",
        "class_name": "function",
        "config": config,
        "registered_name": "function",
    }


def deserialize(name: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the loss that `serialize` described; a name means a function or class itself."""
    with registry.CustomObjectScope(custom_objects or {}):
        return registry.find("loss", name) if isinstance(name, str) else get(name)
