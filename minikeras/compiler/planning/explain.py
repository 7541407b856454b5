"""Describe a plan as text: kernels and what they fuse, what NumPy does and why, memory."""

from collections.abc import Sequence

from minikeras.compiler.native.program import Step
from minikeras.compiler.planning.actions import Call, Check, Jump, Mark
from minikeras.compiler.planning.executor import Executor


def explain(executor: Executor, name: str) -> str:
    """Return a table of an executor's actions in order, and the sums below it."""
    plan = executor.plan
    steps = [action for action in plan.actions if isinstance(action, Step)]
    calls = [action for action in plan.actions if isinstance(action, Call)]
    rows = [("", "flops", "bytes", "shares", "what")]
    for number, action in enumerate(plan.actions):
        if isinstance(action, Step):
            kernel = action.kernel
            shares = str(-(-kernel.units // kernel.grain)) if kernel.grain else "1"
            found = (_short(kernel.flops), _short(kernel.moved), shares, kernel.name)
        elif isinstance(action, Check):
            found = ("", "", "", "stop here if an input is not valid: NumPy then says why")
        elif isinstance(action, Mark):
            found = ("", "", "", "jumps end here")
        elif isinstance(action, Jump):
            found = ("", "", "", f"jump if {action.value}")
        else:
            found = ("", "", "", f"NumPy: {action.node.op.name} ({action.reason})")
        rows.append((str(number), *found))
    flops = sum(step.kernel.flops for step in steps)
    moved = sum(step.kernel.moved for step in steps)
    place = executor.memory
    memory = f"{_short(place.arena_bytes)} bytes for {len(place.temporary)} buffers"
    summary = [
        f"{name}: {len(steps)} native kernels, {len(calls)} calls of NumPy",
        f"{_short(flops)} operations, {_short(moved)} bytes read and written",
        f"temporary memory: {memory}; {len(plan.in_place)} results replace an input in place",
    ]
    return "\n".join([*_aligned(rows), *summary])


def _short(number: int) -> str:
    """Write a number with three digits and a unit."""
    value, units = float(number), ["", "k", "M", "G", "T"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.3g}{units[0]}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines
