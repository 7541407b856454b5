"""Go on with the results of a heavier kernel while they are in registers."""

from collections.abc import Sequence
from typing import Any

from minikeras.compiler.fusion.groups import Group
from minikeras.compiler.fusion.views import Views
from minikeras.compiler.loops.body import Body, Spot
from minikeras.compiler.loops.geometry import coordinates
from minikeras.compiler.native.emit import Code, Index, Value


class Epilogue:
    """Go on with each finished vector of another kernel's result.

    Args:
        group: the loop group to do.
        result: the tensor that the kernel makes.
        stored: tensors whose values others need, `result` perhaps among them.
    """

    def __init__(self, group: Group, views: Views, result: Any, stored: Sequence[Any]) -> None:
        body = self.body = Body(group, views, stored)
        self.result = result
        self.columns = result.plain_shape[-1]
        body.operands = [t for t in body.operands if t.key != result.key]
        self.stores_result = any(t.key == result.key for t in stored)
        if self.stores_result:
            body.operands.append(result)
        self.layout = body.layout(len(group.space) - (self.columns > 1))
        self.roles = {f"extra{i}": tensor for i, tensor in enumerate(body.operands)}

    @property
    def title(self) -> str:
        """Name the ops for people."""
        return self.body.title

    def prepare(self, code: Code, pointers: Sequence[Value]) -> None:
        """Take the pointers of the operands at the kernel's entry."""
        self.body.code = code
        for tensor, pointer in zip(self.body.operands, pointers, strict=True):
            self.body.pointers[tensor.key] = pointer

    def finish(
        self, code: Code, value: Value, row: Index, column: Index, mask: Value | None
    ) -> None:
        """Compute and store everything for one vector of the result."""
        self.finish_but(None, code, value, row, column, mask)

    def finish_but(
        self,
        last: Any,
        code: Code,
        value: Value,
        row: Index,
        column: Index,
        mask: Value | None,
    ) -> Value | None:
        """Do the same, but return the numbers of the tensor `last` and do not store them."""
        body, layout = self.body, self.layout
        spot = Spot(coordinates(code, row, layout.outer), column, value.lanes, mask)
        spot.values[self.result.key] = value
        spot.flat = code.add(code.mul(row, self.columns), column)
        spot.aligned = self.columns % value.lanes == 0
        for node in body.nodes:
            body.compute(node, spot, layout)
        for tensor in body.stored:
            body.store(tensor, spot, layout)
        if self.stores_result:
            body.store(self.result, spot, layout)
        return None if last is None else spot.values[last.key]
