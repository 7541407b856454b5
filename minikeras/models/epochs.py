"""Hand out the steps of epochs, beginning the data anew or going on with it as Keras does."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from minikeras.models.batches import Batch, positive


class Epochs:
    """Divide a source of batches into epochs.

    Without `steps` an epoch is one pass over the data. With `steps` an epoch goes on where the
    last one ended; data that ends within an epoch cuts it short, with a warning.

    Args:
        batches: what `make_batches` returned.
        steps: batches in an epoch.
        who: the method to name in warnings and errors.
        prepare: changes each batch before it is used.
    """

    def __init__(
        self,
        batches: Any,
        steps: int | None,
        who: str,
        prepare: Callable[[Batch], Batch] | None = None,
    ) -> None:
        self._batches = batches
        self._steps = None if steps is None else positive("steps", steps)
        self._prepare = prepare
        self._who = who
        self._running: Iterator[Batch] | None = None
        self._any = False
        self.exhausted = False
        """Whether the data is used up for good."""

    @property
    def length(self) -> int | None:
        """The number of steps in an epoch, None if it is unknown."""
        return self._batches.length if self._steps is None else self._steps

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        """Yield `(step, batch)` for one epoch."""
        step = 0
        while self._steps is None or step < self._steps:
            batch = self._next(step)
            if batch is None:
                self._ended(step)
                break
            self._any = True
            yield step, batch if self._prepare is None else self._prepare(batch)
            step += 1
        if hasattr(self._batches, "end_epoch"):
            self._batches.end_epoch()

    def _next(self, step: int) -> Batch | None:
        if self._running is None:
            self._running = iter(self._batches)
        batch = next(self._running, None)
        if batch is None and step == 0 and not self._batches.once:
            self._running = iter(self._batches)
            batch = next(self._running, None)
        return batch

    def _ended(self, step: int) -> None:
        self._running = None
        self.exhausted = self._batches.once
        if self._steps is not None and self._any:
            warnings.warn(
                f"Your input ran out of data; interrupting training: {self._who} got {step} of "
                f"{self._steps} steps this epoch. Use `.repeat()` or fewer steps.",
                stacklevel=4,
            )
