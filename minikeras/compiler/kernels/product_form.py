"""Say what form the kernel of a matrix product has: layouts, tiles, runs, panels."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from minikeras.compiler.native.emit import Code, Index, Value


class Matrix(NamedTuple):
    """How a matrix, or a batch of matrices, lies in its buffer; strides count numbers."""

    rows: int
    columns: int
    row_stride: int
    column_stride: int
    batch_stride: int = 0


class Epilogue(NamedTuple):
    """What happens to finished numbers, instead of storing them to "out".

    Args:
        operands: names of the buffers it reads or writes.
        prepare: called with the code and the pointers to these buffers where the kernel begins.
        finish: called with the code, some finished numbers side by side in one row, their row
            (counted over all matrices), the column of the first, and a mask of those that exist,
            None if all do.
    """

    operands: Sequence[str]
    prepare: Callable[[Code, list[Value]], None]
    finish: Callable[[Code, Value, Index, Index, Value | None], None]


class Tiles(NamedTuple):
    """What the text of a kernel depends on, beside its epilogue."""

    kind: str
    lanes: int
    a: Matrix
    b: Matrix
    batched: bool
    rows: int = 1
    """Rows of a tile."""
    vectors: int = 1
    """Vectors of a tile's row; in the form of dot products numbers."""
    last: int = 1
    """Those in the last column of tiles."""
    columns: int = 1
    """Columns of tiles."""
    sums: int = 1
    """How many sums run side by side for one number, to hide the latency of adding."""
    slab: int = 0
    """Rows of tiles in a slab, 0 for all."""
    run: int = 0
    """Steps of depth in one go, 0 for all."""
    packed: bool = False
    """Whether parts of `b` are copied to a panel."""
    gathered: bool = False
    """Whether `a` was copied so that the rows of a tile lie side by side for each step."""
    ahead: bool = False
    """Whether the next panel is fetched from memory while this one is used."""
    open_depth: bool = False
    """Whether the depth is a parameter."""
    dots: bool = False
    """Whether vectors lie along the depth, of which both operands hold consecutive numbers."""

    @property
    def finished(self) -> int:
        """Lanes of a finished vector."""
        return 1 if self.dots else self.lanes

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.vectors * self.finished

    @property
    def masked(self) -> bool:
        """Whether the last column of tiles is cut."""
        return self.b.columns % self.finished > 0


class Place(NamedTuple):
    """Where the code of a kernel is in its loops."""

    batch: Index
    column: Index
    """Column of tiles."""
    start: Index
    """First step of depth."""
    steps: Index
    """Steps of depth."""
