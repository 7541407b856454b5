"""Turn what users give into elements, and elements into rows, batches and specs.

An element is a structure of tuples, namedtuples and dicts whose leaves are NumPy arrays (or data
sets, in windows). Lists are no structure: as in TensorFlow, a list is one tensor.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.context import unrecorded
from minikeras.core.spec import TensorSpec
from minikeras.core.tensor import EagerTensor, as_tensor
from minikeras.ops import operators  # noqa: F401  functions of users compute with tensors

Element = Any
Spec = Any


class DatasetSpec:
    """Describe a data set that is itself an element, by the spec of its elements."""

    def __init__(self, element_spec: Spec) -> None:
        self.element_spec = element_spec

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatasetSpec) and self.element_spec == other.element_spec

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"DatasetSpec({self.element_spec!r})"


def normalized(value: Any) -> Element:
    """Return `value` as an element: its lists, numbers and tensors become arrays."""
    if isinstance(value, (tuple, dict)):
        # A list inside would be walked into; `traverse` sees it first and makes it an array.
        return tree.traverse(_leaf, value)
    return _leaf(value)


def _leaf(value: Any) -> Any:
    if isinstance(value, (tuple, dict)):
        return None  # for `traverse`: go on inside
    return value if hasattr(value, "element_spec") else as_tensor(value).array


def tensors(element: Element) -> Any:
    """Return `element` with tensors in place of arrays."""
    if type(element) is np.ndarray:
        return EagerTensor(element)
    return tree.map_structure(
        lambda leaf: EagerTensor(leaf) if isinstance(leaf, np.ndarray) else leaf, element
    )


def arrays(element: Element) -> Any:
    """Return `element` as `as_numpy_iterator` shows it: read-only arrays and NumPy scalars."""
    return tree.map_structure(_read_only, element)


def _read_only(leaf: Any) -> Any:
    if not isinstance(leaf, np.ndarray):
        return leaf
    if leaf.ndim == 0:
        return leaf[()]
    view = leaf.view()
    view.flags.writeable = False
    return view


def call(function: Callable[..., Any], element: Element) -> Any:
    """Call a user's function on an element; a plain tuple becomes several arguments.

    Tapes that record now belong to the loop over the data, not to what prepares it.
    """
    with unrecorded():
        if type(element) is tuple:
            return function(*tensors(element))
        return function(tensors(element))


def spec_of(element: Element) -> Spec:
    """Return the structure of specs that describes `element`."""
    return tree.map_structure(_leaf_spec, element)


def _leaf_spec(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return TensorSpec(leaf.shape, leaf.dtype)
    return DatasetSpec(leaf.element_spec)


def map_shapes(function: Callable[[tuple], tuple | None], spec: Spec) -> Spec:
    """Return `spec` with `function` applied to every shape; unknown shapes stay unknown."""

    def change(leaf):
        if isinstance(leaf, DatasetSpec) or leaf.shape is None:
            return leaf
        return TensorSpec(function(tuple(leaf.shape)), leaf.dtype)

    return tree.map_structure(change, spec)


def merged(a: Spec, b: Spec) -> Spec:
    """Return the spec that fits elements of both; raise `ValueError` if there is none."""
    tree.assert_same_structure(a, b)
    return tree.map_structure(_merged_leaf, a, b)


def _merged_leaf(a: Any, b: Any) -> Any:
    if a == b:
        return a
    if isinstance(a, DatasetSpec) and isinstance(b, DatasetSpec):
        return DatasetSpec(merged(a.element_spec, b.element_spec))
    if isinstance(a, DatasetSpec) or isinstance(b, DatasetSpec) or a.dtype != b.dtype:
        raise ValueError(f"expected alike elements, got {a} and {b}.")
    if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
        return TensorSpec(None, a.dtype)
    shape = [m if m == n else None for m, n in zip(a.shape, b.shape, strict=True)]
    return TensorSpec(shape, a.dtype)


def take_rows(rows: Element, numbers: list[int]) -> Element:
    """Return the batch of the rows with these numbers; a view if they follow each other."""
    first, last = numbers[0], numbers[-1]
    index: Any = np.array(numbers)
    if last - first == len(numbers) - 1 and (np.diff(index) == 1).all():
        index = slice(first, last + 1)
    return tree.map_structure(lambda array: array[index], rows)


def take_row(rows: Element, number: int) -> Element:
    """Return row `number` as an element."""
    # The ellipsis makes a scalar an array without axes.
    return tree.map_structure(lambda array: array[number, ...], rows)


def stacked(elements: list[Element]) -> Element:
    """Return the batch of `elements`; raise `ValueError` if they differ in shape or dtype."""
    columns = zip(*map(tree.flatten, elements), strict=True)
    return tree.pack_sequence_as(elements[0], [_stack(column) for column in columns])


def _stack(leaves: Sequence[Any]) -> np.ndarray:
    first = leaves[0]
    if not isinstance(first, np.ndarray):
        raise TypeError(
            "Dataset.batch: expected elements made of tensors, got elements that hold data sets. "
            "Use flat_map(lambda window: window.batch(size))."
        )
    for leaf in leaves:
        if leaf.shape != first.shape or leaf.dtype != first.dtype:
            raise ValueError(
                f"Dataset.batch: expected elements of one shape and dtype, got {first.shape} "
                f"{first.dtype} and {leaf.shape} {leaf.dtype}. Pad or cast them in map first."
            )
    return np.stack(leaves)


def split(element: Element) -> Iterator[Element]:
    """Yield the elements that a batch consists of."""
    flat = tree.flatten(element)
    lengths = {leaf.shape[0] if leaf.ndim else -1 for leaf in flat}
    if -1 in lengths or len(lengths) > 1:
        raise ValueError(
            "Dataset.unbatch: expected components with one first axis, got shapes "
            f"{[leaf.shape for leaf in flat]}."
        )
    for number in range(lengths.pop()):
        yield take_row(element, number)
