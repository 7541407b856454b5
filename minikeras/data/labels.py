"""Encode labels, and scale rows of NumPy arrays."""

from typing import Any

import numpy as np


def to_categorical(x: Any, num_classes: int | None = None) -> Any:
    """Return one-hot rows of float64 for class numbers; the last axis has `num_classes`.

    An axis of length 1 at the end is dropped first. Raises `ValueError` for numbers below 0 or
    not below `num_classes`.
    """
    labels = np.array(x, dtype=np.int64)
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    flat = labels.ravel()
    count = int(flat.max(initial=-1)) + 1 if num_classes is None else int(num_classes)
    wrong = flat[(flat < 0) | (flat >= count)]
    if wrong.size:
        raise ValueError(
            f"to_categorical: expected class numbers in [0, {count}), got {wrong[0]}. "
            "Pass num_classes= above the largest."
        )
    rows = np.zeros((flat.size, count))
    rows[np.arange(flat.size), flat] = 1
    return rows.reshape((*shape, count))


def normalize(x: Any, axis: int = -1, order: int = 2) -> Any:
    """Divide by the norm of the given order along `axis`; zero vectors stay."""
    x = np.asarray(x)
    length = np.linalg.norm(x, ord=order, axis=axis, keepdims=True)
    return x / np.where(length == 0, 1, length)
