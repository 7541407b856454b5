"""Say what native work there is: kernels, and the steps that bind them to tensors."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Kernel(NamedTuple):
    """Native code for one piece of a plan, not yet bound to buffers.

    Shares of the work are ranges of units. What a unit computes must not depend on how units are
    shared, so that the bits are the same for every number of threads.
    """

    name: str
    """What it computes, for people: `matmul`, `conv + relu`."""
    text: str
    """The LLVM module that defines `@KERNEL`."""
    units: int
    """How many units of work there are."""
    grain: int
    """Shares begin at multiples of it; 0 if one thread must do all."""
    parameters: tuple[int, ...] = ()
    """What the record holds after the operands."""
    flops: int = 0
    moved: int = 0
    """Bytes read and written."""


class Scratch:
    """Memory between two kernels of one group."""

    def __init__(self, bytes: int) -> None:
        self.bytes = bytes


class Flag(Scratch):
    """A number that is 0 before a run, and that a kernel sets to 1 if NumPy would raise."""

    def __init__(self) -> None:
        super().__init__(8)


class Step(NamedTuple):
    """A kernel and its operands in order: their names until it is bound, then tensors and scratch.

    Names are those of a primitive's arguments, or `in0`, `in1`…, `out`, `scratch0`.
    """

    kernel: Kernel
    operands: Sequence[Any]
    scratch: int = 0
    """Bytes of `scratch0`, if this step fills it."""
