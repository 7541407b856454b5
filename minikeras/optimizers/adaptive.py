"""Rules that adapt the step of every weight to the gradients it has seen."""

import math
from typing import Any

from minikeras.core.basic import astype, numpy_dtype
from minikeras.core.tensor import as_tensor
from minikeras.ops.elementwise import absolute, clip, expm1, maximum, power, sign, sqrt, square
from minikeras.optimizers.base import Optimizer


def _but_power(base: float, step: Any) -> Any:
    """Return `1 - base**step`, exact also where the power is near 1, as in the first steps."""
    return -expm1(step * math.log(base)) if base > 0 else 1.0


class RMSprop(Optimizer):
    """Divide the gradient by a running root of its mean square (Tieleman and Hinton, 2012).

    Args:
        rho: the part of the mean square that a step keeps.
        momentum: the part of the last step that is added to the next.
        epsilon: added to the mean square.
        centered: divide by the standard deviation instead.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered
        self.slots = (
            ("velocity",),
            *([("momentum",)] if momentum > 0 else []),
            *([("average_gradient",)] if centered else []),
        )

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        velocity, *rest = slots
        velocity = self.rho * velocity + (1 - self.rho) * square(grad)
        new = [velocity]
        spread = velocity
        if self.centered:
            average = self.rho * rest[-1] + (1 - self.rho) * grad
            spread = velocity - square(average)
        step = pace * grad / sqrt(spread + self.epsilon)
        if self.momentum > 0:
            step = self.momentum * rest[0] + step
            new.append(step)
        if self.centered:
            new.append(average)
        return value - step, tuple(new)


class Adam(Optimizer):
    """Step by the mean of gradients over the root of their mean square (Kingma and Ba, 2014).

    Args:
        beta_1: the part of the mean that a step keeps.
        beta_2: the part of the mean square that a step keeps.
        epsilon: added to the root ("epsilon hat" of the paper's section 2.1).
        amsgrad: divide by the largest mean square so far (Reddi et al., 2018).
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.slots = (("momentum", "velocity"), *([("velocity_hat",)] if amsgrad else []))

    def pace(self, rate: Any, step: Any) -> Any:
        return rate * sqrt(_but_power(self.beta_2, step)) / _but_power(self.beta_1, step)

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        momentum, velocity, *rest = slots
        momentum = momentum + (grad - momentum) * (1 - self.beta_1)
        velocity = velocity + (square(grad) - velocity) * (1 - self.beta_2)
        rest = [maximum(rest[0], velocity)] if self.amsgrad else []
        root = sqrt(rest[0] if self.amsgrad else velocity)
        return value - momentum * pace / (root + self.epsilon), (momentum, velocity, *rest)


class AdamW(Adam):
    """Adam with weight decay that does not pass through the means (Loshchilov and Hutter, 2017)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError("AdamW: expected `weight_decay` to be a float, got None. Use Adam.")
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs
        )


class Adagrad(Optimizer):
    """Divide the gradient by the root of the sum of its squares (Duchi et al., 2011)."""

    slots = (("accumulator",),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def initial(self, slot: str) -> float:
        return self.initial_accumulator_value

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        accumulator = slots[0] + square(grad)
        return value - pace * grad / sqrt(accumulator + self.epsilon), (accumulator,)


class Adadelta(Optimizer):
    """Step by the root mean square of past steps over that of gradients (Zeiler, 2012)."""

    slots = (("accumulated_grad", "accumulated_delta_var"),)

    def __init__(
        self, learning_rate: Any = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = rho
        self.epsilon = epsilon

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        squares, steps = slots
        squares = self.rho * squares + (1 - self.rho) * square(grad)
        step = sqrt(steps + self.epsilon) * grad / sqrt(squares + self.epsilon)
        steps = self.rho * steps + (1 - self.rho) * square(step)
        return value - pace * step, (squares, steps)


class Adamax(Optimizer):
    """Adam with the largest instead of the mean square gradient (Kingma and Ba, section 7)."""

    slots = (("momentum", "norm"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def pace(self, rate: Any, step: Any) -> Any:
        return rate / _but_power(self.beta_1, step)

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        momentum, norm = slots
        momentum = momentum + (grad - momentum) * (1 - self.beta_1)
        norm = maximum(self.beta_2 * norm, absolute(grad))
        return value - pace * momentum / (norm + self.epsilon), (momentum, norm)


class Nadam(Optimizer):
    """Adam with Nesterov's look ahead (Dozat, 2015)."""

    slots = (("momentum", "velocity"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables: Any) -> None:
        if not self.built:
            variables = list(variables)
            super().build(variables)
            dtype = variables[0].dtype if variables else None
            self._product = self.add_variable((), 1.0, dtype, name="product")

    def _schedule(self, step: Any) -> Any:
        """Return the momentum of a step, which grows towards `beta_1`."""
        return self.beta_1 * (1 - 0.5 * power(0.96, step))

    def _update(self, grads: Any, variables: Any) -> None:
        """Multiply the momentums of all steps so far, once a step."""
        product = self._product.value
        step = astype(as_tensor(self.iterations) + 1, numpy_dtype(product))
        self.assign(self._product, product * self._schedule(step))
        super()._update(grads, variables)

    def pace(self, rate: Any, step: Any) -> Any:
        product = astype(self._product.value, numpy_dtype(step))
        now, following = self._schedule(step), self._schedule(step + 1)
        of_momentum = following / (1 - product * following)
        of_gradient = (1 - now) / (1 - product)
        return rate, of_momentum, of_gradient, _but_power(self.beta_2, step)

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        momentum, velocity = slots
        rate, of_momentum, of_gradient, correction = pace
        momentum = momentum + (grad - momentum) * (1 - self.beta_1)
        velocity = velocity + (square(grad) - velocity) * (1 - self.beta_2)
        ahead = of_momentum * momentum + of_gradient * grad
        step = ahead * rate / (sqrt(velocity / correction) + self.epsilon)
        return value - step, (momentum, velocity)


class Lion(Optimizer):
    """Step by the sign of a mean of gradients, of equal length everywhere (Chen et al., 2023)."""

    slots = (("momentum",),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ValueError(
                f"Lion: expected `beta_1` in (0, 1], got {beta_1}: with 0 only the sign of the "
                "gradient would be left."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        (momentum,) = slots
        step = pace * sign(momentum * self.beta_1 + grad * (1 - self.beta_1))
        return value - step, (momentum * self.beta_2 + grad * (1 - self.beta_2),)


class Ftrl(Optimizer):
    """Follow the regularized leader: many weights become exactly 0 (McMahan et al., 2013).

    Args:
        learning_rate_power: the rate of a weight falls with the sum of squares to this power.
        l1_regularization_strength: how strongly weights are drawn to 0.
        l2_regularization_strength: of the penalty on squares.
        l2_shrinkage_regularization_strength: of a penalty that acts through the gradient only.
        beta: the parameter beta of the paper.
    """

    slots = (("accumulator", "linear"),)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta
        if learning_rate_power > 0:
            raise ValueError(
                f"Ftrl: expected `learning_rate_power` <= 0, got {learning_rate_power}."
            )
        for name in (
            "initial_accumulator_value",
            "l1_regularization_strength",
            "l2_regularization_strength",
            "l2_shrinkage_regularization_strength",
        ):
            if getattr(self, name) < 0:
                raise ValueError(f"Ftrl: expected `{name}` >= 0, got {getattr(self, name)}.")

    def initial(self, slot: str) -> float:
        return self.initial_accumulator_value if slot == "accumulator" else 0.0

    def rule(self, grad: Any, value: Any, slots: Any, pace: Any) -> Any:
        accumulator, linear = slots
        sums = accumulator + square(grad)
        before, after = (power(x, -self.learning_rate_power) for x in (accumulator, sums))
        shrunk = grad + 2 * self.l2_shrinkage_regularization_strength * value
        linear = linear + shrunk - (after - before) / pace * value
        quadratic = after / pace + 2 * (self.l2_regularization_strength + self.beta / (2 * pace))
        l1 = self.l1_regularization_strength
        return (clip(linear, -l1, l1) - linear) / quadratic, (sums, linear)
