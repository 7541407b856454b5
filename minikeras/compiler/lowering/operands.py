"""Bind the operands of kernels: tensors in one piece, scratch, and flags for what went wrong."""

from collections.abc import Sequence
from typing import Any

from minikeras.compiler.fusion.groups import Group, iteration
from minikeras.compiler.fusion.views import View, Views, full, natural, size, squeezed
from minikeras.compiler.kernels.moving import strided_copy
from minikeras.compiler.loops.body import kind_of
from minikeras.compiler.loops.epilogue import Epilogue
from minikeras.compiler.native.emit import size_of
from minikeras.compiler.native.program import Scratch, Step
from minikeras.core.basic import numpy_dtype
from minikeras.core.tensor import SymbolicTensor

Roles = dict[str, Any]
"""What the operands' names in a kernel's table stand for."""


class Pieces:
    """Give kernels operands that lie in one piece; `steps` are the copies that this takes."""

    def __init__(self, views: Views) -> None:
        self.views = views
        self.steps: list[Step] = []

    def of(self, tensor: Any) -> Any:
        """Return memory that holds all of a tensor, in order, and nothing else."""
        return self.of_view(self.views.of(tensor))

    def of_view(self, view: View) -> Any:
        """Return memory that holds what a view shows, in order, and nothing else."""
        if view.whole:
            return view.source
        bytes = size_of(kind_of(view.source))
        scratch = Scratch(size(view.shape) * bytes)
        self.steps += copied(view, natural(view.shape), 0, scratch)
        return scratch

    def with_copies(self, steps: list[Step] | None) -> list[Step] | None:
        """Return the steps of a kernel after the copies, None if it has none."""
        return None if steps is None else self.steps + steps


def copied(
    view: View, strides: Sequence[int], offset: int, target: Any, name: str = "copy"
) -> list[Step]:
    """Copy what a view shows into a tensor or scratch, by these strides and from that place."""
    bytes = size_of(kind_of(view.source))
    steps = strided_copy(view.shape, view.strides, strides, bytes, view.offset, offset, name)
    return bound(steps, {"in0": view.source, "out": target}) or []


def bound(
    steps: Sequence[Step] | None, roles: Roles, epilogue: Epilogue | None = None
) -> list[Step] | None:
    """Put tensors and scratch in the places of the names in a kernel's operands."""
    if steps is None:
        return None
    if epilogue is not None:
        roles = roles | epilogue.roles
        if not epilogue.stores_result:  # nothing is written there
            roles["out"] = epilogue.body.operands[0]
    for step in steps:
        if step.scratch:
            roles["scratch0"] = Scratch(step.scratch)
    found = [Step(step.kernel, [roles[name] for name in step.operands]) for step in steps]
    if epilogue is not None and "+" not in found[-1].kernel.name:
        kernel = found[-1].kernel
        kernel = kernel._replace(name=f"{kernel.name} + {epilogue.title}")
        found[-1] = found[-1]._replace(kernel=kernel)
    return found


class Straightened(Views):
    """The views of a loop group, of which those that it crosses in their own order are copied.

    A loop needs its rows and columns to be axes of every view. `steps` make the copies.
    """

    def __init__(self, group: Group, views: Views) -> None:
        super().__init__(())
        self._given = views
        self._copies: dict[int, View] = {}
        self.steps: list[Step] = []
        made = {node.outputs[0].key for node in group.nodes.values()}
        shapes: dict[int, set[tuple[int, ...]]] = {}
        for node in group.nodes.values():
            for tensor in node.inputs:
                shapes.setdefault(tensor.key, set()).add(iteration(node))
        for node in group.nodes.values():
            for tensor in node.inputs:
                view = views.of(tensor)
                if tensor.key in self._copies or view.source.key in made:
                    continue
                wanted = shapes[tensor.key] if len(shapes[tensor.key]) == 1 else {view.shape}
                self._straighten(tensor, view, *wanted)

    def of(self, tensor: Any) -> View:
        """Return where the elements of `tensor` lie."""
        return self._copies.get(tensor.key) or self._given.of(tensor)

    def _straighten(self, tensor: Any, view: View, shape: tuple[int, ...]) -> None:
        strides = squeezed(shape, view.on(shape))
        if not any(strides) or strides == natural(squeezed(shape, shape)):
            return
        copy = SymbolicTensor(shape, numpy_dtype(tensor))
        wide = View(view.source, view.offset, shape, view.on(shape))
        self.steps += copied(wide, natural(shape), 0, copy)
        self._copies[tensor.key] = full(copy)
