"""Write large primitives in small ones, which loops can fuse.

The NumPy forward of such a primitive checks its input and raises; a loop cannot. Each rule
therefore also says when to give up: the plan tests these questions before it changes anything.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras.compiler.decomposing import contractions, positions, reducing
from minikeras.compiler.decomposing.positions import Doubts
from minikeras.compiler.decomposing.reducing import over
from minikeras.core.basic import astype, numpy_dtype, reshape
from minikeras.core.context import overridden
from minikeras.core.dispatch import Node
from minikeras.core.graph import collect, remade
from minikeras.core.spec import reduced
from minikeras.core.tensor import EagerTensor, Tensor
from minikeras.ops.elementwise import (
    divide,
    equal,
    exp,
    greater,
    greater_equal,
    isfinite,
    isnan,
    less,
    less_equal,
    log,
    logical_and,
    logical_not,
    logical_or,
    square,
    subtract,
    where,
)
from minikeras.ops.random import dropout
from minikeras.ops.reduction import _all, _any, _max, _min, _sum, count

_FEW = 64
"""Comparing with more numbers than these takes longer than to sort."""
_SOME = 256
"""And with more than these longer than to search among sorted ones."""


def _numbers(length: int) -> EagerTensor:
    return EagerTensor(np.arange(length, dtype=np.int32))


def _below_maximum(x: Any, axis: tuple[int, ...]) -> Any:
    return x - over(_max, x, axis=axis, keepdims=True)


def _softmax(x: Any, axis: tuple[int, ...]) -> Any:
    powers = exp(_below_maximum(x, axis))
    return powers / over(_sum, powers, axis=axis, keepdims=True)


def _log_softmax(x: Any, axis: tuple[int, ...]) -> Any:
    y = _below_maximum(x, axis)
    return y - log(over(_sum, exp(y), axis=axis, keepdims=True))


def _logsumexp(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    top = over(_max, x, axis=axis, keepdims=True)
    top = where(isfinite(top), top, 0)
    y = log(over(_sum, exp(x - top), axis=axis, keepdims=True)) + top
    return reshape(y, shape=reduced(x.shape, axis, keepdims))


def _mean(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    return divide(over(_sum, x, axis=axis, keepdims=keepdims), float(count(x.shape, axis)))


def _moments(x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    center = _mean(x, axis, keepdims=True)
    spread = _mean(square(subtract(x, center)), axis, keepdims)
    return reshape(center, shape=tuple(spread.shape)), spread


def _extreme(x: Any, axis: int, keepdims: bool, reduce: Any) -> Any:
    """Return the first place of the extreme or of NaN: the smallest place where either is."""
    best = over(reduce, x, axis=(axis,), keepdims=True)
    found = equal(x, best)
    if numpy_dtype(x).kind == "f":
        found = logical_or(found, isnan(x))
    length = x.shape[axis]
    places = reshape(_numbers(length), shape=(length,) + (1,) * (x.ndim - axis - 1))
    return over(_min, where(found, places, length), axis=(axis,), keepdims=keepdims)


def _argument(reduce: Any) -> Callable[..., Any]:
    def rule(x: Any, axis: int | None, keepdims: bool) -> Any:
        if axis is not None:
            return _extreme(x, axis, keepdims, reduce)
        flat = reshape(x, shape=(math.prod(x.shape),))
        return reshape(_extreme(flat, 0, False, reduce), shape=(1,) * x.ndim * keepdims)

    return rule


def _chosen(logits: Any, labels: Any, doubts: Doubts) -> Any:
    """Tell for every class whether it is the label."""
    classes = logits.shape[-1]
    wrong = logical_or(less(labels, 0), greater_equal(labels, classes))
    doubts.append(_any(wrong, axis=tuple(range(labels.ndim)), keepdims=False))
    places = reshape(astype(labels, np.dtype("int32")), shape=(*labels.shape, 1))
    return equal(places, _numbers(classes))


def _sparse_crossentropy(logits: Any, labels: Any, doubts: Doubts) -> Any:
    axis = (logits.ndim - 1,)
    highest = over(_max, logits, axis=axis, keepdims=False)
    below = logits - reshape(highest, shape=(*highest.shape, 1))
    total = over(_sum, exp(below), axis=axis, keepdims=False)
    mine = over(_sum, where(_chosen(logits, labels, doubts), logits, 0), axis=axis, keepdims=False)
    return log(total) + (highest - mine)


def _excess(logits: Any, labels: Any, doubts: Doubts) -> Any:
    hot = astype(_chosen(logits, labels, doubts), numpy_dtype(logits))
    return _softmax(logits, (logits.ndim - 1,)) - hot


def _one_hot(x: Any, num_classes: int, axis: int, dtype: np.dtype[Any]) -> Any:
    column = reshape(x, shape=(*x.shape[:axis], 1, *x.shape[axis:]))
    places = np.arange(num_classes, dtype=numpy_dtype(x)).reshape(-1, *(1,) * (x.ndim - axis))
    return astype(equal(column, EagerTensor(places)), dtype)


def _in_top_k(targets: Any, predictions: Any, k: int) -> Any:
    mine = equal(reshape(targets, shape=(*targets.shape, 1)), _numbers(predictions.shape[1]))
    chosen = over(_sum, where(mine, predictions, 0), (1,), keepdims=True)
    larger = over(_sum, astype(greater(predictions, chosen), np.dtype("int32")), (1,), False)
    found = logical_and(over(_any, mine, (1,), keepdims=False), less(larger, k))
    if numpy_dtype(predictions).kind != "f":
        return found
    return logical_and(found, over(_all, isfinite(predictions), (1,), keepdims=False))


def _isin(x1: Any, x2: Any) -> Any:
    count = math.prod(x2.shape)
    if count > _FEW:
        return None  # NumPy sorts
    same = equal(reshape(x1, shape=(*x1.shape, 1)), reshape(x2, shape=(count,)))
    return over(_any, same, (x1.ndim,), keepdims=False)


def _searchsorted(sequence: Any, values: Any, side: str) -> Any:
    """Count the numbers of the sequence that come before each value; NaN comes last."""
    if math.prod(sequence.shape) > _SOME or numpy_dtype(sequence) != numpy_dtype(values):
        return None
    column = reshape(values, shape=(*values.shape, 1))
    before = (less if side == "left" else less_equal)(sequence, column)
    if numpy_dtype(values).kind == "f":
        known = logical_not(isnan(sequence))
        last = isnan(column) if side == "right" else logical_and(isnan(column), known)
        before = logical_or(before, last)
    return over(_sum, astype(before, np.dtype("int32")), (values.ndim,), keepdims=False)


def _dropout(x: Any, state: Any, rate: float, noise_shape: Any) -> Any:
    if noise_shape is None:
        return None
    noise = tuple(n if w is None else w for n, w in zip(x.shape, noise_shape, strict=True))
    if noise == tuple(x.shape):
        return dropout(x, state, rate=rate, noise_shape=None)
    ones = EagerTensor(np.ones(noise, numpy_dtype(x)))
    return x * dropout(ones, state, rate=rate, noise_shape=None)


RULES: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "mean": _mean,
    "moments": _moments,
    "argmax": _argument(_max),
    "argmin": _argument(_min),
    "sparse_categorical_crossentropy": _sparse_crossentropy,
    "softmax_minus_one_hot": _excess,
    "one_hot": _one_hot,
    "in_top_k": _in_top_k,
    "isin": _isin,
    "searchsorted": _searchsorted,
    "dropout": _dropout,
    **reducing.RULES,
    **contractions.RULES,
    **positions.RULES,
}
"""A rule returns what to compute instead of a primitive; None if that stays as it is."""
DOUBTFUL = {
    "sparse_categorical_crossentropy", "softmax_minus_one_hot", *positions.DOUBTFUL,
}  # fmt: skip


def _simple(node: Node) -> bool:
    """Tell whether a rule gives what the primitive does: half precision is summed in float32."""
    kinds = [numpy_dtype(x) for x in (*node.inputs, *node.outputs)]
    some = all(0 not in tuple(x.plain_shape) for x in node.inputs)
    return some and all(kind.itemsize > 2 or kind.kind != "f" for kind in kinds)


def decompose(
    nodes: Sequence[Node], inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> tuple[list[Node], list[Tensor], list[Tensor]]:
    """Return nodes and outputs with the rules applied, and the doubts."""
    new: dict[int, Any] = {}
    doubts: Doubts = []
    with overridden(recorders=(), inline=True, scope=None):
        for node in nodes:
            arguments = [new.get(x.key, x) for x in node.inputs]
            results = None
            if node.op.name in RULES and _simple(node):
                extra = {"doubts": doubts} if node.op.name in DOUBTFUL else {}
                found = RULES[node.op.name](*arguments, **node.params, **extra)
                results = found if node.op.multiple or found is None else (found,)
            if results is None:
                if all(a is x for a, x in zip(arguments, node.inputs, strict=True)):
                    continue
                results = remade(node, arguments).outputs
            for before, after in zip(node.outputs, results, strict=True):
                new[before.key] = after
    found = [new.get(x.key, x) for x in outputs]
    return collect([*found, *doubts], inputs), found, doubts
