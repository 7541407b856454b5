"""Ask the machine what it has: vectors, registers, caches, cores."""

import ctypes
import functools
import platform
import sys
from pathlib import Path
from typing import NamedTuple

from minikeras.compiler.native import llvm
from minikeras.compiler.native.emit import size_of
from minikeras.config import usable_cores

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# What nearly every processor of the last ten years has at least, for systems that do not tell.
_USUAL = {1: 32 << 10, 2: 256 << 10, 3: 4 << 20}


class Machine(NamedTuple):
    """What kernels are fitted to; sizes of caches in bytes."""

    cpu: str
    features: str
    vector_bytes: int
    registers: int
    has_fma: bool
    l1: int
    l2: int
    l3: int
    cores: int

    def lanes(self, kind: str) -> int:
        """Return how many numbers of a dtype fill a vector."""
        return self.vector_bytes // size_of(kind)


@functools.cache
def host() -> Machine:
    """Return this machine."""
    cpu, features = llvm.processor() if llvm.available() else ("", "")
    arm = platform.machine().lower() in {"arm64", "aarch64"}
    return _described(cpu, features, arm, _caches())


def _described(cpu: str, features: str, arm: bool, caches: dict[int, int]) -> Machine:
    has = {name[1:] for name in features.split(",") if name.startswith("+")}
    return Machine(
        cpu,
        features,
        vector_bytes=64 if "avx512f" in has else 32 if "avx" in has else 16,
        registers=32 if arm or "avx512f" in has else 16,
        has_fma=arm or "fma" in has,
        l1=caches[1],
        l2=caches[2],
        l3=caches[3],
        cores=usable_cores(),
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
    names = {1: "hw.l1dcachesize", 2: "hw.l2cachesize", 3: "hw.l3cachesize"}
    library = ctypes.CDLL(None)
    found = {}
    for level, name in names.items():
        value, length = ctypes.c_int64(0), ctypes.c_size_t(8)
        asked = (name.encode(), ctypes.byref(value), ctypes.byref(length), None, ctypes.c_size_t(0))
        if library.sysctlbyname(*asked) == 0:
            found[level] = value.value
    return found
