"""Let users say what a function's gradient is: `custom_gradient` and its relatives."""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from minikeras import tree
from minikeras.core.context import VariableScope, overridden, state
from minikeras.core.dispatch import Primitive
from minikeras.core.spec import Spec
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, Tensor, as_tensor
from minikeras.core.variable import Variable


def _same(x: Spec) -> Spec:
    return x


identity = Primitive("identity", lambda x: x, _same, vjps=(lambda g: g,))

_stop = Primitive("stop_gradient", lambda x: x, _same)


def stop_gradient(variable: Any) -> Any:
    """Return the same numbers, through which no gradient flows; nests are mapped."""
    return tree.map_structure(_stop, variable)


def _detached(value: Any) -> Any:
    return _stop(value) if isinstance(value, SymbolicTensor) else value


VariableScope.detached = staticmethod(_detached)


class _VariableWatcher:
    """Take note of the trainable Variables that a function reads."""

    live = frozenset[int]()

    def __init__(self) -> None:
        self.variables: dict[int, Variable] = {}

    def read(self, variable: Variable, value: Any) -> None:
        if variable.trainable:
            self.variables[variable.key] = variable


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """Use the gradient that `f` itself provides.

    `f` takes tensors and returns `(result, grad_fn)`. `grad_fn` takes one upstream gradient per
    result and returns one gradient per argument of `f`. If `f` reads trainable Variables,
    `grad_fn` must take `variables=` too and return `(gradients, variable_gradients)`.

    >>> @tf.custom_gradient
    ... def softplus(x):
    ...     e = tf.exp(x)
    ...     return tf.math.log(1 + e), lambda upstream: upstream * (1 - 1 / (1 + e))
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if state.trace is not None:
            state.trace.replayable = False  # grad_fn belongs to the tensors of this very call
        args = tree.map_structure(as_tensor, args)
        watcher = _VariableWatcher()
        # Tapes see inside: grad_fn may use what f computed, and be differentiated again.
        with overridden(recorders=(*state.recorders, watcher)):
            result, grad_fn = f(*args, **kwargs)
        inputs = tree.flatten(args)
        known = {tensor.key for tensor in inputs}
        read = [v for v in watcher.variables.values() if v.stored.key not in known]
        _check_signature(f, grad_fn, read)
        with overridden(recorders=()):
            outputs = [_stop(tensor) for tensor in tree.flatten(result)]
        rule = _pullback(grad_fn, len(inputs), read)
        _record(f, rule, [*inputs, *(variable.value for variable in read)], outputs)
        return tree.pack_sequence_as(result, outputs)

    return call


def _check_signature(f: Any, grad_fn: Any, variables: list[Variable]) -> None:
    if not variables:
        return
    parameters = inspect.signature(grad_fn).parameters.values()
    if not any(p.name == "variables" or p.kind is p.VAR_KEYWORD for p in parameters):
        names = [variable.path for variable in variables]
        raise TypeError(
            f"custom_gradient: {getattr(f, '__name__', f)} reads the variables {names}, so its "
            "grad_fn must accept a 'variables' keyword argument and return "
            "(gradients, variable_gradients)."
        )


def _pullback(grad_fn: Any, count: int, variables: list[Variable]) -> Callable[..., Any]:
    """Turn the user's `grad_fn` into the vjp rule of a variadic primitive."""

    def rule(g: Sequence[Any]) -> list[Any]:
        if not variables:
            return _as_many(grad_fn(*g), count)
        grads, of_variables = grad_fn(*g, variables=variables)
        return [*_as_many(grads, count), *_as_many(of_variables, len(variables))]

    return rule


def _as_many(grads: Any, count: int) -> list[Any]:
    flat = tree.flatten(grads) if isinstance(grads, (list, tuple, dict)) else [grads]
    if len(flat) != count:
        raise ValueError(
            f"custom_gradient function expected to return {count} gradients, but returned "
            f"{len(flat)} instead."
        )
    return [g if g is None or isinstance(g, Tensor) else as_tensor(g) for g in flat]


def _record(f: Any, rule: Any, inputs: list[Any], outputs: list[Any]) -> None:
    op = Primitive(
        getattr(f, "__name__", "custom_gradient"),
        _no_forward,
        _no_forward,
        vjps=rule,
        variadic=True,
        multiple=True,
    )
    op._record(inputs, {}, outputs)


def _no_forward(*_: Any, **__: Any) -> Any:
    raise TypeError("custom_gradient: expected a tape to replay only gradients, got a forward.")


def recompute_grad(f: Callable[..., Any]) -> Callable[..., Any]:
    """Keep nothing of what `f` computes inside; run `f` again when the gradient is taken.

    Trades time for memory (gradient checkpointing, Chen et al. 2016, arXiv:1604.06174).
    """

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        @custom_gradient
        def inner(*args: Any) -> Any:
            def grad(*upstream: Any, variables: Any = ()) -> Any:
                with GradientTape() as tape:
                    tape.watch([args, list(variables)])
                    again = f(*args, **kwargs)
                grads, of_variables = tape.gradient(
                    again, [args, list(variables)], output_gradients=list(upstream)
                )
                return (grads, of_variables) if variables else grads

            with overridden(recorders=state.recorders[-1:]):  # no tape, but the variable watcher
                return f(*args, **kwargs), grad

        return inner(*args)

    return call
