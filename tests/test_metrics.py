"""Metrics: every one against NumPy over several batches, and what is refused."""

import json

import numpy as np
import pytest

from minikeras import metrics, registry
from minikeras.core.context import VariableScope
from minikeras.core.graph import collect
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.tracking import variables_of
from tests.losses_table import bits, cosine, crossentropy, softmax
from tests.rows import numbers, positive

SIZES = (3, 4, 2)
REAL = (numbers(9, 3, seed=1), numbers(9, 3, low=-1.7, seed=2))
POSITIVE = (positive(9, 3, seed=3), positive(9, 3, seed=4))
SHARES = tuple(x / x.sum(-1, keepdims=True) for x in POSITIVE)
BITS = ((numbers(9, 3, seed=5) > 0).astype(float), numbers(9, 3, low=0.01, high=0.99, seed=6))
COLUMN = tuple(x[:, :1] for x in BITS)
SIGNS = (2 * BITS[0] - 1, REAL[0])
LABELS = np.array([0, 3, 1, 2, 2, 0, 1, 3, 2])
SCORES = numbers(9, 4, low=-3, high=3, seed=7)
SPARSE, HOT = (LABELS, softmax(SCORES)), (np.eye(4)[LABELS], softmax(SCORES))
CLASSES = (LABELS, np.array([0, 3, 1, 1, 2, 2, 1, 0, 2]))
WEIGHTS = np.array([0.5, 0.0, 2.0, 1.0, 1.5, 0.25, 3.0, 1.0, 0.75])


def _mean(function):
    """Average what a function gives for each sample, by weight."""

    def oracle(t, p, w):
        values = np.asarray(function(t, p), float)
        values = values.reshape(len(values), -1).mean(1)
        return (values * w).sum() / w.sum()

    return oracle


def _top(t, p, k):
    return [label in np.argsort(row)[-k:] for label, row in zip(t, p, strict=True)]


def _counts(t, p, w, threshold=0.5):
    """Count true and false positives, true and false negatives."""
    w, yes, right = w[:, None] + 0 * p, p > threshold, t == 1
    return [w[found].sum() for found in (right & yes, ~right & yes, ~right & ~yes, right & ~yes)]


def _precision(t, p, w, threshold=0.5):
    right, wrong, _, _ = _counts(t, p, w, threshold)
    return right / (right + wrong) if right + wrong else 0.0


def _recall(t, p, w, threshold=0.5):
    right, _, _, missed = _counts(t, p, w, threshold)
    return right / (right + missed)


def _specificity(t, p, w, threshold=0.5):
    _, wrong, right, _ = _counts(t, p, w, threshold)
    return right / (right + wrong)


def _only_top(share, k):
    def oracle(t, p, w):
        return share(t, np.array([np.isin(range(p.shape[1]), np.argsort(r)[-k:]) for r in p]), w)

    return oracle


def _best(wanted, condition, value, number=20):
    def oracle(t, p, w):
        points = np.linspace(0, 1, number)
        return max(
            (wanted(t, p, w, x) for x in points if condition(t, p, w, x) >= value), default=0
        )

    return oracle


def _area(x, y, edge=1e-7, number=200):
    """Return the area under a curve of two shares by trapezoids."""

    def oracle(t, p, w):
        points = [-edge, *np.linspace(0, 1, number)[1:-1], 1 + edge]
        xs, ys = ([share(t, p, w, at) for at in points] for share in (x, y))
        return -np.trapezoid(ys, xs)

    return oracle


def _f_score(beta=1.0, average=None, threshold=None):
    def oracle(t, p, w):
        yes = p == p.max(1, keepdims=True) if threshold is None else p > threshold
        t, axis = t == 1, None if average == "micro" else 0
        w = w[:, None] + 0 * p
        right, wrong, missed = (
            np.where(found, w, 0).sum(axis) for found in (t & yes, ~t & yes, t & ~yes)
        )
        with np.errstate(all="ignore"):
            score = (1 + beta**2) * right / ((1 + beta**2) * right + beta**2 * missed + wrong)
        score = np.nan_to_num(score)
        if average == "weighted":
            return (score * (t * w).sum(0)).sum() / (t * w).sum()
        return score if average is None else score.mean()

    return oracle


