"""Write formulas: values of a kernel with Python's operators."""

from collections.abc import Callable
from typing import Any

from minikeras.compiler.native.emit import Code, Value

Operand = Any
"""A `Number`, or a Python number, which adopts the kind of what it meets."""


class Number:
    """A value of a kernel, of any number of lanes, and the code that is being written.

    Comparisons give truth values. No operator gives more than IEEE says: nothing is reordered,
    and a product and a sum are fused only by `fma`.
    """

    __slots__ = ("code", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, code: Code, value: Value) -> None:
        self.code, self.value = code, value

    @property
    def kind(self) -> str:
        """The name of the dtype."""
        return self.value.kind

    def constant(self, value: Any) -> "Number":
        """Return a number known now, as many lanes of it as this has."""
        return Number(self.code, self.code.constant(value, self.kind, self.value.lanes))

    def adopt(self, other: Operand) -> "Number":
        """Return an operand as a number of this kind."""
        return other if isinstance(other, Number) else self.constant(other)

    def call(self, name: str, *others: Operand) -> "Number":
        """Apply an LLVM intrinsic."""
        values = (self.adopt(other).value for other in others)
        return Number(self.code, self.code.intrinsic(name, self.value, *values))

    def to(self, kind: str) -> "Number":
        """Return the same number as another kind."""
        return Number(self.code, self.code.convert(self.value, kind))

    def bits(self, kind: str) -> "Number":
        """Return the same bits as another kind."""
        return Number(self.code, self.code.bits(self.value, kind))

    def _binary(self, method: Callable[..., Value], other: Operand, *, swap: bool = False) -> Any:
        a, b = self.value, self.adopt(other).value
        return Number(self.code, method(b, a) if swap else method(a, b))

    def _bitwise(self, name: str, other: Operand) -> Any:
        return Number(self.code, self.code.bitwise(name, self.value, self.adopt(other).value))

    def _compare(self, how: str, other: Operand) -> Any:
        return Number(self.code, self.code.compare(how, self.value, self.adopt(other).value))

    def __add__(self, other: Operand) -> Any:
        return self._binary(self.code.add, other)

    __radd__ = __add__

    def __sub__(self, other: Operand) -> Any:
        return self._binary(self.code.sub, other)

    def __rsub__(self, other: Operand) -> Any:
        return self._binary(self.code.sub, other, swap=True)

    def __mul__(self, other: Operand) -> Any:
        return self._binary(self.code.mul, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Operand) -> Any:
        """Divide; integers are cut towards 0."""
        return self._binary(self.code.div, other)

    def __rtruediv__(self, other: Operand) -> Any:
        return self._binary(self.code.div, other, swap=True)

    def __mod__(self, other: Operand) -> Any:
        """Return the remainder of integers; it has the sign of this."""
        return self._binary(self.code.rem, other)

    def __neg__(self) -> Any:
        return Number(self.code, self.code.negative(self.value))

    def __abs__(self) -> Any:
        return self.call("llvm.fabs") if self.value.floating else where(self < 0, -self, self)

    def __and__(self, other: Operand) -> Any:
        return self._bitwise("and", other)

    def __or__(self, other: Operand) -> Any:
        return self._bitwise("or", other)

    def __xor__(self, other: Operand) -> Any:
        return self._bitwise("xor", other)

    def __invert__(self) -> Any:
        return self._bitwise("xor", True)

    def __lshift__(self, other: Operand) -> Any:
        return self._bitwise("shl", other)

    def __rshift__(self, other: Operand) -> Any:
        """Shift right, copies of the sign bit following in signed integers."""
        return self._bitwise("ashr" if self.value.signed else "lshr", other)

    def __lt__(self, other: Operand) -> Any:
        return self._compare("lt", other)

    def __le__(self, other: Operand) -> Any:
        return self._compare("le", other)

    def __gt__(self, other: Operand) -> Any:
        return self._compare("gt", other)

    def __ge__(self, other: Operand) -> Any:
        return self._compare("ge", other)

    def __eq__(self, other: Operand) -> Any:
        return self._compare("eq", other)

    def __ne__(self, other: Operand) -> Any:
        return self._compare("ne", other)


def where(condition: Number, a: Operand, b: Operand) -> Any:
    """Return `a` where the condition holds, else `b`; at least one is a `Number`."""
    a = a if isinstance(a, Number) else b.constant(a)
    code = condition.code
    return Number(code, code.select(condition.value, a.value, a.adopt(b).value))


def fma(a: Number, b: Operand, c: Operand) -> Any:
    """Return a * b + c, rounded once."""
    return a.call("llvm.fma", b, c)


def copysign(size: Number, sign: Number) -> Any:
    """Return `size` with the sign of `sign`."""
    return size.call("llvm.copysign", sign)


def polynomial(x: Number, coefficients: tuple[float, ...]) -> Any:
    """Evaluate by Horner's rule; the constant term comes first."""
    result: Any = x.constant(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result = fma(result, x, coefficient)
    return result


def within(x: Number, low: float, high: float) -> Any:
    """Limit to `[low, high]`; NaN stays NaN."""
    x = where(x < low, low, x)
    return where(x > high, high, x)


def is_nan(x: Number) -> Any:
    """Return whether it is no number: NaN alone differs from itself."""
    return x != x  # noqa: PLR0124


def largest(a: Number, b: Operand) -> Any:
    """Return the larger; NaN if either is, and `b` if they are equal, as NumPy does."""
    b = a.adopt(b)
    found = where(a > b, a, b)
    return where(is_nan(a), a, found) if a.value.floating else found


def smallest(a: Number, b: Operand) -> Any:
    """Return the smaller; NaN if either is, and `b` if they are equal, as NumPy does."""
    b = a.adopt(b)
    found = where(a < b, a, b)
    return where(is_nan(a), a, found) if a.value.floating else found


def any_lane(condition: Number) -> Value:
    """Return whether the condition holds in any lane."""
    code, value = condition.code, condition.value
    if value.lanes == 1:
        return value
    name = f"llvm.vector.reduce.or.v{value.lanes}i1"
    code.declarations.add(f"declare i1 @{name}({value.type})")
    return code.op(f"call i1 @{name}({value})", "bool")


def lane_by_lane(symbol: str, *arguments: Number) -> Any:
    """Call a function of the C library for every lane; it takes and returns arguments' kind."""
    code, first = arguments[0].code, arguments[0].value
    kind, lanes = first.kind, first.lanes
    scalar = Value("", kind).type
    # nonlazybind: through a table of addresses, for which the loader of code plans memory; and
    # nobuiltin, or LLVM makes an operation of it, which calls the function in the other way.
    types = ", ".join([scalar] * len(arguments))
    code.declarations.add(f"declare {scalar} @{symbol}({types}) nonlazybind nobuiltin")

    def call(*values: Value) -> Value:
        return code.op(f"call {scalar} @{symbol}({', '.join(map(str, values))})", kind)

    if lanes == 1:
        return Number(code, call(*(argument.value for argument in arguments)))
    places = [code.scratch(kind, lanes) for _ in arguments]
    for place, argument in zip(places, arguments, strict=True):
        code.store(argument.value, place, 0)
    with code.loop(0, lanes) as lane:
        code.store(call(*(code.load(place, lane, kind) for place in places)), places[0], lane)
    return Number(code, code.load(places[0], 0, kind, lanes))
