# ruff: noqa: ARG004  TensorFlow's signatures
"""Define `Dataset`: the ways to make one, and the transformations that make new elements."""

import itertools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.context import VariableScope
from minikeras.core.spec import TensorSpec, as_dtype
from minikeras.data import streams
from minikeras.data.base import (
    AUTOTUNE,
    INFINITE_CARDINALITY,
    UNKNOWN_CARDINALITY,
    Stream,
    groups,
    shortest,
    whole,
)
from minikeras.data.elements import (
    DatasetSpec,
    Element,
    arrays,
    call,
    map_shapes,
    merged,
    normalized,
    spec_of,
    split,
    stacked,
    take_rows,
    tensors,
)
from minikeras.data.generators import conform, signature


class Dataset(Stream):
    """A sequence of elements, each a tensor or a structure of tensors, made when iterated.

    Make one with `from_tensor_slices`, `from_tensors`, `from_generator`, `range` or `zip`, and
    chain transformations, each of which returns a new data set. Every iteration begins anew.
    No threads run: arguments about parallelism are accepted and change nothing, like `name`.

    >>> dataset = Dataset.from_tensor_slices([1, 2, 3]).map(lambda x: x * 2).batch(2)
    >>> [batch.numpy().tolist() for batch in dataset]
    [[2, 4], [6]]
    """

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> "Dataset":
        """Return the data set of the slices of `tensors` along their first axis."""
        return slices(normalized(tensors))

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> "Dataset":
        """Return the data set whose only element is `tensors`."""
        return _listed([normalized(tensors)])

    @staticmethod
    def from_generator(
        generator: Callable[..., Any],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = None,
        output_signature: Any = None,
        name: str | None = None,
    ) -> "Dataset":
        """Return the data set of what `generator(*args)` yields.

        Args:
            generator: a function that returns an iterable; called anew for each iteration.
            output_types: dtypes of an element, in its structure.
            output_shapes: shapes to go with `output_types`; unknown if None.
            args: passed to `generator` as NumPy arrays.
            output_signature: a structure of `TensorSpec`, instead of types and shapes.
        """
        if not callable(generator):
            raise TypeError(
                f"Dataset.from_generator: expected a function that returns an iterable, got "
                f"{type(generator).__name__}. Write lambda: generator."
            )
        spec = signature(output_types, output_shapes, output_signature)
        given = arrays(tuple(normalized(value) for value in args or ()))
        source = lambda: (conform(value, spec) for value in generator(*given))
        return Dataset(source, spec, UNKNOWN_CARDINALITY)

    @staticmethod
    def range(*args: Any, output_type: Any = "int64", name: str | None = None) -> "Dataset":
        """Return the data set of `range(*args)` as scalars, int64 by default."""
        if not 1 <= len(args) <= 3:
            raise ValueError(f"Dataset.range: expected 1 to 3 numbers, got {len(args)}.")
        numbers, dtype = range(*map(operator.index, args)), as_dtype(output_type)
        source = lambda: (np.array(number, dtype) for number in numbers)
        return Dataset(source, TensorSpec((), dtype), len(numbers))

    @staticmethod
    def zip(*args: Any, datasets: Any = None, name: str | None = None) -> "Dataset":
        """Return the data set of structures with an element of each; the shortest ends it.

        Give several data sets, or one tuple, list or dict of them.
        """
        nest = args[0] if len(args) == 1 else args or datasets or ()
        nest = tree.lists_to_tuples(nest)
        parts = tree.flatten(nest)
        for part in parts:
            if not isinstance(part, Dataset):
                raise TypeError(
                    f"Dataset.zip: expected a structure of data sets, got {part!r} in it."
                )
        if not parts:
            raise TypeError("Dataset.zip: expected at least one data set, got none.")
        length = shortest([part.length for part in parts])
        if all(part.in_order for part in parts):
            cut = lambda part: tree.map_structure(lambda array: array[:length], part.rows)
            return slices(tree.map_structure(cut, nest))

        def source() -> Iterator[Element]:
            for group in zip(*(part.elements() for part in parts), strict=False):
                yield _packed(nest, group)

        spec = lambda: _packed(nest, [part.element_spec for part in parts])
        known = not any(callable(part.spec) for part in parts)
        return Dataset(source, spec() if known else spec, length)

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        synchronous: bool | None = None,
        use_unbounded_threadpool: bool = False,
        name: str | None = None,
    ) -> "Dataset":
        """Apply `map_func` to each element; a tuple arrives as several arguments.

        `element_spec` calls it on zeros to see what it returns.
        """
        apply = lambda element: _mapped(map_func, element)
        spec = lambda: _result_spec(apply, self.element_spec, "Dataset.map")
        return Dataset(lambda: map(apply, self.elements()), spec, self.length)

    def flat_map(self, map_func: Callable[..., Any], name: str | None = None) -> "Dataset":
        """Turn each element into a data set and yield their elements one after the other."""
        return self.interleave(map_func, cycle_length=1)

    def interleave(
        self,
        map_func: Callable[..., Any],
        cycle_length: int | None = None,
        block_length: int | None = None,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> "Dataset":
        """Turn each element into a data set; yield `block_length` elements of each in turn.

        `cycle_length` of them (one by default, whatever the machine) are open at a time.
        """
        cycle = 1 if cycle_length in (None, AUTOTUNE) else whole("cycle_length", cycle_length, 1)
        block = 1 if block_length is None else whole("block_length", block_length, 1)
        expand = lambda element: _expanded(map_func, element)

        def source() -> Iterator[Element]:
            open_one = lambda element: expand(element).elements()
            return streams.interleaved(self.elements(), open_one, cycle, block)

        def spec() -> Any:
            return _result_spec(expand, self.element_spec, "Dataset.flat_map").element_spec

        return Dataset(source, spec, UNKNOWN_CARDINALITY)

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> "Dataset":
        """Stack every `batch_size` elements; the last batch may be smaller unless dropped."""
        size = whole("batch_size", batch_size, 1)
        join = stacked if self.rows is None else lambda chunk: take_rows(self.rows, chunk)
        axis = (size if drop_remainder else None,)
        return Dataset(
            lambda: map(join, streams.chunks(self.source(), size, drop_remainder)),
            self.derived(lambda spec: map_shapes(lambda shape: axis + shape, spec)),
            groups(self.length, size, size, drop_remainder),
        )

    def unbatch(self, name: str | None = None) -> "Dataset":
        """Split each element along its first axis."""
        source = lambda: itertools.chain.from_iterable(map(split, self.elements()))
        return Dataset(source, self.derived(_unbatched), self._unbatched_length())

    def _unbatched_length(self) -> int:
        """Return the number of rows, which is known where all batches have one known first axis."""
        if self.length == INFINITE_CARDINALITY:
            return INFINITE_CARDINALITY
        leaves = [] if callable(self.spec) else tree.flatten(self.spec)
        sizes = {leaf.shape[0] if leaf.shape else None for leaf in leaves}
        rows = sizes.pop() if len(sizes) == 1 else None
        return UNKNOWN_CARDINALITY if rows is None or self.length < 0 else rows * self.length

    def rebatch(
        self, batch_size: int, drop_remainder: bool = False, name: str | None = None
    ) -> "Dataset":
        """Split batches and make new ones of `batch_size`."""
        return self.unbatch().batch(batch_size, drop_remainder)

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> "Dataset":
        """Yield data sets of `size` elements `stride` apart, the first ones `shift` apart.

        `shift` is `size` by default. Structures become structures of data sets.
        """
        size, stride = whole("size", size, 1), whole("stride", stride, 1)
        shift = size if shift is None else whole("shift", shift, 1)
        span = (size - 1) * stride + 1

        def source() -> Iterator[Element]:
            grouped = streams.windows(self.elements(), size, shift, stride, drop_remainder)
            for group in grouped:
                columns = zip(*map(tree.flatten, group), strict=True)
                yield _packed(group[0], [_listed(list(column)) for column in columns])

        length = groups(self.length, span, shift, drop_remainder)
        spec = self.derived(lambda spec: tree.map_structure(DatasetSpec, spec))
        return Dataset(source, spec, length)

    def concatenate(self, dataset: "Dataset", name: str | None = None) -> "Dataset":
        """Yield the elements of this data set, then those of `dataset`."""
        spec = lambda: _alike(self.element_spec, dataset.element_spec)
        if not callable(self.spec) and not callable(dataset.spec):
            spec = spec()
        lengths = (self.length, dataset.length)
        length = sum(lengths) if min(lengths) >= 0 else max(n for n in lengths if n < 0)
        return Dataset(lambda: itertools.chain(self.elements(), dataset.elements()), spec, length)

    def enumerate(self, start: int = 0, name: str | None = None) -> "Dataset":
        """Pair each element with its number, int64."""
        first = whole("start", start)
        source = lambda: zip(
            (np.array(number) for number in itertools.count(first)), self.elements(), strict=False
        )
        spec = self.derived(lambda spec: (TensorSpec((), "int64"), spec))
        return Dataset(source, spec, self.length)

    def apply(self, transformation_func: Callable[["Dataset"], "Dataset"]) -> "Dataset":
        """Return `transformation_func(self)`."""
        dataset = transformation_func(self)
        if not isinstance(dataset, Dataset):
            raise TypeError(f"Dataset.apply: expected a data set back, got {dataset!r}.")
        return dataset

    def reduce(
        self, initial_state: Any, reduce_func: Callable[[Any, Any], Any], name: str | None = None
    ) -> Any:
        """Return the last state of `state = reduce_func(state, element)`."""
        state = normalized(initial_state)
        for element in self.elements():
            state = _mapped(reduce_func, (state, element))
        return tensors(state)

    def get_single_element(self, name: str | None = None) -> Any:
        """Return the only element; raise `ValueError` if there is none or another."""
        found = list(self.take(2))
        if len(found) != 1:
            raise ValueError(
                "Dataset.get_single_element: expected one element, got "
                f"{'more' if found else 'none'}."
            )
        return found[0]


def slices(rows: Element) -> Dataset:
    """Return the data set of the rows of `rows`, arrays that nobody changes; none are copied."""
    paths = tree.flatten_with_path(rows)
    if not paths:
        raise ValueError("Dataset.from_tensor_slices: expected at least one tensor, got none.")
    lengths: dict[int, str] = {}
    for path, array in paths:
        where = f" at {list(path)}" if path else ""
        if getattr(array, "ndim", 0) == 0:
            raise ValueError(
                "Dataset.from_tensor_slices: expected tensors with at least one axis, got "
                f"{'a scalar' if hasattr(array, 'ndim') else 'a data set'}{where}."
            )
        lengths.setdefault(len(array), f"{len(array)}{where}")
    if len(lengths) > 1:
        raise ValueError(
            "Dataset.from_tensor_slices: expected tensors with first axes of one length, got "
            f"{' and '.join(lengths.values())}."
        )
    spec = tree.map_structure(lambda array: TensorSpec(array.shape[1:], array.dtype), rows)
    return Dataset(None, spec, next(iter(lengths)), rows)


def _listed(found: list[Element]) -> Dataset:
    return Dataset(lambda: iter(found), spec_of(found[0]), len(found))


def _packed(nest: Any, leaves: Any) -> Any:
    """Put `leaves`, which may be structures themselves, in the place of the leaves of `nest`."""
    rest = iter(leaves)
    return tree.map_structure(lambda _: next(rest), nest)


def _mapped(function: Callable[..., Any], element: Element) -> Element:
    result = call(function, element)
    # TensorFlow's rule: a list that a function returns is several results, not one tensor.
    return normalized(tuple(result) if isinstance(result, list) else result)


def _expanded(function: Callable[..., Any], element: Element) -> Dataset:
    dataset = call(function, element)
    if not isinstance(dataset, Dataset):
        raise TypeError(
            f"Dataset.flat_map: expected a function that returns a data set, got {dataset!r} back."
        )
    return dataset


def _result_spec(function: Callable[[Element], Any], spec: Any, who: str) -> Any:
    """Return the spec of what `function` makes of elements described by `spec`.

    It is run on zeros with open axes of length 2 and 3; axes that differ are open. Assignments to
    Variables, such as those of random generators, are undone.
    """

    def run(length: int) -> Any:
        with VariableScope(), np.errstate(all="ignore"):
            return spec_of(function(_zeros(spec, length, who)))

    return merged(run(2), run(3))


def _zeros(spec: Any, length: int, who: str) -> Element:
    def zeros(leaf: Any) -> Any:
        if isinstance(leaf, DatasetSpec):
            return _listed([_zeros(leaf.element_spec, length, who)] * length)
        if leaf.shape is None:
            raise ValueError(
                f"{who}: expected elements of known shape to find out element_spec, got {leaf}. "
                "Give from_generator an output_signature."
            )
        return np.zeros([length if n is None else n for n in leaf.shape], leaf.dtype.name)

    return tree.map_structure(zeros, spec)


def _unbatched(spec: Any) -> Any:
    for leaf in tree.leaves(spec):
        if leaf.shape == ():
            raise ValueError(
                f"Dataset.unbatch: expected components with at least one axis, got {leaf}."
            )
    return map_shapes(lambda shape: shape[1:], spec)


def _alike(a: Any, b: Any) -> Any:
    try:
        return merged(a, b)
    except ValueError as error:
        raise TypeError(
            f"Dataset.concatenate: expected elements of one kind, got {a} and {b}."
        ) from error
