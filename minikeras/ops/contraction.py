"""Multiply tensors whose axes are labelled and sum over labels: einsum."""

import functools
import math
import re
import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import cast, numpy_dtype, promoted
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array, EagerTensor
from minikeras.ops.define import INT32, composite

_INT8 = np.dtype("int8")


def widened(inputs: Sequence[Any]) -> list[Any]:
    """Turn inputs into tensors of their common dtype; int8 becomes int32, as in Keras."""
    tensors = promoted(inputs)
    if numpy_dtype(tensors[0]) != _INT8:
        return tensors
    return [cast(tensor, dtype=INT32) for tensor in tensors]


# ---- products of one and of two ------------------------------------------------------------------
#
# Two primitives do the work: `_rearrange` of one tensor ("iij->j": diagonals, sums, transposes) and
# `contract` of two. Their subscripts have no ellipsis and always a result. Both are closed under
# differentiation: the gradient of an operand is the product of all else with the result's and the
# operand's labels exchanged, where a label that only the operand had stands for ones, and a
# repeated one for the identity matrix.


def _labelled_lengths(subscripts: str, *shapes: Sequence[int]) -> dict[str, int]:
    """Return each label's length; axes of length 1 broadcast."""
    lengths: dict[str, int] = {}
    for term, shape in zip(_terms(subscripts)[:-1], shapes, strict=True):
        for label, n in zip(term, shape, strict=True):
            known = lengths.setdefault(label, n)
            if known == 1:
                lengths[label] = n
            elif n not in (1, known):
                raise ValueError(
                    f"expected axis {label!r} of {subscripts!r} to have one length, got shapes "
                    f"{' and '.join(str(tuple(shape)) for shape in shapes)}."
                )
    return lengths


@functools.lru_cache(1024)
def _terms(subscripts: str) -> list[str]:
    """Return the operands' labels, then the result's."""
    return re.split(",|->", subscripts)


def _spec(*operands: Spec, subscripts: str) -> Spec:
    lengths = _labelled_lengths(subscripts, *(x.shape for x in operands))
    return Spec(tuple(lengths[label] for label in _terms(subscripts)[-1]), operands[0].dtype)


def _reduced(x: Array, labels: str, kept: str) -> tuple[Array, str]:
    """Take diagonals of repeated labels and sum over those that are not `kept`."""
    if len(set(labels)) < len(labels):
        once = "".join(dict.fromkeys(labels))
        x, labels = np.einsum(f"{labels}->{once}", x), once
    gone = tuple(i for i, label in enumerate(labels) if label not in kept)
    if gone:
        x = np.asarray(x.sum(axis=gone, dtype=x.dtype))
        labels = "".join(label for label in labels if label in kept)
    return x, labels


def _rearranged(x: Array, subscripts: str) -> Array:
    labels, out = _terms(subscripts)
    x, labels = _reduced(x, labels, out)
    return x.transpose([labels.index(label) for label in out])


def _contracted(x1: Array, x2: Array, subscripts: str) -> Array:
    a, b, out = _terms(subscripts)
    x1, a = _reduced(x1, a, b + out)
    x2, b = _reduced(x2, b, a + out)
    for i, label in enumerate(a):
        j = b.find(label)
        if j >= 0 and x1.shape[i] != x2.shape[j]:  # an axis of length 1 broadcasts: do without it
            if x1.shape[i] == 1:
                x1, a = x1.squeeze(i), a[:i] + a[i + 1 :]
            else:
                x2, b = x2.squeeze(j), b[:j] + b[j + 1 :]
            return _contracted(x1, x2, f"{a},{b}->{out}")
    if any(label in b and label not in out for label in a):
        return _summed_product(x1, x2, a, b, out)
    return np.multiply(_aligned(x1, a, out), _aligned(x2, b, out))


def _aligned(x: Array, labels: str, out: str) -> Array:
    """Transpose and expand `x` so that it broadcasts to the axes `out`."""
    x = x.transpose([labels.index(label) for label in out if label in labels])
    return x[tuple(slice(None) if label in labels else None for label in out)]


