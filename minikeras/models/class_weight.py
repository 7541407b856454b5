"""Turn weights of classes into weights of samples."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras.core.tensor import EagerTensor
from minikeras.models.batches import Batch


def weighing(class_weight: dict[int, float] | None) -> Callable[[Batch], Batch] | None:
    """Return what to do with each batch: give its samples the weights of their classes."""
    if class_weight is None:
        return None
    return lambda batch: (batch[0], batch[1], weigh_classes(class_weight, batch[1], batch[2]))


def weigh_classes(class_weight: dict[int, float], y: Any, sample_weight: Any) -> EagerTensor:
    """Return the weight of each sample's class.

    Args:
        class_weight: weight by class number; classes that are not listed weigh 1.
        y: class numbers of shape `(batch,)` or `(batch, 1)`, or one-hot rows.
        sample_weight: None; there may not be both.
    """
    if not isinstance(class_weight, dict):
        raise TypeError(
            "fit: expected class_weight as a dict of weights by class number, got "
            f"{class_weight!r}. Say dict(enumerate(weights))."
        )
    if sample_weight is not None:
        raise ValueError(
            "fit: expected either class_weight or sample_weight, got both. Multiply them into one "
            "sample_weight."
        )
    if not hasattr(y, "shape"):
        raise ValueError(
            f"fit: expected a single target to use class_weight with, got {type(y).__name__}."
        )
    labels = np.asarray(y)
    if labels.ndim > 1:
        labels = labels[..., 0] if labels.shape[-1] == 1 else labels.argmax(-1)
    labels = np.round(labels).astype(np.int64)
    weights = np.ones(labels.shape, np.float32)
    for number, weight in class_weight.items():
        weights[labels == number] = weight
    return EagerTensor(weights)
