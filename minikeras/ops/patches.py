"""Cut images into what a kernel meets, in parts that fit the cache."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minikeras.core.tensor import Array
from minikeras.ops.windows import Window, padded

# Patches are made this many bytes at a time, so that the product finds them in the cache. Measured
# on two cores with 1 MB of L2 each: 1 and 2 MB are alike, all at once takes 1.5 times longer.
CHUNK = 1 << 21

# With so few channels a patch is made of short runs, and its transpose of long ones (whole rows of
# the image): 2 to 3 times faster for one channel, even at 4, slower beyond.
_FEW_CHANNELS = 4


def chunks(images: Array, channels: int) -> Iterator[slice]:
    """Cut a batch into slices of about `CHUNK` bytes, had they so many channels."""
    pixels = math.prod(images.shape[1:-1])
    step = max(1, CHUNK // max(1, images.itemsize * pixels * channels))
    return (slice(i, i + step) for i in range(0, len(images), step))


def blocks(images: int, rows: int, row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """Cut a batch into images, or one image into rows, of about `CHUNK` bytes."""
    fit = max(1, CHUNK // max(1, row_bytes))
    if fit >= rows:
        for i in range(0, images, fit // rows):
            yield slice(i, i + fit // rows), slice(None)
    else:
        for i, row in itertools.product(range(images), range(0, rows, fit)):
            yield slice(i, i + 1), slice(row, row + fit)


def patches_of(x: Array, window: Window) -> Iterator[tuple[Any, Array]]:
    """Yield `(block, patches)`: what the kernel meets at the places `outputs[block]`.

    Patches are `[groups, places, kernel positions * channels of a group]`.
    """
    batch, places, rank = len(x), window.outputs, len(window.size)
    if not batch or 0 in places:
        return
    groups, channels = window.groups, x.shape[-1] // window.groups
    x = padded(x, window.padding)
    taps = math.prod(window.kernel)
    steps = tuple(slice(None, None, stride) for stride in window.strides)
    if taps == 1:
        yield (slice(None), slice(None)), pixels_of(x[(slice(None), *steps)], groups)
        return
    views = sliding_window_view(x, window.spans, axis=tuple(range(1, rank + 1)))
    gaps = (slice(None, None, dilation) for dilation in window.dilation)
    views = views[(slice(None), *steps, slice(None), *gaps)]
    views = views.reshape(batch, *places, groups, channels, *window.kernel)
    pixel, group, channel, tap = range(rank + 1), rank + 1, rank + 2, range(rank + 3, 2 * rank + 3)
    few = channels <= _FEW_CHANNELS
    order = (group, *tap, channel, *pixel) if few else (group, *pixel, *tap, channel)
    row_bytes = x.itemsize * x.shape[-1] * taps * math.prod(places[1:])
    for block in blocks(batch, places[0], row_bytes):
        copied = np.ascontiguousarray(views[block].transpose(order))
        if few:
            yield block, copied.reshape(groups, taps * channels, -1).swapaxes(1, 2)
        else:
            yield block, copied.reshape(groups, -1, taps * channels)


def pixels_of(images: Array, groups: int) -> Array:
    """View images as `[groups, pixels, channels of a group]`."""
    return images.reshape(-1, groups, images.shape[-1] // groups).swapaxes(0, 1)
