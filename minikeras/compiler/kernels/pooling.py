"""Write pooling kernels: the largest or the mean of sliding windows, and the ways back.

A unit is one row of pixels: of the result where windows are read, of the image where they are
written. So every number of `out` is written once, by one thread.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minikeras.compiler.kernels.pooling_loops import (
    WRITTEN_OUT,
    Job,
    Operands,
    Spot,
    each_group,
    each_position,
    each_row,
    each_vector,
    finish,
    flat,
    image_bytes,
    index_bytes,
    interior,
    new_kernel,
    reach_of,
    result_bytes,
    split_loop,
    steps,
)
from minikeras.compiler.kernels.pooling_loops import job as job
from minikeras.compiler.native.emit import Code, Index, Value, product
from minikeras.compiler.native.program import Step

# ---- windows are read ----------------------------------------------------------------------------

Visit = Callable[[Value, Index], None]
"""Take one position of a window: its numbers, and which position it is."""


def _read_windows(
    job: Job,
    name: str,
    batch: int,
    operands: Operands,
    begin: Callable[[Code, Spot], tuple[Visit, Callable[[], None]]],
) -> list[Step]:
    """Write a kernel that visits the numbers of each window in the first operand.

    `begin` returns what is done with each position of a window and what is done after the last.
    """
    window, outputs = job.window, job.window.outputs
    code, pointers = new_kernel(job, operands)
    for row, image, *places in each_row(code, outputs):
        outer = [reach_of(code, job, axis, place) for axis, place in enumerate(places)]

        def column(place: Index, inner: bool, row: Index = row, image: Index = image) -> None:
            reaches = [*outer, reach_of(code, job, 2, place, inner)]  # noqa: B023 - called here
            first = flat(code, window.size, image, *(reach.start for reach in reaches))
            pixel = code.add(code.mul(row, outputs[2]), place)

            def block(channel: Index, lanes: int, mask: Value | None) -> None:
                spot = Spot(pointers, reaches, [*places, place], pixel, channel, lanes, mask)  # noqa: B023
                visit, end = begin(code, spot)
                start = code.add(code.mul(first, job.channels), channel)

                def tap(position: Index, offset: Index) -> None:
                    at = code.add(start, offset)
                    visit(code.load(pointers[0], at, job.kind, lanes, mask), position)

                each_position(code, job, reaches, tap)
                end()

            each_vector(code, job, block)

        split_loop(code, *interior(window, 2), outputs[2], column)
    pixels = product(outputs) * product(window.kernel)
    return steps(job, name, code, product(outputs[:2]), pixels, batch, operands)


def _position(code: Code, job: Job, position: Index, lanes: int) -> Value:
    """Return the number of a position as a vector that compares with loaded ones."""
    if isinstance(position, int):
        return code.constant(position, job.wide, lanes)
    return code.splat(code.convert(position, job.wide), lanes)


def _load_index(code: Code, job: Job, pointer: Value, at: Index, spot: Spot) -> Value:
    return code.convert(code.load(pointer, at, job.index_kind, spot.lanes, spot.mask), job.wide)


class _Largest:
    """Keep the largest number so far; NaN, of which the maximum knows nothing, for itself.

    So what each position waits for is one `max`: half the time of one select after the other.
    """

    def __init__(self, code: Code, job: Job, lanes: int) -> None:
        self._code, self._kind, self._lanes = code, job.kind, lanes
        self._floating = job.kind.startswith("float")
        least = -np.inf if self._floating else int(np.iinfo(job.kind).min)
        self._best = code.cell(job.kind, lanes, code.constant(least, job.kind, lanes))
        self._nan = code.cell("bool", lanes, code.constant(False, "bool", lanes))

    def take(self, x: Value) -> Value:
        """Take one more number; return whether it is larger than those before."""
        best = self._best.get()
        larger = self._code.compare("gt", x, best)
        self._best.set(self._code.select(larger, x, best))
        if self._floating:
            unordered = self._code.compare("ne", x, x)
            self._nan.set(self._code.bitwise("or", self._nan.get(), unordered))
        return larger

    def result(self, where: Value | None = None, last: Value | None = None) -> tuple[Value, Any]:
        """Return the largest, and `where`, but `last` if it is NaN, which nothing equals."""
        best = self._best.get()
        if not self._floating:
            return best, where
        nan, none = self._nan.get(), self._code.constant(np.nan, self._kind, self._lanes)
        if where is not None and last is not None:
            where = self._code.select(nan, last, where)
        return self._code.select(nan, none, best), where


def max_pool(job: Job, batch: int) -> list[Step]:
    """Write to `out` the `max_pool(in0)`."""

    def begin(code: Code, spot: Spot) -> tuple[Visit, Callable[[], None]]:
        largest = _Largest(code, job, spot.lanes)

        def visit(x: Value, position: Index) -> None:  # noqa: ARG001 - a Visit
            largest.take(x)

        return visit, lambda: finish(code, job, spot, largest.result()[0])

    operands = [("in0", image_bytes(job)), ("out", result_bytes(job))]
    return _read_windows(job, "max_pool", batch, operands, begin)


def max_pool_with_position(job: Job, batch: int) -> list[Step]:
    """Write `out0 = max_pool(in0)` and `out1 = first_maximum(in0, out0)` in one pass.

    The operands are in0, out1, out0.
    """

    def begin(code: Code, spot: Spot) -> tuple[Visit, Callable[[], None]]:
        largest = _Largest(code, job, spot.lanes)
        first = flat(code, job.window.kernel, 0, *(reach.low for reach in spot.reaches))
        where = code.cell(job.wide, spot.lanes, _position(code, job, first, spot.lanes))

        def visit(x: Value, position: Index) -> None:
            here = _position(code, job, position, spot.lanes)
            where.set(code.select(largest.take(x), here, where.get()))

        def end() -> None:
            last = _position(code, job, product(job.window.kernel) - 1, spot.lanes)
            value, index = largest.result(where.get(), last)
            small = code.convert(index, job.index_kind)
            code.store(small, spot.pointers[1], spot.offset(code, job), spot.mask)
            finish(code, job, spot, value)

        return visit, end

    operands = [
        ("in0", image_bytes(job)),
        ("out1", index_bytes(job)),
        ("out0", result_bytes(job)),
    ]
    return _read_windows(job, "max_pool + first_maximum", batch, operands, begin)


def first_maximum(job: Job, batch: int) -> list[Step]:
    """Write to `out` which position of each window of `in0` first holds its maximum `in1`."""

    def begin(code: Code, spot: Spot) -> tuple[Visit, Callable[[], None]]:
        at = spot.offset(code, job)
        maximum = code.load(spot.pointers[1], at, job.kind, spot.lanes, spot.mask)
        last = _position(code, job, product(job.window.kernel) - 1, spot.lanes)
        where = code.cell(job.wide, spot.lanes, last)

        def visit(x: Value, position: Index) -> None:
            old, here = where.get(), _position(code, job, position, spot.lanes)
            earlier = code.compare("lt", here, old)
            found = code.bitwise("and", earlier, code.compare("eq", x, maximum))
            where.set(code.select(found, here, old))

        def end() -> None:
            small = code.convert(where.get(), job.index_kind)
            code.store(small, spot.pointers[2], at, spot.mask)

        return visit, end

    operands = [("in0", image_bytes(job)), ("in1", result_bytes(job)), ("out", index_bytes(job))]
    return _read_windows(job, "first_maximum", batch, operands, begin)


def take_position(job: Job, batch: int) -> list[Step]:
    """Write to `out` the number at position `in1` of each window of `in0`."""

    def begin(code: Code, spot: Spot) -> tuple[Visit, Callable[[], None]]:
        index = _load_index(code, job, spot.pointers[1], spot.offset(code, job), spot)
        taken = code.cell(job.kind, spot.lanes, code.constant(0, job.kind, spot.lanes))

        def visit(x: Value, position: Index) -> None:
            here = code.compare("eq", index, _position(code, job, position, spot.lanes))
            taken.set(code.select(here, x, taken.get()))

        return visit, lambda: finish(code, job, spot, taken.get())

    operands = [("in0", image_bytes(job)), ("in1", index_bytes(job)), ("out", result_bytes(job))]
    return _read_windows(job, "take_position", batch, operands, begin)


_LONGEST = 4096  # places along an axis for which shares are kept on the stack


class _Shares:
    """Know 1 / the number of each window's positions that lie inside the image."""

    def __init__(self, code: Code, job: Job) -> None:
        self._code, self._kind = code, job.kind
        self._tables: dict[int, Value] = {}
        for axis in _overhanging(job):
            table = code.scratch(job.kind, job.window.outputs[axis])
            with code.loop(0, job.window.outputs[axis]) as place:
                reach = reach_of(code, job, axis, place)
                count = code.convert(code.index(code.sub(reach.high, reach.low)), job.kind)
                code.store(code.div(code.constant(1, job.kind), count), table, place)
            self._tables[axis] = table
        full = [k for axis, k in enumerate(job.window.kernel) if axis not in self._tables]
        self._rest = code.constant(np.asarray(1 / product(full), job.kind), job.kind)

    def of(self, places: Sequence[Index]) -> Value:
        """Return the share of each position of the window at some place."""
        share = self._rest
        for axis, table in self._tables.items():
            factor = self._code.load(table, places[axis], self._kind)
            share = self._code.mul(share, factor)
        return share


