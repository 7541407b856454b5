"""Read and write the HDF5 files that hold weights; the only file that imports h5py.

A file ends with a checksum of all before it, behind what HDF5 itself reads. It is compared before
anything is parsed: libhdf5 takes flipped bits for numbers, and may crash or hang on others.
"""

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from minikeras.core.spec import DTYPES
from minikeras.errors import CorruptFileError, UnsupportedFormatError

Groups = dict[str, dict[str, Any]]

_MARK = b"MKsha256"
_TAIL = len(_MARK) + hashlib.sha256().digest_size
_DEPTH = 64
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}
"""Filters that libhdf5 has built in; for others it would look for plug-ins to load."""


def write_groups(groups: Sequence[tuple[str, str | None, Mapping[str, Any]]]) -> bytes:
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
    content = buffer.getvalue()
    return content + _MARK + hashlib.sha256(content).digest()


class WeightsFile:
    """An open weights file, of which only plain groups and datasets are read.

    Links to other places and files, virtual and external datasets, and types other than numbers
    are refused with `CorruptFileError`: a weights file has no need of them.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        if not path.is_file():
            raise FileNotFoundError(f"load_weights: expected a file, got none at {path}")
        self._path = path
        self._h5py = h5py
        self._seen: set[int] = set()
        _check_sum(path)
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise CorruptFileError(
                f"load_weights: expected an HDF5 file, got {path}, which is damaged or of another "
                f"kind: {error}"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def variables(self) -> Groups:
        """Return `{path: {key: dataset}}` for every group of variables in the file."""
        found: Groups = {}
        try:
            self._collect(self._file, "", found, depth=0)
        except (CorruptFileError, UnsupportedFormatError):
            raise
        except (OSError, RuntimeError, LookupError, ValueError, TypeError) as error:
            raise CorruptFileError(f"load_weights: {self._path} is damaged: {error}") from error
        return found

    def _collect(self, group: Any, path: str, found: Groups, depth: int) -> None:
        if depth > _DEPTH:
            raise CorruptFileError(f"{self._path}: expected at most {_DEPTH} nested groups.")
        for key in group:
            below = f"{path}/{key}" if path else key
            item = self._plain(group, key, below)
            if isinstance(item, self._h5py.Dataset):
                self._check_dataset(item, below)
                found.setdefault(path, {})[key] = item
            else:
                self._collect(item, below, found, depth + 1)

    def _plain(self, group: Any, key: str, path: str) -> Any:
        """Return a group or dataset that belongs to this file, and to one place in it."""
        link = group.get(key, getlink=True)
        if not isinstance(link, self._h5py.HardLink):
            raise CorruptFileError(
                f"{self._path}: expected plain groups and datasets, got a "
                f"{type(link).__name__} at '{path}'."
            )
        item = group[key]
        if not isinstance(item, (self._h5py.Group, self._h5py.Dataset)):
            raise CorruptFileError(f"{self._path}: expected arrays, got a type at '{path}'.")
        address = self._h5py.h5o.get_info(item.id).addr
        if address in self._seen:
            raise CorruptFileError(
                f"{self._path}: expected every group and array once, got a second link to one at "
                f"'{path}'."
            )
        self._seen.add(address)
        return item

    def _check_dataset(self, dataset: Any, path: str) -> None:
        who = f"{self._path}: expected"
        if dataset.is_virtual or dataset.external:
            raise CorruptFileError(
                f"{who} arrays stored in this file, got '{path}' stored elsewhere."
            )
        if dataset.dtype not in DTYPES and dataset.dtype.newbyteorder("=") not in DTYPES:
            raise UnsupportedFormatError(
                f"{who} arrays of numbers, got dtype {dataset.dtype} at '{path}'."
            )
        filters = dataset.id.get_create_plist()
        for i in range(filters.get_nfilters()):
            if filters.get_filter(i)[0] not in _FILTERS:
                raise UnsupportedFormatError(
                    f"{who} filters {', '.join(_FILTERS.values())} only, got filter number "
                    f"{filters.get_filter(i)[0]} at '{path}'."
                )
        size, stored = dataset.nbytes, max(dataset.id.get_storage_size(), 1)
        chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
        if size > max(1 << 28, 1000 * stored) or chunk > 4 * size + (1 << 20):
            raise CorruptFileError(
                f"{who} '{path}' to hold what it declares, {size} bytes in chunks of {chunk}, got "
                f"{stored} stored ones."
            )


def _check_sum(path: Path) -> None:
    """Raise `CorruptFileError` if a file of ours is not as it was written; pass over others."""
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(size - _TAIL, 0))
        tail = file.read()
        if not tail.startswith(_MARK):
            if _MARK in tail:
                raise CorruptFileError(f"load_weights: expected a whole file, got {path} cut off.")
            return
        file.seek(0)
        digest = hashlib.sha256()
        left = size - _TAIL
        while left:
            block = file.read(min(left, 1 << 20))
            digest.update(block)
            left -= len(block)
    if digest.digest() != tail[len(_MARK) :]:
        raise CorruptFileError(
            f"load_weights: expected {path} as it was written, got one that was changed since: "
            "its checksum is wrong."
        )


def read(dataset: Any, path: str) -> Any:
    """Return a dataset's numbers; raise `CorruptFileError` if they cannot be read."""
    try:
        return np.asarray(dataset)
    except (OSError, RuntimeError, ValueError) as error:
        raise CorruptFileError(f"load_weights: cannot read '{path}': {error}") from error
