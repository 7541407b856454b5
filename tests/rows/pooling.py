"""Rows of `minikeras.ops.pooling`; the oracles are loops over every place and window position."""

import functools

import numpy as np

from minikeras.ops import pooling as p
from minikeras.ops.windows import Window
from tests.rows import Row, numbers
from tests.rows.convolution import meetings, per_axis, places


def _windows(x, pool_size, strides=None, padding="valid"):
    """Return the result's lengths and, for each place, the values that its window holds."""
    size = x.shape[1:-1]
    pool = per_axis(pool_size, len(size))
    strides = per_axis(pool_size if strides is None else strides, len(size))
    ones = (1,) * len(size)
    lengths, before = places(size, pool, strides, padding, ones)
    held = {}
    for place, _, position in meetings(size, lengths, pool, strides, ones, before):
        held.setdefault(place, []).append(x[(slice(None), *position)])
    return lengths, held


def _pool(x, combine, **options):
    lengths, held = _windows(x, **options)
    y = np.zeros((len(x), *lengths, x.shape[-1]), x.dtype)
    for place, values in held.items():
        y[(slice(None), *place)] = combine(values, axis=0)
    return y


largest = functools.partial(_pool, combine=np.max)
mean = functools.partial(_pool, combine=np.mean)


def _row(name, op, oracle, shape, first=False, **options):
    x = numbers(*shape)
    expected = functools.partial(oracle, **options)
    if first:
        x = np.moveaxis(x, -1, 1)
        plain = expected
        expected = lambda x: np.moveaxis(plain(np.moveaxis(x, 1, -1)), -1, 1)
        options = {**options, "data_format": "channels_first"}
    covers = (name, f"{name}_gradient")
    return Row(name, functools.partial(op, **options), (x,), expected, covers=covers)


def _both(shape, **options):
    return [
        _row("max_pool", p.max_pool, largest, shape, **options),
        _row("average_pool", p.average_pool, mean, shape, **options),
    ]


# Windows of 2 x 3 places, 1 x 2 apart, with padding before and after the second axis.
WINDOW = Window((4, 5), (2, 3), (1, 2), ((0, 0), (1, 1)), (1, 1))
IMAGES, VALUES = numbers(2, 4, 5, 2), numbers(2, 3, 3, 2, seed=1)


def _first(x):
    """Return, for each place, the first window position that holds the maximum."""
    index = np.full(VALUES.shape, -1)
    best = np.full(VALUES.shape, -np.inf)
    for place, tap, position in meetings((4, 5), (3, 3), (2, 3), (1, 2), (1, 1), (0, 1)):
        here, value = (slice(None), *place), x[(slice(None), *position)]
        index[here] = np.where(value > best[here], tap[0] * 3 + tap[1], index[here])
        best[here] = np.maximum(value, best[here])
    return index.astype(np.uint8), best


INDEX, MAXIMUM = _first(IMAGES)


def _put(values, index):
    out = np.zeros(IMAGES.shape)
    for place, tap, position in meetings((4, 5), (3, 3), (2, 3), (1, 2), (1, 1), (0, 1)):
        here = (slice(None), *place)
        out[(slice(None), *position)] += values[here] * (index[here] == tap[0] * 3 + tap[1])
    return out


def _take(x, index):
    out = np.zeros(VALUES.shape)
    for place, tap, position in meetings((4, 5), (3, 3), (2, 3), (1, 2), (1, 1), (0, 1)):
        here = (slice(None), *place)
        out[here] += x[(slice(None), *position)] * (index[here] == tap[0] * 3 + tap[1])
    return out


ROWS = [
    *_both((2, 7, 3), pool_size=2),
    *_both((2, 7, 3), pool_size=3, strides=2, padding="same"),
    *_both((2, 4, 6, 3), pool_size=2),
    *_both((2, 5, 7, 2), pool_size=(2, 3), padding="same"),
    *_both((2, 5, 6, 2), pool_size=3, strides=1, padding="same"),
    *_both((2, 5, 6, 2), pool_size=(2, 3), strides=(1, 2)),
    *_both((2, 7, 5, 2), pool_size=2, strides=3),
    *_both((1, 2, 2, 2), pool_size=5, strides=2, padding="same"),
    *_both((1, 3, 4, 5, 2), pool_size=(2, 2, 3), strides=1, padding="same"),
    *_both((2, 4, 5, 3), first=True, pool_size=2),
    *_both((0, 4, 5, 3), pool_size=2),
    Row("first_maximum", functools.partial(p._find_first_maximum, window=WINDOW), (IMAGES, MAXIMUM),
        lambda x, maximum: _first(x)[0], order=0),
    Row("put_position", functools.partial(p._put_position, window=WINDOW), (VALUES, INDEX), _put),
    Row("take_position", functools.partial(p._take_position, window=WINDOW), (IMAGES, INDEX),
        _take),
]  # fmt: skip
