"""Convolve each channel by itself, on arrays: the output and the gradients of input and kernel.

Products of one channel are no work for BLAS: multiply and add position by position. Filter m of
channel c is output channel `c * multiplier + m`; here the multiplier is the first axis.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minikeras.core.tensor import Array
from minikeras.ops.patches import chunks
from minikeras.ops.windows import Window


def _filters_first(images: Array, channels: int) -> Array:
    """Return images `[..., channels * multiplier]` as `[multiplier, ..., channels]`."""
    split = images.reshape(*images.shape[:-1], channels, images.shape[-1] // channels)
    return np.ascontiguousarray(np.moveaxis(split, -1, 0))


def _kernel_rows(kernel: Array, window: Window) -> Iterator[tuple[int, Array, Any, Any]]:
    """Yield `(filter, row, part, where)`: one kernel position repeated for a row of the result.

    A loop over a row of pixels costs less than one over the channels of each.
    """
    for index, single in enumerate(_filters_first(kernel, window.groups)):
        positions = single.reshape(-1, window.groups)
        for position, (part, where) in zip(positions, window.overlaps(), strict=True):
            length = where[-1].stop - where[-1].start
            yield index, np.tile(position, (length, 1)), part, where


def depthwise_output(x: Array, kernel: Array, window: Window) -> Array:
    """Convolve images with a kernel `[*spatial, 1, channels * multiplier]`."""
    channels, filters = x.shape[-1], kernel.shape[-1]
    out = np.empty((len(x), *window.outputs, filters), x.dtype)
    rows = list(_kernel_rows(kernel, window))
    for images in chunks(out, filters):
        some = x[images]
        total = np.zeros((filters // channels, len(some), *window.outputs, channels), x.dtype)
        for index, row, part, where in rows:
            total[index][where] += some[part] * row
        out[images] = np.moveaxis(total, 0, -1).reshape(out[images].shape)
    return out


def depthwise_input_gradient(g: Array, kernel: Array, window: Window) -> Array:
    """Return the gradient of the images from that of the output."""
    out = np.zeros((len(g), *window.size, window.groups), g.dtype)
    rows = list(_kernel_rows(kernel, window))
    for images in chunks(g, g.shape[-1]):
        grads, into = _filters_first(g[images], window.groups), out[images]
        for index, row, part, where in rows:
            into[part] += grads[index][where] * row
    return out


def depthwise_kernel_gradient(x: Array, g: Array, window: Window) -> Array:
    """Return the gradient of the kernel from that of the output."""
    channels, filters = x.shape[-1], g.shape[-1]
    total = np.zeros((filters // channels, math.prod(window.kernel), channels), x.dtype)
    pixels = tuple(range(x.ndim - 2))
    for images in chunks(g, filters):
        some = x[images]
        for sums, grads in zip(total, _filters_first(g[images], channels), strict=True):
            for position, (part, where) in enumerate(window.overlaps()):
                sums[position] += (some[part] * grads[where]).sum(pixels).sum(0)
    return np.moveaxis(total, 0, -1).reshape(*window.kernel, 1, filters)
