"""Matrix products: choose, for lengths, layout and host, how the tiles of a kernel look.

>>> work = matmul(Matrix(128, 784, 784, 1), Matrix(784, 10, 10, 1), "float32")
>>> [(step.kernel.name, step.operands) for step in work.steps]
[('matmul', ('a', 'b', 'out'))]

The speeds in comments are GFLOP/s of one core that can do 250 (AVX-512, 1 MiB of L2). BLAS is
nowhere faster by more than noise, and so never called.
"""

from typing import NamedTuple

from minikeras.compiler.kernels.product_form import Epilogue as Epilogue
from minikeras.compiler.kernels.product_form import Matrix as Matrix
from minikeras.compiler.kernels.product_form import Tiles
from minikeras.compiler.kernels.product_panels import gather_text
from minikeras.compiler.kernels.product_tiles import text
from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import size_of
from minikeras.compiler.native.program import Kernel, Step

_PAGE = 4096
"""Lines so many bytes apart, or a multiple of it, share few places in the caches."""
_PANEL = 60 << 10
"""Bytes of the stack for a panel at most."""


class Work(NamedTuple):
    """Kernels to be run one after the other, and the bytes of "scratch0", "scratch1"…"""

    steps: list[Step]
    scratch: list[int]


def matmul(
    a: Matrix, b: Matrix, kind: str, batch: int = 1, epilogue: Epilogue | None = None
) -> Work:
    """Multiply matrices `a @ b`, or batches of them, in float32 or float64.

    The rows of `a`, and the depth where no stride depends on it, as in `x^T @ g`, are no part of
    the text: they only decide, roughly, which form the kernel has. Without epilogue the product is
    stored to "out".
    """
    names: tuple[str, ...] = ("a", "b")
    if b.columns == 1 and a.column_stride != 1 and not epilogue:
        a, b, names = _turned(b), _turned(a), ("b", "a")  # a row lies in memory as a column does
    tiles = tiles_for(a, b, kind, batch)
    blocks, size, count = -(-a.rows // tiles.rows), size_of(kind), batch * a.rows * b.columns
    parameters = (a.rows, a.columns) if tiles.open_depth else (a.rows,)
    steps, scratch = [], []
    if tiles.gathered:
        copy = Kernel("gather", gather_text(tiles), batch * blocks, 1, parameters)
        steps.append(Step(copy, (names[0], "scratch0")))
        scratch.append(batch * blocks * tiles.rows * a.columns * size)
        names = ("scratch0", names[1])
    if not epilogue:
        names = (*names, "out")
    elif tiles.run:
        names = (*names, f"scratch{len(scratch)}", *epilogue.operands)
        scratch.append(count * size)
    else:
        names = (*names, *epilogue.operands)
    kernel = Kernel(
        name="matmul",
        text=text(tiles, epilogue),
        units=blocks * tiles.columns * batch if count else 0,
        grain=1,
        parameters=parameters,
        flops=2 * count * a.columns,
        moved=((a.rows * a.columns + b.rows * b.columns) * batch + count) * size,
    )
    return Work([*steps, Step(kernel, names)], scratch)


def _turned(matrix: Matrix) -> Matrix:
    rows, columns, row_stride, column_stride, batch_stride = matrix
    return Matrix(columns, rows, column_stride, row_stride, batch_stride)


def tiles_for(a: Matrix, b: Matrix, kind: str, batch: int) -> Tiles:
    """Return the form of the kernel."""
    host = machine.host()
    lanes, many, size = host.lanes(kind), host.registers >= 32, size_of(kind)
    if batch == 1:
        a, b = a._replace(batch_stride=0), b._replace(batch_stride=0)
    # What strides say of axes of length 1 is anything.
    a = a._replace(row_stride=0) if a.rows == 1 else a
    b = b._replace(column_stride=1) if b.columns == 1 else b
    open_depth = b.column_stride == 1 and batch == 1 and (a.rows == 1 or a.column_stride != 1)
    tiles = Tiles(kind, lanes, a, b, batched=batch > 1, open_depth=open_depth)
    if a.column_stride == 1 and b.row_stride == 1 and _suits_dots(a, b, lanes):
        height = _even(a.rows, 8 if many else 4)
        width = 4 if many and height < 6 else 2
        return _shaped(tiles._replace(dots=True), b.columns, height, width)
    vectors = -(-b.columns // lanes)
    # Reading `b` directly, its panel does not stay in the caches from one row of tiles to the next.
    far = b.rows * b.columns * size > host.l2 // 2 or b.columns * size % _PAGE == 0
    packed = b.column_stride != 1 or (a.rows >= 32 and vectors > 3 and far)
    height, width = _block(a.rows, vectors, many)
    long = many and vectors >= 32 and a.rows > 2 and not (open_depth and packed)
    if long and far and b.column_stride == 1:
        # Longer pieces of lines: 256x1024x4096 at 193, 8 by 2 at 178. The gradient of weights,
        # with more rows for each panel, does not gain: 1024x256x4096 at 203, 8 by 2 at 214.
        height, width = _even(a.rows, 6), 4
    tiles = _shaped(tiles, vectors, height, width)
    return _blocked(tiles._replace(packed=packed, ahead=far and packed and b.column_stride == 1))


def _suits_dots(a: Matrix, b: Matrix, lanes: int) -> bool:
    """Tell whether turning a panel of `b` would cost more than adding up lanes."""
    return b.columns == 1 or (b.column_stride != 1 and a.rows < 8 and a.columns >= 4 * lanes)


def _block(rows: int, vectors: int, many: bool) -> tuple[int, int]:
    """Return rows and vectors of a tile: sums must fill the registers, but fit."""
    if rows <= 2:  # memory sets the pace: long pieces of lines, but some tiles for every thread
        widths = {128: 16, 32: 8, 8: 4} if many and rows < 2 else {32: 8 // max(rows, 1), 8: 4}
        return rows, next((width for least, width in widths.items() if vectors >= least), 2)
    if not many:
        return _even(rows, 6), 2
    if vectors == 1 and rows >= 128:
        return 16, 1  # 123; 8 by 1 at 110
    forms = [(8, 2), (8, 3), (6, 4)] if rows > 4 else [(4, 4)]
    # A single vector beside loads of `a` that nothing else uses costs a third more.
    cost = {form: vectors + (vectors % form[1] == 1) / 3 for form in forms}
    height, width = min(forms, key=lambda form: cost[form])
    return _even(rows, height), width


def _even(rows: int, most: int) -> int:
    """Return the rows of a tile so that few rows make equal tiles."""
    return most if rows >= 64 else max(1, -(-rows // max(1, -(-rows // most))))


def _shaped(tiles: Tiles, vectors: int, height: int, width: int) -> Tiles:
    width = max(1, min(vectors, width))
    return tiles._replace(
        rows=max(1, height),
        vectors=width,
        last=(vectors - 1) % width + 1,
        columns=-(-vectors // width),
        sums=max(1, 8 // (max(1, height) * width)),
    )


def _blocked(tiles: Tiles) -> Tiles:
    """Cut the depth into runs and the rows into slabs as the caches demand; copy `a` if it pays."""
    host, a, b, size = machine.host(), tiles.a, tiles.b, size_of(tiles.kind)
    depth, run, slab = a.columns, 0, 0
    if tiles.packed:
        run = _panel_run(tiles, host.l1)
    elif a.rows < 32 and depth * b.columns * size > host.l2 and b.columns >= 32 * tiles.lanes:
        # Whole lines of `b` in order of memory: 1x4096x4096 at 20, else 13, with 16 rows 82 and 50.
        run = 8 if a.rows == 1 else 16
    elif tiles.open_depth and depth > 512 and a.rows > tiles.rows:
        run = 256
    if tiles.columns > 1 and a.rows > tiles.rows:
        # After few sums the result takes most of the time: then it is written line by line.
        few = depth <= 16 and not tiles.packed
        height = tiles.rows * (run or (512 if tiles.open_depth else depth)) * size
        slab = 1 if few else max(-(-64 // tiles.rows), host.l2 // 2 // max(height, 1))
    stride = a.row_stride if a.column_stride == 1 else a.column_stride
    crowded = stride * size % _PAGE == 0 and depth >= 256
    gathered = crowded and a.rows >= 64 and tiles.columns >= 16
    return tiles._replace(run=run, slab=slab, gathered=gathered)


def _panel_run(tiles: Tiles, l1: int) -> int:
    """Return into runs of which length to cut the depth, 0 if one panel can hold it all."""
    line, lanes, depth = tiles.width * size_of(tiles.kind), tiles.lanes, tiles.a.columns
    most = (_PANEL if line >= 256 else min(_PANEL, l1 * 2 // 3)) // line // lanes * lanes
    runs = max(1, -(-depth // most))
    if tiles.open_depth:
        return most
    return -(-depth // (runs * lanes)) * lanes if runs > 1 else 0
