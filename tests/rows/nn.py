"""Rows of `minikeras.ops.nn`."""

import math

import numpy as np

from minikeras.ops import nn
from tests.rows import Row, numbers, positive

X, Y = numbers(3, 4, low=-8, high=8.5), numbers(3, 4, seed=1)
T = numbers(3, 4, low=0.05, high=0.95, seed=2)
P = numbers(3, 4, low=0.05, high=0.9, seed=3)
BOX = numbers(2, 3, 4, seed=4)
LABELS = np.array([[3, 0, 1], [1, 1, 2]])
PER_CHANNEL = [positive(3, seed=i) for i in range(4)]


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def _gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2)))


def _gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _softmax(x, axis=-1):
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


def _sparse(logits, labels):
    out = np.zeros(labels.shape)
    for index in np.ndindex(*labels.shape):
        out[index] = np.log(np.exp(logits[index]).sum()) - logits[index][labels[index]]
    return out


def _excess(logits, labels):
    out = _softmax(logits)
    for index in np.ndindex(*labels.shape):
        out[index][labels[index]] -= 1
    return out


def _batch(x, mean, variance, offset, scale):
    columns = [
        (x[:, c] - mean[c]) / np.sqrt(variance[c] + 1e-3) * scale[c] + offset[c] for c in range(3)
    ]
    return np.stack(columns, 1)


def _layer(x, gamma, beta):
    rows = [(row - row.mean()) / np.sqrt(row.var() + 1e-3) * gamma + beta for row in x]
    return np.stack(rows)


def _rms(x, scale):
    return np.stack([row / np.sqrt((row**2).mean() + 1e-3) * scale for row in x])


def _attention(query, key, value, bias, mask):
    out = np.zeros(query.shape)
    for b, t, n in np.ndindex(*query.shape[:3]):
        fits = key[b, :, n // 2] @ query[b, t, n] / math.sqrt(3) + bias[t]
        weights = np.exp(fits) * mask[t] * (np.arange(len(fits)) <= t)
        out[b, t, n] = weights / weights.sum() @ value[b, :, n // 2]
    return out


def _each(name, oracle, inputs=X, covers=(), **params):
    covers = covers or (name,)
    op = getattr(nn, name)
    function = lambda x: op(x, **params)
    return Row(name, function, (inputs,), oracle, elementwise=True, covers=covers)


ROWS = [
    _each("sigmoid", _sigmoid),
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
    _each("silu", lambda x: x * _sigmoid(x)),
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
    Row("glu", lambda x: nn.glu(x, axis=0), (X.T,), lambda x: x[:2] * _sigmoid(x[2:])),
    Row("softmax", nn.softmax, (Y,), _softmax),
    Row("softmax", lambda x: nn.softmax(x, axis=(0, -1)), (BOX,), lambda x: _softmax(x, (0, 2))),
    Row("softmax", lambda x: nn.softmax(x, axis=None), (BOX,), lambda x: _softmax(x, None)),
    Row("log_softmax", nn.log_softmax, (Y,), lambda x: np.log(_softmax(x))),
    Row("log_softmax", lambda x: nn.log_softmax(x, axis=1), (BOX,),
        lambda x: np.log(_softmax(x, 1))),
    Row("categorical_crossentropy", nn.categorical_crossentropy, (T, P),
        lambda t, p: -(t * np.log(p / p.sum(-1, keepdims=True))).sum(-1), covers=("log",)),
    Row("categorical_crossentropy", lambda t, x: nn.categorical_crossentropy(t, x, True, 0), (T, Y),
        lambda t, x: -(t * np.log(_softmax(x, 0))).sum(0), covers=("log_softmax",)),
    Row("binary_crossentropy", lambda t, x: nn.binary_crossentropy(t, x, True), (T, X),
        lambda t, x: -t * np.log(_sigmoid(x)) - (1 - t) * np.log(_sigmoid(-x))),
    Row("binary_crossentropy", nn.binary_crossentropy, (T, P),
        lambda t, p: -t * np.log(p) - (1 - t) * np.log(1 - p)),
    Row("sparse_categorical_crossentropy",
        lambda x, t: nn.sparse_categorical_crossentropy(t, x, True), (BOX, LABELS), _sparse),
    Row("sparse_categorical_crossentropy", lambda p, t: nn.sparse_categorical_crossentropy(t, p),
        (P, LABELS[0][:, None]), lambda p, t: _sparse(np.log(p), t[:, 0])),
    Row("softmax_minus_one_hot", nn._excess, (BOX, LABELS), _excess),
    Row("batch_normalization", lambda x, m, v, o, s: nn.batch_normalization(x, m, v, 1, o, s),
        (BOX, *PER_CHANNEL), _batch, covers=("rsqrt",)),
    Row("layer_normalization", lambda x, g, b: nn.layer_normalization(x, g, b, (1, 2), 1e-3),
        (BOX, BOX[0], BOX[1]), _layer, covers=("rsqrt",)),
    Row("rms_normalization", lambda x, s: nn.rms_normalization(x, s, (1, 2), 1e-3), (BOX, BOX[0]),
        _rms, covers=("rsqrt",)),
    Row("normalize", nn.normalize, (BOX,),
        lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True), covers=("sqrt",)),
    Row("normalize", lambda x: nn.normalize(x, axis=0, order=3), (BOX,),
        lambda x: x / (np.abs(x) ** 3).sum(0) ** (1 / 3), covers=("power",)),
    Row("dot_product_attention",
        lambda q, k, v, b, m: nn.dot_product_attention(q, k, v, b, m, is_causal=True),
        (numbers(2, 5, 4, 3), numbers(2, 5, 2, 3, seed=1), numbers(2, 5, 2, 3, seed=2),
         numbers(5, 5), numbers(5, 5, seed=1) + 2 * np.eye(5) > 0), _attention,
        covers=("softmax",)),
]  # fmt: skip
