"""Name what a plan is made of: kernels, calls of NumPy, checks, and jumps between them."""

from typing import Any, NamedTuple

from minikeras.compiler.native.program import Step
from minikeras.core.dispatch import Node


class Call(NamedTuple):
    """A node that NumPy does."""

    node: Node
    reason: str


class Check(NamedTuple):
    """Go on only if a truth value does not hold."""

    doubt: Any


class Mark:
    """A place in the plan to jump to."""


class Jump(NamedTuple):
    """Go on at a mark if a truth value is `value`."""

    test: Any
    value: bool
    mark: Mark


Action = Step | Call | Check | Mark | Jump
