"""Write loops over rows: sweep after sweep over the columns, with reductions between them."""

from collections.abc import Sequence

from minikeras.compiler.fusion.views import size
from minikeras.compiler.loops.body import (
    Body,
    Layout,
    Spot,
    folds,
    kernel_of,
    kind_of,
    lanes_of,
    over_vectors,
)
from minikeras.compiler.loops.folds import accumulate, accumulator, folded
from minikeras.compiler.loops.geometry import coordinates
from minikeras.compiler.native.emit import Cell, Code, Index, Value
from minikeras.compiler.native.program import Step
from minikeras.core.basic import numpy_dtype
from minikeras.core.dispatch import Node

# Two vectors hold the rows of most classifiers: all sweeps over them then are in registers.
_VECTORS_IN_REGISTERS = 2
_STACK = 48 * 1024


class _Rows:
    """Write the sweeps over one row."""

    def __init__(self, body: Body, layout: Layout, lanes: int) -> None:
        self.body, self.layout, self.lanes = body, layout, lanes
        self.level: dict[int, int] = {}
        """The sweep in which a tensor can be computed first; row tensors before that sweep."""
        for node in body.nodes:
            levels = [self.level.get(body.views.of(x).source.key, 0) for x in node.inputs]
            found = max(levels, default=0)
            self.level[node.outputs[0].key] = found + 1 if folds(node) else found
        self.folds = [node for node in body.nodes if folds(node)]
        self.wide = [n for n in body.nodes if n.outputs[0].key not in body.rows and not folds(n)]
        self.narrow = [n for n in body.nodes if n.outputs[0].key in body.rows and not folds(n)]
        few = layout.columns <= _VECTORS_IN_REGISTERS * lanes
        self.in_registers = few and not layout.middle
        self.sweeps = 1 + max([self._sweep_of(n) for n in (*self.folds, *self.wide)], default=0)

    def _sweep_of(self, node: Node) -> int:
        level = self.level[node.outputs[0].key]
        return level - 1 if folds(node) else level

    def write(self, at: Sequence[Index]) -> None:
        """Write one row at outer coordinates."""
        body, layout = self.body, self.layout
        row = Spot(at, 0, 1, None)
        row.flat = layout.row(body.code, at)
        kept = {} if self.in_registers else self._kept()
        known: dict[int, dict[int, Value]] = {}
        self._narrow(row, 0)
        for sweep in range(self.sweeps):
            mine = [node for node in self.folds if self._sweep_of(node) == sweep]
            cells = [(node, accumulator(body.code, node, self.lanes)) for node in mine]
            if self.in_registers:
                self._sweep_in_registers(row, sweep, cells, known)
            else:
                self._sweep_in_memory(row, sweep, cells, kept)
            for node, cell in cells:
                row.values[node.outputs[0].key] = folded(body.code, node, cell)
            self._narrow(row, sweep + 1)
        for tensor in body.stored:
            if tensor.key in body.rows:
                body.store(tensor, row, layout)

    def _spot(
        self, row: Spot, middle: Index, column: Index, lanes: int, mask: Value | None
    ) -> Spot:
        code, layout = self.body.code, self.layout
        at = coordinates(code, middle, layout.middle)
        spot = Spot([*row.at, *at], column, lanes, mask)
        number = code.mul(layout.row(code, row.at), layout.columns)
        inside = code.add(code.mul(middle, layout.last), column)
        spot.flat = code.add(number, inside)
        spot.aligned = layout.last % lanes == 0
        spot.kept_at = code.add(code.mul(middle, self._padded()), column)
        spot.values = dict(row.values)
        return spot

    def _padded(self) -> int:
        """Return the room that a row of columns takes in scratch, where whole vectors are kept."""
        return -(-self.layout.last // self.lanes) * self.lanes

    def _sweep_in_registers(
        self,
        row: Spot,
        sweep: int,
        cells: list[tuple[Node, Cell]],
        known: dict[int, dict[int, Value]],
    ) -> None:
        columns, lanes = self.layout.columns, self.lanes
        for column in range(0, columns, lanes):
            left = columns - column
            mask = None if left >= lanes else self.body.code.first_lanes(left, lanes)
            spot = self._spot(row, 0, column, lanes, mask)
            spot.values |= known.get(column, {})
            self._sweep(spot, sweep, cells, {})
            known[column] = spot.values

    def _sweep_in_memory(
        self, row: Spot, sweep: int, cells: list[tuple[Node, Cell]], kept: dict[int, Value]
    ) -> None:
        code, layout = self.body.code, self.layout

        def vectors(middle: Index) -> None:
            def vector(column: Index, lanes: int, mask: Value | None) -> None:
                spot = self._spot(row, middle, column, lanes, mask)
                self._recall(spot, sweep, kept)
                self._sweep(spot, sweep, cells, kept)

            over_vectors(code, 0, layout.last, self.lanes, layout.last, vector)

        if not layout.middle:
            vectors(0)
            return
        with code.loop(0, size(layout.middle)) as middle:
            vectors(middle)

    def _narrow(self, row: Spot, level: int) -> None:
        for node in self.narrow:
            if self.level[node.outputs[0].key] == level:
                self.body.compute(node, row, self.layout)

    def _sweep(
        self, spot: Spot, sweep: int, cells: list[tuple[Node, Cell]], kept: dict[int, Value]
    ) -> None:
        body = self.body
        for node in self.wide:
            key = node.outputs[0].key
            if self.level[key] != sweep:
                continue
            value = body.compute(node, spot, self.layout)
            if key in kept:
                body.code.store(body.code.splat(value, spot.lanes), kept[key], spot.kept_at)
        for node, cell in cells:
            value = body.value(node.inputs[0], node, spot, self.layout)
            accumulate(body.code, node, cell, value, spot)
        for tensor in body.stored:
            if tensor.key not in body.rows and self.level[tensor.key] == sweep:
                body.store(tensor, spot, self.layout)

    def _kept(self) -> dict[int, Value]:
        """Return scratch for the values that more than one sweep needs, as far as it reaches."""
        body = self.body
        used: dict[int, set[int]] = {}
        for node in (*self.wide, *self.folds):
            for x in node.inputs:
                key = body.views.of(x).source.key
                maker = body.maker.get(key)
                if maker is not None and key not in body.rows and not folds(maker):
                    used.setdefault(key, set()).add(self._sweep_of(node))
        kept: dict[int, Value] = {}
        left = _STACK
        padded = self._padded() * size(self.layout.middle)
        for key, sweeps in used.items():
            tensor = body.maker[key].outputs[0]
            needed = padded * numpy_dtype(tensor).itemsize
            if max(sweeps) > self.level[key] and needed <= left:
                kept[key] = body.code.scratch(kind_of(tensor), padded)
                left -= needed
        return kept

    def _recall(self, spot: Spot, sweep: int, kept: dict[int, Value]) -> None:
        """Load what earlier sweeps left in scratch; what was left nowhere is computed again."""
        for key, pointer in kept.items():
            if self.level[key] < sweep:
                tensor = self.body.maker[key].outputs[0]
                kind = kind_of(tensor)
                spot.values[key] = self.body.code.load(pointer, spot.kept_at, kind, spot.lanes)


def rows_kernel(body: Body) -> Step:
    """Return the kernel of a group whose space is split into rows and columns."""
    group = body.group
    assert group.split is not None
    lanes = lanes_of(body.nodes)
    layout = body.layout(group.split, single=False)
    code = Code(len(body.operands))
    body.start(code)
    rows = _Rows(body, layout, lanes)
    if layout.outer:
        with code.loop(code.begin, code.end) as number:
            rows.write(coordinates(code, number, layout.outer))
    else:
        rows.write([])
    grain = 1 if layout.outer else 0
    return Step(kernel_of(body, code, layout.rows, grain), body.operands)
