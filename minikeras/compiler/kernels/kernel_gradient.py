"""The gradient of a convolution's kernel: every tap's images times the gradient of the result.

Threads share tiles of the result; each tile is summed over all pixels in one order, so the bits do
not depend on how many threads there are. Where tiles are few, the batch is cut into parts as well,
and a second kernel adds them up in order.
"""

from minikeras.compiler.kernels.kernel_sums import Writer
from minikeras.compiler.kernels.kernel_tiles import band_of, sweep_of, tile_of
from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, product, size_of
from minikeras.compiler.native.program import Kernel, Step
from minikeras.ops.windows import Window

KINDS = ("float32", "float64")


def kernel_gradient(
    batch: int, window: Window, channels: int, filters: int, kind: str
) -> list[Step] | None:
    """Lower `conv_kernel_gradient(x, g)`.

    Return None for other than float32 and float64, and for kernels without numbers. Sums run
    within a band of about a hundred pixels or more, then over bands: the error grows with the
    longer of the two, not with the number of pixels.
    """
    if kind not in KINDS or not product(window.kernel) * channels * filters:
        return None
    host, item = machine.host(), size_of(kind)
    sweep = sweep_of(window, channels, filters)
    tile = tile_of(sweep, max(host.vector_bytes // item, 2), host.registers)
    tiles, pixels = tile.count(sweep), batch * product(sweep.outputs)
    length = _part(batch, tiles, 2 * pixels * sweep.numbers)
    parts = max(-(-batch // length), 1)
    read = batch * product(window.size) * channels + pixels * filters
    text = Writer(sweep, tile, band_of(sweep, item, host.l1), kind).text()
    main = Kernel(
        "conv_kernel_gradient",
        text,
        units=tiles * parts,
        grain=1,
        parameters=(batch, length),
        flops=2 * pixels * sweep.numbers,
        moved=(read + parts * sweep.numbers) * item,
    )
    if parts == 1:
        return [Step(main, ("x", "g", "out"))]
    first = Step(main, ("x", "g", "scratch0"), parts * sweep.numbers * item)
    return [first, _total(sweep.numbers, parts, kind, tile.lanes)]


def _part(batch: int, tiles: int, flops: int) -> int:
    """Return how many images are summed at one go, so that up to eight threads have work."""
    enough = tiles >= 16 or tiles % 8 == 0 or flops < 1e6
    return max(batch if enough else -(-batch // 8), 1)


def _total(numbers: int, parts: int, kind: str, lanes: int) -> Step:
    """Add up partial results, each number in the same order."""
    code = Code(2)
    source, out = code.operand(0), code.operand(1)
    with code.loop(code.begin, code.end) as unit:
        start = code.mul(unit, lanes)
        mask = code.first_lanes(code.sub(numbers, start), lanes)
        total = code.cell(kind, lanes, code.constant(0, kind, lanes))
        with code.loop(start, code.mul(code.parameter(0), numbers), numbers) as place:
            total.set(code.add(total.get(), code.load(source, place, kind, lanes, mask)))
        code.store(total.get(), out, start, mask)
    kernel = Kernel(
        "sum of partial gradients",
        code.finish(),
        units=-(-numbers // lanes),
        grain=4,
        parameters=(parts,),
        flops=numbers * parts,
        moved=numbers * (parts + 1) * size_of(kind),
    )
    return Step(kernel, ("scratch0", "out"))
