"""Gradients where a derivative does not exist or a formula breaks down: first and second order."""

import numpy as np

from tests.golden.recipe import Case, array, plain

FAMILY = "edges"
INF = np.inf


def run(keras, tf, function, points):
    """Return the value, the gradient of its sum, and the gradient of that gradient's sum."""
    sources = [keras.ops.convert_to_tensor(point) for point in points]
    with tf.GradientTape() as outer:
        outer.watch(sources)
        with tf.GradientTape() as inner:
            inner.watch(sources)
            outputs = function(keras, tf, *sources)
        first = inner.gradient(outputs, sources)
    results = {"y": plain(keras, outputs)}
    for index, slope in enumerate(first):
        results[f"first.{index}"] = plain(keras, slope)
    known = [slope for slope in first if slope is not None]
    second = outer.gradient(known, sources) if known else []
    for index, slope in enumerate(second):
        # A second derivative of nothing may be None or zeros, as the rules happen to be written.
        zeros = np.zeros_like(points[index])
        results[f"second.{index}"] = zeros if slope is None else plain(keras, slope)
    return results


def ops(name, **kwargs):
    """Return the op of keras.ops as a function of (keras, tf, *tensors)."""
    return lambda keras, tf, *xs: getattr(keras.ops, name)(*xs, **kwargs)


def nn(name, **kwargs):
    """Return the function of tf.nn as a function of (keras, tf, *tensors)."""
    return lambda keras, tf, *xs: getattr(tf.nn, name)(*xs, **kwargs)


def face(name, **kwargs):
    """Return the function of tf as a function of (keras, tf, *tensors)."""
    return lambda keras, tf, *xs: getattr(tf, name)(*xs, **kwargs)


def maths(name, **kwargs):
    """Return the function of tf.math as a function of (keras, tf, *tensors)."""
    return lambda keras, tf, *xs: getattr(tf.math, name)(*xs, **kwargs)


TIE = array([[3.0, 1.0, 3.0], [2.0, 2.0, 2.0]])
ONE_ZERO = array([2.0, 0.0, 3.0, 4.0])
TWO_ZEROS = array([2.0, 0.0, 0.0, 4.0])
PATCH = np.zeros((1, 4, 4, 1), "float32")

