"""Run a plan: native programs over planned memory, and NumPy calls between them."""

import ctypes
import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras.compiler.fusion.views import View, full, size
from minikeras.compiler.native import forking, llvm, threads
from minikeras.compiler.native.driver import driver
from minikeras.compiler.native.program import Kernel, Step
from minikeras.compiler.native.records import BARRIER, BRANCH, END, HEADER
from minikeras.compiler.native.sharing import Sharing
from minikeras.compiler.planning.actions import Call, Check, Jump, Mark
from minikeras.compiler.planning.memory import Memory, address, key_of, viewed
from minikeras.compiler.planning.plan import Plan
from minikeras.compiler.planning.turns import LEFT, next_turn
from minikeras.core.basic import numpy_dtype
from minikeras.core.context import state
from minikeras.core.dispatch import Node
from minikeras.core.tensor import Array, EagerTensor

# Below this much work (a flop or a byte counts one) waking other threads costs more than it saves;
# and below a quarter of it, letting other Python threads run in the meantime.
_WORTH_THREADS = 100_000

Native = Step | Check | Mark | Jump
"""What can be part of a native program."""

Make = Callable[[Sequence[Array]], Array]
"""Return a result, given the arrays of the inputs."""


class Executor:
    """A plan bound to memory, which can be run again and again.

    Call it with an array for each input; it returns an array for each output. For inputs that
    native code does not take it returns what `refused` does, and has changed nothing.

    Args:
        arguments: how many of the inputs, the first ones, may be stacked, see `several`.
        results: how many of the outputs, the first ones, are nothing that replaces an input.
    """

    def __init__(self, plan: Plan, arguments: int = 0, results: int = 0) -> None:
        self.plan = plan
        self.memory = Memory(plan)
        self.made: dict[int, Array] = {}
        """What this run has made outside of the arena, by key."""
        self._lock = forking.lock(inner=True)
        self._programs: list[Any] = []
        self._begun = False
        self._bind()
        self._fresh = [
            (key, self.memory.slots[key], shape, dtype)
            for key, (shape, dtype) in self.memory.fresh.items()
        ]
        self._bind_results()
        late = list(itertools.dropwhile(lambda p: not p.writes, self._programs))
        self.late = late if len(self._make) > results or late[1:] else []
        """What is to be done all or not at all: the first program that writes over inputs, and on,
        unless that and what replaces inputs is this program alone."""
        only = self._programs[0] if len(self._programs) == 1 else None
        tiny = isinstance(only, _Native) and only.tiny and not self._fresh and not self.late
        self._quick = only.quickly if tiny else None  # type: ignore[union-attr]
        self._arguments = arguments
        given = {x.key for x in plan.inputs[:arguments]}
        shown = {plan.views.of(y).source.key for y in plan.outputs}
        whole = isinstance(only, _Native) and len(self._make) == results
        self.has_turns = whole and given.isdisjoint(shown)
        """Whether it can be run several times in one go."""

    def __call__(self, arrays: Sequence[Array]) -> list[Array] | None:
        """Run the plan."""
        results = self.brief(arrays)
        if self.late:
            self.forget()
        if results is not None and len(results) < len(self.plan.outputs):
            results += self._replaced(arrays)
        return results

    def brief(self, arrays: Sequence[Array]) -> list[Array] | None:
        """Run the plan, but leave out the last outputs if all of them replaced their inputs."""
        with self._lock:
            self.memory.point(arrays)
            if self._quick is not None:
                self._quick()
            elif not self._run(arrays):
                return self.refused(arrays)
            results = [make(arrays) for make in self._make]
            if self.made and not self.late:
                self.made.clear()
            return results

    def several(self, arrays: Sequence[Array]) -> list[Array]:
        """Run the plan, if it `has_turns`, once for each row of the arguments, which are stacked.

        Returns what `brief` returns for the last row, and how many runs there were: fewer than rows
        if native code does not take one. That and the rows behind it have changed nothing.
        """
        with self._lock:
            turns, memory = len(arrays[0]), self.memory
            memory.forget(self._arguments)
            memory.point(arrays)
            memory.turns[LEFT] = turns
            try:
                self._fill()
                self._all_turns(arrays, turns)
                done = np.array(turns - memory.turns[LEFT])
                return [*(make(arrays) for make in self._make), done]
            finally:
                memory.forget(self._arguments)
                self.made.clear()

    @functools.cached_property
    def _all_turns(self) -> "_Native":
        """The only program, in a loop."""
        memory, start = self.memory, Mark()
        inputs = self.plan.inputs[: self._arguments]
        bytes = [size(x.plain_shape) * numpy_dtype(x).itemsize for x in inputs]
        turn = next_turn(memory.count, list(zip(memory.input_slots, bytes, strict=False)))
        jump = Jump(memory.count, True, start)
        return self._native([start, *self.plan.actions, turn, jump])

    def finish(self, arrays: Sequence[Array]) -> list[Array] | None:
        """Return what `brief` would have, had no interrupt come after it changed inputs.

        Return None if it changed none, or all that it changes at once.
        """
        results = None
        over = [i for i, program in enumerate(self.late) if self._begun and program.over]
        if over:
            for program in self.late[over[-1] + 1 :]:
                program(arrays)
            results = [make(arrays) for make in self._make]
        self.forget()
        return results

    def forget(self) -> None:
        """Let go of what the last run made, which has been taken care of."""
        self._begun = False
        self.made.clear()

    def refused(self, arrays: Sequence[Array]) -> list[Array] | None:
        """Return what a call returns for inputs that native code does not take."""
        return None

    def _run(self, arrays: Sequence[Array]) -> bool:
        """Run all programs, unless one of them has a doubt; tell whether none had."""
        self._begun = False
        self.made.clear()
        for program in self.late:
            program.over = False
        self._begun = True
        self._fill()
        return all(program(arrays) for program in self._programs)

    def _fill(self) -> None:
        """Make the arrays of results."""
        made, table = self.made, self.memory.table
        for key, slot, shape, dtype in self._fresh:
            made[key] = array = np.empty(shape, dtype)
            table[slot] = address(array)

    # -- programs ------------------------------------------------------------------------------

    def _bind(self) -> None:
        """Cut the actions into native programs and calls of NumPy."""
        native: list[Native] = []
        memory = self.memory
        for action in (*self.plan.actions, None):
            apart = isinstance(action, Check) and not memory.is_temporary(key_of(action.doubt))
            if isinstance(action, Native) and not apart:
                native.append(action)
                continue
            if native:
                self._programs.append(self._native(native))
                native = []
            if isinstance(action, Check):
                self._programs.append(_Asked(self, action.doubt))
            elif isinstance(action, Call):
                self._programs.append(_Called(self, action.node))

    def _native(self, actions: Sequence[Any]) -> "_Native":
        """Compile the kernels and write the records of a program."""
        texts = [action.kernel.text for action in actions if isinstance(action, Step)]
        found = dict(zip(texts, llvm.addresses(texts), strict=True))
        slot_of = self.memory.slot_of
        words: list[int] = []
        marks: dict[int, int] = {}
        jumps: list[tuple[int, int]] = []
        end = Mark()
        for i, action in enumerate(actions):
            if isinstance(action, Mark):
                marks[id(action)] = len(words)
                continue
            if isinstance(action, Check):
                action = Jump(action.doubt, True, end)
            if isinstance(action, Jump):
                jumps.append((len(words) + HEADER + 2, id(action.mark)))
                words += [0, BRANCH, 0, BARRIER, HEADER + 3]
                words += [slot_of(action.test), int(action.value), 0]
                continue
            kernel = action.kernel
            flags = 0 if _independent(actions, i) else BARRIER
            rest = [*map(slot_of, action.operands), *kernel.parameters]
            words += [found[kernel.text], kernel.units, kernel.grain, flags, HEADER + len(rest)]
            words += rest
        marks[id(end)] = len(words)
        for place, mark in jumps:
            words[place] = marks[mark]
        words += [0, END, 0, 0, HEADER]
        steps = [action for action in actions if isinstance(action, Step)]
        loops = any(isinstance(action, Jump) for action in actions)
        checks = [action for action in actions if isinstance(action, Check)]
        truth = np.dtype(bool)
        doubts = [self.memory.array(key_of(check.doubt), (), truth) for check in checks]
        kernels = [step.kernel for step in steps]
        plan = self.plan
        new = {plan.views.of(plan.outputs[output]).source.key for output in plan.in_place}
        writes = any(key_of(x) in new for step in steps for x in step.operands)
        return _Native(self.memory, words, kernels, loops, doubts, writes)

    def source(self, view: View, arrays: Sequence[Array]) -> Array:
        """Return the array of which something is a view, given the inputs' arrays."""
        memory, source = self.memory, view.source
        if isinstance(source, EagerTensor):
            return source.array
        if source.key in self.made:
            return self.made[source.key]
        if source.key in memory.inputs:
            return arrays[memory.inputs[source.key]]
        return memory.array(source.key, tuple(source.plain_shape), numpy_dtype(source))

    # -- results -------------------------------------------------------------------------------

    def _bind_results(self) -> None:
        """Find out how results are returned; the last ones mostly are the inputs they replace."""
        count, in_place = len(self.plan.outputs), self.plan.in_place
        first = count
        while first - 1 in in_place:
            first -= 1
        self._make = [self._maker(i) for i in range(first)]
        numbers = [in_place[i] for i in range(first, count)]
        self._replaced: Callable[[Sequence[Array]], Sequence[Array]]
        self._replaced = lambda arrays: [arrays[number] for number in numbers]

    def _maker(self, number: int) -> Make:
        plan, memory = self.plan, self.memory
        view = plan.views.of(plan.outputs[number])
        source = view.source
        if number in plan.in_place:
            return operator.itemgetter(plan.in_place[number])
        if isinstance(source, EagerTensor):
            constant = viewed(source.array, view)
            return lambda _: constant
        if source.key in memory.inputs:
            place = memory.inputs[source.key]
            return lambda arrays: viewed(arrays[place], view)
        if memory.is_temporary(source.key):
            shape = tuple(source.plain_shape)
            copy = viewed(memory.array(source.key, shape, numpy_dtype(source)), view).copy
            return lambda _: copy()
        made, key = self.made, source.key
        if view.whole and view.shape == tuple(source.plain_shape):
            return lambda _: made[key]
        return lambda _: viewed(made[key], view)


