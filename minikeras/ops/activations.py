"""Compute activations: relu and its relatives, softmax."""

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minikeras.core.basic import floating, total
from minikeras.core.dispatch import Primitive
from minikeras.core.tensor import Array, EagerTensor, as_tensor
from minikeras.ops.define import all_axes, composite, named, one_axis, unary
from minikeras.ops.elementwise import (
    absolute,
    clip,
    exp,
    logical_and,
    minimum,
    sqrt,
    square,
    tanh,
    where,
)
from minikeras.ops.joining import split
from minikeras.ops.reduction import sum
from minikeras.ops.special import erfc

# ---- primitives ----------------------------------------------------------------------------------
#
# Where a rule multiplies by a truth value, that is many times faster than choosing with `where`.


class _Squashing(Primitive):
    """A softmax or sigmoid: what it makes knows its logits, of which crossentropies are computed.

    Probabilities that were rounded to 0 or 1 would have neither the loss nor a gradient.
    """

    def __call__(self, x: Any, **params: Any) -> Any:
        x = x if type(x) is EagerTensor else as_tensor(x)
        y = super().__call__(x, **params)
        if not params or len(params["axis"]) == 1:  # no crossentropy is over several
            y.logits = x
        return y


# exp(-x) may overflow to inf, and 1 / inf is the right 0; unlike tanh, this keeps small results.
sigmoid = unary(
    "sigmoid",
    lambda x: 1 / (1 + np.exp(-x)),
    lambda g, y: g * (y * (1 - y)),
    kind=_Squashing,
)
softplus = unary(
    "softplus",
    lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    lambda g, x: g * sigmoid(x),
    doc="Compute `log(1 + exp(x))` without overflow.",
)
relu = unary(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda g, y: g * (y > 0),
    integers=True,
    doc="Compute `max(x, 0)`; at 0 the gradient is 0.",
)
relu6 = unary(
    "relu6",
    lambda x: np.minimum(np.maximum(x, 0), 6),
    lambda g, y: g * logical_and(y > 0, y < 6),
    integers=True,
    doc="Compute `min(max(x, 0), 6)`; at 0 and 6 the gradient is 0.",
)
_leaky_relu = unary(
    "leaky_relu",
    lambda x, slope: (np.maximum if slope <= 1 else np.minimum)(x, slope * x),
    lambda g, x, slope: where(x > 0, g, slope * g),
)
# x from 0 on, `scale * (exp(x / width) - 1)` below. The slope at 0 is the one from the right (as in
# TensorFlow's selu) or the one from the left (as in its elu).


def _bend(x: Array, scale: float, width: float, **_: Any) -> Array:
    return np.maximum(x, 0) + scale * np.expm1(np.minimum(x, 0) / width)


def _bend_rule(g: Any, x: Any, scale: float, width: float, right: bool) -> Any:
    slope = exp(minimum(x, 0) / width)
    if scale != width:
        slope = where(x >= 0 if right else x > 0, slope, slope * (scale / width))
    return g * slope


_exponential_linear = unary("exponential_linear", _bend, _bend_rule)

# Klambauer et al. 2017, arXiv:1706.02515: the fixed point is mean 0, variance 1.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805

# ---- activations made of other ops ---------------------------------------------------------------


def _activation(name: str, function: Callable[..., Any], doc: str) -> Any:
    """Make a public activation of a function of a floating tensor and options."""

    @functools.wraps(function)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*floating([x]), *args, **kwargs)

    return composite(named(call, name, doc))


