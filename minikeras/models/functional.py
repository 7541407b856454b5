"""Turn symbolic inputs and outputs into something that can be called: a graph of layers."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.basic import astype
from minikeras.core.dispatch import Node, Primitive
from minikeras.core.graph import Slot, collect, fill
from minikeras.core.tensor import EagerTensor, SymbolicTensor, Tensor
from minikeras.layers.base import Layer
from minikeras.layers.input_layer import InputLayer
from minikeras.layers.input_spec import InputSpec, check_inputs
from minikeras.models.order import Ordered
from minikeras.ops.shaping import expand_dims, squeeze


class FunctionalGraph:
    """The nodes between a nest of symbolic inputs and a nest of symbolic outputs.

    Inputs may be tensors in the midst of another model: the graph then begins there.
    """

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.flat_inputs = tree.flatten(inputs)
        self.flat_outputs = tree.flatten(outputs)
        _check_symbolic("inputs", inputs, self.flat_inputs)
        _check_symbolic("outputs", outputs, self.flat_outputs)
        self.nodes = collect(self.flat_outputs, self.flat_inputs)
        _check_complete(self.nodes, self.flat_inputs)
        entrances: dict[int, Any] = {t.key: _entrance(t) for t in self.flat_inputs}
        ordered = Ordered(self.flat_outputs, entrances)
        self.operations = ordered.operations
        self.layers = ordered.layers
        _check_names(self.layers)
        self._steps = [(node.inputs, _caller(node), node.outputs) for node in self.nodes]
        self.entrances = list(entrances.values())
        self._only = self.flat_inputs[0] if len(self.flat_inputs) == 1 else None
        self._specs = [
            InputSpec(shape=(None, *tensor.shape[1:]), optional=layer.optional, name=layer.name)
            for tensor, layer in zip(self.flat_inputs, self.entrances, strict=True)
        ]

    def __call__(self, who: Any, inputs: Any) -> Any:
        """Compute the outputs, packed as they were given, from a nest of inputs."""
        flat = [inputs] if self._fits(inputs) else self._fitted(who, inputs)
        values = {symbol.key: value for symbol, value in zip(self.flat_inputs, flat, strict=True)}
        for needed, caller, made in self._steps:
            results = caller([values.get(tensor.key, tensor) for tensor in needed])
            if len(made) == 1 and hasattr(results, "dtype"):
                values[made[0].key] = results
            else:
                flat_results = tree.flatten(results)
                values.update((t.key, y) for t, y in zip(made, flat_results, strict=True))
        if type(self.outputs) is SymbolicTensor:
            return values[self.outputs.key]
        return tree.map_structure(lambda tensor: values[tensor.key], self.outputs)

    def _fits(self, inputs: Any) -> bool:
        """Tell whether inputs are, as they mostly are, one tensor that needs no look at all."""
        only = self._only
        return (
            type(inputs) is EagerTensor
            and only is not None
            and inputs.array.dtype is only._dtype
            and len(inputs.array.shape) == len(only._shape)
            and inputs.array.shape[1:] == only._shape[1:]
        )

    def _fitted(self, who: Any, inputs: Any) -> list[Any]:
        """Return inputs in their order, dtypes and ranks; raise `ValueError` if they do not fit."""
        flat = [
            _fitted(value, tensor)
            for value, tensor in zip(self._in_order(who, inputs), self.flat_inputs, strict=True)
        ]
        check_inputs(who, self._specs, flat)
        return flat

    def _in_order(self, who: Any, inputs: Any) -> list[Any]:
        """Bring inputs given as a dict, a list or one tensor into the order of `flat_inputs`."""
        names = self.input_names()
        if isinstance(inputs, dict) and not _is_deep(self.inputs):
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ValueError(
                    f"{_who(who)}: expected inputs named {names}, got {sorted(inputs)}."
                )
            return [inputs[name] for name in names]
        flat = tree.flatten(inputs)
        by_name = isinstance(self.inputs, dict) and list(self.inputs) != sorted(self.inputs)
        if len(flat) != len(self.flat_inputs) or by_name:
            wanted = names[0] if len(names) == 1 else f"{len(names)} inputs named {names}"
            raise ValueError(
                f"{_who(who)}: expected {wanted}, got {len(flat)} in a {type(inputs).__name__}."
            )
        return flat

    def input_names(self) -> list[str]:
        """Return a name for each input: its key in a dict, else its layer's."""
        if isinstance(self.inputs, dict) and not _is_deep(self.inputs):
            return sorted(self.inputs)
        return [layer.name for layer in self.entrances]

    def output_names(self) -> list[str]:
        """Return a name for each output: its layer's or op's."""
        return [tensor.node.op.name for tensor in self.flat_outputs]


