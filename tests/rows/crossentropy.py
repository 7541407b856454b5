"""Rows of `minikeras.ops.crossentropy`."""

import numpy as np

from minikeras import ops
from minikeras.ops.crossentropy import _excess
from tests.rows import Row, numbers
from tests.rows.activations import sigmoid, softmax

X, Y = numbers(3, 4, low=-8, high=8.5), numbers(3, 4, seed=1)
T = numbers(3, 4, low=0.05, high=0.95, seed=2)
P = numbers(3, 4, low=0.05, high=0.9, seed=3)
BOX = numbers(2, 3, 4, seed=4)
LABELS = np.array([[3, 0, 1], [1, 1, 2]])


def _sparse(logits, labels):
    out = np.zeros(labels.shape)
    for index in np.ndindex(*labels.shape):
        out[index] = np.log(np.exp(logits[index]).sum()) - logits[index][labels[index]]
    return out


def _softmax_minus_one_hot(logits, labels):
    out = softmax(logits)
    for index in np.ndindex(*labels.shape):
        out[index][labels[index]] -= 1
    return out


ROWS = [
    Row("categorical_crossentropy", ops.categorical_crossentropy, (T, P),
        lambda t, p: -(t * np.log(p / p.sum(-1, keepdims=True))).sum(-1), covers=("log",)),
    Row("categorical_crossentropy",
        lambda t, x: ops.categorical_crossentropy(t, x, True, 0), (T, Y),
        lambda t, x: -(t * np.log(softmax(x, 0))).sum(0), covers=("log_softmax",)),
    Row("binary_crossentropy", lambda t, x: ops.binary_crossentropy(t, x, True), (T, X),
        lambda t, x: -t * np.log(sigmoid(x)) - (1 - t) * np.log(sigmoid(-x))),
    Row("binary_crossentropy", ops.binary_crossentropy, (T, P),
        lambda t, p: -t * np.log(p) - (1 - t) * np.log(1 - p)),
    Row("sparse_categorical_crossentropy",
        lambda x, t: ops.sparse_categorical_crossentropy(t, x, True), (BOX, LABELS), _sparse),
    Row("sparse_categorical_crossentropy", lambda p, t: ops.sparse_categorical_crossentropy(t, p),
        (P, LABELS[0][:, None]), lambda p, t: _sparse(np.log(p), t[:, 0])),
    Row("softmax_minus_one_hot", _excess, (BOX, LABELS), _softmax_minus_one_hot),
]  # fmt: skip
