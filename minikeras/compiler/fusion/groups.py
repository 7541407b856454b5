"""Decide which ops become one kernel: elementwise ops and reductions join where they can.

A loop group runs over a space, the shape of its largest values. A reduction over its last axes
splits the space into rows and columns; its result, one number a row, may be used by the rest of
the group, for the next sweep over the same row. Results of other reductions leave the group.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from minikeras.compiler.fusion.views import View, Views, natural, size, squeezed
from minikeras.compiler.scalars.table import INDEXED, LOWERINGS, lowers, supports
from minikeras.core.basic import numpy_dtype
from minikeras.core.dispatch import Node

# A sum of so few numbers is not worth chunks: one thread adds them, and what follows can join.
_FEW = 8192
_MOST_NODES = 96
"""Larger groups would compile slowly."""
_MOST_BETWEEN = 256
"""Groups farther apart stay apart: in a graph of thousands, looking at all would take minutes."""

REDUCTIONS = {
    "sum": "add", "sum_to": "add", "max": "maximum", "min": "minimum", "prod": "multiply",
    "any": "logical_or", "all": "logical_and",
}  # fmt: skip


class Fold(NamedTuple):
    """A reduction of axes lying side by side: `before` times `length` times `after` elements."""

    before: int
    length: int
    after: int
    split: int | None
    """How many axes of the space remain, if only its last ones go."""


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Return the shape of a tensor without its axes of length 1."""
    shape = tuple(tensor.plain_shape)
    return squeezed(shape, shape)


def fold_of(node: Node) -> Fold | None:
    """Return how a reduction goes over its input, None if not in a way that loops can follow."""
    shape = tuple(node.inputs[0].plain_shape)
    if node.op.name == "sum_to":
        target = (1,) * (len(shape) - len(node.params["shape"])) + tuple(node.params["shape"])
        gone = [i for i, n in enumerate(shape) if n != 1 and target[i] == 1]
    else:
        gone = [i for i in node.params["axis"] if shape[i] != 1]
    axes = [i for i, n in enumerate(shape) if n != 1]
    places = [axes.index(i) for i in gone]
    lengths = [shape[i] for i in axes]
    if not places or places != list(range(places[0], places[-1] + 1)):
        return None
    before, length = size(lengths[: places[0]]), size(lengths[places[0] : places[-1] + 1])
    after = size(lengths[places[-1] + 1 :])
    last = places[-1] == len(axes) - 1
    few = places[0] > 0 or length <= _FEW
    return Fold(before, length, after, places[0] if last and few else None)


def is_loop(node: Node) -> bool:
    """Tell whether a node can be part of a loop group."""
    name, inputs = node.op.name, [numpy_dtype(x).name for x in node.inputs]
    kinds = [*inputs, *(numpy_dtype(x).name for x in node.outputs)]
    if not supports(kinds) or len(node.outputs) != 1:
        return False
    over = node.inputs[0] if name in REDUCTIONS else node.outputs[0]
    if 0 in tuple(over.plain_shape):
        return False
    if name in REDUCTIONS:
        return fold_of(node) is not None
    if name in INDEXED:
        same = node.params.get("noise_shape") in (None, tuple(over.plain_shape))
        return same and kinds[-1] in ("float32", "float64")
    return name in LOWERINGS and lowers(name, inputs)


