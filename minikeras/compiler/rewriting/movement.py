"""Say what moves fewer numbers: rewrites of reshapes, transposes, broadcasts, joins.

A reshape costs nothing and a transpose is often read for free by what comes after, so both move
towards the results, past elementwise ops, where they meet their like and cancel.
"""

from typing import Any

from minikeras.compiler.rewriting.pattern import P, Table, is_filled, variables
from minikeras.core.tensor import EagerTensor
from minikeras.ops.indexing import whole_key

x, y, z = variables("x y z")
c = variables("c", constant=True)[0]

UNARY = (
    P.negative, P.absolute, P.sign, P.square, P.sqrt, P.rsqrt, P.reciprocal, P.exp, P.expm1, P.log,
    P.log1p, P.sin, P.cos, P.tanh, P.sigmoid, P.softplus, P.softsign, P.relu, P.relu6,
    P.leaky_relu, P.exponential_linear, P.silu, P.cast, P.logical_not, P.isfinite, P.isnan,
)  # fmt: skip
BINARY = (
    P.add, P.subtract, P.multiply, P.divide, P.divide_no_nan, P.power, P.maximum, P.minimum,
    P.squared_difference, P.equal, P.not_equal, P.less, P.less_equal, P.greater, P.greater_equal,
    P.logical_and, P.logical_or,
)  # fmt: skip

# ---- reshape and transpose -----------------------------------------------------------------------


def shape_of(x: Any) -> tuple[int, ...]:
    """Return the lengths of the axes, all of them known."""
    return tuple(x.plain_shape)


def reshaped(x: Any, out: Any) -> Any:
    """Give `x` the shape of `out`."""
    return P.reshape(x, shape=shape_of(out))


def _transposed_once(inner: Any, x: Any, axes: tuple[int, ...]) -> Any:
    first = axes_of(inner[0])
    return P.transpose(x, axes=tuple(first[axis] for axis in axes))


