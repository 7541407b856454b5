"""Write what a loop does at one place: load, compute, store."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minikeras.compiler.fusion.groups import REDUCTIONS, Group, iteration
from minikeras.compiler.fusion.views import View, Views, natural, size, squeezed
from minikeras.compiler.loops.geometry import merged, place
from minikeras.compiler.native import machine
from minikeras.compiler.native.emit import Code, Index, Value
from minikeras.compiler.native.program import Kernel
from minikeras.compiler.scalars.table import INDEXED, LOWERINGS
from minikeras.core.basic import numpy_dtype
from minikeras.core.dispatch import Node
from minikeras.core.tensor import EagerTensor


class NotALoop(Exception):
    """A group cannot be written as a loop; NumPy does it."""


def kind_of(tensor: Any) -> str:
    """Return the dtype's name."""
    return numpy_dtype(tensor).name


class Access(NamedTuple):
    """How a loop reaches a view: at `offset + outer coordinates * outer + column * inner`."""

    operand: int
    kind: str
    offset: int
    outer: tuple[int, ...]
    inner: int


class Spot:
    """Where in the space code is being written: a row, a column, how many lanes, which of them."""

    def __init__(self, at: Sequence[Index], column: Index, lanes: int, mask: Value | None) -> None:
        self.at, self.column, self.lanes, self.mask = list(at), column, lanes, mask
        self.flat: Index | None = None
        """The number of the first lane's element, in C order."""
        self.aligned = True
        """Whether that is a multiple of the lanes."""
        self.kept_at: Index = 0
        """The place in scratch of what later sweeps need of here."""
        self.values: dict[int, Value] = {}
        """What is known here, by tensor key."""
        self.loaded: dict[Any, Value] = {}


