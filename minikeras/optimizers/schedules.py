"""Learning rates that depend on the step."""

import math
from typing import Any

from minikeras import registry
from minikeras.core.spec import as_dtype
from minikeras.ops.elementwise import cast, ceil, cos, floor, log, minimum, power, where
from minikeras.registry import Configurable


class LearningRateSchedule(Configurable):
    """A function of the step, given to an optimizer as its learning rate; the base class.

    Subclasses define `__call__(step)`, written in ops.
    """

    def __call__(self, step: Any) -> Any:
        """Return the learning rate, a scalar, after `step` updates."""
        raise NotImplementedError(
            f"Learning rate schedule '{type(self).__name__}' must override `__call__(self, step)`."
        )


def _number(step: Any) -> Any:
    return cast(step, as_dtype(None))


def _check_steps(name: str, argument: str, steps: float) -> None:
    if steps <= 0:
        raise ValueError(f"{name}: expected {argument} > 0, got {steps}.")


class ExponentialDecay(LearningRateSchedule):
    """Compute `initial_learning_rate * decay_rate ** (step / decay_steps)`.

    Args:
        staircase: let the exponent grow in whole numbers only.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        _check_steps("ExponentialDecay", "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Any:
        times = _number(step) / self.decay_steps
        times = floor(times) if self.staircase else times
        return self.initial_learning_rate * power(float(self.decay_rate), times)


class InverseTimeDecay(LearningRateSchedule):
    """Compute `initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    Args:
        staircase: let `step / decay_steps` grow in whole numbers only.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        _check_steps("InverseTimeDecay", "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Any:
        times = _number(step) / self.decay_steps
        times = floor(times) if self.staircase else times
        return self.initial_learning_rate / (1 + self.decay_rate * times)


class PolynomialDecay(LearningRateSchedule):
    """Go from the initial to the end learning rate as `(1 - step / decay_steps) ** power`.

    Args:
        cycle: when `decay_steps` are over, stretch the decay to the next multiple of them.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        _check_steps("PolynomialDecay", "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Any:
        step = _number(step)
        total: Any = float(self.decay_steps)
        if self.cycle:
            total = total * where(step == 0, 1.0, ceil(step / total))
        else:
            step = minimum(step, total)
        drop = self.initial_learning_rate - self.end_learning_rate
        return drop * power(1 - step / total, float(self.power)) + self.end_learning_rate


class PiecewiseConstantDecay(LearningRateSchedule):
    """Take `values[i]` up to and including step `boundaries[i]`, after them the last value."""

    def __init__(self, boundaries: Any, values: Any, name: str = "PiecewiseConstant") -> None:
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "PiecewiseConstantDecay: expected one boundary fewer than values, got "
                f"{len(boundaries)} boundaries {boundaries} and {len(values)} values {values}."
            )
        if list(boundaries) != sorted(boundaries):
            raise ValueError(
                f"PiecewiseConstantDecay: expected boundaries in ascending order, got {boundaries}."
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Any) -> Any:
        value = cast(self.values[-1], as_dtype(None))
        pairs = zip(self.boundaries, self.values[:-1], strict=True)
        for boundary, earlier in reversed(list(pairs)):
            value = where(cast(step, "float64") <= boundary, float(earlier), value)
        return value


class CosineDecay(LearningRateSchedule):
    """Follow half a cosine from the initial learning rate down to `alpha` times it.

    Args:
        alpha: what remains at the end, as a fraction.
        warmup_target: with it, go in a straight line from the initial learning rate to this one
            in `warmup_steps` first, and down from there.

    From Loshchilov and Hutter, 2016, https://arxiv.org/abs/1608.03983.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        _check_steps("CosineDecay", "decay_steps", decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def _decayed(self, rate: float, step: Any) -> Any:
        turned = cos(math.pi * (step / self.decay_steps))
        return rate * ((1 - self.alpha) * (0.5 * (1 + turned)) + self.alpha)

    def __call__(self, step: Any) -> Any:
        first, step = self.initial_learning_rate, _number(step)
        if self.warmup_target is None:
            return self._decayed(first, minimum(step, self.decay_steps))
        step = minimum(step, self.decay_steps + self.warmup_steps)
        decayed = self._decayed(self.warmup_target, step - self.warmup_steps)
        if not self.warmup_steps:
            return decayed
        warming = (self.warmup_target - first) * (step / self.warmup_steps) + first
        return where(step < self.warmup_steps, warming, decayed)


class CosineDecayRestarts(LearningRateSchedule):
    """Decay as `CosineDecay` does, again and again.

    Args:
        first_decay_steps: the length of the first period.
        t_mul: how many times longer each period is than the one before.
        m_mul: how many times higher each period begins than the one before.
        alpha: what remains at the end of a period, as a fraction.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        _check_steps("CosineDecayRestarts", "first_decay_steps", first_decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Any:
        done = _number(step) / self.first_decay_steps
        if self.t_mul == 1:
            period = floor(done)
            done = done - period
        else:  # period i begins after 1 + t_mul + … + t_mul**(i - 1) first periods
            t_mul = float(self.t_mul)
            period = floor(log(1 - done * (1 - t_mul)) / math.log(t_mul))
            scale = power(t_mul, period)
            done = (done - (1 - scale) / (1 - t_mul)) / scale
        height = 0.5 * power(float(self.m_mul), period) * (1 + cos(math.pi * done))
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)


registry.add(
    "schedule",
    "keras.optimizers.schedules",
    LearningRateSchedule,
    ExponentialDecay,
    InverseTimeDecay,
    PolynomialDecay,
    PiecewiseConstantDecay,
    CosineDecay,
    CosineDecayRestarts,
)


def serialize(learning_rate_schedule: LearningRateSchedule) -> Any:
    """Return the schedule's config: module, class name and constructor arguments."""
    return registry.serialize_keras_object(learning_rate_schedule)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Any:
    """Return the schedule that `serialize` described."""
    return registry.deserialize_keras_object(config, custom_objects)
