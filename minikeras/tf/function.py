"""`tf.function`: for now, a function that runs as it is written."""

import functools
from collections.abc import Callable
from typing import Any


def function(
    func: Callable[..., Any] | None = None,
    input_signature: Any = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
    **_: Any,
) -> Any:
    """Return `func`, which runs eagerly: the results are those of a traced function.

    The arguments choose how TensorFlow traces; nothing is traced here yet.
    """
    if func is None:
        return functools.partial(function, input_signature=input_signature)

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    call.python_function = func  # type: ignore[attr-defined]
    return call