class Group:
    """Nodes that become one kernel, or one call of NumPy."""

    def __init__(self, node: Node, number: int, loop: bool) -> None:
        self.nodes = {number: node}
        """By their position in the graph."""
        self.loop = loop
        self.space: tuple[int, ...] = ()
        self.split: int | None = None
        self.leaving: set[int] = set()
        """`id` of each node whose result is complete only after the whole kernel."""
        self.fold: Fold | None = None
        """How those reductions go, all of them alike."""
        self.epilogue: Group | None = None
        """The loop group that goes on with each finished piece of this kernel's result."""
        self.pool: Group | None = None
        """The pooling that takes the place of the result, which then is stored nowhere."""
        if not loop:
            return
        if node.op.name in REDUCTIONS:
            fold = fold_of(node)
            self.space = shape_of(node.inputs[0])
            self.split = fold and fold.split
            if self.split is None:
                self.leaving.add(id(node))
                self.fold = fold
        else:
            self.space = shape_of(node.outputs[0])

    @property
    def main(self) -> Node:
        """The first node; the only one of a group that is no loop."""
        return self.nodes[min(self.nodes)]

    @property
    def members(self) -> list[Node]:
        """All nodes in order, those of the epilogue and the pooling included."""
        every = dict(self.nodes)
        for part in (self.epilogue, self.pool):
            every |= part.nodes if part else {}
        return [every[i] for i in sorted(every)]


def iteration(node: Node) -> tuple[int, ...]:
    """Return the shape over which a node of a loop reads its inputs."""
    tensor = node.inputs[0] if node.op.name in REDUCTIONS else node.outputs[0]
    return tuple(tensor.plain_shape)


def reads_in_step(view: View, node: Node, space: Sequence[int], split: int | None) -> bool:
    """Tell whether a node reads an element of its own group just where the loop made it."""
    shape = iteration(node)
    strides = squeezed(shape, view.on(shape))
    over = squeezed(shape, shape)
    whole = size(view.source.plain_shape)
    if view.offset:
        return False
    rows = None if split is None else tuple(space[:split])
    if whole == size(space) and over == tuple(space):
        return strides == natural(space)
    if rows is None or whole != size(rows):
        return False
    if over == tuple(space):
        return strides == natural(rows) + (0,) * (len(space) - len(rows))
    return over == rows and strides == natural(rows)


