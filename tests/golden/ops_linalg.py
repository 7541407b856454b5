"""keras.ops of linear algebra, normalization, attention, losses and control flow."""

import numpy as np

from tests.golden import operation
from tests.golden.recipe import (
    Case,
    array,
    distinct,
    flatten,
    gradients,
    normal,
    one_hot,
    probabilities,
)

FAMILY = "ops_linalg"

MATRIX = normal(3, 4)
OTHER = normal(4, 2, seed=1)
SQUARE = normal(3, 3, seed=2) + 2 * np.eye(3, dtype="float32")
STACK = normal(2, 3, 4, seed=3)
VECTOR = normal(4, seed=4)
SPREAD = (SQUARE @ SQUARE.T + np.eye(3)).astype("float32")
LOGITS = normal(3, 4, seed=5, scale=2.0)
CLASSES = array([0, 3, 1], "int32")
SHARES = probabilities(3, 4, seed=6)
QUERY, KEY, VALUE = (normal(2, 3, 2, 4, seed=seed) for seed in (7, 8, 9))
WHOLE = array([[1, 2], [3, 4]], "int32")

TABLE = [
    ("matmul", [MATRIX, OTHER]),
    ("matmul", [MATRIX, VECTOR]),
    ("matmul", [VECTOR, OTHER]),
    ("matmul", [VECTOR, VECTOR]),
    ("matmul", [STACK, OTHER]),
    ("matmul", [STACK, normal(1, 4, 2, seed=10)]),
    ("matmul", [VECTOR, normal(2, 4, 2, seed=10)]),
    ("matmul", [MATRIX.astype("float64"), OTHER.astype("float64")]),
    ("dot", [MATRIX, OTHER]),
    ("dot", [STACK, OTHER]),
    ("dot", [MATRIX, 2.0]),
    ("inner", [VECTOR, VECTOR]),
    ("inner", [MATRIX, normal(2, 4, seed=11)]),
    ("outer", [VECTOR, normal(3, seed=12)]),
    ("vdot", [MATRIX, normal(3, 4, seed=13)]),
    ("tensordot", [MATRIX, OTHER], {"axes": 1}),
    ("tensordot", [STACK, normal(3, 4, seed=14)]),
    ("tensordot", [STACK, normal(4, 2, 5, seed=15)], {"axes": ((0, 2), (1, 0))}),
    ("tensordot", [VECTOR, VECTOR], {"axes": 0}),
    ("einsum", ["ij,jk->ik", MATRIX, OTHER]),
    ("einsum", ["bij,jk->bik", STACK, OTHER]),
    ("einsum", ["ij,jk", MATRIX, OTHER]),
    ("einsum", ["ii->i", SQUARE]),
    ("einsum", ["ij->", MATRIX]),
    ("einsum", ["bij->bji", STACK]),
    ("einsum", ["...ij,jk->...ik", STACK, OTHER]),
    ("einsum", ["ij,jk,k->i", MATRIX, OTHER, normal(2, seed=16)]),
    ("kron", [WHOLE.astype("float32"), MATRIX]),
    ("cross", [normal(2, 3), normal(2, 3, seed=1)]),
    ("cross", [normal(3), normal(3, seed=1)]),
    ("cholesky", [SPREAD]),
    ("cholesky", [SPREAD], {"upper": True}),
    ("det", [SQUARE]),
    ("inv", [SQUARE]),
    ("logdet", [SPREAD]),
    ("slogdet", [SQUARE]),
    ("solve", [SQUARE, normal(3, 2)]),
    ("solve", [SQUARE, normal(3)]),
    ("solve_triangular", [SPREAD, normal(3, 2)], {"lower": True}),
    ("pinv", [MATRIX]),
    ("corrcoef", [normal(2, 5)]),
    ("cdist", [MATRIX, normal(2, 4, seed=1)]),
    ("normalize", [MATRIX]),
    ("normalize", [MATRIX], {"axis": 0, "order": 1}),
    ("softmax", [LOGITS]),
    ("softmax", [LOGITS], {"axis": 0}),
    ("softmax", [STACK], {"axis": (1, 2)}),
    ("log_softmax", [LOGITS]),
    ("log_softmax", [LOGITS], {"axis": 0}),
    ("glu", [LOGITS]),
    ("layer_normalization", [MATRIX]),
    ("layer_normalization", [MATRIX], {"gamma": VECTOR, "beta": VECTOR}),
    ("layer_normalization", [STACK], {"axis": (1, 2), "epsilon": 0.1}),
    ("rms_normalization", [MATRIX]),
    ("rms_normalization", [MATRIX, VECTOR], {"epsilon": 0.1}),
    ("batch_normalization", [MATRIX, VECTOR, VECTOR**2 + 1, -1]),
    (
        "batch_normalization",
        [STACK, normal(3), normal(3) ** 2 + 1, 1],
        {"offset": normal(3, seed=1), "scale": normal(3, seed=2), "epsilon": 0.1},
    ),
    ("binary_crossentropy", [array([0.0, 1.0, 1.0]), array([0.2, 0.7, 0.4])]),
    ("binary_crossentropy", [array([0.0, 1.0, 1.0]), array([0.0, 0.0, 1.0])]),
    ("binary_crossentropy", [array([0.0, 1.0, 1.0]), VECTOR[:3].copy()], {"from_logits": True}),
    ("categorical_crossentropy", [one_hot(CLASSES, 4), SHARES]),
    ("categorical_crossentropy", [one_hot(CLASSES, 4), SHARES * 3]),
    ("categorical_crossentropy", [one_hot(CLASSES, 4), LOGITS], {"from_logits": True}),
    (
        "categorical_crossentropy",
        [one_hot(CLASSES, 4).T.copy(), SHARES.T.copy()],
        {"axis": 0},
    ),
    ("sparse_categorical_crossentropy", [CLASSES, SHARES]),
    ("sparse_categorical_crossentropy", [CLASSES[:, None].copy(), SHARES]),
    ("sparse_categorical_crossentropy", [CLASSES, LOGITS], {"from_logits": True}),
    ("dot_product_attention", [QUERY, KEY, VALUE]),
    ("dot_product_attention", [QUERY, KEY, VALUE], {"scale": 0.5, "is_causal": True}),
    (
        "dot_product_attention",
        [QUERY, KEY, VALUE],
        {"mask": np.tril(np.ones((1, 1, 3, 3), "bool"))},
    ),
    ("adaptive_average_pool", [distinct(1, 4, 6, 2), 2]),
    ("adaptive_max_pool", [distinct(1, 4, 6, 2), (2, 3)]),
]
VALUES = [
    ("matmul", [WHOLE, WHOLE]),
    ("matmul", [WHOLE, WHOLE.astype("float32")]),
    ("matmul", [WHOLE.astype("uint8"), WHOLE.astype("uint8")]),
    ("dot", [WHOLE, WHOLE]),
    ("einsum", ["ij,jk->ik", WHOLE, WHOLE]),
    ("tensordot", [WHOLE, WHOLE], {"axes": 1}),
    ("matrix_rank", [SQUARE]),
    ("lstsq", [normal(4, 3, seed=17), normal(4, seed=18)]),
    ("svd", [MATRIX], {"compute_uv": False}),
    ("lu_factor", [SQUARE]),
    ("normalize", [np.zeros((1, 3), "float32")]),
    ("layer_normalization", [np.ones((1, 3), "float32")]),
    ("rms_normalization", [np.zeros((1, 3), "float32")]),
    ("softmax", [array([[1e4, 0.0], [-np.inf, 0.0]])]),
]


