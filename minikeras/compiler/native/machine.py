"""Ask the machine what it has: vectors, registers, caches."""

import ctypes
import functools
import platform
import sys
from pathlib import Path
from typing import NamedTuple

from minikeras.compiler.native import llvm
from minikeras.compiler.native.emit import size_of

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# What nearly every processor of the last ten years has at least, for systems that do not tell.
_USUAL = {1: 32 << 10, 2: 256 << 10}


class Machine(NamedTuple):
    """What kernels are fitted to; sizes of caches in bytes."""

    vector_bytes: int
    registers: int
    l1: int
    l2: int

    def lanes(self, kind: str) -> int:
        """Return how many numbers of a dtype fill a vector."""
        return self.vector_bytes // size_of(kind)


@functools.cache
def host() -> Machine:
    """Return this machine."""
    _, features = llvm.processor() if llvm.available() else ("", "")
    arm = platform.machine().lower() in {"arm64", "aarch64"}
    return _described(features, arm, _caches())


def _described(features: str, arm: bool, caches: dict[int, int]) -> Machine:
    has = {name[1:] for name in features.split(",") if name.startswith("+")}
    return Machine(
        vector_bytes=64 if "avx512f" in has else 32 if "avx" in has else 16,
        registers=32 if arm or "avx512f" in has else 16,
        l1=caches[1],
        l2=caches[2],
    )


def _caches() -> dict[int, int]:
    found = _apple() if sys.platform == "darwin" else _linux()
    return {level: found.get(level) or usual for level, usual in _USUAL.items()}


def _linux() -> dict[int, int]:
    found: dict[int, int] = {}
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    for folder in _CACHES.glob("index*"):
        try:
            level, kind, size = (
                (folder / name).read_text().strip() for name in ("level", "type", "size")
            )
            if kind != "Instruction":
                found[int(level)] = int(size.rstrip("KMG")) * units.get(size[-1:], 1)
        except (OSError, ValueError):  # a container may hide them
            continue
    return found


def _apple() -> dict[int, int]:
    names = {1: "hw.l1dcachesize", 2: "hw.l2cachesize"}
    library = ctypes.CDLL(None)
    found = {}
    for level, name in names.items():
        value, length = ctypes.c_int64(0), ctypes.c_size_t(8)
        asked = (name.encode(), ctypes.byref(value), ctypes.byref(length), None, ctypes.c_size_t(0))
        if library.sysctlbyname(*asked) == 0:
            found[level] = value.value
    return found
