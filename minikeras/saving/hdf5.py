"""Read and write the HDF5 files that hold weights; the only file that imports h5py."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from minikeras.core.spec import DTYPES
from minikeras.errors import CorruptFileError, UnsupportedFormatError

Groups = dict[str, dict[str, Any]]


def write_groups(groups: list[tuple[str, str | None, dict[str, Any]]]) -> bytes:
    """Return an HDF5 file with a group `<path>/vars` for each `(path, name, arrays)`."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for path, name, arrays in groups:
            if name is None and not arrays:
                continue
            group = file.create_group(f"{path}/vars" if path else "vars")
            if name is not None:
                group.attrs["name"] = name
            for key, array in arrays.items():
                group[key] = np.asarray(array)
    return buffer.getvalue()


class WeightsFile:
    """An open weights file, of which only plain groups and datasets are read.

    Links to other places and files, virtual and external datasets, and types other than numbers
    are refused with `CorruptFileError`: a weights file has no need of them.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        if not path.is_file():
            raise FileNotFoundError(f"load_weights: expected a file, got no such file: {path}")
        self._path = path
        self._h5py = h5py
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise CorruptFileError(
                f"load_weights: expected an HDF5 file, got {path}, which is damaged or of another "
                f"kind: {error}"
            ) from error

    def __enter__(self) -> "WeightsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def variables(self) -> Groups:
        """Return `{path: {key: dataset}}` for every group of variables in the file."""
        found: Groups = {}
        self._collect(self._file, "", found, depth=0)
        return found

    def _collect(self, group: Any, path: str, found: Groups, depth: int) -> None:
        if depth > 64:
            raise CorruptFileError(f"{self._path}: expected at most 64 nested groups, got more.")
        for key in group:
            item = self._plain(group, key, f"{path}/{key}")
            below = f"{path}/{key}" if path else key
            if isinstance(item, self._h5py.Dataset):
                self._check_dataset(item, below)
                found.setdefault(path, {})[key] = item
            else:
                self._collect(item, below, found, depth + 1)

    def _plain(self, group: Any, key: str, path: str) -> Any:
        link = group.get(key, getlink=True)
        if not isinstance(link, self._h5py.HardLink):
            raise CorruptFileError(
                f"{self._path}: expected plain groups and datasets, got a "
                f"{type(link).__name__} at '{path}'."
            )
        item = group[key]
        if not isinstance(item, (self._h5py.Group, self._h5py.Dataset)):
            raise CorruptFileError(f"{self._path}: expected arrays, got a type at '{path}'.")
        return item

    def _check_dataset(self, dataset: Any, path: str) -> None:
        if dataset.is_virtual or dataset.external:
            raise CorruptFileError(
                f"{self._path}: expected arrays stored in this file, got '{path}' stored elsewhere."
            )
        if dataset.dtype not in DTYPES and dataset.dtype.newbyteorder("=") not in DTYPES:
            raise UnsupportedFormatError(
                f"{self._path}: expected arrays of numbers, got dtype {dataset.dtype} at '{path}'."
            )
        stored = max(dataset.id.get_storage_size(), 1)
        if dataset.nbytes > max(1 << 28, 1000 * stored):
            raise CorruptFileError(
                f"{self._path}: expected '{path}' to hold what it declares, {dataset.nbytes} "
                f"bytes, got {stored} stored ones."
            )


def read(dataset: Any, path: str) -> Any:
    """Return a dataset's numbers; raise `CorruptFileError` if they cannot be read."""
    try:
        return np.asarray(dataset)
    except OSError as error:
        raise CorruptFileError(f"load_weights: cannot read '{path}': {error}") from error
