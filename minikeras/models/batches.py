"""Bring what users pass to `fit` into one form: batches of `(x, y, sample_weight)` tensors."""

import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minikeras import config, tree
from minikeras.core.spec import DTYPES
from minikeras.core.tensor import EagerTensor, Tensor, as_tensor
from minikeras.core.variable import Variable

Batch = tuple[Any, Any, Any]


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
    return (*data, None, None)[:3]  # type: ignore[return-value]


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Put `x`, `y` and `sample_weight` together as data sources yield them."""
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


class ArrayBatches:
    """Cut arrays into batches, in a new order every epoch if `shuffle`."""

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int | None = None,
        shuffle: bool = False,
    ) -> None:
        self._arrays = tuple(
            None if part is None else tree.map_structure(_as_array, _joined(part))
            for part in (x, y, sample_weight)
        )
        self.samples = _samples(dict(zip(("x", "y", "sample_weight"), self._arrays, strict=True)))
        self.batch_size = _positive("batch_size", 32 if batch_size is None else batch_size)
        self.length = -(-self.samples // self.batch_size)
        self._shuffle = shuffle
        # Python's generator, so that `random.seed` and `set_random_seed` decide the order.
        seed = random.getrandbits(64) if shuffle else 0
        self._random = np.random.Generator(np.random.Philox(seed))

    @property
    def inputs(self) -> Any:
        """The arrays of `x`."""
        return self._arrays[0]

    def __iter__(self) -> Iterator[Batch]:
        order = self._random.permutation(self.samples) if self._shuffle else None
        for start in range(0, self.samples, self.batch_size):
            part: Any = slice(start, start + self.batch_size)
            if order is not None:
                part = order[part]
            yield tuple(  # type: ignore[misc]
                None if arrays is None else tree.map_structure(lambda a: _taken(a, part), arrays)
                for arrays in self._arrays
            )

    def split(self, fraction: float, batch_size: int) -> tuple["ArrayBatches", "ArrayBatches"]:
        """Return batches of the first samples, and of the last `fraction` of them."""
        if not 0 < fraction < 1:
            raise ValueError(f"fit: expected validation_split between 0 and 1, got {fraction}.")
        at = int(self.samples * (1 - fraction))
        if at in (0, self.samples):
            raise ValueError(
                f"fit: expected a validation_split that leaves samples on both sides, got "
                f"{fraction} of {self.samples} samples."
            )
        first, last = (
            [
                None if part is None else tree.map_structure(lambda a: a[piece], part)
                for part in self._arrays
            ]
            for piece in (slice(None, at), slice(at, None))
        )
        train = ArrayBatches(*first, batch_size=self.batch_size, shuffle=self._shuffle)
        return train, ArrayBatches(*last, batch_size=batch_size)


class StreamBatches:
    """Take batches from a Dataset, a generator, or anything else that yields them."""

    def __init__(self, source: Any, *, shuffle: bool = False) -> None:
        self._source = source
        self._once = iter(source) is source
        self.length: int | None = None
        if hasattr(source, "cardinality"):
            count = int(source.cardinality())
            self.length = count if count >= 0 else None
        elif not self._once and hasattr(source, "__len__"):
            self.length = len(source)
        self._indexed = hasattr(source, "__getitem__") and self.length is not None
        self._shuffle = shuffle and self._indexed and not hasattr(source, "cardinality")

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._raw():
            yield tuple(  # type: ignore[misc]
                None if part is None else tree.map_structure(_as_batch, part)
                for part in unpack_x_y_sample_weight(batch)
            )
        if hasattr(self._source, "on_epoch_end"):
            self._source.on_epoch_end()

    def _raw(self) -> Iterator[Any]:
        if not self._indexed or hasattr(self._source, "cardinality"):
            yield from self._source
            return
        order = list(range(self.length or 0))
        if self._shuffle:
            random.shuffle(order)
        for i in order:
            yield self._source[i]


def make_batches(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: bool = False,
) -> ArrayBatches | StreamBatches:
    """Choose how to read `x`: as arrays, or as a source of batches."""
    if shuffle not in (True, False):
        raise ValueError(f"fit: expected shuffle to be True or False, got {shuffle!r}.")
    if _is_stream(x):
        extra = {"y": y, "sample_weight": sample_weight, "batch_size": batch_size}
        given = [name for name, value in extra.items() if value is not None]
        if given:
            raise ValueError(
                f"fit: expected x alone when it is a {type(x).__name__}, which yields batches, "
                f"got {', '.join(given)} too. Let it yield (x, y[, sample_weight]) tuples."
            )
        return StreamBatches(x, shuffle=bool(shuffle))
    if x is None:
        raise ValueError("fit: expected x to be arrays or a source of batches, got None.")
    return ArrayBatches(x, y, sample_weight, batch_size=batch_size, shuffle=bool(shuffle))


def _is_stream(x: Any) -> bool:
    if isinstance(x, (np.ndarray, Tensor, Variable, list, tuple, dict)) or hasattr(x, "__array__"):
        return False
    return hasattr(x, "__iter__") or hasattr(x, "__getitem__")


def _joined(part: Any) -> Any:
    """Make one array of a list of numbers; a list of arrays stays a list of inputs."""
    if isinstance(part, list) and not any(hasattr(leaf, "shape") for leaf in tree.leaves(part)):
        return np.asarray(part)
    return part


def _as_array(value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype not in DTYPES:
        raise ValueError(
            f"fit: expected arrays of numbers or truth values, got dtype {array.dtype}. "
            "Encode strings and objects as numbers first."
        )
    if array.dtype == np.float64 and not isinstance(value, (Tensor, Variable)):
        return array if config.floatx() == "float64" else array.astype(config.floatx())
    return array


def _as_batch(value: Any) -> Any:
    if isinstance(value, EagerTensor):
        return value
    if isinstance(value, (Tensor, Variable)):
        return as_tensor(value)
    return EagerTensor(np.array(_as_array(value)))


def _taken(array: Any, part: Any) -> EagerTensor:
    return EagerTensor(array[part])


def _samples(parts: dict[str, Any]) -> int:
    """Return the common length of all first axes; raise `ValueError` naming those that differ."""
    sizes = {}
    for name, part in parts.items():
        leaves = tree.flatten(part) if part is not None else []
        if any(not leaf.shape for leaf in leaves):
            raise ValueError(f"fit: expected {name} to have a batch axis, got a scalar.")
        sizes[name] = [len(leaf) for leaf in leaves]
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


def _positive(name: str, value: Any) -> int:
    if not isinstance(value, (int, np.integer)) or value <= 0:
        raise ValueError(f"fit: expected {name} to be an integer > 0, got {value!r}.")
    return int(value)


class Epochs:
    """Hand out steps, an epoch at a time, restarting or going on with the data as Keras does."""

    def __init__(self, batches: Any, steps: int | None, who: str = "fit") -> None:
        self._batches = batches
        self._steps = None if steps is None else _positive("steps", steps)
        self._running: Iterator[Batch] | None = None
        self._who = who
        self.exhausted = False
        self.length = batches.length if steps is None else steps

    def epoch(self, prepare: Callable[[Batch], Batch]) -> Iterator[tuple[int, Batch]]:
        """Yield `(step, batch)` for one epoch; warn if the data ends before its steps do."""
        if self._steps is None:
            count = 0
            for count, batch in enumerate(self._batches, 1):  # noqa: B007 - used after the loop
                yield count - 1, prepare(batch)
            self.exhausted = count == 0
            return
        for step in range(self._steps):
            batch = self._next()
            if batch is None:
                self.exhausted = True
                warnings.warn(
                    f"Your input ran out of data; interrupting training: {self._who} got {step} "
                    f"of {self._steps} steps this epoch. Use `.repeat()` or fewer steps.",
                    stacklevel=4,
                )
                return
            yield step, prepare(batch)

    def _next(self) -> Batch | None:
        """Return the next batch, beginning anew where the length is known."""
        if self._running is None:
            self._running = iter(self._batches)
        batch = next(self._running, None)
        if batch is None and self._batches.length:
            self._running = iter(self._batches)
            batch = next(self._running, None)
        return batch
