"""`tf.linalg`: names that point at ours."""

from minikeras import ops as _ops
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
svd = _adapted(_ops.svd, "tensor")
eigh = _adapted(_ops.eigh, "tensor")
trace = _adapted(_ops.trace, "x")
diag = _adapted(_ops.diag, "diagonal")
diag_part = _adapted(_ops.diagonal, "input")
l2_normalize = _adapted(_l2_normalize, "x axis epsilon")
cross = _adapted(_ops.cross, "a b")
