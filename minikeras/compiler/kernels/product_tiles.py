"""Write the kernels of matrix products: tiles of the result that stay in registers.

The result is cut into tiles of `rows` by `width` numbers, and a unit of work is one tile. Tiles
are numbered matrix by matrix, in each by slabs of `slab` rows of tiles, in a slab column by
column, so that what a thread does one after the other shares a column of `b` and rows of `a` that
are still in the caches.

A depth too long for the caches is cut into runs of `run` steps. Partial sums then lie in a buffer
of the result's shape. A panel, the part of `b` for one column of tiles and one run, may be copied
to the stack of the thread, in the order in which it is read.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence

from minikeras.compiler.kernels.product_form import Epilogue, Place, Tiles
from minikeras.compiler.kernels.product_panels import fetch, pack
from minikeras.compiler.native.emit import Cell, Code, Index, Value

_Visit = Callable[[Value, int, Cell, Value | None], None]


def text(tiles: Tiles, epilogue: Epilogue | None) -> str:
    """Return the module of a kernel.

    Its operands are a, b, then without epilogue the result, else the partial sums if the depth is
    cut, and the operands of the epilogue; its parameters the rows of a matrix, and an open depth.
    """
    return _Writer(tiles, epilogue).text()


class _Writer:
    """The code of one kernel as it is written."""

    def __init__(self, tiles: Tiles, epilogue: Epilogue | None) -> None:
        own = 3 if tiles.run or not epilogue else 2
        others = len(epilogue.operands) if epilogue else 0
        self.tiles, self.epilogue = tiles, epilogue
        self.code = code = Code(own + others)
        self.a, self.b = code.operand(0), code.operand(1)
        if own == 3:
            self.out = code.operand(2)
        self.rows = code.parameter(0)
        self.depth: Index = code.parameter(1) if tiles.open_depth else tiles.a.columns
        if epilogue:
            epilogue.prepare(code, [code.operand(own + i) for i in range(others)])
            self.tile = code.scratch(tiles.kind, tiles.rows * tiles.width)
        if tiles.packed:
            steps = tiles.run or -(-tiles.a.columns // tiles.lanes) * tiles.lanes
            self.panel = code.scratch(tiles.kind, steps * tiles.width)

    def text(self) -> str:
        code, tiles = self.code, self.tiles
        blocks = code.div(code.add(self.rows, tiles.rows - 1), tiles.rows)
        with code.when(code.compare("lt", code.begin, code.end)):
            if not tiles.batched:
                self._matrix(0, blocks, code.begin, code.end)
            else:
                each = code.mul(blocks, tiles.columns)
                with self._parts(each, code.begin, code.end) as (batch, low, high):
                    self._matrix(batch, blocks, low, high)
        return code.finish()

    @contextlib.contextmanager
    def _parts(self, each: Index, begin: Value, end: Value) -> Iterator[tuple[Index, Value, Value]]:
        """Go over the pieces of `each` units that units from `begin` to `end` touch.

        Returns the number of the piece, and the first unit in it and the one after the last.
        """
        code = self.code
        stop = code.add(code.div(code.sub(end, 1), each), 1)
        with code.loop(code.div(begin, each), stop) as number:
            before = code.mul(number, each)
            low = code.select(
                code.compare("lt", begin, before), code.index(0), code.sub(begin, before)
            )
            yield number, low, code.least(code.sub(end, before), each)

    def _matrix(self, batch: Index, blocks: Value, begin: Value, end: Value) -> None:
        code, tiles = self.code, self.tiles
        if not tiles.slab:
            self._slab(batch, 0, blocks, begin, end)
            return
        with self._parts(tiles.slab * tiles.columns, begin, end) as (number, low, high):
            first = code.mul(number, tiles.slab)
            height = code.least(code.sub(blocks, first), tiles.slab)
            self._slab(batch, first, height, low, high)

    def _slab(self, batch: Index, first: Index, height: Value, begin: Value, end: Value) -> None:
        code, tiles = self.code, self.tiles
        if not tiles.run:
            self._columns(batch, 0, self.depth, first, height, begin, end)
            return
        with code.loop(0, self.depth, tiles.run) as start:
            steps = code.least(code.sub(self.depth, start), tiles.run)
            self._columns(batch, start, steps, first, height, begin, end)

    def _columns(
        self,
        batch: Index,
        start: Index,
        steps: Index,
        first: Index,
        height: Value,
        begin: Value,
        end: Value,
    ) -> None:
        code = self.code
        with self._parts(height, begin, end) as (column, low, high):
            place = Place(batch, column, start, steps)
            if self.tiles.packed:
                pack(code, self.tiles, place, self._source(place), self.panel)
            with code.loop(low, high) as block:
                row = code.mul(code.add(first, block), self.tiles.rows)
                if self.tiles.ahead:
                    following = self._source(place._replace(column=code.add(column, 1)))
                    number, parts = code.sub(block, low), code.sub(high, low)
                    fetch(code, self.tiles, place, following, number, parts)
                self._sum(place, row)
                if self.epilogue:
                    self._finish(self.epilogue, place, row)

    # -- sums ----------------------------------------------------------------------------------

    def _sum(self, place: Place, row: Index) -> None:
        """Compute a tile."""
        code, tiles = self.code, self.tiles
        body = self._dots if tiles.dots else self._broadcasts
        different = tiles.last != tiles.vectors or tiles.masked
        if tiles.columns == 1 or not different:
            body(place, row, tiles.last, different)
            return
        with code.when(code.compare("lt", place.column, tiles.columns - 1)):
            body(place, row, tiles.vectors, False)
        with code.when(code.compare("eq", place.column, tiles.columns - 1)):
            body(place, row, tiles.last, True)

    def _row_pointers(self, place: Place, row: Index) -> list[Value]:
        """Return where the rows of `a` begin; rows that do not exist repeat the last one."""
        code, a = self.code, self.tiles.a
        if self.tiles.gathered:
            return self._gathered_rows(place, row)
        base = code.at(self.a, code.mul(place.batch, a.batch_stride), self.tiles.kind)
        base = code.at(base, code.mul(place.start, a.column_stride), self.tiles.kind)
        end = code.sub(self.rows, 1)
        rows = [row, *(code.least(code.add(row, i), end) for i in range(1, self.tiles.rows))]
        return [code.at(base, code.mul(i, a.row_stride), self.tiles.kind) for i in rows]

    def _gathered_rows(self, place: Place, row: Index) -> list[Value]:
        code, tiles = self.code, self.tiles
        height = code.mul(code.div(code.add(self.rows, tiles.rows - 1), tiles.rows), tiles.rows)
        line = code.mul(code.add(code.mul(place.batch, height), row), self.depth)
        at = code.add(line, code.mul(place.start, tiles.rows))
        base = code.at(self.a, at, tiles.kind)
        return [code.at(base, i, tiles.kind) for i in range(tiles.rows)]

    def _source(self, place: Place) -> Value:
        """Return where the part of `b` begins that this column of tiles needs."""
        code, b, kind = self.code, self.tiles.b, self.tiles.kind
        base = code.at(self.b, code.mul(place.batch, b.batch_stride), kind)
        base = code.at(base, code.mul(place.start, b.row_stride), kind)
        return code.at(base, self._first_column(place, b.column_stride), kind)

    def _first_column(self, place: Place, stride: int = 1) -> Index:
        column: Index = self.code.mul(place.column, self.tiles.width * stride)
        return column

    def _cells(self, count: int) -> list[list[list[Cell]]]:
        """Return zeros for each of the sums side by side, each row, each of `count` vectors."""
        code, tiles = self.code, self.tiles
        zero = code.constant(0, tiles.kind, tiles.lanes)
        return [
            [[code.cell(tiles.kind, tiles.lanes, zero) for _ in range(count)] for _ in range(rows)]
            for rows in [tiles.rows] * tiles.sums
        ]

    def _broadcasts(self, place: Place, row: Index, count: int, last: bool) -> None:
        """Sum numbers of `a`, one at a time, times vectors along the columns of `b`."""
        code, tiles = self.code, self.tiles
        kind, lanes = tiles.kind, tiles.lanes
        rows = self._row_pointers(place, row)
        source, stride, mask = self._source(place), tiles.b.row_stride, None
        if last and tiles.masked:
            mask = code.first_lanes(tiles.b.columns % lanes, lanes)
        if tiles.packed:
            source, stride = self.panel, tiles.width
        sums = self._cells(count)
        next_step = tiles.rows if tiles.gathered else tiles.a.column_stride

        def step(k: Index, cells: list[list[Cell]]) -> None:
            line = code.at(source, code.mul(k, stride), kind)
            masks = [None] * (count - 1) + [None if tiles.packed else mask]
            vectors = [code.load(line, i * lanes, kind, lanes, masks[i]) for i in range(count)]
            for pointer, accumulators in zip(rows, cells, strict=True):
                number = code.load(pointer, code.mul(k, next_step), kind)
                broadcast = code.splat(number, lanes)
                for vector, cell in zip(vectors, accumulators, strict=True):
                    cell.set(code.fma(broadcast, vector, cell.get()))

        whole = code.sub(place.steps, code.rem(place.steps, tiles.sums))
        with code.loop(0, whole, tiles.sums) as k:
            for i, cells in enumerate(sums):
                step(code.add(k, i), cells)
        if tiles.sums > 1:
            with code.loop(whole, place.steps) as k:
                step(k, sums[0])
        self._leave(place, row, sums, mask)

    def _dots(self, place: Place, row: Index, count: int, last: bool) -> None:
        """Sum vectors along the depth of both, and then the lanes."""
        code, tiles = self.code, self.tiles
        kind, lanes = tiles.kind, tiles.lanes
        rows, source = self._row_pointers(place, row), self._source(place)
        columns = [code.at(source, i * tiles.b.column_stride, kind) for i in range(count)]
        sums = self._cells(count)

        def step(k: Index, cells: list[list[Cell]], mask: Value | None = None) -> None:
            right = [code.load(pointer, k, kind, lanes, mask) for pointer in columns]
            for pointer, accumulators in zip(rows, cells, strict=True):
                left = code.load(pointer, k, kind, lanes, mask)
                for vector, cell in zip(right, accumulators, strict=True):
                    cell.set(code.fma(left, vector, cell.get()))

        stride = lanes * tiles.sums
        whole = code.sub(place.steps, code.rem(place.steps, stride))
        with code.loop(0, whole, stride) as k:
            for i, cells in enumerate(sums):
                step(code.add(k, i * lanes), cells)
        if tiles.open_depth or tiles.a.columns % stride:
            with code.loop(whole, place.steps, lanes) as k:
                step(k, sums[0], code.first_lanes(code.sub(place.steps, k), lanes))
        self._leave(place, row, sums, None)

    # -- what is done with a tile --------------------------------------------------------------

    def _leave(
        self, place: Place, row: Index, sums: list[list[list[Cell]]], mask: Value | None
    ) -> None:
        """Add up sums and those of earlier runs, and store them.

        Rows that do not exist are the same as the last one, and may be stored there once more.
        """
        code, tiles = self.code, self.tiles
        totals = [
            [self._total(cells) for cells in zip(*rows, strict=True)]
            for rows in zip(*sums, strict=True)
        ]
        if self.epilogue and not tiles.run:
            self._leave_for_epilogue(totals)
            return
        end, first = code.sub(self.rows, 1), self._first_column(place)
        base = code.mul(place.batch, self.rows)
        lines = []
        for i in range(tiles.rows):
            at = code.add(base, code.least(code.add(row, i), end) if i else row)
            lines.append(
                code.at(self.out, code.add(code.mul(at, tiles.b.columns), first), tiles.kind)
            )
        if tiles.run:
            with code.when(code.compare("gt", place.start, 0)):
                self._for_each(lines, totals, mask, self._add_earlier)
        if not self.epilogue:
            self._for_each(lines, totals, mask, self._store)
            return
        finished = code.compare("ge", code.add(place.start, place.steps), self.depth)
        with code.when(finished):
            self._leave_for_epilogue(totals)
        with code.when(code.bitwise("xor", finished, code.constant(True, "bool"))):
            self._for_each(lines, totals, mask, self._store)

    def _total(self, cells: Sequence[Cell]) -> Cell:
        code, values = self.code, [cell.get() for cell in cells]
        while len(values) > 1:
            odd = values[len(values) & ~1 :]
            values = [*map(code.add, values[::2], values[1::2]), *odd]
        value = code.reduce("add", values[0]) if self.tiles.dots else values[0]
        return code.cell(value.kind, value.lanes, value)

    def _for_each(
        self, lines: list[Value], totals: list[list[Cell]], mask: Value | None, do: _Visit
    ) -> None:
        for line, cells in zip(lines, totals, strict=True):
            for j, cell in enumerate(cells):
                here = mask if j == len(cells) - 1 else None
                do(line, j * cell.lanes, cell, here)

    def _add_earlier(self, line: Value, at: int, cell: Cell, mask: Value | None) -> None:
        before = self.code.load(line, at, cell.kind, cell.lanes, mask)
        cell.set(self.code.add(before, cell.get()))

    def _store(self, line: Value, at: int, cell: Cell, mask: Value | None) -> None:
        self.code.store(cell.get(), line, at, mask)

    def _leave_for_epilogue(self, totals: list[list[Cell]]) -> None:
        for i, cells in enumerate(totals):
            for j, cell in enumerate(cells):
                self.code.store(cell.get(), self.tile, (i * self.tiles.vectors + j) * cell.lanes)

    def _finish(self, epilogue: Epilogue, place: Place, row: Index) -> None:
        """Hand the numbers of a tile to the epilogue, after the last run."""
        if not self.tiles.run:
            self._hand_on(epilogue, place, row)
            return
        end = self.code.add(place.start, place.steps)
        with self.code.when(self.code.compare("ge", end, self.depth)):
            self._hand_on(epilogue, place, row)

    def _hand_on(self, epilogue: Epilogue, place: Place, row: Index) -> None:
        code, tiles = self.code, self.tiles
        first, lanes = self._first_column(place), tiles.finished
        count: Index = tiles.vectors
        if tiles.last != tiles.vectors:
            more = code.compare("lt", place.column, tiles.columns - 1)
            count = code.select(more, code.index(tiles.vectors), code.index(tiles.last))
        with code.loop(0, code.least(code.sub(self.rows, row), tiles.rows)) as i:
            at = code.add(code.add(row, i), code.mul(place.batch, self.rows))
            with code.loop(0, count) as j:
                number = code.add(code.mul(i, tiles.vectors), j)
                value = code.load(self.tile, code.mul(number, lanes), tiles.kind, lanes)
                column = code.add(first, code.mul(j, lanes))
                mask = None
                if tiles.masked:
                    mask = code.first_lanes(code.sub(tiles.b.columns, column), lanes)
                epilogue.finish(code, value, at, column, mask)
