"""Hand out the steps of epochs, beginning the data anew or going on with it as Keras does."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from minikeras.core.tensor import Array
from minikeras.models.batches import Batch, Pass, positive


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
        self._step = 0
        self.exhausted = False
        """Whether the data is used up for good."""

    @property
    def length(self) -> int | None:
        """The number of steps in an epoch, None if it is unknown."""
        return self._batches.length if self._steps is None else self._steps

    def __iter__(self) -> Iterator[tuple[int, Batch]]:
        """Yield `(step, batch)` for one epoch."""
        self._step = 0
        while self._steps is None or self._step < self._steps:
            batch = self._next(self._step)
            if batch is None:
                self._ended(self._step)
                break
            self._any = True
            self._step += 1
            yield self._step - 1, batch if self._prepare is None else self._prepare(batch)
        if hasattr(self._batches, "end_epoch"):
            self._batches.end_epoch()

    def several(self, most: int) -> tuple[int, list[Array]]:
        """Return the number of the next step, and the batches from that on, at most so many.

        They are no longer yielded then. There are none where batches cannot be stacked, see `Pass`.
        """
        step = self._step
        if self._prepare is not None or not isinstance(self._running, Pass):
            return step, []
        left = most if self._steps is None else self._steps - step
        stacks = self._running.several(min(most, left))
        self._step += len(stacks[0]) if stacks else 0
        return step, stacks

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
