"""Walk nested structures: lists, tuples, namedtuples and dicts with leaves of any kind.

Dicts are walked in sorted key order, as `tf.nest` and `keras.tree` do.
"""

from collections.abc import Callable, Iterator
from typing import Any

Structure = Any


def is_nested(structure: Structure) -> bool:
    """Tell whether `structure` is a container that the functions here walk into."""
    return isinstance(structure, (list, tuple, dict))


def _children(structure: Structure) -> list[Any]:
    if isinstance(structure, dict):
        return [structure[key] for key in _sorted(structure)]
    return list(structure)


def _sorted(mapping: dict[Any, Any]) -> list[Any]:
    try:
        return sorted(mapping)
    except TypeError:  # keys of different kinds have no order but that of insertion
        return list(mapping)


def _rebuild(structure: Structure, children: list[Any]) -> Structure:
    """Make a container like `structure` of `children`, given in walking order."""
    if isinstance(structure, dict):
        by_key = dict(zip(_sorted(structure), children, strict=True))
        ordered = {key: by_key[key] for key in structure}
        return ordered if type(structure) is dict else _like_mapping(structure, ordered)
    if hasattr(structure, "_fields"):  # namedtuple
        return type(structure)(*children)
    if type(structure) is list:
        return children
    # Shapes and other tuple subclasses come back as plain tuples: their values changed.
    return tuple(children) if isinstance(structure, tuple) else type(structure)(children)


def _like_mapping(structure: dict[Any, Any], ordered: dict[Any, Any]) -> Structure:
    kind: Any = type(structure)
    factory = getattr(structure, "default_factory", None)
    return kind(factory, ordered) if factory else kind(ordered)


def leaves(structure: Structure) -> Iterator[Any]:
    """Yield the leaves of `structure` in walking order."""
    if is_nested(structure):
        for child in _children(structure):
            yield from leaves(child)
    else:
        yield structure


def flatten(structure: Structure) -> list[Any]:
    """Return the leaves of `structure` as a list."""
    if type(structure) in (list, tuple) and not any(map(is_nested, structure)):
        return list(structure)  # the usual case, at a third of the time
    return list(leaves(structure))


def flatten_with_path(structure: Structure, path: tuple[Any, ...] = ()) -> list[tuple[Any, Any]]:
    """Return `(path, leaf)` pairs, a path being the tuple of keys and positions that lead there."""
    if not is_nested(structure):
        return [(path, structure)]
    if isinstance(structure, dict):
        items = [(key, structure[key]) for key in _sorted(structure)]
    else:
        items = list(enumerate(structure))
    return [pair for key, child in items for pair in flatten_with_path(child, (*path, key))]


def map_structure(
    function: Callable[..., Any], *structures: Structure, none_is_leaf: bool = True
) -> Structure:
    """Apply `function` to corresponding leaves and pack the results like the first structure."""
    if not structures:
        raise ValueError("map_structure: expected at least one structure, got none.")
    first = structures[0]
    if not is_nested(first):
        return None if first is None and not none_is_leaf else function(*structures)
    for other in structures[1:]:
        _same_kind(first, other)
    columns = zip(*(_children(structure) for structure in structures), strict=True)
    mapped = [map_structure(function, *column, none_is_leaf=none_is_leaf) for column in columns]
    return _rebuild(first, mapped)


def pack_sequence_as(structure: Structure, flat_sequence: Any) -> Structure:
    """Pack the leaves in `flat_sequence` into the form of `structure`."""
    flat = list(flat_sequence)
    wanted = len(flatten(structure))
    if wanted != len(flat):
        raise ValueError(
            f"pack_sequence_as: expected {wanted} leaves for the structure {structure}, "
            f"got {len(flat)}."
        )
    if type(structure) in (list, tuple) and not any(map(is_nested, structure)):
        return type(structure)(flat)  # the usual case, at a tenth of the time
    rest = iter(flat)
    return map_structure(lambda _: next(rest), structure)


def assert_same_structure(a: Structure, b: Structure, check_types: bool | None = None) -> None:
    """Raise `ValueError` unless `a` and `b` are nested alike."""
    if is_nested(a) != is_nested(b):
        raise ValueError(f"assert_same_structure: expected the structure of {a}, got {b}.")
    if not is_nested(a):
        return
    _same_kind(a, b, check_types=bool(check_types))
    for left, right in zip(_children(a), _children(b), strict=True):
        assert_same_structure(left, right, check_types)


def _same_kind(a: Structure, b: Structure, *, check_types: bool = False) -> None:
    alike = is_nested(b) and isinstance(a, dict) == isinstance(b, dict) and len(a) == len(b)
    if alike and isinstance(a, dict):
        alike = a.keys() == b.keys()
    if alike and check_types:
        alike = type(a) is type(b)
    if not alike:
        raise ValueError(f"tree: expected the structure of {a}, got {b}.")


def lists_to_tuples(structure: Structure) -> Structure:
    """Replace every list by a tuple."""
    if isinstance(structure, list):
        return tuple(lists_to_tuples(child) for child in structure)
    if is_nested(structure):
        return _rebuild(structure, [lists_to_tuples(child) for child in _children(structure)])
    return structure


def traverse(
    function: Callable[[Any], Any], structure: Structure, top_down: bool = True
) -> Structure:
    """Call `function` on every node and replace those for which it returns something."""
    if top_down:
        replaced = function(structure)
        if replaced is not None:
            return replaced
    if is_nested(structure):
        children = [traverse(function, child, top_down) for child in _children(structure)]
        structure = _rebuild(structure, children)
    if not top_down:
        replaced = function(structure)
        return structure if replaced is None else replaced
    return structure
