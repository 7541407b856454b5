"""Read arrays from NPZ and IDX files that may be damaged, cut short or made to do harm.

Sizes are compared with what the file can hold before memory is taken, nothing is unpickled, and
whatever is wrong ends in a `CorruptFileError` that names the file.
"""

import contextlib
import errno
import gzip
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minikeras.errors import CorruptFileError

_LIMIT = 1 << 28
"""Most bytes that one array may have; the largest here, the images of MNIST, take 47 MB."""

_DEFLATE = 1032
"""Most bytes that one compressed byte can become (zlib, technical details)."""

_DAMAGED = (
    EOFError,
    MemoryError,  # a header nested too deep for Python's parser
    NotImplementedError,  # an unknown compression
    RuntimeError,  # an encrypted member, a header nested too deep
    OSError,  # not gzipped, or a position before the beginning
    SyntaxError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextlib.contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes its reader raise into a `CorruptFileError`."""
    try:
        yield
    except CorruptFileError:
        raise
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk or a permission, not the contents
        raise corrupt(path, "a whole file", str(error) or type(error).__name__) from error


def corrupt(path: Path | str, expected: str, got: str) -> CorruptFileError:
    """Make the error that says what is wrong with the file at `path` and what to do."""
    return CorruptFileError(
        f"{path}: expected {expected}, got {got}. Delete the file, so that it is downloaded "
        "again, or replace it."
    )


def read_npz(path: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return the arrays called `names` in the NPZ file at `path`."""
    with _reported(path), zipfile.ZipFile(path) as archive:
        return {name: _read_member(path, archive, f"{name}.npy") for name in names}


def _read_member(path: Path, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    count = archive.namelist().count(name)
    if count != 1:
        raise corrupt(path, f"one member {name}", f"{count} of them")
    info = archive.getinfo(name)
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise corrupt(path, f"{name} in NPY version 1 or 2", f"version {version}")
        shape, fortran_order, dtype = read_header(member)
        if dtype.kind not in "buif":
            raise corrupt(path, f"numbers in {name}", f"dtype {dtype}")
        held = min(info.file_size, info.compress_size * _DEFLATE)
        where = f"{path} ({name})"
        array = _read_array(where, member, shape[::-1] if fortran_order else shape, dtype, held)
        return array.T if fortran_order else array


def read_idx(path: Path) -> np.ndarray:
    """Return the array in the IDX file at `path`, bytes only, gzipped if its name ends in .gz."""
    packed = path.suffix == ".gz"
    held = path.stat().st_size * (_DEFLATE if packed else 1)
    with _reported(path), gzip.open(path) if packed else path.open("rb") as file:
        zeros, kind, rank = struct.unpack(">HBB", file.read(4))
        if zeros or kind != 8 or not 1 <= rank <= 4:
            raise corrupt(path, "an IDX file of bytes", f"magic {zeros:04x} {kind:02x} {rank:02x}")
        shape = struct.unpack(f">{rank}I", file.read(4 * rank))
        return _read_array(str(path), file, shape, np.dtype(np.uint8), held)


def _read_array(
    where: str, file: Any, shape: tuple[int, ...], dtype: np.dtype, held: int
) -> np.ndarray:
    """Read an array that ends with `file`, which holds `held` bytes at most."""
    size = math.prod(shape) * dtype.itemsize  # Python's integers do not overflow
    if size > min(held, _LIMIT):
        raise corrupt(where, f"at most {min(held, _LIMIT)} bytes", f"shape {shape} of {dtype}")
    array = np.empty(shape, dtype)
    rest = array.reshape(-1).view(np.uint8).data
    while rest and (count := file.readinto(rest)):
        rest = rest[count:]
    if rest:
        raise corrupt(where, f"{size} bytes of data", f"{size - len(rest)}")
    if file.read(1):  # reading on to the end also checks the sum that the file carries
        raise corrupt(where, f"{size} bytes of data", "more")
    return array
