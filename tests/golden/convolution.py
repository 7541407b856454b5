"""Convolutions and pools of 1, 2 and 3 spatial axes in float64: values and gradients."""

from tests.golden import operation
from tests.golden.recipe import distinct, normal

FAMILY = "convolution"
run = operation.run

SPACES = {1: (9,), 2: (7, 6), 3: (4, 3, 5)}
CHANNELS = 4
# arguments that make sense for every number of spatial axes
CONV = [
    {},
    {"padding": "same"},
    {"strides": 2},
    {"strides": 2, "padding": "same"},
    {"strides": 3, "padding": "same"},
    {"dilation_rate": 2},
    {"dilation_rate": 2, "padding": "same"},
]
# TensorFlow has no dilated conv_transpose on a CPU.
TRANSPOSED = [
    {},
    {"padding": "same"},
    {"strides": 2},
    {"strides": 2, "padding": "same"},
    {"strides": 3},
    {"strides": 2, "output_padding": 1},
    {"strides": 2, "padding": "same", "output_padding": 1},
]
DEPTHWISE = [
    {},
    {"padding": "same"},
    {"strides": 2},
    {"strides": 2, "padding": "same"},
    {"dilation_rate": 2},
]
POOL = [
    {},
    {"padding": "same"},
    {"strides": 1},
    {"strides": 1, "padding": "same"},
    {"strides": 3},
    {"strides": 3, "padding": "same"},
]


def image(axes):
    return distinct(2 if axes < 3 else 1, *SPACES[axes], CHANNELS, seed=axes, dtype="float64")


def kernel(axes, size, *channels):
    return normal(*(size,) * axes, *channels, seed=10 + axes, dtype="float64")


TABLE = []
for axes in SPACES:
    x = image(axes)
    TABLE += [("conv", [x, kernel(axes, 2, CHANNELS, 3)], options) for options in CONV]
    TABLE += [("conv", [x, kernel(axes, 3, CHANNELS, 2)], options) for options in CONV[:4]]
    TABLE += [("conv", [x, kernel(axes, 1, CHANNELS, 2)], {"strides": 2})]
    TABLE += [
        (
            "conv_transpose",
            [x, kernel(axes, 3, 3, CHANNELS)],
            {"strides": 2, "padding": "same", "output_padding": 0},
        )
    ]
    TABLE += [("conv", [x, kernel(axes, 2, CHANNELS // 2, 4)])]  # two groups
    TABLE += [("conv", [x, kernel(axes, 2, 1, 4)], {"padding": "same"})]  # a group a channel
    for size in (2, 3):
        TABLE += [
            ("conv_transpose", [x, kernel(axes, size, 3, CHANNELS)], options)
            for options in TRANSPOSED
        ]
        # TensorFlow pools three axes only in float32.
        pooled = x.astype("float32") if axes == 3 else x
        TABLE += [("max_pool", [pooled, size], options) for options in POOL]
        TABLE += [("average_pool", [pooled, size], options) for options in POOL]
TABLE += [
    ("conv", [image(2), kernel(2, 2, CHANNELS, 3)], {"strides": (1, 2), "padding": "same"}),
    ("conv", [image(2), normal(3, 2, 4, 3, dtype="float64")], {"dilation_rate": (2, 1)}),
    ("max_pool", [image(2), (3, 2)], {"strides": (1, 2), "padding": "same"}),
    ("average_pool", [image(2), (3, 2)], {"strides": (1, 2), "padding": "same"}),
    (
        "conv_transpose",
        [image(2), normal(3, 2, 3, 4, dtype="float64")],
        {"strides": (2, 1), "padding": "same"},
    ),
]
for axes in (1, 2):
    TABLE += [
        ("depthwise_conv", [image(axes), kernel(axes, size, CHANNELS, multiplier)], options)
        for size, multiplier in ((2, 1), (3, 2))
        for options in DEPTHWISE
    ]
    TABLE += [
        (
            "separable_conv",
            [image(axes), kernel(axes, 3, CHANNELS, 2), kernel(axes, 1, 2 * CHANNELS, 3)],
            options,
        )
        for options in DEPTHWISE
    ]


CASES = [
    case._replace(name=f"{case.name} {case.spec['args'][0].ndim - 2}d {case.spec['kwargs'] or ''}")
    for case in operation.rows(FAMILY, TABLE)
]
