"""Cut a traced function in two for tapes: forward with what gradients need, and backward."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minikeras.compiler.planning.build import build
from minikeras.compiler.tracing.concrete import Pullback, floating
from minikeras.compiler.tracing.function import Function
from minikeras.compiler.tracing.graph import Graph, closed, replayed
from minikeras.compiler.tracing.trace import trace
from minikeras.core.basic import numpy_dtype
from minikeras.core.context import state
from minikeras.core.dispatch import Node
from minikeras.core.spec import TensorSpec
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import Array, EagerTensor, IndexedSlices, SymbolicTensor

# Ops that cost less to do again than their results cost to keep, if their inputs are no larger.
_CHEAP = frozenset({"cast", "reshape", "broadcast_to", "transpose"})


class Kept(NamedTuple):
    """What a call leaves for its gradients: how to compute them, and the arrays they need."""

    backward: Callable[[Sequence[Array]], list[Array]]
    arrays: list[Array]


class Halves:
    """The two functions into which a graph and its gradients fall.

    Args:
        graph: what was traced.
        live: the numbers of the inputs whose gradients are wanted.
    """

    def __init__(self, graph: Graph, live: Sequence[int]) -> None:
        self._graph = graph
        inputs, outputs, factors, grads = _joint(graph, live)
        nodes = Graph("both", [*inputs, *factors], [*outputs, *grads.values()]).nodes
        late = _after(nodes, factors)
        needed = _needed(nodes, late, list(grads.values()))
        numbers = {x.key: i for i, x in enumerate(inputs)}
        made = [x for x in needed if x.key not in numbers]
        places = {x.key: len(outputs) + i for i, x in enumerate(made)}
        self._kept = [(x.key in numbers, {**numbers, **places}[x.key]) for x in needed]
        """For each residual whether it is an input, and its number there or among the results."""
        self.forward = build(Graph(graph.name, inputs, [*outputs, *made]))
        name = f"gradient_of_{graph.name}"
        self.backward = build(closed(name, [*needed, *factors], list(grads.values())))
        self.grads = list(grads)
        """The numbers of the inputs that have a gradient, in order."""

    def __call__(self, arrays: Sequence[Array]) -> tuple[list[Array], Kept]:
        """Return the graph's outputs, and what its gradients will need."""
        results = self.forward(arrays)
        kept = [(arrays if given else results)[number] for given, number in self._kept]
        return results[: len(self._graph.outputs)], Kept(self.backward, kept)


def _joint(
    graph: Graph, live: Sequence[int]
) -> tuple[list[SymbolicTensor], list[Any], list[SymbolicTensor], dict[int, Any]]:
    """Trace a graph and its gradients: inputs, outputs, factors of the results, gradients."""
    count = len(graph.inputs)
    targets = floating(graph.outputs[: graph.results])

    def both(*tensors: Any) -> Any:
        sources = [tensors[i] for i in live]
        with GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            outputs = replayed(graph, tensors[:count], graph.outputs)
        factors = list(tensors[count:])
        results = [outputs[i] for i in targets]
        return outputs, tape.gradient(results, sources, output_gradients=factors)

    shapes = [*graph.inputs, *(graph.outputs[i] for i in targets)]
    joint = trace(both, [TensorSpec(x.plain_shape, numpy_dtype(x).name) for x in shapes])
    outputs, grads = joint.structure
    found = {
        number: joint.outputs[slot.index]
        for number, slot in zip(live, grads, strict=True)
        if slot is not None
    }
    chosen = [joint.outputs[slot.index] for slot in outputs]
    return joint.inputs[:count], chosen, joint.inputs[count:], found


def _after(nodes: Sequence[Node], factors: Sequence[Any]) -> set[int]:
    """Return the keys of all tensors that depend on the factors, and of these."""
    late = {x.key for x in factors}
    for node in nodes:
        if any(x.key in late for x in node.inputs):
            late.update(y.key for y in node.outputs)
    return late


def _needed(nodes: Sequence[Node], late: set[int], grads: Sequence[Any]) -> list[Any]:
    """Return what the backward half takes of the forward half, made smaller where that is free."""
    makers = {y.key: node for node in nodes for y in node.outputs}
    found: dict[int, Any] = {}
    waiting = [x for x in grads if x.key not in late]
    for node in nodes:
        if node.outputs[0].key in late:
            waiting += [x for x in node.inputs if x.key not in late]
    while waiting:
        tensor = waiting.pop()
        if type(tensor) is not SymbolicTensor or tensor.key in found:
            continue
        maker = makers.get(tensor.key)
        if maker is not None and maker.op.name in _CHEAP:
            source = maker.inputs[0]
            if _bytes(source) <= _bytes(tensor):
                waiting.append(source)
                continue
        found[tensor.key] = tensor
    return list(found.values())


def _bytes(tensor: Any) -> int:
    return int(math.prod(tensor.plain_shape) * numpy_dtype(tensor).itemsize)


class Pull:
    """Compute gradients from what was kept; by a function that tapes see where some record."""

    def __init__(self, graph: Graph) -> None:
        self._targets = floating(graph.outputs[: graph.results])
        self._again = Pullback(graph, list, Function)

    def __call__(self, node: Node, g: Sequence[Any], y: Any) -> list[Any]:
        """Return a gradient for each input, None where there is none or none is wanted."""
        factors = [g[i] for i in self._targets]
        factors = [x.dense() if type(x) is IndexedSlices else x for x in factors]
        plain = all(type(x) is EagerTensor for x in factors) and state.scope is None
        if not plain or any(seen(r, [*node.inputs, *factors]) for r in state.recorders):
            return self._again(node, g, y)
        kept: Kept = node.params["kept"]
        arrays = kept.backward([*kept.arrays, *(x.array for x in factors)])
        grads: list[Any] = [None] * len(node.inputs)
        for number, array in zip(node.params["grads"], arrays, strict=True):
            grads[number] = EagerTensor(array)
        return grads


def seen(recorder: Any, tensors: Sequence[Any]) -> bool:
    """Tell whether a recorder follows one of the tensors."""
    live = recorder.live
    return any(x.key in live for x in tensors)
