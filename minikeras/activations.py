"""The activation functions, by Keras' names; most of them are ops."""

from typing import Any

from minikeras import ops, registry
from minikeras.core.tensor import as_tensor
from minikeras.ops.activations import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    squareplus,
    tanh_shrink,
    threshold,
)
from minikeras.ops.define import composite
from minikeras.ops.elementwise import clip, exp, tanh, where
from minikeras.registry import CustomObjectScope


@composite
def relu(
    x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Any:
    """Compute `max(x, 0)`, or a variant of it.

    Args:
        x: a tensor.
        negative_slope: what `x - threshold` is multiplied by below the threshold.
        max_value: the largest result.
        threshold: where x begins to pass.
    """
    if threshold == 0 and max_value is None:
        return ops.leaky_relu(x, negative_slope) if negative_slope else ops.relu(x)
    x = as_tensor(x)
    if threshold == 0 and max_value == 6:
        y = ops.relu6(x)
    else:
        y = where(x > threshold, x, 0)
        y = y if max_value is None else clip(y, 0, max_value)
    return y - negative_slope * ops.relu(threshold - x) if negative_slope else y


@composite
def gelu(x: Any, approximate: bool = False) -> Any:
    """Compute `x * P(N(0, 1) < x)`, or its approximation by tanh."""
    return ops.gelu(x, approximate=approximate)


@composite
def exponential(x: Any) -> Any:
    """Compute `exp(x)`."""
    return exp(x)


def linear(x: Any) -> Any:
    """Return x."""
    return x


swish = silu
hard_swish = hard_silu

registry.add(
    "activation",
    "keras.activations",
    *(celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh),
    *(leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu),
    *(soft_shrink, softmax, softplus, softsign, squareplus, tanh, tanh_shrink, threshold),
    swish=silu,
    hard_swish=hard_silu,
)


def get(identifier: Any) -> Any:
    """Return the function meant by a name, a config or itself; None is `linear`."""
    return linear if identifier is None else registry.get("activation", identifier)


def serialize(activation: Any) -> Any:
    """Return the name of a function of this module, a config for others."""
    return registry.serialize(activation)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Undo `serialize`."""
    with CustomObjectScope(custom_objects or {}):
        return get(config)