leaky_relu = _activation(
    "leaky_relu",
    lambda x, negative_slope=0.2: _leaky_relu(x, slope=float(negative_slope)),
    "Compute x where it is positive, `negative_slope * x` elsewhere.",
)
elu = _activation(
    "elu",
    lambda x, alpha=1.0: _exponential_linear(x, scale=float(alpha), width=1.0, right=False),
    "Compute x from 0 on, `alpha * (exp(x) - 1)` below; at 0 the gradient is `alpha`.",
)
selu = _activation(
    "selu",
    lambda x: _SELU_SCALE * _exponential_linear(x, scale=_SELU_ALPHA, width=1.0, right=True),
    "Compute the scaled exponential linear unit, which keeps mean 0 and variance 1.",
)
celu = _activation(
    "celu",
    lambda x, alpha=1.0: _exponential_linear(x, scale=float(alpha), width=float(alpha), right=True),
    "Compute x from 0 on, `alpha * (exp(x / alpha) - 1)` below; at 0 the gradient is 1.",
)
silu = swish = unary(
    "silu",
    lambda x: x / (1 + np.exp(-x)),
    lambda g, y, x: g * (sigmoid(x) + y * sigmoid(-x)),
    doc="Compute `x * sigmoid(x)`, also called swish.",
)
mish = _activation("mish", lambda x: x * tanh(softplus(x)), "Compute `x * tanh(softplus(x))`.")
log_sigmoid = _activation(
    "log_sigmoid", lambda x: -softplus(-x), "Compute `log(sigmoid(x))` without overflow."
)
softsign = unary(
    "softsign",
    lambda x: x / (1 + np.abs(x)),
    lambda g, x: g / square(1 + absolute(x)),
    doc="Compute `x / (1 + |x|)`.",
)
squareplus = _activation(
    "squareplus",
    lambda x, b=4: (x + sqrt(square(x) + b)) / 2,
    "Compute `(x + sqrt(x**2 + b)) / 2`, a smooth relu without exponentials.",
)
hard_sigmoid = _activation(
    "hard_sigmoid",
    lambda x: relu6(x + 3) / 6,
    "Compute `relu6(x + 3) / 6`, a sigmoid of three straight pieces.",
)
hard_silu = hard_swish = _activation(
    "hard_silu",
    lambda x: x * hard_sigmoid(x),
    "Compute `x * hard_sigmoid(x)`, also called hard swish.",
)
hard_tanh = _activation("hard_tanh", lambda x: clip(x, -1, 1), "Limit x to `[-1, 1]`.")
tanh_shrink = _activation("tanh_shrink", lambda x: x - tanh(x), "Compute `x - tanh(x)`.")
hard_shrink = _activation(
    "hard_shrink",
    lambda x, threshold=0.5: where(absolute(x) > threshold, x, 0),
    "Compute x where `|x| > threshold`, 0 elsewhere.",
)
soft_shrink = _activation(
    "soft_shrink",
    lambda x, threshold=0.5: where(
        x > threshold, x - threshold, where(x < -threshold, x + threshold, 0)
    ),
    "Move x by `threshold` towards 0, at most to 0.",
)
threshold = _activation(
    "threshold",
    lambda x, threshold, default_value: where(x > threshold, x, default_value),
    "Compute x where it is above `threshold`, `default_value` elsewhere.",
)


@composite
def gelu(x: Any, approximate: bool = True) -> Any:
    """Compute `x * P(N(0, 1) < x)`, or its approximation by tanh."""
    (x,) = floating([x])
    if approximate:  # (1 + tanh(z)) / 2 = sigmoid(2z)
        scale = 2 * math.sqrt(2 / math.pi)
        return x * sigmoid(x * (scale + scale * 0.044715 * square(x)))
    return 0.5 * x * erfc(x * -math.sqrt(0.5))


@composite
def glu(x: Any, axis: int = -1) -> Any:
    """Multiply one half of x, along `axis`, by the sigmoid of the other.

    Dauphin et al. 2017, arXiv:1612.08083. Raises `ValueError` for an odd length.
    """
    (x,) = floating([x])
    axis = one_axis(axis, x.ndim, "glu")
    if x.shape[axis] % 2:
        raise ValueError(
            f"glu: expected an even length to cut in half along axis {axis}, got shape "
            f"{tuple(x.shape)}."
        )
    value, gate = split(x, 2, axis)
    return value * sigmoid(gate)


# ---- softmax -------------------------------------------------------------------------------------


def _below_maximum(x: Array, axis: Any) -> Array:
    return x - x.max(axis=axis, keepdims=True, initial=-np.inf)  # type: ignore[no-any-return]


def softmax_of(x: Array, axis: Any) -> Array:
    """Compute the softmax of an array."""
    powers = np.exp(_below_maximum(x, axis))
    powers /= total(powers, axis, True, powers.dtype)
    return powers


def _log_softmax_of(x: Array, axis: Any) -> Array:
    y = _below_maximum(x, axis)
    y -= np.log(total(np.exp(y), axis, True, y.dtype))
    return y


def softmax_rule(g: Any, y: Any, axis: tuple[int, ...]) -> Any:
    """Pull the gradient of a softmax `y` back to its logits."""
    pulled = g * y
    return pulled - y * sum(pulled, axis, keepdims=True)


_softmax = unary("softmax", softmax_of, softmax_rule, kind=_Squashing)
_log_softmax = unary(
    "log_softmax", _log_softmax_of, lambda g, y, axis: g - exp(y) * sum(g, axis, keepdims=True)
)


@composite
def softmax(x: Any, axis: int | Sequence[int] | None = -1) -> Any:
    """Compute `exp(x) / sum(exp(x))` along one axis, several axes or all (None)."""
    (x,) = floating([x])
    axes = all_axes(axis, x.ndim, "softmax")
    if len(axes) == 1 and x.shape[axes[0]] == 1:
        warnings.warn(
            f"You are using a softmax over axis {axis} of a tensor of shape {tuple(x.shape)}. This "
            "axis has size 1. The softmax operation will always return the value 1, which is "
            "likely not what you intended. Did you mean to use a sigmoid instead?",
            stacklevel=3,
        )
    return _softmax(x, axis=axes)


@composite
def log_softmax(x: Any, axis: int | Sequence[int] | None = -1) -> Any:
    """Compute `log(softmax(x))` without overflow along one axis, several axes or all (None)."""
    (x,) = floating([x])
    return _log_softmax(x, axis=all_axes(axis, x.ndim, "log_softmax"))
