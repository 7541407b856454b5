"""Build primitives that follow one of a few patterns, each in a line or two."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import floating, promoted
from minikeras.core.dispatch import Primitive, is_open
from minikeras.core.graph import call_node
from minikeras.core.spec import Spec, broadcast

Vjp = Callable[..., Any]

# inf and nan are results like any other here, as in IEEE 754; NumPy would warn of them.
quiet = np.errstate(all="ignore")

BOOL = np.dtype("bool")
INT32 = np.dtype("int32")


def _first(x: Spec, **_: Any) -> Spec:
    return Spec(x.shape, x.dtype)


def unary(
    name: str, forward: Any, vjp: Vjp | None = None, *, integers: bool = False, doc: str = ""
) -> Primitive:
    """Make an elementwise op of one tensor; integers become `floatx()` unless `integers`."""
    return Primitive(
        name,
        quiet(forward),
        _first,
        vjps=vjp and (vjp,),
        prepare=None if integers else floating,
        doc=doc or f"Apply `{name}` to every element.",
    )


def test(name: str, forward: Any, doc: str = "") -> Primitive:
    """Make an elementwise question about one tensor."""
    return Primitive(
        name,
        forward,
        lambda x: Spec(x.shape, BOOL),
        doc=doc or f"Tell for every element whether `{name}`.",
    )


def binary(
    name: str,
    forward: Any,
    vjps: tuple[Vjp | None, Vjp | None] | None = None,
    *,
    prepare: Any = promoted,
    doc: str = "",
) -> Primitive:
    """Make an elementwise op of two tensors that broadcast together."""
    return Primitive(
        name,
        quiet(forward),
        lambda x1, x2: Spec(broadcast(x1.shape, x2.shape), x1.dtype),
        vjps=vjps,
        arguments=("x1", "x2"),
        prepare=prepare,
        doc=doc or f"Compute `{name}` elementwise, with broadcasting.",
    )


def comparison(name: str, forward: Any, *, prepare: Any = promoted) -> Primitive:
    """Make an elementwise question about two tensors that broadcast together."""
    return Primitive(
        name,
        forward,
        lambda x1, x2: Spec(broadcast(x1.shape, x2.shape), BOOL),
        arguments=("x1", "x2"),
        prepare=prepare,
        doc=f"Compute `{name}` elementwise, with broadcasting; the result is bool.",
    )


def composite(function: Callable[..., Any]) -> Any:
    """Mark a public op that is written in other ops.

    On symbolic tensors with open axes it becomes one node, so that it may compute with shapes.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for arg in (*args, *kwargs.values()):
            if is_open(arg) or (isinstance(arg, (list, tuple)) and any(map(is_open, arg))):
                return call_node(call, function, args, kwargs)
        return function(*args, **kwargs)

    call.name = function.__name__  # type: ignore[attr-defined]
    return call


def one_axis(axis: int, rank: int) -> int:
    """Return `axis` counted from the front; raise `ValueError` if there is no such axis."""
    if not -rank <= axis < rank:
        raise ValueError(f"expected an axis in [{-rank}, {rank}), got {axis}.")
    return axis % rank


def all_axes(axis: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Return the axes meant by a Keras `axis` argument, ascending; None means every axis."""
    if axis is None:
        return tuple(range(rank))
    if isinstance(axis, (int, np.integer)):
        return (one_axis(int(axis), rank),)
    return tuple(sorted({one_axis(int(a), rank) for a in axis}))
