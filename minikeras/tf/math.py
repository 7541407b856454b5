"""`tf.math`: a table of TensorFlow's names and ours."""

from typing import Any as _Any

from minikeras import ops as _ops
from minikeras.core.tensor import as_tensor as _as_tensor
from minikeras.ops.elementwise import squared_difference as _squared_difference
from minikeras.ops.linalg import l2_normalize as _l2_normalize
from minikeras.tf.adapt import adapted as _adapted
from minikeras.tf.arrays import add_n as add_n
from minikeras.tf.arrays import argmax as argmax
from minikeras.tf.arrays import argmin as argmin
from minikeras.tf.arrays import cumprod as cumprod
from minikeras.tf.arrays import cumsum as cumsum

_ONE_ARGUMENT = """
    abs sign negative reciprocal floor ceil round trunc square sqrt rsqrt exp expm1 log log1p sin
    cos tan sinh cosh tanh logical_not
""".split()
_TWO_ARGUMENTS = """
    add subtract multiply divide maximum minimum mod divide_no_nan equal
    not_equal less less_equal greater greater_equal logical_and logical_or logical_xor
""".split()
_OTHERS = {
    "pow": _ops.power, "truediv": _ops.divide, "floordiv": _ops.floor_divide, "floormod": _ops.mod,
    "asin": _ops.arcsin, "acos": _ops.arccos, "atan": _ops.arctan, "atan2": _ops.arctan2,
    "asinh": _ops.arcsinh, "acosh": _ops.arccosh, "atanh": _ops.arctanh,
    "is_nan": _ops.isnan, "is_inf": _ops.isinf, "is_finite": _ops.isfinite,
    "erf": _ops.erf, "erfc": _ops.erfc, "erfinv": _ops.erfinv,
    "sigmoid": _ops.sigmoid, "softplus": _ops.softplus, "log_sigmoid": _ops.log_sigmoid,
}  # fmt: skip
_REDUCTIONS = {
    "sum": _ops.sum, "prod": _ops.prod,
    "max": _ops.max, "min": _ops.min, "any": _ops.any, "all": _ops.all,
    "std": _ops.std, "variance": _ops.var, "logsumexp": _ops.logsumexp,
}  # fmt: skip

globals().update({name: _adapted(getattr(_ops, name), "x") for name in _ONE_ARGUMENT})
globals().update({name: _adapted(getattr(_ops, name), "x y") for name in _TWO_ARGUMENTS})
globals().update({name: _adapted(op, "x y") for name, op in _OTHERS.items()})
globals().update(
    {
        f"reduce_{name}": _adapted(op, "input_tensor axis keepdims")
        for name, op in _REDUCTIONS.items()
    }
)
softmax = _adapted(_ops.softmax, "logits axis")
log_softmax = _adapted(_ops.log_softmax, "logits axis")
l2_normalize = _adapted(_l2_normalize, "x axis epsilon")
squared_difference = _adapted(_squared_difference, "x y")
top_k = _adapted(_ops.top_k, "input k sorted")
in_top_k = _adapted(_ops.in_top_k, "targets predictions k")


def count_nonzero(
    input: _Any, axis: _Any = None, keepdims: bool = False, dtype: _Any = "int64", name: _Any = None
) -> _Any:
    """Count the elements that are not 0."""
    return _ops.sum(_ops.cast(_ops.not_equal(input, 0), dtype), axis, keepdims)


def reduce_mean(
    input_tensor: _Any, axis: _Any = None, keepdims: bool = False, name: _Any = None
) -> _Any:
    """Return the mean; that of integers is rounded towards 0."""
    tensor = _as_tensor(input_tensor)
    mean = _ops.mean(tensor, axis, keepdims)
    return mean if tensor.dtype.is_floating else _ops.cast(_ops.trunc(mean), tensor.dtype)


segment_sum = _adapted(_ops.segment_sum, "data segment_ids")
unsorted_segment_sum = _adapted(_ops.segment_sum, "data segment_ids num_segments")
bincount = _adapted(_ops.bincount, "arr weights minlength")
