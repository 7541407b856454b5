"""Define `Sequential`: layers one after the other."""

from typing import Any

from minikeras.core.context import name_scope
from minikeras.core.tensor import SymbolicTensor
from minikeras.layers.base import Layer
from minikeras.layers.input_layer import InputLayer
from minikeras.models.model import Model
from minikeras.registry import deserialize_keras_object, serialize_keras_object


class Sequential(Model):
    """A model whose layers each take the output of the one before.

    Weights are made when the input's shape is known: from an `Input`, `build`, or the first call.

    >>> model = Sequential([Input(shape=(4,)), Dense(8, "relu"), Dense(1)])
    >>> model.count_params()
    49
    """

    def __init__(self, layers: Any = None, trainable: bool = True, name: str | None = None) -> None:
        super().__init__(name=name, trainable=trainable)
        self._sequence: list[Layer] = []
        self._entrance: InputLayer | None = None
        for layer in layers or []:
            self._append(layer)
        self._rebuild()

    def add(self, layer: Any, rebuild: bool = True) -> None:
        """Append a layer."""
        self._append(layer)
        if rebuild:
            self._rebuild()

    def pop(self, rebuild: bool = True) -> Layer:
        """Remove the last layer and return it."""
        if not self._sequence:
            raise ValueError(f"Sequential '{self.name}': expected a layer to pop, got none.")
        layer = self._sequence.pop()
        self._graph, self.built = None, False
        if rebuild:
            self._rebuild()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, SymbolicTensor) and isinstance(
            layer.node and layer.node.op, InputLayer
        ):
            layer = layer.node.op
        if isinstance(layer, InputLayer):
            if self._entrance is not None or self._sequence:
                raise ValueError(
                    f"Sequential '{self.name}': expected an Input as the first entry only, got "
                    f"one after {len(self._sequence)} layers."
                )
            self._entrance = layer
            return
        if not isinstance(layer, Layer):
            raise ValueError(
                f"Sequential '{self.name}': expected a layer, got {layer!r} of type "
                f"{type(layer).__name__}. For a function use layers.Lambda."
            )
        if any(layer.name == other.name for other in self._sequence):
            raise ValueError(
                f"Sequential '{self.name}': expected layers with different names, got a second "
                f"{layer.name!r}. Pass name= to one of them."
            )
        self._sequence.append(layer)

    def _rebuild(self) -> None:
        """Make the graph again, if the input's shape is known."""
        first = self._sequence[0] if self._sequence else None
        if self._entrance is None and first is not None:
            shape = first._expected_shape
            if shape is not None:
                self._entrance = InputLayer(batch_shape=shape, dtype=first.dtype)
            elif getattr(first, "_graph", None) is not None:
                self._entrance = InputLayer(batch_shape=first.input_shape)  # type: ignore[attr-defined]
        if self._entrance is not None and self._sequence:
            self._connect(self._entrance)

    def _connect(self, entrance: InputLayer) -> None:
        tensor = entrance.output
        with name_scope(self.name):
            for layer in self._sequence:
                tensor = layer(tensor)
        self._entrance = entrance
        self._set_graph(entrance.output, tensor)

    def build(self, input_shape: Any = None) -> None:
        """Make all weights for inputs of this shape, batch axis included."""
        if self._graph is not None or input_shape is None:
            return
        if not self._sequence:
            raise ValueError(
                f"Sequential '{self.name}': expected at least one layer, got none. Use add()."
            )
        if isinstance(input_shape, tuple):
            self._connect(InputLayer(batch_shape=(None, *input_shape[1:])))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Pass the inputs through all layers."""
        if self._graph is not None:
            return self._graph(self, inputs)
        outputs = inputs
        for layer in self._sequence:
            outputs = layer(outputs)
        return outputs

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the Input."""
        return list(self._sequence)

    def get_config(self) -> dict[str, Any]:
        """Return the configs of the layers, and the shape the model was built for."""
        from_layers = [self._entrance, *self._sequence] if self._entrance else self._sequence
        config = {"name": self.name, "trainable": self.trainable}
        return config | {"layers": [serialize_keras_object(layer) for layer in from_layers]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make a model from what `get_config` returned."""
        layers = [deserialize_keras_object(one, custom_objects) for one in config["layers"]]
        return cls(layers, trainable=config.get("trainable", True), name=config.get("name"))
