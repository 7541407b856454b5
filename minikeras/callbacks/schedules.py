"""Set the learning rate at the beginning of every epoch."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras.callbacks.base import Callback
from minikeras.callbacks.logs import say


class LearningRateScheduler(Callback):
    """Set the learning rate to `schedule(epoch, learning_rate)` before every epoch.

    Args:
        schedule: a function of the epoch, counted from 0, and the learning rate now; one of the
            epoch alone will do. It returns a float.
        verbose: 1 to say which rate is set.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        if not hasattr(optimizer, "learning_rate"):
            raise ValueError('Optimizer must have a "learning_rate" attribute.')
        arguments = (epoch, float(optimizer.learning_rate))
        rate = self.schedule(*arguments[: 2 if _takes_two(self.schedule) else 1])
        if isinstance(rate, (bool, int, str)) or np.ndim(rate) or not hasattr(rate, "__float__"):
            raise ValueError(
                f"The output of the `schedule` function should be a float. Got: {rate}"
            )
        optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            say(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to "
                f"{float(rate)}."
            )

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C do not say
        return True
    try:
        signature.bind(0, 0.0)
    except TypeError:
        return False
    return True