def _r2(aggregation="uniform_average", regressors=0):
    def oracle(t, p, w):
        w = w[:, None]
        middle = (t * w).sum(0) / w.sum()
        spread = (w * (t - middle) ** 2).sum(0)
        score = 1 - (w * (t - p) ** 2).sum(0) / spread
        if aggregation == "variance_weighted_average":
            score = (score * spread).sum() / spread.sum()
        elif aggregation:
            score = score.mean()
        return 1 - (1 - score) * (t.size - 1) / (t.size - 1 - regressors) if regressors else score

    return oracle


def _iou(classes, ignored=None):
    def oracle(t, p, w):
        keep = np.ones(len(t), bool) if ignored is None else t != ignored
        t, p, w = t.ravel()[keep], p.ravel()[keep], w[keep]
        shares = [
            w[(t == c) & (p == c)].sum() / max(w[(t == c) | (p == c)].sum(), 1e-9) for c in classes
        ]
        return np.mean(shares)

    return oracle


def _pearson(t, p):
    return [np.corrcoef(a, b)[0, 1] for a, b in zip(t, p, strict=True)]


def _ignoring(t, p):
    return np.where(t == 2, 0, -np.log(p[np.arange(len(t)), t]))


# metric, arguments, (targets, predictions) of all batches, oracle of all batches
ROWS = [
    ("Accuracy", {}, CLASSES, _mean(np.equal)),
    ("BinaryAccuracy", {}, BITS, _mean(lambda t, p: t == (p > 0.5))),
    ("BinaryAccuracy", {"threshold": 0.3}, COLUMN, _mean(lambda t, p: t == (p > 0.3))),
    ("CategoricalAccuracy", {}, HOT, _mean(lambda t, p: t.argmax(1) == p.argmax(1))),
    ("SparseCategoricalAccuracy", {}, SPARSE, _mean(lambda t, p: t == p.argmax(1))),
    ("TopKCategoricalAccuracy", {"k": 2}, HOT, _mean(lambda t, p: _top(t.argmax(1), p, 2))),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, SPARSE, _mean(lambda t, p: _top(t, p, 2))),
    (
        "SparseTopKCategoricalAccuracy", {"k": 2, "from_sorted_ids": True},
        (LABELS, np.argsort(-SCORES)), _mean(lambda t, p: (p[:, :2] == t[:, None]).any(1)),
    ),
    ("MeanSquaredError", {}, REAL, _mean(lambda t, p: (t - p) ** 2)),
    (
        "RootMeanSquaredError", {}, REAL,
        lambda t, p, w: np.sqrt(_mean(lambda t, p: (t - p) ** 2)(t, p, w)),
    ),
    ("MeanAbsoluteError", {}, REAL, _mean(lambda t, p: abs(t - p))),
    ("MeanAbsolutePercentageError", {}, POSITIVE, _mean(lambda t, p: 100 * abs((t - p) / t))),
    (
        "MeanSquaredLogarithmicError", {}, POSITIVE,
        _mean(lambda t, p: np.log((1 + t) / (1 + p)) ** 2),
    ),
    ("LogCoshError", {}, REAL, _mean(lambda t, p: np.log(np.cosh(t - p)))),
    ("CosineSimilarity", {}, REAL, _mean(lambda t, p: -cosine(t, p))),
    ("PearsonCorrelation", {}, REAL, _mean(_pearson)),
    ("Poisson", {}, POSITIVE, _mean(lambda t, p: p - t * np.log(p))),
    ("KLDivergence", {}, SHARES, _mean(lambda t, p: (t * np.log(t / p)).sum(1))),
    ("Hinge", {}, SIGNS, _mean(lambda t, p: np.maximum(1 - t * p, 0))),
    ("SquaredHinge", {}, SIGNS, _mean(lambda t, p: np.maximum(1 - t * p, 0) ** 2)),
    (
        "CategoricalHinge", {}, HOT,
        _mean(lambda t, p: np.maximum(((1 - t) * p).max(1) - (t * p).sum(1) + 1, 0)),
    ),
    ("BinaryCrossentropy", {}, BITS, _mean(bits)),
    (
        "BinaryCrossentropy", {"label_smoothing": 0.2}, BITS,
        _mean(lambda t, p: bits(0.8 * t + 0.1, p)),
    ),
    ("CategoricalCrossentropy", {}, HOT, _mean(crossentropy)),
    (
        "SparseCategoricalCrossentropy", {"from_logits": True}, (LABELS, SCORES),
        _mean(lambda t, p: -np.log(softmax(p)[np.arange(len(t)), t])),
    ),
    (
        "SparseCategoricalCrossentropy", {"ignore_class": 2}, SPARSE,
        lambda t, p, w: (
            _mean(_ignoring)(t, p, w) * (1 if np.all(w == 1) else w.sum() / w[t != 2].sum())
        ),
    ),
    ("TruePositives", {}, BITS, lambda t, p, w: _counts(t, p, w)[0]),
    ("FalsePositives", {}, BITS, lambda t, p, w: _counts(t, p, w)[1]),
    ("TrueNegatives", {}, BITS, lambda t, p, w: _counts(t, p, w)[2]),
    (
        "FalseNegatives", {"thresholds": [0.7, 0.2, 0.4]}, BITS,
        lambda t, p, w: [_counts(t, p, w, at)[3] for at in (0.7, 0.2, 0.4)],
    ),
    ("Precision", {}, BITS, _precision),
    (
        "Precision", {"thresholds": [0.2, 0.9]}, BITS,
        lambda t, p, w: [_precision(t, p, w, at) for at in (0.2, 0.9)],
    ),
    ("Precision", {"top_k": 2}, HOT, _only_top(_precision, 2)),
    ("Recall", {}, BITS, _recall),
    ("Recall", {"class_id": 1}, BITS, lambda t, p, w: _recall(t[:, 1:2], p[:, 1:2], w)),
    ("Recall", {"top_k": 2}, HOT, _only_top(_recall, 2)),
    ("AUC", {}, BITS, _area(lambda *a: 1 - _specificity(*a), _recall)),
    (
        "AUC", {"num_thresholds": 10}, BITS,
        _area(lambda *a: 1 - _specificity(*a), _recall, number=10),
    ),
    (
        "AUC", {"thresholds": [0.25, 0.5, 0.75]}, BITS,
        _area(lambda *a: 1 - _specificity(*a), _recall, number=5),
    ),
    (
        "AUC", {"multi_label": True}, BITS,
        lambda t, p, w: np.mean([
            _area(lambda *a: 1 - _specificity(*a), _recall)(t[:, [i]], p[:, [i]], w)
            for i in range(3)
        ]),
    ),
    (
        "PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 20}, BITS,
        _best(_precision, _recall, 0.5),
    ),
    (
        "RecallAtPrecision", {"precision": 0.5, "num_thresholds": 20}, BITS,
        _best(_recall, _precision, 0.5),
    ),
    (
        "SensitivityAtSpecificity", {"specificity": 0.5, "num_thresholds": 20}, BITS,
        _best(_recall, _specificity, 0.5),
    ),
    (
        "SpecificityAtSensitivity", {"sensitivity": 0.5, "num_thresholds": 20}, BITS,
        _best(_specificity, _recall, 0.5),
    ),
    ("FBetaScore", {"beta": 2.0}, HOT, _f_score(2.0)),
    ("FBetaScore", {"average": "weighted", "threshold": 0.3}, BITS, _f_score(1.0, "weighted", 0.3)),
    ("F1Score", {"average": "micro", "threshold": 0.4}, BITS, _f_score(1.0, "micro", 0.4)),
    ("F1Score", {"average": "macro"}, HOT, _f_score(1.0, "macro")),
    ("R2Score", {}, REAL, _r2()),
    ("R2Score", {"class_aggregation": None}, REAL, _r2(None)),
    (
        "R2Score", {"class_aggregation": "variance_weighted_average"}, REAL,
        _r2("variance_weighted_average"),
    ),
    ("R2Score", {"num_regressors": 2}, REAL, _r2(regressors=2)),
    (
        "IoU", {"num_classes": 4, "target_class_ids": [1, 2], "dtype": "float32"}, CLASSES,
        _iou([1, 2]),
    ),
    (
        "IoU",
        {"num_classes": 4, "target_class_ids": [0, 1], "dtype": "float32", "ignore_class": 3},
        CLASSES, _iou([0, 1], 3),
    ),
    ("MeanIoU", {"num_classes": 4, "dtype": "float32"}, CLASSES, _iou(range(4))),
    (
        "MeanIoU",
        {"num_classes": 4, "dtype": "float32", "sparse_y_true": False, "sparse_y_pred": False}, HOT,
        lambda t, p, w: _iou(range(4))(t.argmax(1), p.argmax(1), w),
    ),
    (
        "BinaryIoU", {"threshold": 0.4, "dtype": "float32"}, COLUMN,
        lambda t, p, w: _iou([0, 1])(t, p >= 0.4, w),
    ),
]  # fmt: skip
NAMED = [pytest.param(*row, id=f"{i}-{row[0]}") for i, row in enumerate(ROWS)]


