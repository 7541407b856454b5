"""keras.ops that reduce, sort, reshape, index and create arrays."""

import numpy as np

from tests.golden import operation
from tests.golden.recipe import array, distinct, integers, normal

FAMILY = "ops_arrays"
run = operation.run

MATRIX = distinct(3, 4, low=-2.0, high=2.0)
CUBE = distinct(2, 3, 4, low=-2.0, high=2.0, seed=1)
OTHER = distinct(3, 4, seed=2)
VECTOR = distinct(5, seed=3)
POSITIVE = distinct(2, 3, 4, low=0.3, high=2.0, seed=4)
WHOLE = integers(3, 4, low=-5, high=5, seed=5)
TRUTH = array([[True, False, True], [True, True, True]], "bool")
HOLES = array([[1.0, np.nan, 3.0], [np.nan, np.nan, 2.0]])
EMPTY = np.zeros((0, 3), "float32")
TIES = array([[2.0, 1.0, 2.0], [0.0, 0.0, 0.0]])

AXES = [{}, {"axis": 1}, {"axis": -1, "keepdims": True}, {"axis": (0, 2)}]
ONE_AXIS = [{}, {"axis": 1}, {"axis": -1, "keepdims": True}]
REDUCTIONS = "amax amin logsumexp max mean min prod ptp std sum var".split()
NAN_REDUCTIONS = "nanmax nanmean nanmin nanprod nanstd nansum nanvar".split()

