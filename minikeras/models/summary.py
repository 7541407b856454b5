"""Print a model as a table, as Keras does."""

import math
import re
import shutil
from collections.abc import Callable
from typing import Any

from minikeras.callbacks.logs import say
from minikeras.core.dispatch import Node
from minikeras.core.tensor import SymbolicTensor
from minikeras.layers.base import Layer
from minikeras.layers.input_layer import InputLayer
from minikeras.models.order import operation_of
from minikeras.models.table import column_widths, drawn

_HEADS = ("Layer (type)", "Output Shape", "Param #", "Connected to")
_ENDS = {False: (0.45, 0.80, 1.0), True: (0.3, 0.56, 0.74, 1.0)}
"""Where columns end, as shares of the line; True with that of connections."""
_LENGTHS = {False: 88, True: 108}
_TRAINABLE = 12


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Any = None,
    print_fn: Callable[[str], None] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Any = None,
) -> None:
    """Print the layers of `model` with output shapes and parameter counts, and the totals."""
    connected = not _is_chain(model)
    heads = [*_HEADS[: 3 + connected], *["Trainable"] * show_trainable]
    rows: list[list[str]] = []
    operations = _operations(model)
    for name, operation in _in_range(operations, layer_range):
        connections = _connections(model, operation, operations) if connected else None
        graph = getattr(model, "_graph", None)
        rows += _rows(name, operation, graph, connections, show_trainable, expand_nested)
    ends = list(positions or _ENDS[connected])
    if show_trainable:
        ends = [0.9 * end for end in ends] + [1.0]
    widest = _LENGTHS[connected] + _TRAINABLE * show_trainable
    length = line_length or min(widest, shutil.get_terminal_size().columns - 4)
    table = drawn(heads, rows, column_widths(ends, length))
    lines = [f'Model: "{model.name}"', *table, *_totals(model)]
    if print_fn is None:
        say("\n".join(lines))
    else:
        print_fn("\n".join([*lines, ""]))


def _is_chain(model: Any) -> bool:
    """Tell whether the layers simply follow one another, or are those of a subclass."""
    graph = getattr(model, "_graph", None)
    if graph is None or hasattr(model, "_sequence"):
        return True
    used = [tensor.key for node in graph.nodes for tensor in _tensors(node)]
    called = [id(operation_of(node)) for node in graph.nodes]
    return (
        len(graph.flat_inputs) == 1
        and all(len(_tensors(node)) == 1 for node in graph.nodes)
        and len(used) == len(set(used))
        and len(called) == len(set(called))
    )


def _tensors(node: Node) -> list[SymbolicTensor]:
    return [tensor for tensor in node.inputs if isinstance(tensor, SymbolicTensor)]


def _operations(model: Any) -> dict[str, Any]:
    """Return layers by name, and the ops between them too, which get numbered names."""
    graph = getattr(model, "_graph", None)
    if graph is None or hasattr(model, "_sequence"):
        return {layer.name: layer for layer in model.layers}
    found: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for operation in graph.operations:
        name = operation.name if isinstance(operation, Layer) else operation.op.name
        if isinstance(operation, Node):
            counts[name] = counts.get(name, -1) + 1
            name = f"{name}_{counts[name]}" if counts[name] else name
        found[name] = operation
    return found


def _in_range(operations: dict[str, Any], layer_range: Any) -> list[tuple[str, Any]]:
    """Return the operations from the first to the last whose names match two patterns."""
    rows = list(operations.items())
    if layer_range is None:
        return rows
    first, last = layer_range
    starts = [i for i, (name, _) in enumerate(rows) if re.match(first, name)]
    ends = [i for i, (name, _) in enumerate(rows) if re.match(last, name)]
    if not starts or not ends:
        raise ValueError(
            f"summary: expected layer_range of names among {list(operations)}, got {layer_range}."
        )
    return rows[min(starts) : max(ends) + 1]


def _rows(
    name: str,
    operation: Any,
    graph: Any,
    connections: str | None,
    trainable: bool,
    nested: bool,
    level: int = 0,
) -> list[list[str]]:
    """Return the row of an operation, and those of the layers inside it if `nested`."""
    mark = f"{'   ' * level}└ " if level else ""
    shape = _output_shape(operation, graph)
    row = [f"{mark}{name} ({_kind(operation)})", shape, _params(operation)]
    if connections is not None:
        row.append(connections)
    weights = getattr(operation, "weights", [])
    if trainable:
        row.append("-" if not weights else "Y" if operation.trainable else "N")
    rows = [row]
    for layer in getattr(operation, "layers", []) if nested else []:
        inner = getattr(operation, "_graph", None)
        sources = None if connections is None else "-"
        rows += _rows(layer.name, layer, inner, sources, trainable, nested, level + 1)
    return rows


def _kind(operation: Any) -> str:
    if isinstance(operation, Node):
        return "".join(part.capitalize() for part in operation.op.name.strip("_").split("_"))
    name = type(operation).__name__
    return "Functional" if name == "Model" else name


def _params(operation: Any) -> str:
    if isinstance(operation, Node):
        return "0"
    return f"{operation.count_params():,}" if operation.built else "0 (unbuilt)"


def _output_shape(operation: Any, graph: Any) -> str:
    """Return the shape of what a layer or op gives, a list of shapes, or a question mark."""
    if isinstance(operation, InputLayer):
        return str(operation.batch_shape)
    nodes = [node for node in (graph.nodes if graph else []) if operation_of(node) is operation]
    if nodes:
        shapes = [tuple(output.shape) for output in nodes[-1].outputs]
        return str(shapes[0] if len(shapes) == 1 else shapes)
    built_for = operation._built_for
    try:
        return "?" if built_for is None else str(operation.compute_output_shape(built_for))
    except (TypeError, ValueError, NotImplementedError):
        return "?"  # the layer is called with more than its weights were made for


def _connections(model: Any, operation: Any, operations: dict[str, Any]) -> str:
    """Return where inputs come from, as `layer[call][output]`."""
    graph = model._graph
    names = {id(op): name for name, op in operations.items()}
    calls: dict[int, list[Node]] = {}
    for node in graph.nodes:
        calls.setdefault(id(operation_of(node)), []).append(node)
    entrances = {t.key: layer for t, layer in zip(graph.flat_inputs, graph.entrances, strict=True)}
    sources = []
    for tensor in [x for node in calls.get(id(operation), []) for x in _tensors(node)]:
        made: Any = tensor.node
        if tensor.key in entrances:
            sources.append(f"{entrances[tensor.key].name}[0][0]")
            continue
        source = id(operation_of(made))
        place = [out.key for out in made.outputs].index(tensor.key)
        sources.append(f"{names[source]}[{calls[source].index(made)}][{place}]")
    return ", ".join(sources) or "-"


def _totals(model: Any) -> list[str]:
    groups = {
        "Trainable params": model.trainable_weights,
        "Non-trainable params": model.non_trainable_weights,
    }
    if getattr(model.optimizer, "built", False):
        groups["Optimizer params"] = model.optimizer.variables
    groups = {"Total params": [v for group in groups.values() for v in group], **groups}
    return [f" {label}: {_amount(variables)}" for label, variables in groups.items()]


def _amount(variables: list[Any]) -> str:
    count = sum(math.prod(v.shape) for v in variables)
    size = float(sum(math.prod(v.shape) * v.dtype.size for v in variables))
    units = ["B", "KB", "MB", "GB", "TB", "PB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{count:,} ({size:.2f} {units[0]})"
