"""Make a node of a whole call; find and replay the nodes between symbolic tensors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.context import VariableScope, unrecorded
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
        with VariableScope(), unrecorded():
            return function(*filled["args"], **filled["kwargs"])

    specs = probe(run, [Spec(x._shape, x._dtype) for x in inputs])
    results = tree.map_structure(
        lambda spec: SymbolicTensor(tuple(spec.shape), np.dtype(str.__str__(spec.dtype))), specs
    )
    node = Node(op, inputs, params, tree.flatten(results))
    for result in node.outputs:
        result.node = node
    return results


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


def evaluate(
    nodes: Sequence[Node],
    values: dict[int, Any],
    outputs: Any,
    call: Callable[[Node, list[Any]], Any],
) -> Any:
    """Run `nodes` in order and return the values of the nest `outputs`.

    Args:
        nodes: from `collect`.
        values: the inputs' values by key.
        outputs: a nest of symbolic tensors.
        call: computes one node's result (a tensor or a nest) from its inputs' values.
    """
    values = dict(values)
    for node in nodes:
        inputs = [values.get(tensor.key, tensor) for tensor in node.inputs]
        results = tree.flatten(call(node, inputs))
        values.update((out.key, y) for out, y in zip(node.outputs, results, strict=True))
    return tree.map_structure(lambda tensor: values.get(tensor.key, tensor), outputs)
