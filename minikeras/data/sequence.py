"""Define `PyDataset`: batches that users compute by number."""

from typing import Any


class PyDataset:
    """A source of batches: subclass it and define `__getitem__(index)` and `__len__`.

    `fit` asks for the batches in a new order every epoch if `shuffle`, one after the other: the
    arguments about workers, which speed up sources that wait, are kept for Keras' sake.
    """

    def __init__(
        self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10
    ) -> None:
        self.workers = workers
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = max_queue_size

    def __getitem__(self, index: int) -> Any:
        """Return batch number `index`."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected a __getitem__ method, got a class without."
        )

    def __len__(self) -> int:
        return self.num_batches

    @property
    def num_batches(self) -> int:
        """The number of batches; define this or `__len__`."""
        raise NotImplementedError(
            f"{type(self).__name__}: expected __len__ or num_batches, got a class without."
        )

    def on_epoch_begin(self) -> None:
        """Run before each epoch."""

    def on_epoch_end(self) -> None:
        """Run after each epoch."""
