"""Run a model over data: epochs of training, one pass of evaluation or prediction."""

import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.callbacks import CallbackList
from minikeras.core.context import VariableScope
from minikeras.core.tensor import EagerTensor
from minikeras.models.batches import Batch, pack_x_y_sample_weight
from minikeras.models.epochs import Epochs
from minikeras.models.runner import runner

Logs = dict[str, Any]


def train(
    model: Any, run: Epochs, callbacks: CallbackList, epochs: range, validate: Callable[..., Logs]
) -> None:
    """Train for the epochs numbered by `epochs`, or until `model.stop_training`.

    `validate(epoch)` returns what to add to an epoch's logs.
    """
    model.stop_training = False
    callbacks.on_train_begin()
    logs: Logs = {}
    for epoch in epochs:
        steps = iter(run)
        first = next(steps, None)
        if first is None:
            raise ValueError("fit: expected at least one batch, got a source that has none.")
        model.reset_metrics()
        callbacks.on_epoch_begin(epoch)
        hooks = (callbacks.on_train_batch_begin, callbacks.on_train_batch_end)
        batches = itertools.chain([first], steps)
        for logs in _steps(model, runner(model, "train_step"), batches, *hooks):  # noqa: B007 - the last count
            if model.stop_training:
                break
        logs = logs | validate(epoch)
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
        if run.exhausted and epoch + 1 < epochs.stop:
            warnings.warn(
                f"Your input ran out of data; interrupting training after {epoch + 1} of "
                f"{epochs.stop} epochs: fit got an iterator, which gives its batches only once. "
                "Pass a Dataset, or steps_per_epoch= and an iterator without end.",
                stacklevel=3,
            )
            break
    optimizer = model.optimizer
    if getattr(optimizer, "built", False):
        optimizer.finalize_variable_values(model.trainable_weights)
    callbacks.on_train_end(logs)


def test(model: Any, run: Epochs, callbacks: CallbackList) -> Logs:
    """Return the logs of one pass over the data, none if there is no data."""
    model.stop_evaluating = False
    callbacks.on_test_begin()
    model.reset_metrics()
    logs: Logs = {}
    hooks = (callbacks.on_test_batch_begin, callbacks.on_test_batch_end)
    for logs in _steps(model, runner(model, "test_step"), run, *hooks):  # noqa: B007 - the last ones count
        if model.stop_evaluating:
            break
    callbacks.on_test_end(logs)
    return logs


def predict(model: Any, run: Epochs, callbacks: CallbackList) -> list[Any]:
    """Return the outputs for each batch."""
    model.stop_predicting = False
    callbacks.on_predict_begin()
    outputs = []
    run_step, every = runner(model, "predict_step"), model.steps_per_execution

    def step(data: Any) -> Logs:
        outputs.append(run_step(data))
        return {}

    def end(number: int, _: Logs) -> None:
        new = outputs[number // every * every :]
        callbacks.on_predict_batch_end(
            number, {"outputs": new[0] if len(new) == 1 else concatenated(new)}
        )

    for _ in _steps(model, step, run, callbacks.on_predict_batch_begin, end):
        if model.stop_predicting:
            break
    callbacks.on_predict_end()
    return outputs


def _steps(
    model: Any,
    step: Callable[[Any], Logs],
    batches: Iterable[tuple[int, Batch]],
    begin: Callable[[int], None],
    end: Callable[[int, Logs], None],
) -> Iterator[Logs]:
    """Do a step for each batch; tell callbacks and yield the logs every `steps_per_execution`."""
    every = model.steps_per_execution
    logs: Logs = {}
    number = -1
    for number, batch in batches:
        if number % every == 0:
            begin(number)
        logs = step(pack_x_y_sample_weight(*batch))
        if not isinstance(logs, dict):
            raise TypeError(
                f"{type(model).__name__} '{model.name}': expected the step to return a dict of "
                f"logs, got {logs!r}. End it with `return self.compute_metrics(x, y, y_pred)`."
            )
        if (number + 1) % every == 0:
            end(number, logs)
            yield logs
    if (number + 1) % every:
        end(number, logs)
        yield logs


def concatenated(outputs: list[Any]) -> Any:
    """Join the outputs for all batches, as ndarrays."""
    return tree.map_structure(
        lambda *parts: np.concatenate([np.atleast_1d(part) for part in parts]), *outputs
    )


def without_rows(model: Any, inputs: Any) -> Any:
    """Return arrays without rows, of the shapes that the outputs for `inputs` would have."""
    x = tree.map_structure(lambda a: EagerTensor(np.zeros((1, *a.shape[1:]), a.dtype)), inputs)
    with VariableScope():
        outputs = model.predict_step((x,))
    return tree.map_structure(lambda y: y.numpy()[:0], outputs)