def _batches(arrays):
    ends = np.cumsum(SIZES)[:-1]
    return list(zip(*(np.split(x, ends) for x in arrays), strict=True))


def test_every_metric_has_a_row():
    classes = {item for item in registry.known("metric").values() if isinstance(item, type)}
    bases = {metrics.Metric, metrics.Mean, metrics.Sum, metrics.MeanMetricWrapper}
    assert {cls.__name__ for cls in classes - bases} == {row[0] for row in ROWS}


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize(("name", "options", "data", "oracle"), NAMED)
def test_metric_over_batches_equals_numpy_over_all(name, options, data, oracle, weights):
    metric = getattr(metrics, name)(**options)
    given = [*data, np.ones(9) if weights is None else weights]
    for _ in range(2):  # the second time after a reset
        for y_true, y_pred, w in _batches(given):
            metric.update_state(y_true, y_pred, sample_weight=None if weights is None else w)
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(metric.result(), oracle(*given), rtol=2e-5, atol=1e-6)
        metric.reset_state()
        assert all(not v.numpy().any() for v in metric.variables)


@pytest.mark.parametrize(("name", "options", "data", "oracle"), NAMED)
def test_traced_update_and_result_are_those_of_eager_ones(name, options, data, oracle):
    eager, traced = (getattr(metrics, name)(**options) for _ in range(2))
    batch = [x[:4] for x in data]
    for metric in (eager, traced):
        metric.update_state(*batch)  # some make their Variables now
    symbols = [SymbolicTensor(tuple(v.shape), np.dtype(v.dtype.name)) for v in traced.variables]
    inputs = [SymbolicTensor(x.shape, x.dtype) for x in (*batch, WEIGHTS[:4])]
    with VariableScope(list(zip(traced.variables, symbols))) as scope:
        traced.update_state(*inputs[:2], sample_weight=inputs[2])
        outputs = [*(scope.read(v) for v in traced.variables), traced.result()]
    values = {s.key: v.value for s, v in zip(symbols, traced.variables)}
    values |= {s.key: as_tensor(x) for s, x in zip(inputs, (*batch, WEIGHTS[:4]))}
    for node in collect(outputs, [*symbols, *inputs]):
        found = node.op(*[values.get(x.key, x) for x in node.inputs], **node.params)
        found = found if isinstance(found, tuple) else (found,)
        values.update({y.key: x for y, x in zip(node.outputs, found)})
    result = eager(*batch, sample_weight=WEIGHTS[:4])
    for output, expected in zip(outputs, [*eager.variables, result], strict=True):
        np.testing.assert_allclose(values.get(output.key, output), expected, rtol=1e-6)