def _keeps_order(axes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Tell whether a transpose moves only axes of length 1, if any."""
    long = [axis for axis in axes if shape[axis] != 1]
    return long == sorted(long)


def _transposed_to_reshape(x: Any, axes: tuple[int, ...], out: Any) -> Any:
    return reshaped(x, out) if _keeps_order(axes, shape_of(x)) else None


def axes_of(transposed: Any) -> tuple[int, ...]:
    """Return the axes by which a tensor was transposed."""
    axes: tuple[int, ...] = transposed.node.params["axes"]
    return axes


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axes.index(axis) for axis in range(len(axes)))


SHAPES: Table = [
    (P.reshape(x), lambda x, out: x if shape_of(x) == shape_of(out) else None),  # to its shape -> x
    (P.reshape(P.reshape(x)), reshaped),  # the last shape wins
    (P.transpose(P.transpose(x)), _transposed_once),  # one order after the other is one order
    # transpose that moves only axes of length 1, or none -> reshape
    (P.transpose(x), _transposed_to_reshape),
    (P.broadcast_to(x), lambda x, out: x if shape_of(x) == shape_of(out) else None),  # -> x
    (  # broadcast_to(broadcast_to(x)) -> broadcast_to(x)
        P.broadcast_to(P.broadcast_to(x)),
        lambda x, shape: P.broadcast_to(x, shape=shape),
    ),
    (  # broadcast_to that only adds axes of length 1 -> reshape
        P.broadcast_to(x),
        lambda x, out: reshaped(x, out) if x.size == out.size else None,
    ),
    # one number, repeated, has no order
    (P.reshape(P.broadcast_to(x)), lambda x: P.reshape(x, shape=()) if x.size == 1 else None),
    (P.transpose(P.broadcast_to(x)), lambda x: P.reshape(x, shape=()) if x.size == 1 else None),
]

# ---- elementwise ops of what was moved -----------------------------------------------------------


def _unary_below(node: Any, x: Any) -> Any:
    """Apply the op before its input is broadcast; the engine broadcasts the result."""
    return node.op(x, **node.params)


def _only_ones(x: Any, out: Any) -> bool:
    """Tell whether a reshape adds or removes axes of length 1 only.

    Such a one stays where it is: it would go through an optimizer's whole update, to all results.
    """
    return [n for n in shape_of(x) if n != 1] == [n for n in shape_of(out) if n != 1]


def _unary_before_reshape(node: Any, x: Any, out: Any) -> Any:
    return None if _only_ones(x, out) else reshaped(node.op(x, **node.params), out)


def _unary_before_transpose(node: Any, inner: Any, x: Any) -> Any:
    return P.transpose(node.op(x, **node.params), axes=axes_of(inner[0]))


def _binary(node: Any, x: Any, y: Any) -> Any:
    return node.op(x, y)


def _beside(node: Any, moved: Any) -> Any:
    """Return the operand beside the one that was moved."""
    first, second = node.inputs
    return second if first is moved else first


def _fits_last_axis(small: Any, x: Any, out: Any) -> bool:
    """Tell whether a scalar, or a vector for the last axis, meets x as it meets the reshaped x."""
    if small.ndim == 0 or _only_ones(x, out):
        return not _only_ones(x, out)
    last = small.plain_shape[0]
    fits = small.ndim == 1 and x.ndim and last == x.plain_shape[-1] == out.plain_shape[-1]
    return bool(fits)


def _binary_before_reshape(node: Any, inner: Any, x: Any, y: Any, out: Any) -> Any:
    (moved,) = inner
    small, before = _beside(node, moved), moved.node.inputs[0]
    fits = shape_of(moved) == shape_of(out) and _fits_last_axis(small, before, out)
    return reshaped(node.op(x, y), out) if fits else None


def _binary_before_reshapes(node: Any, inner: Any, x: Any, y: Any, out: Any) -> Any:
    same = shape_of(x) == shape_of(y) and shape_of(inner[0]) == shape_of(inner[1])
    return reshaped(node.op(x, y), out) if same else None


def _turned_back(small: Any, axes: tuple[int, ...]) -> Any:
    """Turn what meets a transposed tensor so that it meets the original, if that is a reshape."""
    if small.ndim == 0:
        return small
    shape = (1,) * (len(axes) - small.ndim) + shape_of(small)
    back = _inverse(axes)
    if not _keeps_order(back, shape):
        return None
    return P.reshape(small, shape=tuple(shape[axis] for axis in back))


def _binary_before_transpose(node: Any, inner: Any, out: Any) -> Any:
    (moved,) = inner
    axes = axes_of(moved)
    if shape_of(moved) != shape_of(out):
        return None
    turned = _turned_back(_beside(node, moved), axes)
    if turned is None:
        return None
    operands = [moved.node.inputs[0] if x is moved else turned for x in node.inputs]
    return P.transpose(node.op(*operands), axes=axes)


def _binary_before_transposes(node: Any, inner: Any, x: Any, y: Any) -> Any:
    axes = axes_of(inner[0])
    return P.transpose(node.op(x, y), axes=axes) if axes == axes_of(inner[1]) else None


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without the leading axes of length 1, which broadcasting adds anyway."""
    start = next((i for i, n in enumerate(shape) if n != 1), len(shape))
    return shape[start:]


def _fewer_ones(node: Any, inner: Any, x: Any, y: Any) -> Any:
    """Let an operand be as it was before a reshape put axes of length 1 in front of it."""
    (moved,) = inner
    before, after = shape_of(moved.node.inputs[0]), shape_of(moved)
    added = len(before) < len(after) and _without_ones(before) == _without_ones(after)
    return node.op(x, y) if added else None


def _as_scalar(c: Any) -> Any:
    """Return the number that fills a constant, without axes; None if there is no such number."""
    array = c.array
    if not array.ndim or not array.size or not is_filled(array):
        return None
    return EagerTensor(array.reshape(-1)[:1].reshape(()).copy())


def _with_scalar(node: Any, c: Any) -> Any:
    """Write one number in place of an input that is filled with it."""
    number = _as_scalar(c)
    if number is None:
        return None
    return node.op(*[number if x is c else x for x in node.inputs])


OPERANDS: Table = [
    # f(broadcast_to(x)) -> broadcast_to(f(x))
    *((op(P.broadcast_to(x)), _unary_below) for op in UNARY),
    # f(reshape(x)) -> reshape(f(x))
    *((op(P.reshape(x)), _unary_before_reshape) for op in UNARY),
    # f(transpose(x)) -> transpose(f(x))
    *((op(P.transpose(x)), _unary_before_transpose) for op in UNARY),
    # f(broadcast_to(x), y) -> f(x, y): operands broadcast by themselves
    *((op(P.broadcast_to(x), y), _binary) for op in BINARY),
    *((op(x, P.broadcast_to(y)), _binary) for op in BINARY),
    (P.where(P.broadcast_to(x), y, z), lambda x, y, z: P.where(x, y, z)),  # likewise
    (P.where(x, P.broadcast_to(y), z), lambda x, y, z: P.where(x, y, z)),
    (P.where(x, y, P.broadcast_to(z)), lambda x, y, z: P.where(x, y, z)),
    # f(x, [c, c, ...]) -> f(x, c)
    *((op(c, y), _with_scalar) for op in BINARY),
    *((op(x, c), _with_scalar) for op in BINARY),
    (P.where(x, c, y), _with_scalar),
    (P.where(x, y, c), _with_scalar),
    # f(x, reshape(y)) -> f(x, y) if the reshape adds leading axes of length 1
    *((op(x, P.reshape(y)), _fewer_ones) for op in BINARY),
    *((op(P.reshape(x), y), _fewer_ones) for op in BINARY),
    # f(reshape(x), reshape(y)) -> reshape(f(x, y)) if x and y have one shape
    *((op(P.reshape(x), P.reshape(y)), _binary_before_reshapes) for op in BINARY),
    # f(reshape(x), y) -> reshape(f(x, y)) if y is a number, or a vector for the last axis
    *((op(P.reshape(x), y), _binary_before_reshape) for op in BINARY),
    *((op(x, P.reshape(y)), _binary_before_reshape) for op in BINARY),
    # f(transpose(x), transpose(y)) -> transpose(f(x, y)) if both have the same axes
    *((op(P.transpose(x), P.transpose(y)), _binary_before_transposes) for op in BINARY),
    # f(transpose(x), y) -> transpose(f(x, y)) if turning y is a reshape
    *((op(P.transpose(x), y), _binary_before_transpose) for op in BINARY),
    *((op(x, P.transpose(y)), _binary_before_transpose) for op in BINARY),
]

# ---- taking parts, joining, cutting --------------------------------------------------------------


def _takes_all(part: Any, length: int) -> bool:
    if isinstance(part, slice):
        return part.indices(length) == (0, length, 1)
    return length == 1 and part in (0, -1)


def _getitem_to_reshape(x: Any, key: tuple[Any, ...], out: Any) -> Any:
    if any(isinstance(part, bool) for part in key):
        return None
    parts = [part for part in whole_key(key, x.ndim) if part is not None]
    whole = all(_takes_all(part, n) for part, n in zip(parts, x.plain_shape, strict=True))
    return reshaped(x, out) if whole else None


def _cut(xs: Any, op: str) -> Any:
    """Return the `op` node that all tensors come from, as all of its results in order, or None."""
    node = getattr(xs[0], "node", None)
    if node is None or node.op.name != op or len(node.outputs) != len(xs):
        return None
    same = all(x.key == y.key for x, y in zip(xs, node.outputs, strict=True))
    return node if same else None


def _concatenate_less(node: Any, axis: int) -> Any:
    if len(node.inputs) == 1:
        return node.inputs[0]
    cut = _cut(node.inputs, "split")
    return cut.inputs[0] if cut and cut.params["axis"] == axis else None


def _stack_less(node: Any, axis: int, out: Any) -> Any:
    if len(node.inputs) == 1:
        return reshaped(node.inputs[0], out)
    parts = [_reshape_source(x) for x in node.inputs]
    cut = None if None in parts else _cut(parts, "split")
    if cut is None or cut.params["axis"] != axis % len(out.plain_shape):
        return None
    return cut.inputs[0] if shape_of(cut.inputs[0]) == shape_of(out) else None


def _reshape_source(x: Any) -> Any:
    node = getattr(x, "node", None)
    return node.inputs[0] if node is not None and node.op.name == "reshape" else None


def _split_less(node: Any, axis: int, sizes: tuple[int, ...]) -> Any:
    joined = getattr(node.inputs[0], "node", None)
    if len(sizes) == 1:
        return (node.inputs[0],)
    if joined is None or joined.params.get("axis") != axis or len(joined.inputs) != len(sizes):
        return None
    if joined.op.name == "concatenate" and joined.params["sizes"] == sizes:
        return tuple(joined.inputs)
    if joined.op.name == "stack":
        pairs = zip(joined.inputs, node.outputs, strict=True)
        return tuple(reshaped(x, out) for x, out in pairs)
    return None


JOINS: Table = [
    (P.getitem(x), _getitem_to_reshape),  # x[:, None, ...] -> reshape
    (P.concatenate, _concatenate_less),  # concatenate(x) -> x, concatenate(split(x)) -> x
    (P.stack, _stack_less),  # stack(x) -> reshape, stack(unstack(x)) -> x
    (P.split, _split_less),  # split(x, 1) -> x, of concatenate or stack -> what was joined
]
