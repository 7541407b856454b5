"""Write patterns of a graph in the ops themselves, and match graphs with them.

`P.exp` stands for the primitive `exp`. Called on patterns it makes a pattern, called on tensors it
applies the primitive, so both sides of a rewrite read alike. What a pattern says:

- a `variable` is any tensor, the same one wherever its name stands; it may be asked to be a
  constant, or of some kinds of dtype;
- a number is a constant all of whose elements are that number, -0.0 and 0.0 being two;
- `P.op(...)` is a result of that primitive, whatever its params; commutative ops match both ways.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras.core import basic, gradients
from minikeras.core.dispatch import Node, Primitive
from minikeras.core.tensor import Array, EagerTensor, SymbolicTensor
from minikeras.ops import (
    activations,
    contraction,
    convolution,
    elementwise,
    indexing,
    joining,
    pooling,
    products,
    random,
    reduction,
    shaping,
    statistics,
)

_MODULES = (
    basic, gradients, elementwise, activations, indexing, shaping, joining, reduction, products,
    contraction, convolution, pooling, random, statistics,
)  # fmt: skip
# The others commute in value only: the maximum of 0 and -0 may be either.
COMMUTATIVE = {
    basic.add,
    elementwise.multiply,
    elementwise.equal,
    elementwise.not_equal,
    elementwise.logical_and,
    elementwise.logical_or,
    elementwise.logical_xor,
}

Found = dict[Any, Any]
"""Tensors by the name of the variable, or by the inner pattern, that they match."""


class Pattern:
    """What a tensor may be: the base of variables, numbers and results of ops.

    Python's operators make patterns of the ops that they make on tensors.
    """

    def match(self, tensor: Any, found: Found) -> Found | None:
        """Return `found` with what the variables in this pattern stand for, or None."""
        raise NotImplementedError


class _Variable(Pattern):
    def __init__(self, name: str, kinds: str, constant: bool) -> None:
        self.name = name
        self.kinds = kinds
        self.constant = constant

    def __str__(self) -> str:
        return self.name

    def match(self, tensor: Any, found: Found) -> Found | None:
        known = found.get(self.name)
        if known is not None:
            return found if known.key == tensor.key else None
        if self.constant and type(tensor) is not EagerTensor:
            return None
        if self.kinds and basic.numpy_dtype(tensor).kind not in self.kinds:
            return None
        return {**found, self.name: tensor}


class _Number(Pattern):
    def __init__(self, value: float) -> None:
        self.value = value

    def __str__(self) -> str:
        return str(self.value)

    def match(self, tensor: Any, found: Found) -> Found | None:
        if type(tensor) is not EagerTensor or not tensor.array.size:
            return None
        array = tensor.array
        if array.dtype.kind != "b" and isinstance(self.value, bool):
            return None
        if array.reshape(-1)[0] != self.value or not is_filled(array):
            return None
        if self.value == 0 and array.dtype.kind == "f":
            wrong = np.signbit(array.reshape(-1)[0]) != np.signbit(self.value)
            return None if wrong else found
        return found


class _Result(Pattern):
    def __init__(self, op: Primitive, inputs: Sequence[Any]) -> None:
        self.op = op
        self.inputs = [x if isinstance(x, Pattern) else _Number(x) for x in inputs]
        self.swapped = self.inputs[::-1] if op in COMMUTATIVE else None

    def __str__(self) -> str:
        return f"{self.op.name}({', '.join(map(str, self.inputs))})"

    def match(self, tensor: Any, found: Found) -> Found | None:
        node = tensor.node if type(tensor) is SymbolicTensor else None
        if node is None or node.op is not self.op:
            return None
        after = self.match_node(node, found)
        return None if after is None else {**after, self: tensor}

    def match_node(self, node: Node, found: Found) -> Found | None:
        """Match a node whose op is this one."""
        if len(node.inputs) != len(self.inputs):
            return None
        first = _all_match(self.inputs, node.inputs, found)
        if first is None and self.swapped:
            return _all_match(self.swapped, node.inputs, found)
        return first


def _all_match(patterns: Sequence[Pattern], tensors: Sequence[Any], found: Found) -> Found | None:
    after: Found | None = found
    for pattern, tensor in zip(patterns, tensors, strict=True):
        after = pattern.match(tensor, after)  # type: ignore[arg-type]
        if after is None:
            return None
    return after


def variables(names: str, kinds: str = "", *, constant: bool = False) -> list[Any]:
    """Return a variable for each of the space-separated names.

    Args:
        kinds: of the dtypes that they may have, as in `np.dtype.kind`; all if empty.
        constant: whether they stand for constants only.
    """
    return [_Variable(name, kinds, constant) for name in names.split()]


def is_filled(array: Array) -> bool:
    """Tell whether all elements of an array, of one at least, have the same bits."""
    if array.size == 1:
        return True
    bits = np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}")
    return bool(bits[0] == bits[-1] and (bits == bits[0]).all())


class Op:
    """Stand for a primitive in patterns and in what replaces them."""

    def __init__(self, primitive: Primitive) -> None:
        self.primitive = primitive

    def __call__(self, *inputs: Any, **params: Any) -> Any:
        """Make a pattern if an input is one, else apply the primitive."""
        if any(isinstance(x, Pattern) for x in inputs):
            return _Result(self.primitive, inputs)
        return self.primitive(*inputs, **params)


class _Primitives:
    """Hold the primitives that rewrites name, as attributes."""

    def __init__(self) -> None:
        for module in _MODULES:
            for value in vars(module).values():
                if isinstance(value, Primitive):
                    setattr(self, value.name, Op(value))

    def __getattr__(self, name: str) -> Op:
        raise AttributeError(f"P: expected the name of a primitive, got {name!r}.")


P = _Primitives()


def _operator(name: str, *, swapped: bool = False) -> Callable[..., Any]:
    op = getattr(P, name)
    return lambda *inputs: op(*(inputs[::-1] if swapped else inputs))


for _symbol, _name in {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "pow": "power",
    "and": "logical_and",
    "or": "logical_or",
    "xor": "logical_xor",
}.items():
    setattr(Pattern, f"__{_symbol}__", _operator(_name))
    setattr(Pattern, f"__r{_symbol}__", _operator(_name, swapped=True))
for _symbol, _name in {"neg": "negative", "abs": "absolute", "invert": "logical_not"}.items():
    setattr(Pattern, f"__{_symbol}__", _operator(_name))


class Row:
    """One line of a table: a pattern, or an op for all of its nodes, and what may stand instead.

    The names of the replacement's parameters say what it is passed: a variable's name its tensor,
    `node` the node that matched, `out` that node's first output, `inner` what matched the results
    of ops inside the pattern, the innermost and leftmost first, any other name the node's parameter
    of that name. It returns a tensor, a number, a tuple of tensors for an op of several outputs, or
    None if it does not apply after all.
    """

    def __init__(self, pattern: Any, replacement: Callable[..., Any], *, alone: bool) -> None:
        self.pattern: _Result | None = None if isinstance(pattern, Op) else pattern
        self.op = pattern.primitive if isinstance(pattern, Op) else pattern.op
        self.replacement = replacement
        self.alone = alone
        code = replacement.__code__
        self.needs = code.co_varnames[: code.co_argcount]
        self.text = str(self.pattern or self.op.name)

    def match(self, node: Node) -> Found | None:
        """Return what the variables stand for if `node`, whose op is this row's, matches."""
        return {} if self.pattern is None else self.pattern.match_node(node, {})

    def inner(self, found: Found) -> list[Any]:
        """Return the tensors inside a match, which nothing else may use if `alone`."""
        return [tensor for part, tensor in found.items() if isinstance(part, Pattern)]

    def result(self, node: Node, found: Found) -> Any:
        """Return what may stand for the outputs of `node`, or None."""
        known = {**node.params, **found, "node": node, "out": node.outputs[0]}
        known["inner"] = self.inner(found)
        return self.replacement(*(known[name] for name in self.needs))


Table = Sequence[tuple[Any, Callable[..., Any]]]


def rows_by_op(simplify: Table, alone: Table = ()) -> dict[Any, list[Row]]:
    """Return the rows of two tables by the op of the nodes that they may match."""
    found: dict[Any, list[Row]] = {}
    for table, only_alone in ((simplify, False), (alone, True)):
        for pattern, replacement in table:
            row = Row(pattern, replacement, alone=only_alone)
            found.setdefault(row.op, []).append(row)
    return found
