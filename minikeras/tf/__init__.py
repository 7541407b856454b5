"""TensorFlow's names for what minikeras has: `from minikeras import ops as _ops
from minikeras import tf`.

A table that points at ours. Where TensorFlow is not installed, later imports of `tensorflow` and
its parts in the same program find this module (`minikeras.tf.imports`).
"""

from types import SimpleNamespace as _SimpleNamespace

import minikeras as keras
from minikeras import data as data
from minikeras import initializers as initializers
from minikeras import losses as losses
from minikeras import metrics as metrics
from minikeras import ops as _ops
from minikeras import optimizers as optimizers
from minikeras.core.check import check_gradients as _check_gradients
from minikeras.core.context import state as _state
from minikeras.core.forward import ForwardAccumulator as _ForwardAccumulator
from minikeras.core.gradients import custom_gradient as custom_gradient
from minikeras.core.gradients import identity as _identity
from minikeras.core.gradients import recompute_grad as recompute_grad
from minikeras.core.gradients import stop_gradient as _stop_gradient
from minikeras.core.spec import DTYPES as _DTYPES
from minikeras.core.spec import DType as DType
from minikeras.core.spec import TensorShape as TensorShape
from minikeras.core.spec import TensorSpec as TensorSpec
from minikeras.core.spec import as_dtype as _as_dtype
from minikeras.core.tape import GradientTape as GradientTape
from minikeras.core.tape import UnconnectedGradients as UnconnectedGradients
from minikeras.core.tensor import IndexedSlices as IndexedSlices
from minikeras.core.tensor import Tensor as Tensor
from minikeras.ops.gathering import gather_nd as _gather_nd
from minikeras.tf import debugging as debugging
from minikeras.tf import errors as errors
from minikeras.tf import imports as _imports
from minikeras.tf import linalg as linalg
from minikeras.tf import math as math
from minikeras.tf import nest as nest
from minikeras.tf import nn as nn
from minikeras.tf import random as random
from minikeras.tf.adapt import adapted as _adapted
from minikeras.tf.arrays import add_n as add_n
from minikeras.tf.arrays import argmax as argmax
from minikeras.tf.arrays import argmin as argmin
from minikeras.tf.arrays import argsort as argsort
from minikeras.tf.arrays import boolean_mask as boolean_mask
from minikeras.tf.arrays import clip_by_global_norm as clip_by_global_norm
from minikeras.tf.arrays import clip_by_norm as clip_by_norm
from minikeras.tf.arrays import constant as constant
from minikeras.tf.arrays import convert_to_tensor as convert_to_tensor
from minikeras.tf.arrays import cumsum as cumsum
from minikeras.tf.arrays import ensure_shape as ensure_shape
from minikeras.tf.arrays import eye as eye
from minikeras.tf.arrays import fill as fill
from minikeras.tf.arrays import gather as gather
from minikeras.tf.arrays import norm as norm
from minikeras.tf.arrays import one_hot as one_hot
from minikeras.tf.arrays import pad as pad
from minikeras.tf.arrays import range as range
from minikeras.tf.arrays import rank as rank
from minikeras.tf.arrays import scatter_nd as scatter_nd
from minikeras.tf.arrays import shape as shape
from minikeras.tf.arrays import size as size
from minikeras.tf.arrays import sort as sort
from minikeras.tf.arrays import split as split
from minikeras.tf.arrays import unique as unique
from minikeras.tf.arrays import where as where
from minikeras.tf.debugging import Assert as Assert
from minikeras.tf.function import function as function
from minikeras.tf.function import functions_run_eagerly as _functions_run_eagerly
from minikeras.tf.function import run_functions_eagerly as _run_functions_eagerly
from minikeras.tf.module import Module as Module
from minikeras.tf.printing import print as print
from minikeras.tf.products import matmul as matmul
from minikeras.tf.variable import Variable as Variable

__version__ = keras.__version__

