"""Find where in a weights file each object's variables belong: Keras 3's own layout.

Objects are named by the attribute that holds them, those in lists and dicts by their class in
snake case with a running number; an object that is found twice belongs to its first place.
"""

from collections.abc import Iterator
from typing import Any

from minikeras.registry import snake_case
from minikeras.tracking import Tracked

# What the base classes themselves hold, under names of their own that no file has.
_INTERNAL = frozenset(
    {"_recorded", "_parts", "_graph_layers", "_sequence", "_entrance", "_added", "_losses"}
    | {"_loss_tracker", "history"}
)


def places(root: Tracked) -> list[tuple[str, Any]]:
    """Return `(path, object)` for everything with variables to save, in Keras' order."""
    found: list[tuple[str, Any]] = []
    _visit(root, "", found, set())
    return found


def _visit(item: Any, path: str, found: list[tuple[str, Any]], seen: set[int]) -> None:
    if id(item) in seen:
        return
    seen.add(id(item))
    if hasattr(item, "save_own_variables"):
        found.append((path, item))
    for name, child in _children(item):
        below = f"{path}/{name}" if path else name
        if isinstance(child, Tracked):
            _visit(child, below, found, seen)
        else:
            _visit_container(child, below, found, seen)


def _children(item: Any) -> Iterator[tuple[str, Any]]:
    """Yield the attributes that may hold saved objects, private ones last."""
    names = {
        name
        for name, value in vars(item).items()
        if name not in _INTERNAL and isinstance(value, (Tracked, list, tuple, dict))
    }
    if hasattr(item, "layers"):
        if getattr(item, "_graph", None) is not None:
            yield "layers", item.layers
        else:
            names.add("layers")
    for name in sorted(names, key=lambda name: f"~{name}" if name.startswith("_") else name):
        yield name, getattr(item, name)


def _visit_container(
    container: Any, path: str, found: list[tuple[str, Any]], seen: set[int]
) -> None:
    used: dict[str, int] = {}
    for child in container.values() if isinstance(container, dict) else container:
        if isinstance(child, Tracked):
            _visit(
                child, f"{path}/{_numbered(snake_case(type(child).__name__), used)}", found, seen
            )
        elif isinstance(child, (list, tuple, dict)):
            _visit_container(child, f"{path}/{_numbered('container', used)}", found, seen)


def _numbered(name: str, used: dict[str, int]) -> str:
    count = used[name] = used.get(name, -1) + 1
    return f"{name}_{count}" if count else name
