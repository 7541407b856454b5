"""Plan memory: buffers that are not needed at the same time share the same bytes."""

from collections.abc import Sequence
from typing import NamedTuple

_LINE = 64


class Life(NamedTuple):
    """A buffer of so many bytes, written first in step `start` and read last in step `end`."""

    bytes: int
    start: int
    end: int


def arrange(lives: Sequence[Life]) -> tuple[list[int], int]:
    """Return the offset of each buffer in one arena, and the arena's size.

    The largest are placed first, each at the lowest offset where it overlaps no buffer that lives
    when it does (greedy by size, Pisarchyk and Lee 2020, arXiv:2001.03288).
    """
    offsets = [0] * len(lives)
    placed: list[int] = []
    for number in sorted(range(len(lives)), key=lambda i: (-lives[i].bytes, lives[i].start)):
        life = lives[number]
        rivals = sorted(
            (offsets[i], offsets[i] + _rounded(lives[i].bytes))
            for i in placed
            if lives[i].start <= life.end and life.start <= lives[i].end
        )
        at = 0
        for low, high in rivals:
            if at + _rounded(life.bytes) <= low:
                break
            at = max(at, high)
        offsets[number] = at
        placed.append(number)
    ends = [at + _rounded(life.bytes) for at, life in zip(offsets, lives, strict=True)]
    return offsets, max(ends, default=0)


def _rounded(bytes: int) -> int:
    return -(-max(bytes, 1) // _LINE) * _LINE
