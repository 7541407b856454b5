"""Give Variables symbolic values while a function, or the body of a loop, is traced."""

from typing import Any

from minikeras.core.basic import astype
from minikeras.core.context import VariableScope, overridden
from minikeras.core.tensor import SymbolicTensor
from minikeras.core.variable import Variable


class AgainScope(VariableScope):
    """Run a function again for its gradient; what it had to print or assert is done."""


class SymbolicScope(VariableScope):
    """Read each Variable as one symbolic tensor, and keep what is assigned."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: dict[int, tuple[Variable, SymbolicTensor]] = {}

    def read(self, variable: Any) -> Any:
        """Return the symbolic value that `variable` has now."""
        if variable.key in self.assigned:
            return super().read(variable)
        if variable.key not in self.reads:
            self.reads[variable.key] = (variable, self.before(variable))
        return self.reads[variable.key][1]

    def before(self, variable: Variable) -> SymbolicTensor:
        """Return what stands for the value that `variable` has before all this."""
        if variable.key in self.reads:
            return self.reads[variable.key][1]
        array = variable.stored.array
        return SymbolicTensor(array.shape, array.dtype, name=variable.path)

    def assign(self, variable: Any, value: Any) -> None:
        """Give `variable` a new value, in its dtype."""
        with overridden(recorders=()):
            value = astype(value, variable.stored.array.dtype)
        super().assign(variable, value)

    def changed(self) -> list[tuple[Variable, Any]]:
        """Return the assigned Variables whose values are not those from before, and the values."""
        return [
            (variable, value)
            for key, (variable, value) in self.assigned.items()
            if key not in self.reads or value is not self.reads[key][1]
        ]
