"""Regularizers and constraints: formulas, gradients, configs, errors."""

import numpy as np
import pytest

import minikeras.ops.operators  # noqa: F401 - hangs the operators on tensors
from minikeras import constraints, regularizers
from minikeras.core.check import check_gradients
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import as_tensor
from minikeras.core.variable import Variable

W = np.random.RandomState(0).normal(size=(4, 3))
COSINES = [
    abs(a @ b) / np.linalg.norm(a) / np.linalg.norm(b) for i, a in enumerate(W) for b in W[:i]
]
PENALTIES = [
    (regularizers.L1(0.3), 0.3 * np.abs(W).sum()),
    (regularizers.L2(0.3), 0.3 * (W**2).sum()),
    (regularizers.L1L2(0.1, 0.2), 0.1 * np.abs(W).sum() + 0.2 * (W**2).sum()),
    (regularizers.L1L2(None, None), 0),
    (regularizers.L1(None), 0.01 * np.abs(W).sum()),
    (regularizers.L2(None), 0.01 * (W**2).sum()),
    (regularizers.OrthogonalRegularizer(0.1), 0.1 * np.mean(COSINES)),
]


@pytest.mark.parametrize(("regularizer", "expected"), PENALTIES)
def test_penalties(regularizer, expected):
    np.testing.assert_allclose(regularizer(as_tensor(W)), expected)
    np.testing.assert_allclose(regularizer(Variable(W)), expected)
    assert regularizer(as_tensor(W.astype(np.float32))).dtype == "float32"
    check_gradients(regularizer, [W], order=1)


def test_orthogonal_columns():
    by_columns = regularizers.OrthogonalRegularizer(mode="columns")
    by_rows = regularizers.OrthogonalRegularizer(mode="rows")
    np.testing.assert_allclose(by_columns(as_tensor(W.T)), by_rows(as_tensor(W)))
    assert float(by_rows(as_tensor(np.eye(3)))) == 0
    assert float(by_rows(as_tensor(W[:1]))) == 0


def test_penalties_of_zeros_have_gradient_zero():
    w = Variable(np.zeros((2, 2)))
    for regularizer in (regularizers.L1(), regularizers.L2(), regularizers.L1L2(1.0, 1.0)):
        with GradientTape() as tape:
            penalty = regularizer(w)
        np.testing.assert_array_equal(tape.gradient(penalty, w), np.zeros((2, 2)))


def test_base_regularizer_penalises_nothing():
    assert regularizers.Regularizer()(W) == 0


@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "a"])
def test_factors_are_checked(value):
    with pytest.raises(ValueError, match="L1: expected l1 to be a number from 0 on, got"):
        regularizers.L1(value)
    with pytest.raises(ValueError, match="L2: expected l2 to be a number from 0 on, got"):
        regularizers.L2(value)
    with pytest.raises(ValueError, match="L1L2: expected l2 to be a number from 0 on, got"):
        regularizers.L1L2(l2=value)


def test_orthogonal_regularizer_checks_mode_and_shape():
    with pytest.raises(ValueError, match="expected mode to be 'rows' or 'columns', got 'both'"):
        regularizers.OrthogonalRegularizer(mode="both")
    with pytest.raises(ValueError, match=r"expected a matrix, got shape \(2,\)"):
        regularizers.OrthogonalRegularizer()(as_tensor([1.0, 2.0]))


def lengths(w, axis=0):
    return np.sqrt((np.asarray(w) ** 2).sum(axis))


def test_max_norm():
    w = constraints.MaxNorm(1.0)(W)
    np.testing.assert_allclose(lengths(w), np.minimum(lengths(W), 1), rtol=1e-6)
    np.testing.assert_allclose(w / lengths(w), W / lengths(W), rtol=1e-6)
    kernel = np.random.normal(size=(3, 3, 4, 5))
    w = constraints.MaxNorm(0.5, axis=[0, 1, 2])(kernel)
    np.testing.assert_allclose(lengths(w, (0, 1, 2)), np.full(5, 0.5), rtol=1e-6)


def test_unit_norm():
    np.testing.assert_allclose(lengths(constraints.UnitNorm(axis=1)(W), 1), 1, rtol=1e-6)


def test_min_max_norm():
    w = np.array([[0.1, 1.0, 5.0]])
    np.testing.assert_allclose(constraints.MinMaxNorm(0.5, 2.0)(w), [[0.5, 1, 2]], rtol=1e-5)
    half = constraints.MinMaxNorm(0.5, 2.0, rate=0.5)(w)
    np.testing.assert_allclose(half, [[0.3, 1, 3.5]], rtol=1e-5)


def test_non_neg():
    np.testing.assert_array_equal(constraints.NonNeg()([-1.0, 0.0, 2.0]), [0, 0, 2])


@pytest.mark.parametrize(
    "constraint",
    [constraints.MaxNorm(), constraints.UnitNorm(), constraints.MinMaxNorm(), constraints.NonNeg()],
)
def test_constraints_keep_zeros_dtype_and_variables(constraint):
    w = Variable(np.zeros((2, 3), np.float32))
    result = constraint(w)
    assert result.dtype == "float32"
    np.testing.assert_array_equal(result, w)
    assert constraints.Constraint()(w) is w


@pytest.mark.parametrize(
    ("module", "item", "config"),
    [
        (regularizers, regularizers.L1(0.5), {"l1": 0.5}),
        (regularizers, regularizers.L2(), {"l2": 0.01}),
        (regularizers, regularizers.L1L2(0.5, 0.25), {"l1": 0.5, "l2": 0.25}),
        (
            regularizers,
            regularizers.OrthogonalRegularizer(mode="columns"),
            {"factor": 0.01, "mode": "columns"},
        ),
        (constraints, constraints.MaxNorm(3), {"max_value": 3, "axis": 0}),
        (constraints, constraints.NonNeg(), {}),
        (constraints, constraints.UnitNorm([0, 1]), {"axis": [0, 1]}),
        (
            constraints,
            constraints.MinMaxNorm(0.1, rate=0.5),
            {"min_value": 0.1, "max_value": 1.0, "rate": 0.5, "axis": 0},
        ),
    ],
    ids=lambda x: type(x).__name__,
)
def test_configs(module, item, config):
    assert item.get_config() == config
    serialized = module.serialize(item)
    assert serialized["class_name"] == type(item).__name__
    assert serialized["module"] == f"keras.{module.__name__.split('.')[1]}"
    assert module.deserialize(serialized).get_config() == config
    assert type(module.get(serialized)) is type(item)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("l1", regularizers.l1), ("L2", regularizers.l2), ("l1l2", regularizers.L1L2),
        ("l1_l2", regularizers.l1_l2),
        ("orthogonal_regularizer", regularizers.orthogonal_regularizer),
    ],
)  # fmt: skip
def test_names_of_regularizers(name, kind):
    assert type(regularizers.get(name)) is kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("max_norm", constraints.max_norm), ("NonNeg", constraints.non_neg),
        ("unit_norm", constraints.unit_norm), ("MinMaxNorm", constraints.min_max_norm),
    ],
)  # fmt: skip
def test_names_of_constraints(name, kind):
    assert type(constraints.get(name)) is kind


@pytest.mark.parametrize("module", [regularizers, constraints])
def test_get_takes_functions_and_none(module):
    function = lambda x: x
    assert module.get(function) is function
    assert module.get(None) is None
    with pytest.raises(ValueError, match=r"expected the name of a known .* got 'nothing'"):
        module.get("nothing")
    assert module.deserialize("mine", {"mine": function}) is function
