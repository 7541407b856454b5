"""Change several Variables all together or not at all."""

from collections.abc import Callable
from typing import Any

from minikeras.core.context import VariableScope
from minikeras.core.context import commit as commit
from minikeras.core.tensor import SymbolicTensor
from minikeras.ops.elementwise import where


def choose(condition: Any, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
    """Call one of two functions that assign Variables.

    If the condition is symbolic both run, and each Variable takes the value of the right one.
    """
    if not isinstance(condition, SymbolicTensor):
        (then if condition else otherwise)()
        return
    with VariableScope() as yes:
        then()
    with VariableScope() as no:
        otherwise()
    for key, (variable, _) in {**yes.assigned, **no.assigned}.items():
        now = (variable, variable.value)
        values = (scope.assigned.get(key, now)[1] for scope in (yes, no))
        variable.assign(where(condition, *values))
