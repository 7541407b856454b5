"""Run single ops of eager programs natively where that is faster than NumPy.

Native code runs on all threads and, for convolutions and pooling, without copies of patches. What
it costs to call it is as much as NumPy needs for some thousand numbers, so small arrays stay with
NumPy, as do kinds of arrays that come up only once or twice.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from minikeras.compiler.native import llvm
from minikeras.compiler.planning.actions import Call
from minikeras.compiler.planning.build import Native
from minikeras.compiler.tracing.trace import trace
from minikeras.core.basic import add, cast, sum_to
from minikeras.core.context import eagerly
from minikeras.core.dispatch import Primitive
from minikeras.core.tensor import Array
from minikeras.ops.activations import _log_softmax, _softmax, relu, sigmoid
from minikeras.ops.convolution import _conv, _conv_input_gradient, _conv_kernel_gradient
from minikeras.ops.elementwise import (
    _where,
    divide,
    exp,
    greater,
    maximum,
    multiply,
    subtract,
    tanh,
)
from minikeras.ops.pooling import (
    _average_pool,
    _average_pool_gradient,
    _find_first_maximum,
    _max_pool,
    _put_position,
    _take_position,
)
from minikeras.ops.random import dropout
from minikeras.ops.reduction import _sum

# Bytes of the first array from which on native code pays: where NumPy makes many passes, and
# where it makes one, on one thread, which only costs more than waking another for large arrays.
_MANY_PASSES = 1 << 16
_ONE_PASS = 1 << 20
_MANY = (
    *(_conv, _conv_input_gradient, _conv_kernel_gradient, dropout, _softmax, _log_softmax, _where),
    *(_max_pool, _find_first_maximum, _put_position, _take_position),
    *(_average_pool, _average_pool_gradient),
)
_ONE = (
    *(add, subtract, multiply, divide, greater, maximum, cast, sum_to, _sum),
    *(relu, sigmoid, tanh, exp),
)

_AFTER = 3  # calls of a kind; those before it run in NumPy
_MOST_KINDS = 256  # that are remembered, of all ops together
_MOST_BYTES = 1 << 26  # that the temporary arrays of a kind may hold on to

_kinds: "OrderedDict[Any, int | Native | None]" = OrderedDict()
"""By op, shapes, dtypes and params: calls so far, then native code, or None where there is none."""
_changing = threading.Lock()


class Single:
    """The native ways to do one op.

    Args:
        op: which one.
    """

    def __init__(self, op: Primitive) -> None:
        self._op = op

    def __call__(self, arrays: Sequence[Array], params: dict[str, Any]) -> Any:
        """Return the op's result in a fresh array; None if NumPy is to do it."""
        key = (self._op, *[(a.shape, a.dtype) for a in arrays], *params.items())
        found: Any = _kinds.get(key, 0)
        if type(found) is int:
            found = self._counted(key, found + 1, arrays, params)
        if found is None:
            return None
        return found(arrays)[0]

    def _counted(self, key: Any, count: int, arrays: Sequence[Array], params: Any) -> Any:
        """Take note of a call, and return native code if it is time."""
        found = self._compiled(arrays, params) if count >= _AFTER else None
        with _changing:
            _kinds[key] = count if count < _AFTER else found
            _kinds.move_to_end(key)
            if len(_kinds) > _MOST_KINDS:
                _kinds.popitem(last=False)
        return found

    def _compiled(self, arrays: Sequence[Array], params: dict[str, Any]) -> Native | None:
        if not llvm.available():
            return None
        try:
            with eagerly():
                graph = trace(lambda *tensors: self._op(*tensors, **params), arrays)
            native = Native(graph, ())
        except Exception:  # noqa: BLE001 - NumPy raises what there is to raise
            return None
        whole = not any(isinstance(action, Call) for action in native.plan.actions)
        return native if whole and native.memory.arena_bytes <= _MOST_BYTES else None


for _least, _ops in ((_MANY_PASSES, _MANY), (_ONE_PASS, _ONE)):
    for _op in _ops:
        _op.native, _op.native_from = Single(_op), _least
