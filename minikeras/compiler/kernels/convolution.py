"""Convolve directly: blocks of pixels by output channels stay in registers while sums grow.

No patches are laid out. For every tap and input channel a block loads one row of kernel values as
vectors, and one value of each pixel that it multiplies all of them by. One generator computes
outputs, followed by activation and pooling if wanted, and from turned kernels images' gradients.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from minikeras.compiler.kernels.axes import (
    Axis,
    Block,
    Phase,
    image_axes,
    meeting,
    output_axes,
    phases,
)
from minikeras.compiler.kernels.convolution_block import (
    Columns,
    Shape,
    Sums,
    lanes_across,
    lanes_of,
)
from minikeras.compiler.kernels.convolution_pool import Best
from minikeras.compiler.kernels.convolution_weights import Packing, pack
from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, Index, Value, product, size_of
from minikeras.compiler.native.program import Kernel, Step
from minikeras.ops.windows import Window

KINDS = ("float32", "float64")
WIDEST_POOL = 8
"""The values of a window's row are in registers together."""
MANY_ROWS = 64
"""For fewer rows than these it does not pay to pack the kernel."""


class Epilogue(NamedTuple):
    """What becomes of the sums instead of a plain store."""

    prepare: Callable[[Code], None]
    """Called once, at the kernel's entry; its operands come after the kernel's own."""
    finish: Callable[[Code, Value, Index, Index, Value | None], Value | None]
    """Take a finished vector `(code, sums, row, column, mask)`; `row` counts pixels of all images.

    What it returns is stored in `out`, or pooled; None: it has stored what is wanted.
    """
    operands: tuple[str, ...] = ()
    """Their names."""
    name: str = ""


PLAIN = Epilogue(lambda _code: None, lambda _code, sums, *_: sums)


def forward(
    batch: int,
    window: Window,
    channels: int,
    filters: int,
    kind: str,
    epilogue: Epilogue | None = None,
    pool: Window | None = None,
) -> list[Step] | None:
    """Lower the convolution of `x` with `kernel`; own operands are `x, kernel, out`.

    With `pool`, `out` is the largest of each window of what `epilogue` returns, and a fourth
    operand `position` says as uint8 where in the window it was first met. None, for no lowering,
    for kinds other than float32 and float64, and for pools with padding or overlaps.
    """
    if kind not in KINDS or (pool and not _poolable(pool)):
        return None
    rows = _Rows(_shape(output_axes(window), channels, filters, window.groups, kind), pool)
    return rows.steps("conv", "x", batch, epilogue or PLAIN)


def input_gradient(
    batch: int,
    window: Window,
    channels: int,
    filters: int,
    kind: str,
    epilogue: Epilogue | None = None,
) -> list[Step] | None:
    """Lower the gradient of the images; own operands are `g, kernel, out`.

    None for what `forward` does not know, and for strides together with dilation on one axis.
    """
    axes = image_axes(window)
    if kind not in KINDS or axes is None:
        return None
    rows = _Rows(_shape(axes, filters, channels, window.groups, kind, turned=True))
    return rows.steps("conv_input_gradient", "g", batch, epilogue or PLAIN)


def _poolable(pool: Window) -> bool:
    apart = pool.kernel == pool.strides and not any(map(any, pool.padding))
    small = pool.kernel[-1] <= WIDEST_POOL and product(pool.kernel) < 256
    return apart and small and set(pool.dilation) == {1}


