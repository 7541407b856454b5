"""Write the kernel that sums tiles of a convolution's kernel gradient over bands of pixels."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from minikeras.compiler.kernels.kernel_places import Place, Places, most
from minikeras.compiler.kernels.kernel_tiles import Band, Sweep, Tile
from minikeras.compiler.native.emit import Cell, Code, Index, Value


class _Part(NamedTuple):
    """A band of outputs: images from `image` on, planes and rows from the first to the second."""

    image: Index
    images: Index
    planes: tuple[Index, Index]
    rows: tuple[Index, Index]


class Writer:
    """Write the kernel of one sweep. Units are the tiles of one part of the batch after the other.

    Operands are x, g, out; parameters are the number of images, and that of a part.
    """

    def __init__(self, sweep: Sweep, tile: Tile, band: Band, kind: str) -> None:
        self._code = Code(3)
        self._sweep, self._tile, self._band, self._kind = sweep, tile, band, kind
        self._places = Places(self._code, sweep, tile)

    def text(self) -> str:
        """Return the module."""
        code, sweep, tiles = self._code, self._sweep, self._tile.count(self._sweep)
        self._x, self._g, out = (code.operand(number) for number in range(3))
        batch, length = code.parameter(0), code.parameter(1)
        if any(self._tile.mixed(sweep)):
            self._make_zeros()
        stop = code.div(code.add(code.end, tiles - 1), tiles)
        with code.loop(code.div(code.begin, tiles), stop) as part:
            before = code.mul(part, tiles)
            share: tuple[Index, Index] = (0, 1)
            if tiles > 1:
                start = most(code, code.sub(code.begin, before), 0)
                share = start, code.least(code.sub(code.end, before), tiles)
            self._out = code.at(out, code.mul(part, sweep.numbers), self._kind)
            with code.loop(*share) as number:
                self._clear(self._places.place(number))
            image = code.mul(part, length)
            bands = self._bands(image, code.least(code.add(image, length), batch))
            with bands as band, code.loop(*share) as number:
                self._add_band(self._places.place(number), band)
        return code.finish()

    @contextlib.contextmanager
    def _bands(self, image: Index, stop: Index) -> Iterator[_Part]:
        """Go through the images from `image` up to below `stop` band by band."""
        code, (images, planes, rows) = self._code, self._band
        depth, height, _ = self._sweep.outputs
        with (
            code.loop(image, stop, images) as n,
            code.loop(0, depth, planes) as d,
            code.loop(0, height, rows) as h,
        ):
            count = 1 if images == 1 else code.least(code.sub(stop, n), images)
            last_plane, last_row = code.add(d, planes), code.add(h, rows)
            yield _Part(
                n,
                count,
                (d, code.least(last_plane, depth)),
                (h, code.least(last_row, height)),
            )

    def _clear(self, place: Place) -> None:
        """Set a tile of the result to 0."""
        code, tile = self._code, self._tile
        zero = code.constant(0, self._kind, tile.lanes)
        for sums in place.sums:
            pointer = code.at(self._out, sums, self._kind)
            with code.loop(place.skip, tile.channels) as channel:
                start = code.mul(channel, self._sweep.columns)
                for vector, mask in enumerate(place.masks):
                    code.store(zero, pointer, code.add(start, vector * tile.lanes), mask)

    def _add_band(self, place: Place, band: _Part) -> None:
        """Sum a tile over a band in registers, and add that to the result."""
        code, tile, sweep = self._code, self._tile, self._sweep
        sums = self._new_sums(tile.rows * tile.vectors)
        planes, rows = self._places.range(place, 0), self._places.range(place, 1)
        first = most(code, band.planes[0], planes[0]), most(code, band.rows[0], rows[0])
        stop = code.least(band.planes[1], planes[1]), code.least(band.rows[1], rows[1])
        with (
            code.loop(0, band.images) as i,
            code.loop(first[0], stop[0]) as d,
            code.loop(first[1], stop[1]) as h,
        ):
            n = code.add(band.image, i)
            x = code.add(code.mul(n, sweep.size[0] * self._places.across[0]), place.x)
            for axis, index in enumerate((d, h)):
                x = code.add(x, code.mul(index, sweep.strides[axis] * self._places.across[axis]))
            self._add_row(
                place, sums, code.at(self._x, x, self._kind), self._row(place, n, d, h), h
            )
        self._store(place, sums)

    def _new_sums(self, count: int) -> list[Cell]:
        zero = self._code.constant(0, self._kind, self._tile.lanes)
        return [self._code.cell(self._kind, self._tile.lanes, zero) for _ in range(count)]

    def _row(self, place: Place, n: Index, d: Index, h: Index) -> Value:
        """Return where the gradients of a row of outputs begin."""
        code, sweep = self._code, self._sweep
        depth, height, width = sweep.outputs
        row = code.add(code.mul(code.add(code.mul(n, depth), d), height), h)
        start = code.add(code.mul(row, width * sweep.columns), place.column)
        return code.at(self._g, start, self._kind)

    def _store(self, place: Place, sums: list[Cell]) -> None:
        """Add the sums in registers to those in memory, but what belongs to the tile before."""
        code, tile = self._code, self._tile
        shared = -self._sweep.channels % tile.channels
        alone = code.compare("eq", place.skip, 0) if shared else None
        for tap, start in enumerate(place.sums):
            pointer, at = code.at(self._out, start, self._kind), tap * tile.channels
            for channels, condition in (
                (range(shared), alone),
                (range(shared, tile.channels), None),
            ):
                with _when(code, condition):
                    for channel in channels:
                        some = sums[(at + channel) * tile.vectors :][: tile.vectors]
                        start = channel * self._sweep.columns
                        self._add(some, pointer, start, place.masks)

    def _add(
        self, sums: list[Cell], pointer: Value, start: Index, masks: list[Value | None]
    ) -> None:
        code, lanes = self._code, self._tile.lanes
        for vector, (cell, mask) in enumerate(zip(sums, masks, strict=True)):
            at = code.add(start, vector * lanes)
            old = code.load(pointer, at, self._kind, lanes, mask)
            code.store(code.add(old, cell.get()), pointer, at, mask)

    def _add_row(self, place: Place, sums: list[Cell], x: Value, g: Value, h: Index) -> None:
        """Sum a row of outputs; where some taps meet padding, those take zeros."""
        code, sweep, tile = self._code, self._sweep, self._tile
        step, (first, stop) = sweep.strides[2] * sweep.pixel, self._places.range(place, 2)
        walk_x = code.cell("ptr", 1, code.at(x, code.mul(first, step), self._kind))
        walk_g = code.cell("ptr", 1, code.at(g, code.mul(first, sweep.columns), self._kind))
        with code.loop(first, stop) as w:
            at_x, at_g = (_opaque(code, walk.get()) for walk in (walk_x, walk_g))
            walk_x.set(code.at(at_x, step, self._kind))
            walk_g.set(code.at(at_g, sweep.columns, self._kind))
            grads = [
                code.load(at_g, vector * tile.lanes, self._kind, tile.lanes, mask)
                for vector, mask in enumerate(place.masks)
            ]
            mixed = [(axis, at) for axis, at in ((1, h), (2, w)) if tile.mixed(sweep)[axis]]
            if not mixed:
                self._add_pixel(place, sums, at_x, grads, {})
                return
            meets = {
                (axis, tap): _between(code, at, *self._places.reach(place, axis, tap))
                for axis, at in mixed
                for tap in range(tile.taps[axis])
            }
            ends = [meets[axis, tap] for axis, _ in mixed for tap in (0, tile.taps[axis] - 1)]
            inside = ends[0]
            for more in ends[1:]:
                inside = code.bitwise("and", inside, more)
            with code.when(inside):
                self._add_pixel(place, sums, at_x, grads, {})
            with code.when(code.bitwise("xor", inside, code.constant(True, "bool"))):
                self._add_pixel(place, sums, at_x, grads, meets)

    def _add_pixel(
        self,
        place: Place,
        sums: list[Cell],
        x: Value,
        grads: list[Value],
        meets: dict[tuple[int, int], Value],
    ) -> None:
        """Add the products of one output; `meets` tells of taps whether they meet the image."""
        code, tile, sweep = self._code, self._tile, self._sweep
        _, height, width = tile.taps
        cells = iter(sums)
        for tap in range(height * width):
            down, right = divmod(tap, width)
            start = down * sweep.dilation[1] * self._places.across[1]
            start += right * sweep.dilation[2] * self._places.across[2]
            pointer = code.at(x, start, self._kind)
            for key in ((1, down), (2, right)):
                if key in meets:
                    pointer = code.select(meets[key], pointer, self._zeros)
            for channel in range(tile.channels):
                for value, grad in zip(self._inputs(place, pointer, channel), grads, strict=True):
                    cell = next(cells)
                    cell.set(code.fma(value, grad, cell.get()))

    def _inputs(self, place: Place, pointer: Value, channel: int) -> list[Value]:
        """Load what meets the vectors of filters: one input for all, or each its own."""
        code, tile, kind = self._code, self._tile, self._kind
        if self._sweep.depthwise:
            return [
                code.load(pointer, vector * tile.lanes, kind, tile.lanes, mask)
                for vector, mask in enumerate(place.masks)
            ]
        return [code.splat(code.load(pointer, channel, kind), tile.lanes)] * tile.vectors

    def _make_zeros(self) -> None:
        """Make what taps read that meet padding."""
        code, tile = self._code, self._tile
        count = tile.vectors * tile.lanes if self._sweep.depthwise else tile.channels
        self._zeros = code.scratch(self._kind, count)
        with code.loop(0, count) as place:
            code.store(code.constant(0, self._kind), self._zeros, place)


def _between(code: Code, index: Index, first: Index, stop: Index) -> Value:
    """Return whether an index lies between two."""
    return code.bitwise("and", code.compare("ge", index, first), code.compare("lt", index, stop))


def _opaque(code: Code, pointer: Value) -> Value:
    """Return a pointer of which LLVM does not know how a loop moves it.

    Its loop strength reduction takes up to half the time to compile, and made addresses worse.
    """
    return code.op(f'call ptr asm "", "=r,0"({pointer})', "ptr")


def _when(code: Code, condition: Value | None) -> contextlib.AbstractContextManager[None]:
    """Run if the condition holds; always if there is none."""
    return contextlib.nullcontext() if condition is None else code.when(condition)
