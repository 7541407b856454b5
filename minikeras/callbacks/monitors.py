"""Watch one value of the logs and act when it gets better, or does not."""

import operator
import re
import warnings
from typing import Any

import numpy as np

from minikeras.callbacks.base import Callback
from minikeras.callbacks.logs import plain, say

_HIGH = re.compile(
    r"\b(acc|auc|precision|recall|f1|fbeta|io ?u|r2|top |\w*correlation|\w*similarity"
    r"|sensitivity|specificity|true (positives|negatives))"
)
_LOW = re.compile(
    r"loss|error|crossentropy|hinge|poisson|divergence|logcosh|perplexity"
    r"|\b(mse|mae|mape|msle|rmse|false (positives|negatives))\b"
)


def _direction(monitor: str) -> str | None:
    """Tell by the name of a value whether it should go `"min"` or `"max"`, None if unknown.

    Where words of both kinds occur, the last counts: `accuracy_loss` is a loss.
    """
    words = monitor.lower().replace("_", " ")
    low, high = (max((m.end() for m in kind.finditer(words)), default=0) for kind in (_LOW, _HIGH))
    if low == high:
        return None
    return "min" if low > high else "max"


class MonitorCallback(Callback):
    """Base of the callbacks that compare a value with the best so far.

    Args:
        monitor: the name of the value in the logs.
        mode: `"min"` or `"max"` for what is better; `"auto"` goes by the name.
        baseline: the first best value; None takes the first value there is.
        min_delta: the least change that counts as better.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0,
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f"{type(self).__name__} mode '{mode}' is unknown, fallback to auto mode.",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)

    def _is_improvement(self, value: float, reference: float | None) -> bool:
        mode = _direction(self.monitor) if self.mode == "auto" else self.mode
        if mode is None:
            raise ValueError(
                f"{type(self).__name__}: expected monitor={self.monitor!r} to tell by its name "
                "whether it should be maximized or minimized. Pass mode='max' or mode='min'."
            )
        if reference is None:
            return True
        if mode == "min":
            return operator.lt(value + self.min_delta, reference)
        return operator.gt(value - self.min_delta, reference)

    def _monitored(self, logs: Any, message: str) -> Any:
        """Return the value; if the logs lack it, warn that `message` and which there are."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            names = ",".join(logs or {})
            warnings.warn(f"{message} Available metrics are: {names}", stacklevel=3)
            return None
        return plain(value)


class EarlyStopping(MonitorCallback):
    """Stop training when a value has not improved for `patience` epochs.

    Args:
        monitor: the name of the value in the logs.
        min_delta: the least change that counts as better.
        patience: how many epochs without improvement to wait for.
        verbose: 1 to say so when it acts.
        mode: `"min"` or `"max"` for what is better; `"auto"` goes by the name.
        baseline: a value to beat; epochs that do not beat it count as no improvement.
        restore_best_weights: whether to go back to the weights of the best epoch at the end.
        start_from_epoch: how many epochs to let pass before looking.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.on_train_begin()

    def on_train_begin(self, logs: Any = None) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_weights: Any = None
        self.best_epoch = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._remember(epoch)
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self._remember(epoch)
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _remember(self, epoch: int) -> None:
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs: Any = None) -> None:
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                say(
                    "Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Any) -> Any:
        """Return the watched value; warn and return None if the logs lack it."""
        return self._monitored(
            logs,
            f"Early stopping conditioned on metric `{self.monitor}` which is not available.",
        )


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by `factor` when a value has stopped improving.

    Args:
        monitor: the name of the value in the logs.
        factor: what the learning rate is multiplied by, less than 1.
        patience: how many epochs without improvement to wait for.
        verbose: 1 to say so when it acts.
        mode: `"min"` or `"max"` for what is better; `"auto"` goes by the name.
        min_delta: the least change that counts as better.
        cooldown: how many epochs to let pass after a reduction before counting again.
        min_lr: the learning rate never becomes less than this.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(f"ReduceLROnPlateau: expected a factor below 1, got {factor}.")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.on_train_begin()

    def on_train_begin(self, logs: Any = None) -> None:
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        current = self._monitored(
            logs,
            f"Learning rate reduction is conditioned on metric `{self.monitor}` which is not "
            "available.",
        )
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._reduce(epoch)

    def _reduce(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        rate = float(optimizer.learning_rate)
        if rate <= np.float32(self.min_lr):  # rates are float32: rounding is no distance
            return
        rate = max(rate * self.factor, self.min_lr)
        optimizer.learning_rate = rate
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate}.")
        self.cooldown_counter = self.cooldown
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Tell whether a reduction was so recent that epochs do not count yet."""
        return self.cooldown_counter > 0
