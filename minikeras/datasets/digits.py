"""Digits: 1797 handwritten digits of 8x8 pixels that come with scikit-learn, no network needed."""

from minikeras.datasets.scikit import load_digits
from minikeras.datasets.splitting import Split, shuffle_and_split


def load_data(test_split: float = 0.2, seed: int = 113) -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`: 1437 and 360 digits by default.

    Images are uint8 of shape (n, 8, 8) with values from 0 to 16, labels uint8 of shape (n,).

    Args:
        test_split: the part of the data that goes to the test set, 0 to less than 1.
        seed: seed of the shuffling before the split.
    """
    return shuffle_and_split(*load_digits(), test_split, seed)
