"""Define `Graph`: what a trace leaves, the nodes between symbolic inputs and outputs."""

from collections.abc import Callable, Sequence
from typing import Any

from minikeras import tree
from minikeras.compiler.tracing.listing import listed
from minikeras.core.dispatch import Node
from minikeras.core.graph import Slot, collect, fill, remade
from minikeras.core.tensor import EagerTensor, SymbolicTensor, Tensor
from minikeras.core.variable import Variable


class Graph:
    """The nodes that compute `outputs` from `inputs`, in order.

    Args:
        name: of the function that was traced.
        inputs: a tensor for each tensor argument, then one for each of `variables`.
        outputs: tensor results, then the new values of `assigned`; eager ones are constants.
        variables: first those that are assigned, then those that are only read.
        assigned: the first of `variables`.
        structure: what was returned, with a `Slot` in the place of each tensor.
        unread: keys of the Variables among `assigned` whose values before do not matter.
        replayable: whether a tape finds in the nodes all that gradients need.
        effects: what is called after every run, with its arguments; they hold slots as above.
        links: numbers of results that know their logits, and the numbers of these.
    """

    def __init__(
        self,
        name: str,
        inputs: Sequence[SymbolicTensor],
        outputs: Sequence[Tensor],
        *,
        variables: Sequence[Variable] = (),
        assigned: Sequence[Variable] = (),
        structure: Any = None,
        unread: frozenset[int] = frozenset(),
        replayable: bool = True,
        effects: Sequence[tuple[Callable[..., None], Any]] = (),
        links: Sequence[tuple[int, int]] = (),
    ) -> None:
        self.name = name
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.variables = list(variables)
        self.assigned = list(assigned)
        self.structure = structure
        self.unread = unread
        self.replayable = replayable
        self.effects = tuple(effects)
        self.links = tuple(links)
        self.nodes: list[Node] = collect(self.outputs, self.inputs)

    @property
    def arguments(self) -> int:
        """The number of tensor arguments."""
        return len(self.inputs) - len(self.variables)

    @property
    def results(self) -> int:
        """The number of tensors that the function returned, and that effects take."""
        return len(self.outputs) - len(self.assigned)

    def linked(self) -> "Graph":
        """Return a graph that computes the logits of its results too, which these then know."""
        results, assigned = self.outputs[: self.results], self.outputs[self.results :]
        numbers = [i for i, y in enumerate(results) if hasattr(y, "logits")]
        logits = [results[i].logits for i in numbers]
        links = [(number, len(results) + i) for i, number in enumerate(numbers)]
        return self.computing([*results, *logits, *assigned], links) if links else self

    def computing(
        self, outputs: Sequence[Tensor], links: Sequence[tuple[int, int]] = ()
    ) -> "Graph":
        """Return a graph of the same inputs with other tensors in the places of its outputs."""
        return Graph(
            self.name,
            self.inputs,
            outputs,
            variables=self.variables,
            assigned=self.assigned,
            structure=self.structure,
            unread=self.unread,
            replayable=self.replayable,
            effects=self.effects,
            links=links or self.links,
        )

    def packed(self, results: Sequence[Tensor]) -> Any:
        """Return what the function returns, after its effects."""
        for effect, arguments in self.effects:
            effect(*fill(arguments, results))
        for number, place in self.links:
            results[number].logits = results[place]
        return fill(self.structure, results)

    def __str__(self) -> str:
        return listed(self)

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.nodes)} nodes>"


def _knowing(arrays: Sequence[Any]) -> EagerTensor:
    """Return the only result, which knows its logits."""
    result = EagerTensor(arrays[0])
    result.logits = EagerTensor(arrays[1])
    return result


def packer(graph: Graph) -> Callable[[Sequence[Any]], Any]:
    """Return a quick function that makes of arrays what `graph.packed` makes of tensors."""
    structure = graph.structure
    by_graph = lambda arrays: graph.packed(list(map(EagerTensor, arrays)))
    only = isinstance(structure, Slot)
    if graph.effects or (graph.links and not only):
        return by_graph
    if only:
        return _knowing if graph.links else lambda arrays: EagerTensor(arrays[0])
    if type(structure) is tuple and structure and all(isinstance(s, Slot) for s in structure):
        count = len(structure)  # slots are numbered in order
        return lambda arrays: tuple(map(EagerTensor, arrays[:count]))
    if type(structure) is dict and all(isinstance(s, Slot) for s in structure.values()):
        places = [(name, slot.index) for name, slot in structure.items()]
        return lambda arrays: {name: EagerTensor(arrays[place]) for name, place in places}
    if not tree.is_nested(structure):
        return lambda _: structure
    return by_graph


def replayed(graph: Graph, values: Sequence[Any], wanted: Sequence[Tensor]) -> list[Any]:
    """Run the nodes again, on other tensors in place of `graph.inputs`; return those `wanted`."""
    known = dict(zip((tensor.key for tensor in graph.inputs), values, strict=True))
    for node in graph.nodes:
        inputs = [known.get(tensor.key, tensor) for tensor in node.inputs]
        again = getattr(node.op, "replay", node.op)
        found = again(*inputs, **node.params)
        results = found if node.op.multiple else (found,)
        known.update((y.key, result) for y, result in zip(node.outputs, results, strict=True))
    return [known.get(tensor.key, tensor) for tensor in wanted]


def substituted(graph: Graph, inputs: Sequence[SymbolicTensor], known: dict[int, Any]) -> Graph:
    """Return a copy of a graph whose nodes take other tensors, by the key of those before."""
    known = dict(known)
    for node in graph.nodes:
        new = remade(node, [known.get(x.key, x) for x in node.inputs])
        pairs = zip(node.outputs, new.outputs, strict=True)
        known.update((before.key, after) for before, after in pairs)
    return Graph(graph.name, inputs, [known.get(y.key, y) for y in graph.outputs])


def closed(name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Graph:
    """Return a graph with inputs of its own for what it uses of a graph around."""
    own = {x.key: SymbolicTensor(x._shape, x._dtype, name=x.name) for x in inputs}
    return substituted(Graph(name, inputs, outputs), [own[x.key] for x in inputs], own)
