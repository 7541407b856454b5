"""Hold the losses and metrics given to `compile`, for each of a model's outputs."""

from typing import Any

from minikeras import losses, metrics
from minikeras.core.basic import astype
from minikeras.losses import Loss
from minikeras.metrics import Metric
from minikeras.models.outputs import Outputs, free
from minikeras.registry import snake_case


class LossTracker(metrics.Mean):
    """The mean loss of all samples, from the mean loss of each batch."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take the loss of a batch into account, `sample_weight` being its number of samples.

        Without it batches count alike, as in the loop over `metrics` of many a `train_step`.
        """
        if sample_weight is None or values.shape:
            super().update_state(values, sample_weight)
            return
        self.total.assign_add(astype(values, self._dtype) * sample_weight)
        self.count.assign_add(sample_weight)


class CompiledLoss:
    """Add up the weighted losses of all outputs, and track each if there are several."""

    def __init__(self, loss: Any, weights: Any, names: list[str] | None) -> None:
        self._given, self._weights, self._names = loss, weights, names
        self._outputs: Outputs | None = None
        self._losses: list[Loss | None] = []
        self._factors: list[float] = []
        self._needed: list[bool] = []
        self._trackers: list[LossTracker | None] = []
        self.metrics: list[Any] = []

    def _build(self, y: Any, y_pred: Any) -> Outputs:
        outputs = Outputs(y_pred, self._names)
        given = outputs.spread("loss", self._given)
        self._needed = [one is not None for one in given]
        targets = self._targets(outputs, y)
        self._losses = [
            None if one is None else _loss(one, target, prediction)
            for one, target, prediction in zip(given, targets, outputs.flat(y_pred), strict=True)
        ]
        factors = outputs.spread("loss_weights", self._weights)
        self._factors = [1.0 if factor is None else float(factor) for factor in factors]
        self._trackers = [None] * outputs.count
        if sum(self._needed) > 1:
            for i in self._order(outputs, y_pred):
                label = f"{outputs.names[i] or self._losses[i].name}_loss"  # type: ignore[union-attr]
                self._trackers[i] = LossTracker(name=free(label, [m.name for m in self.metrics]))
                self.metrics.append(self._trackers[i])
        self._outputs = outputs
        return outputs

    def _order(self, outputs: Outputs, y_pred: Any) -> list[int]:
        """Return the outputs with losses in Keras' order: of a dict's keys as they were given."""
        if isinstance(y_pred, dict) and None not in outputs.names:
            keys = self._given if isinstance(self._given, dict) else y_pred
            return [i for i in map(outputs.names.index, keys) if self._needed[i]]
        return [i for i, needs in enumerate(self._needed) if needs]

    def _targets(self, outputs: Outputs, y: Any) -> list[Any]:
        targets = outputs.matched("y", y, self._needed)
        if any(y is None and needs for y, needs in zip(targets, self._needed, strict=True)):
            raise ValueError(
                "fit: expected targets y to compute the loss with, got None. Pass y=, or batches "
                "of (x, y)."
            )
        return targets

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the total loss of a batch, None if no output has a loss."""
        outputs = self._outputs or self._build(y, y_pred)
        targets = self._targets(outputs, y)
        predictions = outputs.flat(y_pred)
        weights = outputs.matched("sample_weight", sample_weight, self._needed)
        total = None
        for i, loss in enumerate(self._losses):
            if loss is None:
                continue
            value = loss(targets[i], predictions[i], weights[i])
            tracker = self._trackers[i]
            if tracker is not None:
                tracker.update_state(value, sample_weight=predictions[i].shape[0])
            value = value if self._factors[i] == 1.0 else value * self._factors[i]
            total = value if total is None else total + value
        return total


def _loss(identifier: Any, y: Any, y_pred: Any) -> Loss:
    """Return the Loss object that an entry of `compile(loss=)` means."""
    name = identifier if isinstance(identifier, str) else None
    if name and name.lower() in ("crossentropy", "ce"):
        identifier = metrics.resolve_accuracy("crossentropy", y.shape, y_pred.shape)
    found = losses.get(identifier)
    if isinstance(found, Loss):
        return found
    return losses.LossFunctionWrapper(found, name=name or _name_of(found))


class CompiledMetrics:
    """Update and report the metrics of all outputs under Keras' names."""

    name = "compile_metrics"

    def __init__(self, plain: Any, weighted: Any, names: list[str] | None) -> None:
        self._plain, self._weighted, self._names = plain, weighted, names
        self._outputs: Outputs | None = None
        self._rows: list[tuple[str, Metric, int, bool]] = []
        """Reported name, metric, the output's position, whether sample weights count."""
        self._needed: list[bool] = []
        for what, given in (("metrics", plain), ("weighted_metrics", weighted)):
            Outputs(None, None).lists(what, given)  # refuses what is no list, tuple or dict

    @property
    def metrics(self) -> list[Metric]:
        """The metric objects, once their outputs' shapes are known."""
        return [metric for _, metric, _, _ in self._rows]

    @property
    def variables(self) -> list[Any]:
        """The Variables of all metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def _build(self, y: Any, y_pred: Any) -> Outputs:
        outputs = Outputs(y_pred, self._names)
        plain = outputs.lists("metrics", self._plain)
        weighted = outputs.lists("weighted_metrics", self._weighted)
        self._needed = [bool(a or b) for a, b in zip(plain, weighted, strict=True)]
        targets = outputs.matched("y", y, self._needed)
        predictions = outputs.flat(y_pred)
        for lists, is_weighted in ((plain, False), (weighted, True)):
            for i, identifiers in enumerate(lists):
                for identifier in identifiers:
                    metric = _metric(identifier, targets[i], predictions[i])
                    label = self._label(outputs, i, metric.name, is_weighted)
                    self._rows.append((label, metric, i, is_weighted))
        self._outputs = outputs
        return outputs

    def _label(self, outputs: Outputs, i: int, name: str, is_weighted: bool) -> str:
        """Return Keras' name for a metric: with its output's if there are several, and unique."""
        prefix = f"{outputs.names[i]}_" if outputs.count > 1 and outputs.names[i] else ""
        taken = {row[0] for row in self._rows}
        if is_weighted and prefix + name in taken:
            name = f"weighted_{name}"
        return free(prefix + name, taken)

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Update every metric with one batch."""
        outputs = self._outputs or self._build(y, y_pred)
        targets = outputs.matched("y", y, self._needed)
        predictions = outputs.flat(y_pred)
        weights = outputs.matched("sample_weight", sample_weight, self._needed)
        for _, metric, i, is_weighted in self._rows:
            if is_weighted:
                metric.update_state(targets[i], predictions[i], sample_weight=weights[i])
            else:
                metric.update_state(targets[i], predictions[i])

    def reset_state(self) -> None:
        """Reset every metric."""
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict[str, Any]:
        """Return every metric's result by name."""
        return {label: metric.result() for label, metric, _, _ in self._rows}


def _metric(identifier: Any, y: Any, y_pred: Any) -> Metric:
    """Return the Metric object that an entry of `compile(metrics=)` means, named as written."""
    name = identifier if isinstance(identifier, str) else None
    if name and name.lower() in ("accuracy", "acc", "crossentropy", "ce"):
        identifier = metrics.resolve_accuracy(name, y.shape, y_pred.shape)
    found = metrics.get(identifier)
    if not isinstance(found, Metric):
        found = metrics.MeanMetricWrapper(found, name=name or _name_of(found))
    if name:
        found.name = name
    return found


def _name_of(function: Any) -> str:
    """Return the name that Keras gives a function or callable object: `<lambda>` is `lambda`."""
    if hasattr(function, "name"):
        return str(function.name)
    return snake_case(getattr(function, "__name__", type(function).__name__))
