"""Print graphs: one line a node."""

from typing import Any

from minikeras.core.basic import numpy_dtype
from minikeras.core.graph import Slot
from minikeras.core.tensor import EagerTensor


def listed(graph: Any) -> str:
    """Return a graph as text, such as `%3: float32(128, 10) = matmul(%1, dense/kernel)`."""
    names = {tensor.key: tensor.name or f"input_{i}" for i, tensor in enumerate(graph.inputs)}
    count = graph.arguments
    given = ", ".join(f"{_name(names, x)}: {facts(x)}" for x in graph.inputs[:count])
    lines = [f"{graph.name}({given})"]
    lines += [f"  {_name(names, x)}: {facts(x)}, a Variable" for x in graph.inputs[count:]]
    lines += _lines(graph.nodes, names, "  ")
    values = [_name(names, y) for y in graph.outputs]
    if graph.structure is not None:
        lines.append(f"  return {_filled(graph.structure, values)}")
    for variable, value in zip(graph.assigned, values[graph.results :], strict=True):
        lines.append(f"  {variable.path} <- {value}")
    return "\n".join(lines)


def _lines(nodes: Any, names: dict[int, str], indent: str) -> list[str]:
    lines = []
    for node in nodes:
        for output in node.outputs:
            names[output.key] = f"%{len(names)}"
        made = ", ".join(f"{names[y.key]}: {facts(y)}" for y in node.outputs)
        inner = {k: v for k, v in node.params.items() if hasattr(v, "nodes")}
        plain = [f"{k}={v}" for k, v in node.params.items() if k not in inner]
        arguments = ", ".join([*(_name(names, x) for x in node.inputs), *plain])
        where = f"  # {node.source}" if node.source else ""
        lines.append(f"{indent}{made} = {node.op.name}({arguments}){where}")
        for name, graph in inner.items():
            lines += _block(name, graph, [_name(names, x) for x in node.inputs], names, indent)
    return lines


def _block(
    name: str, graph: Any, inputs: list[str], names: dict[int, str], indent: str
) -> list[str]:
    """Return the lines of a graph inside a node, whose inputs have names of their own."""
    for x in graph.inputs:
        names[x.key] = f"%{len(names)}"
    heads = zip(graph.inputs, inputs, strict=True)
    lines = [f"{indent}  {name}({', '.join(f'{names[x.key]} from {of}' for x, of in heads)})"]
    lines += _lines(graph.nodes, names, indent + "    ")
    lines.append(f"{indent}    return {', '.join(_name(names, y) for y in graph.outputs)}")
    return lines


def facts(tensor: Any) -> str:
    """Return dtype and shape, such as `float32(128, 10)`."""
    return f"{numpy_dtype(tensor)}{tuple(tensor.shape)}"


def _name(names: dict[int, str], tensor: Any) -> str:
    if isinstance(tensor, EagerTensor):
        return str(tensor.array[()]) if not tensor.array.ndim else f"constant {facts(tensor)}"
    return names.get(tensor.key, "?")


def _filled(structure: Any, values: list[str]) -> str:
    if isinstance(structure, Slot):
        return values[structure.index]
    if isinstance(structure, dict):
        items = (f"{key!r}: {_filled(value, values)}" for key, value in structure.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(structure, (list, tuple)):
        return f"({', '.join(_filled(value, values) for value in structure)})"
    return repr(structure)
