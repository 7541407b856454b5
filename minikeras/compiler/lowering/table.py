"""Choose kernels for groups: loops for elementwise ops, a table for everything heavier."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from minikeras.compiler.fusion.groups import REDUCTIONS, Group
from minikeras.compiler.fusion.views import View, Views, natural, size
from minikeras.compiler.kernels import convolution, kernel_gradient, pooling, product
from minikeras.compiler.kernels.product import Matrix
from minikeras.compiler.loops import kernels as loops
from minikeras.compiler.loops.body import NotALoop, kind_of
from minikeras.compiler.loops.epilogue import Epilogue
from minikeras.compiler.loops.geometry import merged
from minikeras.compiler.lowering import gathers, moves
from minikeras.compiler.lowering.operands import Pieces, Straightened, bound
from minikeras.compiler.native.emit import Code
from minikeras.compiler.native.program import Scratch, Step
from minikeras.compiler.scalars.table import LOWERINGS
from minikeras.core.dispatch import Node
from minikeras.core.spec import broadcast

_FLOATS = ("float32", "float64")
_LONG = 64
"""Numbers of a column that are worth a kernel of their own."""


def lower(group: Group, views: Views, stored: Sequence[Any]) -> list[Step] | str:
    """Return the kernels of a group, or why there are none and NumPy must do it.

    `stored` are the tensors of the group whose values are needed outside of it.
    """
    try:
        if group.loop:
            return _loop(group, views, stored)
        return _by_table(group, views, stored)
    except NotALoop as reason:
        return str(reason)


def _loop(group: Group, views: Views, stored: Sequence[Any]) -> list[Step]:
    try:
        return loops.build(group, views, stored)
    except NotALoop:
        straight = Straightened(group, views)
        if not straight.steps:
            raise
        return [*straight.steps, *loops.build(group, straight, stored)]


def _by_table(group: Group, views: Views, stored: Sequence[Any]) -> list[Step] | str:
    node = group.main
    rule = KERNELS.get(node.op.name)
    if any(0 in tuple(t.plain_shape) for t in (*node.inputs, *node.outputs)):
        return "it has no elements"
    if rule is None:
        kinds = sorted({kind_of(t) for t in (*node.inputs, *node.outputs)})
        known = node.op.name in LOWERINGS or node.op.name in REDUCTIONS
        return f"no kernel for {', '.join(kinds)}" if known else "no kernel"
    epilogue = None
    if group.epilogue is not None:
        epilogue = Epilogue(group.epilogue, views, node.outputs[0], stored)
    return rule(group, views, epilogue) or "no kernel for these parameters"


def takes_epilogue(node: Node) -> bool:
    """Tell whether the kernel of a node can go on with a loop group, and gains by it."""
    # A column's sums are finished one by one, and exp of one costs as much as of a vector of them.
    column = node.op.name == "matmul" and node.outputs[0].plain_shape[-1:] == (1,)
    if column and max(size(node.outputs[0].plain_shape), node.inputs[0].plain_shape[-1]) >= _LONG:
        return False
    return is_native(node)


def is_native(node: Node) -> bool:
    """Tell whether a node is a product or convolution with a kernel."""
    return node.op.name in _WITH_EPILOGUE and kind_of(node.outputs[0]) in _FLOATS


# ---- products ------------------------------------------------------------------------------------


def _matrix(view: View, batch: tuple[int, ...]) -> Matrix | None:
    """Return a view as a matrix for each of `batch`; None if their distances are not equal."""
    rows, columns = view.shape[-2:]
    strides = view.on((*batch, rows, columns))
    outer = merged(batch, [strides[:-2]])
    if view.offset or len(outer.lengths) > 1:
        return None
    step = outer.strides[0][0] if outer.lengths else 0
    return Matrix(rows, columns, strides[-2], strides[-1], step)


def _as_matrix(view: View, batch: tuple[int, ...], pieces: Pieces) -> tuple[Matrix, Any]:
    """Return a view as a matrix for each of `batch`, and its memory, after copying if need be."""
    found = _matrix(view, batch)
    if found is not None:
        return found, view.source
    lengths = (1,) * (len(batch) + 2 - len(view.shape)) + view.shape
    repeated = any(own != length != 1 for own, length in zip(lengths[:-2], batch, strict=True))
    shape = (*batch, *view.shape[-2:]) if repeated and size(lengths[:-2]) > 1 else view.shape
    piece = pieces.of_view(View(view.source, view.offset, shape, view.on(shape)))
    found = _matrix(View(piece, 0, shape, natural(shape)), batch)
    assert found is not None
    return found, piece


def _matmul(group: Group, views: Views, epilogue: Epilogue | None) -> list[Step] | None:
    node = group.main
    kind = kind_of(node.outputs[0])
    a, b = (views.of(x) for x in node.inputs)
    if kind not in _FLOATS or len(a.shape) < 2 or len(b.shape) < 2:
        return None
    if len(a.shape) > 2 and len(b.shape) == 2:
        a = _as_rows(a) or a
    batch, pieces = broadcast(a.shape[:-2], b.shape[:-2]), Pieces(views)
    first, x1 = _as_matrix(a, batch, pieces)
    second, x2 = _as_matrix(b, batch, pieces)
    given = None
    if epilogue is not None:
        given = product.Epilogue(tuple(epilogue.roles), epilogue.prepare, epilogue.finish)
    work = product.matmul(first, second, kind, size(batch), given)
    roles = {"a": x1, "b": x2, "out": node.outputs[0]}
    roles |= {f"scratch{i}": Scratch(bytes) for i, bytes in enumerate(work.scratch)}
    return pieces.with_copies(bound(work.steps, roles, epilogue))


def _as_rows(view: View) -> View | None:
    """Merge all axes but the last; None if that is no view."""
    rows = merged(view.shape[:-1], [view.strides[:-1]])
    if len(rows.lengths) > 1:
        return None
    step = rows.strides[0][0] if rows.lengths else view.shape[-1]
    shape = (size(view.shape[:-1]), view.shape[-1])
    return View(view.source, view.offset, shape, (step, view.strides[-1]))


# ---- convolutions --------------------------------------------------------------------------------


def _after_sums(
    epilogue: Epilogue | None, own: int = 3, last: Any = None
) -> convolution.Epilogue | None:
    """Return an epilogue for kernels with `own` operands; it returns the numbers of `last`."""
    if epilogue is None:
        return None

    def prepare(code: Code) -> None:
        count = len(epilogue.body.operands)
        epilogue.prepare(code, [code.operand(own + i) for i in range(count)])

    finish = functools.partial(epilogue.finish_but, last)
    return convolution.Epilogue(prepare, finish, tuple(epilogue.roles), epilogue.title)


def _conv(group: Group, views: Views, epilogue: Epilogue | None) -> list[Step] | None:
    node, pool = group.main, group.pool
    x, kernel = node.inputs
    window, kind = node.params["window"], kind_of(node.outputs[0])
    facts = (x.plain_shape[0], window, x.plain_shape[-1], kernel.plain_shape[-1], kind)
    pieces = Pieces(views)
    roles = {"x": pieces.of(x), "kernel": pieces.of(kernel), "out": node.outputs[0]}
    if pool is None:
        steps = convolution.forward(*facts, _after_sums(epilogue))
        return pieces.with_copies(bound(steps, roles, epilogue))
    if epilogue is not None and (epilogue.body.stored or epilogue.stores_result):
        raise NotALoop("pooling leaves out pixels whose values are needed")
    last = views.of(pool.main.inputs[0]).source
    given = _after_sums(epilogue, 4, last)
    steps = convolution.forward(*facts, given, pool.main.params["window"])
    roles |= {"out": pool.main.outputs[0]} | (epilogue.roles if epilogue else {})
    positions = [n.outputs[0] for n in pool.nodes.values() if n.op.name == "first_maximum"]
    roles["position"] = positions[0] if positions else Scratch(size(roles["out"].plain_shape))
    return pieces.with_copies(bound(steps, roles))


def _conv_input_gradient(
    group: Group, views: Views, epilogue: Epilogue | None
) -> list[Step] | None:
    node = group.main
    g, kernel = node.inputs
    window, kind = node.params["window"], kind_of(node.outputs[0])
    channels, filters = node.outputs[0].plain_shape[-1], kernel.plain_shape[-1]
    given = _after_sums(epilogue)
    steps = convolution.input_gradient(g.plain_shape[0], window, channels, filters, kind, given)
    pieces = Pieces(views)
    roles = {"g": pieces.of(g), "kernel": pieces.of(kernel), "out": node.outputs[0]}
    return pieces.with_copies(bound(steps, roles, epilogue))


def _conv_kernel_gradient(group: Group, views: Views, _: Epilogue | None) -> list[Step] | None:
    node = group.main
    x, g = node.inputs
    kind = kind_of(node.outputs[0])
    channels, filters = x.plain_shape[-1], g.plain_shape[-1]
    window = node.params["window"]
    steps = kernel_gradient.kernel_gradient(x.plain_shape[0], window, channels, filters, kind)
    pieces = Pieces(views)
    roles = {"x": pieces.of(x), "g": pieces.of(g), "out": node.outputs[0]}
    return pieces.with_copies(bound(steps, roles))


# ---- pooling -------------------------------------------------------------------------------------


def _pool(build: Any, with_position: Any = None) -> Any:
    """Return the rule of a pooling primitive; `with_position` also finds where maxima are."""

    def rule(group: Group, views: Views, epilogue: Epilogue | None) -> list[Step] | None:
        node = group.main
        batch, channels = node.outputs[0].plain_shape[0], node.outputs[0].plain_shape[-1]
        both = len(group.nodes) > 1
        own = len(node.inputs) + both
        given, options = _after_sums(epilogue, own), {}
        if given is not None:
            names = given.operands
            options = {"emit": given.finish, "prepare": given.prepare, "extra": len(names)}
        job = pooling.job(node.params["window"], channels, kind_of(node.inputs[0]), **options)
        if job is None:
            return None
        steps = (with_position if both else build)(job, batch)
        pieces = Pieces(views)
        roles = {f"in{i}": pieces.of(x) for i, x in enumerate(node.inputs)}
        roles |= {"out": node.outputs[0], "out0": node.outputs[0]}
        if both:
            roles["out1"] = group.nodes[max(group.nodes)].outputs[0]
        if steps is not None and epilogue is not None:
            steps = [s._replace(operands=(*s.operands, *epilogue.roles)) for s in steps]
        return pieces.with_copies(bound(steps, roles, epilogue))

    return rule


KERNELS: dict[str, Callable[[Group, Views, Epilogue | None], list[Step] | None]] = {
    **moves.KERNELS,
    **gathers.KERNELS,
    "matmul": _matmul,
    "conv": _conv,
    "conv_input_gradient": _conv_input_gradient,
    "conv_kernel_gradient": _conv_kernel_gradient,
    "max_pool": _pool(pooling.max_pool, pooling.max_pool_with_position),
    "first_maximum": _pool(pooling.first_maximum),
    "put_position": _pool(pooling.put_position),
    "take_position": _pool(pooling.take_position),
    "average_pool": _pool(pooling.average_pool),
    "average_pool_gradient": _pool(pooling.average_pool_gradient),
}
_WITH_EPILOGUE = {
    "matmul", "conv", "conv_input_gradient", "max_pool", "put_position", "average_pool",
    "average_pool_gradient",
}  # fmt: skip
