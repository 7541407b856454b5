"""Exchange rows and columns of squares of vectors, in registers."""

from minikeras.compiler.native.emit import Code, Value


def transposed(code: Code, rows: list[Value]) -> list[Value]:
    """Transpose a square of vectors: shuffle its halves together like cards, log2(side) times."""
    side = len(rows)
    half = side // 2
    low = [lane // 2 + side * (lane % 2) for lane in range(side)]
    high = [lane + half for lane in low]
    for _ in range(half.bit_length()):
        pairs = zip(rows[:half], rows[half:], strict=True)
        rows = [code.shuffle(a, b, chosen) for a, b in pairs for chosen in (low, high)]
    return rows
