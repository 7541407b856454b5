"""Compile calls of layers that are made again and again with inputs of the same shape.

Only layers of this package are compiled, all those inside too: they have no side effects that a
trace would swallow, and nothing but attributes and Variables tells what they compute. After any
layer's attribute was assigned, the attributes are compared with those that were traced.
"""

import operator
import weakref
from typing import Any

from minikeras.compiler.eager import single  # noqa: F401 - sees to ops that user code calls
from minikeras.compiler.eager.calls import MISS, Calls
from minikeras.core.context import state
from minikeras.core.dispatch import Primitive
from minikeras.core.tensor import EagerTensor
from minikeras.tracking import walk

_LARGE = 1 << 15  # bytes of inputs from which on a single layer is worth compiling

_edits = 0
"""Counts the assignments of attributes of whatever layer."""

# What a call writes, and what other things remember about a layer.
_PASSING = frozenset(
    {"_last_call", "_losses", "_losses_of_call", "_often", "_walk", "_symbolic", "built"}
)
# What a model's call depends on, beside what compile() and fit() keep in its attributes.
_OF_MODEL = (
    "_graph", "_sequence", "_trainable", "dtype_policy", "autocast", "input_spec", "call",
    "activity_regularizer",
)  # fmt: skip


def note_edit() -> None:
    """Take note that an attribute of some layer was assigned."""
    global _edits
    _edits += 1


class Often:
    """The compiled calls of one layer."""

    def __init__(self, layer: Any) -> None:
        self._layer: Any = weakref.ref(layer)
        self._edits = -1
        self._attributes: list[Any] = []
        self._calls: Calls | None = None
        self._least = 0

    def __call__(self, tensor: EagerTensor, training: bool | None) -> Any:
        """Return the layer's outputs, or MISS."""
        if self._edits != _edits:
            self._check()
        calls, array = self._calls, tensor.array
        if calls is None or array.nbytes < self._least or state.debug:
            return MISS
        key = (array.shape, array.dtype, training, state.training)
        return calls(key, (tensor,), (training,))

    def _check(self) -> None:
        """Forget what was compiled if an attribute is another one now."""
        layers = [item for item in walk(self._layer()) if item.role == "weights"]
        found = [thing for layer in layers for thing in _attributes(layer)]
        same = len(found) == len(self._attributes) and all(
            map(operator.is_, found, self._attributes)
        )
        if not same:
            self._attributes = found
            self._calls = self._new() if all(map(_is_ours, layers)) else None
            self._least = _LARGE if len(layers) == 1 else 0
        self._edits = _edits

    def _new(self) -> Calls:
        layer = self._layer

        def call(inputs: Any, training: bool | None) -> Any:
            options = {} if training is None else {"training": training}
            return layer()(inputs, **options)

        return Calls(call, layer().name)


def compiled_call(layer: Any, tensor: EagerTensor, training: bool | None) -> Any:
    """Return the outputs of a built layer by compiled code, or MISS."""
    often = layer.__dict__.get("_often")
    if often is None:
        often = layer.__dict__["_often"] = Often(layer)
    return often(tensor, training)


def _attributes(layer: Any) -> list[Any]:
    """Return the values, and their names, that decide what a layer computes."""
    known = layer.__dict__
    names = _OF_MODEL if "_graph" in known else [name for name in known if name not in _PASSING]
    return [thing for name in names for thing in (name, known.get(name))]


def _is_ours(layer: Any) -> bool:
    """Tell whether a layer has only code of this package, and no loss of its own."""
    known = layer.__dict__
    graph = known.get("_graph")
    return (
        _from_here(type(layer))
        and type(layer).__name__ != "Lambda"
        and "call" not in known
        and layer.activity_regularizer is None
        and not known["_losses"]
        and all(_from_here(thing) for thing in known.values() if callable(thing))
        and (graph is None or all(_is_known(node.op) for node in graph.nodes))
    )


def _from_here(thing: Any) -> bool:
    module = getattr(thing, "__module__", None) or type(thing).__module__
    return str(module).startswith("minikeras.")


def _is_known(op: Any) -> bool:
    return isinstance(op, Primitive) or hasattr(op, "activity_regularizer")
