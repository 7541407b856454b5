"""`tf.linalg`: names that point at ours."""

from typing import Any

from minikeras import ops as _ops
from minikeras.ops.diagonals import matrices as _matrices
from minikeras.ops.linalg import l2_normalize as _l2_normalize
from minikeras.tf.adapt import adapted as _adapted
from minikeras.tf.products import matmul as matmul

einsum = _adapted(_ops.einsum)
tensordot = _adapted(_ops.tensordot, "a b axes")
norm = _adapted(_ops.norm, "tensor ord axis keepdims")
inv = _adapted(_ops.inv, "input")
det = _adapted(_ops.det, "input")
slogdet = _adapted(_ops.slogdet, "input")
logdet = _adapted(_ops.logdet, "matrix")
solve = _adapted(_ops.solve, "matrix rhs")
cholesky = _adapted(_ops.cholesky, "input")
qr = _adapted(_ops.qr, "input")
eigh = _adapted(_ops.eigh, "tensor")
trace = _adapted(_ops.trace, "x", axis1=-2, axis2=-1)
diag = _adapted(_matrices, "diagonal k")
diag_part = _adapted(_ops.diagonal, "input k", axis1=-2, axis2=-1)
l2_normalize = _adapted(_l2_normalize, "x axis epsilon")
cross = _adapted(_ops.cross, "a b")


def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: Any = None) -> Any:
    """Return `s, u, v`, of which `u @ diag(s) @ transpose(v)` is `tensor`, or `s` alone."""
    if not compute_uv:
        return _ops.svd(tensor, compute_uv=False)
    u, s, v = _ops.svd(tensor, full_matrices)
    return s, u, _ops.swapaxes(v, -1, -2)
