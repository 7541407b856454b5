"""Run the steps of a model: as compiled functions where they can be traced, else as written."""

import warnings
import weakref
from collections.abc import Callable
from typing import Any

from minikeras.compiler.tracing.function import Function
from minikeras.core.context import VariableScope, commit, state

_runners: "weakref.WeakKeyDictionary[Any, dict[str, Runner]]" = weakref.WeakKeyDictionary()


def runner(model: Any, name: str) -> "Runner":
    """Return what runs the step of this name: `"train_step"`, `"test_step"`, `"predict_step"`."""
    known = _runners.setdefault(model, {})
    if name not in known:
        known[name] = Runner(model, name)
    return known[name]


def forget(model: Any) -> None:
    """Trace the steps of a model anew from now on, since it was compiled with other arguments."""
    _runners.pop(model, None)


class Runner:
    """One step of a model, as a whole or not at all: an error or interrupt changes no Variable.

    Args:
        model: whose step it is; nothing here keeps it alive.
        name: of the method.
    """

    def __init__(self, model: Any, name: str) -> None:
        self._model = weakref.ref(model)
        self._name = name
        self._function: Function | None = None
        if not model.run_eagerly and model.jit_compile is not False:
            method = getattr(model, name)
            instance = getattr(method, "__self__", None) is model
            python = method.__func__ if instance else method
            owner = weakref.ref(model) if instance else None
            self._function = Function(python, name=name, instance=owner)

    def __call__(self, data: Any) -> Any:
        """Do the step."""
        function = self._function
        if function is None:
            return attempt(getattr(self._model(), self._name), data)
        try:
            return function(data)
        except Exception as error:
            if not function.failed_to_trace:
                raise
            problem = error
        # If Python raises the same error, then it is no matter of tracing.
        results = attempt(getattr(self._model(), self._name), data)
        warnings.warn(
            f"{type(self._model()).__name__}.{self._name} cannot be traced and runs as it is "
            f"written, which is slower: {problem} Use ops instead of NumPy and Python's if on "
            "tensors, or say compile(run_eagerly=True).",
            stacklevel=2,
        )
        self._function = None
        return results


def attempt(step: Callable[[Any], Any], data: Any) -> Any:
    """Do a step as a whole or not at all: Variables change in one go after it went well.

    An interrupt may come between any two instructions, so that what tapes and layers set for the
    length of a call is put back here once more.
    """
    before = {name: getattr(state, name) for name in type(state).__annotations__}
    try:
        with VariableScope() as scope:
            results = step(data)
    finally:
        vars(state).update(before)
    if scope.assigned:
        commit(scope)
    return results
