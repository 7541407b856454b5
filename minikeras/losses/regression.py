"""Losses of numbers, of distributions and of directions.

Every function takes `y_true` and `y_pred` of one shape and averages or sums over the last axis; the
class of the same name makes a `Loss` of it.
"""

import math
from typing import Any

from minikeras import config
from minikeras.losses.base import LossFunctionWrapper, matched
from minikeras.ops.activations import softplus
from minikeras.ops.elementwise import (
    absolute,
    clip,
    log,
    maximum,
    square,
    squared_difference,
    where,
)
from minikeras.ops.normalization import normalize
from minikeras.ops.reduction import mean, sum

_MEAN = "sum_over_batch_size"


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """Compute `mean((y_true - y_pred)**2)` over the last axis."""
    return mean(squared_difference(*matched("mean_squared_error", y_true, y_pred)), axis=-1)


class MeanSquaredError(LossFunctionWrapper):
    """The mean of squared errors."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_squared_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """Compute `mean(abs(y_true - y_pred))` over the last axis."""
    y_true, y_pred = matched("mean_absolute_error", y_true, y_pred)
    return mean(absolute(y_true - y_pred), axis=-1)


class MeanAbsoluteError(LossFunctionWrapper):
    """The mean of absolute errors."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "mean_absolute_error", dtype: Any = None
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """Compute `100 * mean(abs((y_true - y_pred) / y_true))`; divisors are at least `epsilon()`."""
    y_true, y_pred = matched("mean_absolute_percentage_error", y_true, y_pred)
    size = maximum(absolute(y_true), config.epsilon())
    return 100.0 * mean(absolute((y_true - y_pred) / size), axis=-1)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """The mean of absolute errors in percent of the targets."""

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "mean_absolute_percentage_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """Compute `mean((log(y_true + 1) - log(y_pred + 1))**2)`, of values at least `epsilon()`."""
    pair = matched("mean_squared_logarithmic_error", y_true, y_pred)
    logs = [log(maximum(y, config.epsilon()) + 1.0) for y in pair]
    return mean(squared_difference(*logs), axis=-1)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """The mean of squared errors of logarithms."""

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str = "mean_squared_logarithmic_error",
        dtype: Any = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Average `error**2 / 2` where errors are at most `delta`, and a tangent line beyond."""
    y_true, y_pred = matched("huber", y_true, y_pred)
    error = absolute(y_pred - y_true)
    losses = where(error <= delta, 0.5 * square(error), delta * error - 0.5 * delta * delta)
    return mean(losses, axis=-1)


class Huber(LossFunctionWrapper):
    """Squares of small errors, absolute values of errors above `delta`."""

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = _MEAN,
        name: str = "huber_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """Compute `mean(log(cosh(y_pred - y_true)))` over the last axis, without overflow."""
    y_true, y_pred = matched("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return mean(error + softplus(-2.0 * error) - math.log(2), axis=-1)


class LogCosh(LossFunctionWrapper):
    """The logarithm of the hyperbolic cosine of errors: smooth, and linear for large ones."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "log_cosh", dtype: Any = None
    ) -> None:
        super().__init__(log_cosh, reduction, name, dtype)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """Compute the cosine of the angle between vectors along `axis`, times -1."""
    y_true, y_pred = matched("cosine_similarity", y_true, y_pred)
    return -sum(normalize(y_true, axis=axis) * normalize(y_pred, axis=axis), axis=axis)


class CosineSimilarity(LossFunctionWrapper):
    """The cosine of the angle between vectors, times -1: -1 is the same direction."""

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str = "cosine_similarity",
        dtype: Any = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """Compute `mean(y_pred - y_true * log(y_pred + epsilon()))` over the last axis."""
    y_true, y_pred = matched("poisson", y_true, y_pred)
    return mean(y_pred - y_true * log(y_pred + config.epsilon()), axis=-1)


class Poisson(LossFunctionWrapper):
    """The negative log-likelihood of counts under Poisson distributions of mean `y_pred`."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "poisson", dtype: Any = None
    ) -> None:
        super().__init__(poisson, reduction, name, dtype)


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """Compute `sum(y_true * log(y_true / y_pred))`, of values limited to `[epsilon(), 1]`."""
    pair = matched("kl_divergence", y_true, y_pred)
    y_true, y_pred = (clip(y, config.epsilon(), 1.0) for y in pair)
    return sum(y_true * log(y_true / y_pred), axis=-1)


class KLDivergence(LossFunctionWrapper):
    """The Kullback-Leibler divergence of predicted from true distributions."""

    def __init__(
        self, reduction: str | None = _MEAN, name: str = "kl_divergence", dtype: Any = None
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)