class Body:
    """Write the ops of a group at one spot after another.

    Args:
        group: the loop group.
        views: where tensors lie.
        stored: the tensors whose values others need.
    """

    def __init__(self, group: Group, views: Views, stored: Sequence[Any]) -> None:
        self.group, self.views = group, views
        self.nodes = [group.nodes[i] for i in sorted(group.nodes)]
        self.maker = {node.outputs[0].key: node for node in self.nodes}
        self.stored = [t for t in stored if t.key in self.maker]
        self.operands: list[Any] = []
        self.pointers: dict[int, Value] = {}
        self.code: Code = None  # type: ignore[assignment]
        rows = () if group.split is None else group.space[: group.split]
        self.rows = {
            node.outputs[0].key
            for node in self.nodes
            if group.split is not None and _over(node) == rows != group.space
        }
        """Keys of the tensors that have one number a row."""
        for node in self.nodes:
            for view in [*self.reads(node), *self.reads(node, states=True)]:
                self.number(view.source)
        for tensor in self.stored:
            self.number(tensor)

    def reads(self, node: Node, *, states: bool = False) -> list[View]:
        """Return the views that a node reads from memory in step, or its random `states`."""
        random = [name == "state" for name in node.op.arguments] * (node.op.name in INDEXED)
        pairs = itertools.zip_longest(node.inputs, random)
        found = [self.views.of(x) for x, is_state in pairs if bool(is_state) is states]
        return [v for v in found if v.source.key not in self.maker and not _is_number(v)]

    def number(self, tensor: Any) -> int:
        """Return the number of the operand that a tensor is."""
        for i, known in enumerate(self.operands):
            if known.key == tensor.key:
                return i
        self.operands.append(tensor)
        return len(self.operands) - 1

    # -- geometry ------------------------------------------------------------------------------

    def all_strides(self) -> list[tuple[tuple[int, ...], bool]]:
        """Return the strides of every view on its node's space, and whether that is the rows'."""
        found = []
        for node in self.nodes:
            shape = iteration(node)
            for view in self.reads(node):
                strides = squeezed(shape, view.on(shape))
                found.append((strides, len(strides) < len(self.group.space)))
        for tensor in self.stored:
            shape = tuple(tensor.plain_shape)
            if len(squeezed(shape, shape)) == len(self.group.space):
                found.append((natural(self.group.space), False))
            elif id(self.maker[tensor.key]) not in self.group.leaving:
                found.append((natural(squeezed(shape, shape)), True))
        return found

    def layout(self, cut: int, single: bool = True) -> "Layout":
        """Merge axes on both sides of `cut`; those behind it are the columns.

        Raises `NotALoop` if the columns should be a `single` axis, and cannot be.
        """
        space = self.group.space
        strides = self.all_strides()
        if (
            self.group.split is not None
            and any(row for _, row in strides)
            and cut != len(space[: self.group.split])
        ):
            raise NotALoop("rows and columns are crossed in different orders")
        padded = [s + (0,) * (len(space) - len(s)) if row else s for s, row in strides]
        padded = padded or [natural(space)]
        outer = merged(space[:cut], [s[:cut] for s in padded])
        inner = merged(space[cut:], [s[cut:] for s in padded])
        if single and len(inner.lengths) > 1:
            raise NotALoop("columns are crossed in different orders")
        last = inner.lengths[-1] if inner.lengths else 1
        return Layout(self, cut, outer.lengths, inner.lengths[:-1], last)

    # -- values --------------------------------------------------------------------------------

    def start(self, code: Code) -> None:
        """Load the pointers of all operands, at the kernel's entry."""
        self.code = code
        for i, tensor in enumerate(self.operands):
            self.pointers[tensor.key] = code.operand(i)

    def access(self, view: View, node: Node, layout: "Layout") -> Access:
        """Return how a node of the group reads a view."""
        shape = iteration(node)
        strides = squeezed(shape, view.on(shape))
        strides += (0,) * (len(self.group.space) - len(strides))
        return layout.access(view.source, view.offset, strides)

    def load(self, view: View, node: Node, spot: Spot, layout: "Layout") -> Value:
        """Load what a node reads at a spot."""
        access = self.access(view, node, layout)
        lanes = 1 if node.outputs[0].key in self.rows and not folds(node) else spot.lanes
        key = (access, lanes)
        if key not in spot.loaded:
            spot.loaded[key] = self._loaded(access, spot, lanes)
        return spot.loaded[key]

    def _loaded(self, access: Access, spot: Spot, lanes: int) -> Value:
        code = self.code
        pointer = self.pointers[self.operands[access.operand].key]
        base = place(code, access.offset, spot.at, access.outer[: len(spot.at)])
        if lanes == 1 or access.inner == 0:
            index = code.add(base, code.mul(spot.column, access.inner)) if lanes == 1 else base
            return code.load(pointer, index, access.kind)
        if access.inner == 1:
            return code.load(pointer, code.add(base, spot.column), access.kind, lanes, spot.mask)
        start = code.add(base, code.mul(spot.column, access.inner))
        steps = code.mul(code.iota(lanes), code.constant(access.inner, "int64"))
        indices = code.add(steps, code.index(start))
        return code.gather(pointer, indices, access.kind, spot.mask)

    def value(self, tensor: Any, node: Node, spot: Spot, layout: "Layout") -> Value:
        """Return what a node reads from `tensor`."""
        view = self.views.of(tensor)
        known = spot.values.get(view.source.key)
        if known is not None:
            return known
        if view.source.key in self.maker:
            return self.compute(self.maker[view.source.key], spot, layout)
        if _is_number(view):
            return self.code.constant(view.source.array.reshape(-1)[0], kind_of(view.source))
        return self.load(view, node, spot, layout)

    def compute(self, node: Node, spot: Spot, layout: "Layout") -> Value:
        """Return the result of a node that is no reduction."""
        kind = kind_of(node.outputs[0])
        if node.op.name in INDEXED:
            result = self._indexed(node, spot, layout, kind)
        else:
            values = [self.value(x, node, spot, layout) for x in node.inputs]
            lanes = max(value.lanes for value in values)
            values = [self.code.splat(value, lanes) for value in values]
            result = LOWERINGS[node.op.name](self.code, *values, kind=kind, **node.params)
        spot.values[node.outputs[0].key] = result
        return result

    def _indexed(self, node: Node, spot: Spot, layout: "Layout", kind: str) -> Value:
        if spot.flat is None:
            raise NotALoop("random numbers are needed out of order")
        values = []
        for name, x in zip(node.op.arguments, node.inputs, strict=True):
            if name != "state":
                values.append(self.code.splat(self.value(x, node, spot, layout), spot.lanes))
                continue
            view = self.views.of(x)
            if not view.contiguous or view.source.key in self.maker:
                raise NotALoop("the random state is made in the same loop")
            pointer = self.pointers[view.source.key]
            values.append(self.code.at(pointer, view.offset, kind_of(x)))
        rule = INDEXED[node.op.name]
        where = {"index": spot.flat, "lanes": spot.lanes, "aligned": spot.aligned}
        return rule(self.code, *values, kind=kind, **where, **node.params)

    def store(self, tensor: Any, spot: Spot, layout: "Layout") -> None:
        """Store a tensor's numbers at a spot."""
        code = self.code
        value = spot.values[tensor.key]
        pointer = self.pointers[tensor.key]
        if tensor.key in self.rows:
            code.store(value, pointer, layout.row(code, spot.at))
            return
        strides = natural(self.group.space)
        access = layout.access(tensor, 0, strides)
        index = code.add(place(code, 0, spot.at, access.outer), spot.column)
        code.store(code.splat(value, spot.lanes), pointer, index, spot.mask)

    def flops(self) -> int:
        """Return how many elementary operations the group does, one for each op and element."""
        return sum(size(iteration(node)) for node in self.nodes)

    def moved(self) -> int:
        """Return how many bytes are read and written."""
        return sum(size(t.plain_shape) * numpy_dtype(t).itemsize for t in self.operands)

    @property
    def title(self) -> str:
        """Name the ops for people."""
        return " ".join(node.op.name for node in self.nodes)


