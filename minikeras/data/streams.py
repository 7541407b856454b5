"""Reorder, repeat and group any stream of items; what the items are does not matter here.

A source is a function that begins the stream anew and returns an iterator.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

Source = Callable[[], Iterator[Any]]

_WORDS = 1024  # random words drawn at a time: one by one would cost a call each


def shuffled(items: Iterator[Any], size: int, seed: int, epoch: int) -> Iterator[Any]:
    """Yield `items` in random order out of a buffer of `size`, as tf.data does.

    The order depends on nothing but `seed` and `epoch`: it is made of raw words of Philox, which
    NumPy promises never to change, unlike what it computes from them.
    """
    bits = np.random.Philox(key=np.array([seed % 2**64, epoch], np.uint64))
    buffer = list(islice(items, size))
    words: list[int] = []
    for item in items:
        words = words or bits.random_raw(_WORDS).tolist()
        place = words.pop() % size
        yield buffer[place]
        buffer[place] = item
    for place in np.argsort(bits.random_raw(len(buffer)), kind="stable"):
        yield buffer[place]


def repeated(source: Source, count: int) -> Iterator[Any]:
    """Yield the stream `count` times, without end if negative; stop if it is empty."""
    while count:
        empty = True
        for item in source():
            empty = False
            yield item
        if empty:
            return
        count -= 1


def chunks(items: Iterator[Any], size: int, drop_remainder: bool) -> Iterator[list[Any]]:
    """Yield lists of `size` items; the last may be shorter unless it is dropped."""
    while chunk := list(islice(items, size)):
        if len(chunk) == size or not drop_remainder:
            yield chunk


def windows(
    items: Iterator[Any], size: int, shift: int, stride: int, drop_remainder: bool
) -> Iterator[list[Any]]:
    """Yield lists of `size` items `stride` apart, each beginning `shift` after the one before."""
    span = (size - 1) * stride + 1
    buffer: list[Any] = []
    while True:
        buffer += islice(items, span - len(buffer))
        if not buffer or (drop_remainder and len(buffer) < span):
            return
        yield buffer[:span:stride]
        for _ in islice(items, max(0, shift - len(buffer))):
            pass
        del buffer[:shift]


def interleaved(
    items: Iterator[Any], expand: Callable[[Any], Iterator[Any]], cycle: int, block: int
) -> Iterator[Any]:
    """Yield `block` items from each of `cycle` expanded items in turn, opening the next at ends."""
    slots: list[Iterator[Any] | None] = [None] * cycle
    place, more = 0, True
    while more or any(slot is not None for slot in slots):
        slot = slots[place]
        if slot is None and more:
            for item in islice(items, 1):
                slot = expand(item)
            more = slot is not None
        taken = 0
        for item in islice(slot or (), block):
            taken += 1
            yield item
        slots[place] = slot if taken == block else None
        place = (place + 1) % cycle


def cached(source: Source) -> Source:
    """Return a source that keeps what the first complete pass yields and repeats it."""
    kept: list[list[Any]] = []

    def items() -> Iterator[Any]:
        if kept:
            yield from kept[0]
            return
        seen = []
        for item in source():
            seen.append(item)
            yield item
        kept[:] = [seen]

    return items
