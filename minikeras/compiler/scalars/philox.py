"""Draw random words in kernels: Philox4x64-10, the stream that `minikeras.ops.random` describes."""

from typing import Any

from minikeras.compiler.native.emit import Code, Index, Value
from minikeras.compiler.scalars.formula import Number, where

# Salmon et al. 2011, doi:10.1145/2063384.2063405: multipliers, and steps of the key.
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_ROUNDS = 10
_NAME = "philox_block"


def _block_function() -> str:
    """Write the function from a key and the number of a block to its four words.

    A product of 64 by 64 bits takes one instruction in scalar registers, a dozen in vectors.
    """
    lines = ["  %x0.0 = add i64 %block, 1"]
    x = ["%x0.0", "0", "0", "0"]
    for step in range(_ROUNDS):
        products = []
        for i in (0, 1):
            name = f"%round{step}.{i}"
            lines += [
                f"  {name}.wide = zext i64 {x[2 * i]} to i128",
                f"  {name}.product = mul i128 {name}.wide, {_MULTIPLIERS[i]}",
                f"  {name}.shifted = lshr i128 {name}.product, 64",
                f"  {name}.high = trunc i128 {name}.shifted to i64",
                f"  {name}.low = trunc i128 {name}.product to i64",
                f"  {name}.key = add i64 %key{i}, {step * _STEPS[i] % 2**64}",
            ]
            products.append(name)
        for i in (0, 1):
            lines += [
                f"  %round{step}.{i}.mixed = xor i64 {products[1 - i]}.high, {x[2 * i + 1]}",
                f"  %round{step}.{i}.out = xor i64 %round{step}.{i}.mixed, %round{step}.{i}.key",
            ]
        x = [
            f"%round{step}.0.out",
            f"%round{step}.1.low",
            f"%round{step}.1.out",
            f"%round{step}.0.low",
        ]
    vector = "poison"
    for i, word in enumerate(x):
        lines.append(f"  %words{i} = insertelement <4 x i64> {vector}, i64 {word}, i32 {i}")
        vector = f"%words{i}"
    head = f"define internal <4 x i64> @{_NAME}(i64 %key0, i64 %key1, i64 %block) alwaysinline {{"
    return "\n".join([head, *lines, f"  ret <4 x i64> {vector}\n}}\n"])


def _block(code: Code, key: tuple[Value, Value], number: Value) -> Value:
    code.helpers[_NAME] = _block_function()
    return code.op(f"call <4 x i64> @{_NAME}({key[0]}, {key[1]}, {number})", "uint64", 4)


def _joined(code: Code, parts: list[Value]) -> Value:
    """Put vectors of equal length side by side; their number is a power of two."""
    while len(parts) > 1:
        order = range(2 * parts[0].lanes)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        parts = [code.shuffle(a, b, order) for a, b in pairs]
    return parts[0]


def _words(
    code: Code, key: tuple[Value, Value], index: Index, lanes: int, kind: str, *, aligned: bool
) -> Value:
    """Return the words from number `index` on, as uint32 or uint64, for `lanes` elements."""
    each = 8 if kind == "uint32" else 4
    index = code.index(index)
    first = code.bitwise("lshr", index, code.index(each.bit_length() - 1))
    inside = code.bitwise("and", index, code.index(each - 1))
    if not aligned and lanes > 1:
        count = (lanes + each - 2) // each + 1
        place = code.scratch(kind, count * each)
        for i in range(count):
            words = _halved(code, _block(code, key, code.add(first, i)), kind)
            code.store(words, place, i * each)
        return code.load(place, inside, kind, lanes)
    blocks = [_block(code, key, code.add(first, i)) for i in range(max(1, lanes // each))]
    words = _halved(code, _joined(code, blocks), kind)
    if lanes >= each:
        return words
    place = code.scratch(kind, each)
    code.store(words, place, 0)
    return code.load(place, inside, kind, lanes)


def _halved(code: Code, words: Value, kind: str) -> Value:
    """Return uint64 words as those of a kind: of each 64 bits the low half comes first."""
    if kind == "uint64":
        return words
    halves = Value("", kind, 2 * words.lanes)
    return code.op(f"bitcast {words} to {halves.type}", kind, halves.lanes)


def words32(
    code: Code, key: tuple[Value, Value], index: Index, lanes: int, *, aligned: bool = True
) -> Value:
    """Return the uint32 words of `lanes` elements, the first of them number `index`.

    Args:
        key: seed and draw, as i64.
        aligned: whether `index` is a multiple of 8, or of `lanes` if those are fewer; else a
            block more is drawn.
    """
    return _words(code, key, index, lanes, "uint32", aligned=aligned)


def key(code: Code, state: Value) -> tuple[Value, Value]:
    """Load the key that a pointer to `[seed, draw]` means."""
    seed, draw = (code.convert(code.load(state, i, "uint32"), "uint64") for i in (0, 1))
    return seed, draw


def dropout(
    code: Code,
    x: Value,
    state: Value,
    *,
    rate: float,
    index: Index,
    lanes: int,
    aligned: bool = True,
    **_: Any,
) -> Value:
    """Lower `dropout` whose noise has the shape of `x`."""
    words = Number(code, words32(code, key(code, state), index, lanes, aligned=aligned))
    # As NumPy's two products, so that inf and NaN give NaN and -1 gives -0 where dropped.
    number = Number(code, x)
    factor = where(words >= int(rate * 2**32), number.constant(1 / (1 - rate)), 0)
    result: Number = number * factor
    return result.value


def uniform(
    code: Code,
    state: Value,
    *,
    kind: str,
    index: Index,
    lanes: int,
    aligned: bool = True,
    **_: Any,
) -> Value:
    """Lower `random_uniform`: the highest 24 or 53 bits of each word."""
    word, bits = ("uint32", 24) if kind == "float32" else ("uint64", 53)
    found = _words(code, key(code, state), index, lanes, word, aligned=aligned)
    words = Number(code, found)
    signed = (words >> (32 - bits if bits == 24 else 64 - bits)).bits(word[1:])
    result: Number = signed.to(kind) * 2.0**-bits
    return result.value