@pytest.mark.parametrize(("name", "options", "data", "oracle"), NAMED)
def test_config_goes_round_through_json(name, options, data, oracle):
    metric = getattr(metrics, name)(**options, name="mine")
    config = json.loads(json.dumps(metrics.serialize(metric)))
    assert config["module"] == "keras.metrics"
    assert list(config["config"])[:2] == ["name", "dtype"]
    again = metrics.deserialize(config)
    assert type(again) is type(metric)
    assert metrics.serialize(again) == config
    np.testing.assert_array_equal(again(*data), metric(*data))


@pytest.mark.parametrize(("name", "options", "data", "oracle"), NAMED)
def test_nothing_seen_yet(name, options, data, oracle):
    with np.errstate(all="ignore"):
        assert not np.nan_to_num(np.asarray(getattr(metrics, name)(**options).result())).any()


# ---- means and sums ------------------------------------------------------------------------------


def test_mean_and_sum_of_values():
    mean, total = metrics.Mean(), metrics.Sum()
    for values, weight in (
        ([1.0, 3.0], None),
        ([5.0], [2.0]),
        (7.0, None),
        ([[1, 2], [3, 4]], None),
    ):
        mean.update_state(values, sample_weight=weight)
        total.update_state(values, sample_weight=weight)
    assert float(mean.result()) == pytest.approx((1 + 3 + 10 + 7 + 1.5 + 3.5) / 7)
    assert float(total.result()) == 1 + 3 + 10 + 7 + 10
    assert [v.path for v in mean.variables] == ["mean/total", "mean/count"]


