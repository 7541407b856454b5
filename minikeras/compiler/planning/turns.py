"""Write the kernel that ends a turn: the next one takes what lies behind in memory."""

from minikeras.compiler.native.emit import Code, Value
from minikeras.compiler.native.program import Kernel, Scratch, Step

# Of the memory that counts: whether another turn comes, a byte; and how many are left.
AGAIN, LEFT = 0, 1


def next_turn(count: Scratch, moves: list[tuple[int, int]]) -> Step:
    """Return what moves pointers on and counts.

    Args:
        count: where to count.
        moves: numbers of pointers in the table, and the bytes by which they move.
    """
    code = Code(operands=1)
    counter, table = code.operand(0), Value("%buffers", "ptr")
    for i in range(len(moves)):
        slot, bytes = code.parameter(2 * i), code.parameter(2 * i + 1)
        pointer = code.load(table, slot, "ptr")
        code.store(code.at(pointer, bytes, "uint8"), table, slot)
    left = code.sub(code.load(counter, LEFT, "int64"), 1)
    code.store(left, counter, LEFT)
    code.store(code.compare("gt", left, 0), counter, AGAIN)
    words = tuple(word for move in moves for word in move)
    return Step(Kernel("next turn", code.finish(), 1, 0, words), [count])
