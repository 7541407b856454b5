"""Train, evaluate and predict: `compile`, `fit` and what they call, which users may override."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minikeras import metrics as metrics_module
from minikeras import optimizers, tree
from minikeras.callbacks import CallbackList
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import EagerTensor
from minikeras.models.batches import (
    ArrayBatches,
    Batch,
    Epochs,
    make_batches,
    pack_x_y_sample_weight,
    unpack_x_y_sample_weight,
)
from minikeras.models.class_weight import weigh_classes
from minikeras.models.compiled import CompiledLoss, CompiledMetrics
from minikeras.ops import reduction


class Trainer:
    """Give a model `compile`, `fit`, `evaluate` and `predict`."""

    # -- compiling -----------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how to train.

        Args:
            optimizer: name or object.
            loss: name, function or Loss; a list or dict of them for several outputs.
            loss_weights: factors for the losses of several outputs.
            metrics: names, functions or Metrics; for several outputs a list of lists or a dict.
            weighted_metrics: metrics that count samples by their sample and class weights.
            run_eagerly: never trace; every step runs as Python.
            steps_per_execution: batches between two calls of batch callbacks' progress.
            jit_compile: whether steps may become native code.
            auto_scale_loss: scale the loss for an optimizer that wants it.
        """
        self.optimizer = optimizers.get(optimizer)
        self.loss = loss
        names = self._output_names()
        self._compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights, names)
        self._compiled_metrics = (
            None
            if metrics is None and weighted_metrics is None
            else CompiledMetrics(metrics, weighted_metrics, names)
        )
        self._loss_tracker = metrics_module.Mean(name="loss")
        self.run_eagerly = run_eagerly
        self.steps_per_execution = steps_per_execution
        self.jit_compile = jit_compile
        self.auto_scale_loss = auto_scale_loss
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self.compiled = True

    def _output_names(self) -> list[str] | None:
        return None

    def _must_be_compiled(self) -> None:
        if not getattr(self, "compiled", False):
            raise ValueError("You must call `compile()` before using the model.")

    # -- one step, for users to override ---------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, Any]:
        """Update the weights with one batch and return the metrics by name."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        with GradientTape() as tape:
            y_pred = self(x, training=True)  # type: ignore[operator]
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
            self._loss_tracker.update_state(loss, sample_weight=_batch_length(x))
            if self.optimizer is not None:
                loss = self.optimizer.scale_loss(loss)
        weights = self.trainable_weights  # type: ignore[attr-defined]
        if weights:
            gradients = tape.gradient(loss, weights)
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Compute the loss and the metrics of one batch."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
        self._loss_tracker.update_state(loss, sample_weight=_batch_length(x))
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Compute the outputs for one batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the compiled losses of a batch plus what layers added to `losses`."""
        total = None
        if self._compiled_loss is not None:
            total = self._compiled_loss(y, y_pred, sample_weight)
        for loss in self.losses:  # type: ignore[attr-defined]
            part = reduction.sum(loss)
            total = part if total is None else total + part
        if total is None:
            raise ValueError(
                "fit: expected a loss to minimize, got none: compile() was called without loss= "
                "and no layer calls add_loss. Pass loss= or override compute_loss."
            )
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Update the compiled metrics with a batch and return all results."""
        if self._compiled_metrics is not None:
            self._compiled_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the current results of all metrics by name."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            results.update(result if isinstance(result, dict) else {metric.name: result})
        return results

    # -- metrics -------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Any]:
        """The loss tracker, metrics that are attributes of the model, and the compiled ones."""
        found = list(self._own_metrics())
        if not getattr(self, "compiled", False):
            return found
        if self._compiled_loss is not None or self.losses:  # type: ignore[attr-defined]
            found.insert(0, self._loss_tracker)
        if self._compiled_metrics is not None:
            found.append(self._compiled_metrics)
        return [*found, *(self._compiled_loss.metrics if self._compiled_loss else [])]

    def _own_metrics(self) -> Iterator[Any]:
        return iter(())

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def reset_metrics(self) -> None:
        """Reset all metrics."""
        for metric in self.metrics:
            metric.reset_state()

    # -- loops ---------------------------------------------------------------------------------

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
                axis, a `data.Dataset`, or a generator of `(x, y[, sample_weight])` batches.
            y: targets like `x`, if `x` is arrays.
            batch_size: samples a step, 32 if None.
            epochs: the number of the last epoch.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch; "auto" is 1 on a terminal.
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
        batches: Any = make_batches(x, y, sample_weight, batch_size=batch_size, shuffle=shuffle)
        held_out: Any = None
        if validation_split:
            if not isinstance(batches, ArrayBatches):
                raise ValueError("fit: expected arrays to use validation_split with.")
            batches, held_out = batches.split(
                validation_split, validation_batch_size or batches.batch_size
            )
        elif validation_data is not None:
            held_out = _validation_batches(validation_data, validation_batch_size or batch_size)
        _not_empty(batches)
        run = Epochs(batches, steps_per_epoch)
        callbacks = self._callback_list(callbacks, verbose, epochs, run.length, history=True)
        self.stop_training = False
        prepare = _preparation(class_weight)
        callbacks.on_train_begin()
        logs: dict[str, Any] = {}
        for epoch in range(initial_epoch, epochs):
            self.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            for step, batch in run.epoch(prepare):
                callbacks.on_train_batch_begin(step)
                logs = self.train_step(pack_x_y_sample_weight(*batch))
                callbacks.on_train_batch_end(step, logs)
                if self.stop_training:
                    break
            if run.exhausted and not logs:
                raise ValueError("fit: expected at least one batch, got a source that has none.")
            logs = dict(sorted(logs.items()))
            if held_out is not None and _is_due(epoch, validation_freq):
                logs.update(self._validate(held_out, validation_steps, callbacks))
            callbacks.on_epoch_end(epoch, _floats(logs))
            if self.stop_training or run.exhausted:
                break
        callbacks.on_train_end(_floats(logs))
        return self.history

    def _validate(self, held_out: Any, steps: int | None, callbacks: Any) -> dict[str, Any]:
        """Evaluate without disturbing the numbers of the running epoch."""
        logs = self._test_loop(Epochs(held_out, steps, "validation"), callbacks)
        return {f"val_{name}": value for name, value in sorted(logs.items())}

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
        batches = make_batches(x, y, sample_weight, batch_size=batch_size)
        _not_empty(batches)
        run = Epochs(batches, steps, "evaluate")
        callbacks = self._callback_list(callbacks, verbose, 1, run.length)
        logs = _floats(dict(sorted(self._test_loop(run, callbacks).items())))
        return logs if return_dict else self._in_order(logs)

    def _test_loop(self, run: Epochs, callbacks: Any) -> dict[str, Any]:
        self.stop_evaluating = False
        self.reset_metrics()
        callbacks.on_test_begin()
        logs: dict[str, Any] = {}
        for step, batch in run.epoch(_unchanged):
            callbacks.on_test_batch_begin(step)
            logs = self.test_step(pack_x_y_sample_weight(*batch))
            callbacks.on_test_batch_end(step, logs)
            if self.stop_evaluating:
                break
        callbacks.on_test_end(logs)
        return logs

    def _in_order(self, logs: dict[str, Any]) -> Any:
        """Return results as `evaluate` lists them: the loss, then metrics in their order."""
        known = self.get_metrics_result()
        values = [logs[name] for name in known if name in logs]
        values.extend(value for name, value in logs.items() if name not in known)
        return values[0] if len(values) == 1 else values

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Return the outputs for all samples as ndarrays, packed like the model's outputs."""
        batches = make_batches(x, batch_size=batch_size)
        run = Epochs(batches, steps, "predict")
        callbacks = self._callback_list(callbacks, verbose, 1, run.length)
        self.stop_predicting = False
        callbacks.on_predict_begin()
        outputs = []
        for step, batch in run.epoch(_unchanged):
            callbacks.on_predict_batch_begin(step)
            outputs.append(self.predict_step(pack_x_y_sample_weight(*batch)))
            callbacks.on_predict_batch_end(step, {"outputs": outputs[-1]})
            if self.stop_predicting:
                break
        callbacks.on_predict_end()
        if not outputs:
            return self._no_predictions(batches)
        return tree.map_structure(lambda *parts: np.concatenate(parts), *outputs)

    def _no_predictions(self, batches: Any) -> Any:
        """Return arrays without rows, of the shapes that the outputs would have."""
        if not isinstance(batches, ArrayBatches):
            raise ValueError("predict: expected at least one batch, got a source that has none.")
        x = tree.map_structure(
            lambda a: EagerTensor(np.zeros((1, *a.shape[1:]), a.dtype)), batches.inputs
        )
        return tree.map_structure(lambda y: y.numpy()[:0], self.predict_step((x,)))

    # -- single batches --------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Update the weights with one batch; return the loss and metrics since their reset."""
        self._must_be_compiled()
        batch = _preparation(class_weight)(_one_batch(x, y, sample_weight))
        logs = _floats(self.train_step(pack_x_y_sample_weight(*batch)))
        return logs if return_dict else self._in_order(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Return the loss and metrics with one more batch; no weight changes."""
        self._must_be_compiled()
        batch = _one_batch(x, y, sample_weight)
        logs = _floats(self.test_step(pack_x_y_sample_weight(*batch)))
        return logs if return_dict else self._in_order(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs for one batch as ndarrays."""
        return tree.map_structure(
            lambda y: y.numpy(), self.predict_step(pack_x_y_sample_weight(*_one_batch(x)))
        )

    def _callback_list(
        self, callbacks: Any, verbose: Any, epochs: int, steps: int | None, history: bool = False
    ) -> CallbackList:
        if isinstance(callbacks, CallbackList):
            return callbacks
        if verbose == "auto":
            verbose = 1 if sys.stdout.isatty() else 2
        return CallbackList(
            callbacks,
            add_history=history,
            add_progbar=verbose != 0,
            model=self,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )


def _unchanged(batch: Batch) -> Batch:
    return batch


def _preparation(class_weight: Any) -> Callable[[Batch], Batch]:
    """Return what to do to each batch before the step: fold class weights into sample weights."""
    if class_weight is None:
        return _unchanged
    return lambda batch: (batch[0], batch[1], weigh_classes(class_weight, batch[1], batch[2]))


def _one_batch(x: Any, y: Any = None, sample_weight: Any = None) -> Batch:
    size = max(len(leaf) for leaf in tree.flatten(tree.map_structure(np.asarray, x)))
    return next(iter(make_batches(x, y, sample_weight, batch_size=size)))


def _validation_batches(data: Any, batch_size: int | None) -> Any:
    if isinstance(data, (tuple, list)):
        return make_batches(*unpack_x_y_sample_weight(data), batch_size=batch_size)
    return make_batches(data)


def _not_empty(batches: Any) -> None:
    if batches.length == 0:
        raise ValueError("fit: expected at least one sample, got data of length 0.")


def _is_due(epoch: int, frequency: Any) -> bool:
    if isinstance(frequency, int):
        return (epoch + 1) % frequency == 0
    return epoch + 1 in frequency


def _batch_length(x: Any) -> int:
    return next(leaf.shape[0] for leaf in tree.leaves(x) if leaf is not None)  # type: ignore[no-any-return]


def _floats(logs: dict[str, Any]) -> dict[str, Any]:
    """Turn scalar tensors into Python floats."""
    return {
        name: float(value) if not getattr(value, "shape", ()) else np.asarray(value)
        for name, value in logs.items()
    }
