"""What every family of cases shares: the form of a case, seeded arrays, and reading results.

Nothing here imports keras or minikeras: both are handed in.
"""

from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """Name one computation: `spec` is what its family's `run(keras, tf, **spec)` is given.

    `tolerance` loosens the comparison of all values. At the keys in `free`, Keras' NaN is an
    accident of its formula and any value is right; at those in `wrong`, Keras is mistaken or a
    convention of its own is not followed, and nothing is compared. A key names what lies below it
    too: "grad" also "grad.0". `why` gives the reason.
    """

    family: str
    name: str
    spec: dict[str, Any]
    tolerance: float | None = None
    why: str = ""
    free: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    @property
    def id(self):
        return f"{self.family}/{self.name}"


def normal(*shape, seed=0, scale=1.0, shift=0.0, dtype="float32"):
    """Draw from a normal distribution. RandomState's stream is frozen, unlike default_rng's."""
    return (np.random.RandomState(seed).standard_normal(shape) * scale + shift).astype(dtype)


def uniform(*shape, low=0.0, high=1.0, seed=0, dtype="float32"):
    """Draw from [low, high)."""
    return np.random.RandomState(seed).uniform(low, high, shape).astype(dtype)


def integers(*shape, low=0, high=10, seed=0, dtype="int32"):
    """Draw integers from [low, high)."""
    return np.random.RandomState(seed).randint(low, high, shape).astype(dtype)


def distinct(*shape, low=-1.0, high=1.0, seed=0, dtype="float32"):
    """Shuffle equally spaced values: no ties for max and sort, no value exactly 0."""
    size = int(np.prod(shape))
    values = np.linspace(low, high, size + 1, dtype="float64")[:-1] + (high - low) / (3 * size + 1)
    return np.random.RandomState(seed).permutation(values).reshape(shape).astype(dtype)


def array(values, dtype="float32"):
    """Make an array of the given values."""
    return np.array(values, dtype=dtype)


def probabilities(*shape, seed=0, dtype="float32"):
    """Draw rows that sum to one."""
    values = uniform(*shape, low=0.1, seed=seed, dtype="float64")
    return (values / values.sum(-1, keepdims=True)).astype(dtype)


def one_hot(labels, classes, dtype="float32"):
    """Return the one-hot rows of integer labels."""
    return np.eye(classes)[labels].astype(dtype)


def weight(name, shape, index, seed=100, dtype="float32"):
    """Draw a layer's weight; variances and scales stay positive."""
    values = normal(*shape, seed=seed + index, scale=0.5, dtype="float64")
    positive = any(word in name for word in ("variance", "gamma", "scale"))
    return (np.abs(values) + 0.5 if positive else values).astype(dtype)


def cotangent(shape, index=0, dtype="float32"):
    """Draw the fixed weights of the sum that is differentiated."""
    return normal(*shape, seed=900 + index, dtype=dtype)


def set_weights(layer, seed=100):
    """Give a built layer or model seeded weights; return their names."""
    arrays = [
        weight(variable.name, tuple(variable.shape), index, seed, numpy_dtype(variable.dtype))
        for index, variable in enumerate(layer.weights)
    ]
    layer.set_weights(arrays)
    return [variable.name for variable in layer.weights]


def numpy_dtype(dtype):
    """Return the plain name of a dtype of either framework."""
    return getattr(dtype, "name", None) or str(dtype)


def plain(keras, value):
    """Turn a result into an array, or into something JSON can hold."""
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [plain(keras, item) for item in value]
    if isinstance(value, dict):
        return {key: plain(keras, item) for key, item in value.items()}
    return np.asarray(keras.ops.convert_to_numpy(value))


def flatten(keras, value, key=""):
    """Return {path: array or plain value} of a nested result."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list | tuple) and any(hasattr(item, "shape") for item in value):
        items = enumerate(value)
    else:
        return {key: plain(keras, value)}
    return {
        path: leaf
        for name, item in items
        for path, leaf in flatten(keras, item, f"{key}.{name}" if key else str(name)).items()
    }


def gradients(keras, tf, function, arrays, extra=lambda: ()):
    """Return (outputs, gradients) of a weighted sum by the float arrays and `extra()`.

    `function` takes the arrays as tensors and returns a tensor or a list of tensors.
    """
    tensors = [keras.ops.convert_to_tensor(item) for item in arrays]
    pairs = zip(tensors, arrays, strict=True)
    floats = [tensor for tensor, item in pairs if np.asarray(item).dtype.kind == "f"]
    with tf.GradientTape() as tape:
        tape.watch(floats)
        outputs = function(*tensors)
        total = weighted_sum(keras, outputs if isinstance(outputs, list | tuple) else [outputs])
    sources = floats + list(extra())
    if total is None:
        return outputs, [None] * len(sources)
    return outputs, tape.gradient(total, sources)


def weighted_sum(keras, outputs):
    """Sum the float outputs, each element times its fixed weight; None if there are no floats."""
    total = None
    for index, item in enumerate(outputs):
        dtype = numpy_dtype(item.dtype)
        if dtype.startswith("float"):
            part = keras.ops.sum(item * cotangent(tuple(item.shape), index, dtype))
            total = part if total is None else total + part
    return total
