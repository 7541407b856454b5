"""Bring a published file into the cache folder: whole, checked, or not at all."""

import hashlib
import http.client
import os
import urllib.request
from pathlib import Path
from typing import NamedTuple

from minikeras.atomic import write_file
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
        write_file(target, _download(remote, target))
    return target


def _download(remote: Remote, target: Path) -> bytes:
    """Return the contents of `remote`, checked."""
    content = bytearray()
    bar = progress_bar(total=remote.size, desc=remote.name, unit="B", unit_scale=True)
    try:
        with urllib.request.urlopen(remote.url, timeout=_TIMEOUT) as response:  # noqa: S310  addresses are our own
            # One byte more than there should be is enough to know.
            while chunk := response.read(min(_CHUNK, remote.size + 1 - len(content))):
                content += chunk
                if bar is not None:
                    bar.update(len(chunk))
    except (OSError, http.client.HTTPException) as error:
        raise _unavailable(remote, target, str(error)) from error
    finally:
        if bar is not None:
            bar.close()
    if len(content) < remote.size:
        raise _unavailable(remote, target, f"the connection closed after {len(content)} bytes")
    if hashlib.sha256(content).hexdigest() != remote.sha256:
        raise CorruptFileError(
            f"{remote.url}: expected {remote.size} bytes with sha256 {remote.sha256}, got other "
            f"contents. Nothing was kept. Put the right file at {target}."
        )
    return bytes(content)


def _unavailable(remote: Remote, target: Path, reason: str) -> ConnectionError:
    return ConnectionError(
        f"{remote.name}: expected to download {remote.size} bytes from {remote.url}, got: {reason}."
        f" Without a network, put that file at {target} (sha256 {remote.sha256})."
    )
