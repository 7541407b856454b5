"""Divide a data set into a training and a test part, in Keras' order."""

import numpy as np

Split = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def shuffle_and_split(x: np.ndarray, y: np.ndarray, test_split: float, seed: int) -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, shuffled, the last `test_split` to test."""
    if not 0 <= test_split < 1:
        raise ValueError(f"test_split: expected at least 0 and less than 1, got {test_split}.")
    order = np.arange(len(x))
    np.random.RandomState(seed).shuffle(order)
    x, y = x[order], y[order]
    count = int(len(x) * (1 - test_split))
    return (x[:count], y[:count]), (x[count:], y[count:])
