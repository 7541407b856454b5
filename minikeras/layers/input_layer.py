"""The entrance of a functional model."""

from typing import Any

import numpy as np

from minikeras import registry
from minikeras.core.dispatch import Node
from minikeras.core.spec import as_dtype
from minikeras.core.tensor import SymbolicTensor
from minikeras.layers.base import Layer


class InputLayer(Layer):
    """Stand for an input: a node without inputs whose output is the symbolic tensor.

    Args:
        shape: of one sample, None for open axes.
        batch_size: None leaves the batch axis open.
        dtype: `floatx()` if None.
        batch_shape: the shape with its batch axis, in place of `shape` and `batch_size`.
        input_tensor: the symbolic tensor to stand for, in place of a new one.
    """

    def __init__(
        self,
        shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: Any = None,
        input_tensor: Any = None,
        optional: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        if (shape is None) == (batch_shape is None) and input_tensor is None:
            raise ValueError(
                f"Input: expected either shape or batch_shape, got shape={shape} and "
                f"batch_shape={batch_shape}. Pass the shape of one sample, e.g. shape=(28, 28, 1)."
            )
        if input_tensor is not None:
            batch_shape = tuple(input_tensor.shape)
        elif batch_shape is None:
            batch_shape = (batch_size, *_checked(shape))
        self.batch_shape = _checked(batch_shape)
        self._input_dtype = as_dtype(dtype)
        self.optional = optional
        self.built = True
        self.output = input_tensor or SymbolicTensor(
            self.batch_shape, self._input_dtype, name=self.name
        )
        self.output.node = Node(self, [], {"args": [], "kwargs": {}}, [self.output])

    @property
    def dtype(self) -> str:
        """The dtype of the input."""
        return self._input_dtype.name

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this input again, as Keras writes them."""
        config = {"batch_shape": self.batch_shape, "dtype": self.dtype, "sparse": False}
        return {**config, "ragged": False, "name": self.name, "optional": self.optional}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make the input that `get_config` described."""
        return cls(**{k: v for k, v in config.items() if k not in ("sparse", "ragged")})


def _checked(shape: Any) -> tuple[int | None, ...]:
    shape = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    for length in shape:
        if length is not None and (not isinstance(length, (int, np.integer)) or length < 0):
            raise ValueError(
                f"Input: expected a shape of integers >= 0 and None, got {tuple(shape)}."
            )
    return tuple(None if length is None else int(length) for length in shape)


def Input(  # noqa: N802 - Keras' name
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = None,
    batch_shape: Any = None,
    name: str | None = None,
    tensor: Any = None,
    optional: bool = False,
) -> SymbolicTensor:
    """Return a symbolic tensor to build a functional model on; the arguments are InputLayer's.

    >>> Input(shape=(28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer.output


registry.add("layer", "keras.layers", InputLayer)
