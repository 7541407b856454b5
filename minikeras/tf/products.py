"""Products under TensorFlow's arguments."""

from typing import Any

from minikeras import ops
from minikeras.core.tensor import as_tensor


def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    name: str | None = None,
) -> Any:
    """Multiply the matrices in the last two axes, transposing either first on request."""
    a, b = as_tensor(a), as_tensor(b)
    if transpose_a or adjoint_a:
        a = ops.swapaxes(a, -1, -2)
    if transpose_b or adjoint_b:
        b = ops.swapaxes(b, -1, -2)
    return ops.matmul(a, b)
