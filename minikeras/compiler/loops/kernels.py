"""Write the kernel of a loop group: elementwise ops, rows with reductions, sums that leave."""

from collections.abc import Sequence
from typing import Any

from minikeras.compiler.fusion.groups import Group
from minikeras.compiler.fusion.views import Views
from minikeras.compiler.loops.body import (
    Body,
    kernel_of,
    lanes_of,
    longest_rows,
    over_vectors,
)
from minikeras.compiler.loops.geometry import coordinates
from minikeras.compiler.loops.rows import rows_kernel
from minikeras.compiler.loops.totals import sums_kernels
from minikeras.compiler.native.emit import Code, Index, Value
from minikeras.compiler.native.program import Step

_FLAT_SHARE = 256
"""Threads share vectors of elements in multiples of this, so that caches' lines stay apart."""


def build(group: Group, views: Views, stored: Sequence[Any]) -> list[Step]:
    """Return the kernels of a loop group; raise `NotALoop` if there are none."""
    body = Body(group, views, stored)
    if group.leaving:
        return sums_kernels(body)
    if group.split is not None:
        return [rows_kernel(body)]
    return [elementwise_kernel(body)]


def elementwise_kernel(body: Body) -> Step:
    """Go over all elements, as one axis if every view allows that, else row by row."""
    space = body.group.space
    lanes = lanes_of(body.nodes)
    layout = longest_rows(body)
    code = Code(len(body.operands))
    body.start(code)
    columns = layout.columns

    def spot(at: Sequence[Index], column: Index, width: int, mask: Value | None) -> None:
        here = layout.spot(code, at, column, width, mask)
        for node in body.nodes:
            body.compute(node, here, layout)
        for tensor in body.stored:
            body.store(tensor, here, layout)

    if not space:
        spot([], 0, 1, None)
        return Step(kernel_of(body, code, 1, 0), body.operands)
    if not layout.outer:
        over_vectors(code, code.begin, code.end, lanes, columns, lambda i, n, m: spot([], i, n, m))
        return Step(kernel_of(body, code, columns, _FLAT_SHARE), body.operands)
    with code.loop(code.begin, code.end) as row:
        at = coordinates(code, row, layout.outer)
        over_vectors(code, 0, columns, lanes, columns, lambda i, n, m: spot(at, i, n, m))
    return Step(kernel_of(body, code, layout.rows, 1), body.operands)
