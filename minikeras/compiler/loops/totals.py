"""Write loops with reductions that leave them: partial results of chunks, then their sums."""

from collections.abc import Sequence

import numpy as np

from minikeras.compiler.loops.body import (
    Body,
    Layout,
    Spot,
    kernel_of,
    kind_of,
    lanes_of,
    longest_rows,
    over_vectors,
)
from minikeras.compiler.loops.folds import (
    accumulate,
    accumulator,
    as_result,
    combined,
    folded,
    identity,
)
from minikeras.compiler.loops.geometry import coordinates
from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, Index, Value
from minikeras.compiler.native.program import Kernel, Scratch, Step
from minikeras.core.basic import numpy_dtype
from minikeras.core.dispatch import Node

_CHUNK = 4096
_LEAST_ROWS, _MOST_CHUNKS = 64, 256


def sums_kernels(body: Body) -> list[Step]:
    """Write a loop with reductions that leave it: each chunk of rows gives partial results."""
    group = body.group
    leaving = [node for node in body.nodes if id(node) in group.leaving]
    fold = group.fold
    assert fold is not None
    lanes = lanes_of(body.nodes)
    flat = fold.after == 1
    if flat:
        layout = longest_rows(body)
    else:
        layout = body.layout(_axes_covering(group.space, fold.before * fold.length))
    length = fold.length if not flat else layout.rows if layout.outer else layout.columns
    chunk = _CHUNK if flat and not layout.outer else max(_LEAST_ROWS, -(-length // _MOST_CHUNKS))
    if flat and layout.outer:
        chunk = max(1, min(chunk, _CHUNK // layout.columns))
    if fold.before >= _LEAST_ROWS or (not flat and length <= 2 * _LEAST_ROWS):
        chunk = length
    chunks = -(-length // chunk)
    partial = [
        node.outputs[0]
        if chunks == 1
        else Scratch(fold.before * chunks * fold.after * numpy_dtype(node.outputs[0]).itemsize)
        for node in leaving
    ]
    stored = [t for t in body.stored if id(body.maker[t.key]) not in group.leaving]
    body.stored = stored
    body.operands = [t for t in body.operands if t.key not in {n.outputs[0].key for n in leaving}]
    first = len(body.operands)
    code = Code(first + len(partial))
    body.start(code)
    pointers = [code.operand(first + i) for i in range(len(partial))]
    write = _write_flat_sums if flat else _write_row_sums
    write(body, layout, code, leaving, pointers, lanes, chunk)
    operands = [*body.operands, *partial]
    units = fold.before * chunks
    grain = 1 if units > 1 else 0
    steps = [Step(kernel_of(body, code, units, grain, length, chunks), operands)]
    if chunks > 1:
        for node, scratch in zip(leaving, partial, strict=True):
            steps.append(_combine(node, scratch, fold.before, chunks, fold.after))
    return steps


def _axes_covering(space: Sequence[int], count: int) -> int:
    cut, covered = 0, 1
    while covered < count:
        covered *= space[cut]
        cut += 1
    return cut


def _write_flat_sums(
    body: Body,
    layout: Layout,
    code: Code,
    leaving: list[Node],
    pointers: list[Value],
    lanes: int,
    chunk: int,
) -> None:
    """One unit is a chunk of elements, or of rows of them; parameter 0 is how many there are."""
    length = code.parameter(0)
    plain = [node for node in body.nodes if node not in leaving]
    with code.loop(code.begin, code.end) as unit:
        cells = [accumulator(code, node, lanes) for node in leaving]
        start = code.mul(unit, chunk)
        stop = code.least(code.add(start, chunk), length)

        def vector(at: Sequence[Index], column: Index, width: int, mask: Value | None) -> None:
            spot = layout.spot(code, at, column, width, mask)
            for node in plain:
                body.compute(node, spot, layout)
            for node, cell in zip(leaving, cells, strict=True):
                value = body.value(node.inputs[0], node, spot, layout)
                accumulate(code, node, cell, value, spot)
            for tensor in body.stored:
                body.store(tensor, spot, layout)

        if layout.outer:
            with code.loop(start, stop) as row:
                at = coordinates(code, row, layout.outer)
                columns = layout.columns
                over_vectors(code, 0, columns, lanes, columns, lambda i, n, m: vector(at, i, n, m))
        else:
            count = layout.columns
            over_vectors(code, start, stop, lanes, count, lambda i, n, m: vector([], i, n, m))
        for node, cell, pointer in zip(leaving, cells, pointers, strict=True):
            code.store(folded(code, node, cell), pointer, unit)


def _write_row_sums(
    body: Body,
    layout: Layout,
    code: Code,
    leaving: list[Node],
    pointers: list[Value],
    lanes: int,
    chunk: int,
) -> None:
    """One unit is a chunk of rows, whose columns are added up in the partial result itself."""
    length, chunks = code.parameter(0), code.parameter(1)
    columns = layout.columns
    plain = [node for node in body.nodes if node not in leaving]
    with code.loop(code.begin, code.end) as unit:
        before = code.div(unit, chunks)
        start = code.mul(code.rem(unit, chunks), chunk)
        stop = code.least(code.add(start, chunk), length)
        sums = code.mul(unit, columns)

        def clear(column: Index, width: int, mask: Value | None) -> None:
            for node, pointer in zip(leaving, pointers, strict=True):
                kind = kind_of(node.outputs[0])
                value = code.constant(identity(node), kind, width)
                code.store(value, pointer, code.add(sums, column), mask)

        over_vectors(code, 0, columns, lanes, columns, clear)
        with code.loop(start, stop) as row:
            number = code.add(code.mul(before, length), row)
            at = coordinates(code, number, layout.outer)

            def vector(column: Index, width: int, mask: Value | None) -> None:
                spot = Spot(at, column, width, mask)
                spot.flat = code.add(code.mul(number, columns), column)
                spot.aligned = columns % width == 0
                for node in plain:
                    body.compute(node, spot, layout)
                for node, pointer in zip(leaving, pointers, strict=True):
                    value = body.value(node.inputs[0], node, spot, layout)
                    value = code.splat(as_result(code, node, value), width)
                    at_sum = code.add(sums, column)
                    old = code.load(pointer, at_sum, value.kind, width, mask)
                    code.store(combined(code, node, old, value), pointer, at_sum, mask)
                for tensor in body.stored:
                    body.store(tensor, spot, layout)

            over_vectors(code, 0, columns, lanes, columns, vector)


def _combine(node: Node, scratch: Scratch, before: int, chunks: int, after: int) -> Step:
    """Combine the partial results of chunks, in order."""
    code = Code(2)
    source, target = code.operand(0), code.operand(1)
    many = code.parameter(0)
    kind = kind_of(node.outputs[0])
    lanes = machine.host().vector_bytes // max(np.dtype(kind).itemsize, 4)
    with code.loop(code.begin, code.end) as unit:
        base = code.mul(unit, code.mul(many, after))

        def vector(column: Index, width: int, mask: Value | None) -> None:
            cell = code.cell(kind, width)
            cell.set(code.constant(identity(node), kind, width))
            with code.loop(0, many) as chunk:
                index = code.add(code.add(base, code.mul(chunk, after)), column)
                value = code.load(source, index, kind, width, mask)
                cell.set(combined(code, node, cell.get(), value))
            code.store(cell.get(), target, code.add(code.mul(unit, after), column), mask)

        over_vectors(code, 0, after, lanes, after, vector)
    grain = 1 if before > 1 else 0
    moved = chunks * before * after * np.dtype(kind).itemsize
    kernel = Kernel(f"{node.op.name} of chunks", code.finish(), before, grain, (chunks,), 0, moved)
    return Step(kernel, [scratch, node.outputs[0]])
