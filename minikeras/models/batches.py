"""Bring what users pass to `fit` into one form: batches of `(x, y, sample_weight)` tensors."""

import itertools
import random
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from minikeras import config, tree
from minikeras.compiler.eager.single import Single
from minikeras.core.spec import DTYPES
from minikeras.core.tensor import Array, EagerTensor, Tensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops.gathering import _take

Batch = tuple[Any, Any, Any]
_PARTS = ("x", "y", "sample_weight")

_MANY_BYTES = 1 << 16  # in a batch, from which on to wake another thread for it
_STACKED_BYTES = 1 << 21  # of batches that are copied at once: more would not stay in the cache
_take_natively = Single(_take)


def unpack_x_y_sample_weight(data: Any) -> Batch:
    """Split what a data source yields into `(x, y, sample_weight)`, None where missing."""
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            f"fit: expected batches of (x,), (x, y) or (x, y, sample_weight), got a tuple of "
            f"{len(data)}. Several inputs go together in one tuple or dict: ((a, b), y)."
        )
    return (*data, None, None)[:3]


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Put `x`, `y` and `sample_weight` together as data sources yield them."""
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


class ArrayBatches:
    """Cut arrays into batches, in a new order every epoch if `shuffle`."""

    once = False

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool = False,
    ) -> None:
        self._arrays = tuple(
            None if part is None else tree.map_structure(_as_array, _joined(part))
            for part in (x, y, sample_weight)
        )
        self.samples = _samples(self._arrays)
        if batch_size is None:
            batch_size = -(-self.samples // steps) if steps and self.samples else 32
        self.batch_size = positive("batch_size", batch_size)
        self.length = -(-self.samples // self.batch_size)
        self._shuffle = shuffle
        # Python's generator, so that `random.seed` and `set_random_seed` decide the order.
        seed = random.getrandbits(64) if shuffle else 0
        self._random = np.random.Generator(np.random.Philox(seed))

    @property
    def inputs(self) -> Any:
        """The arrays of `x`."""
        return self._arrays[0]

    def __iter__(self) -> "Pass":
        order = self._random.permutation(self.samples) if self._shuffle else None
        return Pass(self._arrays, self.samples, self.batch_size, order)

    def split(self, fraction: float) -> tuple[list[Any], list[Any]]:
        """Return `[x, y, sample_weight]` of the first samples, and of the last `fraction`."""
        if not 0 < fraction < 1:
            raise ValueError(f"fit: expected validation_split between 0 and 1, got {fraction}.")
        at = int(self.samples * (1 - fraction))
        if at in (0, self.samples):
            raise ValueError(
                f"fit: expected a validation_split that leaves samples on both sides, got "
                f"{fraction} of {self.samples} samples."
            )
        first = [_rows(part, slice(None, at)) for part in self._arrays]
        return first, [_rows(part, slice(at, None)) for part in self._arrays]


class Pass:
    """One pass over arrays, in the given order: a batch at a time, or several."""

    def __init__(self, arrays: Any, samples: int, batch_size: int, order: Any) -> None:
        self._arrays, self._samples, self._batch_size = arrays, samples, batch_size
        self._order = order
        self._at = 0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._at >= self._samples:
            raise StopIteration
        rows = self._rows(1)
        x, y, sample_weight = [_taken(part, rows) for part in self._arrays]
        return x, y, sample_weight

    def several(self, most: int) -> list[Array]:
        """Return the parts of the next whole batches, stacked; nothing if there are none to stack.

        A part must be one array. There are fewer than `most` batches if these had to be copied and
        would take much memory.
        """
        parts = list(itertools.takewhile(lambda part: part is not None, self._arrays))
        if not all(type(part) is np.ndarray for part in parts):
            return []
        if self._order is not None or not all(part.flags.c_contiguous for part in parts):
            bytes = self._batch_size * sum(part[:1].nbytes for part in parts)
            most = min(most, max(_STACKED_BYTES // max(bytes, 1), 1))
        count = min(most, (self._samples - self._at) // self._batch_size)
        if count < 2:
            return []
        rows = self._rows(count)
        stacks = [_selected(part, rows).array for part in parts]
        lead = (count, self._batch_size)
        return [np.ascontiguousarray(stack).reshape(*lead, *stack.shape[1:]) for stack in stacks]

    def _rows(self, batches: int) -> Any:
        start = self._at
        self._at += batches * self._batch_size
        rows = slice(start, self._at)
        return rows if self._order is None else self._order[rows]


class StreamBatches:
    """Take batches from a Dataset, a PyDataset, a generator, or anything else that yields them."""

    def __init__(self, source: Any, *, shuffle: bool = False) -> None:
        self._source = source
        self.once = hasattr(source, "__next__")
        self.length = None if self.once else _length(source)
        self._indexed = hasattr(type(source), "num_batches") or not hasattr(source, "__iter__")
        self._shuffle = shuffle

    def __iter__(self) -> Iterator[Batch]:
        if hasattr(self._source, "on_epoch_begin"):
            self._source.on_epoch_begin()
        # No `yield from`: it would close a user's generator when an epoch ends before its data.
        for batch in self._numbered() if self._indexed else self._source:
            x, y, sample_weight = [
                None if part is None else tree.map_structure(_as_batch, part)
                for part in unpack_x_y_sample_weight(batch)
            ]
            yield x, y, sample_weight

    def _numbered(self) -> Iterator[Any]:
        if self.length is None:
            yield from map(self._source.__getitem__, itertools.count())
            return
        order = list(range(self.length))
        if self._shuffle:
            random.shuffle(order)
        yield from map(self._source.__getitem__, order)

    def end_epoch(self) -> None:
        """Tell a PyDataset that an epoch is over."""
        if hasattr(self._source, "on_epoch_end"):
            self._source.on_epoch_end()


def _length(source: Any) -> int | None:
    """Return the number of batches, None if it is unknown or infinite."""
    if hasattr(source, "cardinality"):
        count = int(source.cardinality())
        return count if count >= 0 else None
    try:
        return len(source)
    except (TypeError, NotImplementedError):
        return None


def make_batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    shuffle: bool = False,
) -> Any:
    """Choose how to read `x`: as arrays, or as a source of batches.

    Args:
        x: arrays or a source.
        y: targets if `x` is arrays.
        sample_weight: weights if `x` is arrays.
        batch_size: 32 if None, or what makes `steps` batches of the arrays.
        steps: batches wanted.
        shuffle: draw a new order every epoch, where the order can be chosen.
    """
    if shuffle not in (True, False):
        raise ValueError(f"fit: expected shuffle to be True or False, got {shuffle!r}.")
    if x is None:
        raise ValueError("fit: expected x to be arrays or a source of batches, got None.")
    if not _is_stream(x):
        return ArrayBatches(
            x, y, sample_weight, batch_size=batch_size, steps=steps, shuffle=bool(shuffle)
        )
    given = [n for n, value in (("y", y), ("sample_weight", sample_weight)) if value is not None]
    if given:
        raise ValueError(
            f"fit: expected x alone when it is a {type(x).__name__}, which yields batches, "
            f"got {' and '.join(given)} too. Let it yield (x, y[, sample_weight]) tuples."
        )
    if batch_size is not None:
        warnings.warn(
            f"fit: batch_size={batch_size} changes nothing: the {type(x).__name__} decides about "
            "its batches.",
            stacklevel=3,
        )
    return StreamBatches(x, shuffle=bool(shuffle))


def one_batch(x: Any, y: Any = None, sample_weight: Any = None) -> Batch:
    """Return arrays as one batch."""
    parts = [
        None if part is None else tree.map_structure(_as_batch, _joined(part))
        for part in (x, y, sample_weight)
    ]
    if _samples(parts) == 0:
        raise ValueError("fit: expected at least one sample, got data of length 0.")
    return parts[0], parts[1], parts[2]


def positive(name: str, value: Any) -> int:
    """Return an integer above 0, or raise `ValueError`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value <= 0:
        raise ValueError(f"fit: expected {name} to be an integer > 0, got {value!r}.")
    return int(value)


