"""Give our functions TensorFlow's argument names."""

import functools
import inspect
from collections.abc import Callable
from typing import Any


def adapted(
    function: Callable[..., Any], names: str = "", ignored: str = "", **fixed: Any
) -> Callable[..., Any]:
    """Return `function` under TensorFlow's parameter names.

    Args:
        function: ours.
        names: TensorFlow's names for the leading parameters, in our order, separated by spaces.
        ignored: what TensorFlow's takes and has no effect here, as `name`, which labels graphs.
        fixed: arguments that TensorFlow's function does not have.
    """
    ours = list(inspect.signature(function).parameters)
    dropped = {"name", *ignored.split()}
    renamed = dict(zip(names.split(), ours, strict=False))

    @functools.wraps(function, updated=())
    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs = {renamed.get(key, key): x for key, x in kwargs.items() if key not in dropped}
        return function(*args, **fixed, **kwargs)

    return call
