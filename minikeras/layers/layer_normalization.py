"""Normalization of each sample by itself."""

from collections.abc import Sequence
from typing import Any

from minikeras import ops
from minikeras.layers.arguments import set_recipe, weight
from minikeras.layers.base import Layer
from minikeras.layers.batch_normalization import normalized_axes


def _axis_argument(who: str, axis: Any) -> int | list[int]:
    if isinstance(axis, int):
        return axis
    if not isinstance(axis, (list, tuple)) or not all(isinstance(a, int) for a in axis):
        raise TypeError(f"{who}: expected axis to be an integer or a list of them, got {axis!r}.")
    return list(axis)


class LayerNormalization(Layer):
    """Give each sample mean 0 and variance 1 along `axis`, then multiply by gamma and add beta.

    Args:
        axis: one axis or several; gamma and beta have their lengths.
        epsilon: added to the variance.
        center: whether there is a beta.
        scale: whether there is a gamma.
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = _axis_argument("LayerNormalization", axis)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        set_recipe(self, "beta", beta_initializer, beta_regularizer, beta_constraint)
        set_recipe(self, "gamma", gamma_initializer, gamma_regularizer, gamma_constraint)

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape[a] for a in normalized_axes(self, self.axis, input_shape))
        self.gamma = weight(self, "gamma", shape) if self.scale else None
        self.beta = weight(self, "beta", shape) if self.center else None

    def call(self, inputs: Any) -> Any:
        return ops.layer_normalization(inputs, self.gamma, self.beta, self.axis, self.epsilon)


class RMSNormalization(Layer):
    """Divide each sample by its root mean square along `axis`, then multiply by a weight `scale`.

    Zhang and Sennrich 2019, arXiv:1910.07467.
    """

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = _axis_argument("RMSNormalization", axis)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        shape = tuple(input_shape[a] for a in normalized_axes(self, self.axis, input_shape))
        self.scale = self.add_weight(shape, "ones", name="scale")

    def call(self, inputs: Any) -> Any:
        return ops.rms_normalization(inputs, self.scale, self.axis, self.epsilon)


class UnitNormalization(Layer):
    """Divide each sample by its Euclidean norm along `axis`."""

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = _axis_argument("UnitNormalization", axis)

    def call(self, inputs: Any) -> Any:
        return ops.normalize(inputs, axis=self.axis, order=2, epsilon=1e-12)