class Fusion:
    """Find the groups of a graph.

    Args:
        nodes: the graph, in order.
        kept: the tensors that are results of the graph.
        takes_epilogue: tells whether the kernel of a node can go on with a loop group.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        kept: Iterable[Any],
        takes_epilogue: Callable[[Node], bool],
    ) -> None:
        self.views = Views(nodes)
        self.kept = {self.views.of(tensor).source.key for tensor in kept}
        live = [node for node in nodes if id(node) not in self.views.free]
        self.maker = {output.key: node for node in live for output in node.outputs}
        self.readers: dict[int, list[tuple[Node, View]]] = {}
        self.group_of: dict[int, Group] = {}
        for number, node in enumerate(live):
            self.group_of[id(node)] = Group(node, number, is_loop(node))
            for tensor in node.inputs:
                view = self.views.of(tensor)
                self.readers.setdefault(view.source.key, []).append((node, view))
        self._live = live
        self._level = {group: min(group.nodes) for group in self.group_of.values()}
        """A number for each group, higher than those of the groups whose results it reads."""
        self._pair()
        self._join_readers()
        self._join_makers()
        self._join_scalars()
        self._attach_epilogues(takes_epilogue)
        self._attach_pools()

    @property
    def groups(self) -> list[Group]:
        """All groups, each once, in the order of their first nodes."""
        unique = {id(group): group for group in self.group_of.values()}
        absorbed = {id(part) for g in unique.values() for part in (g.epilogue, g.pool) if part}
        found = [group for key, group in unique.items() if key not in absorbed]
        return sorted(found, key=lambda group: min(group.nodes))

    def _pair(self) -> None:
        """Let one kernel find the maxima of windows and where they are."""
        for number, node in enumerate(self._live):
            if node.op.name != "first_maximum":
                continue
            image, maxima = (self.views.of(x).source.key for x in node.inputs)
            maker = self.maker.get(maxima)
            if maker is None or maker.op.name != "max_pool" or maker.params != node.params:
                continue
            group = self.group_of[id(maker)]
            if self.views.of(maker.inputs[0]).source.key == image and len(group.nodes) == 1:
                group.nodes[number] = node
                self.group_of[id(node)] = group
                self._lift(group, number)

    # -- what depends on what ------------------------------------------------------------------

    def before(self, group: Group) -> set[Group]:
        """Return the groups that make what a group reads."""
        found = set()
        for node in group.members:
            for tensor in node.inputs:
                maker = self.maker.get(self.views.of(tensor).source.key)
                if maker is not None:
                    found.add(self.group_of[id(maker)])
        found.discard(group)
        return found

    def after(self, group: Group) -> set[Group]:
        """Return the groups that read what a group makes."""
        found = set()
        for node in group.members:
            for tensor in node.outputs:
                for reader, _ in self.readers.get(tensor.key, ()):
                    found.add(self.group_of[id(reader)])
        found.discard(group)
        return found

    def _lift(self, group: Group, level: int) -> None:
        """Put a group on a level or higher, and those that read its results above it."""
        self._level[group] = max(level, self._level[group])
        stack = [group]
        while stack:
            group = stack.pop()
            for user in self.after(group):
                if self._level[user] <= self._level[group]:
                    self._level[user] = self._level[group] + 1
                    stack.append(user)

    def _reaches(self, group: Group, other: Group) -> bool:
        """Tell whether `group` needs, or may need, `other` by way of a third group."""
        if self.after(other) <= {group}:
            return False
        level = self._level[other]
        stack = [maker for maker in self.before(group) if self._level[maker] > level]
        seen = set(stack)
        while stack:
            if len(seen) > _MOST_BETWEEN:
                return True
            for maker in self.before(stack.pop()):
                if maker is other:
                    return True
                if self._level[maker] > level and maker not in seen:
                    seen.add(maker)
                    stack.append(maker)
        return False

    def _acyclic(self, a: Group, b: Group) -> bool:
        return not self._reaches(a, b) and not self._reaches(b, a)

    # -- joining -------------------------------------------------------------------------------

    def _common(self, a: Group, b: Group) -> tuple[tuple[int, ...], int | None] | None:
        """Return the space and split of two groups in one, None if they do not go together."""
        if a.fold and b.fold and a.fold != b.fold:
            return None
        if a.space == b.space:
            if a.split is None or b.split is None or a.split == b.split:
                split = b.split if a.split is None else a.split
                return None if split is not None and (a.leaving or b.leaving) else (a.space, split)
            return None
        wide, narrow = (a, b) if len(a.space) >= len(b.space) else (b, a)
        if wide.split is None or narrow.split is not None or narrow.leaving:
            return None
        if wide.space[: wide.split] != narrow.space:
            return None
        return wide.space, wide.split

    def _merge(self, a: Group, b: Group) -> bool:
        """Make one group of two if that is possible."""
        common = self._common(a, b)
        if common is None or len(a.nodes) + len(b.nodes) > _MOST_NODES:
            return False
        both = {id(node) for node in (*a.nodes.values(), *b.nodes.values())}
        for node in (*a.nodes.values(), *b.nodes.values()):
            for tensor in node.inputs:
                view = self.views.of(tensor)
                maker = self.maker.get(view.source.key)
                if maker is None or id(maker) not in both:
                    continue
                if id(maker) in a.leaving | b.leaving or not reads_in_step(view, node, *common):
                    return False
        if not self._acyclic(a, b):
            return False
        a.nodes |= b.nodes
        a.leaving |= b.leaving
        a.fold = a.fold or b.fold
        a.space, a.split = common
        for node in b.nodes.values():
            self.group_of[id(node)] = a
        self._lift(a, self._level[b])
        return True

    def _join_readers(self) -> None:
        """Put each node, the last first, into the only loop group that reads its result."""
        for node in reversed(self._live):
            own = self.group_of[id(node)]
            if not own.loop:
                continue
            readers = self.readers.get(node.outputs[0].key, ())
            groups = {id(g): g for g in (self.group_of[id(reader)] for reader, _ in readers)}
            loops = [group for group in groups.values() if group.loop and group is not own]
            if len(loops) == 1:
                self._merge(loops[0], own)

    def _join_makers(self) -> None:
        """Put groups together that pass large values to each other, or read the same ones."""
        for node in self._live:
            for tensor in node.outputs:
                readers = [reader for reader, _ in self.readers.get(tensor.key, ())]
                self._join_all([node, *readers], size(tensor.plain_shape))
        for key, found in self.readers.items():
            if key not in self.maker and len(found) > 1:
                shared = size(found[0][1].source.plain_shape)
                self._join_all([node for node, _ in found], shared)

    def _join_all(self, nodes: list[Node], shared: int) -> None:
        for i, first in enumerate(nodes):
            for second in nodes[i + 1 :]:
                a, b = self.group_of[id(first)], self.group_of[id(second)]
                if a is b or not (a.loop and b.loop):
                    continue
                if i > 0 and shared < size(a.space):  # only something small in common
                    continue
                self._merge(a, b)

    def _join_scalars(self) -> None:
        """Put what is done with single numbers together, whether it is related or not."""
        rest: list[Group] = []
        for group in self.groups:
            if group.loop and group.space == () and not any(self._merge(g, group) for g in rest):
                rest.append(group)

    # -- epilogues -----------------------------------------------------------------------------

    def _attach_epilogues(self, takes_epilogue: Callable[[Node], bool]) -> None:
        for node in self._live:
            group = self.group_of[id(node)]
            if group.loop or not takes_epilogue(node):
                continue
            key = node.outputs[0].key
            loops = {
                id(g): g
                for reader, view in self.readers.get(key, ())
                if (g := self.group_of[id(reader)]).loop
                and g.space == shape_of(node.outputs[0])
                and g.split is None
                and reads_in_step(view, reader, g.space, None)
            }
            for candidate in sorted(loops.values(), key=lambda g: min(g.nodes)):
                if self._attach(group, candidate):
                    break

    def _attach(self, group: Group, loop: Group) -> bool:
        if any(group.epilogue is loop for group in self.group_of.values()):
            return False
        own = group.main.outputs[0].key
        for node in loop.nodes.values():
            for tensor in node.inputs:
                view = self.views.of(tensor)
                if view.source.key == own and not reads_in_step(view, node, loop.space, None):
                    return False
        if len(loop.leaving) == len(loop.nodes) or not self._acyclic(group, loop):
            return False
        self._release_reductions(loop)
        group.epilogue = loop
        for node in loop.nodes.values():
            self.group_of[id(node)] = group
        self._lift(group, self._level[loop])
        return True

    def _release_reductions(self, loop: Group) -> None:
        """Make the reductions of a loop groups of their own: an epilogue cannot sum up."""
        for number in [n for n, node in loop.nodes.items() if id(node) in loop.leaving]:
            node = loop.nodes.pop(number)
            self.group_of[id(node)] = alone = Group(node, number, loop=True)
            self._level[alone] = self._level[loop]
        loop.leaving.clear()
        loop.fold = None

    def _attach_pools(self) -> None:
        """Let a convolution pool its result at once, if that is all that becomes of it."""
        for node in self._live:
            group = self.group_of[id(node)]
            if node.op.name != "max_pool" or group.loop or group.epilogue:
                continue
            view = self.views.of(node.inputs[0])
            maker = self.maker.get(view.source.key)
            if maker is None or not view.whole or view.source.key in self.kept:
                continue
            conv = self.group_of[id(maker)]
            if conv.main.op.name != "conv" or conv.pool or conv is group:
                continue
            own = {id(n) for n in (*conv.members, *group.members)}
            readers = self.readers.get(view.source.key, ())
            if all(id(n) in own for n, _ in readers) and self._acyclic(conv, group):
                conv.pool = group
                for each in group.nodes.values():
                    self.group_of[id(each)] = conv
                self._lift(conv, self._level[group])
