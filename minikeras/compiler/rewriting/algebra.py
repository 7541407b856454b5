"""Say what computes the same numbers with less work: rewrites of elementwise arithmetic.

For floats a row keeps every bit, NaN, infinities and signed zeros included, unless its comment says
what changes. Not here, because they would change results:

- `x + 0 -> x`: -0 + 0 is 0. `x * 0 -> 0`: of NaN and infinities it is NaN.
- `x ** 0.5 -> sqrt(x)`: they differ at -0 and -inf. `sqrt(x ** 2) -> abs(x)`: squares overflow.
- `g * cast(y > 0) -> where(y > 0, g, 0)`: 0 * inf is NaN, and 0 * -1 is -0.
- `-(x - y) -> y - x`: the zero of equal x and y changes its sign.
- `x / c -> x * (1 / c)` for a c that is no power of two, `(x + c) + d -> x + (c + d)`: rounding.
- `log(1 + exp(x)) -> softplus(x)`: where exp overflows the one is inf.

Integers wrap around, so that sums and products of them may be taken in any order.
"""

from typing import Any

import numpy as np

from minikeras.compiler.rewriting.pattern import P, Table, variables
from minikeras.core.basic import numpy_dtype

x, y, z = variables("x y z")
f = variables("f", "f")[0]
i, j = variables("i j", "iu")
signed = variables("x", "fi")[0]
p = variables("p", "b")[0]
c, d, e = variables("c d e", constant=True)


def _is_power_of_two(c: Any) -> bool:
    """Tell whether a factor c, and the divisor c, only shift the exponent, without rounding."""
    fraction, exponent = np.frexp(c.array)
    limits = np.finfo(c.array.dtype)
    normal = (exponent > limits.minexp + 2) & (exponent < limits.maxexp)
    return bool(((np.abs(fraction) == 0.5) & normal).all())


def _times_reciprocal(f: Any, c: Any) -> Any:
    return f * (1 / c) if _is_power_of_two(c) else None


def _scaled_once(f: Any, c: Any, d: Any) -> Any:
    first, second = np.abs(c.array), np.abs(d.array)
    if not (_is_power_of_two(c) and _is_power_of_two(d) and _is_power_of_two(both := c * d)):
        return None
    # 2 ** 100 * x may be infinite where 2 ** 99 * x is not.
    return None if (first > 1).any() and (second < 1).any() else f * both


def _negative_like(out: Any, negated: Any, result: Any) -> Any:
    """Return `-result` unless that takes more elements to negate."""
    return -result if negated.plain_shape == out.plain_shape else None


