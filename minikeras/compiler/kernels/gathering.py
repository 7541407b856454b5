"""Write kernels that take, put and add up rows where integers say.

Arrays are seen as `[outer, rows…, inner]`. Lengths are parameters. A negative index counts from the
end; one outside sets the number `flag` to 1 and is taken as 0: the caller, who cleared the flag,
runs the primitive in NumPy, which says what is wrong. Updates of one place are done in order.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minikeras.compiler.fusion.views import natural
from minikeras.compiler.kernels.moving import Vector, fill, strided_copy, write_row
from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, Index, Value, product, size_of
from minikeras.compiler.native.program import Kernel, Step
from minikeras.core.graph import Slot
from minikeras.ops.indexing import whole_key

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
_NUMBERS = ("float32", "float64", "uint64", *_INTEGERS)


class Rows(NamedTuple):
    """Which rows of an array integers select.

    With several `lengths` there are as many integers for each row, which lie `selected` apart.
    """

    outer: int
    lengths: tuple[int, ...]
    inner: int
    selected: int
    """How many rows are selected, in each of `outer`."""
    index_kind: str

    @property
    def parameters(self) -> tuple[int, ...]:
        """What the record holds."""
        return (self.selected, self.inner, *self.lengths)


def along(shape: Sequence[int], axis: int, count: int, index_kind: str) -> Rows:
    """Describe what `take` reads, and `add_rows` writes, of an array of `shape`."""
    outer, inner = product(shape[:axis]), product(shape[axis + 1 :])
    return Rows(outer, (shape[axis],), inner, count, index_kind)


def keyed(shape: Sequence[int], key: Sequence[Any], count: int, index_kind: str) -> Rows | None:
    """Describe what `gather` reads with a key.

    None unless its tensors stand side by side and in order, among whole axes.
    """
    parts = whole_key(key, len(shape))
    first = next((i for i, part in enumerate(parts) if isinstance(part, Slot)), len(parts))
    slots = [part.index for part in parts[first:] if isinstance(part, Slot)]
    end = first + len(slots)
    whole = all(part == slice(None) for part in parts[:first] + parts[end:])
    if not whole or slots != list(range(len(slots))) or not slots:
        return None
    lengths = tuple(shape[first:end])
    return Rows(product(shape[:first]), lengths, product(shape[end:]), count, index_kind)


def _known(rows: Rows, kind: str | None = None) -> bool:
    """Tell whether there is a kernel: not for empty tables, uint64 indices, sums in float16."""
    some = all(rows.lengths) and rows.index_kind in _INTEGERS
    return some and (kind is None or kind in _NUMBERS)


class _Table:
    """A kernel that meets rows by indices."""

    def __init__(self, rows: Rows, operands: Sequence[str], indices: str) -> None:
        self.rows, self.operands = rows, tuple(operands)
        self.code = code = Code(len(operands))
        self.pointers = {name: code.operand(i) for i, name in enumerate(operands)}
        self.indices = self.pointers[indices]
        count, inner, *lengths = (code.parameter(i) for i in range(2 + len(rows.lengths)))
        self.count, self.inner, self.lengths = count, inner, lengths
        self.total = functools.reduce(code.mul, lengths)

    def index(self, place: Index) -> Index:
        """Return the row that the indices at a place mean, 0 if it does not exist."""
        code = self.code
        found: Index = 0
        for i, length in enumerate(self.lengths):
            at = code.add(place, code.mul(self.count, i))
            given = code.convert(code.load(self.indices, at, self.rows.index_kind), "int64")
            negative = code.compare("lt", given, 0)
            here = code.select(negative, code.add(given, length), given)
            low, high = code.compare("lt", here, 0), code.compare("ge", here, length)
            outside = code.bitwise("or", low, high)
            with code.when(outside):
                code.store(code.constant(1, "int64"), self.pointers["flag"], 0)
            here = code.select(outside, code.index(0), here)
            found = code.add(code.mul(found, length), here)
        return found

    def selections(self) -> Iterator[tuple[Index, Index]]:
        """Loop over units: yield places of `outer` and of the selection."""
        code = self.code
        with code.loop(code.begin, code.end) as unit:
            if self.rows.outer == 1:
                yield code.index(0), unit
            else:
                with code.loop(0, self.count) as number:
                    yield unit, number

    def step(self, name: str, size: int, units: int, more: Sequence[int] = ()) -> Step:
        """Return the finished kernel."""
        rows = self.rows
        moved = 2 * rows.outer * rows.selected * rows.inner * size
        grain = max(1, min(units, 4096 * units // max(1, moved)))
        parameters = (*rows.parameters, *more)
        kernel = Kernel(name, self.code.finish(), units, grain, parameters, 0, moved)
        return Step(kernel, self.operands)


def _units(rows: Rows) -> int:
    return rows.selected if rows.outer == 1 else rows.outer


_FAR = 512
"""Bytes of rows from which on it pays to ask for the next one, which no processor foresees."""


# ---- reading -------------------------------------------------------------------------------------


def take(rows: Rows, size: int) -> list[Step] | None:
    """Write the rows of `in0` that the integers `in1` select, of `size` bytes a number."""
    if not _known(rows):
        return None
    table = _Table(rows, ("in0", "in1", "out", "flag"), "in1")
    code, kind = table.code, f"uint{8 * size}"
    source, target = table.pointers["in0"], table.pointers["out"]
    for outer, number in table.selections():
        found = code.add(code.mul(outer, table.total), table.index(number))
        place = code.add(code.mul(outer, table.count), number)
        if rows.inner == 1:
            code.store(code.load(source, found, kind), target, place)
            continue
        here = code.at(source, code.mul(found, table.inner), kind)
        there = code.at(target, code.mul(place, table.inner), kind)
        then = None
        if rows.inner * size >= _FAR:
            following = table.index(code.least(code.add(number, 1), code.sub(table.count, 1)))
            following = code.add(code.mul(outer, table.total), following)
            then = code.at(source, code.mul(following, table.inner), kind)
        write_row(code, size, there, table.inner, _fetching(code, kind, here, then))
    return [table.step("take", size, _units(rows))]


def _fetching(code: Code, kind: str, row: Value, following: Value | None) -> Vector:
    """Load parts of a row, and ask for those of the row that follows."""

    def load(start: Index, lanes: int) -> Value:
        if following is not None:
            code.prefetch(code.at(following, start, kind))
        return code.load(row, start, kind, lanes)

    return load


def _alike(shape: Sequence[int], indices: Sequence[int], axis: int) -> bool:
    """Tell whether shapes differ along an axis only, so that nothing broadcasts."""
    return all(i == axis or n == m for i, (n, m) in enumerate(zip(shape, indices, strict=True)))


def take_along_axis(
    shape: Sequence[int], indices: Sequence[int], axis: int, index_kind: str, size: int
) -> list[Step] | None:
    """Write `take_along_axis(in0, in1)`; None if the shapes broadcast."""
    rows = along(shape, axis, indices[axis], index_kind)
    if not _known(rows) or not _alike(shape, indices, axis):
        return None
    table = _Table(rows, ("in0", "in1", "out", "flag"), "in1")
    code, kind = table.code, f"uint{8 * size}"
    for outer, number in table.selections():
        start = code.mul(code.add(code.mul(outer, table.count), number), table.inner)
        with code.loop(0, table.inner) as column:
            place = code.add(start, column)
            found = code.add(code.mul(outer, table.total), table.index(place))
            at = code.add(code.mul(found, table.inner), column)
            code.store(code.load(table.pointers["in0"], at, kind), table.pointers["out"], place)
    return [table.step("take_along_axis", size, _units(rows))]


def _bits(value: Any, kind: np.dtype[Any]) -> int:
    """Return the bits of a number as an i64 that a record can hold."""
    return int(np.asarray(value, kind).reshape(1).view(f"i{kind.itemsize}")[0])


# ---- adding up -----------------------------------------------------------------------------------

_START: dict[str, Callable[[Any], Any]] = {
    "add": lambda _: 0,
    "multiply": lambda _: 1,
    "maximum": lambda limits: limits.min,
    "minimum": lambda limits: limits.max,
}


def _combined(code: Code, how: str, old: Value, new: Value) -> Value:
    if how == "put":
        return new
    if how in ("add", "multiply"):
        total: Value = code.add(old, new) if how == "add" else code.mul(old, new)
        return total
    better = code.compare("gt" if how == "maximum" else "lt", new, old)
    if new.floating:  # NaN stays, and comes in
        better = code.bitwise("or", better, code.compare("ne", new, new))
    return code.select(better, new, old)


def combine_rows(rows: Rows, kind: str, how: str = "add") -> list[Step] | None:
    """Reduce the rows of `in0` that have the same index in `in1`, rows without any left as begun.

    `how` is `"add"` (of `add_rows`, `scatter_add`), `"multiply"`, `"maximum"` or `"minimum"` (of
    the segments); rows without any are then 0, 1, the lowest or the highest number.
    """
    if not _known(rows, kind):
        return None
    dtype = np.dtype(kind)
    start = _START[how](np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype))
    count = rows.outer * product(rows.lengths) * rows.inner
    begun = fill(count, dtype.itemsize, 0, _bits(start, dtype))
    return [*begun, _updates(rows, kind, how, ("in0", "in1"))]


def set_rows(rows: Rows, kind: str) -> list[Step] | None:
    """Write `in0` with the rows `in1` at the places `in2`, the last of those at one place."""
    if not _known(rows, kind):
        return None
    shape, size = (product(rows.lengths) * rows.inner,), size_of(kind)
    copied = strided_copy(shape, natural(shape), natural(shape), size)
    return [*copied, _updates(rows, kind, "put", ("in1", "in2"))]


_BAND = 4  # vectors that go through the updates together, where rows are long enough for more


def _updates(rows: Rows, kind: str, how: str, names: tuple[str, str]) -> Step:
    """Go through all updates in order; a unit is a band of columns of one table.

    A band is some vectors, or less where a row is short, so that there is work for two threads.
    """
    table = _Table(rows, (*names, "out", "flag"), names[1])
    code, values, target = table.code, table.pointers[names[0]], table.pointers["out"]
    full = machine.host().lanes(kind)
    lanes = min(full, 1 << (max(1, rows.inner // 2).bit_length() - 1))
    vectors = _BAND if rows.inner >= 2 * _BAND * full else 1
    bands = code.parameter(2 + len(rows.lengths))

    def update(outer: Index, column: Index, lanes: int, vectors: int = 1) -> None:
        first = code.mul(outer, table.count)
        with code.loop(0, table.count) as number:
            found = code.add(code.mul(outer, table.total), table.index(number))
            at = code.add(code.mul(found, table.inner), column)
            given = code.add(code.mul(code.add(first, number), table.inner), column)
            for start in range(0, lanes * vectors, lanes):
                new = code.load(values, code.add(given, start), kind, lanes)
                old = code.load(target, code.add(at, start), kind, lanes)
                code.store(_combined(code, how, old, new), target, code.add(at, start))

    with code.loop(code.begin, code.end) as unit:
        outer = code.div(unit, bands)
        column = code.mul(code.rem(unit, bands), lanes * vectors)
        end = code.least(code.add(column, lanes * vectors), table.inner)
        if vectors > 1:
            whole = code.compare("eq", code.sub(end, column), lanes * vectors)
            with code.when(whole):
                update(outer, column, lanes, vectors)
            column = code.select(whole, end, column)
        if lanes > 1:
            rest = code.sub(end, code.rem(code.sub(end, column), lanes))
            with code.loop(column, rest, lanes) as start:
                update(outer, start, lanes)
            column = rest
        with code.loop(column, end) as single:
            update(outer, single, 1)
    count = -(-rows.inner // (lanes * vectors))
    name = {"add": "add_rows", "put": "set_rows"}.get(how, f"segments: {how}")
    return table.step(name, size_of(kind), rows.outer * count, (count,))


def add_along(
    shape: Sequence[int], indices: Sequence[int], axis: int, index_kind: str, kind: str
) -> list[Step] | None:
    """Write zeros plus `in0` where `in1` says along an axis; None if the shapes broadcast."""
    rows = along(shape, axis, indices[axis], index_kind)
    if not _known(rows, kind) or not _alike(shape, indices, axis):
        return None
    table = _Table(rows, ("in0", "in1", "out", "flag"), "in1")
    code, values, target = table.code, table.pointers["in0"], table.pointers["out"]

    def update(outer: Index, number: Index, column: Index) -> None:
        place = code.add(code.mul(outer, table.count), number)
        place = code.add(code.mul(place, table.inner), column)
        found = code.add(code.mul(outer, table.total), table.index(place))
        at = code.add(code.mul(found, table.inner), column)
        total = code.add(code.load(target, at, kind), code.load(values, place, kind))
        code.store(total, target, at)

    with code.loop(code.begin, code.end) as unit, code.loop(0, table.count) as number:
        if rows.outer == 1:
            update(code.index(0), number, unit)
        else:
            with code.loop(0, table.inner) as column:
                update(unit, number, column)
    units = rows.inner if rows.outer == 1 else rows.outer
    zeros = fill(product(shape), size_of(kind))
    return [*zeros, table.step("add_along", size_of(kind), units)]
