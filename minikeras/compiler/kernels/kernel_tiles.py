"""Cut the gradient of a convolution's kernel into tiles, and its images into bands.

A tile is what stays in registers: some taps and input channels (its rows) by some vectors of
filters. The sum over pixels goes band by band, so that all tiles meet a band while it is in cache.
"""

import itertools
from typing import NamedTuple

from minikeras.compiler.native.emit import product
from minikeras.ops.windows import Window

Axes = tuple[int, ...]
"""One number for each of three axes."""


class Sweep(NamedTuple):
    """A convolution over three axes, as the gradient of its kernel sees it."""

    size: Axes
    kernel: Axes
    strides: Axes
    before: Axes
    """Zeros before the image."""
    dilation: Axes
    outputs: Axes
    groups: int
    """Groups of channels that meet each other only; 1 where each channel meets itself only."""
    channels: int
    """Input channels of one filter."""
    filters: int
    """Filters of one group."""
    pixel: int
    """Numbers from one pixel of the image to the next."""
    depthwise: bool

    @property
    def columns(self) -> int:
        """Filters of all groups."""
        return self.groups * self.filters

    @property
    def numbers(self) -> int:
        """Numbers in the kernel."""
        return product(self.kernel) * self.channels * self.columns

    def inside(self, axis: int) -> bool:
        """Whether no tap meets padding on an axis."""
        last = (self.outputs[axis] - 1) * self.strides[axis] - self.before[axis]
        last += (self.kernel[axis] - 1) * self.dilation[axis]
        return self.before[axis] == 0 and last < self.size[axis]


def sweep_of(window: Window, channels: int, filters: int) -> Sweep:
    """Return a window of one to three axes as one of three, with long axes where axes can merge."""
    lead = 3 - len(window.size)
    ones, zeros = (1,) * lead, (0,) * lead
    depthwise = window.groups == channels == filters > 1
    sweep = Sweep(
        size=(*ones, *window.size),
        kernel=(*ones, *window.kernel),
        strides=(*ones, *window.strides),
        before=(*zeros, *(low for low, _ in window.padding)),
        dilation=(*ones, *window.dilation),
        outputs=(*ones, *window.outputs),
        groups=1 if depthwise else window.groups,
        channels=channels // window.groups,
        filters=filters if depthwise else filters // window.groups,
        pixel=channels,
        depthwise=depthwise,
    )
    every = product(sweep.kernel) == 1 and sweep.size == sweep.outputs
    if every and all(map(sweep.inside, range(3))):
        pixels = (1, 1, product(sweep.size))
        return sweep._replace(size=pixels, outputs=pixels, strides=(1, 1, 1))
    if sweep.inside(2) and sweep.dilation[2] == 1 and window.groups == 1:
        # The taps of a row lie side by side, as channels do: they are channels.
        *above, taps = sweep.kernel
        return sweep._replace(kernel=(*above, 1), channels=taps * sweep.channels)
    return sweep


class Tile(NamedTuple):
    """What is summed in registers at one time: rows (taps by channels) by vectors of filters."""

    taps: Axes
    channels: int
    vectors: int
    lanes: int

    @property
    def rows(self) -> int:
        """Numbers that meet each filter."""
        return product(self.taps) * self.channels

    def counts(self, sweep: Sweep) -> tuple[int, int, Axes, int]:
        """Return how many tiles there are: over groups, filters, taps of each axis, channels."""
        depth, height, width = (
            kernel // taps for kernel, taps in zip(sweep.kernel, self.taps, strict=True)
        )
        filters = -(-sweep.filters // (self.vectors * self.lanes))
        return sweep.groups, filters, (depth, height, width), -(-sweep.channels // self.channels)

    def count(self, sweep: Sweep) -> int:
        """Return how many tiles there are in all."""
        groups, filters, taps, channels = self.counts(sweep)
        return groups * filters * product(taps) * channels

    def mixed(self, sweep: Sweep) -> tuple[bool, ...]:
        """Tell of each axis whether a tile has taps there of which some may meet padding."""
        return tuple(taps > 1 and not sweep.inside(axis) for axis, taps in enumerate(self.taps))


def _divisors(number: int) -> list[int]:
    return [each for each in range(1, number + 1) if number % each == 0]


def _cost(sweep: Sweep, tile: Tile) -> float:
    """Estimate the cycles a pixel costs all tiles: two products, two loads at a time."""
    sums = tile.rows * tile.vectors
    loads = tile.vectors + (sums if sweep.depthwise else tile.rows)
    # A sum is ready after about four cycles; a pixel's loop costs some instructions.
    cycles = max(sums / 2, loads / 2, 4, (sums + loads + 4) / 6) + 0.5 + any(tile.mixed(sweep))
    return tile.count(sweep) * cycles


def tile_of(sweep: Sweep, lanes: int, registers: int) -> Tile:
    """Choose the tile that costs least of those that fit into the registers."""
    *_, height, width = sweep.kernel
    boxes = [(1, 1, taps) for taps in _divisors(width)]
    boxes += [(1, taps, width) for taps in _divisors(height)]
    most = -(-sweep.filters // lanes)
    tiles = [
        Tile(box, channels, vectors, lanes)
        for box, vectors in itertools.product(boxes, range(1, min(most, registers) + 1))
        for channels in range(1, min(sweep.channels, registers) + 1)
        if (product(box) * channels + 1) * vectors + (not sweep.depthwise) <= registers
    ]
    return min(tiles, key=lambda tile: _cost(sweep, tile))


class Band(NamedTuple):
    """How much all tiles sum before the next part of the batch: images, planes, rows."""

    images: int
    planes: int
    rows: int


def band_of(sweep: Sweep, item: int, cache: int) -> Band:
    """Choose bands that fit into so many bytes of cache, with pixels enough to pay for a tile."""
    (planes, rows, width), enough = sweep.outputs, 128
    if not planes * rows * width:
        return Band(1, 1, 1)
    across = sweep.size[2] * sweep.pixel * sweep.strides[1]
    row = (across + width * sweep.columns) * item
    fits = max(cache // max(row, 1), -(-enough // width), 1)
    if fits < rows:
        parts = -(-rows // fits)
        return Band(1, 1, -(-rows // parts))
    fits //= rows
    if fits < planes:
        parts = -(-planes // fits)
        return Band(1, -(-planes // parts), rows)
    images = min(fits // planes, -(-enough // (planes * rows * width)))
    return Band(max(images, 1), planes, rows)