def _summed_product(x1: Array, x2: Array, a: str, b: str, out: str) -> Array:
    """Multiply by one (batched) matrix product, which BLAS computes for floating numbers."""
    batch = [label for label in out if label in a and label in b]
    rows = [label for label in out if label in a and label not in b]
    columns = [label for label in out if label in b and label not in a]
    if batch and not rows and not columns:  # many short dot products: matmul would be slower
        return np.einsum(f"{a},{b}->{out}", x1, x2)  # type: ignore[no-any-return]
    if rows and columns and out.index(columns[0]) < out.index(rows[0]):
        return _summed_product(x2, x1, b, a, out)
    inner = [label for label in a if label in b and label not in out]
    left = _as_matrices(x1, a, batch, rows, inner)
    right = _as_matrices(x2, b, batch, inner, columns)
    order = batch + rows + columns
    lengths = dict(zip(a + b, x1.shape + x2.shape, strict=True))
    y = np.matmul(left, right).reshape([lengths[label] for label in order])
    return y.transpose([order.index(label) for label in out])  # type: ignore[no-any-return]


def _as_matrices(
    x: Array, labels: str, batch: list[str], rows: list[str], columns: list[str]
) -> Array:
    """Transpose to batch, rows, columns, and merge the axes of the rows and of the columns."""
    x = x.transpose([labels.index(label) for label in batch + rows + columns])
    start, end = len(batch), len(batch) + len(rows)
    return x.reshape(*x.shape[:start], math.prod(x.shape[start:end]), math.prod(x.shape[end:]))


def _pull(wanted: str, like: Any, tensors: list[Any], terms: list[str]) -> Any:
    """Return the product of `tensors` over the labels `wanted`, the gradient of `like`."""
    dtype = numpy_dtype(like)
    target = ""
    for label, n in zip(wanted, like.shape, strict=True):
        name = label
        if label in target:
            used = "".join((wanted, target, *terms))
            name = next(letter for letter in string.ascii_letters if letter not in used)
            tensors, terms = [*tensors, EagerTensor(np.eye(n, dtype=dtype))], [*terms, label + name]
        elif label not in "".join(terms):
            tensors, terms = [*tensors, EagerTensor(np.ones(n, dtype))], [*terms, label]
        target += name
    return _product(tensors, terms, target)


def _rearrange_vjp(g: Any, x_spec: Any, subscripts: str) -> Any:
    labels, out = _terms(subscripts)
    return _pull(labels, x_spec, [g], [out])


def _contract_vjp1(g: Any, x1_spec: Any, x2: Any, subscripts: str) -> Any:
    a, b, out = _terms(subscripts)
    return _pull(a, x1_spec, [g, x2], [out, b])


def _contract_vjp2(g: Any, x1: Any, x2_spec: Any, subscripts: str) -> Any:
    a, b, out = _terms(subscripts)
    return _pull(b, x2_spec, [x1, g], [a, out])


_rearrange = Primitive("rearrange", _rearranged, _spec, vjps=(_rearrange_vjp,))
contract = Primitive(
    "contract",
    _contracted,
    _spec,
    vjps=(_contract_vjp1, _contract_vjp2),
    arguments=("x1", "x2"),
    prepare=promoted,
)


# ---- einsum --------------------------------------------------------------------------------------


def _product(tensors: list[Any], terms: list[str], out: str, path: Any = None) -> Any:
    """Multiply tensors pair by pair in the order of `path`, by default from left to right."""
    if len(tensors) == 1:
        return (
            tensors[0]
            if terms[0] == out
            else _rearrange(tensors[0], subscripts=f"{terms[0]}->{out}")
        )
    if path is None:
        path = [(0, 1), *[(0, len(tensors) - 1 - i) for i in range(1, len(tensors) - 1)]]
    rest = list(zip(tensors, terms, strict=True))
    for positions in path:
        chosen = [rest.pop(i) for i in sorted(positions, reverse=True)]
        while len(chosen) > 1:
            (x1, a), (x2, b) = chosen.pop(), chosen.pop()
            others = "".join((out, *(term for _, term in rest + chosen)))
            last = not rest and not chosen
            kept = "".join(label for label in dict.fromkeys(a + b) if label in others)
            kept = out if last else kept
            chosen.append((contract(x1, x2, subscripts=f"{a},{b}->{kept}"), kept))
        rest.extend(chosen)
    return rest[0][0]


