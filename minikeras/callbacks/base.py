"""Define what a callback is, and the ones that need nothing but the logs."""

from typing import Any

from minikeras.callbacks.logs import plain


class Callback:
    """Do something at given moments of `fit`, `evaluate` and `predict`: override what you need.

    `logs` is a dict of the losses and metrics so far; it holds `val_` entries at the end of an
    epoch with validation. Changes to it are seen by the callbacks that come later.

    Attributes:
        model: the model in training.
        params: a dict with `"verbose"`, `"epochs"` and `"steps"`.
        every_batch: whether hooks for batches, where a class has any, must be called for every
            batch. False lets `fit` do many short steps in one call.
    """

    every_batch: Any = True

    def __init__(self) -> None:
        self.params: dict[str, Any] | None = None
        self._model: Any = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Receive the parameters of the loop that begins."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Receive the model that the loop runs."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model in training."""
        return self._model

    def on_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Older name of `on_train_batch_begin`, which calls it."""

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        """Older name of `on_train_batch_end`, which calls it."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Run before epoch number `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Run after an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Run before a training step."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Run after a training step."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Run before a batch of `evaluate`, or of validation in `fit`."""

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Run after a batch of `evaluate`, or of validation in `fit`."""

    def on_predict_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Run before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
        """Run after a batch of `predict`; `logs` holds its `"outputs"`."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Run when `fit` begins."""

    def on_train_end(self, logs: Any = None) -> None:
        """Run when `fit` ends; `logs` are those of the last epoch."""

    def on_test_begin(self, logs: Any = None) -> None:
        """Run when `evaluate`, or validation in `fit`, begins."""

    def on_test_end(self, logs: Any = None) -> None:
        """Run when `evaluate`, or validation in `fit`, ends."""

    def on_predict_begin(self, logs: Any = None) -> None:
        """Run when `predict` begins."""

    def on_predict_end(self, logs: Any = None) -> None:
        """Run when `predict` ends."""


class LambdaCallback(Callback):
    """Run functions at the moments they are named after.

    Keyword arguments may name any other method of `Callback`, such as `on_test_end`.
    """

    def __init__(
        self,
        on_epoch_begin: Any = None,
        on_epoch_end: Any = None,
        on_train_begin: Any = None,
        on_train_end: Any = None,
        on_train_batch_begin: Any = None,
        on_train_batch_end: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        named = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        vars(self).update(kwargs)
        vars(self).update({name: function for name, function in named.items() if function})


class History(Callback):
    """Keep the logs of every epoch; `fit` returns it.

    Attributes:
        history: for each name in the logs, the list of its values.
        epoch: the numbers of the epochs run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(plain(value))
        self.model.history = self
