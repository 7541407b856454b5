"""Update rules: `SGD`, `Adam` and others, and how to find one by name."""

from typing import Any

from minikeras import registry
from minikeras.optimizers import schedules as schedules
from minikeras.optimizers.adafactor import Adafactor
from minikeras.optimizers.adaptive import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Ftrl,
    Lion,
    Nadam,
    RMSprop,
)
from minikeras.optimizers.base import Optimizer
from minikeras.optimizers.sgd import SGD

registry.add(
    "optimizer",
    "keras.optimizers",
    Optimizer, SGD, RMSprop, Adam, AdamW, Adagrad, Adadelta, Adamax, Nadam, Lion, Ftrl,
    Adafactor,
)  # fmt: skip


def get(identifier: Any) -> Any:
    """Return the optimizer that a name, a config or an optimizer means; None stays None.

    Raises `ValueError` for anything else.
    """
    found = registry.get("optimizer", identifier)
    if found is not None and not isinstance(found, Optimizer):
        raise ValueError(
            f"optimizer: expected a name, a config or an Optimizer, got {identifier!r}."
        )
    return found


def serialize(optimizer: Optimizer) -> Any:
    """Return the optimizer's config: module, class name and constructor arguments."""
    return registry.serialize_keras_object(optimizer)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the optimizer that `serialize` described; its state is not part of a config."""
    return registry.deserialize_keras_object(config, custom_objects)
