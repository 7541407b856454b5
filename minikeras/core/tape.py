"""Record what is computed and walk back over it: `GradientTape`."""

import contextlib
import enum
import logging
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from minikeras import tree
from minikeras.core.backward import added, backward
from minikeras.core.basic import add, filled, numpy_dtype, reshape, stack
from minikeras.core.context import state
from minikeras.core.dispatch import Node
from minikeras.core.tensor import EagerTensor, Tensor, as_tensor
from minikeras.core.variable import Variable

logger = logging.getLogger("minikeras")

_USED = (
    "A non-persistent GradientTape can only be used to compute one set of gradients (or jacobians)"
)
_NEVER = (
    "GradientTape: expected a tape that has recorded something, got one that was never entered. "
    "Compute the target inside `with GradientTape() as tape:`."
)
_SLOW = (
    "Calling GradientTape.gradient on a persistent tape inside its context is significantly less "
    "efficient than calling it outside the context (it causes the gradient ops to be recorded on "
    "the tape, leading to increased CPU and memory usage). Only call GradientTape.gradient inside "
    "the context if you actually want to trace the gradient in order to compute higher order "
    "derivatives."
)
_warned: dict[str, int] = {}


def _warn(message: str, times: int) -> None:
    _warned[message] = _warned.get(message, 0) + 1
    if _warned[message] <= times:
        logger.warning(message)


class UnconnectedGradients(enum.Enum):
    """What `gradient` answers for a source that the target does not depend on."""

    NONE = "none"
    ZERO = "zero"


