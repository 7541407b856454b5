"""Bring a convolution's kernel into the order in which blocks of registers read it."""

from typing import NamedTuple

from minikeras.compiler.kernels.squares import transposed
from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, Value, size_of
from minikeras.compiler.native.program import Kernel


class Packing(NamedTuple):
    """How a kernel lies in scratch: rows of `width` filters of all taps, then the next filters."""

    taps: int
    groups: int
    inputs: int
    """Channels that a filter meets."""
    outputs: int
    """Filters of a group."""
    width: int
    """A multiple of the machine's lanes, unless it is all outputs."""
    reversed: bool
    """Whether the last tap becomes the first."""
    exchanged: bool
    """Whether the kernel is `[taps, outputs, groups, inputs]`."""


def pack(packing: Packing, kind: str) -> Kernel:
    """Copy `kernel` into `scratch0`, by squares, whose rows and columns may change places.

    All numbers are parameters, so that the kernels of a model share one piece of code.
    """
    lanes = machine.host().vector_bytes // size_of(kind)
    squares = -(-packing.inputs // lanes)
    code = Code(2)
    kernel, into = code.operand(0), code.operand(1)
    taps, groups, inputs, outputs, width = map(code.parameter, range(5))
    with code.loop(code.begin, code.end) as unit:
        count = code.div(code.add(inputs, lanes - 1), lanes)
        tap, row = code.div(unit, count), code.mul(code.rem(unit, count), lanes)
        with code.loop(0, groups) as group, code.loop(0, outputs, lanes) as column:
            rows, columns = code.sub(inputs, row), code.sub(outputs, column)
            from_tap = code.sub(code.sub(taps, tap), 1) if packing.reversed else tap
            if packing.exchanged:
                start = code.add(code.mul(from_tap, outputs), column)
                start = code.add(code.mul(start, groups), group)
                start, pitch = code.add(code.mul(start, inputs), row), code.mul(groups, inputs)
                square = _square(code, kernel, start, pitch, (columns, rows), kind, lanes)
                square = transposed(code, square)
            else:
                start = code.add(code.mul(from_tap, inputs), row)
                start = code.add(code.mul(start, groups), group)
                start, pitch = code.add(code.mul(start, outputs), column), code.mul(groups, outputs)
                square = _square(code, kernel, start, pitch, (rows, columns), kind, lanes)
            block = code.mul(code.div(column, width), width)
            pitch = code.least(width, code.sub(outputs, block))
            place = code.add(code.mul(group, outputs), block)
            place = code.mul(code.mul(place, taps), inputs)
            inner = code.mul(code.add(code.mul(tap, inputs), row), pitch)
            place = code.add(code.add(place, inner), code.sub(column, block))
            mask = code.first_lanes(columns, lanes)
            for i, vector in enumerate(square):
                with code.when(code.compare("lt", i, rows)):
                    code.store(vector, into, code.add(place, code.mul(pitch, i)), mask)
    weights = packing.taps * packing.groups * packing.inputs * packing.outputs
    return Kernel(
        "pack kernel",
        code.finish(),
        packing.taps * squares,
        1,
        parameters=packing[:5],
        moved=2 * weights * size_of(kind),
    )


def _square(
    code: Code,
    pointer: Value,
    start: Value,
    pitch: Value,
    counts: tuple[Value, Value],
    kind: str,
    lanes: int,
) -> list[Value]:
    """Load as many vectors as they have lanes; what is beyond the counts is 0."""
    rows, columns = counts
    mask = code.first_lanes(columns, lanes)
    vectors = []
    for i in range(lanes):
        there = code.bitwise("and", mask, code.splat(code.compare("lt", i, rows), lanes))
        vectors.append(code.load(pointer, code.add(start, code.mul(pitch, i)), kind, lanes, there))
    return vectors
