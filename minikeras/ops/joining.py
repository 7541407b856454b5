"""Join tensors along an axis, and cut them apart again."""

import itertools
import operator
from typing import Any

import numpy as np

from minikeras.core import basic
from minikeras.core.basic import promoted
from minikeras.core.dispatch import Primitive, as_tensors
from minikeras.core.spec import Spec
from minikeras.core.tensor import Array, as_tensor
from minikeras.ops.define import along, composite, one_axis, whole_numbers
from minikeras.ops.shaping import expand_dims, ravel

# Joining and cutting are each other's derivative; `sizes` are the lengths of the parts.


def _concatenate_spec(*xs: Spec, axis: int, sizes: tuple[int, ...]) -> Spec:
    shapes = [tuple(x.shape) for x in xs]
    if len({shape[:axis] + shape[axis + 1 :] for shape in shapes}) > 1:
        raise ValueError(f"expected shapes that differ along axis {axis} only, got {shapes}.")
    shape = (*shapes[0][:axis], sum(sizes), *shapes[0][axis + 1 :])
    return Spec(shape, xs[0].dtype)


_concatenate = Primitive(
    "concatenate",
    lambda *xs, axis, **_: np.concatenate(xs, axis),
    _concatenate_spec,
    vjps=lambda g, axis, sizes: _split(g, axis=axis, sizes=sizes),
    arguments=("xs",),
    prepare=promoted,
    variadic=True,
)


def _parts(x: Array, axis: int, sizes: tuple[int, ...]) -> list[Array]:
    ends = itertools.accumulate(sizes)
    return [x[along(axis, slice(end - n, end))] for n, end in zip(sizes, ends, strict=True)]


_split: Primitive = Primitive(
    "split",
    _parts,
    lambda x, axis, sizes: tuple(
        Spec((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes
    ),
    vjps=(lambda g, axis, sizes: _concatenate(*g, axis=axis, sizes=sizes),),
    multiple=True,
)


@composite
def concatenate(xs: Any, axis: int = 0) -> Any:
    """Join tensors, whose shapes differ along `axis` at most, along that axis."""
    xs = as_tensors(list(xs))
    if len({x.ndim for x in xs}) != 1:
        shapes = [tuple(x.shape) for x in xs]
        raise ValueError(f"concatenate: expected tensors of one rank, got shapes {shapes}.")
    axis = one_axis(axis, xs[0].ndim, "concatenate")
    return _concatenate(*xs, axis=axis, sizes=tuple(x.shape[axis] for x in xs))


def append(x1: Any, x2: Any, axis: int | None = None) -> Any:
    """Join two tensors along `axis`, by default after flattening both."""
    return concatenate([ravel(x1), ravel(x2)] if axis is None else [x1, x2], axis or 0)


def stack(x: Any, axis: int = 0) -> Any:
    """Join tensors of one shape along a new axis."""
    xs = [as_tensor(each) if isinstance(each, (list, tuple)) else each for each in x]
    if not xs:
        raise ValueError("stack: expected at least one tensor, got none.")
    return basic.stack(*xs, axis=one_axis(axis, len(np.shape(xs[0])) + 1, "stack"))


def _at_least(x: Any, rank: int) -> Any:
    """Add axes of length 1 as NumPy's stacking functions do: in front, the third behind."""
    x = as_tensor(x)
    if x.ndim < min(rank, 2):
        x = expand_dims(x, tuple(range(min(rank, 2) - x.ndim)))
    return expand_dims(x, -1) if x.ndim < rank else x


@composite
def hstack(xs: Any) -> Any:
    """Join along the second axis, vectors along their only one."""
    xs = [_at_least(x, 1) for x in xs]
    return concatenate(xs, min(1, xs[0].ndim - 1))


@composite
def vstack(xs: Any) -> Any:
    """Join along the first axis; vectors are rows."""
    return concatenate([_at_least(x, 2) for x in xs], 0)


@composite
def dstack(xs: Any) -> Any:
    """Join along the third axis; vectors are rows first."""
    return concatenate([_at_least(x, 3) for x in xs], 2)


@composite
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Cut `x` along `axis` into equal sections, or before the ascending indices."""
    x = as_tensor(x)
    axis = one_axis(axis, x.ndim, "split")
    length = x.shape[axis]
    if np.ndim(indices_or_sections) == 0:
        count = operator.index(indices_or_sections)
        if count < 1 or length % count:
            raise ValueError(
                f"split: expected sections that divide axis {axis} of shape {tuple(x.shape)}, "
                f"got {count}. Use array_split for unequal ones."
            )
        return list(_split(x, axis=axis, sizes=(length // count,) * count))
    ends = [0, *whole_numbers(indices_or_sections), length]
    if ends != sorted(ends):
        raise ValueError(
            f"split: expected ascending indices from 0 to {length}, the length of axis {axis}, "
            f"got {ends[1:-1]}."
        )
    return list(_split(x, axis=axis, sizes=tuple(b - a for a, b in itertools.pairwise(ends))))


@composite
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    """Cut `x` like `split`; sections that do not come out even differ by one."""
    x = as_tensor(x)
    axis = one_axis(axis, x.ndim, "array_split")
    if np.ndim(indices_or_sections):
        return split(x, indices_or_sections, axis)
    count = operator.index(indices_or_sections)
    if count < 1:
        raise ValueError(f"array_split: expected at least one section, got {count}.")
    short, longer = divmod(x.shape[axis], count)
    sizes = (short + 1,) * longer + (short,) * (count - longer)
    return list(_split(x, axis=axis, sizes=sizes))


def hsplit(x: Any, indices_or_sections: Any) -> Any:
    """Cut along the second axis, vectors along their only one."""
    return split(x, indices_or_sections, axis=min(1, np.ndim(x) - 1))


def vsplit(x: Any, indices_or_sections: Any) -> Any:
    """Cut along the first axis."""
    return split(x, indices_or_sections, axis=0)


def dsplit(x: Any, indices_or_sections: Any) -> Any:
    """Cut along the third axis."""
    return split(x, indices_or_sections, axis=2)


@composite
def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    """Return the slices of `x` along `axis`, without that axis; `num` is how many there must be."""
    x = as_tensor(x)
    axis = one_axis(axis, x.ndim, "unstack")
    shape = tuple(x.shape)
    if num not in (None, shape[axis]):
        raise ValueError(f"unstack: expected length {num} along axis {axis}, got shape {shape}.")
    parts = _split(x, axis=axis, sizes=(1,) * shape[axis])
    return [basic.reshape(part, shape=shape[:axis] + shape[axis + 1 :]) for part in parts]