class GradientTape:
    """Record the ops that run inside `with GradientTape() as tape:` and differentiate them.

    Trainable Variables are watched when they are read, other tensors after `watch`. The contract
    is that of `tf.GradientTape`.

    Args:
        persistent: allow `gradient` more than once; the record lives as long as the tape.
        watch_accessed_variables: watch trainable Variables without being told.

    >>> x = tf.Variable(3.0)
    >>> with tf.GradientTape() as tape:
    ...     y = x * x
    >>> tape.gradient(y, x)
    <tf.Tensor: shape=(), dtype=float32, numpy=6.0>
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._nodes: list[Node] | None = None
        self._recording = False
        self._entered = False
        self._variables: dict[int, tuple[Variable, set[int]]] = {}
        self.live: set[int] = set()
        """Keys of the tensors that are watched or derive from a watched one."""

    # -- recording -----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._push()
        return self

    def __exit__(self, *_: object) -> None:
        if self._recording:
            self._pop()

    def _push(self) -> None:
        if self._recording:
            raise ValueError(
                "Tape is still recording, This can happen if you try to re-enter an "
                "already-active tape."
            )
        if self._nodes is None:
            self._clear()
        self._recording = self._entered = True
        state.recorders = (*state.recorders, self)

    def _pop(self) -> None:
        self._recording = False
        state.recorders = tuple(tape for tape in state.recorders if tape is not self)

    def _clear(self) -> None:
        self._nodes, self.live, self._variables = [], set(), {}

    def record(self, node: Node) -> None:
        """Append a node one of whose inputs is live."""
        differentiable = False
        for output in node.outputs:
            if numpy_dtype(output).kind == "f":
                self.live.add(output.key)
                differentiable = True
        if differentiable:
            self._nodes.append(node)  # type: ignore[union-attr]

    def read(self, variable: Variable, value: Any) -> None:
        """Take note that `variable` was read and that `value` came out."""
        known = self._variables.get(variable.key)
        if known is None:
            if not (self._watch_accessed and variable.trainable):
                return
            known = self._variables[variable.key] = (variable, set())
        if numpy_dtype(value).kind == "f":
            known[1].add(value.key)
            self.live.add(value.key)

    def watch(self, tensor: Any) -> None:
        """Watch a tensor, a Variable or any nest of them.

        Raises `ValueError` for anything else, `RuntimeError` before the tape was entered.
        """
        if self._nodes is None:
            raise RuntimeError(
                "GradientTape.watch: expected a tape that records, got one that "
                + ("was used up by gradient()." if self._entered else "was never entered.")
                + " Call watch inside `with GradientTape() as tape:`."
            )
        for leaf in tree.flatten(tensor):
            if not isinstance(leaf, (Tensor, Variable)):
                raise ValueError(
                    f"Passed in object {leaf!s} of type {type(leaf).__name__!r}, not tf.Tensor or "
                    "tf.Variable or ExtensionType."
                )
            if not leaf.dtype.is_floating:
                _warn(
                    "The dtype of the watched tensor must be floating (e.g. tf.float32), "
                    f"got {leaf.dtype!r}",
                    times=5,
                )
            elif isinstance(leaf, Variable):
                self._variables.setdefault(leaf.key, (leaf, set()))
                self.read(leaf, leaf.stored if state.scope is None else state.scope.read(leaf))
            else:
                self.live.add(leaf.key)

    @contextlib.contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Pause this tape, and no other, for the length of a `with` block."""
        if self._nodes is None:
            raise RuntimeError("Trying to stop recording a tape which is not recording.")
        if not self._recording:
            raise ValueError("Tape is not recording.")
        self._pop()
        try:
            yield
        finally:
            self._push()

    def reset(self) -> None:
        """Forget everything recorded and watched, and go on recording."""
        if not self._recording:
            raise ValueError("Tape is not recording.")
        self._clear()

    def watched_variables(self) -> tuple[Variable, ...]:
        """Return the Variables this tape has watched, in the order of their construction."""
        return tuple(variable for _, (variable, _keys) in sorted(self._variables.items()))

    # -- differentiating -----------------------------------------------------------------------

    def gradient(
        self,
        target: Any,
        sources: Any,
        output_gradients: Any = None,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
    ) -> Any:
        """Return the gradients of the sum of `target`'s elements, packed like `sources`.

        Args:
            target: a tensor, a Variable or a nest of them, of any shapes.
            sources: a nest of tensors and Variables; intermediate results are allowed.
            output_gradients: factors for the targets' elements, one tensor a target, which must
                broadcast to the target's shape.
            unconnected_gradients: `"none"` or `"zero"`: what to return for a source that the
                target does not depend on.

        Raises `RuntimeError` on the second use of a tape that is not persistent.
        """
        nothing = checked(unconnected_gradients)
        targets = self._flat("target", target)
        flat = self._flat("sources", sources)
        grads: dict[int, Any] = {}
        factors = _factors(targets, output_gradients)
        nodes = self._lend()
        for tensor, factor in zip(targets, factors, strict=True):
            if numpy_dtype(tensor).kind == "f":
                before = grads.get(tensor.key)
                grads[tensor.key] = factor if before is None else add(before, factor)
        found = self._gradients(nodes, grads, flat, nothing)
        self._use_up()
        return tree.pack_sequence_as(sources, found)

    def _lend(self) -> list[Node]:
        """Return the nodes recorded so far, and stop recording unless the tape is persistent."""
        if self._nodes is None:
            raise RuntimeError(_USED if self._entered else _NEVER)
        if self._recording:
            if self._persistent:
                _warn(_SLOW, times=1)
            else:
                self._pop()
        return list(self._nodes)

    def _use_up(self) -> None:
        """Forget the record unless the tape is persistent."""
        if not self._persistent:
            self._nodes, self.live = None, set()

    def _flat(self, name: str, structure: Any) -> list[Any]:
        """Flatten a nest, checking that every leaf can be a target or a source."""
        leaves = tree.flatten(structure)
        for leaf in leaves:
            if not isinstance(leaf, (Tensor, Variable)):
                raise TypeError(
                    f"Argument `{name}` should be a list or nested structure of Tensors, Variables "
                    f"or CompositeTensors to be differentiated, but received {leaf!r}."
                )
        if name == "target":
            return [
                leaf.stored if isinstance(leaf, Variable) else as_tensor(leaf) for leaf in leaves
            ]
        return leaves

    def _keys(self, source: Any) -> set[int]:
        """Return the keys of all values under which `source` was read."""
        if not isinstance(source, Variable):
            return {source.key}
        _, read = self._variables.get(source.key, (source, set()))
        return {*read, source.stored.key}

    def _gradients(
        self,
        nodes: list[Node],
        grads: dict[int, Any],
        sources: list[Any],
        nothing: UnconnectedGradients,
    ) -> list[Any]:
        # What nobody watches may still lie on a path, beside what is watched.
        keys = [
            {key for key in self._keys(source) if key in self.live or key in grads}
            for source in sources
        ]
        found = backward(nodes, grads, set().union(*keys))
        answers = []
        for source, wanted in zip(sources, keys, strict=True):
            parts = [found[key] for key in sorted(wanted) if key in found]
            answer = parts[0] if parts else None
            for part in parts[1:]:
                answer = added(answer, part)
            if answer is None and nothing is UnconnectedGradients.ZERO:
                answer = filled(source, 0)
            answers.append(answer)
        return answers

    def jacobian(
        self,
        target: Any,
        sources: Any,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Return derivatives of every element of `target` by every element of each source.

        The answers have shape `target.shape + source.shape` and are packed like `sources`. The last
        two arguments are TensorFlow's; rows are computed one after the other here.
        """
        nothing = checked(unconnected_gradients)
        (tensor,) = self._flat("target", target)
        flat = self._flat("sources", sources)
        nodes = self._lend()
        rows = [
            self._gradients(nodes, {tensor.key: unit}, flat, nothing)
            for unit in _units(tuple(tensor.shape), numpy_dtype(tensor))
        ]
        self._use_up()
        shape = tuple(tensor.shape)
        answers = [
            _stacked([row[i] for row in rows], (*shape, *source.shape), source)
            for i, source in enumerate(flat)
        ]
        return tree.pack_sequence_as(sources, answers)

    def batch_jacobian(
        self,
        target: Any,
        source: Any,
        unconnected_gradients: UnconnectedGradients | str = UnconnectedGradients.NONE,
        parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:
        """Return each sample's jacobian, shape `[batch] + target.shape[1:] + source.shape[1:]`.

        Row i of `target` must depend on row i of `source` only. Unconnected gives zeros.
        """
        checked(unconnected_gradients)
        (tensor,), (leaf,) = self._flat("target", target), self._flat("source", source)
        shape, source_shape = tuple(tensor.shape), tuple(leaf.shape)
        for each in (shape, source_shape):
            if len(each) < 2:
                raise ValueError(f"Shape {each} must have rank at least 2")
        if shape[0] != source_shape[0]:
            raise ValueError(
                f"Need first dimension of target shape ({shape}) and source shape "
                f"({source_shape}) to match."
            )
        nodes = self._lend()
        columns = [
            self._gradients(nodes, {tensor.key: unit}, [leaf], UnconnectedGradients.ZERO)[0]
            for unit in _units(shape[1:], numpy_dtype(tensor), batch=shape[0])
        ]
        self._use_up()
        if not columns:
            return EagerTensor(np.zeros((*shape, *source_shape[1:]), numpy_dtype(leaf)))
        return reshape(stack(*columns, axis=1), shape=(*shape, *source_shape[1:]))


def checked(unconnected: Any) -> UnconnectedGradients:
    """Return the member that is meant; raise `ValueError` for what is none."""
    if isinstance(unconnected, UnconnectedGradients):
        return unconnected
    if unconnected in [member.value for member in UnconnectedGradients]:
        return UnconnectedGradients(unconnected)
    raise ValueError(f"Unknown value for unconnected_gradients: {unconnected!r}")


def _ones(like: Any) -> EagerTensor:
    return EagerTensor(np.ones(like.plain_shape, numpy_dtype(like)))


def _factors(targets: list[Any], output_gradients: Any) -> list[Any]:
    """Return one gradient per target: ones, or what the caller gave, broadcast."""
    if output_gradients is None:
        return [_ones(t) if numpy_dtype(t).kind == "f" else None for t in targets]
    given = (
        [output_gradients]
        if isinstance(output_gradients, (Tensor, Variable, np.ndarray))
        else tree.flatten(output_gradients)
    )
    if len(given) != len(targets):
        raise ValueError(
            f"output_gradients: expected {len(targets)}, one per target, got {len(given)}."
        )
    return [
        _ones(tensor) if factor is None else _broadcast(as_tensor(factor, tensor.dtype), tensor)
        for tensor, factor in zip(targets, given, strict=True)
    ]


def _broadcast(factor: Any, target: Any) -> Any:
    if tuple(factor.shape) == tuple(target.shape):
        return factor
    try:
        fits = np.broadcast_shapes(factor.shape, target.shape) == tuple(target.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"output_gradients: expected a shape that broadcasts to the target's "
            f"{tuple(target.shape)}, got {tuple(factor.shape)}."
        )
    return factor * _ones(target)


def _units(shape: tuple[int, ...], dtype: Any, batch: int | None = None) -> Iterator[EagerTensor]:
    """Yield the unit tensors of `shape`, each repeated `batch` times along a new first axis."""
    for index in np.ndindex(shape):
        unit = np.zeros(shape if batch is None else (batch, *shape), dtype)
        unit[index if batch is None else (slice(None), *index)] = 1
        yield EagerTensor(unit)


def _stacked(rows: list[Any], shape: tuple[int, ...], source: Any) -> Any:
    if any(row is None for row in rows):
        return None
    if not rows:
        return EagerTensor(np.zeros(shape, numpy_dtype(source)))
    return reshape(stack(*rows, axis=0), shape=shape)
