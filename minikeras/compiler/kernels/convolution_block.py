"""Write the sums of one block: a few pixels by a few vectors of channels, in registers."""

from typing import NamedTuple

from minikeras.compiler.kernels.axes import Axis, Block, Meeting, Phase, Run, bounds, sizes
from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, Index, Value, product, size_of

UNROLLED = 240
"""Multiplications of vectors that may be written out one after the other."""
AT_ONCE = 96
"""And in a loop."""
SHORT = 32
"""Sums of fewer products are stored so soon that a block does better to be small."""


class Shape(NamedTuple):
    """What is to be computed, and how it is cut."""

    axes: tuple[Axis, ...]
    channels: int
    """Channels of the source."""
    filters: int
    """Channels of the result."""
    groups: int
    """Always 1 if depthwise: vectors of channels are multiplied by vectors of the kernel."""
    depthwise: bool
    kind: str
    lanes: int
    turned: bool
    """Whether the kernel is read in reverse: taps, and inputs with outputs."""
    across: int = 0
    """If not 0: vectors hold so many of a pixel's channels, and are summed up at the end."""

    @property
    def inputs(self) -> int:
        """How many channels a filter meets."""
        return 1 if self.depthwise else self.channels // self.groups

    @property
    def outputs(self) -> int:
        """Filters of a group."""
        return self.filters // self.groups

    @property
    def taps(self) -> int:
        """Places of the kernel."""
        return product([axis.taps for axis in self.axes])

    def cut(self, multiple: int) -> tuple[int, int]:
        """Return how many vectors and at most how many pixels make a block, by the least cycles.

        A cycle does two multiplications of vectors or two loads; a multiplication's result can be
        added to after four. Kernels beyond the first cache arrive at 40 bytes a cycle.
        """
        host, needed = machine.host(), -(-self.outputs // self.lanes)
        last = self.axes[-1]
        pixels = -(-last.length // last.skip)
        met = self.taps * self.inputs * min(self.outputs, 4 * self.lanes) * size_of(self.kind)
        arrival = 0 if met <= host.l1 // 2 else host.vector_bytes / 40
        sums = 16 if self.taps * self.inputs <= SHORT else host.registers
        if self.depthwise:  # no value is used twice, and memory is read best in order
            vectors = min(needed, 4)
            return vectors, min(16, host.registers - 1 - vectors) // vectors
        if self.across:
            return self.outputs, max(1, min(16, host.registers // 2) // self.outputs)
        best = (float("inf"), 1, 1)
        for vectors in range(1, min(needed, 8) + 1):
            widest = min(sums, host.registers - 1 - vectors) // vectors
            if widest < multiple:
                break
            blocks, rest = divmod(needed, vectors)
            cycles = 0.1 * (rest > 0)  # a rest doubles the code
            for size in sizes(pixels, widest, multiple):
                for count, width in ((blocks, vectors), (1, rest)):
                    loads = max((size + width) / 2, width * arrival)
                    cycles += count * max(size * width / 2, loads, 4) if width else 0
            best = min(best, (cycles, vectors, widest))
        return best[1:]


def lanes_of(filters: int, kind: str) -> int:
    """Return the lanes of a vector: fewer than the host has where filters are few."""
    lanes = machine.host().vector_bytes // size_of(kind)
    while lanes // 2 >= filters:
        lanes //= 2
    return lanes


def lanes_across(taps: int, inputs: int, outputs: int, kind: str) -> int:
    """Return how many channels of a pixel a vector should hold, 0 if it should hold filters.

    To sum up a vector takes about 9 instructions.
    """
    lanes = machine.host().vector_bytes // size_of(kind)
    while inputs % lanes:
        lanes //= 2
    work = taps * inputs
    return lanes if 1.2 * outputs * (work / lanes + 9) < work else 0


class Columns(NamedTuple):
    """Some filters of one group."""

    channel: Index
    """The first of the source's channels that the group meets."""
    column: Index
    """The first filter."""
    weights: Index
    """Where these filters' first row lies in the kernel."""
    pitch: int
    """From there to the next row."""
    vectors: int
    mask: Value | None
    """Which lanes of the last vector hold filters."""

    @property
    def masks(self) -> list[Value | None]:
        """The mask of each vector."""
        return [*[None] * (self.vectors - 1), self.mask]


class Sums:
    """The registers of one block, and what is written about them.

    Args:
        code: the kernel's code.
        shape: what is computed.
        columns: the filters.
        phase: the phase of the last axis to which the pixels belong.
        block: the pixels.
    """

    def __init__(
        self, code: Code, shape: Shape, columns: Columns, phase: Phase, block: Block
    ) -> None:
        self.code, self.shape, self.columns = code, shape, columns
        self.phase, self.block, self.width = phase, block, shape.axes[-1]
        # How source and kernel go on from one row of the kernel to the next.
        self.beside = shape.channels if shape.depthwise else shape.across or 1
        self.below = shape.across or columns.pitch
        lanes = shape.across or shape.lanes
        zero = code.constant(0, shape.kind, lanes)
        if lanes > 1:
            zero = zero._replace(name="zeroinitializer")
        self.cells = [
            [code.cell(shape.kind, lanes, zero) for _ in range(columns.vectors)]
            for _ in range(block.size)
        ]

    def finished(self) -> list[list[Value]]:
        """Return the sums of each pixel, as vectors of filters."""
        add = self.code.reduce if self.shape.across else lambda _, value: value
        return [[add("add", cell.get()) for cell in cells] for cells in self.cells]

    def grow(
        self,
        source: Value,
        weights: Value,
        image: Index,
        outer: tuple[Meeting, Meeting],
        first: Index,
    ) -> None:
        """Add all products: `first` is the number of the block's first pixel in its phase."""
        code, shape, phase = self.code, self.shape, self.phase
        pixel = code.add(code.mul(first, phase.advance), phase.at)
        z, y = outer
        with code.loop(z.first, z.stop) as i, code.loop(y.first, y.stop) as j:
            at: Index = image  # the source's place, and the kernel's
            tap: Index = 0
            for axis, met, q in zip(shape.axes, outer, (i, j), strict=False):
                at = code.add(code.mul(at, axis.size), code.add(met.at, code.mul(q, axis.step)))
                tap = code.add(code.mul(tap, axis.taps), code.add(met.tap, code.mul(q, axis.skip)))
            at = code.add(code.mul(at, self.width.size), pixel)
            at = code.add(code.mul(at, shape.channels), self.columns.channel)
            tap = code.add(code.mul(tap, self.width.taps), phase.tap)
            row = code.mul(tap, shape.inputs * self.columns.pitch)
            near = code.at(source, at, shape.kind)
            rows = code.at(weights, code.add(row, self.columns.weights), shape.kind)
            for run in self.block.runs or ():
                self._run(run, near, rows)
            if self.block.runs is None:
                count = -(-(self.width.taps - phase.tap) // self.width.skip)
                with code.loop(*bounds(code, self.width, pixel, count)) as q:
                    self._taps(near, rows, q, 1, range(1))

    def _run(self, run: Run, source: Value, weights: Value) -> None:
        """Write a run of taps, as one loop where kernel and source go on alike."""
        shape, width = self.shape, self.width
        count, pixels = run.stop - run.first, range(run.low, run.high)
        rows = shape.inputs // (shape.across or 1)
        whole = shape.depthwise or shape.inputs == shape.channels
        if whole and width.step == width.skip == 1 and not shape.across:
            self._taps(source, weights, run.first, count, pixels)
        elif count * rows * len(pixels) * self.columns.vectors <= UNROLLED:
            for tap in range(run.first, run.stop):
                self._taps(source, weights, tap, 1, pixels)
        else:
            with self.code.loop(run.first, run.stop) as q:
                self._taps(source, weights, q, 1, pixels)

    def _taps(self, source: Value, weights: Value, q: Index, count: int, pixels: range) -> None:
        """Write `count` taps whose channels follow each other in kernel and source."""
        code, shape, pitch = self.code, self.shape, self.columns.pitch
        source = code.at(source, code.mul(q, self.width.step * shape.channels), shape.kind)
        row = code.mul(q, self.width.skip * shape.inputs * pitch)
        weights = code.at(weights, row, shape.kind)
        total, each = count * shape.inputs, len(pixels) * self.columns.vectors
        total //= shape.across or 1
        # Two rows of the kernel need registers for both, or sums are moved to memory and back.
        tight = each + 2 * self.columns.vectors + 2 > machine.host().registers
        step = 1 if tight else _divisor(total, max(1, AT_ONCE // each))
        step = total if total * each <= UNROLLED else step
        pointers = code.cell("ptr", value=source), code.cell("ptr", value=weights)
        with code.loop(0, total, step):
            source, weights = (cell.get() for cell in pointers)
            if step < total:
                pointers[0].set(code.at(source, step * self.beside, shape.kind))
                pointers[1].set(code.at(weights, step * self.below, shape.kind))
            values = {pixel: [cell.get() for cell in self.cells[pixel]] for pixel in pixels}
            for k in range(step):
                self._multiply(source, weights, k, values)
            for pixel, some in values.items():
                for cell, value in zip(self.cells[pixel], some, strict=True):
                    cell.set(value)

    def _multiply(
        self, source: Value, weights: Value, k: int, values: dict[int, list[Value]]
    ) -> None:
        """Add the products of one row of the kernel to the sums of each pixel."""
        code, shape = self.code, self.shape
        if shape.across:
            starts = [k * shape.across + i * shape.inputs for i in range(shape.outputs)]
            row = [code.load(weights, start, shape.kind, shape.across) for start in starts]
        else:
            row = self._vectors(weights, k * self.columns.pitch)
        for pixel, some in values.items():
            near = pixel * self.phase.advance * shape.channels + k * self.beside
            if shape.across:
                met = [code.load(source, near, shape.kind, shape.across)] * len(row)
            elif shape.depthwise:
                met = self._vectors(source, near)
            else:
                met = [code.splat(code.load(source, near, shape.kind), shape.lanes)] * len(row)
            some[:] = map(code.fma, met, row, some)

    def _vectors(self, pointer: Value, start: int) -> list[Value]:
        shape = self.shape
        return [
            self.code.load(pointer, start + i * shape.lanes, shape.kind, shape.lanes, mask)
            for i, mask in enumerate(self.columns.masks)
        ]


def _divisor(number: int, most: int) -> int:
    """Return the largest divisor that is at most `most`."""
    return max(i for i in range(1, most + 1) if number % i == 0)
