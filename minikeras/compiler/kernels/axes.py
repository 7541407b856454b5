"""Say which places of a source each place of a convolution's result meets, axis by axis.

The result is an output computed from images, or the gradient of images computed from that of an
output; the kernel is then flipped, so that taps and source places always ascend together.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minikeras.compiler.native.emit import Code, Index
from minikeras.ops.windows import Window

MOST_RUNS = 40
"""More runs at the borders than these are not written out: code would grow beyond its use."""


class Axis(NamedTuple):
    """One axis: place `i` meets source places `(i * advance + shift + tap * step) / skip`.

    Taps for which `skip` does not divide are left out, and so is what lies outside the source.
    """

    length: int
    """Places of the result."""
    size: int
    """Places of the source."""
    taps: int
    advance: int
    shift: int
    step: int
    skip: int = 1

    def start(self, place: int) -> tuple[int, int]:
        """Return the first tap and the source place which it meets, maybe outside the source."""
        at = place * self.advance + self.shift
        tap = -at % self.skip
        return tap, (at + tap) // self.skip

    def bounds(self, place: int) -> tuple[int, int]:
        """Return which of a place's taps, counted from its first, meet the source."""
        tap, at = self.start(place)
        count = -(-(self.taps - tap) // self.skip)
        stop = min(count, (self.size - 1 - at) // self.step + 1)
        first = max(0, -(at // self.step))
        return first, max(first, stop)

    @property
    def inside(self) -> bool:
        """Whether all taps meet the source everywhere."""
        return self.skip == 1 and {self.bounds(i) for i in range(self.length)} <= {(0, self.taps)}


def output_axes(window: Window) -> tuple[Axis, ...]:
    """Return the axes of an output made from images."""
    each = zip(
        window.outputs, window.size, window.kernel, window.strides, window.padding, window.dilation,
        strict=True,
    )  # fmt: skip
    axes = (Axis(out, n, taps, stride, -lo, step) for out, n, taps, stride, (lo, _), step in each)
    return _three(axes)


def image_axes(window: Window) -> tuple[Axis, ...] | None:
    """Return the axes of images' gradient; None where an axis has both strides and dilation."""
    if any(s > 1 and d > 1 for s, d in zip(window.strides, window.dilation, strict=True)):
        return None
    each = zip(
        window.size, window.outputs, window.kernel, window.strides, window.padding, window.spans,
        window.dilation, strict=True,
    )  # fmt: skip
    axes = (
        Axis(n, out, taps, 1, lo - span + 1, step, stride)
        for n, out, taps, stride, (lo, _), span, step in each
    )
    return _three(axes)


def _three(axes: Iterator[Axis]) -> tuple[Axis, ...]:
    given = tuple(axes)
    return (Axis(1, 1, 1, 1, 0, 1),) * (3 - len(given)) + given


# ---- axes over which a loop runs -----------------------------------------------------------------


class Meeting(NamedTuple):
    """What one place of the result meets: taps `tap + q * skip` at source places `at + q * step`.

    `q` runs from `first` up to below `stop`.
    """

    tap: Index
    at: Index
    first: Index
    stop: Index


def meeting(code: Code, axis: Axis, place: Index) -> Meeting:
    """Write what a place meets that is known when the kernel runs."""
    at, tap = code.add(code.mul(place, axis.advance), axis.shift), 0
    if axis.skip > 1:
        # A multiple of `skip` keeps the dividend of the remainder from being negative.
        above = -(-(axis.length + abs(axis.shift)) // axis.skip) * axis.skip
        tap = code.rem(code.sub(above, at), axis.skip)
        at = code.div(code.add(at, tap), axis.skip)
    if axis.inside:
        return Meeting(tap, at, 0, axis.taps)
    count = code.div(code.sub(axis.taps + axis.skip - 1, tap), axis.skip)
    return Meeting(tap, at, *bounds(code, axis, at, count))


def bounds(code: Code, axis: Axis, at: Index, count: Index) -> tuple[Index, Index]:
    """Write which of `count` taps meet the source, the first of them at place `at`."""
    first = _most(code, code.div(code.sub(axis.step - 1, at), axis.step), 0)
    stop = code.div(code.sub(axis.size - 1 + axis.step, at), axis.step)
    return first, code.least(count, stop)


def _most(code: Code, a: Index, b: Index) -> Index:
    most: Index = code.sub(0, code.least(code.sub(0, a), code.sub(0, b)))
    return most


# ---- the last axis, in blocks of pixels ----------------------------------------------------------


class Run(NamedTuple):
    """Consecutive taps that meet the source from the same pixels of a block."""

    first: int
    stop: int
    low: int
    high: int


class Block(NamedTuple):
    """Pixels side by side, computed together; `repeats` such blocks follow each other."""

    first: int
    size: int
    repeats: int
    runs: tuple[Run, ...] | None
    """None: the one pixel's taps are known when the kernel runs."""


class Phase(NamedTuple):
    """The places `start`, `start + skip`… of the last axis: they meet the same taps."""

    start: int
    tap: int
    at: int
    """The source place that the first pixel's first tap meets."""
    advance: int
    blocks: tuple[Block, ...]


def phases(axis: Axis, widest: int, multiple: int = 1) -> Iterator[Phase]:
    """Cut the last axis into phases and these into blocks of at most `widest` pixels.

    Blocks are multiples of some pixels long, and so must the axis be.
    """
    for start in range(min(axis.skip, axis.length)):
        places = range(start, axis.length, axis.skip)
        bounds = [axis.bounds(place) for place in places]
        advance = axis.advance if axis.skip == 1 else 1
        blocks = list(_blocks(bounds, widest, multiple))
        if multiple == 1 and sum(len(block.runs or ()) for block in blocks) > MOST_RUNS:
            blocks = list(_loose_blocks(bounds, widest))
        yield Phase(start, *axis.start(start), advance, tuple(_joined(blocks)))


def sizes(count: int, widest: int, multiple: int = 1) -> list[int]:
    """Cut a row into blocks of nearly the same size."""
    count, widest = count // multiple, max(1, widest // multiple)
    blocks = -(-count // widest)
    return [(count // blocks + (i < count % blocks)) * multiple for i in range(blocks)]


def _blocks(
    bounds: Sequence[tuple[int, int]], widest: int, multiple: int = 1, first: int = 0
) -> Iterator[Block]:
    for size in sizes(len(bounds), widest, multiple):
        yield Block(first, size, 1, _runs(bounds[:size]))
        bounds, first = bounds[size:], first + size


def _loose_blocks(bounds: Sequence[tuple[int, int]], widest: int) -> Iterator[Block]:
    """Take pixels one by one but for those in the middle that meet the same taps."""
    usual = max(set(bounds), key=bounds.count)
    low = bounds.index(usual)
    high = low + bounds.count(usual)
    yield from (Block(i, 1, 1, None) for i in range(low))
    yield from _blocks(bounds[low:high], widest, first=low)
    yield from (Block(i, 1, 1, None) for i in range(high, len(bounds)))


def _runs(bounds: Sequence[tuple[int, int]]) -> tuple[Run, ...]:
    """Group taps by the pixels that meet the source; these lie side by side."""
    runs: list[Run] = []
    for tap in range(max(stop for _, stop in bounds)):
        met = [pixel for pixel, (first, stop) in enumerate(bounds) if first <= tap < stop]
        if not met:
            continue
        low, high = met[0], met[-1] + 1
        if runs and (runs[-1].stop, runs[-1].low, runs[-1].high) == (tap, low, high):
            runs[-1] = runs[-1]._replace(stop=tap + 1)
        else:
            runs.append(Run(tap, tap + 1, low, high))
    return tuple(runs)


def _joined(blocks: Sequence[Block]) -> Iterator[Block]:
    """Join blocks that differ in nothing but their place."""
    last: Block | None = None
    for block in blocks:
        if last and (last.size, last.runs) == (block.size, block.runs):
            last = last._replace(repeats=last.repeats + 1)
            continue
        if last:
            yield last
        last = block
    if last:
        yield last
