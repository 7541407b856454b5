"""Build primitives that follow one of a few patterns, each in a line or two; read arguments."""

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import floating, promoted
from minikeras.core.dispatch import Primitive, is_open
from minikeras.core.graph import call_node
from minikeras.core.spec import Spec, broadcast
from minikeras.core.tensor import Tensor

Vjp = Callable[..., Any]

BOOL = np.dtype("bool")
INT32 = np.dtype("int32")


def _first(x: Spec, **_: Any) -> Spec:
    return Spec(x.shape, x.dtype)


def unary(
    name: str,
    forward: Any,
    vjp: Vjp | None = None,
    *,
    integers: bool = False,
    doc: str = "",
    kind: type[Primitive] = Primitive,
) -> Primitive:
    """Make an elementwise op of one tensor; integers become `floatx()` unless `integers`."""
    return kind(
        name,
        forward,
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
        forward,
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


def named(function: Any, name: str, doc: str) -> Any:
    """Give a function that a constructor made the name and the docstring of what it computes."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


# ---- arguments -----------------------------------------------------------------------------------


def one_axis(axis: Any, rank: int, who: str = "") -> int:
    """Return `axis` counted from the front; the error for one that is not there names `who`."""
    number = operator.index(axis)
    if not -rank <= number < rank:
        name = who and f"{who}: "
        raise ValueError(f"{name}expected an axis in [{-rank}, {rank}), got {number}.")
    return number % rank


def all_axes(axis: Any, rank: int, who: str = "") -> tuple[int, ...]:
    """Return the axes meant by a Keras `axis` argument, ascending; None means every axis."""
    if axis is None:
        return tuple(range(rank))
    if isinstance(axis, (int, np.integer)):
        return (one_axis(axis, rank, who),)
    return tuple(sorted({one_axis(each, rank, who) for each in axis}))


def lengths(shape: Any, who: str) -> tuple[int, ...]:
    """Return a shape given as a number, a sequence of numbers or a tensor, as Python ints."""
    if isinstance(shape, (Tensor, np.ndarray)):
        shape = np.asarray(shape).reshape(-1)
    if not isinstance(shape, (Sequence, np.ndarray)):
        shape = (shape,)
    found = tuple(None if n is None else operator.index(n) for n in shape)
    if None in found:
        raise ValueError(
            f"{who}: expected a shape of known lengths, got {found}. Use -1 in reshape for one "
            "open axis, or a function such as zeros_like."
        )
    return found  # type: ignore[return-value]


def whole_numbers(values: Any) -> list[int]:
    """Return one number or several, of any kind, as Python ints."""
    return [operator.index(n) for n in np.asarray(values).reshape(-1)]


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """Return the key that takes `part` of `axis` and everything of the axes before."""
    return (slice(None),) * axis + (part,)
