"""`tf.Variable`: our Variable under TensorFlow's constructor, names and looks."""

from typing import Any

from minikeras.core.context import eagerly
from minikeras.core.tensor import array_text
from minikeras.core.variable import Variable as CoreVariable
from minikeras.tf.arrays import whole_for


class Variable(CoreVariable):
    """A Variable whose dtype is that of its first value and whose name ends in `:0`."""

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        import_scope: Any = None,
        constraint: Any = None,
        synchronization: Any = "auto",
        aggregation: Any = "none",
        shape: Any = None,
    ) -> None:
        if initial_value is None:
            raise ValueError(
                "tf.Variable: expected an initial_value, got None. Pass a number, an array, a "
                "tensor or a function without arguments."
            )
        if callable(initial_value):
            with eagerly():
                initial_value = initial_value()
        super().__init__(
            whole_for(dtype, initial_value),
            shape=shape,
            dtype=dtype,
            trainable=trainable is not False,
            aggregation=aggregation,
            synchronization=synchronization,
            name=f"{name or 'Variable'}:0",
        )
        self.constraint = constraint

    def __repr__(self) -> str:
        array = self.stored.array
        return (
            f"<tf.Variable '{self.name}' shape={array.shape} dtype={array.dtype}, "
            f"numpy={array_text(array, repr)}>"
        )
