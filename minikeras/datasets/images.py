"""Find and read a set of 28x28 images of ten classes, in MNIST's file formats."""

import os
from pathlib import Path

import numpy as np

from minikeras.datasets.formats import corrupt, read_idx, read_npz

ImageSet = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def named_by(variable: str) -> Path | None:
    """Return the path in the environment variable, None if it is unset or empty."""
    value = os.environ.get(variable)
    if not value:
        return None
    path = Path(value).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"{variable}: expected a file or folder, got {value}: not there.")
    return path


def read_images(path: Path, npz_name: str | None = None) -> ImageSet:
    """Read `(x_train, y_train), (x_test, y_test)`, all uint8, from a file or folder.

    A folder holds `npz_name`, or the four IDX files, gzipped or not. Raises `CorruptFileError`
    for damaged files and `FileNotFoundError` for those that are missing.
    """
    npz = path / npz_name if npz_name and path.is_dir() else path
    if npz.is_file():
        arrays = read_npz(npz, IDX_NAMES)
    else:
        arrays = {key: read_idx(_idx_file(path, name)) for key, name in IDX_NAMES.items()}
    for part in ("train", "test"):
        _check(path, part, arrays[f"x_{part}"], arrays[f"y_{part}"])
    return (arrays["x_train"], arrays["y_train"]), (arrays["x_test"], arrays["y_test"])


def _idx_file(folder: Path, name: str) -> Path:
    names = [name, f"{name}.gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"]
    for candidate in names:
        if (folder / candidate).is_file():
            return folder / candidate
    raise FileNotFoundError(f"{folder}: expected one of {', '.join(names)}, found none.")


def _check(path: Path, part: str, images: np.ndarray, labels: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28):
        raise corrupt(path, f"{part} images uint8 (n, 28, 28)", f"{images.dtype} {images.shape}")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        expected = f"{part} labels uint8 ({len(images)},), one an image"
        raise corrupt(path, expected, f"{labels.dtype} {labels.shape}")
    if labels.size and labels.max() > 9:
        raise corrupt(path, f"{part} labels from 0 to 9", f"{labels.max()}")
