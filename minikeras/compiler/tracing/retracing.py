"""Warn when a function is traced over and over, and say which argument makes it so."""

import logging
from typing import Any

logger = logging.getLogger("minikeras")

_HISTORY = 10  # calls that count, as in TensorFlow
_TOO_MANY = 5
_WARNINGS = 2  # for one function

_WHY = (
    "Tracing is expensive and the excessive number of tracings could be due to (1) creating "
    "@tf.function repeatedly in a loop, (2) passing tensors with different shapes, (3) passing "
    "Python objects instead of tensors."
)
_ADVICE = {
    "shape": "Pad or batch to equal shapes.",
    "dtype": "Cast to one dtype.",
    "Python value": "Pass a tensor instead.",
    "Python object": "Pass the same object again, or tensors.",
    "Variable": "Pass the same Variable.",
}

Described = dict[str, tuple[str, str]]


class Retracing:
    """Count the traces of one function among its last calls."""

    def __init__(self) -> None:
        self._calls: list[int] = []
        self._last: Described | None = None
        self._warned = 0

    def traced(self, name: str, call: int, arguments: Described) -> None:
        """Take note that the call of this number was traced; warn if that happens too often."""
        self._calls = [each for each in self._calls if each > call - _HISTORY] + [call]
        before, self._last = self._last, arguments
        count = len(self._calls)
        if count < _TOO_MANY or self._warned == _WARNINGS or before is None:
            return
        self._warned += 1
        logger.warning(
            "%d out of the last %d calls to %s triggered tf.function retracing. %s Here: %s",
            count,
            min(call, call - self._calls[0] + 1),
            name,
            _WHY,
            difference(before, arguments),
        )


def difference(before: Described, after: Described) -> str:
    """Say what of the arguments changed from one trace to the next."""
    for place, (kind, text) in after.items():
        if place not in before:
            return f"argument '{place}' was not there before."
        old_kind, old_text = before[place]
        if kind != old_kind:
            return f"argument '{place}' changed from {old_kind} to {kind}. {_advice(kind)}"
        if text != old_text:
            advice = _advice(text if kind.startswith("dtype") else kind)
            change = f"{_said(kind, old_text)} to {_said(kind, text)}"
            return f"argument '{place}' changed from {change}. {advice}"
    if before.keys() - after.keys():
        return f"argument '{min(before.keys() - after.keys())}' is missing now."
    return "the training flag, or a Python object of the same name, changed."


def _said(kind: str, text: str) -> str:
    return text if kind.startswith("dtype") else f"{kind} {text}"


def _advice(text: str) -> Any:
    return next((advice for start, advice in _ADVICE.items() if text.startswith(start)), "")