# ops with gradients: (op, args[, kwargs])
REDUCE = [(op, [POSITIVE], kwargs) for op in REDUCTIONS for kwargs in AXES]
REDUCE += [("median", [CUBE], kwargs) for kwargs in AXES]
REDUCE += [(op, [CUBE], kwargs) for op in ("cumsum", "cumprod") for kwargs in ({}, {"axis": 1})]
REDUCE += [
    ("average", [MATRIX]),
    ("average", [MATRIX], {"axis": 1}),
    ("average", [MATRIX], {"axis": 0, "weights": array([1.0, 2.0, 3.0])}),
    ("count_nonzero", [WHOLE]),
    ("count_nonzero", [WHOLE], {"axis": 1}),
    ("max", [MATRIX], {"initial": 1.5, "axis": 1}),
    ("min", [MATRIX], {"initial": -1.5, "axis": 1}),
    ("moments", [CUBE, [0, 1]]),
    ("moments", [CUBE, [-1]], {"keepdims": True}),
    ("norm", [MATRIX]),
    ("norm", [MATRIX], {"axis": 1}),
    ("norm", [MATRIX], {"axis": 1, "ord": 1}),
    ("norm", [MATRIX], {"axis": 1, "ord": 3}),
    ("norm", [MATRIX], {"axis": 1, "ord": np.inf}),
    ("norm", [MATRIX], {"axis": 1, "ord": -np.inf, "keepdims": True}),
    ("norm", [MATRIX], {"ord": "fro"}),
    ("norm", [MATRIX], {"ord": 1, "axis": (0, 1)}),
    ("norm", [MATRIX], {"ord": np.inf, "axis": (0, 1)}),
    ("norm", [MATRIX], {"ord": "nuc", "axis": (0, 1)}),
    ("norm", [MATRIX], {"ord": 2, "axis": (0, 1)}),
    ("quantile", [CUBE, 0.3]),
    ("quantile", [MATRIX, [0.25, 0.5]], {"axis": 1}),
    ("quantile", [MATRIX, 0.4], {"axis": 0, "method": "nearest", "keepdims": True}),
    ("quantile", [MATRIX, 0.4], {"axis": 0, "method": "lower"}),
    ("quantile", [MATRIX, 0.4], {"axis": 0, "method": "higher"}),
    ("quantile", [MATRIX, 0.4], {"axis": 0, "method": "midpoint"}),
    ("percentile", [MATRIX, 30.0]),
    ("percentile", [MATRIX, 30.0], {"axis": 1}),
    ("trapezoid", [MATRIX]),
    ("trapezoid", [MATRIX], {"dx": 0.5, "axis": 0}),
    ("trapezoid", [MATRIX, array([0.0, 1.0, 3.0, 4.0])]),
    ("sum", [CUBE.astype("float64")], {"axis": 1}),
    ("var", [CUBE.astype("float64")], {"axis": 1}),
]
SHAPE = [
    ("append", [MATRIX, OTHER]),
    ("append", [MATRIX, OTHER], {"axis": 1}),
    ("array_split", [VECTOR, 3]),
    ("broadcast_to", [VECTOR, (2, 5)]),
    ("concatenate", [[MATRIX, OTHER]]),
    ("concatenate", [[MATRIX, OTHER]], {"axis": -1}),
    ("copy", [MATRIX]),
    ("diag", [VECTOR]),
    ("diag", [VECTOR], {"k": 1}),
    ("diag", [MATRIX]),
    ("diag", [MATRIX], {"k": -1}),
    ("diagflat", [MATRIX]),
    ("diagonal", [CUBE], {"axis1": 1, "axis2": 2}),
    ("diagonal", [MATRIX], {"offset": 1}),
    ("diff", [MATRIX]),
    ("diff", [MATRIX], {"n": 2, "axis": 0}),
    ("dsplit", [CUBE, 2]),
    ("dstack", [[MATRIX, OTHER]]),
    ("expand_dims", [MATRIX, 1]),
    ("expand_dims", [MATRIX, (0, -1)]),
    ("flip", [MATRIX]),
    ("flip", [MATRIX], {"axis": 1}),
    ("fliplr", [MATRIX]),
    ("flipud", [MATRIX]),
    ("hsplit", [MATRIX, 2]),
    ("hstack", [[MATRIX, OTHER]]),
    ("meshgrid", [VECTOR, VECTOR[:2].copy()]),
    ("meshgrid", [VECTOR, VECTOR[:2].copy()], {"indexing": "ij"}),
    ("moveaxis", [CUBE, 0, -1]),
    ("moveaxis", [CUBE, (0, 1), (1, 0)]),
    ("pad", [MATRIX, ((1, 0), (0, 2))]),
    ("pad", [MATRIX, ((1, 1), (0, 1))], {"constant_values": 3.0}),
    ("pad", [MATRIX, ((1, 1), (2, 1))], {"mode": "reflect"}),
    ("pad", [MATRIX, ((1, 1), (2, 1))], {"mode": "symmetric"}),
    ("ravel", [MATRIX]),
    ("rearrange", [CUBE, "b h (w c) -> (b h) c w"], {"c": 2}),
    ("repeat", [MATRIX, 2]),
    ("repeat", [MATRIX, 2], {"axis": 1}),
    ("repeat", [MATRIX, [1, 0, 2]], {"axis": 0}),
    ("reshape", [MATRIX, (2, 6)]),
    ("reshape", [MATRIX, (-1, 2)]),
    ("reshape", [MATRIX, -1]),
    ("roll", [MATRIX, 2]),
    ("roll", [MATRIX, -1], {"axis": 1}),
    ("rot90", [MATRIX]),
    ("rot90", [MATRIX], {"k": 3}),
    ("split", [MATRIX, 2], {"axis": 1}),
    ("split", [VECTOR, [1, 3]]),
    ("squeeze", [CUBE[:1].copy()]),
    ("squeeze", [CUBE[:1].copy()], {"axis": 0}),
    ("stack", [[MATRIX, OTHER]]),
    ("stack", [[MATRIX, OTHER]], {"axis": -1}),
    ("swapaxes", [CUBE, 0, 2]),
    ("tile", [VECTOR, 2]),
    ("tile", [MATRIX, (2, 1)]),
    ("tile", [VECTOR, (2, 2)]),
    ("trace", [MATRIX]),
    ("trace", [CUBE], {"offset": 1, "axis1": 1, "axis2": 2}),
    ("transpose", [CUBE]),
    ("transpose", [CUBE, (1, 0, 2)]),
    ("tril", [MATRIX]),
    ("tril", [CUBE], {"k": -1}),
    ("triu", [MATRIX]),
    ("triu", [MATRIX], {"k": 1}),
    ("unstack", [MATRIX]),
    ("unstack", [MATRIX], {"axis": 1}),
    ("vander", [VECTOR]),
    ("vander", [VECTOR], {"N": 3, "increasing": True}),
    ("vsplit", [MATRIX, 3]),
    ("vstack", [[MATRIX, OTHER]]),
]
INDEX = [
    ("sort", [MATRIX]),
    ("sort", [MATRIX], {"axis": 0}),
    ("take", [MATRIX, array([0, 11, 0], "int32")]),
    ("take", [MATRIX, array([[0, 2], [2, 1]], "int32")], {"axis": 0}),
    ("take", [MATRIX, array([-1, 0], "int32")], {"axis": 1}),
    ("take_along_axis", [MATRIX, array([[0, 3], [1, 1], [2, 0]], "int32")], {"axis": 1}),
    ("take_along_axis", [MATRIX, array([[0, 2, -1, 1]], "int32")], {"axis": 0}),
    ("get_item", [MATRIX, (slice(None), 1)]),
    ("get_item", [MATRIX, (Ellipsis, None, slice(1, 3))]),
    ("slice", [MATRIX, (1, 0), (2, 3)]),
    ("scatter", [array([[0], [2], [0]], "int32"), array([1.0, 2.0, 4.0]), (4,)]),
    ("scatter_update", [MATRIX, array([[0, 1], [2, 3]], "int32"), array([7.0, 8.0])]),
    (
        "scatter_update",
        [VECTOR, array([[1], [1]], "int32"), array([7.0, 8.0])],
        {"reduction": "add"},
    ),
    ("scatter_update", [VECTOR, array([[1]], "int32"), array([7.0])], {"reduction": "max"}),
    ("scatter_update", [VECTOR, array([[1]], "int32"), array([7.0])], {"reduction": "min"}),
    ("scatter_update", [VECTOR, array([[1]], "int32"), array([7.0])], {"reduction": "mul"}),
    ("top_k", [MATRIX, 2]),
    ("segment_sum", [MATRIX, array([0, 2, 0], "int32")], {"num_segments": 4}),
    ("segment_max", [MATRIX, array([0, 2, 2], "int32")], {"num_segments": 3}),
    ("segment_min", [MATRIX, array([0, 2, 2], "int32")], {"num_segments": 3}),
    ("segment_prod", [MATRIX, array([0, 2, 2], "int32")], {"num_segments": 3}),
    ("unfold", [distinct(1, 2, 4, 5), 2]),
    ("unfold", [distinct(1, 2, 4, 5), (2, 3)], {"padding": 1, "stride": 2}),
]
VALUES = [(op, [HOLES], kwargs) for op in NAN_REDUCTIONS for kwargs in ({}, {"axis": 1})]
VALUES += [(op, [MATRIX], kwargs) for op in ("argmax", "argmin") for kwargs in ONE_AXIS]
VALUES += [(op, [TIES], {"axis": 1}) for op in ("argmax", "argmin", "argsort")]
VALUES += [(op, [TRUTH], kwargs) for op in ("all", "any") for kwargs in ONE_AXIS]
OF_INTEGERS = [op for op in REDUCTIONS if op != "logsumexp"]  # logsumexp refuses them
VALUES += [(op, [WHOLE]) for op in (*OF_INTEGERS, "cumsum", "cumprod", "median", "average")]
VALUES += [(op, [WHOLE.astype("int64")]) for op in (*OF_INTEGERS, "cumsum", "cumprod")]
VALUES += [(op, [TRUTH]) for op in ("sum", "mean", "max", "min", "prod", "cumsum", "argmax")]
VALUES += [(op, [WHOLE.astype("uint8")]) for op in ("sum", "prod", "mean", "cumsum")]
VALUES += [(op, [HOLES], {"axis": 1}) for op in ("max", "min", "sum", "mean")]
VALUES += [(op, [EMPTY], {"axis": 0}) for op in ("sum", "prod", "mean", "all", "any", "var")]
VALUES += [(op, [array([3.0])]) for op in ("std", "var", "logsumexp", "median")]
VALUES += [
    ("slice_update", [MATRIX, (1, 0), OTHER[:2, :3].copy()]),  # no gradient in TensorFlow
    ("argsort", [MATRIX]),
    ("argsort", [MATRIX], {"axis": 0}),
    ("arange", [5]),
    ("arange", [1, 10, 3]),
    ("arange", [0.0, 1.0, 0.25]),
    ("arange", [3], {"dtype": "float64"}),
    ("array", [[1, 2]]),
    ("array", [[1.0, 2.0]]),
    ("array", [True]),
    ("convert_to_tensor", [[1, 2]]),
    ("convert_to_tensor", [[1.0, 2.0]]),
    ("convert_to_tensor", [[1.0, 2.0]], {"dtype": "float64"}),
    ("convert_to_tensor", [3]),
    ("bincount", [array([0, 1, 1, 5], "int32")]),
    ("bincount", [array([0, 1, 1], "int32")], {"minlength": 5}),
    ("bincount", [array([0, 1, 1], "int32")], {"weights": array([0.5, 1.0, 2.0])}),
    ("digitize", [MATRIX, array([-1.0, 0.0, 1.0])]),
    ("empty", [(0, 2)]),
    ("eye", [3]),
    ("eye", [2, 4]),  # with k=1 Keras returns (3, 5), a bug
    ("eye", [2], {"dtype": "int32"}),
    ("full", [(2, 2), 3]),
    ("full", [(2, 2), 3.0]),
    ("full", [(2,), 3], {"dtype": "int32"}),
    ("full_like", [WHOLE, 2]),
    ("full_like", [MATRIX, 2]),
    ("histogram", [VECTOR], {"bins": 4}),
    ("histogram", [VECTOR], {"bins": 4, "range": (-1, 1)}),
    ("identity", [2]),
    ("in_top_k", [array([1, 0, 3], "int32"), MATRIX, 2]),
    ("isin", [WHOLE, array([1, 2], "int32")]),
    ("isin", [WHOLE, array([1, 2], "int32")], {"invert": True}),
    ("linspace", [0.0, 1.0], {"num": 5}),
    ("linspace", [0.0, 1.0], {"num": 5, "endpoint": False}),
    ("linspace", [0, 10], {"num": 3}),
    ("linspace", [0.0, 1.0], {"num": 5, "retstep": True}),
    ("logspace", [0.0, 2.0], {"num": 3}),
    ("logspace", [0.0, 2.0], {"num": 3, "base": 2}),
    ("multi_hot", [array([[0, 2], [1, 1]], "int32")], {"num_classes": 4}),
    ("ndim", [CUBE]),
    ("nonzero", [TRUTH]),
    ("one_hot", [array([0, 2, -1, 5], "int32"), 3]),
    ("one_hot", [array([0, 2], "int32"), 3], {"axis": 0}),
    ("one_hot", [array([0, 2], "int32"), 3], {"dtype": "int32"}),
    ("ones", [(2, 1)]),
    ("ones_like", [WHOLE]),
    ("ones_like", [WHOLE], {"dtype": "float32"}),
    ("searchsorted", [array([1.0, 2.0, 2.0, 3.0]), array([2.0, 0.0, 9.0])]),
    ("searchsorted", [array([1.0, 2.0, 2.0, 3.0]), array([2.0])], {"side": "right"}),
    ("shape", [CUBE]),
    ("size", [CUBE]),
    ("sort", [WHOLE]),
    ("sort", [TIES]),
    ("top_k", [TIES, 2]),
    ("top_k", [WHOLE, 1]),
    ("tri", [3]),
    ("tri", [2, 3], {"k": 1}),
    ("unique", [WHOLE]),
    (
        "unique",
        [WHOLE],
        {"return_index": True, "return_inverse": True, "return_counts": True},
    ),
    ("unique", [array([3, 1, 3], "int32")], {"size": 4, "fill_value": 0}),
    ("zeros", [(2, 1)]),
    ("zeros", [2], {"dtype": "bool"}),
    ("zeros_like", [MATRIX]),
    ("logsumexp", [array([-np.inf, -np.inf])]),
    ("logsumexp", [array([np.inf, 1.0])]),
    ("logsumexp", [array([1e4, 1e4])]),
    ("mean", [np.full((1000,), 60000.0, "float16")]),
    ("sum", [normal(4, 3, dtype="float16")], {"axis": 0}),
    ("nanargmax", [HOLES], {"axis": 1}),
    ("nanargmin", [HOLES], {"axis": 1}),
    ("nanmedian", [HOLES], {"axis": 1}),
]
CASES = operation.rows(FAMILY, REDUCE + SHAPE + INDEX)
CASES += [
    case._replace(name=f"{case.name}_value") for case in operation.rows(FAMILY, VALUES, grad=False)
]