ARITHMETIC: Table = [
    # ---- neutral elements
    (x * 1, lambda x: x),  # x * 1 -> x
    (x / 1, lambda x: x),  # x / 1 -> x
    (x - 0, lambda x: x),  # x - 0 -> x
    (x + -0.0, lambda x: x),  # x + -0 -> x, which is i + 0 -> i
    (i * 0, lambda: 0),  # i * 0 -> 0
    (i - i, lambda: 0),  # i - i -> 0
    # ---- powers
    (x**1, lambda x: x),  # x ** 1 -> x
    (x**0, lambda: 1),  # x ** 0 -> 1, of NaN too
    (x**2, lambda x: P.square(x)),  # x ** 2 -> square(x)
    (x**3, lambda x: x * P.square(x)),  # x ** 3 -> x * square(x): rounded twice
    (f**-1, lambda f: P.reciprocal(f)),  # x ** -1 -> 1 / x
    (x * x, lambda x: P.square(x)),  # x * x -> square(x)
    # ---- signs
    (P.negative(-x), lambda x: x),  # --x -> x
    (abs(abs(x)), lambda x: P.absolute(x)),  # ||x|| -> |x|
    (abs(-signed), lambda x: P.absolute(x)),  # |-x| -> |x|
    (P.square(-x), lambda x: P.square(x)),  # (-x) ** 2 -> x ** 2
    (P.square(abs(x)), lambda x: P.square(x)),  # |x| ** 2 -> x ** 2
    (x * -1, lambda x: -x),  # x * -1 -> -x
    (x / -1, lambda x: -x),  # x / -1 -> -x
    (-0.0 - x, lambda x: -x),  # -0 - x -> -x
    (x + -y, lambda x, y: x - y),  # x + -y -> x - y
    (x - -y, lambda x, y: x + y),  # x - -y -> x + y
    (-x * -y, lambda x, y: x * y),  # -x * -y -> x * y
    (-x / -y, lambda x, y: x / y),  # -x / -y -> x / y
    (-x * c, lambda x, c: x * -c),  # -x * c -> x * -c
    (-x / c, lambda x, c: x / -c),  # -x / c -> x / -c
    (-(x * c), lambda x, c: x * -c),  # -(x * c) -> x * -c
    (-(x / c), lambda x, c: x / -c),  # -(x / c) -> x / -c
    (-(i - j), lambda i, j: j - i),  # -(i - j) -> j - i
    # ---- signs move towards the result, where x + -y -> x - y takes them in
    (-x * y, lambda x, y, out: _negative_like(out, x, x * y)),  # -x * y -> -(x * y)
    (-x / y, lambda x, y, out: _negative_like(out, x, x / y)),  # -x / y -> -(x / y)
    (x / -y, lambda x, y, out: _negative_like(out, y, x / y)),  # x / -y -> -(x / y)
    # ---- constants together
    ((i + c) + d, lambda i, c, d: i + (c + d)),  # (i + c) + d -> i + (c + d)
    ((i - c) + d, lambda i, c, d: i + (d - c)),  # (i - c) + d -> i + (d - c)
    ((i + c) - d, lambda i, c, d: i + (c - d)),  # (i + c) - d -> i + (c - d)
    ((i * c) * d, lambda i, c, d: i * (c * d)),  # (i * c) * d -> i * (c * d)
    (f / c, _times_reciprocal),  # x / 2**k -> x * 2**-k
    ((f * c) * d, _scaled_once),  # x * 2**k * 2**n -> x * 2**(k+n): keeps more of denormals
    (  # x divided, or 0, by a c without zeros -> x / c
        P.divide_no_nan(x, c),
        lambda x, c: x / c if c.array.all() else None,
    ),
]

# ---- bounds and choices --------------------------------------------------------------------------

_NEVER_NEGATIVE = (
    P.relu, P.relu6, P.absolute, P.square, P.exp, P.sigmoid, P.softplus, P.softmax,
)  # fmt: skip


def _clipped_already(inner: Any, c: Any, d: Any, e: Any) -> Any:
    return inner[-1] if (e.array <= c.array).all() and (e.array <= d.array).all() else None


def _clipped_already_above(inner: Any, c: Any, d: Any, e: Any) -> Any:
    return inner[-1] if (e.array >= c.array).all() and (e.array >= d.array).all() else None


BOUNDS: Table = [
    (P.maximum(x, x), lambda x: x),  # max(x, x) -> x
    (P.minimum(x, x), lambda x: x),  # min(x, x) -> x
    (  # max(max(x, c), d) -> max(x, max(c, d))
        P.maximum(P.maximum(x, c), d),
        lambda x, c, d: P.maximum(x, P.maximum(c, d)),
    ),
    (  # min(min(x, c), d) -> min(x, min(c, d))
        P.minimum(P.minimum(x, c), d),
        lambda x, c, d: P.minimum(x, P.minimum(c, d)),
    ),
    # max(min(max(x, c), d), e) -> min(max(x, c), d) if e <= c and e <= d
    (P.maximum(P.minimum(P.maximum(x, c), d), e), _clipped_already),
    # min(max(min(x, c), d), e) -> max(min(x, c), d) if e >= c and e >= d
    (P.minimum(P.maximum(P.minimum(x, c), d), e), _clipped_already_above),
    # relu(f(x)) -> f(x) if f is never negative
    *((P.relu(never(x)), lambda inner: inner[0]) for never in _NEVER_NEGATIVE),
]

