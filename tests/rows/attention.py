"""Rows of `minikeras.ops.attention`."""

import math

import numpy as np

from minikeras import ops
from tests.rows import Row, numbers


def _attention(query, key, value, bias, mask):
    out = np.zeros(query.shape)
    for b, t, n in np.ndindex(*query.shape[:3]):
        fits = key[b, :, n // 2] @ query[b, t, n] / math.sqrt(3) + bias[t]
        weights = np.exp(fits) * mask[t] * (np.arange(len(fits)) <= t)
        out[b, t, n] = weights / weights.sum() @ value[b, :, n // 2]
    return out


ROWS = [
    Row("dot_product_attention",
        lambda q, k, v, b, m: ops.dot_product_attention(q, k, v, b, m, is_causal=True),
        (numbers(2, 5, 4, 3), numbers(2, 5, 2, 3, seed=1), numbers(2, 5, 2, 3, seed=2),
         numbers(5, 5), numbers(5, 5, seed=1) + 2 * np.eye(5) > 0), _attention,
        covers=("softmax",)),
]  # fmt: skip