# name, function, points
TABLE = [
    ("abs_at_0", ops("abs"), [[-1.0, -0.0, 0.0, 2.0]]),
    ("sign_at_0", ops("sign"), [[-1.0, 0.0, 2.0]]),
    ("floor", ops("floor"), [[-1.5, 2.0]]),
    ("round", ops("round"), [[-1.5, 2.0]]),
    ("relu_at_0", ops("relu"), [[-1.0, 0.0, 2.0]]),
    ("tf_relu_at_0", nn("relu"), [[-1.0, 0.0, 2.0]]),
    ("relu6_at_0_and_6", ops("relu6"), [[0.0, 6.0, 5.0, 7.0]]),
    ("tf_relu6_at_0_and_6", nn("relu6"), [[0.0, 6.0, 5.0, 7.0]]),
    ("leaky_relu_at_0", ops("leaky_relu"), [[-1.0, 0.0, 2.0]]),
    ("tf_leaky_relu_at_0", nn("leaky_relu"), [[-1.0, 0.0, 2.0]]),
    ("elu_at_0", ops("elu"), [[-1.0, 0.0, 2.0]]),
    ("selu_at_0", ops("selu"), [[-1.0, 0.0, 2.0]]),
    ("celu_at_0", ops("celu"), [[-1.0, 0.0, 2.0]]),
    ("hard_sigmoid_at_edges", ops("hard_sigmoid"), [[-3.0, 0.0, 3.0]]),
    ("hard_tanh_at_edges", ops("hard_tanh"), [[-1.0, 0.0, 1.0]]),
    ("softplus_large", ops("softplus"), [[-200.0, 0.0, 200.0]]),
    ("sigmoid_large", ops("sigmoid"), [[-200.0, 0.0, 200.0]]),
    ("log_sigmoid_large", ops("log_sigmoid"), [[-200.0, 0.0, 200.0]]),
    ("maximum_tie", ops("maximum"), [[1.0, 2.0, 3.0], [1.0, 5.0, 0.0]]),
    ("minimum_tie", ops("minimum"), [[1.0, 2.0, 3.0], [1.0, 5.0, 0.0]]),
    ("tf_maximum_tie", face("maximum"), [[1.0, 2.0, 3.0], [1.0, 5.0, 0.0]]),
    ("maximum_of_itself", lambda k, tf, x: k.ops.maximum(x, x), [[1.0, 2.0]]),
    ("maximum_nan", ops("maximum"), [[np.nan, 1.0], [1.0, np.nan]]),
    ("max_tie", ops("max"), [TIE]),
    ("max_tie_axis", ops("max", axis=1), [TIE]),
    ("min_tie_axis", ops("min", axis=1), [TIE]),
    ("tf_reduce_max_tie", face("reduce_max", axis=1), [TIE]),
    ("amax_tie", ops("amax", axis=1), [TIE]),
    ("sort_tie", lambda k, tf, x: k.ops.sort(x) * array([1.0, 10.0, 100.0]), [TIE]),
    ("top_k_tie", lambda k, tf, x: k.ops.top_k(x, 2)[0] * array([1.0, 10.0]), [TIE]),
    ("median_tie", ops("median", axis=1), [TIE]),
    ("max_pool_tie", ops("max_pool", pool_size=2), [PATCH]),
    ("max_pool_overlap_tie", ops("max_pool", pool_size=3, strides=1, padding="same"), [PATCH]),
    ("clip_edges", ops("clip", x_min=-1.0, x_max=1.0), [[-2.0, -1.0, 0.0, 1.0, 2.0]]),
    (
        "tf_clip_by_value_edges",
        lambda k, tf, x: tf.clip_by_value(x, -1.0, 1.0),
        [[-2.0, -1.0, 0.0, 1.0, 2.0]],
    ),
    ("sqrt_at_0", ops("sqrt"), [[0.0, 4.0]]),
    ("rsqrt_at_0", ops("rsqrt"), [[0.0, 4.0]]),
    ("cbrt_at_0", ops("cbrt"), [[0.0, 8.0]]),
    ("log_at_0", ops("log"), [[0.0, 2.0]]),
    ("log1p_at_minus_1", ops("log1p"), [[-1.0, 0.0]]),
    ("reciprocal_at_0", ops("reciprocal"), [[0.0, 2.0]]),
    ("divide_by_0", ops("divide"), [[1.0, 0.0], [0.0, 0.0]]),
    ("exp_overflow", ops("exp"), [[100.0, -200.0]]),
    ("arcsin_at_1", ops("arcsin"), [[1.0, 0.0]]),
    ("arctanh_at_1", ops("arctanh"), [[1.0, 0.0]]),
    ("arctan2_at_0", ops("arctan2"), [[0.0, 1.0], [0.0, 0.0]]),
    ("hypot_at_0", ops("hypot"), [[0.0, 3.0], [0.0, 4.0]]),
    ("power_base_0", ops("power"), [[0.0, 0.0, 0.0], [2.0, 1.0, 0.5]]),
    ("power_0_to_0", ops("power"), [[0.0], [0.0]]),
    ("power_negative_base", ops("power"), [[-2.0, -2.0], [2.0, 3.0]]),
    ("square_by_power", lambda k, tf, x: x**2, [[-2.0, 0.0]]),
    ("root_by_power", lambda k, tf, x: x**0.5, [[0.0, 4.0]]),
    ("prod_no_zero", ops("prod"), [[2.0, 3.0, 4.0]]),
    ("prod_one_zero", ops("prod"), [ONE_ZERO]),
    ("prod_two_zeros", ops("prod"), [TWO_ZEROS]),
    ("tf_reduce_prod_one_zero", face("reduce_prod"), [ONE_ZERO]),
    ("cumprod_one_zero", ops("cumprod"), [ONE_ZERO]),
    ("cumprod_two_zeros", ops("cumprod"), [TWO_ZEROS]),
    ("tf_cumprod_one_zero", maths("cumprod"), [ONE_ZERO]),
    ("norm_at_0", ops("norm"), [[0.0, 0.0]]),
    ("norm_axis_at_0", ops("norm", axis=1), [[[0.0, 0.0], [3.0, 4.0]]]),
    ("norm_1_at_0", ops("norm", ord=1), [[0.0, 2.0]]),
    ("tf_norm_at_0", face("norm"), [[0.0, 0.0]]),
    ("std_of_constant", ops("std"), [[2.0, 2.0]]),
    ("tf_reduce_std_of_constant", maths("reduce_std"), [[2.0, 2.0]]),
    ("var_of_constant", ops("var"), [[2.0, 2.0]]),
    ("divide_no_nan", ops("divide_no_nan"), [[1.0, 0.0, 6.0], [0.0, 0.0, 3.0]]),
    ("tf_divide_no_nan", maths("divide_no_nan"), [[1.0, 0.0, 6.0], [0.0, 0.0, 3.0]]),
    ("normalize_at_0", ops("normalize"), [[[0.0, 0.0], [3.0, 4.0]]]),
    ("tf_l2_normalize_at_0", lambda k, tf, x: tf.math.l2_normalize(x), [[0.0, 0.0]]),
    ("logsumexp_minus_infinity", ops("logsumexp"), [[-INF, -INF]]),
    ("logsumexp_one_minus_infinity", ops("logsumexp"), [[-INF, 1.0]]),
    ("softmax_minus_infinity", ops("softmax"), [[-INF, 0.0, 1.0]]),
    ("logaddexp_equal", ops("logaddexp"), [[1.0, -INF], [1.0, -INF]]),
    ("layer_normalization_constant", ops("layer_normalization"), [[[2.0, 2.0, 2.0]]]),
    ("gather_duplicates", lambda k, tf, x: k.ops.take(x, [1, 1, 0]) ** 2, [[2.0, 3.0, 5.0]]),
    ("stop_gradient", lambda k, tf, x: k.ops.stop_gradient(x) * x, [[2.0, 3.0]]),
    ("argmax_has_none", ops("argmax"), [[2.0, 3.0]]),
    ("comparison_has_none", lambda k, tf, x: k.ops.cast(x > 2.0, "float32"), [[2.0, 3.0]]),
    (
        "through_integers_is_none",
        lambda k, tf, x: k.ops.cast(k.ops.cast(x, "int32"), "float32"),
        [[2.5]],
    ),
    ("cast_keeps_gradient", lambda k, tf, x: k.ops.cast(x, "float64") ** 2, [[2.5]]),
    ("mod", ops("mod"), [[5.5, -5.5], [2.0, 2.0]]),
    ("floor_divide", ops("floor_divide"), [[5.5], [2.0]]),
    ("trunc", ops("trunc"), [[5.5]]),
]


