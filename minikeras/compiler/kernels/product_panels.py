"""Copy parts of the operands of a matrix product, so that its tiles read them in order."""

from minikeras.compiler.kernels.product_form import Place, Tiles
from minikeras.compiler.kernels.squares import transposed
from minikeras.compiler.native.emit import Code, Index, Value, size_of


def pack(code: Code, tiles: Tiles, place: Place, source: Value, panel: Value) -> None:
    """Copy the part of `b` at `source` to a panel; columns that do not exist hold anything."""
    count = code.sub(tiles.b.columns, code.mul(place.column, tiles.width))
    if tiles.b.row_stride == 1:
        _pack_turned(code, tiles, place, source, panel, count)
        return
    with code.loop(0, place.steps) as k:
        line = code.at(source, code.mul(k, tiles.b.row_stride), tiles.kind)
        to = code.at(panel, code.mul(k, tiles.width), tiles.kind)
        if tiles.b.column_stride == 1:
            for number in range(tiles.vectors):
                first, mask = number * tiles.lanes, None
                if tiles.b.columns % tiles.width:
                    mask = code.first_lanes(code.sub(count, first), tiles.lanes)
                code.store(code.load(line, first, tiles.kind, tiles.lanes, mask), to, first)
        else:
            with code.loop(0, code.least(count, tiles.width)) as i:
                at = code.mul(i, tiles.b.column_stride)
                code.store(code.load(line, at, tiles.kind), to, i)


def _pack_turned(
    code: Code, tiles: Tiles, place: Place, source: Value, panel: Value, count: Value
) -> None:
    """Copy squares of as many rows and columns as a vector has lanes, transposed."""
    kind, lanes, last = tiles.kind, tiles.lanes, code.sub(count, 1)
    with code.loop(0, place.steps, lanes) as k:
        mask = None
        if tiles.open_depth or tiles.a.columns % lanes:
            mask = code.first_lanes(code.sub(place.steps, k), lanes)
        with code.loop(0, tiles.vectors) as i:
            square = []
            for lane in range(lanes):
                column = code.least(code.add(code.mul(i, lanes), lane), last)
                at = code.add(code.mul(column, tiles.b.column_stride), k)
                square.append(code.load(source, at, kind, lanes, mask))
            for lane, vector in enumerate(transposed(code, square)):
                at = code.mul(code.add(k, lane), tiles.width)
                code.store(vector, panel, code.add(at, code.mul(i, lanes)))


def fetch(
    code: Code, tiles: Tiles, place: Place, source: Value, number: Index, parts: Index
) -> None:
    """Ask for part `number` of the panel at `source`, which is needed next.

    It is short pieces of many pages, which the processor does not foresee: 256x1024x4096 goes
    from 184 to 193 GFLOP/s.
    """
    share = code.div(code.sub(code.add(place.steps, parts), 1), parts)
    begin = code.mul(number, share)
    with code.loop(begin, code.least(code.add(begin, share), place.steps)) as k:
        line = code.at(source, code.mul(k, tiles.b.row_stride), tiles.kind)
        with code.loop(0, tiles.width * size_of(tiles.kind), 64) as offset:
            code.prefetch(code.at(line, offset, "uint8"))


def gather_text(tiles: Tiles) -> str:
    """Return the module of a kernel that copies `a` so that tiles read it in order.

    Its operands are `a` and the copy, its parameters those of `text`; a unit is the rows of a tile.
    """
    code, a, kind, height = Code(2), tiles.a, tiles.kind, tiles.rows
    source, copy, rows = code.operand(0), code.operand(1), code.parameter(0)
    depth: Index = code.parameter(1) if tiles.open_depth else a.columns
    blocks = code.div(code.add(rows, height - 1), height)
    with code.loop(code.begin, code.end) as unit:
        row = code.mul(code.rem(unit, blocks), height)
        base = code.at(source, code.mul(code.div(unit, blocks), a.batch_stride), kind)
        there = [code.least(code.add(row, i), code.sub(rows, 1)) for i in range(height)]
        lines = [code.at(base, code.mul(i, a.row_stride), kind) for i in there]
        to = code.at(copy, code.mul(unit, code.mul(depth, height)), kind)
        with code.loop(0, depth) as k:
            at = code.mul(k, height)
            for i, line in enumerate(lines):
                number = code.load(line, code.mul(k, a.column_stride), kind)
                code.store(number, to, code.add(at, i))
    return code.finish()
