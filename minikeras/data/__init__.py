"""Feed data to models: `Dataset` and the constants of `tf.data`."""

from minikeras.data.base import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Options
from minikeras.data.dataset import Dataset
from minikeras.data.elements import DatasetSpec

__all__ = [
    "AUTOTUNE",
    "INFINITE_CARDINALITY",
    "UNKNOWN_CARDINALITY",
    "Dataset",
    "DatasetSpec",
    "Options",
]
