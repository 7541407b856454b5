"""Run primitives: on arrays at once, on symbolic tensors by their spec rule; leave a Node behind.

`Node(op, inputs, params, outputs)` is the only record there is. A tape is a list of nodes, a
traced function is a graph of nodes whose ops are primitives, a functional model is a graph of
nodes whose ops are layers.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.context import state, user_line
from minikeras.core.spec import Spec
from minikeras.core.tensor import EagerTensor, SymbolicTensor, Tensor, as_tensor

# Below this many bytes an array costs less to keep than the stand-in that would replace it.
_SMALL = 512


class _Open(int):
    """The length an open axis is tried with; errors that print it say None."""

    def __repr__(self) -> str:
        return "None"


# Open axes are replaced by these lengths in turn; result axes that differ are open too. They
# divide by all small numbers, so that splitting an open axis into equal parts is possible.
PROBES = (_Open(120), _Open(240))


class Node:
    """One application of an op: what it was, what went in, what came out."""

    __slots__ = ("inputs", "op", "outputs", "params", "source")

    def __init__(
        self, op: Any, inputs: Sequence[Any], params: dict[str, Any], outputs: Sequence[Any]
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.params = params
        self.outputs = outputs
        self.source = user_line() if state.debug else None

    def __repr__(self) -> str:
        outputs = ", ".join(str(tuple(output.shape)) for output in self.outputs)
        where = f" at {self.source}" if self.source else ""
        return f"<Node {self.op.name} -> {outputs}{where}>"


class Rule:
    """A vjp rule and what it needs, read off its parameter names.

    `g` is the gradient of the output, `y` the output, an argument's name that argument,
    `<argument>_spec` only its shape and dtype, any other name the parameter of that name.
    Whatever no rule of a primitive names, the tape does not keep alive.
    """

    __slots__ = ("function", "needs", "only_g")

    def __init__(self, function: Callable[..., Any], arguments: tuple[str, ...]) -> None:
        self.function = function
        code = function.__code__
        self.needs: list[tuple[str, Any]] = []
        for name in code.co_varnames[: code.co_argcount]:
            plain = name.removesuffix("_spec")
            if name in ("g", "y"):
                self.needs.append((name, None))
            elif plain in arguments:
                self.needs.append(("spec" if plain != name else "input", arguments.index(plain)))
            else:
                self.needs.append(("param", name))
        self.only_g = self.needs == [("g", None)]

    def __call__(self, node: Node, g: Any, y: Any) -> Any:
        if self.only_g:
            return self.function(g)
        values = []
        for kind, which in self.needs:
            if kind == "g":
                values.append(g)
            elif kind == "input" or kind == "spec":  # noqa: PLR1714 - a set would be slower
                values.append(node.inputs[which])
            elif kind == "y":
                values.append(y)
            else:
                values.append(node.params[which])
        return self.function(*values)


class Primitive:
    """An op with a NumPy `forward`, a `spec` rule and a vjp rule per differentiable argument.

    Args:
        name: what errors, graphs and tapes call it.
        forward: computes the output array (a tuple of them if `multiple`) from arrays and params.
        spec: computes the output `Spec` (a tuple of them) from the inputs' specs and params; raises
            `ValueError` for inputs that do not go together.
        vjps: one rule or None per argument, or one rule that returns a gradient for every input
            of a `variadic` op; None if nothing is differentiable.
        arguments: the names of the tensor arguments, the only one if `variadic`.
        prepare: turns the caller's inputs into tensors, promoting dtypes where that is wanted.
    """

    native: Callable[[Sequence[Any], dict[str, Any]], Any] | None = None
    """Takes arrays and params as `forward` does; returns None where `forward` is to run."""
    native_from = 0
    """The bytes of the first array from which on `native` is asked."""

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        spec: Callable[..., Any],
        vjps: Any = None,
        *,
        arguments: tuple[str, ...] = ("x",),
        prepare: Callable[[Sequence[Any]], list[Any]] | None = None,
        variadic: bool = False,
        multiple: bool = False,
        doc: str | None = None,
    ) -> None:
        self.name = self.__name__ = name
        self.__doc__ = doc
        self.forward = forward
        self.spec = spec
        self.arguments = arguments
        self.prepare = prepare or as_tensors
        self.variadic = variadic
        self.multiple = multiple
        rules = (vjps,) if callable(vjps) else vjps
        self.rules = rules and [rule and Rule(rule, arguments) for rule in rules]
        needs = [need for rule in self.rules or () if rule for need in rule.needs]
        self._keeps = {which for kind, which in needs if kind == "input"}
        self._keeps_output = ("y", None) in needs
        self._arity = 0 if variadic else len(arguments)

    def __repr__(self) -> str:
        return f"<Primitive {self.name}>"

    def __deepcopy__(self, _: Any) -> "Primitive":
        return self  # known by its identity

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        """Apply this op to tensors, or to what becomes tensors, and record it."""
        if len(inputs) < self._arity:
            inputs, params = self._named(inputs, params)
        tensors = self.prepare(inputs)
        arrays = []
        for tensor in tensors:
            if type(tensor) is not EagerTensor:
                return self._symbolic(tensors, params)
            arrays.append(tensor.array)
        native = self.native
        try:
            result = None
            if native is not None and arrays[0].nbytes >= self.native_from:
                result = native(arrays, params)
            if result is None:
                result = state.quietly(self.forward, *arrays, **params)
        except (ValueError, IndexError, TypeError) as error:
            self._explain(tensors, params, error)
            raise
        if self.multiple:
            outputs = [EagerTensor(np.asarray(array)) for array in result]
            if state.recorders and self.rules:
                self._record(tensors, params, outputs)
            return tuple(outputs)
        output = EagerTensor(result if type(result) is np.ndarray else np.asarray(result))
        if state.recorders and self.rules:
            self._record(tensors, params, (output,))
        return output

    def _named(self, inputs: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Take tensor arguments that were passed by name out of `params`."""
        missing = [name for name in self.arguments[len(inputs) :] if name not in params]
        if missing:
            raise TypeError(f"{self.name}: expected arguments {self.arguments}, got no {missing}.")
        named = [params[name] for name in self.arguments[len(inputs) :]]
        return (*inputs, *named), {k: v for k, v in params.items() if k not in self.arguments}

    @property
    def __signature__(self) -> inspect.Signature:
        kinds = inspect.Parameter
        kind = kinds.VAR_POSITIONAL if self.variadic else kinds.POSITIONAL_OR_KEYWORD
        return inspect.Signature([kinds(name, kind) for name in self.arguments])

    def _record(self, inputs: Sequence[Any], params: dict[str, Any], outputs: Any) -> None:
        node = None
        for recorder in state.recorders:
            live = recorder.live
            for tensor in inputs:
                if tensor.key in live:
                    break
            else:
                continue
            node = node or self._node(inputs, params, outputs)
            recorder.record(node)

    def _node(self, inputs: Sequence[Any], params: dict[str, Any], outputs: Any) -> Node:
        """Make a node that keeps no array alive which no rule needs."""
        for tensor in (*inputs, *outputs):
            if type(tensor) is EagerTensor and tensor.array.nbytes > _SMALL:
                break
        else:
            return Node(self, inputs, params, outputs)
        if self.variadic:
            kept = inputs if self._keeps else [_slim(tensor) for tensor in inputs]
        else:
            keeps = self._keeps
            kept = [tensor if i in keeps else _slim(tensor) for i, tensor in enumerate(inputs)]
        if not self._keeps_output:
            outputs = [_slim(tensor) for tensor in outputs]
        return Node(self, kept, params, outputs)

    def _symbolic(self, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
        specs = [Spec(tensor.shape, np.dtype(tensor.dtype.name)) for tensor in inputs]
        found = probe(lambda *specs: self._spec(specs, params), specs)
        found = found if self.multiple else (found,)
        outputs = [SymbolicTensor(spec.shape, spec.dtype) for spec in found]
        node = Node(self, inputs, params, outputs)
        for output in outputs:
            output.node = node
        if state.recorders and self.rules:
            self._record(inputs, params, outputs)
        return tuple(outputs) if self.multiple else outputs[0]

    def _spec(self, specs: Sequence[Spec], params: dict[str, Any]) -> Any:
        try:
            return self.spec(*specs, **params)
        except (ValueError, IndexError, TypeError) as error:
            raise type(error)(f"{self.name}: {error}") from error

    def _explain(self, inputs: Sequence[Any], params: dict[str, Any], error: Exception) -> None:
        """Let the spec rule say in our words what NumPy said in its own."""
        try:
            self.spec(*[Spec(x.array.shape, x.array.dtype) for x in inputs], **params)
        except (ValueError, IndexError, TypeError) as better:
            raise type(better)(f"{self.name}: {better}") from error


def as_tensors(inputs: Sequence[Any]) -> list[Any]:
    """Turn each input into a tensor of its own dtype."""
    return [x if type(x) is EagerTensor else as_tensor(x) for x in inputs]


def _slim(tensor: Any) -> Tensor:
    """Return a stand-in with the same key, shape and dtype, or the tensor if it is small."""
    if type(tensor) is not EagerTensor or tensor.array.nbytes <= _SMALL:
        return tensor  # type: ignore[no-any-return]
    return SymbolicTensor(tensor.array.shape, tensor.array.dtype, key=tensor.key)


def is_open(tensor: Any) -> bool:
    """Tell whether `tensor` is symbolic and has an axis of unknown length."""
    return isinstance(tensor, SymbolicTensor) and None in tensor._shape


def probe(function: Callable[..., Any], specs: Sequence[Any]) -> Any:
    """Run a rule on specs whose open axes got a length, twice; axes that then differ are open.

    `function` takes specs and returns a nest of things with `shape` and `dtype`.
    """
    if not any(None in spec.shape for spec in specs):
        return function(*specs)
    first, second = (
        function(*(Spec(_filled(spec.shape, length), spec.dtype) for spec in specs))
        for length in PROBES
    )
    return tree.map_structure(_merged, first, second)


def _filled(shape: tuple[int | None, ...], length: int) -> tuple[int, ...]:
    return tuple(length if axis is None else axis for axis in shape)


def _merged(a: Any, b: Any) -> Spec | None:
    if a is None and b is None:
        return None
    if len(a.shape) != len(b.shape):
        raise ValueError("expected a rank that does not depend on open axes, got one that does.")
    shape = tuple(x if x == y else None for x, y in zip(a.shape, b.shape, strict=True))
    return Spec(shape, np.dtype(a.dtype.name))
