"""Change the order and the shape of axes: reshape, transpose, flip and their relatives."""

import builtins
import itertools
import math
import re
from typing import Any

from minikeras.core import basic, gradients
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec
from minikeras.core.tensor import as_tensor
from minikeras.ops.define import all_axes, composite, lengths, one_axis, whole_numbers
from minikeras.ops.indexing import getitem

# ---- reshape -------------------------------------------------------------------------------------


def reshape(x: Any, newshape: Any) -> Any:
    """Give `x` another shape; one length may be -1, or None, and follows from the others."""
    if isinstance(newshape, (list, tuple)) and builtins.sum(n in (None, -1) for n in newshape) == 1:
        newshape = [-1 if n is None else n for n in newshape]
    return basic.reshape(x, shape=lengths(newshape, "reshape"))


def ravel(x: Any) -> Any:
    """Put all elements along one axis."""
    return basic.reshape(x, shape=(-1,))


@composite
def expand_dims(x: Any, axis: Any) -> Any:
    """Insert axes of length 1, so that they stand at `axis` in the result."""
    x = as_tensor(x)
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    shape = list(x.shape)
    for place in sorted(one_axis(a, x.ndim + len(axes), "expand_dims") for a in axes):
        shape.insert(place, 1)
    return basic.reshape(x, shape=tuple(shape))


@composite
def squeeze(x: Any, axis: Any = None) -> Any:
    """Remove the axes of length 1, or only those in `axis`, which must have that length."""
    x = as_tensor(x)
    shape = tuple(x.shape)
    ones = tuple(i for i, n in enumerate(shape) if n == 1)
    axes = ones if axis is None else all_axes(axis, len(shape), "squeeze")
    if not set(axes) <= set(ones):
        raise ValueError(f"squeeze: expected axes of length 1, got axis {axis} of shape {shape}.")
    return basic.reshape(x, shape=tuple(n for i, n in enumerate(shape) if i not in axes))


def broadcast_to(x: Any, shape: Any) -> Any:
    """Repeat `x` along new and length-1 axes until it has `shape`."""
    return basic.broadcast_to(x, shape=lengths(shape, "broadcast_to"))


@composite
def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Reorder, split and merge axes as an einops pattern says.

    >>> rearrange(np.zeros((2, 6, 3)), "b (h w) c -> b c h w", h=2).shape
    (2, 3, 2, 3)
    """
    tensor = as_tensor(tensor)
    before, after = _groups(pattern, tensor.ndim)
    known = dict(axes_lengths)
    for group, total in zip(before, tensor.shape, strict=True):
        unknown = [name for name in group if name not in known]
        if len(unknown) > 1:
            raise ValueError(f"rearrange: expected the length of all but one of {unknown}.")
        for name in unknown:
            known[name] = total // math.prod(known.get(n, 1) for n in group)
    names, wanted = [*itertools.chain(*before)], [*itertools.chain(*after)]
    apart = basic.reshape(tensor, shape=tuple(known[n] for n in names))
    moved = transpose(apart, [names.index(n) for n in wanted])
    return basic.reshape(moved, shape=tuple(math.prod(known[n] for n in group) for group in after))


def _groups(pattern: str, rank: int) -> list[list[list[str]]]:
    """Return the names of each group of axes on the two sides of an einops pattern."""
    sides = [
        [group.strip("()").split() for group in re.findall(r"\([^)]*\)|\w+", side)]
        for side in pattern.split("->")
    ]
    names = [sorted(itertools.chain(*side)) for side in sides]
    if len(sides[0]) != rank or names[1:] != names[:1] or len({*names[0]}) < len(names[0]):
        raise ValueError(
            f"rearrange: expected a pattern with {rank} axes on the left, as the tensor has, and "
            f"the same names on both sides, got {pattern!r}."
        )
    return sides


# ---- transpose -----------------------------------------------------------------------------------

_transpose: Primitive = Primitive(
    "transpose",
    lambda x, axes: x.transpose(axes),
    lambda x, axes: Spec(tuple(x.shape[a] for a in axes), x.dtype),
    vjps=(lambda g, axes: _transpose(g, axes=tuple(axes.index(a) for a in range(len(axes)))),),
)


def transpose(x: Any, axes: Any = None) -> Any:
    """Reorder axes: axis i of the result is axis `axes[i]` of `x`; by default reverse them."""
    x = as_tensor(x)
    if not axes:
        return _transpose(x, axes=tuple(range(x.ndim))[::-1])
    order = tuple(one_axis(a, x.ndim, "transpose") for a in axes)
    if sorted(order) != list(range(x.ndim)):
        raise ValueError(
            f"transpose: expected a permutation of the {x.ndim} axes of shape {tuple(x.shape)}, "
            f"got {tuple(axes)}."
        )
    return _transpose(x, axes=order)


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """Move the axes `source` to the places `destination`; the others keep their order."""
    x = as_tensor(x)
    sources = [one_axis(a, x.ndim, "moveaxis") for a in whole_numbers(source)]
    places = [one_axis(a, x.ndim, "moveaxis") for a in whole_numbers(destination)]
    if len(set(sources)) != len(sources) or len(set(places)) != len(sources):
        raise ValueError(
            "moveaxis: expected as many different axes in source as in destination, got "
            f"{source} and {destination}."
        )
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return _transpose(x, axes=tuple(order))


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Exchange two axes."""
    x = as_tensor(x)
    first, second = (one_axis(a, x.ndim, "swapaxes") for a in (axis1, axis2))
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    return _transpose(x, axes=tuple(order))


def flip(x: Any, axis: Any = None) -> Any:
    """Reverse the order of the elements along `axis`, by default along every axis."""
    x = as_tensor(x)
    axes = all_axes(axis, x.ndim, "flip")
    backwards = slice(None, None, -1)
    return getitem(x, tuple(backwards if i in axes else slice(None) for i in range(x.ndim)))


def fliplr(x: Any) -> Any:
    """Reverse the second axis."""
    return flip(x, 1)


def flipud(x: Any) -> Any:
    """Reverse the first axis."""
    return flip(x, 0)


def rot90(array: Any, k: int = 1, axes: Any = (0, 1)) -> Any:
    """Turn the plane of two axes `k` times by 90 degrees, from the first towards the second."""
    x = as_tensor(array)
    planes = [one_axis(a, x.ndim, "rot90") for a in axes]
    if len(set(planes)) != 2:
        raise ValueError(f"rot90: expected two different axes, got {axes}.")
    if k % 4 == 3:
        planes.reverse()
    if k % 2:
        return swapaxes(flip(x, planes[1]), *planes)
    return flip(x, planes) if k % 4 else x


# ---- questions -----------------------------------------------------------------------------------


def shape(x: Any) -> tuple[int | None, ...]:
    """Return the lengths of the axes as a tuple, None where open."""
    return tuple(as_tensor(x).shape)


@composite
def size(x: Any) -> Any:
    """Return the number of elements, as an int32 tensor."""
    return as_tensor(as_tensor(x).size, "int32")


def ndim(x: Any) -> int:
    """Return the number of axes."""
    return as_tensor(x).ndim  # type: ignore[no-any-return]


def copy(x: Any) -> Any:
    """Return `x` as a tensor of its own for tapes; its numbers never change anyway."""
    return gradients.identity(x)
