"""Run the steps of a model: as compiled functions where they can be traced, else as written."""

import warnings
import weakref
from collections.abc import Callable
from typing import Any

from minikeras.compiler.tracing.function import Function, TooManyTracesError
from minikeras.core.context import VariableScope, commit, state
from minikeras.core.tensor import Array

# Every trace takes time to compile, and memory: more shapes than this run as they are written.
_MOST_SHAPES = 32

_runners: "weakref.WeakKeyDictionary[Any, dict[str, Runner]]" = weakref.WeakKeyDictionary()


def runner(model: Any, name: str) -> "Runner":
    """Return what runs the step of this name: `"train_step"`, `"test_step"`, `"predict_step"`."""
    known = _runners.setdefault(model, {})
    found = known.get(name)
    settings = _settings(model)
    if found is None or found.settings != settings:
        found = known[name] = Runner(model, name)
        found.settings = settings
    return found


def _settings(model: Any) -> tuple[Any, ...]:
    """Return what may change after `compile`, and makes what was traced before out of date."""
    optimizer = getattr(model, "optimizer", None)
    return _is_eager(model), id(optimizer), getattr(optimizer, "edits", 0)


def _is_eager(model: Any) -> bool:
    return bool(model.run_eagerly) or model.jit_compile is False


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
        self.settings: tuple[Any, ...] = ()
        self._warned = False
        if not _is_eager(model):
            self._function = Function(_spread(self._model, name), name=name, most=_MOST_SHAPES)

    def __call__(self, data: Any) -> Any:
        """Do the step."""
        function = self._function
        if function is None:
            return self._as_written(data)
        try:
            return function(*data) if type(data) is tuple else function(data)
        except TooManyTracesError:
            return self._once_more(data)
        except Exception as error:
            if not function.failed_to_trace:
                # Python raises the same error, if it can, where the layer is known.
                attempt(getattr(self._model(), self._name), data, keep=False)
                raise
            problem = error
        # If Python raises the same error, then it is no matter of tracing.
        results = self._as_written(data)
        warnings.warn(
            f"{type(self._model()).__name__}.{self._name} cannot be traced and runs as it is "
            f"written, which is slower: {problem} Use ops instead of NumPy and Python's if on "
            "tensors, or say compile(run_eagerly=True).",
            stacklevel=2,
        )
        self._function = None
        return results

    def several(self, stacks: list[Array]) -> tuple[int, Any]:
        """Do a step for each row of the parts of batches; return how many, and the last results.

        They are fewer than rows, or none, where the step has to be called for each row.
        """
        return (0, None) if self._function is None else self._function.several(stacks)

    def _once_more(self, data: Any) -> Any:
        """Run a step for another shape of batch than those it was compiled for."""
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{type(self._model()).__name__}.{self._name} has been compiled for {_MOST_SHAPES} "
                "shapes of batches; batches of other shapes run as the step is written, which is "
                "slower. Pad them to a few lengths.",
                stacklevel=3,
            )
        return self._as_written(data)

    def _as_written(self, data: Any) -> Any:
        return attempt(getattr(self._model(), self._name), data)


def _spread(model: Any, name: str) -> Callable[..., Any]:
    """Return a step that takes the parts of a batch one by one: a trace is found sooner for them.

    A part alone that is a nest of inputs came in a tuple, see `pack_x_y_sample_weight`.
    """

    def step(*parts: Any) -> Any:
        together = len(parts) > 1 or isinstance(parts[0], (tuple, list))
        return getattr(model(), name)(parts if together else parts[0])

    return step


def attempt(step: Callable[[Any], Any], data: Any, keep: bool = True) -> Any:
    """Do a step as a whole or not at all: Variables change in one go after it went well.

    Unless `keep` they stay as they were.

    An interrupt may come between any two instructions, so that what tapes and layers set for the
    length of a call is put back here once more.
    """
    before = {name: getattr(state, name) for name in type(state).__annotations__}
    try:
        with VariableScope() as scope:
            results = step(data)
    finally:
        vars(state).update(before)
    if keep and scope.assigned:
        commit(scope)
    return results
