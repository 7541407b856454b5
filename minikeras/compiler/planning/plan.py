"""Decide what a graph becomes: kernels and NumPy calls in order, results in place of inputs."""

from collections.abc import Sequence
from typing import Any

from minikeras.compiler.decomposing.table import decompose
from minikeras.compiler.fusion.groups import Fusion, Group, reads_in_step
from minikeras.compiler.fusion.order import Order
from minikeras.compiler.fusion.views import size
from minikeras.compiler.lowering.table import is_native, lower, takes_epilogue
from minikeras.compiler.native.program import Flag
from minikeras.compiler.planning.actions import Action, Call, Check
from minikeras.compiler.planning.repeat import copy_into, repeated
from minikeras.compiler.tracing.interpret import Donated
from minikeras.core.basic import numpy_dtype
from minikeras.core.dispatch import Node
from minikeras.core.tensor import EagerTensor, Tensor

_WRITTEN_BACK = 1 << 16  # bytes: cheaper to copy than to hand on to Python


class NotNative(Exception):
    """It is known already that NumPy will raise an error."""


class Plan:
    """The actions of a graph in order, and which tensors lie where.

    Args:
        nodes: the graph, already simplified.
        inputs: its inputs.
        outputs: its results.
        donated: pairs of an input and an output that may be written over it.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        donated: Donated = (),
    ) -> None:
        nodes, found, self.doubts = decompose(nodes, inputs, outputs)
        if any(type(doubt) is EagerTensor and doubt.array.any() for doubt in self.doubts):
            raise NotNative
        self.inputs, self.outputs = list(inputs), found
        self.fusion = Fusion(nodes, [*found, *self.doubts], takes_epilogue)
        self.views = self.fusion.views
        self.order = Order(self.fusion)
        self.in_place = self._replaced(donated)
        self.groups = self.order.sorted()
        self.actions: list[Action] = []
        self.aliases: dict[int, int] = {}
        """By the key of a tensor that of the one whose memory it takes."""
        self._emit()
        self._keep_apart()
        self.written_back = self._written_back(donated)

    # -- results in place of inputs ------------------------------------------------------------

    def _replaced(self, donated: Donated) -> dict[int, int]:
        """Return by output which input its buffer is, where all old values are read before."""
        found: dict[int, int] = {}
        careful = [g for g in self.groups_of_doubts() if g] + [
            group
            for group in self.order.groups
            if not group.loop
            and not is_native(group.main)
            and group.main.op.name not in _NEVER_RAISES
        ]
        sources = [self.views.of(t).source.key for t in self.outputs]
        for number, output in donated:
            old = self.inputs[number]
            new = self.views.of(self.outputs[output])
            maker = self.fusion.maker.get(new.source.key)
            if maker is None or not new.whole or old.key in sources:
                continue
            if sources.count(new.source.key) > 1:
                continue
            group = self.fusion.group_of[id(maker)]
            if not self._reads_where_it_writes(group, old, maker):
                continue
            readers = {
                id(g): g
                for reader, _ in self.fusion.readers.get(old.key, ())
                if (g := self.fusion.group_of[id(reader)]) is not group
            }
            if self.order.require([*readers.values(), *careful], group):
                found[output] = number
        return found

    def groups_of_doubts(self) -> list[Group]:
        """Return the groups that make the doubts."""
        makers = [self.fusion.maker.get(self.views.of(d).source.key) for d in self.doubts]
        return [self.fusion.group_of[id(maker)] for maker in makers if maker is not None]

    def _reads_where_it_writes(self, group: Group, old: Any, maker: Node) -> bool:
        """Tell whether a group reads each element of `old` no later than it writes there."""
        loop = group if group.loop else group.epilogue
        if loop is None or maker not in loop.nodes.values() or id(maker) in loop.leaving:
            return False
        if not group.loop and any(
            self.views.of(x).source.key == old.key for x in group.main.inputs
        ):
            return False
        single = loop.split is None
        rows = () if single else loop.space[: loop.split]
        for node in loop.nodes.values():
            for x in node.inputs:
                view = self.views.of(x)
                if view.source.key != old.key:
                    continue
                if not single and size(rows) == 1 and size(old.plain_shape) == 1:
                    continue  # one row: everything is read before the numbers of rows are stored
                if not single and size(old.plain_shape) != size(rows):
                    return False
                if not reads_in_step(view, node, loop.space, loop.split):
                    return False
        return single or size(maker.outputs[0].plain_shape) == size(rows)

    # -- actions -------------------------------------------------------------------------------

    def _emit(self) -> None:
        needed = self.fusion.kept
        doubtful = {id(group) for group in self.groups_of_doubts()}
        for group in self.groups:
            members = {output.key for node in group.members for output in node.outputs}
            inside = {id(node) for node in group.members}
            stored = [
                output
                for node in group.members
                for output in node.outputs
                if output.key in needed
                or any(id(r) not in inside for r, _ in self.fusion.readers.get(output.key, ()))
            ]
            self.actions.extend(self._lowered(group, stored))
            if id(group) in doubtful:
                for doubt in self.doubts:
                    if self.views.of(doubt).source.key in members:
                        self.actions.append(Check(self.views.of(doubt).source))

    def _keep_apart(self) -> None:
        """Forget to write results of NumPy over inputs: it has arrays of its own for them."""
        called = {o.key for a in self.actions if isinstance(a, Call) for o in a.node.outputs}
        for output in [*self.in_place]:
            if self.views.of(self.outputs[output]).source.key in called:
                del self.in_place[output]
        for output, number in self.in_place.items():
            source = self.views.of(self.outputs[output]).source
            self.aliases[source.key] = self.inputs[number].key

    def _written_back(self, donated: Donated) -> set[int]:
        """Copy small results that do not replace their inputs there in the end; return which."""
        if any(isinstance(action, Call) for action in self.actions):
            return set()
        views = [self.views.of(output) for output in self.outputs]
        sources = [view.source.key for view in views]
        given = [x.key for x in self.inputs]
        found = set()
        for number, output in donated:
            old, view = self.inputs[number], views[output]
            bytes = size(view.shape) * numpy_dtype(old).itemsize
            if output in self.in_place or old.key in sources or view.source.key in given:
                continue
            if bytes <= _WRITTEN_BACK:
                self.actions += copy_into(view, old)
                self.in_place[output] = number
                found.add(output)
        return found

    def _lowered(self, group: Group, stored: list[Any]) -> list[Action]:
        if group.main.op.name == "while_loop":
            return self._repeated(group.main)
        steps = lower(group, self.views, stored)
        if not isinstance(steps, str):
            actions: list[Action] = []
            for step in steps:
                flags = [thing for thing in step.operands if isinstance(thing, Flag)]
                actions += [step, *map(Check, flags)]
            return actions
        if group.pool is not None:
            pool, group.pool = group.pool, None
            image = self.views.of(pool.main.inputs[0]).source
            first = [t for t in stored if t.key not in _made_by(pool)]
            found = self._lowered(group, [*first, image])
            return found + self._lowered(pool, [t for t in stored if t.key in _made_by(pool)])
        if group.epilogue is None:
            return [Call(node, steps) for node in group.members]
        # NumPy does the main op, or there is something about the epilogue: try them one by one.
        rest, group.epilogue = group.epilogue, None
        result = group.main.outputs[0]
        found = self._lowered(group, [t for t in stored if t.key not in _made_by(rest)] + [result])
        return found + self._lowered(rest, [t for t in stored if t.key in _made_by(rest)])

    def _repeated(self, node: Node) -> list[Action]:
        found = repeated(node, self.views, type(self))
        if isinstance(found, str):
            return [Call(node, found)]
        self.aliases |= found[1]
        return found[0]


def _made_by(group: Group) -> set[int]:
    return {output.key for node in group.nodes.values() for output in node.outputs}


_NEVER_RAISES = {
    "conv_kernel_gradient", "max_pool", "first_maximum", "put_position", "take_position",
    "average_pool", "average_pool_gradient", "reshape", "concatenate", "stack",
    "place_slice", "cumsum", "cumprod",
}  # fmt: skip
