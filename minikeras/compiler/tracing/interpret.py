"""Run a graph in NumPy: what compiled code is checked against, and used where there is none."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minikeras.compiler.tracing.graph import Graph
from minikeras.core.context import state
from minikeras.core.dispatch import Node
from minikeras.core.tensor import Array, EagerTensor

Donated = Sequence[tuple[int, int]]


class _Step(NamedTuple):
    """A node, with places in a list of values instead of tensors."""

    forward: Callable[..., Any]
    inputs: list[int]
    params: dict[str, Any]
    outputs: list[int]
    multiple: bool
    last: list[int]
    """Places whose values nobody needs after this."""
    node: Node


class Interpreter:
    """Compute the outputs' arrays from the inputs' arrays, each node by its `forward`.

    Writes into no array, whatever is donated.
    """

    donated: Donated = ()

    def __init__(self, graph: Graph, donated: Donated = ()) -> None:
        self._count = len(graph.inputs)
        self._places = {tensor.key: i for i, tensor in enumerate(graph.inputs)}
        self._constants: list[Array] = []
        for tensor in (*(x for node in graph.nodes for x in node.inputs), *graph.outputs):
            if type(tensor) is EagerTensor and tensor.key not in self._places:
                self._places[tensor.key] = len(self._places)
                self._constants.append(tensor.array)
        for node in graph.nodes:
            for output in node.outputs:
                self._places[output.key] = len(self._places)
        self._results = [self._places[tensor.key] for tensor in graph.outputs]
        self._steps = self._stepped(graph.nodes)
        self._name = graph.name

    def _stepped(self, nodes: list[Node]) -> list[_Step]:
        steps = []
        done = set(self._results)  # places whose values somebody needs later
        done.update(range(self._count, self._count + len(self._constants)))
        for node in reversed(nodes):
            inputs = [self._places[tensor.key] for tensor in node.inputs]
            outputs = [self._places[tensor.key] for tensor in node.outputs]
            last = [place for place in {*inputs, *outputs} if place not in done]
            done.update(inputs)
            op = node.op
            steps.append(_Step(op.forward, inputs, node.params, outputs, op.multiple, last, node))
        return steps[::-1]

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Return one array for each output; none of them is a view of another array."""
        results = state.quietly(self.run, arrays)
        return [array if array.base is None else array.copy(order="K") for array in results]

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """Return the outputs' arrays; NumPy's warnings must be off."""
        values: list[Any] = [*arrays, *self._constants]
        values += [None] * (len(self._places) - len(values))
        for forward, inputs, params, outputs, multiple, last, node in self._steps:
            try:
                found = forward(*[values[i] for i in inputs], **params)
            except (ValueError, IndexError, TypeError) as error:
                _explain(node, [values[i] for i in inputs], error)
                raise
            if multiple:
                for place, array in zip(outputs, found, strict=True):
                    values[place] = np.asarray(array)
            else:
                values[outputs[0]] = found if type(found) is np.ndarray else np.asarray(found)
            for place in last:
                values[place] = None
        return [values[place] for place in self._results]

    def explain(self) -> str:
        """Return as text what runs where."""
        return f"{self._name}: {len(self._steps)} calls of NumPy, no native code"


def _explain(node: Node, arrays: list[Array], error: Exception) -> None:
    """Say in our words what NumPy said in its own, and where it was written."""
    where = f" ({node.source})" if node.source else ""
    error.add_note(f"In {node.op.name}{where}, in a traced function.")
    node.op._explain([EagerTensor(array) for array in arrays], node.params, error)
