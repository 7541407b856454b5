"""The table of layers: one row or more for each, with what NumPy computes in its place."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minikeras import layers
from minikeras.registry import register_keras_serializable
from tests.rows import numbers

IMAGE = numbers(2, 5, 4, 2, seed=1)
STEPS = numbers(2, 6, 3, seed=2)
ROWS_OF = numbers(4, 3, seed=3)
BLOCK = numbers(2, 3, 4, seed=4)
PAIR = [numbers(2, 3, 4, seed=5), numbers(2, 3, 4, seed=6)]
IDS = np.array([[1, 4, 0], [4, 4, 2]], "int32")


@dataclass
class Row:
    """One layer with its arguments, and what it must compute.

    Args:
        make: makes the layer, given further keyword arguments.
        inputs: float64 or integers; a list for layers that take several.
        oracle: computes the outputs from the inputs and a dict of weights by name, in NumPy.
        weights: shapes by name, in the order of `layer.weights`.
        frozen: names of those weights that are not trained.
        training: the `training` argument.
        order: how many times the outputs are differentiable with respect to inputs and weights.
    """

    make: Callable[..., Any]
    inputs: Any
    oracle: Callable[..., Any]
    weights: dict[str, tuple[int, ...]] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    training: bool = False
    order: int = 2
    tag: str = ""

    @property
    def id(self) -> str:
        name = type(self.make()).__name__
        return f"{name}-{self.tag}" if self.tag else name

    @property
    def arrays(self) -> list[Any]:
        """The inputs as a list."""
        return self.inputs if isinstance(self.inputs, list) else [self.inputs]


def row(cls: Any, *args: Any, options: Any = None, **fields: Any) -> Row:
    """Make the row of `cls(*args, **options)`."""
    return Row(lambda **kwargs: cls(*args, **(options or {}), **kwargs), **fields)


@register_keras_serializable("tests")
def scaled_square(x, factor):
    return factor * x * x


# ---- oracles -------------------------------------------------------------------------------------


def padded_same(x, kernel, strides, dilation):
    """Pad the inner axes so that there are `ceil(n / stride)` windows, the odd one at the end."""
    widths = [(0, 0)]
    for n, k, s, d in zip(x.shape[1:], kernel, strides, dilation, strict=False):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        widths.append((total // 2, total - total // 2))
    return np.pad(x, [*widths, (0, 0)])


def windows(x, kernel, strides, dilation=None):
    """Yield `(place, window)` for all places of a kernel on `(batch, ..., channels)`."""
    rank = x.ndim - 2
    dilation = dilation or (1,) * rank
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    counts = [(n - m) // s + 1 for n, m, s in zip(x.shape[1:], spans, strides, strict=False)]
    for place in itertools.product(*map(range, counts)):
        cut = [
            slice(i * s, i * s + m, d)
            for i, s, m, d in zip(place, strides, spans, dilation, strict=True)
        ]
        yield place, x[(slice(None), *cut)]


def convolved(x, kernel, strides, dilation=None, groups=1):
    """Correlate by one product a window and group."""
    rank = x.ndim - 2
    parts = []
    for inputs, filters in zip(
        np.split(x, groups, axis=-1), np.split(kernel, groups, axis=-1), strict=True
    ):
        found = dict(windows(inputs, kernel.shape[:rank], strides, dilation))
        shape = [n + 1 for n in max(found)]
        out = np.zeros((len(x), *shape, filters.shape[-1]))
        for place, window in found.items():
            out[(slice(None), *place)] = np.tensordot(window, filters, rank + 1)
        parts.append(out)
    return np.concatenate(parts, axis=-1)


def by_channel(x, kernel, strides):
    """Convolve each channel with its own kernels; outputs of one channel stand together."""
    channels = [
        convolved(x[..., c : c + 1], kernel[..., c : c + 1, :], strides) for c in range(x.shape[-1])
    ]
    return np.concatenate(channels, axis=-1)


def spread(x, kernel, strides):
    """Add up a kernel, scaled, at the place of every input: a transposed convolution."""
    rank = x.ndim - 2
    sizes = kernel.shape[:rank]
    shape = [(n - 1) * s + k for n, s, k in zip(x.shape[1:], strides, sizes, strict=False)]
    out = np.zeros((len(x), *shape, kernel.shape[rank]))
    for place in itertools.product(*map(range, x.shape[1:-1])):
        cut = [slice(i * s, i * s + k) for i, s, k in zip(place, strides, sizes, strict=True)]
        out[(slice(None), *cut)] += np.tensordot(x[(slice(None), *place)], kernel, (-1, -1))
    return out


def pooled(x, size, strides, reduce):
    found = dict(windows(x, size, strides))
    out = np.zeros((len(x), *[n + 1 for n in max(found)], x.shape[-1]))
    for place, window in found.items():
        out[(slice(None), *place)] = reduce(window, axis=tuple(range(1, x.ndim - 1)))
    return out


def first(x):
    """Move channels from axis 1 to the end."""
    return np.moveaxis(x, 1, -1)


def normal_along(x, axes, epsilon):
    centered = x - x.mean(axes, keepdims=True)
    return centered / np.sqrt((centered**2).mean(axes, keepdims=True) + epsilon)


def softmaxed(x, axes):
    powers = np.exp(x)
    return powers / powers.sum(axes, keepdims=True)


def batch_statistics(x, w):
    return w["gamma"] * normal_along(x, tuple(range(x.ndim - 1)), 1e-3) + w["beta"]


def moving_statistics(x, w, epsilon=1e-3):
    deviation = np.sqrt(w["moving_variance"] + epsilon)
    return w["gamma"] * (x - w["moving_mean"]) / deviation + w["beta"]


def leaky(x, slope):
    return np.where(x > 0, x, slope * x)


def kept(x, w):
    return x


# ---- rows ----------------------------------------------------------------------------------------

_CONV = {"kernel": (2, 2, 2, 3), "bias": (3,)}
_BATCH = {"gamma": (2,), "beta": (2,), "moving_mean": (2,), "moving_variance": (2,)}
_MOVING = ("moving_mean", "moving_variance")

CONVOLUTIONS = [
    row(
        layers.Conv1D,
        2,
        3,
        inputs=STEPS,
        oracle=lambda x, w: convolved(x, w["kernel"], (1,)) + w["bias"],
        weights={"kernel": (3, 3, 2), "bias": (2,)},
    ),
    row(
        layers.Conv1D,
        2,
        2,
        tag="causal",
        inputs=STEPS,
        options={"padding": "causal", "dilation_rate": 2, "use_bias": False},
        oracle=lambda x, w: convolved(np.pad(x, [(0, 0), (2, 0), (0, 0)]), w["kernel"], (1,), (2,)),
        weights={"kernel": (2, 3, 2)},
    ),
    row(
        layers.Conv1D,
        2,
        2,
        tag="causal_channels_first",
        inputs=STEPS,
        options={"padding": "causal", "data_format": "channels_first"},
        oracle=lambda x, w: np.moveaxis(
            convolved(np.pad(first(x), [(0, 0), (1, 0), (0, 0)]), w["kernel"], (1,)) + w["bias"],
            -1,
            1,
        ),
        weights={"kernel": (2, 6, 2), "bias": (2,)},
    ),
    row(
        layers.Conv2D,
        3,
        2,
        inputs=IMAGE,
        oracle=lambda x, w: convolved(x, w["kernel"], (1, 1)) + w["bias"],
        weights=_CONV,
    ),
    row(
        layers.Conv2D,
        3,
        (3, 2),
        tag="same_strides_tanh",
        inputs=IMAGE,
        options={"strides": (2, 1), "padding": "SAME", "activation": "tanh"},
        oracle=lambda x, w: np.tanh(
            convolved(padded_same(x, (3, 2), (2, 1), (1, 1)), w["kernel"], (2, 1)) + w["bias"]
        ),
        weights={"kernel": (3, 2, 2, 3), "bias": (3,)},
    ),
    row(
        layers.Conv2D,
        4,
        2,
        tag="groups_dilation",
        inputs=IMAGE,
        options={"groups": 2, "dilation_rate": 2, "use_bias": False},
        oracle=lambda x, w: convolved(x, w["kernel"], (1, 1), (2, 2), groups=2),
        weights={"kernel": (2, 2, 1, 4)},
    ),
    row(
        layers.Conv2D,
        3,
        2,
        tag="channels_first",
        inputs=IMAGE,
        options={"data_format": "channels_first"},
        oracle=lambda x, w: np.moveaxis(
            convolved(first(x), w["kernel"], (1, 1)) + w["bias"], -1, 1
        ),
        weights={"kernel": (2, 2, 5, 3), "bias": (3,)},
    ),
    row(
        layers.DepthwiseConv1D,
        2,
        inputs=STEPS,
        oracle=lambda x, w: by_channel(x, w["kernel"], (1,)) + w["bias"],
        weights={"kernel": (2, 3, 1), "bias": (3,)},
    ),
    row(
        layers.DepthwiseConv2D,
        2,
        inputs=IMAGE,
        options={"depth_multiplier": 2, "strides": 2},
        oracle=lambda x, w: by_channel(x, w["kernel"], (2, 2)) + w["bias"],
        weights={"kernel": (2, 2, 2, 2), "bias": (4,)},
    ),
    row(
        layers.SeparableConv1D,
        2,
        2,
        inputs=STEPS,
        oracle=lambda x, w: (
            by_channel(x, w["depthwise_kernel"], (1,)) @ w["pointwise_kernel"][0] + w["bias"]
        ),
        weights={"depthwise_kernel": (2, 3, 1), "pointwise_kernel": (1, 3, 2), "bias": (2,)},
    ),
    row(
        layers.SeparableConv2D,
        3,
        2,
        inputs=IMAGE,
        options={"depth_multiplier": 2},
        oracle=lambda x, w: (
            by_channel(x, w["depthwise_kernel"], (1, 1)) @ w["pointwise_kernel"][0, 0] + w["bias"]
        ),
        weights={
            "depthwise_kernel": (2, 2, 2, 2),
            "pointwise_kernel": (1, 1, 4, 3),
            "bias": (3,),
        },
    ),
    row(
        layers.Conv1DTranspose,
        2,
        3,
        inputs=STEPS,
        options={"strides": 2},
        oracle=lambda x, w: spread(x, w["kernel"], (2,)) + w["bias"],
        weights={"kernel": (3, 2, 3), "bias": (2,)},
    ),
    row(
        layers.Conv2DTranspose,
        3,
        (3, 2),
        inputs=IMAGE,
        options={"strides": 2},
        oracle=lambda x, w: spread(x, w["kernel"], (2, 2)) + w["bias"],
        weights={"kernel": (3, 2, 3, 2), "bias": (3,)},
    ),
]

POOLS = [
    row(layers.MaxPooling1D, inputs=STEPS, oracle=lambda x, w: pooled(x, (2,), (2,), np.max)),
    row(layers.MaxPooling2D, inputs=IMAGE, oracle=lambda x, w: pooled(x, (2, 2), (2, 2), np.max)),
    row(
        layers.MaxPooling2D,
        (3, 2),
        1,
        tag="overlapping",
        inputs=IMAGE,
        oracle=lambda x, w: pooled(x, (3, 2), (1, 1), np.max),
    ),
    row(
        layers.AveragePooling1D, 2, inputs=STEPS, oracle=lambda x, w: pooled(x, (2,), (2,), np.mean)
    ),
    row(
        layers.AveragePooling2D,
        2,
        inputs=IMAGE,
        oracle=lambda x, w: pooled(x, (2, 2), (2, 2), np.mean),
    ),
    row(
        layers.AveragePooling2D,
        2,
        tag="channels_first",
        inputs=IMAGE,
        options={"data_format": "channels_first"},
        oracle=lambda x, w: np.moveaxis(pooled(first(x), (2, 2), (2, 2), np.mean), -1, 1),
    ),
    row(layers.GlobalAveragePooling1D, inputs=STEPS, oracle=lambda x, w: x.mean(1)),
    row(layers.GlobalAveragePooling2D, inputs=IMAGE, oracle=lambda x, w: x.mean((1, 2))),
    row(layers.GlobalMaxPooling1D, inputs=STEPS, oracle=lambda x, w: x.max(1)),
    row(
        layers.GlobalMaxPooling2D,
        inputs=IMAGE,
        options={"data_format": "channels_first", "keepdims": True},
        oracle=lambda x, w: x.max((2, 3), keepdims=True),
    ),
]

SHAPES = [
    row(layers.Flatten, inputs=IMAGE, oracle=lambda x, w: x.reshape(2, -1)),
    row(
        layers.Flatten,
        tag="channels_first",
        inputs=IMAGE,
        options={"data_format": "channels_first"},
        oracle=lambda x, w: first(x).reshape(2, -1),
    ),
    row(layers.Flatten, tag="vector", inputs=numbers(3), oracle=lambda x, w: x[:, None]),
    row(layers.Reshape, (6, -1), inputs=BLOCK, oracle=lambda x, w: x.reshape(2, 6, 2)),
    row(layers.Reshape, [12], tag="flat", inputs=BLOCK, oracle=lambda x, w: x.reshape(2, 12)),
    row(layers.Permute, (2, 1), inputs=BLOCK, oracle=lambda x, w: x.transpose(0, 2, 1)),
    row(layers.RepeatVector, 2, inputs=ROWS_OF, oracle=lambda x, w: np.stack([x, x], 1)),
    row(
        layers.ZeroPadding1D,
        (1, 2),
        inputs=STEPS,
        oracle=lambda x, w: np.pad(x, [(0, 0), (1, 2), (0, 0)]),
    ),
    row(
        layers.ZeroPadding2D,
        ((1, 0), (2, 3)),
        inputs=IMAGE,
        oracle=lambda x, w: np.pad(x, [(0, 0), (1, 0), (2, 3), (0, 0)]),
    ),
    row(
        layers.ZeroPadding2D,
        1,
        tag="channels_first",
        inputs=IMAGE,
        options={"data_format": "channels_first"},
        oracle=lambda x, w: np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]),
    ),
    row(layers.Cropping1D, (0, 2), inputs=STEPS, oracle=lambda x, w: x[:, :-2]),
    row(layers.Cropping2D, ((1, 0), (1, 2)), inputs=IMAGE, oracle=lambda x, w: x[:, 1:, 1:-2]),
    row(layers.UpSampling1D, 3, inputs=STEPS, oracle=lambda x, w: x.repeat(3, 1)),
    row(layers.UpSampling2D, (2, 3), inputs=IMAGE, oracle=lambda x, w: x.repeat(2, 1).repeat(3, 2)),
]

NORMALIZATIONS = [
    row(
        layers.BatchNormalization,
        inputs=IMAGE,
        oracle=moving_statistics,
        weights=_BATCH,
        frozen=_MOVING,
    ),
    row(
        layers.BatchNormalization,
        tag="training",
        inputs=IMAGE,
        oracle=batch_statistics,
        weights=_BATCH,
        frozen=_MOVING,
        training=True,
    ),
    row(
        layers.BatchNormalization,
        tag="axis_bare",
        inputs=BLOCK,
        options={"axis": 1, "center": False, "scale": False, "epsilon": 0.1},
        oracle=lambda x, w: moving_statistics(
            x.swapaxes(1, 2), {"gamma": 1, "beta": 0, **w}, 0.1
        ).swapaxes(1, 2),
        weights={"moving_mean": (3,), "moving_variance": (3,)},
        frozen=_MOVING,
    ),
    row(
        layers.LayerNormalization,
        inputs=BLOCK,
        oracle=lambda x, w: normal_along(x, -1, 1e-3) * w["gamma"] + w["beta"],
        weights={"gamma": (4,), "beta": (4,)},
    ),
    row(
        layers.LayerNormalization,
        [2, 1],
        tag="axes",
        inputs=BLOCK,
        options={"center": False},
        oracle=lambda x, w: normal_along(x, (1, 2), 1e-3) * w["gamma"],
        weights={"gamma": (3, 4)},
    ),
    row(
        layers.RMSNormalization,
        inputs=BLOCK,
        oracle=lambda x, w: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * w["scale"],
        weights={"scale": (4,)},
    ),
    row(
        layers.UnitNormalization,
        inputs=BLOCK,
        oracle=lambda x, w: x / np.linalg.norm(x, axis=-1, keepdims=True),
    ),
    row(
        layers.Normalization,
        inputs=BLOCK,
        oracle=lambda x, w: (x - w["mean"]) / np.sqrt(w["variance"]),
        weights={"mean": (4,), "variance": (4,), "count": ()},
        frozen=("mean", "variance", "count"),
    ),
    row(
        layers.Normalization,
        tag="given",
        inputs=BLOCK,
        options={"axis": 1, "mean": [1.0, 2.0, 3.0], "variance": [4.0, 9.0, 16.0]},
        oracle=lambda x, w: (x - np.array([[1], [2], [3]])) / np.array([[2], [3], [4]]),
    ),
    row(
        layers.Normalization,
        tag="invert",
        inputs=BLOCK,
        options={"axis": None, "mean": 1.0, "variance": 4.0, "invert": True},
        oracle=lambda x, w: x * 2 + 1,
    ),
    row(layers.Rescaling, 0.5, inputs=BLOCK, options={"offset": 1}, oracle=lambda x, w: x / 2 + 1),
    row(
        layers.Rescaling,
        [1.0, 2.0, 3.0],
        tag="integers",
        inputs=np.arange(6, dtype="uint8").reshape(2, 3),
        oracle=lambda x, w: x * np.array([1.0, 2.0, 3.0]),
        order=0,
    ),
]

ACTIVATIONS = [
    row(layers.Activation, "tanh", inputs=BLOCK, oracle=lambda x, w: np.tanh(x)),
    row(layers.ReLU, inputs=BLOCK, oracle=lambda x, w: np.maximum(x, 0)),
    row(
        layers.ReLU,
        1.0,
        0.1,
        0.3,
        tag="bounds",
        inputs=BLOCK,
        oracle=lambda x, w: np.where(x < 0.3, 0.1 * (x - 0.3), np.minimum(x, 1)),
    ),
    row(layers.LeakyReLU, inputs=BLOCK, oracle=lambda x, w: leaky(x, 0.3)),
    row(
        layers.ELU,
        0.5,
        inputs=BLOCK,
        oracle=lambda x, w: np.where(x > 0, x, 0.5 * np.expm1(x)),
    ),
    row(
        layers.PReLU,
        inputs=BLOCK,
        oracle=lambda x, w: leaky(x, w["alpha"]),
        weights={"alpha": (3, 4)},
    ),
    row(
        layers.PReLU,
        tag="shared",
        inputs=IMAGE,
        options={"shared_axes": [1, 2]},
        oracle=lambda x, w: leaky(x, w["alpha"]),
        weights={"alpha": (1, 1, 2)},
    ),
    row(layers.Softmax, inputs=BLOCK, oracle=lambda x, w: softmaxed(x, -1)),
    row(layers.Softmax, [1, 2], tag="axes", inputs=BLOCK, oracle=lambda x, w: softmaxed(x, (1, 2))),
]

MERGES = [
    row(layers.Add, inputs=[*PAIR, BLOCK], oracle=lambda xs, w: sum(xs)),
    row(
        layers.Add,
        tag="ranks",
        inputs=[BLOCK, numbers(2, 4, seed=7)],
        oracle=lambda xs, w: xs[0] + xs[1][:, None],
    ),
    row(layers.Subtract, inputs=PAIR, oracle=lambda xs, w: xs[0] - xs[1]),
    row(layers.Multiply, inputs=PAIR, oracle=lambda xs, w: xs[0] * xs[1]),
    row(layers.Average, inputs=PAIR, oracle=lambda xs, w: (xs[0] + xs[1]) / 2),
    row(layers.Maximum, inputs=PAIR, oracle=lambda xs, w: np.maximum(*xs)),
    row(layers.Minimum, inputs=PAIR, oracle=lambda xs, w: np.minimum(*xs)),
    row(
        layers.Concatenate,
        1,
        inputs=[BLOCK, numbers(2, 2, 4, seed=7)],
        oracle=lambda xs, w: np.concatenate(xs, 1),
    ),
    row(
        layers.Dot,
        (2, 1),
        inputs=[BLOCK, numbers(2, 4, 5, seed=7)],
        oracle=lambda xs, w: xs[0] @ xs[1],
    ),
    row(
        layers.Dot,
        -1,
        tag="cosine",
        inputs=[numbers(2, 4, seed=8), numbers(2, 4, seed=7)],
        options={"normalize": True},
        oracle=lambda xs, w: (
            (xs[0] * xs[1]).sum(-1, keepdims=True)
            / np.linalg.norm(xs[0], axis=-1, keepdims=True)
            / np.linalg.norm(xs[1], axis=-1, keepdims=True)
        ),
    ),
]

OTHERS = [
    row(
        layers.Dense,
        2,
        inputs=ROWS_OF,
        oracle=lambda x, w: x @ w["kernel"] + w["bias"],
        weights={"kernel": (3, 2), "bias": (2,)},
    ),
    row(
        layers.Dense,
        2,
        "tanh",
        tag="tanh_no_bias",
        inputs=BLOCK,
        options={"use_bias": False},
        oracle=lambda x, w: np.tanh(x @ w["kernel"]),
        weights={"kernel": (4, 2)},
    ),
    row(
        layers.Embedding,
        5,
        2,
        inputs=IDS,
        oracle=lambda x, w: w["embeddings"][x],
        weights={"embeddings": (5, 2)},
    ),
    row(layers.Identity, inputs=BLOCK, oracle=kept),
    row(layers.ActivityRegularization, inputs=BLOCK, options={"l2": 0.1}, oracle=kept),
    row(
        layers.Lambda,
        scaled_square,
        inputs=BLOCK,
        options={"arguments": {"factor": 3.0}},
        oracle=lambda x, w: 3 * x**2,
    ),
    *(
        row(cls, rate, inputs=inputs, oracle=kept)
        for cls, rate, inputs in (
            (layers.Dropout, 0.5, BLOCK),
            (layers.SpatialDropout1D, 0.5, BLOCK),
            (layers.SpatialDropout2D, 0.5, IMAGE),
            (layers.GaussianNoise, 0.5, BLOCK),
            (layers.GaussianDropout, 0.5, BLOCK),
        )
    ),
]

ROWS = [*CONVOLUTIONS, *POOLS, *SHAPES, *NORMALIZATIONS, *ACTIVATIONS, *MERGES, *OTHERS]
