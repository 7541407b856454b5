"""Say, in code, where a tile of a convolution's kernel gradient lies and which outputs it meets."""

from typing import NamedTuple

from minikeras.compiler.kernels.kernel_tiles import Sweep, Tile
from minikeras.compiler.native.emit import Code, Index, Value, product


class Place(NamedTuple):
    """Where the tile at hand lies."""

    x: Index
    """Its first tap and channel, counted from the place that the first output meets."""
    taps: tuple[Index, ...]
    """Its first tap on each axis."""
    skip: Index
    """Channels at its start that belong to the tile before."""
    column: Index
    masks: list[Value | None]
    """Which filters there are, for each vector."""
    sums: list[Index]
    """Where its sums lie in the result, for each tap."""


class Places:
    """Write where tiles lie."""

    def __init__(self, code: Code, sweep: Sweep, tile: Tile) -> None:
        self._code, self._sweep, self._tile = code, sweep, tile
        plane = sweep.size[2] * sweep.pixel
        self.across = (sweep.size[1] * plane, plane, sweep.pixel)
        """Numbers from one place of the image to the next on each axis."""

    def place(self, number: Index) -> Place:
        """Find the tile of a number: channels run fastest, then taps, filters, groups."""
        code, tile, sweep = self._code, self._tile, self._sweep
        _, blocks, taps, depth = tile.counts(sweep)
        channel, skip = code.mul(code.rem(number, depth), tile.channels), 0
        if sweep.channels % tile.channels:
            begin = channel
            channel = code.least(begin, sweep.channels - tile.channels)
            skip = code.sub(begin, channel)
        number = code.div(number, depth)
        first: list[Index] = []
        for count, width in reversed([*zip(taps, tile.taps, strict=True)]):
            first.insert(0, code.mul(code.rem(number, count), width))
            number = code.div(number, count)
        width = tile.vectors * tile.lanes
        filter, group = code.mul(code.rem(number, blocks), width), code.div(number, blocks)
        if sweep.groups == 1:
            group = 0
        column = code.add(code.mul(group, sweep.filters), filter)
        x = column if sweep.depthwise else code.add(code.mul(group, sweep.channels), channel)
        for axis, tap in enumerate(first):
            x = code.add(x, code.mul(self._offset(tap, axis), self.across[axis]))
        sums = [self._sum(first, tap, channel, column) for tap in range(product(tile.taps))]
        return Place(x, tuple(first), skip, column, self._masks(filter), sums)

    def _masks(self, filter: Index) -> list[Value | None]:
        code, tile, filters = self._code, self._tile, self._sweep.filters
        starts = range(0, tile.vectors * tile.lanes, tile.lanes)
        if filters % (tile.vectors * tile.lanes) == 0:
            return [None for _ in starts]
        return [
            None
            if isinstance(filter, int) and filter + start + tile.lanes <= filters
            else code.first_lanes(code.sub(filters - start, filter), tile.lanes)
            for start in starts
        ]

    def _offset(self, tap: Index, axis: int) -> Index:
        """Return where on an axis of the image the first output meets a tap."""
        sweep = self._sweep
        offset: Index = self._code.sub(
            self._code.mul(tap, sweep.dilation[axis]), sweep.before[axis]
        )
        return offset

    def _sum(self, first: list[Index], tap: int, channel: Index, column: Index) -> Index:
        """Return where in the result the sums of one of a tile's taps begin."""
        code, sweep = self._code, self._sweep
        row: Index = 0
        _, height, width = self._tile.taps
        for axis, more in enumerate((0, tap // width % height, tap % width)):
            row = code.add(code.mul(row, sweep.kernel[axis]), code.add(first[axis], more))
        row = code.add(code.mul(row, sweep.channels), channel)
        start: Index = code.add(code.mul(row, sweep.columns), column)
        return start

    def reach(self, place: Place, axis: int, tap: int) -> tuple[Index, Index]:
        """Return between which outputs one of the tile's taps meets the image."""
        code, sweep = self._code, self._sweep
        if sweep.inside(axis):
            return 0, sweep.outputs[axis]
        stride = sweep.strides[axis]
        offset = code.add(self._offset(place.taps[axis], axis), tap * sweep.dilation[axis])
        first = code.div(most(code, code.sub(stride - 1, offset), 0), stride)
        room = most(code, code.sub(sweep.size[axis] - 1 + stride, offset), 0)
        return first, code.least(code.div(room, stride), sweep.outputs[axis])

    def range(self, place: Place, axis: int) -> tuple[Index, Index]:
        """Return between which outputs any of the tile's taps meets the image."""
        first, _ = self.reach(place, axis, self._tile.taps[axis] - 1)
        _, stop = self.reach(place, axis, 0)
        return first, stop


def most(code: Code, a: Index, b: Index) -> Index:
    """Return the larger of two indices."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return code.select(code.compare("gt", a, b), code.index(a), code.index(b))
