"""Rows of `minikeras.ops.activations`."""

import math

import numpy as np

from minikeras import ops
from minikeras.ops import activations
from tests.rows import Row, numbers

X, Y = numbers(3, 4, low=-8, high=8.5), numbers(3, 4, seed=1)
BOX = numbers(2, 3, 4, seed=4)


def sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def _gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2)))


def _gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def softmax(x, axis=-1):
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


def _each(name, oracle, inputs=X, covers=(), **params):
    covers = covers or (name,)
    op = getattr(activations, name)
    function = lambda x: op(x, **params)
    return Row(name, function, (inputs,), oracle, elementwise=True, covers=covers)


ROWS = [
    _each("sigmoid", sigmoid),
    _each("softplus", lambda x: np.logaddexp(x, 0)),
    _each("relu", lambda x: np.where(x > 0, x, 0)),
    _each("relu6", lambda x: np.clip(x, 0, 6)),
    _each("leaky_relu", lambda x: np.where(x > 0, x, 0.2 * x)),
    _each("leaky_relu", lambda x: np.where(x > 0, x, 3 * x), negative_slope=3),
    _each("leaky_relu", np.abs, negative_slope=-1),
    _each("elu", lambda x: np.where(x > 0, x, 0.7 * np.exp(x) - 0.7), alpha=0.7,
          covers=("exponential_linear",)),
    _each("celu", lambda x: np.where(x > 0, x, 2 * np.exp(x / 2) - 2), alpha=2),
    _each("selu", lambda x: 1.0507009873554805 * np.where(
        x > 0, x, 1.6732632423543772 * (np.exp(x) - 1))),
    _each("gelu", _gelu_tanh),
    _each("gelu", _gelu, approximate=False),
    _each("silu", lambda x: x * sigmoid(x)),
    _each("mish", lambda x: x * np.tanh(np.logaddexp(x, 0))),
    _each("log_sigmoid", lambda x: -np.logaddexp(0, -x)),
    _each("softsign", lambda x: x / (1 + np.abs(x))),
    _each("squareplus", lambda x: (x + np.sqrt(x * x + 2)) / 2, b=2),
    _each("hard_sigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1)),
    _each("hard_silu", lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
    _each("hard_tanh", lambda x: np.clip(x, -1, 1)),
    _each("tanh_shrink", lambda x: x - np.tanh(x)),
    _each("hard_shrink", lambda x: np.where(np.abs(x) > 0.5, x, 0)),
    _each("soft_shrink", lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0)),
    _each("threshold", lambda x: np.where(x > 1, x, -2), threshold=1, default_value=-2),
    Row("glu", lambda x: ops.glu(x, axis=0), (X.T,), lambda x: x[:2] * sigmoid(x[2:])),
    Row("softmax", ops.softmax, (Y,), softmax),
    Row("softmax", lambda x: ops.softmax(x, axis=(0, -1)), (BOX,), lambda x: softmax(x, (0, 2))),
    Row("softmax", lambda x: ops.softmax(x, axis=None), (BOX,), lambda x: softmax(x, None)),
    Row("log_softmax", ops.log_softmax, (Y,), lambda x: np.log(softmax(x))),
    Row("log_softmax", lambda x: ops.log_softmax(x, axis=1), (BOX,),
        lambda x: np.log(softmax(x, 1))),
]  # fmt: skip
