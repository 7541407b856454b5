"""Rows of `minikeras.ops.indexing`, `gathering` and `scattering`."""

import numpy as np

from minikeras.ops import gathering as ga
from minikeras.ops import indexing as ix
from minikeras.ops import scattering as sc
from tests.rows import Row, numbers

X = numbers(3, 4, 5)
PICKED = np.array([2, 0, 2])
TABLE = numbers(4, 3, seed=1)
WORDS = np.array([[1, 1, -1], [0, 1, 3]])
IDS = np.array([2, 0, 2, 5, 0])
DATA = numbers(5, 3, low=-1.9, seed=2)
PLACES = np.array([[0, 1], [2, 3], [0, 1]])
UPDATES = numbers(3, 5, seed=3)
ZEROS = np.where(np.abs(DATA) < 0.8, 0.0, DATA)


def _key(name, key, order=2, **kwargs):
    return Row(name, lambda x: ix.getitem(x, key), (X,), lambda x: x[key], order, **kwargs)


def _take(x, indices, axis):
    # Squared, for the gradient of a plain take does not depend on x.
    return Row(
        "take",
        lambda x, i: ga.take(x * x, i, axis) * ga.take(x, i, axis),
        (x, indices),
        lambda x, i: np.take(x, i, axis) ** 3,
        covers=("take", "add_rows"),
    )


def _along(x, indices, axis):
    return Row(
        "take_along_axis",
        lambda x, i: ga.take_along_axis(x * x, i, axis),
        (x, indices),
        lambda x, i: np.take_along_axis(x * x, i, axis),
        covers=("take_along_axis", "add_along"),
    )


def _one_hot(x, n, axis):
    hot = np.array([[float(k == i) for k in range(n)] for i in np.ravel(x)]).reshape(
        *np.shape(x), n
    )
    return np.moveaxis(hot, -1, axis).astype("float32")


def _folded(function, start, data, ids, total):
    out = np.full((total, *data.shape[1:]), start, data.dtype)
    for row, i in zip(data, ids):
        if i >= 0:
            out[i] = function(out[i], row)
    return out


def _segment(name, function, start, data=DATA, order=2, ids=IDS):
    op = getattr(sc, f"segment_{name}")
    return Row(
        f"segment_{name}",
        lambda data: op(data, ids, 7),
        (data,),
        lambda data: _folded(function, start, data, ids, 7),
        order,
        covers=() if name != "sum" else ("add_rows",),
    )


def _updated(x, places, updates, function):
    out = x.copy()
    for place, update in zip(places, updates):
        out[tuple(place)] = function(out[tuple(place)], update)
    return out


def _scatter_update(reduction, function):
    return Row(
        f"scatter_update {reduction}",
        lambda x, u: sc.scatter_update(x * x, PLACES, u * u, reduction),
        (X, UPDATES),
        lambda x, u: _updated(x * x, PLACES, u * u, function),
        covers=("set_rows", "flat_index"),
    )


LOW, HIGH = np.finfo("float64").min, np.finfo("float64").max

ROWS = [
    _key("slice", 1, covers=("getitem", "place_slice")),
    _key("slice", (slice(None, None, -2), None, ..., -1)),
    _key("slice", (slice(1, None), slice(None), slice(0, 5, 2))),
    _key("slice", (slice(0, 0),)),
    _key("gather", PICKED, covers=("gather", "scatter_add")),
    _key("gather", (PICKED, slice(None), np.array([[1], [2]]))),
    _key("gather", X[:, 0, 0] > 0),
    _key("gather", [[0, 1], [2, 0]]),
    Row("stack_indices", lambda x, i: ix.getitem(x, (i, i)), (X, PICKED), lambda x, i: x[i, i]),
    Row("slice", lambda x, i: ix.slice(x * x, i, (1, 3, 2)), (X, np.array([2, 1, 0])),
        lambda x, i: (x * x)[2:, 1:, :2]),
    Row("slice", lambda x: ix.slice(x, (1, 0, 4), (-1, 2, 1)), (X,), lambda x: x[1:, :2, 4:]),
    Row("slice_update", lambda x, i, u: ix.slice_update(x * x, i, u * u),
        (X, np.array([1, 1, 4]), numbers(1, 3, 1)),
        lambda x, i, u: _updated(x * x, [(1, slice(1, 4), slice(4, 5))], u * u, lambda _, u: u)),
    _take(TABLE, WORDS, 0),
    _take(X, WORDS, 1),
    _take(X, WORDS, -1),
    _take(X, np.array(-1), 0),
    _take(X, np.array([], "int32"), 2),
    _take(TABLE, WORDS, None),
    _along(X, X.argsort(1), 1),
    _along(X, np.array([[[0], [-1]]]), 1),
    _along(X[:, :1], np.array([[[0], [-1]]]).repeat(3, 0), -1),
    Row("take_along_axis", ga.take_along_axis, (X, PICKED),
        lambda x, i: np.take_along_axis(x, i, None)),
    Row("gather_nd", lambda x, i: ga.gather_nd(x * x, i), (X, PLACES),
        lambda x, i: (x * x)[i[:, 0], i[:, 1]], covers=("flat_index", "take")),
    Row("gather_nd", ga.gather_nd, (TABLE, PLACES[:, None, :1]), lambda x, i: x[i[..., 0]]),
    Row("one_hot", lambda x: ga.one_hot(x, 4), (WORDS,), lambda x: _one_hot(x, 4, -1), order=0),
    Row("one_hot", lambda x: ga.one_hot(x, 2, 0), (WORDS,), lambda x: _one_hot(x, 2, 0), order=0),
    Row("multi_hot", lambda x: ga.multi_hot(x, 4), (WORDS,),
        lambda x: _one_hot(x, 4, -1).max(1), order=0, covers=("one_hot",)),
    Row("scatter", lambda i, v: sc.scatter(i, v * v, (3, 4, 5)), (PLACES, UPDATES),
        lambda i, v: _updated(np.zeros((3, 4, 5)), i, v * v, np.add),
        covers=("add_rows", "flat_index")),
    Row("scatter", lambda i, v: sc.scatter(i, v, (9,)), (IDS[:, None], DATA[:, 0]),
        lambda i, v: np.bincount(i[:, 0], v, 9), covers=("add_rows", "flat_index")),
    _scatter_update(None, lambda _, new: new),
    _scatter_update("add", np.add),
    _scatter_update("max", np.maximum),
    _scatter_update("min", np.minimum),
    _scatter_update("mul", np.multiply),
    _segment("sum", np.add, 0.0),
    _segment("max", np.maximum, LOW),
    _segment("min", np.minimum, HIGH),
    _segment("prod", np.multiply, 1.0),
    _segment("prod", np.multiply, 1.0, ZEROS, order=1),
    _segment("sum", np.add, 0.0, ids=IDS - 1),
    _segment("max", np.maximum, LOW, ids=IDS - 1),
    Row("bincount", lambda w: sc.bincount(IDS, w), (DATA[:, 0],), lambda w: np.bincount(IDS, w),
        covers=("add_rows",)),
    Row("bincount", lambda w: sc.bincount(PLACES, w, 6), (UPDATES[:, :2],),
        lambda w: np.stack([np.bincount(i, v, 6) for i, v in zip(PLACES, w)]),
        covers=("add_rows",)),
]  # fmt: skip
