"""Reduce: the numbers that change nothing, accumulators, and how two of them become one."""

from typing import Any

import numpy as np

from minikeras.compiler.fusion.groups import REDUCTIONS
from minikeras.compiler.loops.body import Spot, kind_of
from minikeras.compiler.native.emit import Cell, Code, Value
from minikeras.compiler.scalars.table import LOWERINGS
from minikeras.core.basic import numpy_dtype
from minikeras.core.dispatch import Node


def identity(node: Node) -> Any:
    """Return the number that changes nothing, in the kind of the result."""
    dtype = numpy_dtype(node.outputs[0])
    name = node.op.name
    if name in ("sum", "sum_to", "any"):
        return 0
    if name in ("prod", "all"):
        return 1
    if dtype.kind == "b":
        return name == "min"
    if dtype.kind == "f":
        return -np.inf if name == "max" else np.inf
    info = np.iinfo(dtype)
    return info.min if name == "max" else info.max


def accumulator(code: Code, node: Node, lanes: int) -> Cell:
    """Make a variable that holds nothing yet."""
    kind = kind_of(node.outputs[0])
    return code.cell(kind, lanes, code.constant(identity(node), kind, lanes))


def combined(code: Code, node: Node, a: Value, b: Value) -> Value:
    """Return the result of two results."""
    kind = kind_of(node.outputs[0])
    return LOWERINGS[REDUCTIONS[node.op.name]](code, a, b, kind=kind)


def as_result(code: Code, node: Node, value: Value) -> Value:
    """Return an element in the dtype of the result."""
    kind = kind_of(node.outputs[0])
    if value.kind == kind:
        return value
    return LOWERINGS["cast"](code, value, kind=kind, dtype=np.dtype(kind))


def accumulate(code: Code, node: Node, cell: Cell, value: Value, spot: Spot) -> None:
    """Take the elements at a spot into account."""
    value = code.splat(as_result(code, node, value), cell.lanes)
    before = cell.get()
    after = combined(code, node, before, value)
    cell.set(after if spot.mask is None else code.select(spot.mask, after, before))


def folded(code: Code, node: Node, cell: Cell) -> Value:
    """Combine the lanes of an accumulator, by halves."""
    vector = cell.get()
    while vector.lanes > 1:
        low, high = code.halves(vector)
        vector = combined(code, node, low, high)
    return vector
