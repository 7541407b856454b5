"""Slide windows over images: what convolution and pooling share.

Inside, images are `[batch, *spatial, channels]`, with one to three spatial axes.
"""

import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from minikeras import config
from minikeras.core.tensor import Array
from minikeras.ops.shaping import transpose


class Window(NamedTuple):
    """How a kernel or a pool slides over an image; one number, or pair, per spatial axis."""

    size: tuple[int, ...]
    """Lengths of the image."""
    kernel: tuple[int, ...]
    """Lengths of the kernel."""
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    """Zeros before and after the image."""
    dilation: tuple[int, ...]
    groups: int = 1

    @property
    def spans(self) -> tuple[int, ...]:
        """How much of the image the kernel covers, gaps included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Lengths of the result."""
        return tuple(
            (n + lo + hi - span) // stride + 1
            for n, (lo, hi), span, stride in zip(
                self.size, self.padding, self.spans, self.strides, strict=True
            )
        )

    def overlap(self, axis: int, position: int) -> tuple[slice, slice]:
        """Return the part of the image that one kernel position meets, and where it does.

        `image[part]` and `outputs[where]` are equally long: what would meet padding is left out.
        """
        stride = self.strides[axis]
        offset = position * self.dilation[axis] - self.padding[axis][0]
        first = max(0, -(offset // stride))
        stop = min(self.outputs[axis], (self.size[axis] - 1 - offset) // stride + 1)
        if stop <= first:
            return slice(0, 0), slice(0, 0)
        start = first * stride + offset
        return slice(start, start + (stop - first - 1) * stride + 1, stride), slice(first, stop)

    def overlaps(self) -> Iterator[tuple[Any, Any]]:
        """Yield, for every kernel position in row-major order, an image's and an output's index."""
        axes = [
            [self.overlap(axis, position) for position in range(length)]
            for axis, length in enumerate(self.kernel)
        ]
        for pairs in itertools.product(*axes):
            parts, wheres = zip(*pairs, strict=True)
            yield (slice(None), *parts), (slice(None), *wheres)


# ---- arguments -----------------------------------------------------------------------------------


def per_axis(who: str, name: str, value: Any, rank: int, least: int = 1) -> tuple[int, ...]:
    """Return an int or a sequence of them as one int per spatial axis."""
    values = value if isinstance(value, (tuple, list)) else (value,) * rank
    try:
        numbers = tuple(map(operator.index, values))
    except TypeError:
        numbers = ()
    if len(numbers) != rank or min(numbers) < least:
        raise ValueError(
            f"{who}: expected {name} as an integer >= {least} or {rank} of them, one per spatial "
            f"axis, got {value!r}."
        )
    return numbers


def sliding(
    who: str,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: Any,
    padding: str,
    dilation: Any = 1,
    groups: int = 1,
) -> Window:
    """Return the Window that Keras' arguments mean: padding `"same"` is by TensorFlow's rule.

    Raises `ValueError` for others, and where `"valid"` leaves no room for the kernel.
    """
    rank = len(size)
    strides = per_axis(who, "strides", strides, rank)
    dilation = per_axis(who, "dilation_rate", dilation, rank)
    window = Window(size, kernel, strides, ((0, 0),) * rank, dilation, groups)
    if is_same(who, padding):
        # The result has ceil(n / stride) places; an odd zero goes to the end.
        totals = [
            max((-(-n // stride) - 1) * stride + span - n, 0)
            for n, stride, span in zip(size, strides, window.spans, strict=True)
        ]
        return window._replace(padding=tuple((total // 2, total - total // 2) for total in totals))
    if any(n < span for n, span in zip(size, window.spans, strict=True)):
        raise ValueError(
            f"{who}: expected an image at least as long as the window on every spatial axis, got "
            f"{size} and a window of {window.spans}, which leaves an empty result. "
            "Use padding='same', a smaller window or larger images."
        )
    return window


def is_same(who: str, padding: str) -> bool:
    """Tell `"same"` from `"valid"`, in capitals too; raise `ValueError` for anything else."""
    word = padding.lower() if isinstance(padding, str) else padding
    if word not in ("valid", "same"):
        raise ValueError(f"{who}: expected padding 'valid' or 'same', got {padding!r}.")
    return word == "same"


def channels_last(who: str, x: Any, data_format: str | None) -> tuple[Any, Callable[[Any], Any]]:
    """Return images with channels last, and a function that brings a result back to the format."""
    rank = len(x.shape)
    if not 3 <= rank <= 5:
        raise ValueError(
            f"{who}: expected inputs of rank 3, 4 or 5 (batch, one to three spatial axes, "
            f"channels), got shape {tuple(x.shape)}. Add the missing axes with ops.expand_dims."
        )
    if config.standardize_data_format(data_format) == "channels_last":
        return x, lambda y: y
    back = (0, rank - 1, *range(1, rank - 1))
    return transpose(x, (0, *range(2, rank), 1)), lambda y: transpose(y, back)


def expect_shape(what: str, got: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise `ValueError` unless a primitive's input has the shape that its window wants."""
    if tuple(got) != expected:
        raise ValueError(f"expected {what} of shape {expected}, got {tuple(got)}.")


# ---- padding -------------------------------------------------------------------------------------


def padded(x: Array, padding: tuple[tuple[int, int], ...], value: float = 0) -> Array:
    """Return `x` with its spatial axes padded, itself if there is nothing to pad."""
    if not any(map(any, padding)):
        return x
    lengths = [lo + n + hi for (lo, hi), n in zip(padding, x.shape[1:-1], strict=True)]
    out = np.full((x.shape[0], *lengths, x.shape[-1]), value, x.dtype)
    inner = (slice(lo, lo + n) for (lo, _), n in zip(padding, x.shape[1:-1], strict=True))
    out[(slice(None), *inner)] = x
    return out
