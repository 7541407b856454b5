"""Hold the few global settings: default float type, fuzz factor, image layout; threads."""

import numbers
import os
from pathlib import Path

_FLOATS = ("float16", "float32", "float64")
_LAYOUTS = ("channels_last", "channels_first")
_MOST_THREADS = 1024

_settings = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
_threads: list[int] = []  # the number that was set or found, once somebody asked


def backend() -> str:
    """Return `"numpy"`, the name of the only backend."""
    return "numpy"


def floatx() -> str:
    """Return the default floating type of weights and of Python numbers."""
    return _settings["floatx"]  # type: ignore[return-value]


def set_floatx(value: str) -> None:
    """Set the default floating type: `"float16"`, `"float32"` or `"float64"`."""
    _settings["floatx"] = _one_of("set_floatx", str.__str__(value), _FLOATS)


def epsilon() -> float:
    """Return the fuzz factor that losses and normalisations add to denominators."""
    return _settings["epsilon"]  # type: ignore[return-value]


def set_epsilon(value: float) -> None:
    """Set the fuzz factor."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """Return the default layout of images, `"channels_last"` unless it was set."""
    return _settings["image_data_format"]  # type: ignore[return-value]


def set_image_data_format(data_format: str) -> None:
    """Set the default layout: `"channels_last"` or `"channels_first"`."""
    _settings["image_data_format"] = _one_of("set_image_data_format", data_format, _LAYOUTS)


def standardize_data_format(data_format: str | None) -> str:
    """Return `data_format`, or the default layout when it is None."""
    if data_format is None:
        return image_data_format()
    return _one_of("data_format", data_format.lower(), _LAYOUTS)


def set_num_threads(count: int) -> None:
    """Set how many threads a compiled program runs on; results do not depend on it."""
    if not isinstance(count, numbers.Integral):
        raise TypeError(f"set_num_threads: expected an integer, got {count!r}.")
    if not 1 <= count <= _MOST_THREADS:
        raise ValueError(f"set_num_threads: expected 1 to {_MOST_THREADS}, got {count}.")
    _threads[:] = [int(count)]


def get_num_threads() -> int:
    """Return the number of threads: MINIKERAS_NUM_THREADS, else the cores this process may use."""
    if not _threads:
        _threads.append(_default_threads())
    return _threads[0]


def _default_threads() -> int:
    given = os.environ.get("MINIKERAS_NUM_THREADS")
    if not given:
        return usable_cores()
    if not given.isdecimal() or not 1 <= int(given) <= _MOST_THREADS:
        raise ValueError(f"MINIKERAS_NUM_THREADS: expected 1 to {_MOST_THREADS}, got {given!r}.")
    return int(given)


def is_on(switch: str) -> bool:
    """Return whether an environment variable is not 0; raise `ValueError` if it is not 1 either."""
    value = os.environ.get(switch, "1")
    if value not in ("0", "1", ""):
        raise ValueError(f"{switch}: expected 0 or 1, got {value!r}.")
    return value != "0"


def usable_cores() -> int:
    """Return how many cores this process may use, by its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        granted = -(-int(quota) // int(period))
    except (OSError, ValueError):  # no such control, or no limit: "max 100000"
        return cores or 1
    return max(1, min(cores or 1, granted))


def _one_of(who: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{who}: expected one of {allowed}, got {value!r}.")
    return value
