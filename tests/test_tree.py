"""Walking nested structures."""

from collections import OrderedDict
from typing import Any, NamedTuple

import pytest

from minikeras import tree


class Point(NamedTuple):
    x: Any
    y: Any


NEST = {"b": [1, (2, 3)], "a": Point(4, OrderedDict(z=5, y=6))}


def test_flatten_goes_by_sorted_keys():
    assert tree.flatten(NEST) == [4, 6, 5, 1, 2, 3]
    assert tree.flatten(7) == [7]
    assert tree.flatten(None) == [None]
    assert tree.flatten([]) == []


def test_map_and_pack_keep_the_kinds():
    doubled = tree.map_structure(lambda leaf: leaf * 2, NEST)
    assert doubled == {"b": [2, (4, 6)], "a": Point(8, OrderedDict(z=10, y=12))}
    assert list(doubled) == ["b", "a"]
    assert isinstance(doubled["a"], Point)
    assert tree.pack_sequence_as(NEST, tree.flatten(NEST)) == NEST
    assert tree.map_structure(lambda a, b: a + b, [1, (2,)], [10, (20,)]) == [11, (22,)]


def test_paths():
    assert tree.flatten_with_path({"a": [1, 2]}) == [(("a", 0), 1), (("a", 1), 2)]


def test_structures_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"expected the structure of \[1, 2\], got \[1\]"):
        tree.map_structure(lambda a, b: a, [1, 2], [1])
    with pytest.raises(ValueError, match="expected 6 leaves"):
        tree.pack_sequence_as(NEST, [1])
    with pytest.raises(ValueError, match="expected the structure"):
        tree.assert_same_structure({"a": 1}, {"b": 1})
    tree.assert_same_structure((1, [2]), [3, (4,)])
    with pytest.raises(ValueError, match="expected the structure"):
        tree.assert_same_structure((1,), [3], check_types=True)


def test_lists_to_tuples_and_traverse():
    assert tree.lists_to_tuples([1, {"a": [2]}]) == (1, {"a": (2,)})
    assert tree.traverse(lambda n: n + 1 if isinstance(n, int) else None, [1, (2,)]) == [2, (3,)]
