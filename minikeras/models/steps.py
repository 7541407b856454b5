"""Define what happens to one batch: `compile` and the steps, which users may override."""

import inspect
import warnings
from typing import Any

from minikeras import optimizers, tree
from minikeras.core.tape import GradientTape
from minikeras.models.batches import positive, unpack_x_y_sample_weight
from minikeras.models.compiled import CompiledLoss, CompiledMetrics, LossTracker
from minikeras.models.runner import forget
from minikeras.ops.elementwise import cast
from minikeras.ops.reduction import sum


class Steps:
    """Give a model `compile`, and `train_step`, `test_step` and `predict_step`."""

    compiled = False
    run_eagerly = False
    jit_compile: Any = "auto"
    optimizer: Any = None
    loss: Any = None
    steps_per_execution = 1
    stop_training = stop_evaluating = stop_predicting = False

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
            run_eagerly: run every step as it is written, for debugging. Otherwise a step is traced
                once for each shape of batch and compiled; one that cannot be traced runs as it
                is written, with a warning.
            steps_per_execution: how many batches there are between two calls of the callbacks
                for batches.
            jit_compile: False does the same as `run_eagerly`.
            auto_scale_loss: concerns mixed precision in Keras, of which there is none here.
        """
        names = self._output_names()
        self.optimizer = optimizers.get(optimizer)
        self.loss = loss
        self._compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights, names)
        self._compiled_metrics = None
        if metrics is not None or weighted_metrics is not None:
            self._compiled_metrics = CompiledMetrics(metrics, weighted_metrics, names)
        self._loss_tracker = LossTracker(name="loss")
        self._loss_takes_training = "training" in inspect.signature(self.compute_loss).parameters
        self.run_eagerly = run_eagerly
        self.steps_per_execution = positive("steps_per_execution", steps_per_execution)
        self.jit_compile = jit_compile
        self.auto_scale_loss = auto_scale_loss
        forget(self)
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self.compiled = True

    def _output_names(self) -> list[str] | None:
        return None

    def _must_be_compiled(self) -> None:
        if not self.compiled:
            raise ValueError("You must call `compile()` before using the model.")

    # -- one batch -----------------------------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, Any]:
        """Update the weights with one batch and return the metrics by name."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        with GradientTape() as tape:
            y_pred = self(x, training=True)  # type: ignore[operator]
            loss = self._loss(x, y, y_pred, sample_weight, training=True)
            scaled = loss if self.optimizer is None else self.optimizer.scale_loss(loss)
        self._track(loss, x)
        weights = self.trainable_weights  # type: ignore[attr-defined]
        if weights:
            if self.optimizer is None:
                raise ValueError("fit: expected an optimizer, got compile(optimizer=None).")
            gradients = tape.gradient(scaled, weights)
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
        else:
            warnings.warn("The model does not have any trainable weights.", stacklevel=2)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Compute the loss and the metrics of one batch."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        self._track(self._loss(x, y, y_pred, sample_weight, training=False), x)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """Compute the outputs for one batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        return self(x, training=False)  # type: ignore[operator]

    def _loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
        """Return `compute_loss`, which may be of before it had the argument `training`."""
        option = {"training": training} if self._loss_takes_training else {}
        return self.compute_loss(x, y, y_pred, sample_weight, **option)

    def _track(self, loss: Any, x: Any) -> None:
        samples = next(leaf.shape[0] for leaf in tree.leaves(x) if leaf is not None)
        self._loss_tracker.update_state(loss, sample_weight=samples)

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
            part = sum(loss) if loss.shape else loss
            total = part if total is None else total + cast(part, total.dtype)
        if total is None:
            raise ValueError(
                "No loss to compute. Provide a `loss` argument in `compile()`, call add_loss in a "
                "layer, or override compute_loss."
            )
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Update the compiled metrics with a batch and return all results."""
        if self._compiled_metrics is not None:
            self._compiled_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    # -- metrics -------------------------------------------------------------------------------

    @property
    def metrics(self) -> list[Any]:
        """The loss tracker, the compiled metrics, and metrics that are attributes."""
        found: list[Any] = []
        if self.compiled:
            found.append(self._loss_tracker)
            if self._compiled_metrics is not None:
                found.append(self._compiled_metrics)
            if self._compiled_loss is not None:
                found.extend(self._compiled_loss.metrics)
        return [*found, *self._own_metrics()]

    def _own_metrics(self) -> list[Any]:
        return []

    @property
    def metrics_names(self) -> list[str]:
        """The names of `metrics`."""
        return [metric.name for metric in self.metrics]

    def get_metrics_result(self) -> dict[str, Any]:
        """Return the current results of all metrics by name."""
        results: dict[str, Any] = {}
        for metric in self.metrics:
            result = metric.result()
            results.update(result if isinstance(result, dict) else {metric.name: result})
        return results

    def reset_metrics(self) -> None:
        """Reset all metrics."""
        for metric in self.metrics:
            metric.reset_state()

    def _listed(self, logs: dict[str, Any]) -> Any:
        """Return results as `evaluate` lists them: those of `metrics` in order, then the rest."""
        names: list[str] = []
        for metric in self.metrics:
            inner = metric.metrics if isinstance(metric, CompiledMetrics) else [metric]
            names.extend(each.name for each in inner)
        values = [logs[name] for name in names if name in logs]
        values.extend(logs[name] for name in sorted(logs) if name not in names)
        return values[0] if len(values) == 1 else values
