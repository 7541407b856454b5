"""The table of ops: one row or more for every primitive, by the file that defines it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minikeras import ops


@dataclass
class Row:
    """One use of an op and what it must equal.

    Args:
        name: for the test's name; with `covers`, the names of primitives that it exercises.
        op: takes tensors.
        inputs: arrays; floating ones are float64 and differentiated.
        oracle: computes the same from the arrays in NumPy (or SciPy), without minikeras.
        order: how many times it is differentiable; 0 for ops without gradients.
        elementwise: also try 0-d, empty, broadcast and non-contiguous inputs.
    """

    name: str
    op: Callable[..., Any]
    inputs: Sequence[Any]
    oracle: Callable[..., Any]
    order: int = 2
    elementwise: bool = False
    covers: tuple[str, ...] = field(default=())
    tolerance: float = 1e-9

    def __post_init__(self) -> None:
        self.covers = self.covers or (self.name,)


def numbers(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    """Return numbers in `[low, high]`, no two of them closer than finite differences see."""
    count = int(np.prod(shape)) if shape else 1
    grid = np.linspace(low, high, count + 2)[1:-1]
    shuffled = np.random.default_rng(seed).permutation(grid)
    return shuffled.reshape(shape)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    """Return float64 numbers in `[0.2, 2]`."""
    return numbers(*shape, low=0.2, high=2.0, seed=seed)


def like_numpy(
    name: str, *args: Any, inputs: Sequence[Any], listed: bool = False, **kwargs: Any
) -> Row:
    """Make a row of an op that is called like NumPy's; `listed` puts all tensors into one list."""
    how = {key: kwargs.pop(key) for key in ("order", "covers") if key in kwargs}

    def calling(function):
        if listed:
            return lambda *xs: function(xs, *args, **kwargs)
        return lambda *xs: function(*xs, *args, **kwargs)

    return Row(name, calling(getattr(ops, name)), inputs, calling(getattr(np, name)), **how)
