"""The gradient checker must fail when a rule is wrong: it guards all others."""

import numpy as np
import pytest

import minikeras as keras
from minikeras import ops
from minikeras.core.check import GradientError, check_gradients
from minikeras.ops.define import unary

X = np.array([0.3, -0.7, 1.1])


def test_right_rules_pass():
    check_gradients(lambda x: ops.sin(x) * x, [X], order=3)


def test_a_first_derivative_wrong_by_a_twentieth_of_a_percent_fails():
    wrong = unary("wrong", np.sin, lambda g, x: g * ops.cos(x) * 1.0005)
    with pytest.raises(GradientError, match="expected a first derivative of"):
        check_gradients(wrong, [X])


def test_a_wrong_second_derivative_fails_although_the_first_is_right():
    frozen = unary("frozen", np.sin, lambda g, x: g * ops.stop_gradient(ops.cos(x)))
    check_gradients(frozen, [X], order=1)
    with pytest.raises(GradientError, match="expected a higher derivative of"):
        check_gradients(frozen, [X], order=2)


def test_a_missing_path_fails():
    with pytest.raises(GradientError, match="first derivative"):
        check_gradients(lambda x, y: x * ops.stop_gradient(y), [X, X])


def test_layers_can_be_checked():
    layer = keras.layers.Dense(3, "tanh", dtype="float64")
    check_gradients(layer, [np.ones((2, 4))])
