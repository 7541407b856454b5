"""Choose kernels for what takes, puts and adds up rows where integers say."""

from collections.abc import Sequence
from typing import Any

from minikeras.compiler.fusion.groups import Group
from minikeras.compiler.fusion.views import Views, size
from minikeras.compiler.kernels import gathering
from minikeras.compiler.loops.body import kind_of
from minikeras.compiler.loops.epilogue import Epilogue
from minikeras.compiler.lowering.operands import Pieces, bound
from minikeras.compiler.native.emit import size_of
from minikeras.compiler.native.program import Flag, Step
from minikeras.core.dispatch import Node


def _rule(build: Any) -> Any:
    """Return the rule of a primitive from a function that takes its node and returns steps."""

    def rule(group: Group, views: Views, _: Epilogue | None) -> list[Step] | None:
        node = group.main
        steps = build(node)
        if not steps:
            return None
        pieces = Pieces(views)
        roles = {f"in{i}": pieces.of(x) for i, x in enumerate(node.inputs)}
        found = bound(steps, roles | {"out": node.outputs[0], "flag": Flag()})
        return pieces.with_copies(found)

    return rule


def _size(node: Node) -> int:
    return size_of(kind_of(node.outputs[0]))


def _along(node: Node, shape: Sequence[int]) -> gathering.Rows:
    indices = node.inputs[1]
    count = size(indices.plain_shape)
    return gathering.along(shape, node.params["axis"], count, kind_of(indices))


def _keyed(node: Node, shape: Sequence[int]) -> gathering.Rows | None:
    index = node.inputs[1]
    count = size(index.plain_shape[1:])
    return gathering.keyed(shape, node.params["key"], count, kind_of(index))


def _take(node: Node) -> Any:
    return gathering.take(_along(node, node.inputs[0].plain_shape), _size(node))


def _gather(node: Node) -> Any:
    rows = _keyed(node, node.inputs[0].plain_shape)
    return rows and gathering.take(rows, _size(node))


def _take_along_axis(node: Node) -> Any:
    x, indices = node.inputs
    axis, kind = node.params["axis"], kind_of(indices)
    return gathering.take_along_axis(x.plain_shape, indices.plain_shape, axis, kind, _size(node))


def _add_rows(node: Node) -> Any:
    rows = _along(node, node.outputs[0].plain_shape)
    return gathering.combine_rows(rows, kind_of(node.outputs[0]))


def _scatter_add(node: Node) -> Any:
    rows = _keyed(node, node.outputs[0].plain_shape)
    return rows and gathering.combine_rows(rows, kind_of(node.outputs[0]))


def _add_along(node: Node) -> Any:
    out, indices = node.outputs[0], node.inputs[1]
    axis, kind = node.params["axis"], kind_of(indices)
    if tuple(node.inputs[0].plain_shape) != tuple(indices.plain_shape):
        return None
    return gathering.add_along(out.plain_shape, indices.plain_shape, axis, kind, kind_of(out))


def _set_rows(node: Node) -> Any:
    x, _, indices = node.inputs
    count = size(indices.plain_shape)
    rows = gathering.along(x.plain_shape, 0, count, kind_of(indices))
    return gathering.set_rows(rows, kind_of(x))


def _segments(how: str) -> Any:
    def build(node: Node) -> Any:
        out, ids = node.outputs[0], node.inputs[1]
        rows = gathering.along(out.plain_shape, 0, size(ids.plain_shape), kind_of(ids))
        return gathering.combine_rows(rows, kind_of(out), how)

    return _rule(build)


KERNELS: dict[str, Any] = {
    "take": _rule(_take),
    "gather": _rule(_gather),
    "take_along_axis": _rule(_take_along_axis),
    "add_rows": _rule(_add_rows),
    "scatter_add": _rule(_scatter_add),
    "add_along": _rule(_add_along),
    "set_rows": _rule(_set_rows),
    "segment_max": _segments("maximum"),
    "segment_min": _segments("minimum"),
    "segment_prod": _segments("multiply"),
}
