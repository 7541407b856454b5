"""Rows of `minikeras.ops.normalization`."""

import numpy as np

from minikeras import ops
from tests.rows import Row, numbers, positive

BOX = numbers(2, 3, 4, seed=4)
PER_CHANNEL = [positive(3, seed=i) for i in range(4)]


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


ROWS = [
    Row("batch_normalization", lambda x, m, v, o, s: ops.batch_normalization(x, m, v, 1, o, s),
        (BOX, *PER_CHANNEL), _batch, covers=("rsqrt",)),
    Row("layer_normalization", lambda x, g, b: ops.layer_normalization(x, g, b, (1, 2), 1e-3),
        (BOX, BOX[0], BOX[1]), _layer, covers=("rsqrt",)),
    Row("rms_normalization", lambda x, s: ops.rms_normalization(x, s, (1, 2), 1e-3), (BOX, BOX[0]),
        _rms, covers=("rsqrt",)),
    Row("normalize", ops.normalize, (BOX,),
        lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True), covers=("sqrt",)),
    Row("normalize", lambda x: ops.normalize(x, axis=0, order=3), (BOX,),
        lambda x: x / (np.abs(x) ** 3).sum(0) ** (1 / 3), covers=("power",)),
]  # fmt: skip
