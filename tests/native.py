"""Run single kernels of the compiler on NumPy arrays."""

import ctypes
import math

import numpy as np

from minikeras.compiler.native import llvm
from minikeras.compiler.native.emit import Code
from minikeras.compiler.native.program import Kernel
from minikeras.compiler.native.records import HEADER

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def run(steps, shares=1, **arrays):
    """Run steps one after the other; cut the units of each into as many shares, the last first."""
    for kernel, names, *_ in steps:
        (address,) = llvm.addresses([kernel.text])
        buffers = np.array([arrays[name].ctypes.data for name in names], np.int64)
        operands = [*range(len(names)), *kernel.parameters]
        head = [address, kernel.units, kernel.grain, 0, HEADER + len(operands)]
        record = np.array([*head, *operands], np.int64)
        grain = kernel.grain or kernel.units
        grains = math.ceil(kernel.units / max(1, grain))
        share = math.ceil(grains / shares) * grain
        for begin in reversed(range(0, kernel.units, max(1, share))):
            end = min(begin + share, kernel.units)
            _FUNCTION(address)(buffers.ctypes.data, record.ctypes.data, begin, end)


def spoiled(shape, dtype):
    """Return an array that holds nothing that a kernel could have meant."""
    out = np.empty(shape, dtype)
    out.reshape(-1).view(np.uint8)[...] = 0x77
    return out


def compute(tasks, lanes):
    """Return the results of rules that write elementwise code, on vectors of so many lanes.

    A task is `(rule, inputs, kind of the result)`; `rule(code, *values, index=)` returns a value.
    Two uint32 beside longer inputs are a random state, of which a rule is given the address.
    """
    results = []
    for rule, inputs, kind in tasks:
        length = max(x.size for x in inputs)
        out = np.full(length + 7, 0x55, np.uint8).astype(kind)
        before = out[length:].tobytes()
        arrays = {str(i): np.ascontiguousarray(x) for i, x in enumerate(inputs)} | {"out": out}
        kernel = Kernel("rule", _elementwise(rule, inputs, lanes), length, 0)
        run([(kernel, tuple(arrays))], **arrays)
        assert out[length:].tobytes() == before, "written beyond the end"
        results.append(out[:length])
    return results


def _elementwise(rule, inputs, lanes):
    code = Code(len(inputs) + 1)
    pointers = [code.operand(i) for i in range(len(inputs) + 1)]
    is_state = [x.size == 2 and x.dtype == np.uint32 for x in inputs]

    def write(index, mask):
        values = [
            pointer if state else code.load(pointer, index, x.dtype.name, lanes, mask)
            for pointer, x, state in zip(pointers, inputs, is_state, strict=False)
        ]
        code.store(rule(code, *values, index=index), pointers[-1], index, mask)

    left = code.rem(code.end, lanes)
    whole = code.sub(code.end, left)
    with code.loop(0, whole, lanes) as index:
        write(index, None)
    if lanes > 1:
        with code.when(code.compare("gt", left, 0)):
            write(whole, code.first_lanes(left, lanes))
    return code.finish()


def ulps(found, exact):
    """Return by how many units in the last place float32 numbers differ from exact ones."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        same = (found == rounded) | (np.isnan(found) & np.isnan(rounded))
        unit = np.spacing(np.abs(rounded)).astype(np.float64)
        return np.where(same & ~np.isfinite(rounded), 0, np.abs(found - exact) / unit)