def _overhanging(job: Job) -> list[int]:
    """Return the axes on which some window reaches beyond the image."""
    outputs = job.window.outputs
    return [axis for axis in range(3) if interior(job.window, axis) != (0, outputs[axis])]


def _has_shares(job: Job) -> bool:
    short = all(job.window.outputs[axis] <= _LONGEST for axis in _overhanging(job))
    return short and job.kind.startswith("float")


def average_pool(job: Job, batch: int) -> list[Step] | None:
    """Write to `out` the `average_pool(in0)`; None for integers and padded axes that are long."""
    if not _has_shares(job):
        return None
    shares: list[_Shares] = []

    def begin(code: Code, spot: Spot) -> tuple[Visit, Callable[[], None]]:
        total = code.cell(job.kind, spot.lanes, code.constant(0, job.kind, spot.lanes))

        def visit(x: Value, position: Index) -> None:  # noqa: ARG001 - a Visit
            total.set(code.add(total.get(), x))

        def end() -> None:
            share = shares[0].of(spot.places)
            finish(code, job, spot, code.mul(total.get(), code.splat(share, spot.lanes)))

        return visit, end

    job = job._replace(prepare=_both(job.prepare, lambda code: shares.append(_Shares(code, job))))
    operands = [("in0", image_bytes(job)), ("out", result_bytes(job))]
    return _read_windows(job, "average_pool", batch, operands, begin)


