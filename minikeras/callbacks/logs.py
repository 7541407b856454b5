"""Hand log values on as they are, and turn them into numbers when someone looks."""

import re
from collections.abc import Iterator
from typing import Any


def plain(value: Any) -> Any:
    """Return `value` as a Python float, itself if it is none (a string, an array)."""
    try:
        return value if getattr(value, "shape", ()) else float(value)
    except (TypeError, ValueError):
        return value


def say(message: str) -> None:
    """Print a message, as Keras does, with what the standard output can show of it."""
    try:
        print(message, flush=True)  # noqa: T201 - does nothing where there is no output
    except UnicodeEncodeError as error:
        plain = re.sub("[\u2500-\u257f]", "-", re.sub("[│┃]", "|", message))
        print(plain.encode(error.encoding, "replace").decode(error.encoding))  # noqa: T201


def flat(logs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values, those of dicts inside too, sorted by name."""
    for key in sorted(dict.keys(logs)):
        value = dict.__getitem__(logs, key)  # past the reading that `Logs` does
        if isinstance(value, dict):
            yield from flat(value)
        else:
            yield key, value


class Logs(dict[str, Any]):
    """The logs of a batch or epoch, flat and sorted by name, as Keras hands them to callbacks.

    Values may be tensors or anything else with `__float__`, computed at no one knows what cost: a
    value becomes a float when it is read for the first time, and never if no callback reads it.
    """

    def __init__(self, logs: dict[str, Any] | None = None) -> None:
        super().__init__(flat(logs or {}))

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if not isinstance(value, float):
            value = plain(value)
            self[key] = value
        return value

    # What follows keeps the other ways to read a dict from going around `__getitem__`. Defining
    # `__iter__` does it for `dict(logs)` and `**logs`.

    def __iter__(self) -> Iterator[str]:
        return super().__iter__()

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, `default` if there is none."""
        return self[key] if key in self else default  # noqa: SIM401  this is get itself

    def values(self) -> Any:
        """Return all values as floats."""
        return [self[key] for key in self]

    def items(self) -> Any:
        """Return all pairs of a name and a float."""
        return [(key, self[key]) for key in self]

    def copy(self) -> dict[str, Any]:
        """Return a plain dict of the floats."""
        return dict(self.items())

    def __repr__(self) -> str:
        return repr(self.copy())
