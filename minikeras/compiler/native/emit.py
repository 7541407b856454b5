"""Write LLVM IR: the text of one kernel, with loops, vectors and masks as Python constructs.

A kernel is `void (ptr buffers, ptr record, i64 begin, i64 end)`. It does the units of work from
`begin` up to below `end`. The record holds, after `HEADER` words, the numbers of its operands in
the table `buffers`, and then its parameters: lengths that are not part of the code, so that one
kernel serves batches of every size.
"""

import contextlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minikeras.compiler.native.records import HEADER

_TYPES = {
    "float32": "float", "float64": "double", "bool": "i1", "ptr": "ptr",
    **{f"{sign}int{bits}": f"i{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
_COMPARE = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}


class Value(NamedTuple):
    """A number, or a vector of `lanes` of them, in a register; `kind` is a dtype's name or ptr."""

    name: str
    kind: str
    lanes: int = 1

    @property
    def type(self) -> str:
        """The LLVM type."""
        return vector_type(_TYPES[self.kind], self.lanes)

    @property
    def floating(self) -> bool:
        """Whether it is a floating-point number."""
        return self.kind.startswith("float")

    @property
    def signed(self) -> bool:
        """Whether it is a signed integer."""
        return self.kind.startswith("int")

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


Index = Value | int
"""An i64; Python's numbers are known when the kernel is compiled."""


def vector_type(scalar: str, lanes: int) -> str:
    """Return the type of `lanes` numbers of one LLVM type."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def memory_type(kind: str, lanes: int = 1) -> str:
    """Return the type as which numbers lie in memory: truth values take a byte each."""
    return vector_type("i8" if kind == "bool" else _TYPES[kind], lanes)


def size_of(kind: str) -> int:
    """Return the bytes of one number in memory."""
    return 8 if kind == "ptr" else np.dtype(kind).itemsize


def literal(value: Any, kind: str) -> str:
    """Write a number as LLVM reads it, floats by their bits."""
    if kind == "float32":
        value = float(np.float32(value))
    if kind.startswith("float"):
        return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"
    if kind == "bool":
        return "true" if value else "false"
    return str(int(value))


class Cell:
    """A variable of a kernel: loops may change it."""

    def __init__(self, code: "Code", pointer: Value, kind: str, lanes: int) -> None:
        self._code, self._pointer, self.kind, self.lanes = code, pointer, kind, lanes

    def get(self) -> Value:
        """Return the present value."""
        type = vector_type(_TYPES[self.kind], self.lanes)
        return self._code.op(f"load {type}, ptr {self._pointer.name}", self.kind, self.lanes)

    def set(self, value: Value) -> None:
        """Replace the value."""
        self._code.line(f"store {value}, ptr {self._pointer.name}")


class Code:
    """The text of one kernel as it is written.

    Args:
        operands: how many buffers the kernel reads or writes.
    """

    def __init__(self, operands: int) -> None:
        self.lines: list[str] = []
        self.allocations: list[str] = []
        self.declarations: set[str] = set()
        self.helpers: dict[str, str] = {}
        self._count = 0
        self._block = "entry"
        self._operands = operands
        self.begin = Value("%begin", "int64")
        self.end = Value("%end", "int64")

    # -- text ----------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        """Write one instruction that has no result."""
        self.lines.append(f"  {text}")

    def fresh(self, stem: str = "v") -> str:
        """Return a new name."""
        self._count += 1
        return f"{stem}{self._count}"

    def op(self, text: str, kind: str, lanes: int = 1) -> Value:
        """Write one instruction and return its result."""
        name = "%" + self.fresh()
        self.lines.append(f"  {name} = {text}")
        return Value(name, kind, lanes)

    def label(self, name: str) -> None:
        """Begin a block."""
        self.lines.append(f"{name}:")
        self._block = name

    def finish(self) -> str:
        """Return the module: the kernel's name in it is `@KERNEL`."""
        head = "define void @KERNEL(ptr %buffers, ptr %record, i64 %begin, i64 %end) {\nentry:"
        parts = [*sorted(self.declarations), *self.helpers.values(), head]
        return "\n".join([*parts, *self.allocations, *self.lines, "  ret void\n}\n"])

    # -- operands ------------------------------------------------------------------------------

    def _word(self, number: int) -> Value:
        place = self.op(f"getelementptr i64, ptr %record, i64 {number}", "ptr")
        return self.op(f"load i64, ptr {place.name}", "int64")

    def operand(self, number: int) -> Value:
        """Return the pointer to the first number of an operand."""
        index = self._word(HEADER + number)
        place = self.op(f"getelementptr ptr, ptr %buffers, i64 {index.name}", "ptr")
        return self.op(f"load ptr, ptr {place.name}", "ptr")

    def parameter(self, number: int) -> Value:
        """Return a parameter, an i64."""
        return self._word(HEADER + self._operands + number)

    # -- control -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def loop(self, start: Index, stop: Index, step: int = 1) -> Iterator[Index]:
        """Run what is written in the block for i from `start` up to below `stop`.

        There is no loop where it is known to run once.
        """
        if isinstance(start, int) and isinstance(stop, int) and 0 < stop - start <= step:
            yield start
            return
        index = Value("%" + self.fresh("i"), "int64")
        head, body, end = self.fresh("head"), self.fresh("body"), self.fresh("end")
        before, at, following = self._block, len(self.lines) + 2, "%" + self.fresh("next")
        self.line(f"br label %{head}")
        self.label(head)
        self.lines.append("")  # the phi, once it is known which block comes last
        inside = self.compare("lt", index, stop)
        self.line(f"br i1 {inside.name}, label %{body}, label %{end}")
        self.label(body)
        yield index
        self.line(f"{following} = add i64 {index.name}, {step}")
        self.lines[at] = (
            f"  {index.name} = phi i64 [ {_name(start)}, %{before} ], "
            f"[ {following}, %{self._block} ]"
        )
        self.line(f"br label %{head}")
        self.label(end)

    @contextlib.contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Run what is written in the block if a scalar condition holds."""
        yes, end = self.fresh("then"), self.fresh("end")
        self.line(f"br i1 {condition.name}, label %{yes}, label %{end}")
        self.label(yes)
        yield
        self.line(f"br label %{end}")
        self.label(end)

    def cell(self, kind: str, lanes: int = 1, value: Value | None = None) -> Cell:
        """Make a variable; it becomes a register when the kernel is compiled."""
        name = "%" + self.fresh("cell")
        self.allocations.append(f"  {name} = alloca {vector_type(_TYPES[kind], lanes)}")
        cell = Cell(self, Value(name, "ptr"), kind, lanes)
        if value is not None:
            cell.set(value)
        return cell

    def scratch(self, kind: str, count: int) -> Value:
        """Return a pointer to `count` numbers on the stack of the thread; keep it below 64 KiB."""
        name = "%" + self.fresh("scratch")
        self.allocations.append(f"  {name} = alloca [{count} x {memory_type(kind)}], align 64")
        return Value(name, "ptr")

    # -- numbers -------------------------------------------------------------------------------

    def constant(self, value: Any, kind: str, lanes: int = 1) -> Value:
        """Return a number that is known now."""
        text = literal(value, kind)
        if lanes > 1:
            scalar = _TYPES[kind]
            text = f"<{', '.join(f'{scalar} {text}' for _ in range(lanes))}>"
        return Value(text, kind, lanes)

    def index(self, value: Index) -> Value:
        """Return an index as a value."""
        return value if isinstance(value, Value) else Value(str(value), "int64")

    def splat(self, value: Value, lanes: int) -> Value:
        """Return a vector whose lanes all hold one number."""
        if value.lanes == lanes:
            return value
        scalar, vector = _TYPES[value.kind], vector_type(_TYPES[value.kind], lanes)
        if not value.name.startswith("%"):
            text = ", ".join(f"{scalar} {value.name}" for _ in range(lanes))
            return Value(f"<{text}>", value.kind, lanes)
        first = self.op(f"insertelement {vector} poison, {value}, i32 0", value.kind, lanes)
        zeros = f"<{lanes} x i32> zeroinitializer"
        text = f"shufflevector {first}, {vector} poison, {zeros}"
        return self.op(text, value.kind, lanes)

    def iota(self, lanes: int) -> Value:
        """Return the vector 0, 1, 2…"""
        return Value(f"<{', '.join(f'i64 {i}' for i in range(lanes))}>", "int64", lanes)

    def first_lanes(self, count: Index, lanes: int) -> Value:
        """Return a mask that holds in the first `count` lanes."""
        if isinstance(count, int):
            text = ", ".join(f"i1 {literal(i < count, 'bool')}" for i in range(lanes))
            return Value(f"<{text}>", "bool", lanes)
        return self.compare("lt", self.iota(lanes), self.splat(self.index(count), lanes))

    def lane(self, vector: Value, number: int) -> Value:
        """Return one number of a vector."""
        return self.op(f"extractelement {vector}, i32 {number}", vector.kind)

    def _both(self, a: Value | int, b: Value | int) -> tuple[Value, Value]:
        x, y = self.index(a), self.index(b)
        lanes = max(x.lanes, y.lanes)
        return self.splat(x, lanes), self.splat(y, lanes)

    def _binary(self, names: tuple[str, str, str], a: Any, b: Any) -> Value:
        """Write an instruction by its names for floats, signed and unsigned integers."""
        x, y = self._both(a, b)
        name = names[0] if x.floating else names[1] if x.signed else names[2]
        return self.op(f"{name} {x.type} {x.name}, {y.name}", x.kind, x.lanes)

    def add(self, a: Any, b: Any) -> Any:
        """Return the sum; of indices known now, a Python number."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if _is(a, 0):
            return b
        return a if _is(b, 0) else self._binary(("fadd", "add", "add"), a, b)

    def sub(self, a: Any, b: Any) -> Any:
        """Return the difference."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if _is(b, 0) else self._binary(("fsub", "sub", "sub"), a, b)

    def mul(self, a: Any, b: Any) -> Any:
        """Return the product."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if _is(a, 0) or _is(b, 0):
            return 0
        if _is(a, 1):
            return b
        return a if _is(b, 1) else self._binary(("fmul", "mul", "mul"), a, b)

    def div(self, a: Any, b: Any) -> Any:
        """Return the quotient, of integers cut towards 0."""
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        return a if _is(b, 1) else self._binary(("fdiv", "sdiv", "udiv"), a, b)

    def rem(self, a: Any, b: Any) -> Any:
        """Return the remainder, of the sign of `a`."""
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        return 0 if _is(b, 1) else self._binary(("frem", "srem", "urem"), a, b)

    def least(self, a: Any, b: Any) -> Any:
        """Return the smaller of two indices."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.select(self.compare("lt", a, b), *self._both(a, b))

    def negative(self, a: Value) -> Value:
        """Return -a."""
        if a.floating:
            return self.op(f"fneg {a}", a.kind, a.lanes)
        return self._binary(("", "sub", "sub"), self.constant(0, a.kind, a.lanes), a)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """Return a * b + c, rounded once."""
        return self.intrinsic("llvm.fma", a, b, c)

    def bitwise(self, name: str, a: Value, b: Value) -> Value:
        """Apply `and`, `or`, `xor`, `shl`, `lshr` or `ashr` to integers or truth values."""
        return self._binary((name, name, name), a, b)

    def compare(self, how: str, a: Any, b: Any) -> Value:
        """Compare by `eq`, `ne`, `lt`, `le`, `gt` or `ge`; with NaN only `ne` holds."""
        x, y = self._both(a, b)
        if x.floating:
            name = "fcmp " + ("une" if how == "ne" else "o" + _COMPARE[how])
        else:
            sign = "" if how in ("eq", "ne") else "s" if x.signed else "u"
            name = f"icmp {sign}{_COMPARE[how]}"
        return self.op(f"{name} {x.type} {x.name}, {y.name}", "bool", x.lanes)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """Return `a` where the condition holds, else `b`."""
        lanes = max(condition.lanes, a.lanes, b.lanes)
        condition, a, b = (self.splat(x, lanes) for x in (condition, a, b))
        return self.op(f"select {condition}, {a}, {b}", a.kind, lanes)

    def convert(self, a: Value, kind: str) -> Value:
        """Return `a` as another kind, as C converts; NaN and what does not fit become anything."""
        if a.kind == kind:
            return a
        target = vector_type(_TYPES[kind], a.lanes)
        if kind == "bool":
            return self.compare("ne", a, self.constant(0, a.kind, a.lanes))
        to_float, bits = kind.startswith("float"), size_of(kind) - size_of(a.kind)
        if a.floating and to_float:
            name = "fpext" if bits > 0 else "fptrunc"
        elif a.floating:
            name = "fptosi" if kind.startswith("int") else "fptoui"
        elif to_float:
            name = "sitofp" if a.signed else "uitofp"
        elif a.kind != "bool" and bits <= 0:
            return (
                self.op(f"trunc {a} to {target}", kind, a.lanes) if bits else a._replace(kind=kind)
            )
        else:
            name = "sext" if a.signed else "zext"
        return self.op(f"{name} {a} to {target}", kind, a.lanes)

    def bits(self, a: Value, kind: str) -> Value:
        """Return the same bits as another kind of the same size."""
        target = vector_type(_TYPES[kind], a.lanes)
        if target == a.type:
            return a._replace(kind=kind)
        return self.op(f"bitcast {a} to {target}", kind, a.lanes)

    def intrinsic(self, name: str, *arguments: Value, kind: str | None = None) -> Value:
        """Call an LLVM intrinsic that is overloaded on the type of its first argument."""
        first = arguments[0]
        full = f"{name}.{mangled(first)}"
        result = Value("", kind or first.kind, first.lanes)
        types = ", ".join(each.type for each in arguments)
        self.declarations.add(f"declare {result.type} @{full}({types})")
        given = ", ".join(map(str, arguments))
        return self.op(f"call {result.type} @{full}({given})", result.kind, result.lanes)

    def halves(self, vector: Value) -> tuple[Value, Value]:
        """Return the lower and the upper half of a vector."""
        half = vector.lanes // 2
        return self._part(vector, 0, half), self._part(vector, half, half)

    def reduce(self, name: str, vector: Value) -> Value:
        """Combine the lanes of a vector by halves; `name` is that of a method of two values."""
        while vector.lanes > 1:
            vector = getattr(self, name)(*self.halves(vector))
        return vector

    def _part(self, vector: Value, start: int, count: int) -> Value:
        if count == 1:
            return self.lane(vector, start)
        return self.shuffle(vector, vector, range(start, start + count))

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Return the chosen lanes of two vectors, counted through."""
        chosen = ", ".join(f"i32 {lane}" for lane in lanes)
        text = f"shufflevector {a}, {b}, <{len(lanes)} x i32> <{chosen}>"
        return self.op(text, a.kind, len(lanes))

    # -- memory --------------------------------------------------------------------------------

    def at(self, pointer: Value, index: Index, kind: str) -> Value:
        """Return the pointer `index` numbers further on."""
        if _is(index, 0):
            return pointer
        type = memory_type(kind)
        return self.op(f"getelementptr {type}, ptr {pointer.name}, i64 {_name(index)}", "ptr")

    def load(
        self, pointer: Value, index: Index, kind: str, lanes: int = 1, mask: Value | None = None
    ) -> Value:
        """Load numbers that lie side by side; those that `mask` leaves out are 0."""
        place, type = self.at(pointer, index, kind), memory_type(kind, lanes)
        align = size_of(kind)
        stored = "uint8" if kind == "bool" else kind
        if mask is None:
            value = self.op(f"load {type}, ptr {place.name}, align {align}", stored, lanes)
        else:
            name = f"llvm.masked.load.{mangled(Value('', stored, lanes))}.p0"
            self.declarations.add(
                f"declare {type} @{name}(ptr, i32 immarg, <{lanes} x i1>, {type})"
            )
            value = self.op(
                f"call {type} @{name}(ptr {place.name}, i32 {align}, {mask}, "
                f"{type} zeroinitializer)",
                stored,
                lanes,
            )
        return self.convert(value, "bool") if kind == "bool" else value

    def store(self, value: Value, pointer: Value, index: Index, mask: Value | None = None) -> None:
        """Store numbers side by side, but for those that `mask` leaves out."""
        place, align = self.at(pointer, index, value.kind), size_of(value.kind)
        if value.kind == "bool":
            value = self.convert(value, "uint8")
        if mask is None:
            self.line(f"store {value}, ptr {place.name}, align {align}")
            return
        if mask.name.count("true") == 1:
            # LLVM (22.1, AVX-512) stores 8 bytes for one lane of a vector cut down to narrower
            # integers, and so writes behind it, where another thread's numbers may be.
            one = mask.name.strip("<>").split(", ").index("i1 true")
            place, number = self.at(place, one, value.kind), self.lane(value, one)
            self.line(f"store {number}, ptr {place.name}, align {align}")
            return
        name = f"llvm.masked.store.{mangled(value)}.p0"
        self.declarations.add(
            f"declare void @{name}({value.type}, ptr, i32 immarg, <{value.lanes} x i1>)"
        )
        self.line(f"call void @{name}({value}, ptr {place.name}, i32 {align}, {mask})")

    def prefetch(self, place: Value) -> None:
        """Ask for the cache line at a place, which is read soon; it need not exist."""
        self.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.line(f"call void @llvm.prefetch.p0({place}, i32 0, i32 2, i32 1)")

    def gather(self, pointer: Value, indices: Value, kind: str, mask: Value | None = None) -> Value:
        """Load the numbers at a vector of indices, one by one."""
        lanes = indices.lanes
        stored = "uint8" if kind == "bool" else kind
        type = memory_type(kind, lanes)
        places = self.op(
            f"getelementptr {memory_type(kind)}, ptr {pointer.name}, {indices}", "ptr", lanes
        )
        name = f"llvm.masked.gather.{mangled(Value('', stored, lanes))}.v{lanes}p0"
        mask = mask or self.constant(True, "bool", lanes)
        self.declarations.add(
            f"declare {type} @{name}(<{lanes} x ptr>, i32 immarg, <{lanes} x i1>, {type})"
        )
        value = self.op(
            f"call {type} @{name}({places}, i32 {size_of(kind)}, {mask}, {type} zeroinitializer)",
            stored,
            lanes,
        )
        return self.convert(value, "bool") if kind == "bool" else value


def mangled(value: Value) -> str:
    """Return the suffix by which intrinsics name a type: v8f32."""
    scalar = _TYPES[value.kind].replace("float", "f32").replace("double", "f64")
    return scalar if value.lanes == 1 else f"v{value.lanes}{scalar}"


def _is(value: Any, number: int) -> bool:
    return isinstance(value, int) and value == number


def _name(index: Index) -> str:
    return index.name if isinstance(index, Value) else str(index)


def product(lengths: Sequence[int]) -> int:
    """Return the product of Python numbers."""
    result = 1
    for length in lengths:
        result *= length
    return result