class _Native:
    """Run a program; tell whether no doubt came up.

    `writes` says whether it writes over inputs, and `over`, if it was set to False before, whether
    it came to its end without a doubt; other parts of a plan do neither.
    """

    def __init__(
        self,
        memory: Memory,
        words: Sequence[int],
        kernels: Sequence[Kernel],
        loops: bool,
        doubts: list[Array],
        writes: bool,
    ) -> None:
        self.writes = writes
        work = sum(kernel.flops + kernel.moved for kernel in kernels)
        self._records = (ctypes.c_int64 * len(words))(*words)
        self._table, self._start = ctypes.addressof(memory.table), ctypes.addressof(self._records)
        self._doubts = doubts
        self._small = work < _WORTH_THREADS // 4 and not loops
        self.tiny = self._small and not doubts
        run, table, start = driver().run_small, self._table, self._start
        self.quickly = functools.partial(run, table, start)
        """Runs the program if it is `tiny`."""
        alone = lambda _: threads.run_alone(table, start)
        self._run = Sharing(table, start).run if work > _WORTH_THREADS else alone

    @property
    def over(self) -> bool:
        return self._records[-3] == 1 and not any(self._doubts)

    @over.setter
    def over(self, value: bool) -> None:
        self._records[-3] = value

    def __call__(self, _: Sequence[Array], turns: int = 1) -> bool:
        for doubt in self._doubts:
            doubt[()] = False
        if self._small:
            self.quickly()
        else:
            self._run(turns)
        return not self._doubts or not any(self._doubts)


