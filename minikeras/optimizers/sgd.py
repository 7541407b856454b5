"""Gradient descent, with momentum if wanted."""

from typing import Any

from minikeras.optimizers.base import Optimizer


class SGD(Optimizer):
    """Step against the gradient: `value -= rate * grad`.

    With momentum, step by a velocity: `velocity = momentum * velocity - rate * grad`.

    Args:
        momentum: the part of the velocity that a step keeps.
        nesterov: look one step of the velocity ahead (Sutskever et al., 2013).
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not isinstance(momentum, (int, float)) or not 0 <= momentum <= 1:
            raise ValueError(f"SGD: expected `momentum` to be a number in [0, 1], got {momentum}.")
        self.momentum = momentum
        self.nesterov = nesterov
        self.slots = (("momentum",),) if momentum else ()

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        if not slots:
            return value - grad * pace, ()
        step = grad * pace
        velocity = slots[0] * self.momentum - step
        if self.nesterov:
            return value + (velocity * self.momentum - step), (velocity,)
        return value + velocity, (velocity,)
