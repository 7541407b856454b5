"""Keep compiled code on the disk, from one process to the next.

Code that is loaded runs with the user's rights, so it is read only from a folder and a file that
the user owns and nobody else may write to, and only if its checksum fits. Whatever goes wrong with
the disk, the code is compiled anew.
"""

import contextlib
import hashlib
import logging
import os
import stat
import sys
import tempfile
from pathlib import Path

from minikeras import config

FORMAT = 1
"""To be raised whenever the same key should mean other code."""
LIMIT = 256 << 20
"""Bytes that all entries may take."""

_MAGIC = b"minikeras code\n"
_HEADER = len(_MAGIC) + hashlib.sha256().digest_size
_WRITES_BETWEEN_LOOKS = 64
_logger = logging.getLogger(__name__)
_writes = 0


def key(*parts: str) -> str:
    """Return the name of an entry: a hash of all that decides what the code is."""
    lengths = " ".join(str(len(part)) for part in parts)
    return hashlib.sha256("\0".join((str(FORMAT), lengths, *parts)).encode()).hexdigest()


def folder() -> Path | None:
    """Return the folder of the entries, made if need be; None if there is none to be trusted."""
    if not config.is_on("MINIKERAS_CACHE"):
        return None
    try:
        path = _place()
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _private(path.stat()):
            return path
    except (OSError, RuntimeError) as error:  # RuntimeError: nobody knows the home folder
        _logger.debug("no code cache: %s", error)
        return None
    _logger.debug("no code cache: %s is not this user's alone", path)
    return None


def read(path: Path, name: str) -> bytes | None:
    """Return the entry `name` of a folder; None if it is missing or damaged."""
    file = path / name
    try:
        with file.open("rb") as opened:  # by a path that others may have changed in the meantime
            own, content = _private(os.fstat(opened.fileno())), opened.read()
    except OSError:
        return None
    payload = content[_HEADER:]
    if not own or content[:_HEADER] != _header(name, payload):
        _logger.debug("damaged entry %s", file)
        with contextlib.suppress(OSError):
            file.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(file)  # entries in use are the last to go
    return payload


def write(path: Path, name: str, payload: bytes) -> None:
    """Write an entry; do nothing if the disk refuses."""
    global _writes
    try:
        _replace(path / name, _header(name, payload) + payload)
        if _writes % _WRITES_BETWEEN_LOOKS == 0:
            shrink(path, LIMIT)
        _writes += 1
    except OSError as error:
        _logger.debug("entry %s not written: %s", name, error)


def shrink(path: Path, limit: int) -> None:
    """Delete the oldest files of a folder that holds over `limit` bytes, to three quarters."""
    with os.scandir(path) as entries:
        found = [(entry.stat(), entry.path) for entry in entries if entry.is_file()]
    total = sum(status.st_size for status, _ in found)
    if total <= limit:
        return
    for status, file in sorted(found, key=lambda pair: pair[0].st_mtime_ns):
        with contextlib.suppress(FileNotFoundError):  # another process deletes too
            Path(file).unlink()
        total -= status.st_size
        if total <= limit * 3 // 4:
            return


def _header(name: str, payload: bytes) -> bytes:
    """Bind the payload to its name, so that no entry can stand in for another."""
    return _MAGIC + hashlib.sha256(name.encode() + payload).digest()


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file and rename; unlike `atomic.write_file`, do not wait for the disk.

    After a power failure the checksum tells what is damaged, and waiting would take longer than
    compiling.
    """
    handle, temporary = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _place() -> Path:
    chosen = os.environ.get("MINIKERAS_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minikeras"
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local or Path.home() / "AppData" / "Local") / "minikeras" / "Cache"
    # The XDG specification: a path that is not absolute is to be ignored.
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given.startswith("/") else Path.home() / ".cache") / "minikeras"


def _private(status: os.stat_result) -> bool:
    """Say whether a path is this user's alone; Windows keeps users' folders apart by itself."""
    if os.name == "nt":
        return True
    others = stat.S_IWGRP | stat.S_IWOTH
    return status.st_uid == os.geteuid() and not status.st_mode & others
