"""Find where in a weights file each object's variables belong: Keras 3's own layout.

Objects are named by the attribute that holds them, those in lists and dicts by their class in
snake case with a running number; an object that is found twice belongs to its first place.
"""

from collections.abc import Iterator
from typing import Any

from minikeras.registry import snake_case
from minikeras.tracking import Tracked

# Containers of the base classes themselves, which lead to objects that have a place of their own.
_INTERNAL = {"_recorded", "_parts", "_graph_layers", "_sequence", "_entrance", "_added", "_losses"}


def places(root: Tracked) -> list[tuple[str, Any]]:
    """Return `(path, object)` for everything with variables to save, in Keras' order."""
    found: list[tuple[str, Any]] = []
    _visit(root, "", found, set())
    return found


def _visit(item: Any, path: str, found: list[tuple[str, Any]], seen: set[int]) -> None:
    if id(item) in seen:
        return
    seen.add(id(item))
    if not isinstance(item, Tracked):
        used: dict[str, int] = {}
        for part in item.values() if isinstance(item, dict) else item:
            if isinstance(part, (Tracked, list, tuple, dict)):
                _visit(part, f"{path}/{_numbered(_kind(part), used)}", found, seen)
        return
    if hasattr(item, "save_own_variables"):
        found.append((path, item))
    for name, part in _attributes(item):
        _visit(part, f"{path}/{name}" if path else name, found, seen)


def _attributes(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield what may hold saved objects: a graph's layers first, private attributes last."""
    names = {
        name
        for name, value in vars(item).items()
        if name not in _INTERNAL and isinstance(value, (Tracked, list, tuple, dict))
    }
    has_graph = getattr(item, "_graph", None) is not None
    if hasattr(item, "layers"):
        names.add("layers")
    for name in sorted(names, key=lambda n: (n != "layers" or not has_graph, n[:1] == "_", n)):
        yield name, getattr(item, name)


def _kind(part: Any) -> str:
    """Return the name for an object in a container; a graph of layers is a `Functional` there."""
    if not isinstance(part, Tracked):
        return "container"
    name = type(part).__name__
    return "functional" if name == "Model" else snake_case(name)


def _numbered(name: str, used: dict[str, int]) -> str:
    count = used[name] = used.get(name, -1) + 1
    return f"{name}_{count}" if count else name
