"""Order the layers of a graph as Keras does: it decides that of weights, and so what files hold."""

from typing import Any

from minikeras.core.dispatch import Node
from minikeras.core.tensor import SymbolicTensor
from minikeras.layers.base import Layer

Operation = Any
"""A layer, or the Node of an op that was called on symbolic tensors."""


class Ordered:
    """The operations between inputs and outputs.

    Those further from the outputs come first, among equals the ones that a walk from the outputs
    meets first. A layer that is called several times counts with its longest distance.

    Args:
        outputs: symbolic tensors.
        entrances: the layer that stands for each input, by the tensor's key.
    """

    def __init__(self, outputs: list[SymbolicTensor], entrances: dict[int, Layer]) -> None:
        self._entrances = entrances
        self._met: dict[int, Operation] = {}
        calls = self._walk(outputs)
        distances = self._distances(calls)
        for layer in entrances.values():
            if id(layer) not in self._met:  # inputs that no output needs
                self._met = {id(layer): layer} | self._met
        position = {key: i for i, key in enumerate(self._met)}
        self.operations: list[Operation] = sorted(
            self._met.values(), key=lambda op: (-distances.get(id(op), 0), position[id(op)])
        )

    @property
    def layers(self) -> list[Layer]:
        """The operations that are layers."""
        return [op for op in self.operations if isinstance(op, Layer)]

    def _call(self, tensor: SymbolicTensor) -> Any:
        """Return what made a tensor: the entrance itself, or a node."""
        return self._entrances.get(tensor.key) or tensor.node

    def _needed(self, call: Any) -> list[Any]:
        if isinstance(call, Layer):
            return []
        return [self._call(x) for x in call.inputs if isinstance(x, SymbolicTensor)]

    def _walk(self, outputs: list[SymbolicTensor]) -> list[Any]:
        """Return all calls, each after those it needs; take note of operations as they are met."""
        order: list[Any] = []
        done: set[int] = set()
        stack = [(self._call(tensor), False) for tensor in reversed(outputs)]
        while stack:
            call, needed_are_done = stack.pop()
            if id(call) in done:
                continue
            operation = operation_of(call)
            self._met.setdefault(id(operation), operation)
            if needed_are_done:
                done.add(id(call))
                order.append(call)
            else:
                stack.append((call, True))
                stack.extend((call, False) for call in reversed(self._needed(call)))
        return order

    def _distances(self, calls: list[Any]) -> dict[int, int]:
        """Return by operation how many calls lie at most between it and an output."""
        of_call: dict[int, int] = {}
        of_operation: dict[int, int] = {}
        for call in reversed(calls):
            operation = id(operation_of(call))
            here = max(of_call.get(id(call), 0), of_operation.get(operation, 0))
            of_operation[operation] = here
            for needed in self._needed(call):
                of_call[id(needed)] = max(here + 1, of_call.get(id(needed), 0))
        return of_operation


def operation_of(call: Any) -> Operation:
    """Return the layer that a node is a call of; an op's node stands for itself."""
    return call.op if isinstance(call, Node) and isinstance(call.op, Layer) else call