class Layout(NamedTuple):
    """The axes of a loop: some for rows; some more, mostly none, and a last one for columns."""

    body: Body
    cut: int
    outer: tuple[int, ...]
    middle: tuple[int, ...]
    last: int

    def access(self, tensor: Any, offset: int, strides: tuple[int, ...]) -> Access:
        """Return how a tensor is reached by strides on the whole space."""
        space = self.body.group.space
        outer = _along(space[: self.cut], strides[: self.cut], self.outer)
        inside = (*self.middle, self.last) if self.cut < len(space) else ()
        *middle, inner = _along(space[self.cut :], strides[self.cut :], inside) or (0,)
        number = self.body.number(tensor)
        return Access(number, kind_of(tensor), offset, (*outer, *middle), inner)

    def row(self, code: Code, at: Sequence[Index]) -> Index:
        """Return the flat number of the row at some coordinates."""
        return place(code, 0, at[: len(self.outer)], natural(self.outer))

    def spot(
        self, code: Code, at: Sequence[Index], column: Index, lanes: int, mask: Value | None
    ) -> Spot:
        """Return a spot of the row at some coordinates."""
        spot = Spot(at, column, lanes, mask)
        spot.flat = code.add(code.mul(self.row(code, at), self.columns), column)
        spot.aligned = not at or self.columns % lanes == 0
        return spot

    @property
    def rows(self) -> int:
        """The number of rows."""
        return size(self.outer)

    @property
    def columns(self) -> int:
        """The number of elements in a row."""
        return size(self.middle) * self.last


def _along(
    lengths: Sequence[int], strides: Sequence[int], merged_lengths: Sequence[int]
) -> tuple[int, ...]:
    """Return the strides along merged axes: of each, that of its last part."""
    found: list[int] = []
    axis = 0
    for length in merged_lengths:
        covered = 1
        while covered < length:
            covered *= lengths[axis]
            axis += 1
        found.append(strides[axis - 1])
    return tuple(found)


def _over(node: Node) -> tuple[int, ...]:
    shape = tuple(node.outputs[0].plain_shape)
    return squeezed(shape, shape)


def folds(node: Node) -> bool:
    """Tell whether a node is a reduction."""
    return node.op.name in REDUCTIONS


def _is_number(view: View) -> bool:
    """Tell whether a view is of a constant that holds one number."""
    return type(view.source) is EagerTensor and view.source.array.size == 1


def kernel_of(body: Body, code: Code, units: int, grain: int, *parameters: int) -> Kernel:
    """Return the finished kernel of a loop."""
    text = code.finish()
    return Kernel(body.title, text, units, grain, parameters, body.flops(), body.moved())


def lanes_of(nodes: Sequence[Node]) -> int:
    """Return how many lanes suit the widest numbers that matter: floats, else integers."""
    kinds = [kind_of(t) for node in nodes for t in (*node.inputs, *node.outputs)]
    floats = [kind for kind in kinds if kind.startswith("float")]
    widest = max((np.dtype(kind).itemsize for kind in floats or kinds), default=4)
    return machine.host().vector_bytes // max(widest, 4)


def over_vectors(
    code: Code,
    start: Index,
    stop: Index,
    lanes: int,
    count: int,
    write: Callable[[Index, int, Value | None], None],
) -> None:
    """Write the code for whole vectors from `start` to `stop`, then for a part of one.

    `count` is the number of elements of all shares together, whose shares are whole vectors.
    """
    if count == 1:
        write(start, 1, None)
        return
    whole = stop
    if count % lanes:
        left = code.rem(code.sub(stop, start), lanes)
        whole = code.sub(stop, left)
    if count >= lanes:
        with code.loop(start, whole, lanes) as i:
            write(i, lanes, None)
    if count % lanes:
        left = code.sub(stop, whole)
        if isinstance(left, int):
            write(whole, lanes, code.first_lanes(left, lanes))
        else:
            with code.when(code.compare("gt", left, 0)):
                write(whole, lanes, code.first_lanes(left, lanes))


def longest_rows(body: Body) -> Layout:
    """Return the layout of the fewest rows."""
    for cut in range(max(1, len(body.group.space))):
        try:
            return body.layout(cut)
        except NotALoop:
            continue
    raise NotALoop("axes are crossed in different orders")
