"""Loop over images and the windows that slide over them: what pooling kernels share.

Images are `[batch, *spatial, channels]`; one or two spatial axes are taken as three with leading
ones. Vectors run over channels.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, Index, Value, product, size_of
from minikeras.compiler.native.program import Kernel, Step
from minikeras.ops.windows import Window

Emit = Callable[[Code, Value, Index, Index, Value | None], None]
"""Use a vector of results: the number of the pixel, the first channel, a mask for the last ones."""

_KINDS = ("float32", "float64", *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)))
WRITTEN_OUT = 2  # pixels of a window's row; more would only make the text longer
_UNROLLED = 16  # positions of a window that are written out; longer ones loop


class Job(NamedTuple):
    """What is known of a pooling when its kernel is written."""

    window: Window
    """With three spatial axes."""
    channels: int
    kind: str
    lanes: int
    """Numbers in a full vector."""
    emit: Emit | None = None
    """What is done with results instead of storing them, and so without the operand for them."""
    prepare: Callable[[Code], None] = lambda _: None
    """Called at the entry of the kernel."""
    extra: int = 0
    """Operands of `emit`, which come after the kernel's own."""

    @property
    def index_kind(self) -> str:
        """The dtype of positions within a window."""
        return np.min_scalar_type(int(np.prod(self.window.kernel))).name

    @property
    def wide(self) -> str:
        """The dtype of positions in registers: as wide as numbers, so that masks fit both."""
        return f"uint{8 * max(size_of(self.kind), size_of(self.index_kind))}"


def job(window: Window, channels: int, kind: str, **options: Any) -> Job | None:
    """Describe a pooling; None if it has no kernel: float16, or windows beyond the image."""
    axes = zip(window.size, window.kernel, window.strides, window.padding, window.outputs)  # noqa: B905
    inside = all(low < k and (m - 1) * s - low < n for n, k, s, (low, _), m in axes)
    if kind not in _KINDS or not inside or not channels or max(window.dilation) > 1:
        return None
    more = 3 - len(window.size)
    ones = (1,) * more
    whole = Window(
        ones + window.size,
        ones + window.kernel,
        ones + window.strides,
        ((0, 0),) * more + window.padding,
        (1, 1, 1),
    )
    return Job(whole, channels, kind, machine.host().lanes(kind), **options)


# ---- loops ---------------------------------------------------------------------------------------


class Reach(NamedTuple):
    """Which positions of one axis of a window lie inside the image."""

    start: Index
    """Where position 0 lies, perhaps before the image."""
    low: Index
    high: Index


def reach_of(code: Code, job: Job, axis: int, place: Index, inner: bool = False) -> Reach:
    """Place a window on one axis; `inner` promises that it lies inside the image."""
    size, kernel = job.window.size[axis], job.window.kernel[axis]
    before = job.window.padding[axis][0]
    start = code.sub(code.mul(place, job.window.strides[axis]), before)
    first, stop = interior(job.window, axis)
    if inner or (first == 0 and stop == job.window.outputs[axis]):
        return Reach(start, 0, kernel)
    low = code.sub(0, code.least(0, start)) if first else 0
    return Reach(start, low, code.least(kernel, code.sub(size, start)))