def _is_stream(x: Any) -> bool:
    if isinstance(x, (np.ndarray, Tensor, Variable, list, tuple, dict, str)):
        return False
    if hasattr(x, "__array__"):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__getitem__")


def _joined(part: Any) -> Any:
    """Make one array of a list of numbers; a list of arrays stays a list of inputs."""
    if isinstance(part, dict):
        return {name: _joined(value) for name, value in part.items()}
    if isinstance(part, list) and not any(hasattr(leaf, "shape") for leaf in tree.leaves(part)):
        return np.asarray(part)
    return part


def _as_array(value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype not in DTYPES:
        raise ValueError(
            f"fit: expected arrays of numbers or truth values, got {type(value).__name__} of "
            f"dtype {array.dtype}. Encode strings and objects as numbers first."
        )
    if array.dtype == np.float64 and not isinstance(value, (Tensor, Variable)):
        return array.astype(config.floatx(), copy=False)
    return array


def _as_batch(value: Any) -> Any:
    if isinstance(value, (Tensor, Variable)):
        return as_tensor(value)
    return EagerTensor(np.array(_as_array(value)))


def _rows(part: Any, rows: Any) -> Any:
    """Return these rows of an array or of each in a nest."""
    return None if part is None else tree.map_structure(lambda array: array[rows], part)


def _taken(part: Any, rows: Any) -> Any:
    """Return tensors of these rows of an array or of each in a nest."""
    if type(part) is np.ndarray:
        return _selected(part, rows)
    return None if part is None else tree.map_structure(lambda a: _selected(a, rows), part)


def _selected(array: Any, rows: Any) -> EagerTensor:
    """Return the rows of a slice, or those that integers select, on all threads if they are long.

    Rows in a random order are slow to read: memory answers late, and one thread waits for it.
    """
    if type(rows) is slice or not array.flags.c_contiguous:  # of which `take` would copy all
        return EagerTensor(array[rows])
    taken = None
    if len(rows) * array[:1].nbytes >= _MANY_BYTES:
        taken = _take_natively((array, rows), {"axis": 0})
    return EagerTensor(array.take(rows, axis=0) if taken is None else taken)


def _samples(parts: Any) -> int:
    """Return the common length of all first axes; raise `ValueError` naming those that differ."""
    sizes = {}
    for name, part in zip(_PARTS, parts, strict=True):
        arrays = tree.flatten(part) if part is not None else []
        if any(not array.shape for array in arrays):
            raise ValueError(f"fit: expected {name} to have a batch axis, got a scalar.")
        sizes[name] = [len(array) for array in arrays]
    every = {size for each in sizes.values() for size in each}
    if len(every) != 1:
        listed = " ".join(
            f"'{name}' sizes: {', '.join(map(str, each))}" for name, each in sizes.items() if each
        )
        raise ValueError(
            "Data cardinality is ambiguous. Make sure all arrays contain the same number of "
            f"samples.{listed}"
        )
    return every.pop()
