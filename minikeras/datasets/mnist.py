"""MNIST: 70,000 handwritten digits, 28x28 pixels."""

from pathlib import Path

from minikeras.datasets.fetch import Remote, cache_folder, fetch, keras_folder
from minikeras.datasets.images import ImageSet, named_by, read_images

_NAME = "mnist.npz"
_REMOTE = Remote(
    _NAME,
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    11_490_434,
    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
)


def load_data(path: str = _NAME) -> ImageSet:
    """Return `(x_train, y_train), (x_test, y_test)`: 60,000 and 10,000 digits.

    Images are uint8 of shape (n, 28, 28), labels uint8 of shape (n,).

    Args:
        path: an NPZ file, or a folder that holds `mnist.npz` or MNIST's four IDX files, gzipped or
            not. The default means what `$MINIKERAS_MNIST` names; else a copy in our own cache
            or that of Keras; else a download, which goes to our cache. Any other NPZ file that is
            not there is where the download goes, relative to the cache, as in Keras.

    Raises:
        CorruptFileError: if the file is damaged or holds something else.
        FileNotFoundError: if a folder lacks a file, or a path that is no NPZ file is not there.
        ConnectionError: if the file is not there and cannot be downloaded. The message says which
            file to put where.
    """
    return read_images(_find(path), _NAME)


def _find(path: str) -> Path:
    asked = Path(path).expanduser()
    ours = cache_folder() / asked
    default = [named_by("MINIKERAS_MNIST"), ours, keras_folder() / _NAME]
    for place in default if path == _NAME else [asked, ours]:
        if place is not None and place.exists():
            return place
    if asked.suffix != ".npz":
        raise FileNotFoundError(f"mnist.load_data: expected a file or folder at {path}, got none.")
    return fetch(_REMOTE._replace(name=ours.name), ours.parent)
