"""Write reductions as those that loops can follow: axes side by side, and longer than 1."""

from typing import Any

from minikeras.core.basic import astype, numpy_dtype, reshape, sum_to
from minikeras.core.spec import reduced
from minikeras.ops.reduction import _all, _any, _max, _min, _prod, _sum


def _last_together(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    """Return the last of the axes with all that stand beside them, but for axes of length 1."""
    found: list[int] = []
    for i in reversed(range(len(shape))):
        if shape[i] == 1:
            continue
        if i in axis:
            found.append(i)
        elif found:
            break
    return tuple(reversed(found))


def over(primitive: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Reduce `axis` by reductions of axes that stand side by side, the last of them first."""
    found = _apart(primitive, x, axis, keepdims)
    return primitive(x, axis=axis, keepdims=keepdims) if found is None else found


def _apart(primitive: Any, x: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Return the reduction in parts, None if it is one of axes side by side as it is."""
    shape = tuple(x.shape)
    long = {i for i in axis if shape[i] != 1}
    last = _last_together(shape, axis)
    if long and long == set(last):
        return None
    if not last:
        dtype = numpy_dtype(primitive(x, axis=axis, keepdims=keepdims))
        return reshape(astype(x, dtype), shape=reduced(shape, axis, keepdims))
    part = primitive(x, axis=last, keepdims=True)
    rest = tuple(sorted(long - set(last)))
    return reshape(over(primitive, part, rest, True), shape=reduced(shape, axis, keepdims))


def summed_to(x: Any, shape: tuple[int, ...]) -> Any:
    """Sum over what broadcasting would repeat, by sums over axes that stand side by side."""
    found = _sum_to(x, shape)
    return sum_to(x, shape=shape) if found is None else found


def _sum_to(x: Any, shape: tuple[int, ...]) -> Any:
    own = tuple(x.shape)
    target = (1,) * (len(own) - len(shape)) + tuple(shape)
    axis = tuple(i for i, n in enumerate(own) if n != target[i])
    last = _last_together(own, axis)
    if not axis:
        return reshape(x, shape=tuple(shape))
    if axis == last:
        return None
    part = sum_to(x, shape=tuple(1 if i in last else n for i, n in enumerate(own)))
    return summed_to(part, shape)


def _rule(primitive: Any) -> Any:
    return lambda x, axis, keepdims: _apart(primitive, x, axis, keepdims)


RULES: dict[str, Any] = {
    "sum_to": _sum_to,
    **{primitive.name: _rule(primitive) for primitive in (_sum, _prod, _max, _min, _any, _all)},
}
