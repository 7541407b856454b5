"""Run a function once on symbolic tensors, and keep what it computed as a graph."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.compiler.tracing.graph import Graph as Graph
from minikeras.compiler.tracing.repeat import UnsteadyError, repeated
from minikeras.compiler.tracing.scope import AgainScope, SymbolicScope
from minikeras.core.context import overridden, state
from minikeras.core.graph import Slot
from minikeras.core.spec import TensorSpec, as_dtype
from minikeras.core.tensor import EagerTensor, IndexedSlices, SymbolicTensor, Tensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.errors import NotAllowedInTraceError

_SINGLETON = (
    "tf.function only supports singleton tf.Variables created on the first call. Make sure the "
    "tf.Variable is only created once or created outside tf.function."
)


class Trace(SymbolicScope):
    """What goes on while a function is traced; `state.trace` is this.

    Args:
        creates: whether the function may make Variables.
    """

    unsteady = UnsteadyError
    repeated = staticmethod(repeated)

    def __init__(self, creates: bool = True) -> None:
        super().__init__()
        self.creates = creates
        self.created: list[Variable] = []
        self.read_after: set[int] = set()
        """Keys of trainable Variables that were read after they were assigned."""
        self.replayable = True
        """False once something ran whose gradient its nodes do not tell."""
        self.effects: list[tuple[Callable[..., None], Any]] = []
        """What is to be called after every run, and its arguments."""

    def create(self, variable: Variable) -> None:
        """Take note of a new Variable; raise `ValueError` unless this is a first call."""
        if not self.creates:
            raise ValueError(f"{_SINGLETON} Got Variable '{variable.path}' in a later call.")
        self.created.append(variable)

    def read_again(self, variable: Variable) -> None:
        """Take note that what was assigned is read: for a tape outside, the Variable is."""
        if variable.trainable:
            self.read_after.add(variable.key)
            self.replayable = False

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Trace what runs in the `with` block."""
        with overridden(trace=self, inline=True, recorders=()), self:
            yield

    def check_created(self) -> None:
        """Raise `ValueError` if nobody keeps a Variable that the function made.

        The next call would make another one.
        """
        counts = _references(self.created)
        for variable, count in zip(self.created, counts, strict=True):
            ours = (variable.key in self.reads) + (variable.key in self.assigned)
            if count == _ALONE + ours:
                raise ValueError(
                    f"{_SINGLETON} Got Variable '{variable.path}', which nobody keeps: every call "
                    "would make another one."
                )


def after_each_run(effect: Callable[..., None], arguments: Sequence[Any]) -> bool:
    """Call `effect(*arguments)` after each run of what is traced, with the tensors it has then.

    Returns whether that is taken care of: not where no trace goes on, nor in its loops and
    branches. Nothing is to be done while the shapes that a layer makes are being found out, and
    where a function runs again for its gradient.
    """
    scope = state.scope
    if isinstance(scope, Trace):
        scope.effects.append((effect, tree.map_structure(_now, list(arguments))))
        return True
    symbolic = any(isinstance(x, SymbolicTensor) for x in tree.flatten(arguments))
    shapes = symbolic and scope is not None and state.trace is None
    return shapes or isinstance(scope, AgainScope)


def _now(leaf: Any) -> Any:
    """Return a Variable's value, since another may be assigned before the function returns."""
    return as_tensor(leaf) if isinstance(leaf, Variable) else leaf


def _references(things: Sequence[Any]) -> list[int]:
    return [sys.getrefcount(thing) for thing in things]


_ALONE = _references([object()])[0]


