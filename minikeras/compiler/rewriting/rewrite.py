"""Simplify a graph: fold constants, share equal nodes, apply the tables, drop what nobody needs."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minikeras.compiler.rewriting.pattern import COMMUTATIVE, P, Row
from minikeras.compiler.rewriting.rules import ROWS
from minikeras.core.context import overridden, state
from minikeras.core.dispatch import Node, Primitive, is_open
from minikeras.core.graph import Slot, remade
from minikeras.core.spec import Spec
from minikeras.core.tensor import EagerTensor, SymbolicTensor, Tensor

# A constant is computed now if the result is this small or no larger than what it is made of.
_FOLDED_BYTES = 2**20
# Constants up to this size are compared by their bytes, larger ones by identity.
_COMPARED_BYTES = 2**12
# Rows make nodes that rows match again; two or three passes are usual.
_PASSES = 10
_DEPTH = 50

Rows = dict[Any, list[Row]]


def simplify(
    nodes: Sequence[Node], outputs: Sequence[Tensor], rows: Rows = ROWS
) -> tuple[list[Node], list[Tensor]]:
    """Return other nodes and outputs that compute the same as `nodes` do, with less work.

    `nodes` are in order, each after those whose outputs it takes, and stay as they are. What no
    node makes are inputs, or constants if eager. An output may become a constant or an input.
    While `state.debug` is set, the graph is verified after every pass.
    """
    nodes, outputs = _needed(nodes, outputs), list(outputs)
    every = [tensor for node in nodes for tensor in (*node.inputs, *node.outputs)]
    closed = not any(map(is_open, every))  # rows compute with shapes
    bits: dict[int, Any] = {}
    with overridden(recorders=()):
        for _ in range(_PASSES):
            once = _Pass(nodes, outputs, rows if closed else {}, bits)
            nodes, outputs = once.run()
            if state.debug:
                verify(nodes, outputs, once.rules)
            if not once.changed:
                break
    return nodes, outputs


def _needed(nodes: Sequence[Node], outputs: Iterable[Any]) -> list[Node]:
    """Return the nodes on which `outputs` depend, in the same order."""
    wanted = {tensor.key for tensor in outputs}
    needed = []
    for node in reversed(nodes):
        if any(output.key in wanted for output in node.outputs):
            needed.append(node)
            wanted.update(tensor.key for tensor in node.inputs)
    return needed[::-1]


class _Pass:
    """Walk through a graph once, from inputs to outputs, and build the simpler one."""

    def __init__(
        self, nodes: Sequence[Node], outputs: Sequence[Any], rows: Rows, bits: dict[int, Any]
    ) -> None:
        self.nodes = nodes
        self.outputs = outputs
        self.rows = rows
        self.bits = bits
        """What constants are compared by, by key; kept from pass to pass."""
        self.changed = False
        self.built: list[Node] = []
        self.rules: dict[int, str] = {}
        """The text of the row that made a node, by the node's identity."""
        self.uses = Counter(tensor.key for node in nodes for tensor in node.inputs)
        self.uses.update(tensor.key for tensor in outputs)
        self._place: dict[int, Any] = {}  # tensors by the key of the old one that they replace
        self._known: dict[Any, Sequence[Any]] = {}  # outputs by what computes them
        self._done: set[int] = set()  # identities of the nodes built
        self._depth = 0  # of rewrites of what rewrites made

    def run(self) -> tuple[list[Node], list[Any]]:
        """Return the nodes that are still needed, and the outputs."""
        for node in self.nodes:
            self._visit(node)
        outputs = [self._place.get(tensor.key, tensor) for tensor in self.outputs]
        return _needed(self.built, outputs), outputs

    def _visit(self, old: Node) -> None:
        node = self._with_new_inputs(old)
        key = self._key(node)
        found = self._known.get(key) if key else None
        if found is None:
            found = folded(node) or self._rewritten(node)
            if found is None:
                self.built.append(node)
                self._done.add(id(node))
                found = node.outputs
            else:
                self.changed = True
            if key:
                self._known[key] = found
        else:
            self.changed = True
        for before, after in zip(old.outputs, found, strict=True):
            if before is not after:
                self._place[before.key] = after
                self.uses[after.key] += self.uses[before.key] or 1

    def _with_new_inputs(self, node: Node) -> Node:
        place = self._place
        for tensor in node.inputs:
            if tensor.key in place:
                break
        else:
            return node
        new = remade(node, [place.get(tensor.key, tensor) for tensor in node.inputs])
        if id(node) in self.rules:
            self.rules[id(new)] = self.rules[id(node)]
        return new

    # ---- common subexpressions

    def _key(self, node: Node) -> Any:
        """Return what equal computations have in common, None if that is unknown."""
        if not isinstance(node.op, Primitive):
            return None
        inputs: Any = tuple(self._bits(x) if type(x) is EagerTensor else x.key for x in node.inputs)
        if node.op in COMMUTATIVE:
            inputs = frozenset(inputs)
        if not node.params:
            return (node.op, inputs)
        try:
            return (node.op, inputs, _hashable(node.params))
        except TypeError:
            return None

    def _bits(self, tensor: EagerTensor) -> Any:
        found = self.bits.get(tensor.key)
        if found is None:
            array = tensor.array
            found = tensor.key
            if array.nbytes <= _COMPARED_BYTES:
                found = (array.dtype, array.shape, array.tobytes())
            self.bits[tensor.key] = found
        return found

    # ---- rows

    def _rewritten(self, node: Node) -> tuple[Any, ...] | None:
        """Return what the first row that applies puts in place of the outputs."""
        for row in self.rows.get(node.op, ()):
            found = row.match(node)
            if found is None or (row.alone and not self._alone(row.inner(found))):
                continue
            result = row.result(node, found)
            if result is None:
                continue
            results = result if isinstance(result, tuple) else (result,)
            fitting = tuple(map(_fitting, results, node.outputs))
            if all(tensor is not None for tensor in fitting):
                return tuple(self._built(tensor, node, row) for tensor in fitting)
        return None

    def _alone(self, inner: list[Any]) -> bool:
        return all(self.uses[tensor.key] <= 1 for tensor in inner)

    def _built(self, tensor: Any, node: Node, row: Row) -> Any:
        """Visit the nodes that a row made to compute `tensor`; return what that became."""
        self._depth += 1
        if self._depth > _DEPTH:
            raise AssertionError(f"rewrite {row.text}: expected to come to an end, got a circle.")
        for new in self._unbuilt(tensor):
            if id(new) in self._done:  # by the visit of another one
                continue
            if state.debug:
                new.source = node.source
                self.rules[id(new)] = row.text
            self._visit(new)
        self._depth -= 1
        return self._place.get(tensor.key, tensor)

    def _unbuilt(self, tensor: Any) -> list[Node]:
        """Return the nodes not built yet that `tensor` depends on, in order."""
        order: list[Node] = []
        stack = [(tensor, False)]
        while stack:
            tensor, expanded = stack.pop()
            node = tensor.node if type(tensor) is SymbolicTensor else None
            if node is None or id(node) in self._done or tensor.key in self._place:
                continue
            if expanded:
                if node not in order:
                    order.append(node)
                continue
            stack.append((tensor, True))
            stack.extend((x, False) for x in node.inputs)
        return order