def test_weights_of_steps():
    mean = metrics.Mean()
    values = np.arange(6.0).reshape(2, 3)
    mean.update_state(values, sample_weight=np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]]))
    assert float(mean.result()) == pytest.approx((0 + 4 + 15) / 6)


def test_mean_of_a_function():
    metric = metrics.MeanMetricWrapper(lambda t, p, factor: factor * (t - p), "mine", factor=2.0)
    assert float(metric([3.0, 5.0], [1.0, 1.0])) == 6.0
    config = metrics.MeanMetricWrapper(metrics.huber, delta=2.0).get_config()
    assert config["delta"] == 2.0
    assert list(config)[:3] == ["name", "dtype", "fn"]


# ---- shapes and arguments ------------------------------------------------------------------------


@pytest.mark.parametrize("shapes", [((10, 1), (10, 5)), ((8,), (8, 3))])
@pytest.mark.parametrize(
    "name",
    ["Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "TopKCategoricalAccuracy",
     "MeanSquaredError", "RootMeanSquaredError", "Precision", "AUC", "F1Score", "R2Score"],
)  # fmt: skip
def test_targets_that_would_be_broadcast_are_refused(name, shapes):
    with pytest.raises(ValueError, match="y_true and y_pred of the same shape") as error:
        getattr(metrics, name)().update_state(np.ones(shapes[0]), np.ones(shapes[1]))
    assert all(str(shape) in str(error.value) for shape in shapes)


def test_labels_where_one_hot_targets_are_wanted_and_the_other_way():
    with pytest.raises(ValueError, match=r"one label for each row.*y_true.shape=\(4, 3\)"):
        metrics.SparseCategoricalAccuracy()(np.ones((4, 3)), np.ones((4, 3)))
    column = metrics.SparseCategoricalAccuracy()([[0], [1]], [[1.0, 0.0], [1.0, 0.0]])
    assert float(column) == 0.5


def test_ranks_that_differ_by_an_axis_of_length_1():
    assert float(metrics.BinaryAccuracy()([1, 0], [[0.9], [0.8]])) == 0.5
    assert float(metrics.Precision()([1, 0], [[0.9], [0.8]], sample_weight=[3.0, 1.0])) == 0.75


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metrics.Precision(thresholds=[0.5, 1.5]), r"thresholds in \[0, 1\], got \[1.5\]"),
        (lambda: metrics.AUC(curve="round"), "AUC: expected curve in .*'round'"),
        (lambda: metrics.AUC(summation_method="up"), "AUC: expected curve in .*'up'"),
        (lambda: metrics.AUC(num_thresholds=1), "expected num_thresholds > 1, got 1"),
        (lambda: metrics.AUC(num_labels=2), "num_labels with multi_label=True only, got 2"),
        (lambda: metrics.PrecisionAtRecall(1.5), r"expected recall in \[0, 1\], got 1.5"),
        (lambda: metrics.PrecisionAtRecall(0.5, 0), "expected num_thresholds > 0, got 0"),
        (lambda: metrics.F1Score("mean"), "expected average to be None, 'micro'.*'mean'"),
        (lambda: metrics.FBetaScore(beta=0.0), "expected beta > 0, got 0.0"),
        (lambda: metrics.F1Score(threshold=0.0), r"expected threshold in \(0, 1\], got 0.0"),
        (lambda: metrics.R2Score("mean"), "expected class_aggregation to be one of .*'mean'"),
        (lambda: metrics.R2Score(num_regressors=-1), "expected num_regressors >= 0, got -1"),
        (lambda: metrics.IoU(2, [2]), r"expected target_class_ids in \[0, 2\), got \[2\]"),
    ],
)
def test_arguments_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_inputs_that_are_refused():
    with pytest.raises(ValueError, match=r"AUC: expected y_pred of shape \(samples, labels\)"):
        metrics.AUC(multi_label=True)([1.0], [1.0])
    with pytest.raises(ValueError, match=r"Precision: expected y_pred of shape .* class_id=1"):
        metrics.Precision(class_id=1)([1.0], [1.0])
    with pytest.raises(ValueError, match=r"R2Score: expected y_true and y_pred of shape .*\(2,\)"):
        metrics.R2Score()([1.0, 2.0], [1.0, 2.0])
    with pytest.warns(UserWarning, match=r"R2Score: expected more samples.*got 2"):
        metrics.R2Score(num_regressors=3)([[1.0], [2.0]], [[1.5], [2.0]])


