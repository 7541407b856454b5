"""Define `Metric`: a number that is computed over many batches, with its state in Variables."""

import inspect
from typing import Any

from minikeras import initializers
from minikeras.core.basic import filled
from minikeras.core.context import overridden, unique_name
from minikeras.core.spec import as_dtype
from minikeras.core.variable import Variable
from minikeras.registry import Configurable, snake_case
from minikeras.tracking import Tracked, variables_of


class Metric(Tracked, Configurable):
    """Accumulate statistics over batches and compute a result from them; the base class.

    Subclasses make Variables in `__init__` with `add_variable`, change them in `update_state` and
    compute from them in `result`, all in ops.

    Args:
        dtype: in which to compute, `floatx()` by default.
        name: by default the class name in snake case, numbered.

    >>> class Total(Metric):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.total = self.add_variable((), "zeros")
    ...     def update_state(self, values):
    ...         self.total.assign(self.total + values)
    ...     def result(self):
    ...         return self.total.value
    >>> metric = Total()
    >>> float(metric(2.0)), float(metric(3.0))
    (2.0, 5.0)
    """

    role = "metric"

    def __init__(self, dtype: Any = None, name: str | None = None) -> None:
        self.name = name or unique_name(snake_case(type(self).__name__))
        self._dtype = as_dtype(getattr(dtype, "compute_dtype", dtype))

    @property
    def dtype(self) -> str:
        """The dtype in which the metric is computed."""
        return self._dtype.name

    @property
    def variables(self) -> list[Variable]:
        """The state, that of metrics inside this one too."""
        return variables_of(self)

    def add_variable(
        self,
        shape: Any,
        initializer: Any,
        dtype: Any = None,
        aggregation: str = "sum",
        name: str | None = None,
    ) -> Variable:
        """Make a Variable that belongs to this metric's state."""
        with overridden(names=(self.name,), recorders=(), scope=None):
            return Variable(
                initializers.get(initializer),
                shape=tuple(shape),
                dtype=as_dtype(dtype),
                trainable=False,
                aggregation=aggregation,
                name=name,
            )

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: Any = None, name: str | None = None
    ) -> Variable:
        """Make a Variable that belongs to this metric's state, of zeros by default."""
        return self.add_variable(shape, initializer or "zeros", dtype, name=name)

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch into account; subclasses override this."""
        raise NotImplementedError(
            f"{type(self).__name__} '{self.name}': expected a method update_state, got a class "
            "without. Define update_state(self, y_true, y_pred, sample_weight=None)."
        )

    def result(self) -> Any:
        """Return the metric over all batches since the last reset; subclasses override this."""
        raise NotImplementedError(
            f"{type(self).__name__} '{self.name}': expected a method result(self), got a class "
            "without."
        )

    def reset_state(self) -> None:
        """Set all Variables to 0."""
        for variable in self.variables:
            variable.assign(filled(variable, 0))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch into account and return the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        taken = inspect.signature(type(self)).parameters
        shared = {name: getattr(self, name) for name in ("name", "dtype") if name in taken}
        return shared | {k: v for k, v in super().get_config().items() if k not in shared}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}>"