def trace(
    function: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    parameters: Sequence[str] = (),
    creates: bool = True,
) -> Graph:
    """Return the graph of `function(*args, **kwargs)`.

    Args:
        args: nests whose tensors, arrays and TensorSpecs stand for any of their shape and dtype.
        kwargs: likewise.
        name: what the graph is called.
        parameters: names for `args`.
        creates: whether the function may make Variables.
    """
    name = name or str(getattr(function, "__name__", type(function).__name__))
    inputs: list[SymbolicTensor] = []

    def symbolic(path: str, nest: Any) -> Any:
        flat = [
            _symbol(leaf, path + _keys(keys), inputs) for keys, leaf in tree.flatten_with_path(nest)
        ]
        return tree.pack_sequence_as(nest, flat) if tree.is_nested(nest) else flat[0]

    names = [*parameters, *(f"argument_{i}" for i in range(len(parameters), len(args)))]
    given = [symbolic(*pair) for pair in zip(names, args, strict=False)]
    named = {key: symbolic(key, kwargs[key]) for key in sorted(kwargs)} if kwargs else {}
    traced = Trace(creates)
    with traced.running():
        returned = function(*given, **named)
        nests, results = slotted((returned, [args for _, args in traced.effects]))
    traced.check_created()
    return _graph(name, inputs, traced, nests, results)


def _symbol(leaf: Any, name: str, inputs: list[SymbolicTensor]) -> Any:
    """Return a new input for a leaf that is a tensor, any other leaf as it is."""
    if isinstance(leaf, (Tensor, np.ndarray, np.generic, TensorSpec)):
        shape = leaf.plain_shape if isinstance(leaf, Tensor) else tuple(leaf.shape)  # type: ignore[arg-type]
        leaf = SymbolicTensor(shape, as_dtype(leaf.dtype), name=name)
        inputs.append(leaf)
    return leaf


def _keys(keys: Sequence[Any]) -> str:
    return "".join(f"[{key!r}]" for key in keys)


def slotted(results: Any) -> tuple[Any, list[Tensor]]:
    """Replace the tensors among results by slots; return these and the tensors."""
    tensors: list[Tensor] = []

    def slot(leaf: Any) -> Any:
        if isinstance(leaf, (Variable, IndexedSlices, np.ndarray, np.generic)):
            leaf = as_tensor(leaf)  # sparse gradients become dense
        if not isinstance(leaf, Tensor):
            return leaf
        tensors.append(leaf)
        return Slot(len(tensors) - 1)

    return tree.map_structure(slot, results), tensors


def _graph(
    name: str,
    inputs: list[SymbolicTensor],
    traced: Trace,
    nests: tuple[Any, Any],
    results: list[Tensor],
) -> Graph:
    structure, taken = nests
    changed = traced.changed()
    assigned = [variable for variable, _ in changed]
    before = {variable.key for variable in assigned}
    only_read = [v for key, (v, _) in traced.reads.items() if key not in before]
    unread = frozenset(before - traced.reads.keys() - traced.read_after)
    variables = [*assigned, *only_read]
    symbols = [traced.before(variable) for variable in variables]
    _check_scope(name, [*results, *(value for _, value in changed)], [*inputs, *symbols])
    return Graph(
        name,
        [*inputs, *symbols],
        [*results, *(value for _, value in changed)],
        variables=variables,
        assigned=assigned,
        structure=structure,
        unread=unread,
        replayable=traced.replayable,
        effects=[(call, args) for (call, _), args in zip(traced.effects, taken, strict=True)],
    )


def _check_scope(name: str, outputs: Sequence[Any], inputs: Sequence[Any]) -> None:
    """Raise `NotAllowedInTraceError` if a result is computed from what belongs elsewhere."""
    seen = {tensor.key for tensor in inputs}
    stack = list(outputs)
    while stack:
        tensor = stack.pop()
        if tensor.key in seen or isinstance(tensor, EagerTensor):
            continue
        seen.add(tensor.key)
        if getattr(tensor, "node", None) is None:
            raise NotAllowedInTraceError(
                f"{name}: {tensor!r} is out of scope and cannot be used here: it was kept from "
                "another call, or from a model that is being built. Return it from there, and "
                "pass it as an argument."
            )
        stack.extend(tensor.node.inputs)
