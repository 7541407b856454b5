"""Layers beyond the first ones: one axis, transposed, recurrent, attention, padding, merging."""

from tests.golden import layers
from tests.golden.recipe import Case, array, distinct, normal, uniform

FAMILY = "layers_later"
FOR_MAKER = layers.FOR_MAKER
run = layers.run

IMAGE = distinct(2, 6, 5, 4, seed=1)
LINE = distinct(2, 7, 4, seed=2)
ROWS = normal(3, 4, seed=3)
PAIR = [normal(2, 5, 4, seed=4), normal(2, 5, 4, seed=5)]

# layer, arguments, input(s)
TABLE = [
    ("Conv1D", {"filters": 3, "kernel_size": 3}, LINE),
    ("Conv1D", {"filters": 3, "kernel_size": 3, "padding": "causal"}, LINE),
    ("Conv1D", {"filters": 3, "kernel_size": 2, "padding": "causal", "dilation_rate": 2}, LINE),
    (
        "Conv1D",
        {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", "groups": 2},
        LINE,
    ),
    ("Conv1DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2}, LINE),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3}, IMAGE),
    ("Conv2DTranspose", {"filters": 3, "kernel_size": 3, "strides": 2, "padding": "same"}, IMAGE),
    ("DepthwiseConv1D", {"kernel_size": 3}, LINE),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2}, IMAGE),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same"}, IMAGE),
    ("SeparableConv1D", {"filters": 3, "kernel_size": 3}, LINE),
    ("SeparableConv2D", {"filters": 3, "kernel_size": 3, "activation": "relu"}, IMAGE),
    ("MaxPooling1D", {}, LINE),
    ("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}, LINE),
    ("AveragePooling1D", {"pool_size": 2, "padding": "same"}, LINE),
    ("GlobalMaxPooling1D", {}, LINE),
    ("GlobalMaxPooling2D", {"keepdims": True}, IMAGE),
    ("GlobalAveragePooling1D", {}, LINE),
    ("SimpleRNN", {"units": 3}, LINE),
    ("SimpleRNN", {"units": 3, "return_sequences": True, "go_backwards": True}, LINE),
    ("LSTM", {"units": 3}, LINE),
    ("LSTM", {"units": 3, "return_sequences": True}, LINE),
    ("LSTM", {"units": 3, "return_state": True}, LINE),
    ("LSTM", {"units": 3, "go_backwards": True, "use_bias": False}, LINE),
    ("LSTM", {"units": 3, "activation": "relu", "recurrent_activation": "hard_sigmoid"}, LINE),
    ("GRU", {"units": 3}, LINE),
    ("GRU", {"units": 3, "return_sequences": True, "reset_after": False}, LINE),
    ("GRU", {"units": 3, "return_state": True, "use_bias": False}, LINE),
    ("Bidirectional", lambda k: {"layer": k.layers.LSTM(3, return_sequences=True)}, LINE),
    ("Bidirectional", lambda k: {"layer": k.layers.GRU(3), "merge_mode": "sum"}, LINE),
    ("RNN", lambda k: {"cell": k.layers.LSTMCell(3)}, LINE),
    (
        "RNN",
        lambda k: {"cell": [k.layers.GRUCell(3), k.layers.SimpleRNNCell(2)]},
        LINE,
    ),
    ("TimeDistributed", lambda k: {"layer": k.layers.Dense(2)}, LINE),
    ("TimeDistributed", lambda k: {"layer": k.layers.Flatten()}, IMAGE),
    ("Attention", {}, PAIR),
    ("Attention", {"use_scale": True, "score_mode": "concat"}, PAIR),
    ("AdditiveAttention", {}, PAIR),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": (None, 3), "bias_axes": "d"}, LINE),
    ("Normalization", {"mean": 1.0, "variance": 4.0}, ROWS),
    ("Normalization", {"mean": 1.0, "variance": 4.0, "invert": True}, ROWS),
    ("GroupNormalization", {"groups": 2}, IMAGE),
    ("GroupNormalization", {"groups": -1}, IMAGE),
    ("RMSNormalization", {}, ROWS),
    ("UnitNormalization", {}, ROWS),
    ("SpectralNormalization", lambda k: {"layer": k.layers.Dense(3)}, ROWS),
    ("PReLU", {}, LINE),
    ("PReLU", {"shared_axes": [1]}, LINE),
    ("ELU", {"alpha": 0.5}, ROWS),
    ("Identity", {}, ROWS),
    ("Permute", {"dims": (2, 1)}, LINE),
    ("RepeatVector", {"n": 3}, ROWS),
    ("ZeroPadding1D", {"padding": (1, 2)}, LINE),
    ("ZeroPadding2D", {}, IMAGE),
    ("ZeroPadding2D", {"padding": ((1, 0), (2, 1))}, IMAGE),
    ("Cropping1D", {"cropping": (1, 2)}, LINE),
    ("Cropping2D", {"cropping": ((1, 0), (2, 1))}, IMAGE),
    ("UpSampling1D", {"size": 2}, LINE),
    ("UpSampling2D", {}, IMAGE),
    ("UpSampling2D", {"size": (2, 3), "interpolation": "bilinear"}, IMAGE),
    ("Resizing", {"height": 3, "width": 4}, IMAGE),
    ("Resizing", {"height": 8, "width": 7, "interpolation": "nearest"}, IMAGE),
    ("CenterCrop", {"height": 4, "width": 3}, IMAGE),
    ("Subtract", {}, PAIR),
    ("Multiply", {}, PAIR),
    ("Average", {}, PAIR),
    ("Maximum", {}, PAIR),
    ("Minimum", {}, PAIR),
    ("Dot", {"axes": 2}, PAIR),
    ("Dot", {"axes": (1, 1), "normalize": True}, PAIR),
    ("GaussianNoise", {"stddev": 0.5}, ROWS),
    ("GaussianDropout", {"rate": 0.5}, ROWS),
    ("SpatialDropout1D", {"rate": 0.5}, LINE),
    ("AlphaDropout", {"rate": 0.5}, ROWS),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, ROWS),
    ("Masking", {}, array([[[1.0, 2.0], [0.0, 0.0], [0.0, 3.0]]])),
    ("CategoryEncoding", {"num_tokens": 4, "output_mode": "one_hot"}, array([0, 3, 1], "int32")),
    ("CategoryEncoding", {"num_tokens": 4}, array([[0, 3], [1, 1]], "int32")),
    (
        "CategoryEncoding",
        {"num_tokens": 4, "output_mode": "count"},
        array([[0, 3], [1, 1]], "int32"),
    ),
    ("Discretization", {"bin_boundaries": [0.0, 0.5, 1.0]}, uniform(2, 3, low=-1.0, high=2.0)),
    ("Lambda", lambda k: {"function": lambda x: x * x + 1}, ROWS),
]


def cases():
    """Number the cases of each layer."""
    seen = {}
    for layer, kwargs, inputs in TABLE:
        number = seen[layer] = seen.get(layer, 0) + 1
        spec = {"layer": layer, "kwargs": kwargs, "inputs": inputs}
        yield Case(FAMILY, f"{layer}_{number}", spec)


CASES = list(cases())