def _shape(
    axes: tuple[Axis, ...],
    channels: int,
    filters: int,
    groups: int,
    kind: str,
    turned: bool = False,
) -> Shape:
    depthwise = 1 < groups == channels == filters
    groups = 1 if depthwise else groups
    across = 0
    if groups == 1 and not depthwise:
        across = lanes_across(product([axis.taps for axis in axes]), channels, filters, kind)
    lanes = 1 if across else lanes_of(filters // groups, kind)
    return Shape(axes, channels, filters, groups, depthwise, kind, lanes, turned, across)


class _Rows:
    """Write the kernel whose units are the rows of a result."""

    def __init__(self, shape: Shape, pool: Window | None = None) -> None:
        pools = pool.kernel if pool else ()
        self.pools: tuple[int, ...] = (1,) * (3 - len(pools)) + pools
        self.pooled = pool is not None
        # What no window covers is not computed.
        self.full = [axis.length for axis in shape.axes]
        axes = [
            a._replace(length=a.length // n * n)
            for a, n in zip(shape.axes, self.pools, strict=True)
        ]
        self.shape = shape = shape._replace(axes=tuple(axes))
        self.lengths = [axis.length // n for axis, n in zip(axes, self.pools, strict=True)]
        self.vectors, widest = shape.cut(self.pools[-1])
        self.phases = tuple(phases(axes[-1], widest, self.pools[-1]))

    def steps(self, name: str, source: str, batch: int, epilogue: Epilogue) -> list[Step]:
        """Return the kernel, after one that packs what it multiplies by if that is of use."""
        shape, width = self.shape, self.vectors * self.shape.lanes
        units = batch * self.lengths[0] * self.lengths[1]
        size = shape.taps * shape.inputs * shape.filters * size_of(shape.kind)
        many = shape.outputs > width and size > machine.host().l2 // 4 and units >= MANY_ROWS
        packed = not shape.depthwise and not shape.across and (shape.turned or many)
        own = ("out", "position") if self.pooled else ("out",)
        kernel = self._kernel(name, batch, packed, 2 + len(own), epilogue)
        if not (packed or shape.turned or shape.across):
            return [Step(kernel, (source, "kernel", *own, *epilogue.operands))]
        rows, columns = shape.inputs, shape.outputs
        if shape.across:  # all of a filter's channels side by side
            rows, columns = columns, rows
        if not packed:
            width = columns
        exchanged = shape.turned != bool(shape.across)
        packing = Packing(shape.taps, shape.groups, rows, columns, width, shape.turned, exchanged)
        return [
            Step(pack(packing, shape.kind), ("kernel", "scratch0"), size),
            Step(kernel, (source, "scratch0", *own, *epilogue.operands)),
        ]

    def _kernel(self, name: str, batch: int, packed: bool, own: int, epilogue: Epilogue) -> Kernel:
        """Return the kernel; only its units depend on the number of images."""
        shape = self.shape
        self.code = code = Code(own + len(epilogue.operands))
        self.source, self.weights, *self.outs = map(code.operand, range(own))
        self.finish = epilogue.finish
        epilogue.prepare(code)
        with code.loop(code.begin, code.end, self._chunk()) as first:
            last = code.least(code.add(first, self._chunk()), code.end)
            for columns in self._columns(packed):
                with code.loop(first, last) as unit:
                    self._row(unit, columns)
        units = batch * self.lengths[0] * self.lengths[1]
        pairs = product(
            [sum(stop - low for low, stop in map(a.bounds, range(a.length))) for a in shape.axes]
        )
        sources = batch * product([axis.size for axis in shape.axes]) * shape.channels
        results = units * self.lengths[2] * shape.filters
        weights = shape.taps * shape.inputs * shape.filters
        names = [name, epilogue.name, "max_pool" if self.pooled else ""]
        return Kernel(
            " + ".join(filter(None, names)),
            code.finish(),
            units,
            1,
            flops=2 * batch * pairs * shape.inputs * shape.filters,
            moved=(sources + results + weights) * size_of(shape.kind),
        )

    def _chunk(self) -> int:
        """Return for how many rows a part of the kernel is used before the next one."""
        shape = self.shape
        if shape.depthwise:
            return 1
        row = shape.axes[-1].size * shape.channels * size_of(shape.kind)
        return max(1, machine.host().l2 // 4 // row)

    def _columns(self, packed: bool) -> Iterator[Columns]:
        """Yield parts of the filters, inside loops over them."""
        code, shape = self.code, self.shape
        width = self.vectors * shape.lanes
        blocks, rest = divmod(shape.outputs, width)
        for count, begin, filters in ((blocks, 0, width), (1, blocks * width, rest)):
            if not count or not filters:
                continue
            with code.loop(0, shape.groups) as group, code.loop(0, count) as block:
                column = code.add(code.mul(group, shape.outputs), begin)
                column = code.add(column, code.mul(block, width))
                vectors, odd = -(-filters // shape.lanes), filters % shape.lanes
                mask = code.first_lanes(odd, shape.lanes) if odd else None
                channel = column if shape.depthwise else code.mul(group, shape.inputs)
                weights, pitch = column, shape.filters
                if packed:
                    weights, pitch = code.mul(column, shape.taps * shape.inputs), filters
                yield Columns(channel, column, weights, pitch, vectors, mask)

    def _row(self, unit: Index, columns: Columns) -> None:
        """Write all blocks of one row of the result."""
        code, (depth, height, _) = self.code, self.lengths
        plane, y = code.div(unit, height), code.rem(unit, height)
        image, z = code.div(plane, depth), 0 if depth == 1 else code.rem(plane, depth)
        for phase in self.phases:
            for block in phase.blocks:
                with code.loop(0, block.repeats) as i:
                    first = code.add(code.mul(i, block.size), block.first)
                    if self.pooled:
                        self._pool(unit, (image, z, y, first), columns, phase, block)
                    else:
                        self._block((image, z, y, first), columns, phase, block)

    def _pool(
        self,
        unit: Index,
        place: tuple[Index, Index, Index, Index],
        columns: Columns,
        phase: Phase,
        block: Block,
    ) -> None:
        """Write the blocks of the rows that a row of windows covers."""
        code, (depth, height, width) = self.code, self.pools
        image, z, y, first = place
        best = Best(code, self.shape, columns, block.size // width, self.pools)
        with code.loop(0, depth) as i, code.loop(0, height) as j:
            there = code.add(code.mul(z, depth), i), code.add(code.mul(y, height), j)
            best.take(self._block((image, *there, first), columns, phase, block), i, j)
        row = code.add(code.mul(unit, self.lengths[2]), code.div(first, width))
        best.store(self.outs[0], self.outs[1], row)

    def _block(
        self,
        place: tuple[Index, Index, Index, Index],
        columns: Columns,
        phase: Phase,
        block: Block,
    ) -> list[list[Value]]:
        """Write one block; return what is left to be pooled of it."""
        code, shape, (depth, height, width) = self.code, self.shape, self.shape.axes
        image, z, y, first = place
        sums = Sums(code, shape, columns, phase, block)
        outer = meeting(code, depth, z), meeting(code, height, y)
        sums.grow(self.source, self.weights, image, outer, first)
        row = code.add(code.mul(image, self.full[0]), z)
        row = code.mul(code.add(code.mul(row, self.full[1]), y), self.full[2])
        row = code.add(row, code.add(code.mul(first, width.skip), phase.start))
        finished: list[list[Value]] = []
        for pixel, vectors in enumerate(sums.finished()):
            number = code.add(row, pixel * width.skip)
            finished.append([])
            for i, (vector, mask) in enumerate(zip(vectors, columns.masks, strict=True)):
                column = code.add(columns.column, i * shape.lanes)
                value = self.finish(code, vector, number, column, mask)
                if value and self.pooled:
                    finished[-1].append(value)
                elif value:
                    at = code.add(code.mul(number, shape.filters), column)
                    code.store(value, self.outs[0], at, mask)
        return finished
