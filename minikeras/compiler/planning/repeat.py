"""Plan a traced loop: its condition and its body become part of the plan, with jumps."""

from collections.abc import Sequence
from typing import Any

from minikeras.compiler.fusion.views import View, Views, natural
from minikeras.compiler.lowering.operands import copied
from minikeras.compiler.planning.actions import Action, Call, Jump, Mark
from minikeras.compiler.rewriting.rewrite import simplify
from minikeras.compiler.tracing.graph import Graph, substituted
from minikeras.core.basic import numpy_dtype
from minikeras.core.dispatch import Node
from minikeras.core.tensor import EagerTensor, SymbolicTensor

Aliases = dict[int, int]
"""By the key of a tensor that of the one whose memory it takes."""


def repeated(node: Node, views: Views, plan: Any) -> tuple[list[Action], Aliases] | str:
    """Return the actions of a `while_loop`, or why NumPy must do it.

    The loop's outputs hold the loop variables from the first turn on. `plan` makes a plan of
    nodes, inputs, outputs and pairs of those that may share memory.
    """
    carried = list(node.outputs)
    actions: list[Action] = []
    given: list[Any] = []
    for i, tensor in enumerate(node.inputs):
        view = views.of(tensor)
        if i < len(carried):
            given.append(carried[i])
        elif view.whole and tuple(view.source.plain_shape) == view.shape:
            given.append(view.source)
            continue
        else:
            given.append(_like(tensor))
        actions += copy_into(view, given[-1])
    pairs = [(i, i) for i in range(len(carried))]
    test, body = (
        _planned(node.params[name], given, shared, plan)
        for name, shared in (("cond", []), ("body", pairs))
    )
    if any(isinstance(action, Call) for action in (*test.actions, *body.actions)):
        return "its condition or body needs NumPy"
    condition = test.views.of(test.outputs[0]).source
    again, end = Mark(), Mark()
    actions += [again, *test.actions, Jump(condition, False, end), *body.actions]
    actions += _moved(body, carried)
    actions += [Jump(condition, True, again), end]
    return actions, test.aliases | body.aliases


def _planned(
    graph: Graph, given: Sequence[Any], pairs: Sequence[tuple[int, int]], plan: Any
) -> Any:
    # With inputs of its own: rewriting would look through those given at what made them outside.
    simple = graph.computing(simplify(graph.nodes, graph.outputs)[1])
    known = {x.key: tensor for x, tensor in zip(graph.inputs, given, strict=True)}
    inner = substituted(simple, list(given), known)
    return plan(inner.nodes, given, inner.outputs, pairs)


def _moved(body: Any, carried: Sequence[Any]) -> list[Action]:
    """Copy the results of a turn that are not in place: first those that others would overwrite."""
    keys = {tensor.key for tensor in carried}
    early: list[Action] = []
    late: list[Action] = []
    for i, (tensor, target) in enumerate(zip(body.outputs, carried, strict=True)):
        view = body.views.of(tensor)
        if i in body.in_place or (view.whole and view.source.key == target.key):
            continue
        if view.source.key in keys:
            between = _like(target)
            early += copy_into(view, between)
            view = body.views.of(between)
        late += copy_into(view, target)
    return early + late


def _like(tensor: Any) -> SymbolicTensor:
    return SymbolicTensor(tuple(tensor.plain_shape), numpy_dtype(tensor))


def copy_into(view: View, target: Any) -> list[Action]:
    """Return what copies all that a view shows into a tensor of its shape."""
    shape = tuple(target.plain_shape)
    assert view.shape == shape
    source = view.source
    if isinstance(source, EagerTensor) and not source.array.size:
        return []
    return list(copied(view, natural(shape), 0, target))
