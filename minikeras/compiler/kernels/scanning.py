"""Write kernels that run along an axis: each number is joined with the result before it."""

from collections.abc import Sequence

from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, product, size_of
from minikeras.compiler.native.program import Kernel, Step

_KINDS = (
    "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip


def scan(shape: Sequence[int], axis: int, kind: str, how: str) -> list[Step] | None:
    """Write the sums (`how` is `"add"`) or products (`"multiply"`) up to each number of `in0`.

    A unit is a band of columns, some lines that run side by side. Their numbers are joined one by
    one, as NumPy does, so that even floats have its bits.
    """
    if kind not in _KINDS:
        return None
    outer, length, inner = product(shape[:axis]), shape[axis], product(shape[axis + 1 :])
    full = machine.host().lanes(kind)
    lanes = full if inner >= full else 1
    code = Code(2)
    source, target = code.operand(0), code.operand(1)
    steps, width, bands = (code.parameter(i) for i in range(3))
    # -0.0 changes no number that is added to it, as 0.0 changes -0.0.
    identity = {"add": -0.0 if kind.startswith("f") else 0, "multiply": 1}[how]
    with code.loop(code.begin, code.end) as unit:
        # The last band overlaps the one before: it writes the same there.
        column = code.least(code.mul(code.rem(unit, bands), lanes), code.sub(width, lanes))
        first = code.add(code.mul(code.div(unit, bands), code.mul(steps, width)), column)
        so_far = code.cell(kind, lanes, code.constant(identity, kind, lanes))
        with code.loop(0, steps) as number:
            at = code.add(first, code.mul(number, width))
            new = code.load(source, at, kind, lanes)
            so_far.set((code.add if how == "add" else code.mul)(so_far.get(), new))
            code.store(so_far.get(), target, at)
    count = -(-inner // lanes)
    parameters = (length, inner, count)
    total = outer * length * inner
    units = outer * count
    grain = max(1, min(units, 4096 * units // max(1, total * size_of(kind))))
    name = {"add": "cumsum", "multiply": "cumprod"}[how]
    moved = 2 * total * size_of(kind)
    kernel = Kernel(name, code.finish(), units, grain, parameters, total, moved)
    return [Step(kernel, ("in0", "out"))]