def _check_symbolic(what: str, nest: Any, flat: list[Any]) -> None:
    if not flat:
        raise ValueError(f"Model: expected at least one tensor in {what}, got {nest!r}.")
    for tensor in flat:
        if not isinstance(tensor, SymbolicTensor):
            raise ValueError(
                f"Model: expected {what} that come from layers.Input, got {tensor!r} of type "
                f"{type(tensor).__name__}."
            )


def _check_complete(nodes: list[Node], inputs: list[Any]) -> None:
    for node in nodes:
        if isinstance(node.op, InputLayer):
            given = [tensor.name or tensor.node.op.name for tensor in inputs]
            raise ValueError(
                f"Model: expected every output to depend on the inputs {given} only, but one "
                f"needs '{node.op.name}' of shape {node.op.batch_shape}. Add it to inputs=."
            )


def _check_names(layers: list[Layer]) -> None:
    names = [layer.name for layer in layers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f'The name "{name}" is used {names.count(name)} times in the model. All layer '
                "names should be unique."
            )


def _entrance(tensor: SymbolicTensor) -> InputLayer:
    """Return the layer that stands for an input, a new one for a tensor within another graph."""
    if tensor.node is None:
        return InputLayer(input_tensor=tensor, name=tensor.name)
    if isinstance(tensor.node.op, InputLayer):
        return tensor.node.op
    return InputLayer(batch_shape=tuple(tensor.shape), dtype=tensor.dtype.name)


def _fitted(value: Any, tensor: SymbolicTensor) -> Any:
    """Cast an input to the dtype expected; add or drop a last axis of length 1 that differs."""
    if value is None:
        return None
    if not isinstance(value, Tensor):
        raise ValueError(
            f"Model: expected a tensor or an array for input '{tensor.name}', got {value!r}. Make "
            "an array of it with np.array."
        )
    if value.dtype != tensor.dtype:
        value = astype(value, np.dtype(tensor.dtype.name))
    rank, wanted = len(value.shape), len(tensor._shape)
    if rank == wanted + 1 and value.shape[-1] == 1:
        return squeeze(value, -1)
    if rank == wanted - 1 and tensor.shape[-1] == 1:
        return expand_dims(value, -1)
    return value


def _is_deep(structure: Any) -> bool:
    """Tell whether a dict holds more than tensors."""
    return isinstance(structure, dict) and any(map(tree.is_nested, structure.values()))


def _who(model: Any) -> str:
    return f"{type(model).__name__} '{model.name}'"


def _caller(node: Node) -> Callable[[list[Any]], Any]:
    """Return a function that computes a node's result from its inputs' values."""
    # Not closures: a copy of a model must call the copies of its layers.
    op, params = node.op, node.params
    if isinstance(op, Primitive):
        return functools.partial(_spread, op, params)
    slots = [argument.index for argument in params["args"] if isinstance(argument, Slot)]
    plain = not params["kwargs"] and slots == [0] and len(params["args"]) == 1
    return functools.partial(_alone, op) if plain else functools.partial(_filled, op, params)


def _spread(op: Any, params: Any, values: list[Any]) -> Any:
    return op(*values, **params)


def _alone(op: Any, values: list[Any]) -> Any:
    return op(values[0])


def _filled(op: Any, params: Any, values: list[Any]) -> Any:
    filled = fill(params, values)
    return op(*filled["args"], **filled["kwargs"])
