"""Hold the losses and metrics given to `compile`, matched to a model's outputs."""

from typing import Any

from minikeras import losses as losses_module
from minikeras import metrics as metrics_module
from minikeras import tree


def named_outputs(y_pred: Any, names: list[str] | None) -> dict[str, Any]:
    """Return the outputs by name; several unnamed ones are numbered."""
    if isinstance(y_pred, dict):
        return {key: y_pred[key] for key in sorted(y_pred)}
    flat = tree.flatten(y_pred)
    if not names or len(names) != len(flat):
        names = [f"output_{i}" for i in range(len(flat))] if len(flat) > 1 else ["output"]
    repeated = {name for name in names if names.count(name) > 1}
    return {
        f"{name}_{i}" if name in repeated else name: value
        for i, (name, value) in enumerate(zip(names, flat, strict=True))
    }


def per_output(what: str, given: Any, names: list[str], *, copy: bool = False) -> list[Any]:
    """Spread what the user gave - one thing, a list or a dict by name - over the outputs."""
    if isinstance(given, dict):
        unknown = sorted(set(given) - set(names))
        if unknown:
            raise ValueError(
                f"compile: expected {what} for outputs named {names}, got {unknown} too."
            )
        return [given.get(name) for name in names]
    if isinstance(given, (list, tuple)):
        if len(given) != len(names):
            raise ValueError(
                f"compile: expected {len(names)} entries in {what}, one for each output of "
                f"{names}, got {len(given)}."
            )
        return list(given)
    return [given] * len(names)


def matched(what: str, given: Any, names: list[str]) -> list[Any]:
    """Bring targets or sample weights into the order of the outputs."""
    if given is None:
        return [None] * len(names)
    if isinstance(given, dict):
        missing = [name for name in names if name not in given]
        if missing:
            raise ValueError(f"fit: expected {what} named {names}, got {sorted(given)}.")
        return [given[name] for name in names]
    flat = tree.flatten(given)
    if len(flat) == 1 and what == "sample_weight":
        return flat * len(names)
    if len(flat) != len(names):
        raise ValueError(f"fit: expected {what} for {len(names)} outputs {names}, got {len(flat)}.")
    return flat


