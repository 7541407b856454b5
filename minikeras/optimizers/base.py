"""Define `Optimizer`: everything around the rule that updates one parameter."""

import re
import weakref
from collections.abc import Sequence
from typing import Any

from minikeras.compiler.eager.calls import MISS, Calls
from minikeras.constraints import Constraint
from minikeras.core.basic import astype, filled, numpy_dtype
from minikeras.core.context import VariableScope, overridden, state
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import EagerTensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops.elementwise import not_equal
from minikeras.optimizers import gradients
from minikeras.optimizers.schedules import LearningRateSchedule
from minikeras.optimizers.state import OptimizerState
from minikeras.optimizers.transaction import choose, commit

_LARGE = 1 << 22
"""Bytes of parameters for which NumPy takes longer, and more memory, than to compile at once."""


class Optimizer(OptimizerState):
    """Update Variables by their gradients; the base class.

    Subclasses name their `slots` and define `rule`. An update is all or nothing: Variables change
    in one go after everything is computed, so that an error or an interrupt changes none.

    Args:
        learning_rate: a number, a `LearningRateSchedule`, or a function without arguments.
        weight_decay: subtract this fraction of each weight, times the learning rate, first.
        clipnorm: scale each gradient down to this norm at most.
        clipvalue: limit each gradient's elements to `[-clipvalue, clipvalue]`.
        global_clipnorm: scale all gradients together down to this norm at most.
        use_ema: keep a moving average of the weights, which `finalize_variable_values` sets.
        ema_momentum: the part of the average that a step keeps.
        ema_overwrite_frequency: set the weights to their average every so many steps.
        loss_scale_factor: what `scale_loss` multiplies the loss by, and gradients are divided by.
        gradient_accumulation_steps: update once in so many steps, by their mean gradient.
        name: numbered automatically if None.

    >>> class Plain(Optimizer):
    ...     def rule(self, grad, value, slots, pace):
    ...         return value - pace * grad, ()
    >>> w = Variable([1.0, 2.0])
    >>> int(Plain(0.5).apply_gradients([(np.ones(2), w)]))
    1
    >>> w.numpy()
    array([0.5, 1.5], dtype=float32)
    """

    _compiled: Calls | None = None
    """Updates that were made again and again; with the options that this optimizer has now."""
    _paces: dict[Any, Any]
    edits: int = 0
    """Counts the options that were changed after this was built; what was traced is out of date."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "learning_rate":  # a property: what is set is kept elsewhere
            object.__setattr__(self, name, value)
            return
        self.__dict__.update(_compiled=None, _paces={})
        if self.__dict__.get("built") and state.trace is None:
            self.__dict__["edits"] = self.edits + 1
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is to have too: not the updates of these Variables."""
        return self.__dict__ | {"_compiled": None, "_paces": {}}

    # -- the rule ------------------------------------------------------------------------------

    def rule(self, grad: Any, value: Any, slots: tuple[Any, ...], pace: Any) -> Any:
        """Return `(new value, new slots)` of one parameter; pure, and written in ops.

        Args:
            grad: its gradient.
            value: its value.
            slots: the values of its `slots`, all groups in one tuple.
            pace: what the method `pace` returned, in the parameter's dtype.
        """
        raise NotImplementedError(
            f"{type(self).__name__}: expected a method rule(grad, value, slots, pace), or "
            "update_step(gradient, variable, learning_rate), got a class with neither."
        )

    def pace(self, rate: Any, step: Any) -> Any:
        """Return the scalars that all parameters share in a step: a tensor or a tuple of them.

        Args:
            rate: the learning rate.
            step: the number of this step, counted from 1.
        """
        return rate

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
        """Update one Variable and its slots by `rule`.

        Subclasses written for Keras override this, read `variable`, and call `assign`.
        """
        slots = self._slots[variable.key]
        value = variable.value
        pace = self._pace_of(value, learning_rate)
        if self._decays(variable):
            value = self._decayed(value, astype(as_tensor(learning_rate), numpy_dtype(value)))
        value, new = self.rule(gradient, value, tuple(slot.value for slot in slots), pace)
        for target, result in zip((variable, *slots), (value, *new), strict=True):
            self.assign(target, result)

    def _pace_of(self, value: Any, rate: Any) -> Any:
        """Return `pace` for the dtype of `value`, computed once in a step."""
        rate, dtype = as_tensor(rate), numpy_dtype(value)
        key = (rate.key, dtype)
        if key not in self._paces:
            step = as_tensor(self.iterations) + 1
            self._paces[key] = self.pace(astype(rate, dtype), astype(step, dtype))
        return self._paces[key]

    # -- updating ------------------------------------------------------------------------------

    def apply_gradients(self, grads_and_vars: Any) -> Variable:
        """Update Variables by `(gradient, variable)` pairs; return the iteration counter.

        A gradient may be None: its Variable stays, with a warning. Raises `ValueError` for
        gradients of other shapes than their Variables', and Variables this was not built for.
        """
        pairs = list(grads_and_vars)
        if not pairs:
            raise ValueError(
                f"{type(self).__name__}: expected (gradient, variable) pairs, got none. Is "
                "trainable_variables empty because the model is not built or is frozen?"
            )
        grads, variables = zip(*pairs, strict=True)
        self.apply(grads, variables)
        return self._iterations

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Update `trainable_variables`, by default those this was built for, by their gradients."""
        grads = list(grads)
        if not grads:
            return
        variables = self._matching(grads, trainable_variables)
        pairs = gradients.present(grads, variables)
        grads = [gradients.dense(type(self).__name__, g, v) for g, v in pairs]
        variables = [v for _, v in pairs]
        if state.scope is None and self._is_pure(variables):
            key = tuple([(v.key, v.constraint, v.overwrite_with_gradient) for v in variables])
            recorders, state.recorders = state.recorders, ()
            try:
                if self._calls()(key, grads, (variables,)) is not MISS:
                    return
            finally:
                state.recorders = recorders
        self._apply(*grads, variables)

    def _apply(self, *given: Any) -> None:
        """Take gradients, then their Variables; update all or none."""
        *grads, variables = given
        self._paces.clear()
        outer = state.scope, state.recorders
        try:
            with overridden(recorders=()), VariableScope() as scope:
                self._step(grads, variables)
                for variable in variables:
                    if variable.constraint is not None:
                        self.assign(variable, variable.constraint(variable.value))
                self.assign(self._iterations, self._iterations.value + 1)
        finally:  # an interrupt may have hit the `with` while it put these back
            state.scope, state.recorders = outer
            self._paces.clear()
        commit(scope)

    def _calls(self) -> Calls:
        if self._compiled is None:
            this, after = weakref.ref(self), 3
            if sum(v.stored.array.nbytes for v in self._targets) >= _LARGE:
                after = 1
            self.__dict__["_compiled"] = Calls(
                lambda *given: this()._apply(*given),  # type: ignore[union-attr]
                self.name,
                after,
            )
        return self._compiled  # type: ignore[return-value]

    def _is_pure(self, variables: Sequence[Variable]) -> bool:
        """Tell whether an update runs no code of the user, but maybe a `rule`, which is pure."""
        rate = self._learning_rate
        return (
            (isinstance(rate, Variable) or _is_ours(rate, LearningRateSchedule))
            and type(self).update_step is Optimizer.update_step
            and all(v.constraint is None or _is_ours(v.constraint, Constraint) for v in variables)
        )

    def _matching(self, grads: list[Any], variables: Any) -> list[Variable]:
        """Return the Variables that belong to `grads`, and build for them if that is to do."""
        if variables is None:
            if not self.built:
                raise ValueError(
                    "When passing `grads` without `variables`, the optimizer must already be built "
                    "on a list of variables. Call `optimizer.build(trainable_variables)` first. "
                )
            variables = self._targets
        variables = list(variables)
        if len(grads) != len(variables):
            raise ValueError(
                f"{type(self).__name__}: expected one gradient for each of {len(variables)} "
                f"variables, got {len(grads)} gradients."
            )
        for variable in variables:
            if not isinstance(variable, Variable):
                raise TypeError(
                    f"{type(self).__name__}: expected Variables to update, got {variable!r}. "
                    "Did you swap gradient and variable in a pair?"
                )
        if not self.built:
            self.build(variables)
        for variable in variables:
            if variable.key not in self._slots:
                raise ValueError(
                    f"Unknown variable: {variable}. This optimizer can only be called for the "
                    "variables it was originally built with. When working with a new set of "
                    "variables, you should recreate a new optimizer instance."
                )
        return variables

    def _step(self, grads: list[Any], variables: list[Variable]) -> None:
        if self.loss_scale_factor is not None:
            grads = [g / self.loss_scale_factor for g in grads]
        if self.gradient_accumulation_steps:
            self._accumulate(grads, variables)
        else:
            self._update(grads, variables)
        if self.use_ema:
            self._average()

    def _accumulate(self, grads: list[Any], variables: list[Variable]) -> None:
        """Add to the accumulated gradients, and update by their mean when it is time."""
        steps = self.gradient_accumulation_steps
        kept = [self._accumulators[v.key] for v in variables]
        sums = [g + accumulator for g, accumulator in zip(grads, kept, strict=True)]

        def update() -> None:
            self._update([g / steps for g in sums], variables)
            for accumulator in self._accumulators.values():
                self.assign(accumulator, filled(accumulator, 0))

        def keep() -> None:
            for accumulator, g in zip(kept, sums, strict=True):
                self.assign(accumulator, g)

        choose((self._iterations.value + 1) % steps == 0, update, keep)

    def _update(self, grads: list[Any], variables: list[Variable]) -> None:
        """Clip gradients and update each Variable once."""
        rate = as_tensor(self.learning_rate)
        own = type(self).update_step is not Optimizer.update_step
        for grad, variable in zip(self._clipped(grads), variables, strict=True):
            if variable.overwrite_with_gradient:
                self.assign(variable, grad)
                continue
            if own and self._decays(variable):
                value = variable.value
                self.assign(variable, self._decayed(value, astype(rate, numpy_dtype(value))))
            self.update_step(grad, variable, rate)

    def _clipped(self, grads: list[Any]) -> list[Any]:
        if self.clipnorm:
            return gradients.clip_each_norm(grads, self.clipnorm)
        if self.global_clipnorm:
            return gradients.clip_global_norm(grads, self.global_clipnorm)
        if self.clipvalue:
            return gradients.clip_values(grads, self.clipvalue)
        return grads

    def assign(self, variable: Variable, value: Any) -> None:
        """Set a Variable, a parameter or a slot, to `value`."""
        if type(value) is EagerTensor and state.scope is not None:
            before = variable.stored.array
            if value.array.shape == before.shape and value.array.dtype is before.dtype:
                state.scope.assign(variable, value)
                return
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Add `value` to a Variable."""
        variable.assign(variable.value + value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Subtract `value` from a Variable."""
        variable.assign(variable.value - value)

    def minimize(self, loss: Any, var_list: Any, tape: GradientTape | None = None) -> Variable:
        """Differentiate and update in one call, as optimizers of TensorFlow 1 and 2 could.

        Args:
            loss: a function without arguments; or a tensor, with the `tape` that recorded it.
            var_list: the Variables to update.
        """
        if callable(loss):
            tape, function = GradientTape(), loss
            with tape:
                loss = function()
        elif tape is None:
            raise ValueError(
                f"{type(self).__name__}.minimize: expected a tape beside a loss that is a tensor, "
                "got None. Pass tape=, or a function that computes the loss."
            )
        variables = list(var_list() if callable(var_list) else var_list)
        return self.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    # -- weight decay and moving average -------------------------------------------------------

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Keep Variables from weight decay; call this before the optimizer is built.

        Args:
            var_list: Variables.
            var_names: regular expressions; a Variable whose name one of them is found in.
        """
        if self.built:
            raise ValueError(
                "`exclude_from_weight_decay()` can only be configured before the optimizer is "
                "built."
            )
        self._kept_from_decay = ({v.key for v in var_list or ()}, tuple(var_names or ()))

    def _decays(self, variable: Variable) -> bool:
        if self.weight_decay is None:
            return False
        keys, names = self._kept_from_decay
        return variable.key not in keys and not any(re.search(n, variable.name) for n in names)

    def _decayed(self, value: Any, rate: Any) -> Any:
        return value - value * self.weight_decay * rate

    def _average(self) -> None:
        """Move the averages towards the Variables, and the Variables to them when it is time."""
        begun = not_equal(self.iterations, 0)
        for variable, average in zip(self._targets, self._averages, strict=True):
            value = variable.value
            momentum = astype(begun, numpy_dtype(value)) * self.ema_momentum
            self.assign(average, momentum * average.value + (1 - momentum) * value)
        if self.ema_overwrite_frequency:
            time = (self.iterations + 1) % self.ema_overwrite_frequency == 0
            choose(time, lambda: self._overwrite(self._targets), lambda: None)

    def _overwrite(self, variables: Sequence[Variable]) -> None:
        if len(variables) != len(self._averages):
            raise ValueError(
                f"The length of model variables ({len(variables)}) to override does not match the "
                f"length of model variables stored in the optimizer ({len(self._averages)}). "
                "Please check if the optimizer was called on your model."
            )
        for variable, average in zip(variables, self._averages, strict=True):
            self.assign(variable, average.value)

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Set Variables to their moving averages if this optimizer keeps them."""
        if self.use_ema:
            self._overwrite(var_list)


def _is_ours(thing: Any, kind: type) -> bool:
    """Tell whether something is of a kind, and its class defined in this package."""
    return isinstance(thing, kind) and type(thing).__module__.startswith("minikeras.")
