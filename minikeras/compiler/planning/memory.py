"""Give every tensor and scratch of a plan its place: a slot in the table of pointers, and bytes."""

import ctypes
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras.compiler.fusion.views import View, size
from minikeras.compiler.native.program import Flag, Scratch, Step
from minikeras.compiler.planning.actions import Action, Call, Check, Jump, Mark
from minikeras.compiler.planning.buffers import Life, arrange
from minikeras.compiler.planning.plan import Plan
from minikeras.core.basic import numpy_dtype
from minikeras.core.tensor import Array, EagerTensor

# Smaller results lie in the arena and are copied out: cheaper than telling native code an address.
_SMALL_RESULT = 1024


class Memory:
    """The table of pointers that native code takes, and the arena of temporary buffers.

    Inputs, fresh results and what NumPy makes lie elsewhere, and are pointed at for each run.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.slots: dict[int, int] = {}
        self.inputs = {x.key: i for i, x in enumerate(plan.inputs)}
        self.input_slots = [self.slot(x.key) for x in plan.inputs]
        self._seen: list[Any] = [_unseen] * len(plan.inputs)
        self._copies: dict[int, Array] = {}
        self._constants: list[Array] = []
        self.fresh: dict[int, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        """Shape and dtype of results, by key, for which each run makes an array."""
        self.temporary = self._lives()
        offsets, self.arena_bytes = arrange(list(self.temporary.values()))
        self._where = dict(zip(self.temporary, offsets, strict=True))
        self._arena = np.zeros(self.arena_bytes + 64, np.uint8)
        self._shift = -address(self._arena) % 64
        self.turns = (ctypes.c_int64 * 2)()
        """Whether there is another turn, and how many are left; plans know it as `count`."""
        self.count = Scratch(ctypes.sizeof(self.turns))
        turns = self.slot(key_of(self.count))
        self.table = (ctypes.c_uint64 * (max(self.slots.values(), default=0) + 1))()
        for key, offset in self._where.items():
            self.table[self.slots[key]] = address(self._arena) + self._shift + offset
        for key, array in self._fixed.items():
            self.table[self.slots[key]] = address(array)
        self.table[turns] = ctypes.addressof(self.turns)

    def root(self, key: int) -> int:
        """Return the key of the tensor whose memory that of this key takes, mostly its own."""
        while key in self.plan.aliases:
            key = self.plan.aliases[key]
        return key

    def slot_of(self, thing: Any) -> int:
        """Return the number of the pointer to an operand."""
        return self.slots[self.root(key_of(thing))]

    def slot(self, key: int) -> int:
        """Return the number of the pointer to a tensor, a new one if it has none."""
        if key not in self.slots:
            self.slots[key] = max(self.slots.values(), default=-1) + 1
        return self.slots[key]

    def _lives(self) -> dict[int, Life]:
        """Return from when to when each temporary buffer is needed."""
        plan, end = self.plan, len(self.plan.actions)
        results = {
            self.root(plan.views.of(y).source.key)
            for number, y in enumerate(plan.outputs)
            if number not in plan.written_back
        }
        lasting = {key_of(a.doubt) for a in plan.actions if isinstance(a, Check)}
        made = {o.key for a in plan.actions if isinstance(a, Call) for o in a.node.outputs}
        elsewhere = {*self.slots, *made}
        self._fixed: dict[int, Array] = {}
        lives: dict[int, Life] = {}
        for at, action in enumerate(plan.actions):
            for thing in _touched(plan, action):
                key = self.root(key_of(thing))
                known = key in self.slots
                self.slot(key)
                if key in elsewhere:
                    continue
                bytes = _bytes(thing)
                if isinstance(thing, EagerTensor):
                    elsewhere.add(key)
                    self._fixed[key] = np.ascontiguousarray(thing.array)
                elif key in results and key not in lasting and bytes > _SMALL_RESULT:
                    elsewhere.add(key)
                    self.fresh[key] = (tuple(thing.plain_shape), numpy_dtype(thing))
                else:
                    start = lives[key].start if known and key in lives else at
                    if isinstance(thing, Flag):  # cleared before all else
                        start = 0
                    stays = key in results or key in lasting
                    lives[key] = Life(bytes, start, end if stays else at)
        for first, last in _loops(plan.actions):  # what a loop reads from before it, it reads again
            for key, life in lives.items():
                if life.start < first <= life.end < last:
                    lives[key] = life._replace(end=last)
        return lives

    def array(self, key: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return a temporary buffer as an array."""
        start = self._shift + self._where[self.root(key)]
        part = self._arena[start : start + size(shape) * dtype.itemsize]
        return part.view(dtype).reshape(shape)

    def is_temporary(self, key: int) -> bool:
        """Tell whether a tensor lies in the arena."""
        return self.root(key) in self._where

    def point(self, arrays: Sequence[Array]) -> None:
        """Let the table point at the inputs' arrays."""
        seen = self._seen
        number = 0
        for array in arrays:
            if seen[number]() is not array:  # most inputs are where they were the last time
                self._point(number, array)
            number += 1  # noqa: SIM113 - quicker than enumerate, and this counts

    def forget(self, inputs: int) -> None:
        """Point anew at the first inputs in the next run: something else moved their pointers."""
        self._seen[:inputs] = [_unseen] * inputs

    def _point(self, number: int, array: Array) -> None:
        self._seen[number] = _unseen  # until all is done: an interrupt may come before any line
        self._copies.pop(number, None)
        if array.flags.c_contiguous:
            self.table[self.input_slots[number]] = address(array)
            self._seen[number] = weakref.ref(array)
        else:
            copy = self._copies[number] = np.ascontiguousarray(array)
            self.table[self.input_slots[number]] = address(copy)


def _unseen() -> None:
    """Stand for a reference to no array."""


def _touched(plan: Plan, action: Action) -> Sequence[Any]:
    if isinstance(action, Step):
        return action.operands
    if isinstance(action, Check):
        return [action.doubt]
    if isinstance(action, Jump):
        return [action.test]
    if isinstance(action, Mark):
        return []
    views = [plan.views.of(x) for x in action.node.inputs]
    return [*(view.source for view in views), *action.node.outputs]


def _loops(actions: Sequence[Action]) -> list[tuple[int, int]]:
    """Return the first and last places of loops, the inner ones before those around them."""
    marks = {id(action): at for at, action in enumerate(actions) if isinstance(action, Mark)}
    jumps = [(at, action) for at, action in enumerate(actions) if isinstance(action, Jump)]
    found = [(marks[id(jump.mark)], at) for at, jump in jumps if marks[id(jump.mark)] < at]
    return sorted(found, key=lambda pair: pair[1] - pair[0])


def key_of(thing: Any) -> int:
    """Return what a tensor or a scratch is known by."""
    return -id(thing) if isinstance(thing, Scratch) else thing.key


def _bytes(thing: Any) -> int:
    if isinstance(thing, Scratch):
        return thing.bytes
    return size(thing.plain_shape) * numpy_dtype(thing).itemsize


def address(array: Array) -> int:
    """Return where the first number of an array lies."""
    if array.flags.writeable and array.size:  # five times faster than to ask the array
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    return array.__array_interface__["data"][0]  # type: ignore[no-any-return]


def viewed(array: Array, view: View) -> Array:
    """Return the array that a view of `array` is."""
    if view.offset == 0 and array.shape == view.shape and view.contiguous:
        return array
    flat = np.ascontiguousarray(array).reshape(-1)[view.offset :]
    strides = tuple(stride * array.itemsize for stride in view.strides)
    return np.lib.stride_tricks.as_strided(flat, view.shape, strides)
