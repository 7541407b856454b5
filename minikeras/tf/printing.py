"""Print tensors, also from functions that are traced."""

import sys
from typing import Any

from minikeras.compiler.tracing.trace import after_each_run


def print(
    *inputs: Any, output_stream: Any = None, sep: str = " ", end: str = "\n", **_: Any
) -> None:
    """Print tensors as bare numbers, to standard error unless `output_stream` is given.

    A function that is traced prints after each run. Raises `NotAllowedInTraceError` in the loops
    and branches of one, where no tensor has a value.
    """

    def show(*values: Any) -> None:
        text = sep.join(str(x.numpy()) if hasattr(x, "numpy") else str(x) for x in values)
        (output_stream or sys.stderr).write(text + end)

    if not after_each_run(show, inputs):
        show(*inputs)
