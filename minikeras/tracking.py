"""Notice Variables and parts as they are assigned to attributes, and walk the tree they form."""

import functools
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from minikeras.core.variable import Variable

_CONTAINERS = (list, tuple, dict)

_changes = 0
"""Counts the assignments, in whatever tree, that may have changed it."""


class Tracked:
    """An object whose Variables and tracked parts are found through its attributes.

    Containers are searched when the tree is walked, so what is appended later is found too.
    """

    role = "state"
    """What the Variables are to a model: "weights", other "state", a "metric" or "optimizer"."""

    _parts: dict[str, Any]

    # Attributes that point at things which are not parts of this object.
    _untracked: frozenset[str] = frozenset({"_recorded", "_parts"})

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._untracked:
            if isinstance(value, (Variable, Tracked, *_CONTAINERS)):
                self.__dict__.setdefault("_parts", {})[name] = None
                _note_change()
            elif name in self.__dict__.get("_parts", ()):
                self._forget(name)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self.__dict__.get("_parts", {}).pop(name, None)
        _note_change()

    def _part_names(self) -> list[str]:
        return list(self.__dict__.get("_parts", ()))

    def _tracked(self, containers: list[Any]) -> Iterator[Any]:
        """Yield every Variable and tracked object directly below; take note of containers."""
        for name in self._part_names():
            yield from _found(self.__dict__[name], containers)

    def own_variables(self) -> list[Variable]:
        """Return the Variables assigned to this object itself, trainable ones first."""
        found = list(unique(part for part in self._tracked([]) if isinstance(part, Variable)))
        return [v for v in found if v.born_trainable] + [v for v in found if not v.born_trainable]

    def children(self) -> list["Tracked"]:
        """Return the tracked objects assigned to this one, in order, each once."""
        return list(unique(part for part in self._tracked([]) if isinstance(part, Tracked)))


def _note_change() -> None:
    global _changes
    _changes += 1


def _found(value: Any, containers: list[Any]) -> Iterator[Any]:
    if isinstance(value, (Variable, Tracked)):
        yield value
    elif isinstance(value, _CONTAINERS):
        containers.append(value)
        for item in _contents(value):
            yield from _found(item, containers)


def _contents(container: Any) -> list[Any]:
    return list(container.values() if isinstance(container, dict) else container)


def unique(items: Iterable[Any]) -> Iterator[Any]:
    """Yield each object once, by identity, in the order of first appearance."""
    seen: set[int] = set()
    for item in items:
        if id(item) not in seen:
            seen.add(id(item))
            yield item


class _Walk:
    """Everything tracked below an object, and how to tell that it is still so."""

    def __init__(self, root: Tracked) -> None:
        self.below: list[Tracked] = []
        """Parents first, each once, without the root: no object is to hold on to itself."""
        self.results: dict[str, tuple[Any, ...]] = {}
        self._changes = _changes
        containers: list[Any] = []
        seen = {id(root)}
        stack = _parts_of(root, containers)
        while stack:
            item = stack.pop()
            if id(item) not in seen:
                seen.add(id(item))
                self.below.append(item)
                stack.extend(_parts_of(item, containers))
        self._contents = [(c, _contents(c)) for c in containers if not isinstance(c, tuple)]

    def holds(self) -> bool:
        return self._changes == _changes and all(
            len(container) == len(before) and all(map(operator.is_, _contents(container), before))
            for container, before in self._contents
        )


def _parts_of(item: Tracked, containers: list[Any]) -> list[Tracked]:
    """Return an object's children, last first."""
    return [part for part in item._tracked(containers) if isinstance(part, Tracked)][::-1]


def _walk_of(root: Tracked) -> _Walk:
    """Return the last walk from `root` if it still holds, else a new one.

    A training step asks for the tree a dozen times, and walking it costs more than a small step.
    """
    known = root.__dict__.get("_walk")
    if known is None or not known.holds():
        known = root.__dict__["_walk"] = _Walk(root)
    return known


def walk(root: Tracked) -> list[Tracked]:
    """Return `root` and everything tracked below it, parents first, each once."""
    return [root, *_walk_of(root).below]


def remembered(method: Callable[[Any], Iterable[Any]]) -> Callable[[Any], list[Any]]:
    """Keep what a method finds in the tree below its object until the tree changes."""

    @functools.wraps(method)
    def found(self: Any) -> list[Any]:
        results = _walk_of(self).results
        name = method.__qualname__
        if name not in results:
            results[name] = tuple(method(self))
        return list(results[name])

    return found


def variables_of(root: Tracked) -> list[Variable]:
    """Return all Variables of `root` and its parts, parents first, each once."""
    return list(unique(variable for item in walk(root) for variable in item.own_variables()))
