"""Give our functions TensorFlow's argument names."""

import functools
import inspect
from collections.abc import Callable
from typing import Any


def adapted(function: Callable[..., Any], names: str = "", **fixed: Any) -> Callable[..., Any]:
    """Return `function` under TensorFlow's parameter names.

    Args:
        function: ours.
        names: TensorFlow's names for the leading parameters, in our order, separated by spaces.
        fixed: arguments that TensorFlow's function does not have.

    TensorFlow's `name` argument, which labels graphs, is taken and has no effect, as in its eager
    mode.
    """
    ours = list(inspect.signature(function).parameters)
    renamed = dict(zip(names.split(), ours, strict=False))

    @functools.wraps(function, updated=())
    def call(*args: Any, name: str | None = None, **kwargs: Any) -> Any:
        kwargs = {renamed.get(key, key): value for key, value in kwargs.items()}
        return function(*args, **fixed, **kwargs)

    return call