CHOICES: Table = [
    (P.where(p, x, x), lambda x: x),  # where(p, x, x) -> x
    (P.where(True, x, y), lambda x: x),  # where(true, x, y) -> x
    (P.where(False, x, y), lambda y: y),  # where(false, x, y) -> y
    (P.where(~p, x, y), lambda p, x, y: P.where(p, y, x)),  # where(not p, x, y) -> where(p, y, x)
    (  # where(p, where(p, x, y), z) -> where(p, x, z)
        P.where(p, P.where(p, x, y), z),
        lambda p, x, z: P.where(p, x, z),
    ),
    (  # where(p, x, where(p, y, z)) -> where(p, x, z)
        P.where(p, x, P.where(p, y, z)),
        lambda p, x, z: P.where(p, x, z),
    ),
    (P.where(p, 1, 0), lambda p, out: P.cast(p, dtype=out._dtype)),  # where(p, 1, 0) -> cast(p)
    (P.where(p, 0, 1), lambda p, out: P.cast(~p, dtype=out._dtype)),  # where(p, 0, 1) -> cast(!p)
    (p & True, lambda p: p),  # p and true -> p
    (p & False, lambda: False),  # p and false -> false
    (p | False, lambda p: p),  # p or false -> p
    (p | True, lambda: True),  # p or true -> true
    (p & p, lambda p: p),  # p and p -> p
    (p | p, lambda p: p),  # p or p -> p
    (p ^ False, lambda p: p),  # p xor false -> p
    (p ^ True, lambda p: ~p),  # p xor true -> not p
    (~~p, lambda p: p),  # not not p -> p
    (~P.equal(x, y), lambda x, y: P.not_equal(x, y)),  # not x == y -> x != y, NaN included
    (~P.not_equal(x, y), lambda x, y: P.equal(x, y)),  # not x != y -> x == y
    (~P.less(i, j), lambda i, j: P.greater_equal(i, j)),  # not i < j -> i >= j: not of NaN
    (~P.less_equal(i, j), lambda i, j: P.greater(i, j)),  # not i <= j -> i > j
    (~P.greater(i, j), lambda i, j: P.less_equal(i, j)),  # not i > j -> i <= j
    (~P.greater_equal(i, j), lambda i, j: P.less(i, j)),  # not i >= j -> i < j
    (P.not_equal(P.cast(p), 0), lambda p: p),  # cast(p) != 0 -> p
    (P.greater(P.cast(p), 0), lambda p: p),  # cast(p) > 0 -> p
]

# ---- dtypes, and functions of functions ----------------------------------------------------------


def _widens(narrow: np.dtype[Any], wide: np.dtype[Any]) -> bool:
    """Tell whether `wide` holds every number of `narrow`; NumPy lets float64 hold int64."""
    rounds = narrow.kind in "iu" and narrow.itemsize == 8 and wide.kind == "f"
    return np.can_cast(narrow, wide) and not rounds


def _cast_once(inner: Any, x: Any, dtype: Any) -> Any:
    return P.cast(x, dtype=dtype) if _widens(numpy_dtype(x), inner[0]._dtype) else None


def _over_inner_axis(op: Any) -> Any:
    return lambda inner, x: op(x, **inner[0].node.params)


FUNCTIONS: Table = [
    (P.cast(x), lambda x, dtype: x if numpy_dtype(x) == dtype else None),  # to its own dtype -> x
    (P.cast(P.cast(x)), _cast_once),  # cast(cast(x, wider), dtype) -> cast(x, dtype)
    (P.identity(x), lambda x: x),  # identity(x) -> x
    (P.stop_gradient(x), lambda x: x),  # gradients have been taken: stop_gradient(x) -> x
    (P.dropout(x, y), lambda x, rate: None if rate else x),  # dropout at rate 0 -> x
    # log(softmax(x)) -> log_softmax(x): fewer digits lost, finite where softmax rounds to 0
    (P.log(P.softmax(x)), _over_inner_axis(P.log_softmax)),
]
FUNCTIONS_ALONE: Table = [
    # exp(log_softmax(x)) -> softmax(x): rounding
    (P.exp(P.log_softmax(x)), _over_inner_axis(P.softmax)),
]