def _fitting(result: Any, out: SymbolicTensor) -> Any:
    """Return what a row gave as a tensor like the one it replaces, or None if it cannot be."""
    if not isinstance(result, Tensor):
        result = EagerTensor(np.asarray(result, out._dtype))
    if result.dtype != out.dtype:
        return None
    shape, wanted = result.plain_shape, out._shape
    if tuple(shape) == tuple(wanted):
        return result
    pairs = zip(reversed(shape), reversed(wanted), strict=False)
    if len(shape) > len(wanted) or any(n not in (1, w) for n, w in pairs):
        return None
    return P.broadcast_to(result, shape=tuple(wanted))


def _hashable(value: Any) -> Any:
    """Return a key that tells parameters apart where `==` does not: 1, 1.0 and True."""
    if isinstance(value, float):
        return (float, value.hex())
    if isinstance(value, dict):
        return tuple((name, _hashable(each)) for name, each in value.items())
    if isinstance(value, (tuple, list)):
        return tuple(map(_hashable, value))
    if isinstance(value, slice):
        return (slice, value.start, value.stop, value.step)
    if isinstance(value, Slot):
        return (Slot, value.index)
    hash(value)
    return (type(value), value)


# ---- constants -----------------------------------------------------------------------------------


def folded(node: Node) -> tuple[Any, ...] | None:
    """Return the outputs as constants if all inputs are and the result is not too large."""
    for tensor in node.inputs:
        if type(tensor) is not EagerTensor:
            return None
    if not isinstance(node.op, Primitive) or any(map(is_open, node.outputs)):
        return None
    arrays = [tensor.array for tensor in node.inputs]
    size = sum(output.size * output._dtype.itemsize for output in node.outputs)
    if size > max(_FOLDED_BYTES, sum(array.nbytes for array in arrays)):
        return None
    try:
        result = state.quietly(node.op.forward, *arrays, **node.params)
    except (ValueError, IndexError, TypeError):
        return None  # an error of the program's: it is to be raised when it runs
    results = result if node.op.multiple else (result,)
    return tuple(EagerTensor(np.asarray(array)) for array in results)


# ---- verification --------------------------------------------------------------------------------


def verify(
    nodes: Sequence[Node], outputs: Sequence[Tensor], rules: dict[int, str] | None = None
) -> None:
    """Raise `AssertionError` unless a graph is in order and as its spec rules say.

    Args:
        rules: texts of the rows that made nodes, by the node's identity, for the message.
    """
    made: set[int] = set()
    for node in nodes:
        rule = (rules or {}).get(id(node))
        who = f"verify: {node!r}" + (f", made by the rewrite {rule}" if rule else "")
        for tensor in node.inputs:
            _check_made(who, tensor, made)
        _check_specs(who, node)
        made.update(output.key for output in node.outputs)
    for tensor in outputs:
        _check_made("verify: an output", tensor, made)


def _check_made(who: str, tensor: Any, made: set[int]) -> None:
    if type(tensor) is SymbolicTensor and tensor.node is not None and tensor.key not in made:
        raise AssertionError(f"{who}: expected what it needs to be made before, got {tensor!r}.")


def _check_specs(who: str, node: Node) -> None:
    if any(output.node is not node for output in node.outputs):
        raise AssertionError(f"{who}: expected outputs that know their node, got others.")
    if not isinstance(node.op, Primitive) or any(map(is_open, node.inputs)):
        return
    specs = [Spec(x.plain_shape, np.dtype(x.dtype.name)) for x in node.inputs]
    found = node.op.spec(*specs, **node.params)
    expected = list(found) if node.op.multiple else [found]
    got = [Spec(output._shape, output._dtype) for output in node.outputs]
    if expected != got:
        raise AssertionError(f"{who}: expected {expected} by its spec rule, got {got}.")
