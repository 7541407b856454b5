"""Write kernels that move numbers: copies between any strides, joining, cutting, padding.

Numbers are copied as bits, so only their size counts: 1, 2, 4 or 8 bytes. Lengths and strides are
parameters: the text says only how many axes there are and how the innermost are crossed.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minikeras.compiler.fusion.views import natural
from minikeras.compiler.kernels.squares import transposed
from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, Index, Value, product
from minikeras.compiler.native.program import Kernel, Step
from minikeras.ops.indexing import whole_key

_UNITS = 64  # enough for shares of one size, few enough to cost nothing
_CHUNK = 16384  # bytes: long rows are cut into such units

# ---- axes ----------------------------------------------------------------------------------------


class Axis(NamedTuple):
    """One axis of a copy: how long it is, and the steps from one number to the next."""

    length: int
    source: int
    target: int


def _canonical(
    shape: Sequence[int], source: Sequence[int], target: Sequence[int]
) -> tuple[list[Axis], int, int]:
    """Return as few axes as do, outermost of the target first, and how far the starts move.

    Axes of length 1 vanish, backward ones of the target turn round, neighbours that lie alike in
    both arrays merge.
    """
    axes, source_start, target_start = [], 0, 0
    for length, read, written in zip(shape, source, target, strict=True):
        if written < 0:
            source_start += (length - 1) * read
            target_start += (length - 1) * written
            read, written = -read, -written
        if length > 1:
            axes.append(Axis(length, read, written))
    axes.sort(key=lambda axis: -axis.target)
    merged: list[Axis] = []
    for axis in axes:
        if merged:
            above = merged[-1]
            if above[1:] == (axis.source * axis.length, axis.target * axis.length):
                merged[-1] = axis._replace(length=above.length * axis.length)
                continue
        merged.append(axis)
    return merged or [Axis(1, 1, 1)], source_start, target_start


# ---- rows ----------------------------------------------------------------------------------------

Vector = Callable[[Index, int], Value]
"""Load some numbers of a row, from the given one on."""


def write_row(code: Code, size: int, target: Value, count: Index, load: Vector) -> None:
    """Store `count` numbers side by side, by vectors, then by short ones, or one by one.

    The last vector overlaps the one before.
    """
    full = machine.host().vector_bytes // size
    count = code.index(count)
    below: Value | None = None
    for lanes in (full, *([8] if full > 8 else []), 1):
        enough = code.compare("ge", count, lanes)
        here = enough if below is None else code.bitwise("and", enough, below)
        with code.when(here):
            last = code.sub(count, lanes)
            with code.loop(0, count, lanes) as start:
                start = code.least(start, last)
                code.store(load(start, lanes), target, start)
        below = code.compare("lt", count, lanes)


def _forward(code: Code, size: int, source: Value) -> Vector:
    return lambda start, lanes: code.load(source, start, _kind(size), lanes)


def _backward(code: Code, size: int, source: Value) -> Vector:
    """Load numbers that lie before `source`, the nearest first."""

    def load(start: Index, lanes: int) -> Value:
        vector = code.load(source, code.sub(1 - lanes, start), _kind(size), lanes)
        return vector if lanes == 1 else code.shuffle(vector, vector, range(lanes)[::-1])

    return load


def _same(code: Code, value: Value) -> Vector:
    return lambda _, lanes: code.splat(value, lanes)


def _kind(size: int) -> str:
    return f"uint{8 * size}"


# ---- copies --------------------------------------------------------------------------------------


class _Copy:
    """The kernel of one copy. Parameters: where both arrays begin, then all axes."""

    def __init__(self, axes: Sequence[Axis], size: int) -> None:
        self.axes, self.size, self.kind = axes, size, _kind(size)
        self.code = Code(2)
        self.source, self.target = (
            self.code.at(self.code.operand(i), self.code.parameter(i), self.kind) for i in range(2)
        )

    def axis(self, number: int) -> tuple[Value, Value, Value]:
        """Return the length of an axis and its strides in both arrays."""
        first = 2 + 3 * number
        length, read, written = (self.code.parameter(first + i) for i in range(3))
        return length, read, written

    def down(self, unit: Index, numbers: Sequence[int]) -> tuple[Value, Value]:
        """Return where a unit begins in both arrays, if it is a place on these axes."""
        code, source, target = self.code, self.source, self.target
        for number in reversed(numbers):
            length, read, written = self.axis(number)
            place = unit if number == numbers[0] else code.rem(unit, length)
            unit = unit if number == numbers[0] else code.div(unit, length)
            source = code.at(source, code.mul(place, read), self.kind)
            target = code.at(target, code.mul(place, written), self.kind)
        return source, target

    def loop(self, number: int, source: Value, target: Value) -> Any:
        """Loop over an axis; yield where each of its places begins in both arrays."""

        @contextlib.contextmanager
        def places() -> Any:
            code = self.code
            length, read, written = self.axis(number)
            with code.loop(0, length) as place:
                yield (
                    code.at(source, code.mul(place, read), self.kind),
                    code.at(target, code.mul(place, written), self.kind),
                )

        return places()

    def step(self, name: str, starts: tuple[int, int], units: int, more: Sequence[int]) -> Step:
        """Return the finished kernel."""
        flat = [number for axis in self.axes for number in axis]
        count = product([axis.length for axis in self.axes])
        moved = (1 + any(axis.source for axis in self.axes)) * count * self.size
        grain = max(1, min(units, 4096 * units // (count * self.size)))
        parameters = (*starts, *flat, *more)
        kernel = Kernel(name, self.code.finish(), units, grain, parameters, 0, moved)
        return Step(kernel, ("in0", "out"))


def strided_copy(
    shape: Sequence[int],
    source_strides: Sequence[int],
    target_strides: Sequence[int],
    size: int,
    source_offset: int = 0,
    target_offset: int = 0,
    name: str = "copy",
) -> list[Step]:
    """Copy numbers of `size` bytes from `in0` to `out`; strides and offsets count numbers.

    Strides of the source may be 0 or negative; no place of the target is written twice.
    """
    if not product(shape):
        return []
    axes, *moves = _canonical(shape, source_strides, target_strides)
    starts = (source_offset + moves[0], target_offset + moves[1])
    last = axes[-1]
    if last.target == 1 and last.source in (1, 0, -1):
        return [_by_rows(name, axes, starts, size)]
    side = _side(size)
    turned = [axis for axis in axes[:-1] if axis.source == 1 and axis.length >= side]
    if last.target == 1 and last.length >= side and turned:
        axes.remove(turned[-1])
        axes.insert(-1, turned[-1])
        return [_by_tiles(name, axes, starts, size)]
    if len(axes) > 1 and axes[-2].length > last.length:
        axes[-2:] = reversed(axes[-2:])  # loops over few numbers cost more
    return [_one_by_one(name, axes, starts, size)]


def _unit_axes(axes: Sequence[Axis], inner: int) -> int:
    """Return how many of the outer axes it takes to have enough units."""
    outer = len(axes) - inner
    number = 0
    while number < outer and product([axis.length for axis in axes[:number]]) < _UNITS:
        number += 1
    return number


def _by_rows(name: str, axes: Sequence[Axis], starts: tuple[int, int], size: int) -> Step:
    """Copy rows that are contiguous in the target, and forward, backward or one in the source."""
    copy = _Copy(axes, size)
    code, last = copy.code, len(axes) - 1
    stride, length = axes[last].source, copy.axis(last)[0]
    make = {1: _forward, -1: _backward}.get(stride)

    def row(source: Value, target: Value, count: Index) -> None:
        if make is not None:
            write_row(code, size, target, count, make(code, size, source))
        else:
            write_row(code, size, target, count, _same(code, code.load(source, 0, copy.kind)))

    outer = product([axis.length for axis in axes[:-1]])
    if outer < _UNITS and axes[last].length * size > _CHUNK:
        chunk = _CHUNK // size
        chunks = -(-axes[last].length // chunk)
        many = code.parameter(2 + 3 * len(axes))
        with code.loop(code.begin, code.end) as unit:
            source, target = copy.down(code.div(unit, many), range(last))
            first = code.mul(code.rem(unit, many), chunk)
            source = code.at(source, code.mul(first, stride), copy.kind)
            target = code.at(target, first, copy.kind)
            row(source, target, code.least(chunk, code.sub(length, first)))
        return copy.step(name, starts, outer * chunks, (chunks,))
    number = _unit_axes(axes, 1)
    with code.loop(code.begin, code.end) as unit, contextlib.ExitStack() as loops:
        source, target = copy.down(unit, range(number))
        for axis in range(number, last):
            source, target = loops.enter_context(copy.loop(axis, source, target))
        row(source, target, length)
    return copy.step(name, starts, product([axis.length for axis in axes[:number]]), ())


def _one_by_one(name: str, axes: Sequence[Axis], starts: tuple[int, int], size: int) -> Step:
    """Copy number by number."""
    copy = _Copy(axes, size)
    number, code = _unit_axes(axes, 1), copy.code
    with code.loop(code.begin, code.end) as unit, contextlib.ExitStack() as loops:
        source, target = copy.down(unit, range(number))
        for axis in range(number, len(axes)):
            source, target = loops.enter_context(copy.loop(axis, source, target))
        code.store(code.load(source, 0, copy.kind), target, 0)
    return copy.step(name, starts, product([axis.length for axis in axes[:number]]), ())


# ---- tiles ---------------------------------------------------------------------------------------


def _side(size: int) -> int:
    """Return the length of the squares that are turned in registers."""
    return min(16, machine.host().vector_bytes // size)


def _by_tiles(name: str, axes: Sequence[Axis], starts: tuple[int, int], size: int) -> Step:
    """Turn squares: the last axis is contiguous in the target, that before it in the source.

    Squares at the end overlap those before. A unit is a row of squares of the target.
    """
    copy, side = _Copy(axes, size), _side(size)
    code, outer = copy.code, len(axes) - 2
    rows, _, row_stride = copy.axis(outer)
    columns, column_stride, _ = copy.axis(outer + 1)
    strips = code.parameter(2 + 3 * len(axes))
    with code.loop(code.begin, code.end) as unit:
        source, target = copy.down(code.div(unit, strips), range(outer))
        row = code.least(code.mul(code.rem(unit, strips), side), code.sub(rows, side))
        source = code.at(source, row, copy.kind)
        target = code.at(target, code.mul(row, row_stride), copy.kind)
        with code.loop(0, columns, side) as column:
            column = code.least(column, code.sub(columns, side))
            place = code.at(source, code.mul(column, column_stride), copy.kind)
            square = []
            for _ in range(side):
                square.append(code.load(place, 0, copy.kind, side))
                place = code.at(place, column_stride, copy.kind)
            place = code.at(target, column, copy.kind)
            for vector in transposed(code, square):
                code.store(vector, place, 0)
                place = code.at(place, row_stride, copy.kind)
    count = -(-axes[outer].length // side)
    units = product([axis.length for axis in axes[:outer]]) * count
    return copy.step(name, starts, units, (count,))


# ---- one number ----------------------------------------------------------------------------------


def fill(count: int, size: int, offset: int = 0, bits: int = 0) -> list[Step]:
    """Put one number, zero or that of the given bits, `count` times into `out`."""
    if not count:
        return []
    code = Code(1)
    target = code.at(code.operand(0), code.parameter(0), _kind(size))
    length, put = code.parameter(1), code.convert(code.parameter(2), _kind(size))
    chunk = _CHUNK // size
    with code.loop(code.begin, code.end) as unit:
        first = code.mul(unit, chunk)
        place = code.at(target, first, _kind(size))
        write_row(code, size, place, code.least(chunk, code.sub(length, first)), _same(code, put))
    parameters = (offset, count, bits)
    kernel = Kernel("fill", code.finish(), -(-count // chunk), 1, parameters, 0, count * size)
    return [Step(kernel, ("out",))]


# ---- padding -------------------------------------------------------------------------------------


class Margin(NamedTuple):
    """What one axis of a padded array consists of."""

    before: int
    length: int
    after: int


def place_slice(shape: Sequence[int], key: Sequence[Any], size: int) -> list[Step]:
    """Write zeros of `shape` into `out`, and `in0` where `key` says: `out[key] = in0`."""
    fake = np.lib.stride_tricks.as_strided(np.empty((), np.int8), shape, natural(shape))
    part = fake[tuple(key) if Ellipsis in key else (*key, ...)]  # never a scalar
    if not part.size:
        return fill(product(shape), size)
    margins = _margins(shape, key)
    if margins is not None:
        return pad(margins, size)
    start = part.__array_interface__["data"][0] - fake.__array_interface__["data"][0]
    copies = strided_copy(part.shape, natural(part.shape), part.strides, size, 0, start, "place")
    return [*fill(product(shape), size), *copies]


def _margins(shape: Sequence[int], key: Sequence[Any]) -> list[Margin] | None:
    """Return what lies around the part that a key selects; None if that part has gaps."""
    parts = [part for part in whole_key(key, len(shape)) if part is not None]
    margins = []
    for part, length in zip(parts, shape, strict=True):
        places = range(length)[part] if isinstance(part, slice) else range(length)[part:][:1]
        if len(places) > 1 and places.step != 1:
            return None
        margins.append(Margin(places[0], len(places), length - places[0] - len(places)))
    return margins


def pad(margins: Sequence[Margin], size: int) -> list[Step]:
    """Copy `in0` into `out` with zeros around it."""
    merged: list[Margin] = []
    for margin in margins:
        before, length, after = margin
        if merged and not before and not after:
            merged[-1] = Margin(*(number * length for number in merged[-1]))
        else:
            merged.append(margin)
    if len(merged) > 1:
        return [_padded_rows(merged, size)]
    before, length, after = merged[0] if merged else Margin(0, 1, 0)
    return [
        *fill(before, size),
        *strided_copy([length], [1], [1], size, 0, before, "pad"),
        *fill(after, size, before + length),
    ]


def _padded_rows(margins: Sequence[Margin], size: int) -> Step:
    """Write a row after the other: zeros, numbers, zeros. A unit is a row.

    Parameters: for each axis what it consists of.
    """
    code, kind = Code(2), _kind(size)
    source, target = code.operand(0), code.operand(1)
    numbers = [[code.parameter(3 * axis + i) for i in range(3)] for axis in range(len(margins))]
    before, length, after = numbers[-1]
    width = code.add(code.add(before, length), after)
    nothing, zero = code.index(0), code.constant(0, kind)
    with code.loop(code.begin, code.end) as unit:
        rest: Index = unit
        inside, row, rows = code.constant(True, "bool"), nothing, code.index(1)
        for lead, inner, trail in reversed(numbers[:-1]):
            whole = code.add(code.add(lead, inner), trail)
            place = code.sub(code.rem(rest, whole), lead)
            rest = code.div(rest, whole)
            for how, bound in (("ge", nothing), ("lt", inner)):
                inside = code.bitwise("and", inside, code.compare(how, place, bound))
            row, rows = code.add(row, code.mul(place, rows)), code.mul(rows, inner)
        first = code.select(inside, before, width)
        middle, last = code.select(inside, length, nothing), code.select(inside, after, nothing)
        place = code.at(target, code.mul(unit, width), kind)
        write_row(code, size, place, first, _same(code, zero))
        place = code.at(place, first, kind)
        taken = code.at(source, code.mul(row, length), kind)
        write_row(code, size, place, middle, _forward(code, size, taken))
        place = code.at(place, middle, kind)
        write_row(code, size, place, last, _same(code, zero))
    units = product([sum(margin) for margin in margins[:-1]])
    count, moved = units * sum(margins[-1]), product([margin.length for margin in margins])
    grain = max(1, min(units, 4096 * units // max(1, count * size)))
    flat = tuple(number for margin in margins for number in margin)
    kernel = Kernel("pad", code.finish(), units, grain, flat, 0, (count + moved) * size)
    return Step(kernel, ("in0", "out"))
