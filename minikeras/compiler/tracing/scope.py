"""Give Variables symbolic values while a function, or the body of a loop, is traced."""

from typing import Any

from minikeras.core.basic import astype
from minikeras.core.context import VariableScope, overridden
from minikeras.core.gradients import stop_gradient
from minikeras.core.tensor import SymbolicTensor
from minikeras.core.variable import Variable


class SymbolicScope(VariableScope):
    """Read each Variable as one symbolic tensor, and keep what is assigned."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: dict[int, tuple[Variable, SymbolicTensor]] = {}
        self._detached: dict[int, Any] = {}

    def read(self, variable: Any) -> Any:
        """Return the symbolic value that `variable` has now."""
        if variable.key in self.assigned:
            return self._assigned_value(variable.key)
        if variable.key not in self.reads:
            array = variable.stored.array
            tensor = SymbolicTensor(array.shape, array.dtype, name=variable.path)
            self.reads[variable.key] = (variable, tensor)
        return self.reads[variable.key][1]

    def _assigned_value(self, key: int) -> Any:
        """Return a tensor of its own: state does not carry gradients from what was assigned."""
        if key not in self._detached:
            value = self.assigned[key][1]
            self._detached[key] = (
                stop_gradient(value) if isinstance(value, SymbolicTensor) else value
            )
        return self._detached[key]

    def assign(self, variable: Any, value: Any) -> None:
        """Give `variable` a new value, in its dtype."""
        with overridden(recorders=()):
            value = astype(value, variable.stored.array.dtype)
        super().assign(variable, value)
        self._detached.pop(variable.key, None)

    def changed(self) -> list[tuple[Variable, Any]]:
        """Return the assigned Variables whose values are not those from before, and the values."""
        return [
            (variable, value)
            for key, (variable, value) in self.assigned.items()
            if key not in self.reads or value is not self.reads[key][1]
        ]
