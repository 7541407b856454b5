"""Make a node of a whole call; find and replay the nodes between symbolic tensors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.context import VariableScope, overridden
from minikeras.core.dispatch import Node, probe
from minikeras.core.spec import Spec
from minikeras.core.tensor import SymbolicTensor


class Slot:
    """Mark, in the arguments of a recorded call, the place of one of the node's inputs."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


def fill(arguments: Any, inputs: Sequence[Any]) -> Any:
    """Put `inputs` into the slots of recorded arguments."""
    return tree.map_structure(
        lambda leaf: inputs[leaf.index] if isinstance(leaf, Slot) else leaf, arguments
    )


def call_node(op: Any, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Make one node of `function(*args, **kwargs)`, some of whose arguments are symbolic.

    `function` runs on symbolic tensors without open axes, only to find the results' shapes;
    Variables that it assigns keep their values. The node's params hold `args` and `kwargs` with
    a `Slot` for each symbolic tensor.
    """
    inputs: list[SymbolicTensor] = []

    def slot(leaf: Any) -> Any:
        if not isinstance(leaf, SymbolicTensor):
            return leaf
        inputs.append(leaf)
        return Slot(len(inputs) - 1)

    params = tree.map_structure(slot, {"args": list(args), "kwargs": dict(kwargs)})

    def run(*specs: Spec) -> Any:
        tensors = [SymbolicTensor(spec.shape, spec.dtype) for spec in specs]
        filled = fill(params, tensors)
        with VariableScope(), overridden(recorders=(), inline=True):
            return function(*filled["args"], **filled["kwargs"])

    specs = probe(run, [Spec(x._shape, x._dtype) for x in inputs])
    results = tree.map_structure(lambda spec: None if spec is None else _symbolic(spec), specs)
    outputs = [result for result in tree.flatten(results) if result is not None]
    node = Node(op, inputs, params, outputs)
    for result in node.outputs:
        result.node = node
    return results


def _symbolic(spec: Any) -> SymbolicTensor:
    return SymbolicTensor(tuple(spec.shape), np.dtype(spec.dtype.name))


def remade(node: Node, inputs: Sequence[Any]) -> Node:
    """Return a node that does the same to other inputs, of the same shapes and dtypes."""
    outputs = [SymbolicTensor(y._shape, y._dtype, name=y.name) for y in node.outputs]
    new = Node(node.op, inputs, node.params, outputs)
    new.source = node.source
    for output in outputs:
        output.node = new
    return new


def collect(outputs: Sequence[Any], inputs: Sequence[Any]) -> list[Node]:
    """Return the nodes needed to compute `outputs` from `inputs`, each after those it needs.

    Raises `ValueError` if an output depends on a symbolic tensor that is no input and that no
    node made.
    """
    known = {tensor.key for tensor in inputs}
    done: set[int] = set()
    order: list[Node] = []
    stack: list[tuple[Any, bool]] = [(tensor, False) for tensor in reversed(outputs)]
    while stack:  # depth first without recursion: graphs may be deeper than Python's stack
        tensor, expanded = stack.pop()
        if tensor.key in known or not isinstance(tensor, SymbolicTensor):
            continue
        node = tensor.node
        if node is None:
            raise ValueError(
                f"graph: expected every output to depend on the inputs only, got {tensor!r}, "
                "which is neither an input nor computed from one. Add it to the inputs."
            )
        if id(node) in done:
            continue
        if expanded:
            done.add(id(node))
            order.append(node)
        else:
            stack.append((tensor, True))
            stack.extend((x, False) for x in reversed(tree.flatten(list(node.inputs))))
    return order
