"""Differentiate forwards: carry tangents along while ops run."""

from typing import Any, Self

from minikeras import tree
from minikeras.core.backward import pull
from minikeras.core.basic import add, filled
from minikeras.core.context import overridden, state
from minikeras.core.dispatch import Node
from minikeras.core.tape import GradientTape, UnconnectedGradients, checked
from minikeras.core.tensor import as_tensor
from minikeras.core.variable import Variable


class ForwardAccumulator:
    """Compute jacobian-vector products of what runs inside the `with` block.

    Each op's tangent comes from its vjp rule, which is linear in the upstream gradient `g`: the
    gradient of `vjp(g) . tangent` by `g` is `jacobian . tangent`.

    Args:
        primals: a tensor, a Variable or a nest of them.
        tangents: directions of the same structure and shapes.

    >>> x = tf.constant(3.0)
    >>> with tf.autodiff.ForwardAccumulator(x, tf.constant(1.0)) as acc:
    ...     y = x * x
    >>> acc.jvp(y)
    <tf.Tensor: shape=(), dtype=float32, numpy=6.0>
    """

    def __init__(self, primals: Any, tangents: Any) -> None:
        tree.assert_same_structure(primals, tangents)
        self._tangents: dict[int, Any] = {}
        self._variables: dict[int, Any] = {}
        self._outer: tuple[Any, ...] = ()
        for primal, tangent in zip(tree.flatten(primals), tree.flatten(tangents), strict=True):
            tangent = as_tensor(tangent)
            if tuple(primal.shape) != tuple(tangent.shape):
                raise ValueError(
                    f"ForwardAccumulator: expected a tangent of shape {tuple(primal.shape)}, "
                    f"got {tuple(tangent.shape)}."
                )
            if isinstance(primal, Variable):
                self._variables[primal.key] = tangent
                primal = primal.stored
            self._tangents[primal.key] = tangent

    @property
    def live(self) -> Any:
        """The keys of tensors that have a tangent."""
        return self._tangents

    def __enter__(self) -> Self:
        self._outer = state.recorders
        state.recorders = (*state.recorders, self)
        return self

    def __exit__(self, *_: object) -> None:
        state.recorders = tuple(r for r in state.recorders if r is not self)

    def read(self, variable: Variable, value: Any) -> None:
        """Give what was read from a primal Variable the Variable's tangent."""
        tangent = self._variables.get(variable.key)
        if tangent is not None:
            self._tangents[value.key] = tangent

    def record(self, node: Node) -> None:
        """Compute the tangents of a node's outputs from those of its inputs."""
        live = {tensor.key for tensor in node.inputs if tensor.key in self._tangents}
        with overridden(recorders=self._outer):
            seeds = [filled(output, 0) for output in node.outputs]
            pulled: dict[int, Any] = {}
            with GradientTape(persistent=True) as tape:
                tape.watch(seeds)
                pull(node, list(seeds), pulled, live)
            for output, seed in zip(node.outputs, seeds, strict=True):
                parts = [
                    tape.gradient(pull, seed, output_gradients=[self._tangents[key]])
                    for key, pull in pulled.items()
                ]
                parts = [part for part in parts if part is not None]
                if parts:
                    self._tangents[output.key] = _total(parts)

    def jvp(
        self,
        primals: Any,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
    ) -> Any:
        """Return the tangents of `primals`, packed alike; None or zeros where there is none."""
        zero = checked(unconnected_gradients) is UnconnectedGradients.ZERO

        def tangent(target: Any) -> Any:
            tensor = target.stored if isinstance(target, Variable) else target
            found = self._tangents.get(tensor.key)
            return filled(tensor, 0) if found is None and zero else found

        return tree.map_structure(tangent, primals)


def _total(parts: list[Any]) -> Any:
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    return total