class CompiledLoss:
    """Add up the weighted losses of all outputs, and track each if there are several."""

    def __init__(self, loss: Any, loss_weights: Any, names: list[str] | None) -> None:
        self._given, self._weights, self._names = loss, loss_weights, names
        self._losses: list[Any] | None = None
        self._factors: list[float] = []
        self.metrics: list[Any] = []

    def _build(self, targets: list[Any], outputs: dict[str, Any]) -> None:
        names = list(outputs)
        given = per_output("loss", self._given, names)
        self._losses = [
            None if one is None else _loss(one, y, y_pred)
            for one, y, y_pred in zip(given, targets, outputs.values(), strict=True)
        ]
        weights = per_output("loss_weights", self._weights, names)
        self._factors = [1.0 if weight is None else float(weight) for weight in weights]
        if len(names) > 1:
            self.metrics = [
                metrics_module.Mean(name=f"{name}_loss")
                for name, loss in zip(names, self._losses, strict=True)
                if loss is not None
            ]

    def __call__(self, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the total loss of a batch, None if no output has a loss."""
        outputs = named_outputs(y_pred, self._names)
        names = list(outputs)
        targets = matched("y", y, names)
        if self._losses is None:
            self._build(targets, outputs)
        weights = matched("sample_weight", sample_weight, names)
        trackers = iter(self.metrics)
        total = None
        for loss, factor, target, name, weight in zip(
            self._losses or [], self._factors, targets, names, weights, strict=True
        ):
            if loss is None:
                continue
            value = loss(target, outputs[name], weight)
            tracker = next(trackers, None)
            if tracker is not None:
                tracker.update_state(value, sample_weight=outputs[name].shape[0])
            value = value if factor == 1.0 else value * factor
            total = value if total is None else total + value
        return total


def _loss(identifier: Any, y: Any, y_pred: Any) -> Any:
    """Return the Loss object that an entry of `compile(loss=)` means."""
    if identifier in ("crossentropy", "ce"):
        identifier = metrics_module.resolve_accuracy("crossentropy", y.shape, y_pred.shape)
    found = losses_module.get(identifier)
    if isinstance(found, losses_module.Loss):
        return found
    return losses_module.LossFunctionWrapper(found, name=getattr(found, "__name__", None))


class CompiledMetrics:
    """Update and report the metrics of all outputs under Keras' names."""

    name = "compile_metrics"

    def __init__(self, metrics: Any, weighted: Any, names: list[str] | None) -> None:
        self._given, self._weighted_given, self._names = metrics, weighted, names
        self._rows: list[tuple[str, Any, int, bool]] | None = None
        """Reported name, metric, the output's position, whether sample weights count."""

    @property
    def metrics(self) -> list[Any]:
        """The metric objects, once their outputs' shapes are known."""
        return [metric for _, metric, _, _ in self._rows or []]

    @property
    def variables(self) -> list[Any]:
        """The Variables of all metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def _build(self, targets: list[Any], outputs: dict[str, Any]) -> None:
        names = list(outputs)
        self._rows = []
        for given, is_weighted in ((self._given, False), (self._weighted_given, True)):
            for i, wanted in enumerate(_by_output(given, names)):
                for identifier in wanted:
                    metric = _metric(identifier, targets[i], outputs[names[i]])
                    label = metric.name if len(names) == 1 else f"{names[i]}_{metric.name}"
                    taken = {row[0] for row in self._rows}
                    if label in taken and is_weighted:
                        label = f"weighted_{label}"
                    self._rows.append((_free(label, taken), metric, i, is_weighted))

    def update_state(self, y: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Update every metric with one batch."""
        outputs = named_outputs(y_pred, self._names)
        names = list(outputs)
        targets = matched("y", y, names)
        if self._rows is None:
            self._build(targets, outputs)
        weights = matched("sample_weight", sample_weight, names)
        for _, metric, i, is_weighted in self._rows or []:
            weight = weights[i] if is_weighted else None
            metric.update_state(targets[i], outputs[names[i]], sample_weight=weight)

    def reset_state(self) -> None:
        """Reset every metric."""
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict[str, Any]:
        """Return every metric's result by name."""
        return {label: metric.result() for label, metric, _, _ in self._rows or []}


def _free(label: str, taken: set[str]) -> str:
    if label not in taken:
        return label
    return next(f"{label}_{i}" for i in range(1, len(taken) + 2) if f"{label}_{i}" not in taken)


def _by_output(given: Any, names: list[str]) -> list[list[Any]]:
    """Return the list of metrics for each output."""
    if given is None:
        return [[] for _ in names]
    if isinstance(given, dict) or (
        len(names) > 1 and any(isinstance(one, (list, tuple, dict)) for one in given)
    ):
        spread = per_output("metrics", given, names)
    elif len(names) == 1:
        spread = [given]
    else:
        spread = per_output("metrics", given, names)
    return [
        [] if one is None else list(one) if isinstance(one, (list, tuple)) else [one]
        for one in spread
    ]


def _metric(identifier: Any, y: Any, y_pred: Any) -> Any:
    """Return the Metric object that an entry of `compile(metrics=)` means, named as written."""
    if isinstance(identifier, metrics_module.Metric):
        return identifier
    name = identifier if isinstance(identifier, str) else None
    if name and name.lower() in ("accuracy", "acc", "crossentropy", "ce"):
        identifier = metrics_module.resolve_accuracy(name.lower(), y.shape, y_pred.shape)
    found = metrics_module.get(identifier)
    if not isinstance(found, metrics_module.Metric):
        found = metrics_module.MeanMetricWrapper(found, name=name or found.__name__)
    if name:
        found.name = name
    return found
