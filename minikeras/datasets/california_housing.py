"""California housing: median house values of 20,640 districts in 1990, with 8 features each."""

import io
from pathlib import Path

import numpy as np

from minikeras.atomic import write_file
from minikeras.datasets.fetch import cache_folder
from minikeras.datasets.formats import corrupt, read_npz
from minikeras.datasets.scikit import fetch_california_housing
from minikeras.datasets.splitting import Split, shuffle_and_split

_NAME = "california_housing.npz"


def load_data(
    version: str = "large", path: str = _NAME, test_split: float = 0.2, seed: int = 113
) -> Split:
    """Return `(x_train, y_train), (x_test, y_test)`, float32; targets are in dollars.

    Features are those that Keras' documentation lists, in scikit-learn's order: median income,
    house age, rooms, bedrooms (both a household), population, occupants, latitude, longitude.
    (Keras' own file has others: totals instead of averages, longitude first.)

    Args:
        version: `"large"` for all 20,640 rows, `"small"` for the first 600.
        path: an NPZ file with `x` (n, 8) and `y` (n,). One that is not there is fetched through
            scikit-learn and kept in our cache under this name.
        test_split: the part of the data that goes to the test set, 0 to less than 1.
        seed: seed of the shuffling before the split.

    Raises:
        CorruptFileError: if the file is damaged or holds something else.
        ConnectionError: if the file is not there and cannot be fetched.
    """
    if version not in ("large", "small"):
        raise ValueError(f"version: expected 'large' or 'small', got {version!r}.")
    x, y = _read(_find(path))
    rows = 600 if version == "small" else None
    return shuffle_and_split(x[:rows], y[:rows], test_split, seed)


def _find(path: str) -> Path:
    asked = Path(path).expanduser()
    target = cache_folder() / asked
    if path != _NAME and asked.exists():
        return asked
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            x, y = fetch_california_housing(target.parent)
        except OSError as error:
            raise ConnectionError(
                f"california_housing: expected to fetch it through scikit-learn, got: {error}. "
                f"Without a network, put an NPZ file with x (20640, 8) and y (20640,), in dollars, "
                f"at {target}."
            ) from error
        x, y = (
            x.astype(np.float32),
            (y * 100_000).astype(np.float32),
        )  # theirs are in 100,000 dollars
        buffer = io.BytesIO()
        np.savez(buffer, x=x, y=y)
        write_file(target, buffer.getvalue())
    return target


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    arrays = read_npz(path, ("x", "y"))
    x, y = arrays["x"], arrays["y"]
    if x.ndim != 2 or x.shape[1] != 8 or y.shape != x.shape[:1]:
        raise corrupt(path, "x (n, 8) and y (n,)", f"{x.shape} and {y.shape}")
    return x.astype(np.float32), y.astype(np.float32)