def _both(first: Callable[[Code], None], second: Callable[[Code], None]) -> Callable[[Code], None]:
    def prepare(code: Code) -> None:
        first(code)
        second(code)

    return prepare


# ---- windows are written -------------------------------------------------------------------------


class Give:
    """What a window has for the pixels that it covers.

    With `index` it gives its number to one position, else its share to all.
    """

    def __init__(self, code: Code, job: Job, pointers: list[Value], index: bool) -> None:
        self.code, self.job, self.pointers = code, job, pointers
        self.index = index
        self.shares = None if index else _Shares(code, job)

    def load(self, spot: "Spot") -> Callable[[Index], Value]:
        """Load a vector from one window; return the function that says what a position gets."""
        code, job = self.code, self.job
        at = spot.offset(code, job)
        value = code.load(self.pointers[0], at, job.kind, spot.lanes, spot.mask)
        zero = code.constant(0, job.kind, spot.lanes)
        if self.shares is not None:
            value = code.mul(value, code.splat(self.shares.of(spot.places), spot.lanes))
            return lambda position: code.select(code.compare("ge", position, 0), value, zero)
        chosen = _load_index(code, job, self.pointers[1], at, spot)
        return lambda position: code.select(
            code.compare("eq", chosen, _position(code, job, position, spot.lanes)), value, zero
        )


def _write_windows(job: Job, name: str, batch: int, index: bool) -> list[Step]:
    """Write a kernel in which each pixel of an image adds up what its windows give it."""
    operands = [("in0", result_bytes(job)), ("out", image_bytes(job))]
    if index:
        operands.insert(1, ("in1", index_bytes(job)))
    code, pointers = new_kernel(job, operands)
    give = Give(code, job, pointers, index)
    apart = all(k <= s for k, s in zip(job.window.kernel, job.window.strides, strict=True))
    for row, image, *places in each_row(code, job.window.size):
        (_apart if apart else _overlapping)(give, row, image, places)
    size = job.window.size
    return steps(job, name, code, product(size[:2]), product(size), batch, operands)


def _owner(code: Code, job: Job, axis: int, place: Index) -> tuple[Index, Index, Value]:
    """Return the window to which a place belongs, its position there, and whether it has one."""
    window = job.window
    shifted = code.add(place, window.padding[axis][0])
    tap, owner = code.rem(shifted, window.strides[axis]), code.div(shifted, window.strides[axis])
    near = code.compare("lt", tap, window.kernel[axis])
    exists = code.compare("lt", owner, window.outputs[axis])
    covered = code.bitwise("and", near, exists)
    return code.least(owner, window.outputs[axis] - 1), tap, covered


