"""Change several Variables all together or not at all."""

import collections
import itertools
from collections.abc import Callable
from typing import Any

from minikeras.core.context import VariableScope, state
from minikeras.core.tensor import SymbolicTensor
from minikeras.ops.elementwise import where


def commit(scope: VariableScope) -> None:
    """Give Variables the values assigned in a scope that was left.

    Nothing can come in between: the loop runs in C, where no signal handler is called.
    """
    if state.scope is not None:
        for variable, value in scope.assigned.values():
            state.scope.assign(variable, value)
        return
    variables, values = zip(*scope.assigned.values(), strict=True)
    collections.deque(map(setattr, variables, itertools.repeat("stored"), values), maxlen=0)


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
