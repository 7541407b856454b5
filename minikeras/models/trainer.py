"""Train, evaluate and predict: what users call with data."""

import warnings
from typing import Any

from minikeras import tree
from minikeras.callbacks import CallbackList
from minikeras.callbacks.logs import Logs, flat
from minikeras.models import loops
from minikeras.models.batches import (
    ArrayBatches,
    make_batches,
    one_batch,
    pack_x_y_sample_weight,
    unpack_x_y_sample_weight,
)
from minikeras.models.class_weight import weigh_classes, weighing
from minikeras.models.epochs import Epochs
from minikeras.models.runner import runner
from minikeras.models.steps import Steps


class Trainer(Steps):
    """Give a model `fit`, `evaluate` and `predict`, and the same for one batch.

    A step changes Variables all together after it went well: an error or an interrupt within it
    leaves weights, optimizer, metrics and random state as they were before it.
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> Any:
        """Train for `epochs` passes over the data and return the `History`.

        Args:
            x: arrays (a list or dict of them for several inputs) with the samples along the first
                axis, a `data.Dataset`, a `PyDataset`, or a generator of batches
                `(x, y[, sample_weight])`.
            y: targets like `x`, if `x` is arrays.
            batch_size: samples a step, 32 if None.
            epochs: the number of the last epoch.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch; "auto" is 1.
            callbacks: objects told what happens.
            validation_split: the share of samples, from the end of the arrays, to validate on.
            validation_data: `(x, y[, sample_weight])` or a source of batches to validate on.
            shuffle: draw a new order of the samples every epoch.
            class_weight: factor for the loss of samples, by class number.
            sample_weight: factor for the loss of each sample.
            initial_epoch: the number of the first epoch, to go on with a training.
            steps_per_epoch: batches that make an epoch; needed for endless sources.
            validation_steps: batches to validate on.
            validation_batch_size: like `batch_size`, for validation.
            validation_freq: validate every so many epochs, or in the epochs listed.

        Raises `ValueError` for data that does not go together or does not fit the model.
        """
        self._must_be_compiled()
        if validation_split and validation_data is None:
            whole = make_batches(x, y, sample_weight)
            if not isinstance(whole, ArrayBatches):
                raise ValueError(
                    "fit: expected arrays to use validation_split with, got a "
                    f"{type(x).__name__}. Pass validation_data=."
                )
            (x, y, sample_weight), validation_data = whole.split(validation_split)
        batches = make_batches(
            x, y, sample_weight, batch_size=batch_size, steps=steps_per_epoch, shuffle=shuffle
        )
        held_out: Any = None
        if validation_data is not None:
            held_out = _held_out(
                validation_data, validation_batch_size or batch_size, validation_steps
            )
        _not_empty(batches)
        run = Epochs(batches, steps_per_epoch, "fit", weighing(class_weight))
        callbacks = self._callback_list(callbacks, verbose, epochs, run.length, history=True)

        def validate(epoch: int) -> dict[str, Any]:
            if held_out is None or not _is_due(epoch, validation_freq):
                return {}
            logs = loops.test(self, Epochs(held_out, validation_steps, "validation"), callbacks)
            if not logs:
                warnings.warn(
                    f"Your input ran out of data: there is none to validate epoch {epoch + 1} on. "
                    "Pass arrays or a Dataset, which can be read again.",
                    stacklevel=4,
                )
            return {f"val_{name}": value for name, value in flat(logs)}

        loops.train(self, run, callbacks, range(initial_epoch, epochs), validate)
        return self.history  # type: ignore[attr-defined]

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Return the loss, or `[loss, metrics...]`, over the data; a dict if `return_dict`."""
        self._must_be_compiled()
        batches = make_batches(x, y, sample_weight, batch_size=batch_size, steps=steps)
        _not_empty(batches)
        run = Epochs(batches, steps, "evaluate")
        callbacks = self._callback_list(callbacks, verbose, 1, run.length)
        logs = loops.test(self, run, callbacks)
        if not logs:
            raise ValueError("evaluate: expected at least one batch, got a source that has none.")
        return self._answer(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the outputs for all samples as ndarrays, packed like the model's outputs."""
        batches = make_batches(x, batch_size=batch_size, steps=steps)
        run = Epochs(batches, steps, "predict")
        callbacks = self._callback_list(callbacks, verbose, 1, run.length)
        outputs = loops.predict(self, run, callbacks)
        if outputs:
            return loops.concatenated(outputs)
        if isinstance(batches, ArrayBatches):
            return loops.without_rows(self, batches.inputs)
        raise ValueError("predict: expected at least one batch, got a source that has none.")

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Update the weights with one batch and return its loss and metrics."""
        self._must_be_compiled()
        x, y, sample_weight = one_batch(x, y, sample_weight)
        if class_weight is not None:
            sample_weight = weigh_classes(class_weight, y, sample_weight)
        self.reset_metrics()
        logs = runner(self, "train_step")(pack_x_y_sample_weight(x, y, sample_weight))
        return self._answer(logs, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return the loss and metrics of one batch; no weight changes."""
        self._must_be_compiled()
        batch = one_batch(x, y, sample_weight)
        self.reset_metrics()
        logs = runner(self, "test_step")(pack_x_y_sample_weight(*batch))
        return self._answer(logs, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch as ndarrays."""
        batch = pack_x_y_sample_weight(*one_batch(x))
        return tree.map_structure(lambda y: y.numpy(), runner(self, "predict_step")(batch))

    def _answer(self, logs: dict[str, Any], as_dict: bool) -> Any:
        """Return logs as floats."""
        floats = Logs(logs).copy()
        return floats if as_dict else self._listed(floats)

    def _callback_list(
        self, callbacks: Any, verbose: Any, epochs: int, steps: int | None, history: bool = False
    ) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(
            callbacks,
            add_history=history,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )


def _held_out(data: Any, batch_size: int | None, steps: int | None) -> Any:
    """Return the batches to validate on."""
    if isinstance(data, (tuple, list)):
        data = make_batches(*unpack_x_y_sample_weight(data), batch_size=batch_size, steps=steps)
        _not_empty(data)
        return data
    return make_batches(data)


def _not_empty(batches: Any) -> None:
    if batches.length == 0:
        raise ValueError("fit: expected at least one sample, got data of length 0.")


def _is_due(epoch: int, frequency: Any) -> bool:
    """Tell whether to validate after this epoch, counted from 0."""
    if isinstance(frequency, int) and frequency > 0:
        return (epoch + 1) % frequency == 0
    if isinstance(frequency, (list, tuple, set)):
        return epoch + 1 in frequency
    raise ValueError(
        f"fit: expected validation_freq to be an integer > 0 or a list of epochs, got "
        f"{frequency!r}."
    )
