"""Show how far a loop is: a bar on a terminal, a line at the end elsewhere."""

import sys
import time
from typing import Any

from minikeras.callbacks.base import Callback
from minikeras.callbacks.logs import plain, say

_INTERVAL = 0.1  # seconds between two redraws; the eye follows no more than that


def is_interactive() -> bool:
    """Tell whether the output can be redrawn in place: on a terminal, and in a notebook."""
    return getattr(sys.stdout, "isatty", bool)() or "ipykernel" in sys.modules


def progress_bar(**options: Any) -> Any:
    """Return a tqdm bar on the standard output, None where it could not move or is missing."""
    if not is_interactive():
        return None
    try:
        import tqdm
    except ImportError:
        return None
    # tqdm's watcher is a thread that outlives the bar, and threads do not survive a fork.
    tqdm.tqdm.monitor_interval = 0
    return tqdm.tqdm(file=sys.stdout, dynamic_ncols=True, **options)


class ProgbarLogger(Callback):
    """Show losses, metrics and the time left; `fit` adds one unless `verbose` is 0.

    With `verbose=1` there is a bar on a terminal and one line an epoch elsewhere; with
    `verbose=2` always one line an epoch. Log values are read when they are shown.
    """

    every_batch = False

    def __init__(self) -> None:
        super().__init__()
        self.verbose: Any = 1
        self.epochs = 1
        self.target: int | None = None
        self.seen = 0
        self._bar: Any = None
        self._title = ""
        self._begun = self._drawn = 0.0
        self._in_fit = False

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        verbose = params.get("verbose", 1)
        self.verbose = 1 if verbose == "auto" else verbose
        self.epochs = params.get("epochs", 1)
        self.target = params.get("steps")

    def on_train_begin(self, logs: Any = None) -> None:
        self._in_fit = True

    def on_train_end(self, logs: Any = None) -> None:
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._open(f"Epoch {epoch + 1}/{self.epochs}" if self.epochs > 1 else "")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._advance(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._close(logs)

    def on_test_begin(self, logs: Any = None) -> None:
        if not self._in_fit:
            self._open("")

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._in_fit:
            self._advance(batch, logs)

    def on_test_end(self, logs: Any = None) -> None:
        if not self._in_fit:
            self._close(logs)

    def on_predict_begin(self, logs: Any = None) -> None:
        self._open("")

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        self._advance(batch, None)  # its logs are the predictions

    def on_predict_end(self, logs: Any = None) -> None:
        self._close(None)

    def _open(self, title: str) -> None:
        self.seen, self._title = 0, title
        self._begun = self._drawn = time.monotonic()
        if self.verbose == 1:
            self._bar = progress_bar(total=self.target, desc=title or None, unit="step")

    def _advance(self, batch: int, logs: Any) -> None:
        self.seen = batch + 1
        if self._bar is not None and time.monotonic() - self._drawn >= _INTERVAL:
            self._draw(logs)

    def _draw(self, logs: Any) -> None:
        self._bar.set_postfix_str(", ".join(_shown(logs)), refresh=False)
        self._bar.n = self.seen
        self._bar.refresh()
        self._drawn = time.monotonic()

    def _close(self, logs: Any) -> None:
        if self.target is None:
            self.target = self.seen
        if self._bar is not None:
            self._bar.total = self.target
            self._draw(logs)
            self._bar.close()
            self._bar = None
        elif self.verbose:
            seconds = time.monotonic() - self._begun
            steps = f"{self.seen}/{self.target}"
            pace = f"{seconds:.0f}s - {_duration(seconds / max(1, self.seen))}/step"
            say(" - ".join([*filter(None, [self._title]), steps, pace, *_shown(logs)]))


def _shown(logs: Any) -> list[str]:
    return [f"{name}: {_rounded(plain(value))}" for name, value in (logs or {}).items()]


def _rounded(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"


def _duration(seconds: float) -> str:
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"
