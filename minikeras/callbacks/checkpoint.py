"""Save the model while it trains."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from minikeras.callbacks.logs import say
from minikeras.callbacks.monitors import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, at the end of epochs or every so many batches.

    Args:
        filepath: where to save; `{epoch:02d}`, `{batch}` and names in the logs such as
            `{val_loss:.2f}` are filled in. It ends in `.keras` or `.h5`, with
            `save_weights_only` in `.weights.h5`.
        monitor: the name of the value in the logs that says which model is best.
        verbose: 1 to say so when it acts.
        save_best_only: whether to save only models better than all before.
        save_weights_only: whether to call `save_weights` instead of `save`.
        mode: `"min"` or `"max"` for what is better; `"auto"` goes by the name.
        save_freq: `"epoch"`, or a number of batches.
        initial_value_threshold: the value that the first model has to beat.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: Any = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._epoch = 0
        self._batches = 0  # since the last save
        self._last_batch = -1
        if save_freq != "epoch" and not isinstance(save_freq, int):
            raise ValueError(
                f"ModelCheckpoint: expected save_freq 'epoch' or a number of batches, got "
                f"{save_freq!r}."
            )
        endings = (".weights.h5",) if save_weights_only else (".keras", ".h5")
        if not self.filepath.endswith(endings):
            raise ValueError(
                f"ModelCheckpoint: expected a filepath that ends in {' or '.join(endings)} with "
                f"save_weights_only={save_weights_only}, got {self.filepath}."
            )

    def on_train_begin(self, logs: Any = None) -> None:
        """Find out before hours of training whether there is anything wrong with the folder."""
        folder = Path(self.filepath.partition("{")[0] + "_").parent
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(
                f"ModelCheckpoint: expected a folder to write to, got {folder}, which is read-only."
            )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        self._last_batch = -1

    @property
    def every_batch(self) -> bool:
        """Whether batches are counted."""
        return self.save_freq != "epoch"

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            return
        # Batches need not come one by one: with steps_per_execution only every n-th is seen.
        self._batches += batch - self._last_batch
        self._last_batch = batch
        if self._batches >= self.save_freq:
            self._batches = 0
            self._save(self._epoch, batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, None, logs)

    def _save(self, epoch: int, batch: int | None, logs: Any) -> None:
        path = self._path(epoch, batch, logs or {})
        if not self._is_wanted(epoch, logs, path):
            return
        if Path(path).is_dir():
            raise IsADirectoryError(
                f"ModelCheckpoint: expected the path of a file, got the folder {path}."
            )
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path, overwrite=True)
        self._tell(epoch, f"finished saving model to {path}")

    def _path(self, epoch: int, batch: int | None, logs: Any) -> str:
        names = {"epoch": epoch + 1} if batch is None else {"epoch": epoch + 1, "batch": batch + 1}
        try:
            return self.filepath.format(**(names | dict(logs)))
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: expected names in {self.filepath!r} that the logs have, got "
                f"{error}. Available are: {', '.join([*names, *logs])}."
            ) from error

    def _is_wanted(self, epoch: int, logs: Any, path: str) -> bool:
        if not self.save_best_only:
            self._tell(epoch, f"saving model to {path}")
            return True
        current = self._monitored(logs, f"Can save best model only with {self.monitor} available.")
        if current is None:
            return True
        if np.ndim(current) > 0:
            warnings.warn(
                f"Can save best model only when `monitor` is a scalar value. Received: {current}. "
                "Falling back to `save_best_only=False`.",
                stacklevel=2,
            )
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            self._tell(epoch, f"{self.monitor} did not improve from {best}")
            return False
        self._tell(
            epoch,
            f"{self.monitor} improved from {best} to {current:.5f}, saving model to {path}",
        )
        self.best = current
        return True

    def _tell(self, epoch: int, what: str) -> None:
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: {what}")
