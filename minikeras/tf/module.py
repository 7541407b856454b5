"""`tf.Module`: an object whose Variables are found through its attributes."""

from typing import Any

from minikeras.core.context import name_scope
from minikeras.core.variable import Variable
from minikeras.registry import snake_case
from minikeras.tracking import Tracked, unique, variables_of, walk


class Module(Tracked):
    """Collect the Variables of its attributes, and of modules and layers among them."""

    role = "weights"

    def __init__(self, name: str | None = None) -> None:
        self._name = name or snake_case(type(self).__name__)

    @property
    def name(self) -> str:
        """The module's name."""
        return self._name

    @property
    def name_scope(self) -> Any:
        """A context manager that prefixes names of Variables by the module's."""
        return name_scope(self._name)

    @classmethod
    def with_name_scope(cls, method: Any) -> Any:
        """Run a method inside the module's name scope."""

        def scoped(self: Any, *args: Any, **kwargs: Any) -> Any:
            with self.name_scope:
                return method(self, *args, **kwargs)

        return scoped

    def own_variables(self) -> list[Variable]:
        """Return the Variables assigned to this module, trainable or not, by attribute name."""
        return list(unique(part for part in self._tracked([]) if isinstance(part, Variable)))

    def _part_names(self) -> list[str]:
        return sorted(super()._part_names())

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All Variables of this module and those inside it."""
        return tuple(variables_of(self))

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        """The trainable ones of `variables`."""
        return tuple(variable for variable in self.variables if variable.trainable)

    @property
    def non_trainable_variables(self) -> tuple[Variable, ...]:
        """The other ones of `variables`."""
        return tuple(variable for variable in self.variables if not variable.trainable)

    @property
    def submodules(self) -> tuple[Tracked, ...]:
        """The modules and layers inside, at any depth."""
        return tuple(item for item in walk(self) if item is not self)
