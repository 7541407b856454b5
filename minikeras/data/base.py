"""Define what every data set can do whatever its elements are: begin anew, reorder, be counted."""

import copy
import itertools
import operator
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minikeras.core.tensor import EagerTensor
from minikeras.data import streams
from minikeras.data.elements import Element, arrays, call, take_row, tensors

AUTOTUNE = -1
INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2


class Options:
    """Accept the settings of TensorFlow's executor, nested ones too; they change nothing here."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, Options())
        return vars(self)[name]


class Stream:
    """A sequence that can be begun anew, of items that stand for elements.

    This is `Dataset` without what makes new elements; `Dataset` is the one to use.
    """

    def __init__(
        self,
        source: Callable[[], Iterator[Any]] | None,
        spec: Any,
        length: int,
        rows: Element | None = None,
    ) -> None:
        # With `rows`, items are numbers of rows of these arrays, all in order if `source` is None.
        # So what reorders items moves small integers, and a batch is cut out of the arrays at once.
        self.source = source or (lambda: iter(range(length)))
        self.spec = spec  # or a function that finds it out
        self.length = length  # or one of the two negative cardinalities
        self.rows = rows
        self.in_order = source is None
        self.settings = Options()

    def shuffle(
        self,
        buffer_size: int,
        seed: int | None = None,
        reshuffle_each_iteration: bool = True,
        name: str | None = None,
    ) -> Any:
        """Yield elements in random order, drawn out of a buffer of `buffer_size`.

        Only a buffer as large as the data set makes all orders alike.

        Args:
            buffer_size: the number of elements to draw from; -2 (unknown) means all.
            seed: same seed, same orders; drawn from Python's `random` if None.
            reshuffle_each_iteration: whether every iteration has an order of its own.
        """
        all_of_it = buffer_size == UNKNOWN_CARDINALITY
        size = 2**62 if all_of_it else whole("buffer_size", buffer_size, 1)
        seed = random.getrandbits(63) if seed is None else operator.index(seed)
        epochs = itertools.count() if reshuffle_each_iteration else itertools.repeat(0)
        return self._reordered(
            lambda: streams.shuffled(self.source(), size, seed, next(epochs)), self.length
        )

    def repeat(self, count: int | None = None, name: str | None = None) -> Any:
        """Go through the elements `count` times, without end if None or negative."""
        count = -1 if count is None else whole("count", count)
        length = self.length * count if self.length > 0 < count else self.length
        if self.length and count < 0:
            length = INFINITE_CARDINALITY
        return self._reordered(lambda: streams.repeated(self.source, count), length if count else 0)

    def take(self, count: int, name: str | None = None) -> Any:
        """Keep the first `count` elements, all if negative."""
        count = whole("count", count)
        if count < 0:
            return self._reordered(self.source, self.length)
        return self._reordered(
            lambda: itertools.islice(self.source(), count),
            shortest([self.length, count]),
        )

    def skip(self, count: int, name: str | None = None) -> Any:
        """Leave out the first `count` elements, all if negative."""
        count = whole("count", count)
        if count < 0:
            return self.take(0)
        length = self.length if self.length < 0 else max(0, self.length - count)
        return self._reordered(lambda: itertools.islice(self.source(), count, None), length)

    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> Any:
        """Keep the elements before the first for which `predicate` is false."""
        keep = lambda item: bool(call(predicate, self.element(item)))
        return self._reordered(
            lambda: itertools.takewhile(keep, self.source()), UNKNOWN_CARDINALITY
        )

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Any:
        """Keep every `num_shards`-th element, beginning with number `index`."""
        shards, first = whole("num_shards", num_shards, 1), whole("index", index, 0)
        if first >= shards:
            raise ValueError(f"Dataset.shard: expected an index below {shards}, got {first}.")
        length = self.length if self.length < 0 else len(range(first, self.length, shards))
        return self._reordered(lambda: itertools.islice(self.source(), first, None, shards), length)

    def cache(self, filename: str = "", name: str | None = None) -> Any:
        """Keep the elements of the first complete iteration in memory for the later ones."""
        if filename:
            raise ValueError(
                f"Dataset.cache: expected no file name, got {filename!r}. Only memory is used."
            )
        return self._reordered(streams.cached(self.source), self.length)

    def prefetch(self, buffer_size: int, name: str | None = None) -> Any:
        """Change nothing: elements are made when they are asked for."""
        whole("buffer_size", buffer_size, -1)
        return self._reordered(self.source, self.length)

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Any:
        """Keep the elements for which `predicate` is true."""
        keep = lambda item: bool(call(predicate, self.element(item)))
        return self._reordered(lambda: filter(keep, self.source()), UNKNOWN_CARDINALITY)

    def with_options(self, options: Any, name: str | None = None) -> Any:
        """Return the same data set; `options` are kept and change nothing."""
        dataset = copy.copy(self)
        dataset.settings = options
        return dataset

    def options(self) -> Any:
        """Return the options given last."""
        return self.settings

    @property
    def element_spec(self) -> Any:
        """The structure of `TensorSpec`s that describes an element."""
        if callable(self.spec):
            self.spec = self.spec()
        return self.spec

    def cardinality(self) -> EagerTensor:
        """Return the number of elements as an int64 tensor, or one of the two constants."""
        return EagerTensor(np.array(self.length))

    def as_numpy_iterator(self) -> Iterator[Any]:
        """Iterate over elements made of read-only NumPy arrays and NumPy scalars."""
        return map(arrays, self.elements())

    def elements(self) -> Iterator[Element]:
        """Iterate over elements made of arrays, which are to be left as they are."""
        return map(self.element, self.source())

    def element(self, item: Any) -> Element:
        """Return the element that an item of `source` stands for."""
        return item if self.rows is None else take_row(self.rows, item)

    def _reordered(self, source: Callable[[], Iterator[Any]], length: int) -> Any:
        return type(self)(source, self.derived(lambda spec: spec), length, self.rows)

    def derived(self, change: Callable[[Any], Any]) -> Any:
        """Return `change` of the spec, or a function that finds it out when it is needed."""
        if callable(self.spec):
            return lambda: change(self.element_spec)
        return change(self.spec)

    def __iter__(self) -> Iterator[Any]:
        return map(tensors, self.elements())

    def __len__(self) -> int:
        if self.length == INFINITE_CARDINALITY:
            raise TypeError("len(Dataset): The dataset is infinite. Use take(n) for a part of it.")
        if self.length == UNKNOWN_CARDINALITY:
            raise TypeError("len(Dataset): The dataset length is unknown. Count while iterating.")
        return self.length

    def __bool__(self) -> bool:
        return True  # without this, `if dataset:` would ask for its length

    def __repr__(self) -> str:
        spec = "found when asked for" if callable(self.spec) else self.spec
        return f"<Dataset element_spec={spec}>"


def shortest(lengths: list[int]) -> int:
    """Return the cardinality of what ends with the shortest of data sets of these lengths."""
    if UNKNOWN_CARDINALITY in lengths:
        return UNKNOWN_CARDINALITY
    finite = [length for length in lengths if length >= 0]
    return min(finite, default=INFINITE_CARDINALITY)


def groups(length: int, span: int, shift: int, drop_remainder: bool) -> int:
    """Return how many groups of `span` items begin `shift` apart in a data set of `length`."""
    if length < 0:
        return length
    return max(0, (length - span) // shift + 1) if drop_remainder else -(-length // shift)


def whole(name: str, value: Any, least: int | None = None) -> int:
    """Return an argument as an integer of at least `least`; tensors will do."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"Dataset: expected a whole number as {name}, got {value!r}.") from None
    if least is not None and number < least:
        raise ValueError(f"Dataset: expected {name} of at least {least}, got {number}.")
    return number
