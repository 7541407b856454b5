"""Bring a published file into the cache folder: whole, checked, or not at all."""

import hashlib
import http.client
import os
import secrets
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from minikeras.callbacks.progress import progress_bar
from minikeras.errors import CorruptFileError

_CHUNK = 1 << 16
_TIMEOUT = 30  # seconds without a byte after which a connection counts as lost


class Remote(NamedTuple):
    """A published file: its name in the cache, where it is, its length and its checksum."""

    name: str
    url: str
    size: int
    sha256: str


def cache_folder() -> Path:
    """Return the folder that data sets are kept in: `$MINIKERAS_HOME/datasets`.

    The home is `~/.minikeras` unless that variable names another.
    """
    home = os.environ.get("MINIKERAS_HOME") or "~/.minikeras"
    return Path(home).expanduser() / "datasets"


def keras_folder() -> Path:
    """Return the folder that Keras keeps data sets in; it is read here and never written."""
    home = os.environ.get("KERAS_HOME") or "~/.keras"
    return Path(home).expanduser() / "datasets"


def fetch(remote: Remote, folder: Path) -> Path:
    """Return the path of `remote` in `folder`, downloading it if it is not there yet.

    Several processes may do so at once: each downloads a file of its own, and each puts a whole
    one in place. Raises `ConnectionError` when the file cannot be had and `CorruptFileError` when
    it is not the published one; in both cases nothing is kept.
    """
    target = folder / remote.name
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(target, lambda file: _download(remote, target, file))
    return target


def write_atomically(target: Path, write: Callable[[BinaryIO], None]) -> None:
    """Let `write` fill a temporary file beside `target`, then put it there in one step."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave an empty file of the final name
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _download(remote: Remote, target: Path, file: BinaryIO) -> None:
    """Write `remote` to `file`, one byte too many at most, and check what was received."""
    digest, received = hashlib.sha256(), 0
    bar = progress_bar(total=remote.size, desc=remote.name, unit="B", unit_scale=True)
    try:
        with urllib.request.urlopen(remote.url, timeout=_TIMEOUT) as response:  # noqa: S310  addresses are our own
            while chunk := response.read(min(_CHUNK, remote.size + 1 - received)):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                if bar is not None:
                    bar.update(len(chunk))
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(remote, target, str(error)) from error
    finally:
        if bar is not None:
            bar.close()
    if received < remote.size:
        raise _unavailable(remote, target, f"the connection closed after {received} bytes")
    if digest.hexdigest() != remote.sha256:
        raise CorruptFileError(
            f"{remote.url}: expected {remote.size} bytes with sha256 {remote.sha256}, got other "
            f"contents. Nothing was kept. Put the right file at {target}."
        )


def _unavailable(remote: Remote, target: Path, reason: str) -> ConnectionError:
    return ConnectionError(
        f"{remote.name}: expected to download {remote.size} bytes from {remote.url}, got: {reason}."
        f" Without a network, put that file at {target} (sha256 {remote.sha256})."
    )