def run(keras, tf, **spec):
    """Run one operation, or one function of a keras module."""
    if "function" not in spec:
        return operation.run(keras, tf, **spec)
    call = lambda *tensors: spec["function"](keras, *tensors)
    outputs, slopes = gradients(keras, tf, call, spec["arrays"])
    return flatten(keras, {"y": outputs, "grad": list(slopes)})


# Uses of ops that take functions, and properties of factors that are unique up to a sign.
COMPOSED = {
    "cond": (lambda k, x: k.ops.cond(k.ops.sum(x) > 0, lambda: x * 2, lambda: -x), [VECTOR]),
    "map": (lambda k, x: k.ops.map(lambda row: k.ops.sum(row * row), x), [MATRIX]),
    "vectorized_map": (lambda k, x: k.ops.vectorized_map(lambda row: row * row, x), [MATRIX]),
    "scan": (lambda k, x: k.ops.scan(lambda c, r: (c + r, c * r), x[0], x), [MATRIX]),
    "scan_reverse": (
        lambda k, x: k.ops.scan(lambda c, r: (c + r, c * r), x[0], x, reverse=True),
        [MATRIX],
    ),
    "while_loop": (
        lambda k, x: k.ops.while_loop(lambda i, v: i < 3, lambda i, v: (i + 1, v * v), (0, x))[1],
        [VECTOR],
    ),
    "fori_loop": (lambda k, x: k.ops.fori_loop(0, 3, lambda i, v: v * 2, x), [VECTOR]),
    "qr": (lambda k, x: list(map(k.ops.abs, k.ops.qr(x))), [SQUARE]),
    "eigh": (lambda k, x: [k.ops.eigh(x)[0], k.ops.abs(k.ops.eigh(x)[1])], [SPREAD]),
    "svd": (lambda k, x: list(map(k.ops.abs, k.ops.svd(x, full_matrices=False))), [SQUARE]),
}
CASES = operation.rows(FAMILY, TABLE)
CASES += [
    case._replace(name=f"{case.name}_value") for case in operation.rows(FAMILY, VALUES, grad=False)
]
CASES += [
    Case(FAMILY, name, {"function": function, "arrays": arrays})
    for name, (function, arrays) in COMPOSED.items()
]
