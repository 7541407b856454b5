"""Hold the options and the Variables of an optimizer: make, save, load and describe them."""

import inspect
import itertools
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minikeras import initializers
from minikeras.core.context import overridden, unique_name
from minikeras.core.spec import as_dtype
from minikeras.core.variable import Variable
from minikeras.ops.elementwise import floor_divide
from minikeras.optimizers.schedules import LearningRateSchedule
from minikeras.registry import Configurable, serialize, snake_case
from minikeras.tracking import Tracked

# The order of Keras' configs.
_OPTIONS = (
    "name", "learning_rate", "weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema",
    "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
)  # fmt: skip


class OptimizerState(Tracked, Configurable):
    """Options, iteration counter, learning rate and slots; `Optimizer` adds what to do with them.

    See there for the arguments.
    """

    role = "optimizer"
    slots: tuple[tuple[str, ...], ...] = ()
    """Names of the state kept per Variable. Those of one group lie interleaved in `variables`."""

    _untracked = frozenset({"_recorded", "_parts", "_targets", "_slots"})

    def __init__(
        self,
        learning_rate: Any,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("decay", None) is not None:
            warnings.warn(
                "Argument `decay` is no longer supported and will be ignored.", stacklevel=3
            )
        if kwargs:
            raise ValueError(f"Argument(s) not recognized: {kwargs}")
        self._variables: list[Variable] = []
        self._targets: list[Variable] = []
        self._slots: dict[int, tuple[Variable, ...]] = {}
        self._averages: list[Variable] = []
        self._accumulators: dict[int, Variable] = {}
        self._kept_from_decay: tuple[set[int], tuple[str, ...]] = (set(), ())
        self.built = False
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._check_options()
        self._iterations = self.add_variable((), dtype="int64", name="iteration")
        self._learning_rate = self._as_rate(learning_rate)

    def _check_options(self) -> None:
        steps, every = self.gradient_accumulation_steps, self.ema_overwrite_frequency
        if steps and steps < 2:
            raise ValueError(
                "`gradient_accumulation_steps` must be an integer >= 2. Received: "
                f"gradient_accumulation_steps={steps}"
            )
        if self.use_ema and not 0 <= self.ema_momentum <= 1:
            raise ValueError(
                "`ema_momentum` must be in the range [0, 1]. Received: "
                f"ema_momentum={self.ema_momentum}"
            )
        if self.use_ema and every and (not isinstance(every, int) or every < 1):
            raise ValueError(
                "`ema_overwrite_frequency` must be an integer >= 1 or None. Received: "
                f"ema_overwrite_frequency={every}"
            )
        clips = {name: getattr(self, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}
        if len(clips) - list(clips.values()).count(None) > 1:
            received = ", ".join(f"{name}={value}" for name, value in clips.items())
            raise ValueError(
                "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: "
                + received
            )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show in the signature the options that a subclass passes on as `**kwargs`."""
        super().__init_subclass__(**kwargs)
        own = dict(inspect.signature(cls.__init__).parameters)
        if own.pop("kwargs", None) is not None:
            inherited = inspect.signature(OptimizerState.__init__).parameters
            added = [p for name, p in inherited.items() if name not in own]
            parameters = [*own.values(), *added][1:]
            cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]

    def initial(self, slot: str) -> float:
        """Return what the slot of this name is filled with at first."""
        return 0.0

    def slot_spec(self, slot: str, shape: tuple[int, ...], dtype: Any) -> tuple[Any, Any]:
        """Return shape and dtype of the slot of this name, for a parameter of those given."""
        return shape, dtype

    # -- Variables -----------------------------------------------------------------------------

    def build(self, variables: Iterable[Variable]) -> None:
        """Make the state that `variables` need; does nothing the second time."""
        if self.built:
            return
        variables = list(variables)
        before = len(self._variables)
        try:
            self._make_state(variables)
        except BaseException:  # what is half made must not stay
            del self._variables[before:]
            raise
        self._targets = variables
        self.built = True

    def _make_state(self, variables: list[Variable]) -> None:
        if self.use_ema:
            self._averages = self.add_optimizer_variables(variables, "average")
        if self.gradient_accumulation_steps:
            found = self.add_optimizer_variables(variables, "gradient_accumulator")
            self._accumulators = {v.key: a for v, a in zip(variables, found, strict=True)}
        rows: list[list[Variable]] = [[] for _ in variables]
        for group in self.slots:
            for row, variable in zip(rows, variables, strict=True):
                row.extend(self._slot(name, variable) for name in group)
        self._slots = {v.key: tuple(row) for v, row in zip(variables, rows, strict=True)}

    def _slot(self, name: str, variable: Variable) -> Variable:
        shape, dtype = self.slot_spec(name, tuple(variable.shape), variable.dtype)
        label = f"{variable.path.replace('/', '_')}_{name}"
        return self.add_variable(shape, self.initial(name), dtype, name=label)

    def add_variable(
        self,
        shape: Any,
        initializer: Any = "zeros",
        dtype: Any = None,
        aggregation: str = "none",
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """Make a Variable that belongs to this optimizer's state.

        `initializer` is a name or object, or a number to fill it with.
        """
        dtype = as_dtype(dtype)
        if isinstance(initializer, (int, float)):
            initializer = initializers.Constant(initializer)
        initializer = initializers.get(initializer)
        with overridden(names=(self.name,), recorders=(), scope=None):
            variable = Variable(initializer, tuple(shape), dtype, trainable=False, name=name)
        variable.aggregation = aggregation
        self._variables.append(variable)
        return variable

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """Make a Variable of the shape and dtype of another, and named after it."""
        name = f"{reference_variable.path.replace('/', '_')}_{name or 'var'}"
        shape, dtype = reference_variable.shape, reference_variable.dtype
        return self.add_variable(shape, initializer, dtype, name=name)

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """Make one Variable for each of `trainable_variables`, or one for each of several names.

        Returns a list, or for several names a tuple of lists. All names' Variables for one
        trainable variable come before those for the next.
        """
        names = [name] if isinstance(name, str) else list(name)
        many = isinstance(initializer, (list, tuple))
        starts = list(initializer) if many else [initializer] * len(names)
        if len(names) != len(starts):
            raise ValueError(
                "The number of provided names must match the number of provided initializers.  "
                f"Received name='{name}', initializer='{initializer}'"
            )
        rows = [
            [self.add_variable_from_reference(v, n, i) for n, i in zip(names, starts, strict=True)]
            for v in trainable_variables
        ]
        columns = tuple([row[i] for row in rows] for i in range(len(names)))
        return columns[0] if isinstance(name, str) else columns

    @property
    def variables(self) -> list[Variable]:
        """The state in Keras' order: iteration, learning rate, averages, accumulators, slots."""
        return self.own_variables()

    @property
    def iterations(self) -> Any:
        """The number of updates made so far."""
        if self.gradient_accumulation_steps:
            return floor_divide(self._iterations, self.gradient_accumulation_steps)
        return self._iterations

    def _get_variable_index(self, variable: Variable) -> int:
        return list(self._slots).index(variable.key) % len(self._targets)

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        # A copy may be for copies of the Variables, which have keys of their own, or for the same.
        self.__dict__.update(attributes)
        keys = dict(zip(self._slots, itertools.cycle([v.key for v in self._targets]), strict=False))
        kept, names = self._kept_from_decay
        self._kept_from_decay = kept | {keys.get(key, key) for key in kept}, names
        for name in ("_slots", "_accumulators"):
            table = getattr(self, name)
            table.update({keys[key]: state for key, state in list(table.items())})

    def save_own_variables(self, store: Any) -> None:
        """Put the state into `store` under "0", "1", …"""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Set the state from `store`; warn and leave it if the number of Variables differs."""
        variables = self.variables
        if len(store.keys()) != len(variables):
            warnings.warn(
                f"Skipping variable loading for optimizer '{self.name}', because it has "
                f"{len(variables)} variables whereas the saved optimizer has "
                f"{len(store.keys())} variables. ",
                stacklevel=2,
            )
            return
        self._set([store[str(i)] for i in range(len(variables))])

    def set_weights(self, weights: Any) -> None:
        """Set `variables` from a list of arrays; on a wrong count or shape nothing changes."""
        if not self.built:
            raise ValueError(
                "You are calling `set_weights()` on an optimizer that has not yet been built. "
                "Please call `optimizer.build(trainable_variables)` to create the optimizer "
                "weights before calling `set_weights()`."
            )
        self._set(weights)

    def _set(self, weights: Any) -> None:
        values = [np.asarray(weight) for weight in weights]
        if len(values) != len(self.variables):
            raise ValueError(
                f"{type(self).__name__}: expected {len(self.variables)} arrays of state, got "
                f"{len(values)}."
            )
        for variable, value in zip(self.variables, values, strict=True):
            if value.shape != tuple(variable.shape):
                raise ValueError(
                    f"{type(self).__name__}: expected shape {tuple(variable.shape)} for "
                    f"'{variable.path}', got {value.shape}."
                )
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    # -- learning rate -------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The learning rate now: a Variable, or the value of a schedule or function.

        Set it to a number, a schedule or a function.
        """
        rate = self._learning_rate
        if isinstance(rate, Variable) or not callable(rate):
            return rate
        return rate(self._iterations) if isinstance(rate, LearningRateSchedule) else rate()

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        now = self._learning_rate
        if isinstance(rate, Variable) or not callable(rate):
            if not isinstance(now, Variable):
                raise TypeError(
                    "This optimizer was created with a `LearningRateSchedule` object as its "
                    "`learning_rate` constructor argument, hence its learning rate is not "
                    "settable. If you need the learning rate to be settable, you should "
                    "instantiate the optimizer with a float `learning_rate` argument."
                )
            now.assign(rate)
            return
        self._learning_rate = rate
        self._variables = [v for v in self._variables if v is not now]

    def _as_rate(self, rate: Any) -> Any:
        if callable(rate) and not isinstance(rate, Variable):
            return rate
        try:
            number = float(rate)
        except (TypeError, ValueError):
            raise ValueError(
                "Argument `learning_rate` should be float, or an instance of "
                "LearningRateSchedule, or a callable (that takes no arguments and returns the "
                f"learning rate). Received instead: learning_rate={rate!r}"
            ) from None
        variable = self.add_variable((), name="learning_rate")
        variable.assign(number)
        return variable

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss times `loss_scale_factor`, to be differentiated in its place."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # -- config --------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data, those of all optimizers first."""
        given = super().get_config()
        taken = inspect.signature(type(self)).parameters
        shared = {name: getattr(self, name) for name in _OPTIONS if name in taken}
        rate = self._learning_rate
        if "learning_rate" in taken:
            shared["learning_rate"] = float(rate) if isinstance(rate, Variable) else serialize(rate)
        return shared | {name: value for name, value in given.items() if name not in shared}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"
