"""Fashion-MNIST: 70,000 pictures of clothes, 28x28 pixels."""

from minikeras.datasets.fetch import Remote, cache_folder, fetch, keras_folder
from minikeras.datasets.images import ImageSet, named_by, read_images

_FOLDER = "fashion-mnist"
_ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
# Lengths as Keras shows them; checksums of the files of the same lengths that Zalando publishes.
_FILES = {
    "train-labels-idx1-ubyte.gz": (
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    "train-images-idx3-ubyte.gz": (
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    "t10k-images-idx3-ubyte.gz": (
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
}


def load_data() -> ImageSet:
    """Return `(x_train, y_train), (x_test, y_test)`: 60,000 and 10,000 pictures.

    Images are uint8 of shape (n, 28, 28), labels uint8 of shape (n,): T-shirt, trouser, pullover,
    dress, coat, sandal, shirt, sneaker, bag, ankle boot. The four IDX files come from the folder
    that `$MINIKERAS_FASHION_MNIST` names; else from our own cache or that of Keras; else they are
    downloaded to our cache. Errors are those of `mnist.load_data`.
    """
    named = named_by("MINIKERAS_FASHION_MNIST")
    if named is not None:
        return read_images(named)
    ours = cache_folder() / _FOLDER
    for folder in (ours, keras_folder() / _FOLDER):
        if all((folder / name).exists() for name in _FILES):
            return read_images(folder)
    for name, (size, sha256) in _FILES.items():
        fetch(Remote(name, _ORIGIN + name, size, sha256), ours)
    return read_images(ours)
