"""Turn weights of classes into weights of samples."""

from typing import Any

import numpy as np

from minikeras.core.tensor import EagerTensor


def weigh_classes(class_weight: dict[int, float], y: Any, sample_weight: Any) -> EagerTensor:
    """Return the weight of each sample's class, times its sample weight if there is one.

    Args:
        class_weight: weight by class number; classes that are not listed weigh 1.
        y: class numbers of shape `(batch,)` or `(batch, 1)`, or one-hot rows.
        sample_weight: weights of shape `(batch,)` or None.
    """
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
    if sample_weight is not None:
        weights *= np.asarray(sample_weight, np.float32)
    return EagerTensor(weights)
