"""Run a model over data: epochs of training, one pass of evaluation or prediction."""

import itertools
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from time import perf_counter
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.callbacks.container import CallbackList, Hooks
from minikeras.core.context import VariableScope
from minikeras.core.tensor import EagerTensor
from minikeras.models.batches import Batch, pack_x_y_sample_weight
from minikeras.models.epochs import Epochs
from minikeras.models.runner import Runner, runner

Logs = dict[str, Any]

# A call of native code for many steps: an interrupt waits for its end, and so does the bar.
_CALL_SECONDS = 5e-3
_MOST_STEPS = 1024


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
        batches = itertools.chain([first], steps)
        step = runner(model, "train_step")
        for logs in _steps(model, step, run, batches, callbacks.hooks("train")):  # noqa: B007 - the last count
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
    step = runner(model, "test_step")
    for logs in _steps(model, step, run, run, callbacks.hooks("test")):  # noqa: B007 - the last ones count
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

    hooks = callbacks.hooks("predict")._replace(end=end, every=True)
    for _ in _steps(model, step, run, run, hooks):
        if model.stop_predicting:
            break
    callbacks.on_predict_end()
    return outputs


def _steps(
    model: Any,
    step: Any,
    run: Epochs,
    batches: Iterable[tuple[int, Batch]],
    hooks: Hooks,
) -> Iterator[Logs]:
    """Do a step for each batch; tell callbacks and yield the logs every `steps_per_execution`.

    As long as steps are short and no callback asks for every batch, do many in one call.
    """
    alone = hooks.every
    every = model.steps_per_execution if alone else 1
    logs: Logs = {}
    number = -1
    for number, batch in batches:
        if number % every == 0:
            hooks.begin(number)
        begun = perf_counter()
        logs = step(pack_x_y_sample_weight(*batch))
        took = perf_counter() - begun
        if not isinstance(logs, dict):
            raise TypeError(
                f"{type(model).__name__} '{model.name}': expected the step to return a dict of "
                f"logs, got {logs!r}. End it with `return self.compute_metrics(x, y, y_pred)`."
            )
        if (number + 1) % every == 0:
            hooks.end(number, logs)
            yield logs
        if not alone:
            alone = yield from _many(step, run, hooks, took)
    if (number + 1) % every:
        hooks.end(number, logs)
        yield logs


def _many(step: Runner, run: Epochs, hooks: Hooks, took: float) -> Generator[Logs, None, bool]:
    """Do the next steps by many in one call, as long as they take some `took` seconds each.

    Returns whether the rest of the epoch has to be done one by one.
    """
    while (most := int(min(_CALL_SECONDS / took, _MOST_STEPS))) > 1:
        number, stacks = run.several(1 << most.bit_length() - 1)
        if not stacks:
            return True
        count = len(stacks[0])
        hooks.begin(number)
        begun = perf_counter()
        done, logs = step.several(stacks)
        for i in range(done, count):
            logs = step(pack_x_y_sample_weight(*[EagerTensor(stack[i].copy()) for stack in stacks]))
        took = (perf_counter() - begun) / count
        hooks.end(number + count - 1, logs)
        yield logs
        if done < count:
            return True
    return False


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
