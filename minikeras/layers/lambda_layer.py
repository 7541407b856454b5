"""A user's function as a layer."""

import inspect
from collections.abc import Callable
from typing import Any

from minikeras.layers.arguments import refuse_mask
from minikeras.layers.base import Layer


class Lambda(Layer):
    """Apply a function of tensors; Variables that it uses are not found by the model.

    Args:
        function: takes the inputs; `training` too if it has an argument of that name.
        output_shape: not needed, shapes are found by running the function; kept for `get_config`.
        mask: must be None: masks are not supported yet.
        arguments: further keyword arguments of `function`.

    Files hold the function's registered name and never its code. Decorate it with
    `@register_keras_serializable()` to load the layer again.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        refuse_mask(self, mask)
        if not callable(function):
            raise ValueError(f"Lambda: expected a function of tensors, got {function!r}.")
        self.function = function
        self.output_shape = output_shape
        self.mask = mask
        self.arguments = arguments or {}
        self._takes_training = "training" in inspect.signature(function).parameters

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        extra = {"training": training} if self._takes_training else {}
        return self.function(inputs, **self.arguments, **extra)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make the layer; raise `ValueError` if the file holds code in place of a name."""
        for name in ("function", "output_shape"):
            described = config.get(name)
            if isinstance(described, dict) and described.get("class_name") == "__lambda__":
                raise ValueError(
                    f"Lambda '{config.get('name')}': expected the name of a registered function "
                    f"as {name}, got the code of a Python lambda. Code from files is never run: "
                    "make the layer anew and load its weights, or use a registered function."
                )
        return super().from_config(config)
