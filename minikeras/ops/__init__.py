"""Everything that computes with tensors, under the names of `keras.ops`."""

# Lists of names, not code:
# fmt: off
from minikeras.core.gradients import custom_gradient, stop_gradient
from minikeras.ops import operators as _operators
from minikeras.ops.activations import (
    celu, elu, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_swish, hard_tanh, leaky_relu,
    log_sigmoid, log_softmax, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus,
    softsign, squareplus, swish, tanh_shrink, threshold,
)
from minikeras.ops.attention import dot_product_attention
from minikeras.ops.contraction import einsum
from minikeras.ops.control import (
    cond, fori_loop, map, scan, switch, vectorize, vectorized_map, while_loop,
)
from minikeras.ops.convolution import conv, conv_transpose, depthwise_conv, separable_conv
from minikeras.ops.creation import (
    arange, array, convert_to_numpy, convert_to_tensor, empty, empty_like, eye, full, full_like,
    identity, is_tensor, linspace, logspace, ones, ones_like, tri, zeros, zeros_like,
)
from minikeras.ops.crossentropy import (
    binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy,
)
from minikeras.ops.cumulative import cumprod, cumsum, diff
from minikeras.ops.diagonals import diag, diagflat, diagonal, trace, tril, triu
from minikeras.ops.elementwise import (
    abs, absolute, add, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, cast, cbrt,
    ceil, clip, cos, cosh, deg2rad, divide, divide_no_nan, equal, exp, exp2, expm1, fabs, floor,
    floor_divide, fmax, fmin, greater, greater_equal, heaviside, hypot, isclose, isfinite, isinf,
    isnan, isneginf, isposinf, less, less_equal, log, log10, log1p, log2, logaddexp, logical_and,
    logical_not, logical_or, logical_xor, maximum, minimum, mod, multiply, nan_to_num, negative,
    not_equal, power, rad2deg, reciprocal, round, rsqrt, saturate_cast, select, sign, sin, sinc,
    sinh, sqrt, square, subtract, tan, tanh, true_divide, trunc, where,
)
from minikeras.ops.gathering import multi_hot, one_hot, take, take_along_axis
from minikeras.ops.indexing import get_item, nonzero, slice, slice_update
from minikeras.ops.joining import (
    append, array_split, concatenate, dsplit, dstack, hsplit, hstack, split, stack, unstack, vsplit,
    vstack,
)
from minikeras.ops.linalg import cholesky, eigh, lu_factor, matrix_rank, norm, qr, svd
from minikeras.ops.normalization import (
    batch_normalization, layer_normalization, normalize, rms_normalization,
)
from minikeras.ops.pooling import average_pool, max_pool
from minikeras.ops.products import cross, dot, inner, kron, matmul, outer, tensordot, vdot
from minikeras.ops.reduction import (
    all, allclose, amax, amin, any, argmax, argmin, count_nonzero, logsumexp, max, mean, min, prod,
    ptp, sum, trapezoid,
)
from minikeras.ops.repeating import meshgrid, pad, repeat, roll, tile
from minikeras.ops.scattering import (
    bincount, scatter, scatter_update, segment_max, segment_min, segment_prod, segment_sum,
)
from minikeras.ops.shaping import (
    broadcast_to, copy, expand_dims, flip, fliplr, flipud, moveaxis, ndim, ravel, rearrange,
    reshape, rot90, shape, size, squeeze, swapaxes, transpose,
)
from minikeras.ops.solving import det, inv, logdet, lstsq, pinv, slogdet, solve, solve_triangular
from minikeras.ops.sorting import (
    argsort, digitize, in_top_k, isin, searchsorted, sort, top_k, unique,
)
from minikeras.ops.special import erf, erfc, erfinv
from minikeras.ops.statistics import (
    average, median, moments, nanargmax, nanargmin, nanmax, nanmean, nanmedian, nanmin, nanprod,
    nanstd, nansum, nanvar, percentile, quantile, std, var,
)

__all__ = [
    "abs", "absolute", "add", "all", "allclose", "amax", "amin", "any", "append", "arange",
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin",
    "argsort", "array", "array_split", "average", "average_pool", "batch_normalization",
    "binary_crossentropy", "bincount", "broadcast_to", "cast", "categorical_crossentropy", "cbrt",
    "ceil", "celu", "cholesky", "clip", "concatenate", "cond", "conv", "conv_transpose",
    "convert_to_numpy", "convert_to_tensor", "copy", "cos", "cosh", "count_nonzero", "cross",
    "cumprod", "cumsum", "custom_gradient", "deg2rad", "depthwise_conv", "det", "diag", "diagflat",
    "diagonal", "diff", "digitize", "divide", "divide_no_nan", "dot", "dot_product_attention",
    "dsplit", "dstack", "eigh", "einsum", "elu", "empty", "empty_like", "equal", "erf", "erfc",
    "erfinv", "exp", "exp2", "expand_dims", "expm1", "eye", "fabs", "flip", "fliplr", "flipud",
    "floor", "floor_divide", "fmax", "fmin", "fori_loop", "full", "full_like", "gelu", "get_item",
    "glu", "greater", "greater_equal", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "heaviside", "hsplit", "hstack", "hypot", "identity", "in_top_k", "inner", "inv",
    "is_tensor", "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf", "kron",
    "layer_normalization", "leaky_relu", "less", "less_equal", "linspace", "log", "log10", "log1p",
    "log2", "log_sigmoid", "log_softmax", "logaddexp", "logdet", "logical_and", "logical_not",
    "logical_or", "logical_xor", "logspace", "logsumexp", "lstsq", "lu_factor", "map", "matmul",
    "matrix_rank", "max", "max_pool", "maximum", "mean", "median", "meshgrid", "min", "minimum",
    "mod", "moments", "moveaxis", "multi_hot", "multiply", "nan_to_num", "nanargmax", "nanargmin",
    "nanmax", "nanmean", "nanmedian", "nanmin", "nanprod", "nanstd", "nansum", "nanvar", "ndim",
    "negative", "nonzero", "norm", "normalize", "not_equal", "one_hot", "ones", "ones_like",
    "outer", "pad", "percentile", "pinv", "power", "prod", "ptp", "qr", "quantile", "rad2deg",
    "ravel", "rearrange", "reciprocal", "relu", "relu6", "repeat", "reshape", "rms_normalization",
    "roll", "rot90", "round", "rsqrt", "saturate_cast", "scan", "scatter", "scatter_update",
    "searchsorted", "segment_max", "segment_min", "segment_prod", "segment_sum", "select", "selu",
    "separable_conv", "shape", "sigmoid", "sign", "silu", "sin", "sinc", "sinh", "size", "slice",
    "slice_update", "slogdet", "soft_shrink", "softmax", "softplus", "softsign", "solve",
    "solve_triangular", "sort", "sparse_categorical_crossentropy", "split", "sqrt", "square",
    "squareplus", "squeeze", "stack", "std", "stop_gradient", "subtract", "sum", "svd", "swapaxes",
    "swish", "switch", "take", "take_along_axis", "tan", "tanh", "tanh_shrink", "tensordot",
    "threshold", "tile", "top_k", "trace", "transpose", "trapezoid", "tri", "tril", "triu",
    "true_divide", "trunc", "unique", "unstack", "var", "vdot", "vectorize", "vectorized_map",
    "vsplit", "vstack", "where", "while_loop", "zeros", "zeros_like",
]