def interior(window: Window, axis: int) -> tuple[int, int]:
    """Return from which place up to which a window lies inside the image on one axis."""
    before, stride = window.padding[axis][0], window.strides[axis]
    last = (window.size[axis] - window.kernel[axis] + before) // stride + 1
    first = -(-before // stride)
    return first, max(first, min(last, window.outputs[axis]))


def split_loop(
    code: Code, first: int, stop: int, end: int, body: Callable[[Index, bool], None]
) -> None:
    """Call `body` for places first..stop, which are simple, and for those around them, up to end.

    The text of either is written once.
    """
    if stop > first:
        with code.loop(first, stop) as place:
            body(place, True)
    around = end - (stop - first)
    if around:
        with code.loop(0, around) as number:
            later = code.add(number, stop - first)
            early = code.compare("lt", number, first)
            known = code.index(number), code.index(later)
            body(code.select(early, *known) if first else later, False)


Vector = tuple[Index, int, Value | None]
"""The first channel, the lanes and the mask of a vector of channels."""


def each_group(code: Code, job: Job, body: Callable[[list[Vector]], None], most: int = 4) -> None:
    """Call `body` with vectors, up to `most` at once, that make up all channels."""
    lanes = job.lanes
    whole = job.channels // lanes
    looped = whole - whole % most if whole > most else 0
    if looped:
        with code.loop(0, looped * lanes, most * lanes) as channel:
            body([(code.add(channel, i * lanes), lanes, None) for i in range(most)])
    last: list[Vector] = [(i * lanes, lanes, None) for i in range(looped, whole)]
    rest = job.channels - whole * lanes
    if rest:
        lanes = 1 << (rest - 1).bit_length()
        mask = None if rest == lanes else code.first_lanes(rest, lanes)
        last.append((job.channels - rest, lanes, mask))
    for i in range(0, len(last), most):
        body(last[i : i + most])


def each_vector(code: Code, job: Job, body: Callable[[Index, int, Value | None], None]) -> None:
    """Call `body` with each vector of channels."""
    each_group(code, job, lambda vectors: body(*vectors[0]), 1)


def each_position(
    code: Code, job: Job, reaches: Sequence[Reach], body: Callable[[Index, Index], None]
) -> None:
    """Call `body` with the number of each position and how far it lies from the window's first."""

    def descend(axis: int, position: Index, pixel: Index, unrolled: int) -> None:
        if axis == 3:
            body(position, code.mul(pixel, job.channels))
            return
        _, low, high = reaches[axis]
        length, size = job.window.kernel[axis], job.window.size[axis]

        def go(tap: Index, unrolled: int) -> None:
            descend(
                axis + 1,
                code.add(code.mul(position, length), tap),
                code.add(code.mul(pixel, size), tap),
                unrolled,
            )

        if isinstance(low, int) and isinstance(high, int) and unrolled * length <= _UNROLLED:
            for known in range(low, high):
                go(known, unrolled * length)
        else:
            with code.loop(low, high) as tap:
                go(tap, unrolled)

    descend(0, 0, 0, 1)


def each_row(code: Code, lengths: Sequence[int]) -> Iterator[tuple[Index, Index, Index, Index]]:
    """Loop over units: yield the row's number, its image, and its place on two axes."""
    depth, height, _ = lengths
    with code.loop(code.begin, code.end) as row:
        above = code.div(row, height)
        yield row, code.div(above, depth), code.rem(above, depth), code.rem(row, height)


def flat(code: Code, lengths: Sequence[int], *places: Index) -> Index:
    """Return the number of a pixel from its image and its places."""
    number = places[0]
    for length, place in zip(lengths, places[1:], strict=True):
        number = code.add(code.mul(number, length), place)
    return number


class Spot(NamedTuple):
    """A vector of results that is being computed."""

    pointers: list[Value]
    reaches: list[Reach]
    """Of its window."""
    places: list[Index]
    """Of its window, on each axis."""
    pixel: Index
    channel: Index
    lanes: int
    mask: Value | None

    def offset(self, code: Code, job: Job) -> Index:
        """Return how far the vector lies from the first of all results."""
        place: Index = code.add(code.mul(self.pixel, job.channels), self.channel)
        return place


Operands = list[tuple[str, int]]
"""The name of each operand, and the bytes that one channel of an image takes in it."""


def new_kernel(job: Job, operands: Operands) -> tuple[Code, list[Value]]:
    """Return a new kernel and the pointers to its operands, the one for results last."""
    if job.emit is not None:
        operands.pop()
    code = Code(len(operands) + job.extra)
    pointers = [code.operand(number) for number in range(len(operands))]
    job.prepare(code)
    return code, pointers


def finish(code: Code, job: Job, spot: Spot, value: Value) -> None:
    """Store a vector of results, unless the caller has other plans."""
    if job.emit is None:
        code.store(value, spot.pointers[-1], spot.offset(code, job), spot.mask)
    else:
        job.emit(code, value, spot.pixel, spot.channel, spot.mask)


def steps(
    job: Job, name: str, code: Code, rows: int, pixels: int, batch: int, operands: Operands
) -> list[Step]:
    """Return the finished kernel: `rows` of an image are units, `pixels` are read or written."""
    moved = sum(size for _, size in operands) * batch * job.channels
    flops = pixels * batch * job.channels
    kernel = Kernel(name, code.finish(), batch * rows, 1, (), flops, moved)
    return [Step(kernel, tuple(operand for operand, _ in operands))]


def image_bytes(job: Job) -> int:
    """Return the bytes of one channel of an image."""
    return product(job.window.size) * size_of(job.kind)


def result_bytes(job: Job) -> int:
    """Return the bytes of one channel of a result."""
    return product(job.window.outputs) * size_of(job.kind)


def index_bytes(job: Job) -> int:
    """Return the bytes of one channel of positions."""
    return product(job.window.outputs) * size_of(job.index_kind)
