"""Choose how a graph is run: natively where that can be, else by NumPy."""

from collections.abc import Callable, Sequence
from typing import Any

from minikeras.compiler.native import llvm
from minikeras.compiler.planning import explain
from minikeras.compiler.planning.executor import Executor
from minikeras.compiler.planning.plan import NotNative, Plan
from minikeras.compiler.rewriting.rewrite import simplify
from minikeras.compiler.tracing.graph import Graph
from minikeras.compiler.tracing.interpret import Donated, Interpreter
from minikeras.core.tensor import Array


class Native(Executor):
    """Run a graph by native code; by NumPy for inputs that native code does not take.

    NumPy then raises what there is to raise: an index outside, a label that is no class.
    """

    def __init__(self, graph: Graph, donated: Donated) -> None:
        self._graph = graph
        self._interpreter: Interpreter | None = None
        nodes, outputs = simplify(graph.nodes, graph.outputs)
        self.simplified = graph.computing(outputs)
        """The graph that was compiled."""
        plan = Plan(nodes, graph.inputs, outputs, donated)
        super().__init__(plan, graph.arguments, graph.results)

    def refused(self, arrays: Sequence[Array]) -> list[Array]:
        """Return one array for each output, by NumPy."""
        self._interpreter = self._interpreter or Interpreter(self._graph)
        return self._interpreter(arrays)

    def explain(self) -> str:
        """Return as text what runs where."""
        return explain.explain(self, self._graph.name)


def build(graph: Graph, donated: Donated = ()) -> Callable[[Sequence[Array]], Any]:
    """Return what runs a graph: arrays of the inputs in, arrays of the outputs out.

    Args:
        donated: pairs of an input and an output that may be written over the input's array.
    """
    if not llvm.available():
        return Interpreter(graph, donated)
    try:
        return Native(graph, donated)
    except NotNative:
        return Interpreter(graph, donated)
