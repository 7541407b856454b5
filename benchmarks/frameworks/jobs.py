"""The jobs as tables: models, sizes, data and first weights, the same for every framework."""

import itertools
import math
import os
from typing import NamedTuple

import numpy as np

# Convolutions are 3x3; all but the last layer of a model that have weights end in relu.
MLP = (("dense", 128), ("dense", 10))
WIDE = (("dense", 4096), ("dense", 4096), ("dense", 10))
CONVNET = (
    *(("conv", 32), ("pool",), ("conv", 64), ("pool",)),
    *(("flatten",), ("dropout", 0.5), ("dense", 10)),
)
TUTORIAL = (("conv", 32), ("conv", 64), ("pool",), ("flatten",), ("dense", 128), ("dense", 10))


class Job(NamedTuple):
    """What is timed: `steps` batches of a model, after a first batch and `warm` more."""

    unit: str
    steps: int
    quick: int  # steps with --quick
    layers: tuple = ()
    shape: tuple = ()
    batch: int = 1
    softmax: bool = False  # at the end of the model; targets are one-hot then
    summed: bool = False  # whether the loss is summed over the batch, not averaged
    learning_rate: float = 1e-3
    real: bool = False  # trains on MNIST where there is one
    trains: bool = True  # whether the loss has to fall
    warm: int = 3
    timed: str = "steps"  # or "start": from the process' start; "first": the first call's excess

    def sized(self, quick):
        """Return the job, or its small twin."""
        return self._replace(steps=self.quick, warm=1) if quick else self

    @property
    def tolerance(self):
        """How far first losses of two frameworks may lie apart; dropout draws its own numbers."""
        drops = self.trains and any(kind == "dropout" for kind, *_ in self.layers)
        return 0.2 if drops else 1e-3


_MLP = Job("s", 468, 4, MLP, (784,), 128, real=True)
_CNN = Job("s", 100, 2, CONVNET, (28, 28, 1), 128, softmax=True, real=True)
# 10,000 images: the last batch is half full
_PREDICT = _CNN._replace(steps=313, batch=32, quick=3, real=False, trains=False)

JOBS = {
    "mlp": _MLP,
    "mlp32": _MLP._replace(batch=32, steps=1875),
    "cnn": _CNN,
    "wide": Job("s", 10, 2, WIDE, (1024,), 256, learning_rate=1e-5, warm=2),
    "tutorial_mnist": Job(
        "ms a step", 20, 2, TUTORIAL, (28, 28, 1), 128, softmax=True, summed=True
    ),
    "predict_cnn": _PREDICT,
    "one_mlp": Job("µs a call", 2000, 20, MLP, (784,), trains=False, warm=200),
    "one_cnn": _CNN._replace(
        unit="µs a call", steps=1000, quick=10, batch=1, real=False, trains=False, warm=100
    ),
    "scalar": Job("µs a step", 2000, 50, warm=200),
    "scalar_loop": Job("µs a step", 20_000, 200, warm=20_000),
    "start_mlp": Job("s", 1, 1, MLP, (784,), 128, timed="start"),
    "start_cnn": Job("s", 1, 1, CONVNET, (28, 28, 1), 128, softmax=True, timed="start"),
    "compile_cnn": Job("s", 1, 1, CONVNET, (28, 28, 1), 128, softmax=True, timed="first"),
}


def data(job):
    """Return inputs and whole-number labels: MNIST's or, where there is none, ten noisy patterns.

    The file is `$MINIKERAS_MNIST`, an `.npz` with `x_train`, `y_train`, `x_test` and `y_test`.
    """
    samples = job.steps * job.batch
    path = os.environ.get("MINIKERAS_MNIST")
    if job.real and path:
        x, y = mnist(path, "train", job.shape)
        x, y = x[:samples], y[:samples]
    else:
        rng = np.random.default_rng(0)
        y = rng.integers(10, size=samples)
        x = patterns(rng, job.shape)[y]
        x += 0.3 * rng.random(x.shape, np.float32)
    return x, y


def patterns(rng, shape):
    """Return ten patterns of zeros and ones; those of images are of squares of 4x4 pixels."""
    found = rng.integers(2, size=(10, *shape)).astype(np.float32)
    for axis, size in enumerate(shape[:-1], start=1):
        found = found.take(np.arange(size) // 4, axis)
    return found


def mnist(path, part, shape):
    """Return images between 0 and 1 of a `shape`, and labels, of the `train` or `test` part."""
    with np.load(path) as file:
        x, y = file[f"x_{part}"], file[f"y_{part}"]
    return (x / np.float32(255)).reshape(-1, *shape), y.astype(np.int64)


def one_hot(labels):
    """Return rows that are 1 at the label."""
    return np.eye(10, dtype=np.float32)[labels]


def batches(job, convert, *, hot=False):
    """Return `(inputs, labels)` of every step, each through `convert`."""
    x, y = data(job)
    y = one_hot(y) if hot else y
    starts = range(0, job.steps * job.batch, job.batch)
    return [(convert(x[i : i + job.batch]), convert(y[i : i + job.batch])) for i in starts]


def looped(pairs, steps):
    """Yield the batches of so many steps."""
    return itertools.islice(itertools.cycle(pairs), steps)


def weights(job):
    """Return kernels (Glorot uniform) and biases (zero) of all layers, in Keras' layout."""
    rng, shape, arrays = np.random.default_rng(1), job.shape, []
    for kind, *args in job.layers:
        if kind in {"conv", "dense"}:
            window = (3, 3) if kind == "conv" else ()
            fans = math.prod(window) * (shape[-1] + args[0])
            limit = math.sqrt(6 / fans)
            kernel = rng.uniform(-limit, limit, (*window, shape[-1], args[0]))
            arrays += [kernel.astype(np.float32), np.zeros(args[0], np.float32)]
        shape = after(shape, kind, *args)
    return arrays


def after(shape, kind, *args):
    """Return the shape of one sample behind a layer."""
    if kind == "conv":
        return (shape[0] - 2, shape[1] - 2, args[0])
    if kind == "pool":
        return (shape[0] // 2, shape[1] // 2, shape[2])
    if kind == "flatten":
        return (math.prod(shape),)
    return (args[0],) if kind == "dense" else shape


def fingerprint(outputs):
    """Return one number for the outputs of samples, to see that frameworks compute the same."""
    rows = np.asarray(outputs, np.float64).reshape(-1, 10)
    return float((rows @ np.arange(1, 11)).mean())