def test_areas_of_other_kinds():
    y_true, y_pred = np.array([0.0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    area = metrics.AUC()(y_true, y_pred)
    assert float(area) == pytest.approx(0.75, abs=1e-6)
    logits = np.log(y_pred / (1 - y_pred))
    assert float(metrics.AUC(from_logits=True)(y_true, logits)) == pytest.approx(float(area))
    low, high = (
        float(metrics.AUC(summation_method=way, curve="PR")(y_true, y_pred))
        for way in ("minoring", "majoring")
    )
    middle = float(metrics.AUC(curve="PR")(y_true, y_pred))
    assert low < middle < high
    assert float(metrics.AUC(curve="PR_GAIN")([0.0, 1.0], [0.1, 0.9])) == pytest.approx(1)
    weighted = metrics.AUC(multi_label=True, num_labels=2, label_weights=[1.0, 0.0])
    both = np.stack([y_pred, 1 - y_pred], 1)
    assert float(weighted(np.stack([y_true] * 2, 1), both)) == pytest.approx(0.75, abs=1e-6)
    flat = metrics.AUC(label_weights=[1.0, 0.0])
    assert float(flat(np.stack([y_true] * 2, 1), both)) == pytest.approx(0.75, abs=1e-6)


# ---- the base class and names --------------------------------------------------------------------


class Extremes(metrics.Metric):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = metrics.Mean(name="inner")
        self.top = self.add_weight(name="top")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.inner.update_state(y_pred)
        self.top.assign(self.top + 1)

    def result(self):
        return {"mean": self.inner.result(), "updates": self.top.value}


def test_own_metrics():
    metric = Extremes()
    assert metric.name == "extremes"
    metric.update_state(None, [1.0, 2.0])
    assert {k: float(v) for k, v in metric.result().items()} == {"mean": 1.5, "updates": 1.0}
    assert [v.path for v in metric.variables] == ["extremes/top", "inner/total", "inner/count"]
    assert variables_of(metric) == metric.variables
    metric.reset_state()
    assert float(metric.result()["mean"]) == 0
    for call in (metrics.Metric().result, metrics.Metric().update_state):
        with pytest.raises(NotImplementedError, match=r"Metric 'metric.*': expected a method"):
            call()
    assert repr(metric) == "<Extremes name=extremes>"


def test_state_is_no_weight_and_carries_no_gradient():
    metric, x = metrics.Mean(), Variable([1.0, 2.0])
    assert not any(v.trainable for v in metric.variables)
    with GradientTape() as tape:
        metric.update_state(x * x)
        loss = metric.result() * 3.0
    assert tape.gradient(loss, x) is None


def test_dtype():
    metric = metrics.Mean(dtype="float64")
    assert metric.dtype == "float64" == metric([1.0]).dtype
    assert metrics.MeanIoU(2)([0, 1], [0, 1]).dtype == "float32"
    assert metrics.MeanIoU(2).variables[0].dtype == "int64"


def test_names():
    assert type(metrics.get("mse")) is type(metrics.get("MSE")) is metrics.MeanSquaredError
    assert type(metrics.get("binary_accuracy")) is metrics.BinaryAccuracy
    assert type(metrics.get("AUC")) is type(metrics.get("auc")) is metrics.AUC
    assert metrics.get("huber") is metrics.huber
    assert metrics.get(metrics.binary_accuracy) is metrics.binary_accuracy
    assert metrics.get(None) is None
    with pytest.raises(ValueError, match="'accuracy'"):
        metrics.get("acuracy")


@pytest.mark.parametrize(
    ("shapes", "kind"),
    [
        (((8,), (8, 1)), "binary"),
        (((8, 1), (8, 1)), "binary"),
        (((8,), ()), "binary"),
        (((8,), (8, 3)), "sparse_categorical"),
        (((8, 1), (8, 3)), "sparse_categorical"),
        (((8, 4), (8, 4, 3)), "sparse_categorical"),
        (((8, 3), (8, 3)), "categorical"),
    ],
)
def test_accuracy_by_shapes(shapes, kind):
    for name in ("accuracy", "acc"):
        assert metrics.resolve_accuracy(name, *shapes) == f"{kind}_accuracy"
    for name in ("crossentropy", "ce"):
        assert metrics.resolve_accuracy(name, *shapes) == f"{kind}_crossentropy"
