"""Take data sets from scikit-learn, which is loaded only when one is asked for."""

import tempfile
from pathlib import Path

import numpy as np


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's own 1797 images of 8x8 pixels, values 0 to 16, and their labels."""
    images, labels = _datasets().load_digits(return_X_y=True)
    return images.reshape(-1, 8, 8).astype(np.uint8), labels.astype(np.uint8)


def fetch_california_housing(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Download 20,640 rows of 8 features and their targets; leave nothing in `folder`.

    scikit-learn caches what it downloads as a pickle. Working in a fresh folder, it never reads
    one that somebody else put there.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".california") as fresh:
        return _datasets().fetch_california_housing(data_home=fresh, return_X_y=True)


def _datasets():
    try:
        import sklearn.datasets
    except ImportError as error:
        raise ImportError(
            "minikeras.datasets: expected scikit-learn, which this data set comes from, found "
            "none. Install it with `pip install scikit-learn`."
        ) from error
    return sklearn.datasets
