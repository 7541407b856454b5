"""Losses and metrics of one and of several outputs, and their names."""

import numpy as np
import pytest

import minikeras as keras
from minikeras import layers, ops
from tests.training import (
    LABELS,
    X,
    Y,
    names_and_numbers_from_the_start,  # noqa: F401  an autouse fixture
    two_outputs,
)


@pytest.mark.parametrize(
    ("outputs", "y", "name"),
    [
        (layers.Dense(1, activation="sigmoid"), (LABELS > 0), "binary_accuracy"),
        (layers.Dense(3), LABELS, "sparse_categorical_accuracy"),
        (layers.Dense(3), LABELS[:, None], "sparse_categorical_accuracy"),
        (layers.Dense(3), np.eye(3)[LABELS], "categorical_accuracy"),
    ],
)
def test_accuracy_is_chosen_by_shape_and_named_as_written(outputs, y, name):
    model = keras.Sequential([keras.Input((4,)), outputs])
    for written in ("accuracy", "acc", name):
        model.compile("sgd", lambda y_true, y_pred: ops.mean(y_pred**2), metrics=[written])
        logs = model.evaluate(X, y.astype("float32"), verbose=0, return_dict=True)
        assert list(logs) == sorted(["loss", written])
        known = keras.metrics.get(name)
        known = known if isinstance(known, keras.Metric) else keras.metrics.MeanMetricWrapper(known)
        known.update_state(y.astype("float32"), model.predict(X, verbose=0))
        assert logs[written] == pytest.approx(float(known.result()))


def test_names_of_several_outputs():
    model = two_outputs(
        loss={"a": "mse", "b": "mae"},
        loss_weights={"b": 2.0},
        metrics={"a": ["mae", "mse"], "b": "mae"},
        weighted_metrics=[["mae"], []],
    )
    targets = [Y, np.repeat(Y, 2, 1)]
    history = model.fit(X, targets, verbose=0).history
    assert list(history) == [
        "a_loss",
        "a_mae",
        "a_mse",
        "a_weighted_mae",
        "b_loss",
        "b_mae",
        "loss",
    ]
    assert model.metrics_names == ["loss", "compile_metrics", "a_loss", "b_loss"]
    logs = model.evaluate(X, {"b": targets[1], "a": Y}, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["a_loss"] + 2 * logs["b_loss"], rel=1e-5)
    assert model.evaluate(X, targets, verbose=0) == pytest.approx(
        [logs[name] for name in ("loss", "a_loss", "b_loss")]
        + [logs[name] for name in ("a_mae", "a_mse", "a_weighted_mae", "b_mae")]
    )


def test_outputs_without_loss_need_no_targets():
    model = two_outputs(loss=["mse", None])
    with pytest.warns(UserWarning, match="Gradients do not exist for variables"):
        assert list(model.fit(X, [Y], verbose=0).history) == ["loss"]
    assert model.evaluate(X, {"a": Y}, verbose=0) > 0


def test_sample_weights_of_several_outputs():
    model = two_outputs(loss="mse")
    targets, weights = [Y, np.repeat(Y, 2, 1)], np.linspace(0, 1, 12)
    both = model.evaluate(X, targets, sample_weight=weights, verbose=0)
    same = model.evaluate(X, targets, sample_weight=[weights, weights], verbose=0)
    named = model.evaluate(X, targets, sample_weight={"a": weights, "b": weights}, verbose=0)
    assert both == same == named
    other = model.evaluate(X, targets, sample_weight=[weights, weights * 0], verbose=0)
    assert other[1] == both[1] and other[2] == 0


def test_unnamed_outputs_are_named_by_their_losses():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(1), layers.Dense(1)

        def call(self, x):
            return [self.a(x), self.b(x)]

    model = Two()
    model.compile("sgd", ["mse", "mae"], metrics=[["mae"], ["mae"]])
    assert list(model.fit(X, [Y, Y], verbose=0).history) == [
        "loss", "mae", "mae_1", "mae_loss", "mse_loss",
    ]  # fmt: skip


def test_dict_outputs_are_matched_by_key():
    class Named(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(1), layers.Dense(2)

        def call(self, x):
            return {"p": self.a(x), "q": self.b(x)}

    model = Named()
    model.compile("sgd", {"q": "mse", "p": "mae"}, metrics={"q": ["mae"]})
    history = model.fit(X, {"q": np.repeat(Y, 2, 1), "p": Y}, verbose=0).history
    assert list(history) == ["loss", "p_loss", "q_loss", "q_mae"]
    predictions = model.predict(X, batch_size=5, verbose=0)
    assert {key: value.shape for key, value in predictions.items()} == {"p": (12, 1), "q": (12, 2)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"loss": {"a": "mse", "c": "mae"}},
            r"loss for outputs named \['a', 'b'\], got \['c'\] too",
        ),
        ({"loss": ["mse", "mse", "mse"]}, "expected loss with an entry for each of 2 outputs"),
        ({"loss": "mse", "loss_weights": [1.0, 2.0, 3.0]}, "expected loss_weights with an entry"),
        ({"loss": "mse", "metrics": ["mae"]}, "expected metrics with a list for each of 2 outputs"),
        ({"loss": "mse", "metrics": {"c": ["mae"]}}, r"metrics for outputs .* got \['c'\] too"),
        (
            {"loss": "mse", "metrics": "mae"},
            "expected `metrics` as a list, tuple or dict, got 'mae'",
        ),
        ({"loss": "msee"}, "expected the name of a known loss, got 'msee'"),
    ],
)
def test_compile_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        two_outputs(**options).fit(X, [Y, np.repeat(Y, 2, 1)], verbose=0)


def test_targets_by_name_must_all_be_there():
    with pytest.raises(ValueError, match=r"expected y for outputs named \['a', 'b'\], got \['a'\]"):
        two_outputs(loss="mse").fit(X, {"a": Y}, verbose=0)


def test_added_losses_and_penalties_are_part_of_the_total():
    class Penalty(layers.Layer):
        def call(self, inputs):
            self.add_loss(0.5 * ops.mean(inputs**2))
            return inputs

    dense = layers.Dense(1, kernel_regularizer="l2", activity_regularizer="l1")
    model = keras.Sequential([keras.Input((4,)), Penalty(), dense])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    found = model.evaluate(X, Y, batch_size=12, verbose=0)
    outputs, kernel = model.predict(X, verbose=0), model.get_weights()[0]
    expected = np.mean((outputs - Y) ** 2) + 0.5 * np.mean(X**2)
    expected += 0.01 * np.sum(kernel**2) + 0.01 * np.sum(np.abs(outputs)) / 12
    assert found == pytest.approx(expected, rel=1e-4)
    model.compile("sgd")
    assert model.fit(X, batch_size=12, verbose=0).history["loss"][0] > 0
    bare = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    bare.compile("sgd")
    with pytest.raises(ValueError, match="No loss to compute. Provide a `loss` argument"):
        bare.fit(X, Y, verbose=0)
