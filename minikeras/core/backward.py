"""Walk back over nodes, turning gradients of outputs into gradients of inputs."""

from collections.abc import Sequence
from typing import Any

from minikeras.core.basic import add, filled, numpy_dtype, sum_to
from minikeras.core.dispatch import Node
from minikeras.core.tensor import IndexedSlices


def backward(nodes: Sequence[Node], grads: dict[int, Any], sources: set[int]) -> dict[int, Any]:
    """Walk `nodes` from last to first, turning gradients of outputs into gradients of inputs.

    Args:
        nodes: the record, in the order in which it was made.
        grads: gradient by key, of the targets; is used up.
        sources: the keys whose gradients are wanted. Only paths that lead there are followed.

    Returns:
        gradient by key, of the sources that the targets depend on.
    """
    reached = set(sources)
    path = []
    for node in nodes:
        for tensor in node.inputs:
            if tensor.key in reached:
                for output in node.outputs:
                    reached.add(output.key)
                path.append(node)
                break
    for node in reversed(path):
        keys = [output.key for output in node.outputs]
        found = [grads.get(key) if key in sources else grads.pop(key, None) for key in keys]
        if found[0] is not None or any(g is not None for g in found):
            pull(node, found, grads, reached)
    return grads


def pull(node: Node, found: list[Any], grads: dict[int, Any], reached: set[int]) -> None:
    """Add to `grads` what the vjp rules of one node give for its inputs."""
    op = node.op
    if op.multiple:
        y: Any = node.outputs
        g: Any = [filled(out, 0) if g is None else g for g, out in zip(found, y, strict=True)]
    else:
        y, g = node.outputs[0], found[0]
        g = g.dense() if type(g) is IndexedSlices else g
    if op.variadic:
        pulled = op.rules[0](node, g, y)
    for i, tensor in enumerate(node.inputs):
        key = tensor.key
        if key not in reached or numpy_dtype(tensor).kind != "f":
            continue
        if op.variadic:
            grad = pulled[i]
        else:
            rule = op.rules[i]
            grad = rule and rule(node, g, y)
        if grad is None:
            continue
        if grad.plain_shape != tensor.plain_shape:
            grad = sum_to(grad, shape=tensor.plain_shape)
        before = grads.get(key)
        grads[key] = grad if before is None else added(before, grad)


def added(a: Any, b: Any) -> Any:
    """Return the sum of two gradients, sparse if both are."""
    sparse = isinstance(a, IndexedSlices) and isinstance(b, IndexedSlices)
    return a + b if sparse else add(a, b)
