"""Print a model as a table."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras.core.tensor import SymbolicTensor

_HEADS = ("Layer (type)", "Output Shape", "Param #")
_CONNECTED = "Connected to"


def print_summary(
    model: Any,
    *,
    line_length: int | None = None,
    print_fn: Callable[[str], None] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Any = None,
) -> None:
    """Print the layers of `model` with output shapes and parameter counts, and the totals."""
    connected = not _is_chain(model)
    heads = [*_HEADS, *([_CONNECTED] if connected else []), *(["Trai…"] if show_trainable else [])]
    rows = []
    for layer in _in_range(model.layers, layer_range):
        rows += _rows(model, layer, connected, show_trainable, expand_nested)
    total = line_length or (98 if connected else 80)
    shares = (0.30, 0.28, 0.14, 0.28) if connected else (0.45, 0.33, 0.22)
    widths = [max(int(total * share) - 3, 8) for share in shares] + [5] * show_trainable
    lines = [f'Model: "{model.name}"', *_table(heads, rows, widths), *_totals(model)]
    if print_fn is None:
        print("\n".join(lines))  # noqa: T201 - what summary() is for
    else:
        print_fn("\n".join(lines))


def _is_chain(model: Any) -> bool:
    """Tell whether the layers simply follow one another, or are of a subclassed model."""
    graph = model._graph
    if graph is None:
        return True
    used = [tensor.key for node in graph.nodes for tensor in node.inputs]
    return all(len(node.inputs) == 1 for node in graph.nodes) and len(used) == len(set(used))


def _in_range(layers: list[Any], layer_range: Any) -> list[Any]:
    if layer_range is None:
        return layers
    first, last = layer_range
    names = [layer.name for layer in layers]
    for name in (first, last):
        if name not in names:
            raise ValueError(f"summary: expected layer_range of names in {names}, got {name!r}.")
    return layers[names.index(first) : names.index(last) + 1]


def _rows(
    model: Any, layer: Any, connected: bool, trainable: bool, nested: bool, level: int = 0
) -> list[list[str]]:
    params = f"{sum(int(np.prod(v.shape)) for v in layer.weights):,}"
    if not layer.built:
        params = "0 (unbuilt)"
    name = f"{'└ ' * level}{layer.name} ({type(layer).__name__})"
    row = [name, _output_shape(model, layer), params]
    if connected:
        row.append(", ".join(_sources(model, layer)) or "-")
    if trainable:
        row.append(
            "Y" if layer.trainable and layer.trainable_weights else "N" if layer.weights else "-"
        )
    inner = getattr(layer, "layers", []) if nested else []
    deeper = [
        line
        for part in inner
        for line in _rows(layer, part, connected, trainable, nested, level + 1)
    ]
    return [row, *deeper]


def _nodes(model: Any, layer: Any) -> list[Any]:
    graph = getattr(model, "_graph", None)
    return [] if graph is None else [node for node in graph.nodes if node.op is layer]


def _output_shape(model: Any, layer: Any) -> str:
    if hasattr(layer, "batch_shape"):
        return str(layer.batch_shape)
    shapes = [tuple(out.shape) for node in _nodes(model, layer)[:1] for out in node.outputs]
    if not shapes:
        return "?"
    return str(shapes[0]) if len(shapes) == 1 else ", ".join(map(str, shapes))


def _sources(model: Any, layer: Any) -> list[str]:
    return [
        f"{tensor.node.op.name}[0][{tensor.node.outputs.index(tensor) if len(tensor.node.outputs) > 1 else 0}]"
        for node in _nodes(model, layer)
        for tensor in node.inputs
        if isinstance(tensor, SymbolicTensor) and tensor.node is not None
    ]


def _table(heads: list[str], rows: list[list[str]], widths: list[int]) -> list[str]:
    """Draw the table with box characters; long cells go on in the next line."""
    lines = [_rule("┏━┳┓", widths), *_cells(heads, widths, "┃"), _rule("┡━╇┩", widths)]
    for i, row in enumerate(rows):
        if i:
            lines.append(_rule("├─┼┤", widths))
        lines += _cells(row, widths, "│")
    return [*lines, _rule("└─┴┘", widths)]


def _rule(chars: str, widths: list[int]) -> str:
    left, line, cross, right = chars
    return left + cross.join(line * (width + 2) for width in widths) + right


def _cells(row: list[str], widths: list[int], bar: str) -> list[str]:
    pieces = [
        [cell[i : i + width] for i in range(0, len(cell), width)] or [""]
        for cell, width in zip(row, widths, strict=True)
    ]
    lines = []
    for k in range(max(map(len, pieces))):
        cells = [
            (piece[k] if k < len(piece) else "").rjust(width)
            if i == 2
            else (piece[k] if k < len(piece) else "").ljust(width)
            for i, (piece, width) in enumerate(zip(pieces, widths, strict=True))
        ]
        lines.append(bar + bar.join(f" {cell} " for cell in cells) + bar)
    return lines


def _totals(model: Any) -> list[str]:
    groups = [
        ("Total params", model.weights),
        ("Trainable params", model.trainable_weights),
        ("Non-trainable params", model.non_trainable_weights),
    ]
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and getattr(optimizer, "built", False):
        groups[0] = ("Total params", [*model.weights, *optimizer.variables])
        groups.append(("Optimizer params", optimizer.variables))
    return [f" {label}: {_amount(variables)}" for label, variables in groups]


def _amount(variables: list[Any]) -> str:
    count = sum(int(np.prod(v.shape)) for v in variables)
    size = float(sum(int(np.prod(v.shape)) * v.dtype.size for v in variables))
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{count:,} ({size:.2f} {unit})"