@functools.lru_cache(256)
def _best_path(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> list[tuple[int, ...]]:
    """Return the order of pairwise products that NumPy's greedy search finds, from shapes only."""
    stand_ins = [np.broadcast_to(np.zeros(()), shape) for shape in shapes]
    return np.einsum_path(subscripts, *stand_ins, optimize="greedy")[0][1:]


@composite
def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:  # noqa: ARG001 - Keras'
    """Multiply tensors whose axes are labelled by letters, and sum over labels not in the result.

    `"bij,jk->bik"` is a matrix product, `"ii"` a trace, `"...i,...i->..."` dot products along the
    last axis. Without `->` the result has the labels that occur once, in alphabetical order. More
    than two operands are multiplied pair by pair in a good order.

    >>> einsum("i,j->ij", tf.constant([1.0, 2.0]), tf.constant([3.0, 4.0])).shape
    (2, 2)
    """
    tensors = widened(operands)
    shapes = tuple(tuple(tensor.shape) for tensor in tensors)
    terms, out = _spelled_out(subscripts, shapes)
    path = None
    if len(tensors) > 2:
        path = _best_path(f"{','.join(terms)}->{out}", shapes)
    return _product(tensors, terms, out, path)


def _spelled_out(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[str], str]:
    """Return the labels of the operands and of the result, letters in place of ellipses."""
    text = subscripts.replace(" ", "")
    left, arrow, out = text.partition("->")
    terms = left.split(",")
    _check_form(subscripts, terms, out, shapes)
    extra = [len(s) - len(t.replace("...", "")) for t, s in zip(terms, shapes, strict=True)]
    unused = [letter for letter in string.ascii_letters if letter not in text]
    hidden = "".join(unused[: max(extra)])
    _check_named_lengths(subscripts, terms, shapes, extra)
    spelled = [
        term.replace("...", hidden[len(hidden) - n :]) for term, n in zip(terms, extra, strict=True)
    ]
    if arrow and hidden and "..." not in out:
        raise ValueError(
            f"einsum: expected an ellipsis in the result of {subscripts!r}, because those of the "
            f"operands stand for {len(hidden)} axes, got none."
        )
    if not arrow:
        out = "..." + "".join(
            label for label in sorted(set(left) - set(".,")) if left.count(label) == 1
        )
    return spelled, out.replace("...", hidden)


def _check_form(
    subscripts: str, terms: list[str], out: str, shapes: tuple[tuple[int, ...], ...]
) -> None:
    named = out.replace("...", "")
    if (
        not all(re.fullmatch(r"[A-Za-z]*(\.\.\.)?[A-Za-z]*", term) for term in (*terms, out))
        or len(set(named)) < len(named)
        or set(named) - set("".join(terms))
    ):
        raise ValueError(
            "einsum: expected letters, commas, at most one '...' an operand, and after '->' each "
            f"letter once, all of them from before it, got {subscripts!r}."
        )
    if len(terms) != len(shapes):
        raise ValueError(
            f"einsum: expected {len(terms)} operands for {subscripts!r}, got {len(shapes)}."
        )
    for term, shape in zip(terms, shapes, strict=True):
        count = len(term.replace("...", ""))
        if len(shape) < count or (len(shape) > count and "..." not in term):
            raise ValueError(
                f"einsum: expected {count} axes{' or more' if '...' in term else ''} for the "
                f"operand {term!r} of {subscripts!r}, got shape {shape}."
            )


def _check_named_lengths(
    subscripts: str, terms: list[str], shapes: tuple[tuple[int, ...], ...], extra: list[int]
) -> None:
    """Refuse different lengths under one letter, even 1: only an ellipsis broadcasts."""
    lengths: dict[str, int] = {}
    for term, shape, n in zip(terms, shapes, extra, strict=True):
        before = len(term.partition("...")[0]) if "..." in term else len(shape)
        named = shape[:before] + shape[before + n :]
        for label, length in zip(term.replace("...", ""), named, strict=True):
            if lengths.setdefault(label, length) != length:
                raise ValueError(
                    f"einsum: expected one length of axis {label!r} in {subscripts!r}, got "
                    f"{lengths[label]} and {length} from the shapes "
                    f"{' and '.join(map(str, shapes))}."
                )