def trap(name, inside):
    """Name a where-trap: the branch not taken has an infinite derivative."""
    return (
        f"where_trap_{name}",
        lambda k, tf, x: k.ops.where(x > 0, inside(k, x), 0.0 * x),
        [[0.0, 4.0]],
    )


TABLE += [
    trap("sqrt", lambda k, x: k.ops.sqrt(x)),
    trap("log", lambda k, x: k.ops.log(x)),
    trap("reciprocal", lambda k, x: 1.0 / x),
    trap("power", lambda k, x: x**0.5),
    trap("rsqrt", lambda k, x: k.ops.rsqrt(x)),
    ("where_trap_exp", lambda k, tf, x: k.ops.where(x > 50, 0.0 * x, k.ops.exp(x)), [[100.0, 1.0]]),
]
# Keras' NaN is no convention here, only what its formula happens to give.
ACCIDENTS = "cbrt_at_0 arctan2_at_0 power_0_to_0 logsumexp_minus_infinity".split()
PRODUCT = "TensorFlow divides by the element, and 0/0 counts as 0"
TIE_OF_HALVES = "both, or neither, of the halves of Keras' formula pass the gradient"
# What TensorFlow gives is not the derivative, or at a kink not more right than another value.
WRONG = {
    "cumprod_one_zero": (("first", "second"), PRODUCT),
    "cumprod_two_zeros": (("first", "second"), PRODUCT),
    "tf_cumprod_one_zero": (("first", "second"), PRODUCT),
    "prod_one_zero": (("second",), PRODUCT),
    "prod_two_zeros": (("second",), PRODUCT),
    "tf_reduce_prod_one_zero": (("second",), PRODUCT),
    "celu_at_0": (("first", "second"), TIE_OF_HALVES),
    "logaddexp_equal": (("first", "second"), TIE_OF_HALVES),
    "elu_at_0": (("second",), "left and right second derivative differ"),
    "selu_at_0": (("second",), "left and right second derivative differ"),
    "maximum_nan": (("first", "second"), "NaN is neither greater nor smaller"),
}


def case(name, function, points):
    """Make a case, with its reason if Keras is not followed."""
    spec = {"function": function, "points": [array(point) for point in points]}
    free = ("first", "second") if name in ACCIDENTS else ("second",)
    wrong, why = WRONG.get(name, ((), ""))
    if name.startswith("where_trap"):
        wrong, why = ("second",), "NaN or 0, as each rule happens to guard"
    return Case(FAMILY, name, spec, free=free, wrong=wrong, why=why)


CASES = [case(*row) for row in TABLE]