globals().update({dtype.name: dtype for dtype in _DTYPES.values()})
newaxis = None
half, double = _DTYPES[_as_dtype("float16")], _DTYPES[_as_dtype("float64")]

# What stands both in tf.math and at the top.
_AT_TOP = """
    abs sign negative floor round square sqrt exp sin cos tan sinh cosh tanh asin acos atan sigmoid
    add subtract multiply divide pow maximum minimum equal not_equal less less_equal greater
    greater_equal logical_and logical_or logical_not truediv floordiv reduce_sum reduce_mean
    reduce_prod reduce_max reduce_min reduce_any reduce_all reduce_logsumexp
""".split()
globals().update({name: getattr(math, name) for name in _AT_TOP})

zeros = _adapted(_ops.zeros, "shape dtype")
ones = _adapted(_ops.ones, "shape dtype")
zeros_like = _adapted(_ops.zeros_like, "input dtype")
ones_like = _adapted(_ops.ones_like, "input dtype")
linspace = _adapted(_ops.linspace, "start stop num")
cast = _adapted(_ops.cast, "x dtype")
saturate_cast = _adapted(_ops.saturate_cast, "value dtype")
tensor_scatter_nd_update = _adapted(_ops.scatter_update, "tensor indices updates")
tensor_scatter_nd_add = _adapted(_ops.scatter_update, "tensor indices updates", reduction="add")
gather_nd = _adapted(_gather_nd, "params indices")
clip_by_value = _adapted(_ops.clip, "t clip_value_min clip_value_max")
identity = _adapted(_identity, "input")
stop_gradient = _adapted(_stop_gradient, "input")
reshape = _adapted(_ops.reshape, "tensor shape")
transpose = _adapted(_ops.transpose, "a perm")
expand_dims = _adapted(_ops.expand_dims, "input axis")
squeeze = _adapted(_ops.squeeze, "input axis")
concat = _adapted(_ops.concatenate, "values axis")
stack = _adapted(_ops.stack, "values axis")
unstack = _adapted(_ops.unstack, "value num axis")
tile = _adapted(_ops.tile, "input multiples")
repeat = _adapted(_ops.repeat, "input repeats axis")
reverse = _adapted(_ops.flip, "tensor axis")
roll = _adapted(_ops.roll, "input shift axis")
broadcast_to = _adapted(_ops.broadcast_to, "input shape")
meshgrid = _adapted(_ops.meshgrid)
searchsorted = _adapted(_ops.searchsorted, "sorted_sequence values side")
tensordot = _adapted(_ops.tensordot, "a b axes")
einsum = _adapted(_ops.einsum)
cond = _adapted(_ops.cond, "pred true_fn false_fn")
_LOOPS = "parallel_iterations back_prop swap_memory infer_shape shape_invariants"
_NAMES = "cond body loop_vars maximum_iterations"
while_loop = _adapted(_ops.while_loop, _NAMES, _LOOPS)
map_fn = _adapted(_ops.map, "fn elems", f"{_LOOPS} dtype fn_output_signature")
vectorized_map = _adapted(_ops.vectorized_map, "fn elems")
is_tensor = _adapted(_ops.is_tensor)
top_k = _adapted(_ops.top_k, "input k sorted")

autodiff = _SimpleNamespace(GradientTape=GradientTape, ForwardAccumulator=_ForwardAccumulator)
test = _SimpleNamespace(check_gradients=_check_gradients)
config = _SimpleNamespace(
    list_physical_devices=lambda device_type=None: [],
    run_functions_eagerly=_run_functions_eagerly,
    functions_run_eagerly=_functions_run_eagerly,
)
dtypes = _SimpleNamespace(DType=DType, as_dtype=lambda dtype: _DTYPES[_as_dtype(dtype)])


def executing_eagerly() -> bool:
    """Tell whether ops compute at once: not while a function is traced."""
    return _state.trace is None or _state.scope is None


_imports.answer_for_tensorflow()
