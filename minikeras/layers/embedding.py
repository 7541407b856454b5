"""Vectors for integers."""

from typing import Any

from minikeras import ops
from minikeras.core.tensor import EagerTensor
from minikeras.layers.arguments import set_recipe, weight, whole
from minikeras.layers.base import Layer


class Embedding(Layer):
    """Look up a vector for each integer: `(batch, n)` becomes `(batch, n, output_dim)`.

    Args:
        input_dim: how many integers there are, 0 to `input_dim - 1`.
        output_dim: length of the vectors.
        mask_zero: must be False: masks are not supported yet.
        weights: the vectors to begin with, shape `(input_dim, output_dim)`.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        weights: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if mask_zero:
            raise ValueError(
                "Embedding: expected mask_zero=False, got True: masks are not supported yet. Drop "
                "padding after the layer, for example by multiplying with ops.not_equal(ids, 0)."
            )
        self.input_dim = whole("Embedding", "input_dim", input_dim)
        self.output_dim = whole("Embedding", "output_dim", output_dim)
        set_recipe(
            self,
            "embeddings",
            embeddings_initializer,
            embeddings_regularizer,
            embeddings_constraint,
        )
        self.mask_zero = mask_zero
        self.autocast = False  # float32 cannot hold every integer
        if weights is not None:
            self.build()
            self.set_weights(weights if isinstance(weights, list) else [weights])

    def build(self, input_shape: Any = None) -> None:
        if not self.built:
            self.embeddings = weight(self, "embeddings", (self.input_dim, self.output_dim))

    def call(self, inputs: Any) -> Any:
        ids = inputs if inputs.dtype in ("int32", "int64") else ops.cast(inputs, "int32")
        if isinstance(ids, EagerTensor):
            self._check(ids)
        else:  # numbers below 0 would count from the end; these are refused
            ids = ops.where(ids < 0, ids - self.input_dim, ids)
        return ops.take(self.embeddings, ids, axis=0)

    def _check(self, ids: EagerTensor) -> None:
        if ids.size == 0:
            return
        low, high = int(ops.min(ids)), int(ops.max(ids))
        if low < 0 or high >= self.input_dim:
            wrong = low if low < 0 else high
            raise ValueError(
                f"Embedding '{self.name}': expected integers in [0, {self.input_dim}), got "
                f"{wrong}. Make input_dim larger than the largest integer."
            )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments but the first values, which are saved as weights."""
        return {name: value for name, value in super().get_config().items() if name != "weights"}