def _apart(give: Give, row: Index, image: Index, places: Sequence[Index]) -> None:
    """Write a row of an image in which each pixel belongs to one window, or to none."""
    code, job = give.code, give.job
    window, width = job.window, job.window.size[2]
    depth, tap_depth, in_depth = _owner(code, job, 0, places[0])
    height, tap_height, in_height = _owner(code, job, 1, places[1])
    covered = code.bitwise("and", in_depth, in_height)
    above = code.add(code.mul(tap_depth, window.kernel[1]), tap_height)
    stride, before, last = window.strides[2], window.padding[2][0], window.outputs[2] - 1
    whole = last * stride - before + stride == width
    first, stop = -(-before // stride), last + whole

    def column(place: Index, simple: bool) -> None:
        start = code.sub(code.mul(place, stride), before)
        low = 0 if simple else code.sub(0, code.least(0, start))
        high: Index = stride
        if not (simple or whole):  # the last window owns all the rest
            rest = code.index(code.sub(width, start))
            high = code.select(code.compare("eq", place, last), rest, code.index(stride))
        pixel = flat(code, window.outputs, image, depth, height, place)
        target = code.add(code.mul(row, width), start)

        def block(channel: Index, lanes: int, mask: Value | None) -> None:
            own = Spot([], [], [depth, height, place], pixel, channel, lanes, mask)
            given = give.load(own)

            def write(tap: Index) -> None:
                inside = code.bitwise("and", covered, code.compare("lt", tap, window.kernel[2]))
                position = code.add(code.mul(above, window.kernel[2]), tap)
                value = given(code.select(inside, code.index(position), code.index(-1)))
                here = Spot(give.pointers, [], [], code.add(target, tap), channel, lanes, mask)
                finish(code, job, here, value)

            if simple and stride <= WRITTEN_OUT:
                for known in range(stride):
                    write(known)
            else:
                with code.loop(low, high) as tap:
                    write(tap)

        each_vector(code, job, block)

    split_loop(code, first, max(first, stop), last + 1, column)


def _overlapping(give: Give, row: Index, image: Index, places: Sequence[Index]) -> None:
    """Write a row of an image in which a pixel may belong to several windows."""
    code, job = give.code, give.job
    with code.loop(0, job.window.size[2]) as column:
        pixel = code.add(code.mul(row, job.window.size[2]), column)

        def blocks(vectors: list[tuple[Index, int, Value | None]]) -> None:
            totals = [
                code.cell(job.kind, lanes, code.constant(0, job.kind, lanes))
                for _, lanes, _ in vectors
            ]
            for owners, position in _owners(code, job, [*places, column]):
                owner = flat(code, job.window.outputs, image, *owners)
                for total, vector in zip(totals, vectors, strict=True):
                    given = give.load(Spot([], [], owners, owner, *vector))
                    total.set(code.add(total.get(), given(position)))
            for total, vector in zip(totals, vectors, strict=True):
                here = Spot(give.pointers, [], [], pixel, *vector)
                finish(code, job, here, total.get())

        each_group(code, job, blocks)


def _owners(code: Code, job: Job, places: Sequence[Index]) -> Iterator[tuple[list[Index], Index]]:
    """Loop over the windows that hold a pixel, in the order of the position it has in them."""
    window = job.window
    with contextlib.ExitStack() as loops:
        owners: list[Index] = []
        position: Any = 0
        for axis, place in enumerate(places):
            stride, kernel = window.strides[axis], window.kernel[axis]
            if stride == kernel == 1 and not any(window.padding[axis]):
                owners.append(place)
                continue
            shifted = code.add(place, window.padding[axis][0])
            low = code.sub(shifted, (window.outputs[axis] - 1) * stride)
            lowest = code.index(code.rem(shifted, stride))
            low = code.select(code.compare("ge", low, 0), code.index(low), lowest)
            high = code.least(kernel, code.add(shifted, 1))
            tap = loops.enter_context(code.loop(low, high, stride))
            owners.append(code.div(code.sub(shifted, tap), stride))
            position = code.add(code.mul(position, kernel), tap)
        yield owners, position


def put_position(job: Job, batch: int) -> list[Step]:
    """Write to `out` each window's number `in0` at its position `in1`, and 0 elsewhere."""
    return _write_windows(job, "put_position", batch, index=True)


def average_pool_gradient(job: Job, batch: int) -> list[Step] | None:
    """Write to `out` the `average_pool_gradient(in0)`; None where `average_pool` has none."""
    return _write_windows(job, "average_pool_gradient", batch, False) if _has_shares(job) else None