class _Asked:
    """Tell whether a doubt that NumPy computed did not come up."""

    writes = over = False

    def __init__(self, executor: Executor, doubt: Any) -> None:
        self._executor, self._view = executor, full(doubt)

    def __call__(self, arrays: Sequence[Array]) -> bool:
        return not self._executor.source(self._view, arrays).any()


class _Called:
    """Do one node in NumPy."""

    writes = over = False

    def __init__(self, executor: Executor, node: Node) -> None:
        self._executor, self._node = executor, node
        self._views = [executor.plan.views.of(x) for x in node.inputs]

    def __call__(self, given: Sequence[Array]) -> bool:
        node, executor = self._node, self._executor
        arrays = [viewed(self._executor.source(view, given), view) for view in self._views]
        result = state.quietly(node.op.forward, *arrays, **node.params)
        results = result if node.op.multiple else (result,)
        for output, array in zip(node.outputs, results, strict=True):
            array = np.ascontiguousarray(array).reshape(tuple(output.plain_shape))
            if array.base is not None:  # it may be a view of what will be overwritten
                array = array.copy()
            executor.made[output.key] = array
            slot = executor.memory.slots.get(executor.memory.root(output.key))
            if slot is not None:
                executor.memory.table[slot] = address(array)
        return True


def _independent(actions: Sequence["Native"], number: int) -> bool:
    """Tell whether the next step may begin while other threads are still at this one."""
    pair = actions[number : number + 2]
    return len(pair) == 2 and all(isinstance(a, Step) and a.kernel.grain == 0 for a in pair)
