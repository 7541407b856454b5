"""Keep the largest values of windows while a convolution computes them, and where they were."""

from minikeras.compiler.kernels.convolution_block import Columns, Shape
from minikeras.compiler.native.emit import Code, Index, Value


class Best:
    """The largest values so far of a block's windows, which lie side by side.

    Args:
        code: the kernel's code.
        shape: what is computed.
        columns: the filters.
        windows: how many windows.
        kernel: lengths of a window.
    """

    def __init__(
        self, code: Code, shape: Shape, columns: Columns, windows: int, kernel: tuple[int, ...]
    ) -> None:
        self.code, self.shape, self.columns, self.kernel = code, shape, columns, kernel
        # As wide as the values, so that one mask chooses both.
        self.whole = "int32" if shape.kind == "float32" else "int64"
        least = code.splat(code.constant(-float("inf"), shape.kind), shape.lanes)
        zero = code.splat(code.constant(0, self.whole), shape.lanes)
        self.cells = [
            [
                (
                    code.cell(shape.kind, shape.lanes, least),
                    code.cell(self.whole, shape.lanes, zero),
                )
                for _ in range(columns.vectors)
            ]
            for _ in range(windows)
        ]

    def take(self, pixels: list[list[Value]], z: Index, y: Index) -> None:
        """Compare with a row of finished pixels, row `z, y` of the windows; NaN wins."""
        code, width = self.code, self.kernel[2]
        start = code.mul(code.add(code.mul(z, self.kernel[1]), y), width)
        for number, vectors in enumerate(pixels):
            position = code.index(code.add(start, number % width))
            position = code.splat(code.convert(position, self.whole), self.shape.lanes)
            for (best, where), value in zip(self.cells[number // width], vectors, strict=True):
                larger = code.compare("gt", value, best.get())
                taken = code.bitwise("or", larger, code.compare("ne", value, value))
                best.set(code.select(taken, value, best.get()))
                where.set(code.select(taken, position, where.get()))

    def store(self, out: Value, positions: Value, row: Index) -> None:
        """Store the maxima and their positions from pixel `row` on."""
        code, shape = self.code, self.shape
        for number, vectors in enumerate(self.cells):
            place = code.add(code.mul(code.add(row, number), shape.filters), self.columns.column)
            for i, ((best, where), mask) in enumerate(
                zip(vectors, self.columns.masks, strict=True)
            ):
                at, value = code.add(place, i * shape.lanes), best.get()
                code.store(value, out, at, mask)
                code.store(code.convert(where.get(), "uint8"), positions, at, mask)
