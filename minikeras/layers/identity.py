"""Layers that pass their inputs on."""

from typing import Any

from minikeras.layers.base import Layer
from minikeras.regularizers import L1L2


class Identity(Layer):
    """Return the inputs, a tensor or a nest of them."""

    def call(self, inputs: Any) -> Any:
        return inputs


class ActivityRegularization(Layer):
    """Return the inputs, and add `l1 * sum(|x|) + l2 * sum(x**2)` to the losses."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=L1L2(l1=l1, l2=l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: Any) -> Any:
        return inputs
