"""Choose kernels for what moves numbers without computing, and for scans."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.compiler.fusion.groups import Group
from minikeras.compiler.fusion.views import View, Views, natural
from minikeras.compiler.kernels import moving, scanning
from minikeras.compiler.loops.body import kind_of
from minikeras.compiler.loops.epilogue import Epilogue
from minikeras.compiler.lowering.operands import Pieces, bound, copied
from minikeras.compiler.native.emit import size_of
from minikeras.compiler.native.program import Step
from minikeras.core.tensor import EagerTensor


def _copy(group: Group, views: Views, _: Epilogue | None) -> list[Step]:
    """Copy what would be a view if the input lay in memory in another way."""
    node = group.main
    view = views.of(node.inputs[0])
    return copied(view, natural(view.shape), 0, node.outputs[0])


def _joined(parts: Sequence[View], axis: int, out: Any) -> list[Step]:
    strides, start = natural(out.plain_shape), 0
    steps: list[Step] = []
    for view in parts:
        steps += copied(view, strides, start * strides[axis], out, "concatenate")
        start += view.shape[axis]
    return steps


def _concatenate(group: Group, views: Views, _: Epilogue | None) -> list[Step]:
    node = group.main
    parts = [views.of(x) for x in node.inputs]
    return _joined(parts, node.params["axis"], node.outputs[0])


def _stack(group: Group, views: Views, _: Epilogue | None) -> list[Step]:
    node = group.main
    axis = node.params["axis"] % len(node.outputs[0].plain_shape)
    parts = [views.of(x) for x in node.inputs]
    slabs = [
        v._replace(
            shape=(*v.shape[:axis], 1, *v.shape[axis:]),
            strides=(*v.strides[:axis], 0, *v.strides[axis:]),
        )
        for v in parts
    ]
    return _joined(slabs, axis, node.outputs[0])


def _place_slice(group: Group, views: Views, _: Epilogue | None) -> list[Step] | None:
    node = group.main
    pieces, kind = Pieces(views), kind_of(node.outputs[0])
    steps = moving.place_slice(node.params["shape"], node.params["key"], size_of(kind))
    roles = {"in0": pieces.of(node.inputs[0]), "out": node.outputs[0]}
    return pieces.with_copies(bound(steps, roles))


def _slice_update(group: Group, views: Views, _: Epilogue | None) -> list[Step] | None:
    node = group.main
    x, start, updates = node.inputs
    if not isinstance(start, EagerTensor):
        return None
    begins, shape = np.asarray(start.array).tolist(), tuple(x.plain_shape)
    ends = (b + n for b, n in zip(begins, updates.plain_shape, strict=True))
    if min(begins, default=0) < 0 or any(e > n for e, n in zip(ends, shape, strict=True)):
        return None  # NumPy says what is wrong
    strides, out = natural(shape), node.outputs[0]
    offset = sum(b * stride for b, stride in zip(begins, strides, strict=True))
    return [*copied(views.of(x), strides, 0, out), *copied(views.of(updates), strides, offset, out)]


def _scan(how: str) -> Any:
    def rule(group: Group, views: Views, _: Epilogue | None) -> list[Step] | None:
        node = group.main
        x, pieces = node.inputs[0], Pieces(views)
        steps = scanning.scan(x.plain_shape, node.params["axis"], kind_of(x), how)
        found = bound(steps, {"in0": pieces.of(x), "out": node.outputs[0]})
        return pieces.with_copies(found)

    return rule


KERNELS: dict[str, Any] = {
    "reshape": _copy,
    "concatenate": _concatenate,
    "stack": _stack,
    "place_slice": _place_slice,
    "slice_update": _slice_update,
    "cumsum": _scan("add"),
    "cumprod": _scan("multiply"),
}
