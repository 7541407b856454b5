"""Say how a loop goes over memory: axes that all its views cross alike become one."""

from collections.abc import Sequence
from typing import NamedTuple

from minikeras.compiler.native.emit import Code, Index


class Axes(NamedTuple):
    """Lengths of the axes of a loop, and the strides of each view along them."""

    lengths: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]


def merged(lengths: Sequence[int], strides: Sequence[Sequence[int]]) -> Axes:
    """Merge neighbouring axes where every view crosses both as if they were one."""
    kept: list[int] = []
    rows: list[list[int]] = [[] for _ in strides]
    for axis, length in enumerate(lengths):
        if length == 1:
            continue
        if kept and all(
            row[-1] == each[axis] * length for row, each in zip(rows, strides, strict=True)
        ):
            kept[-1] *= length
            for row, each in zip(rows, strides, strict=True):
                row[-1] = each[axis]
            continue
        kept.append(length)
        for row, each in zip(rows, strides, strict=True):
            row.append(each[axis])
    return Axes(tuple(kept), tuple(map(tuple, rows)))


def coordinates(code: Code, number: Index, lengths: Sequence[int]) -> list[Index]:
    """Split a flat index into one for each axis; the first axis may be of any length."""
    found: list[Index] = []
    for length in reversed(lengths[1:]):
        found.append(code.rem(number, length))
        number = code.div(number, length)
    return [number, *reversed(found)] if lengths else []


def place(code: Code, offset: int, at: Sequence[Index], strides: Sequence[int]) -> Index:
    """Return the index in memory of the element at the coordinates `at`."""
    total: Index = offset
    for index, stride in zip(at, strides, strict=True):
        total = code.add(total, code.mul(index, stride))
    return total
