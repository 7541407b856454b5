"""Check and complete constructor arguments that several layers share, and use them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minikeras import config, ops
from minikeras.core.variable import Variable
from minikeras.registry import get


def whole(who: str, name: str, value: Any, lowest: int = 1) -> int:
    """Return `value` if it is an integer of at least `lowest`, else raise `ValueError`."""
    number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not number or value < lowest:
        raise ValueError(f"{who}: expected {name} to be an integer >= {lowest}, got {value!r}.")
    return int(value)


def sizes(who: str, name: str, value: Any, count: int, lowest: int = 1) -> tuple[int, ...]:
    """Return an integer, or `count` of them, as a tuple of `count` integers."""
    values = (value,) * count if isinstance(value, (int, np.integer)) else value
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise ValueError(
            f"{who}: expected {name} to be an integer or {count} of them, got {value!r}."
        )
    return tuple(whole(who, name, size, lowest) for size in values)


def pairs(who: str, name: str, value: Any) -> tuple[tuple[int, ...], ...]:
    """Return amounts at both ends of two axes, given as n, (n, m) or ((n, n), (m, m))."""
    value = (value, value) if isinstance(value, int) else value
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise ValueError(
            f"{who}: expected {name} to be an integer, 2 of them or 2 pairs, got {value!r}."
        )
    return tuple(sizes(who, name, pair, 2, lowest=0) for pair in value)


def one_of(who: str, name: str, value: Any, allowed: Sequence[str]) -> str:
    """Return `value` in lower case; raise `ValueError` unless it is one of `allowed`."""
    if not isinstance(value, str) or value.lower() not in allowed:
        raise ValueError(f"{who}: expected {name} to be one of {tuple(allowed)}, got {value!r}.")
    return value.lower()


def fraction(who: str, name: str, value: Any) -> float:
    """Return `value`; raise `ValueError` unless it is a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"{who}: expected {name} to be a number from 0 to 1, got {value!r}.")
    return value


def layout(data_format: str | None) -> str:
    """Return `data_format`, the configured one if None."""
    return config.standardize_data_format(data_format)


def channel_axis(data_format: str) -> int:
    """Return the axis of channels in a batch."""
    return -1 if data_format == "channels_last" else 1


def refuse_mask(layer: Any, mask: Any) -> None:
    """Raise `ValueError` if there is a mask: nothing here would heed it."""
    if mask is not None:
        raise ValueError(
            f"{type(layer).__name__} '{layer.name}': expected no mask, got one: masks are not "
            "supported yet. Apply it to the inputs with ops.where."
        )


def set_recipe(layer: Any, name: str, initializer: Any, regularizer: Any, constraint: Any) -> None:
    """Set the layer's `<name>_initializer`, `_regularizer` and `_constraint`, for `weight`."""
    setattr(layer, f"{name}_initializer", get("initializer", initializer))
    setattr(layer, f"{name}_regularizer", get("regularizer", regularizer))
    setattr(layer, f"{name}_constraint", get("constraint", constraint))


def weight(layer: Any, name: str, shape: tuple[int, ...], recipe: str | None = None) -> Variable:
    """Make a weight as the layer's `<recipe>_initializer`, `_regularizer`, `_constraint` say."""
    recipe = recipe or name
    return layer.add_weight(
        shape,
        getattr(layer, f"{recipe}_initializer"),
        regularizer=getattr(layer, f"{recipe}_regularizer"),
        constraint=getattr(layer, f"{recipe}_constraint"),
        name=name,
    )


def along_channels(values: Any, rank: int, data_format: str) -> Any:
    """Shape one value a channel so that it broadcasts over a batch with `rank` inner axes."""
    return values if data_format == "channels_last" else ops.reshape(values, (-1,) + (1,) * rank)
