"""Convolve each channel by itself, on arrays: the output and the gradients of input and kernel.

Products of one channel are no work for BLAS: multiply and add position by position.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minikeras.core.tensor import Array
from minikeras.ops.patches import chunks
from minikeras.ops.windows import Window


def _rows(kernel: Array, window: Window) -> Iterator[tuple[Array, Any, Any]]:
    """Yield `(row, part, where)`: one kernel position repeated for a row of the result.

    A loop over a row of pixels costs less than one over the channels of each.
    """
    positions = kernel.reshape(-1, window.groups)
    for position, (part, where) in zip(positions, window.overlaps(), strict=True):
        length = where[-1].stop - where[-1].start
        yield np.tile(position, (length, 1)), part, where


def depthwise_output(x: Array, kernel: Array, window: Window) -> Array:
    """Convolve images with a kernel `[*spatial, 1, channels]`."""
    out = np.zeros((len(x), *window.outputs, window.groups), x.dtype)
    rows = list(_rows(kernel, window))
    for images in chunks(out, window.groups):
        some, into = x[images], out[images]
        for row, part, where in rows:
            into[where] += some[part] * row
    return out


def depthwise_input_gradient(g: Array, kernel: Array, window: Window) -> Array:
    """Return the gradient of the images from that of the output."""
    out = np.zeros((len(g), *window.size, window.groups), g.dtype)
    rows = list(_rows(kernel, window))
    for images in chunks(g, window.groups):
        some, into = g[images], out[images]
        for row, part, where in rows:
            into[part] += some[where] * row
    return out


def depthwise_kernel_gradient(x: Array, g: Array, window: Window) -> Array:
    """Return the gradient of the kernel from that of the output."""
    overlaps = list(window.overlaps())
    out = np.zeros((len(overlaps), window.groups), x.dtype)
    pixels = tuple(range(x.ndim - 2))
    for images in chunks(g, window.groups):
        some, grads = x[images], g[images]
        for sums, (part, where) in zip(out, overlaps, strict=True):
            sums += (some[part] * grads[where]).sum(pixels).sum(0)
    return out.reshape(*window.kernel, 1, window.groups)
