"""Define `Sequential`: layers one after the other."""

from typing import Any

from minikeras.core.context import overridden
from minikeras.core.tensor import SymbolicTensor
from minikeras.layers.base import Layer
from minikeras.layers.input_layer import InputLayer
from minikeras.models.model import Model
from minikeras.registry import deserialize_keras_object, serialize_keras_object


class Sequential(Model):
    """A model whose layers each take the output of the one before.

    Weights are made when the input's shape is known: from an `Input`, `build`, or the first call.

    >>> layers = minikeras.layers
    >>> model = Sequential([minikeras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(1)])
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
        """Append a layer; with `rebuild=False` the model is built at its next call only."""
        self._append(layer)
        self._graph, self.built = None, False
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
        if isinstance(layer, SymbolicTensor) and layer.node is not None:
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
        if any(layer.name == other.name and layer is not other for other in self._sequence):
            raise ValueError(
                f"Sequential '{self.name}': expected layers with different names, got a second "
                f"{layer.name!r}. Pass name= to one of them."
            )
        self._sequence.append(layer)

    def _rebuild(self) -> None:
        """Make the graph again, if the input's shape is known."""
        first = self._sequence[0] if self._sequence else None
        if self._entrance is None and first is not None:
            if first._expected_shape is not None:
                self._entrance = InputLayer(batch_shape=first._expected_shape, dtype=first.dtype)
            elif isinstance(first, Model) and first._graph is not None:
                self._entrance = _entrance_like(first)
        if self._entrance is not None and self._sequence:
            self._connect(self._entrance)

    def _connect(self, entrance: InputLayer) -> None:
        tensor = entrance.output
        with overridden(names=self._names()):
            for layer in self._sequence:
                tensor = layer(tensor)
        self._entrance = entrance
        self._set_graph(entrance.output, tensor)

    def build(self, input_shape: Any = None) -> None:
        """Make all weights for inputs of this shape, batch axis included."""
        if not self._sequence:
            raise ValueError(
                f"Sequential '{self.name}': expected at least one layer, got none. Use add()."
            )
        if self._graph is not None or not _is_shape(input_shape):
            return  # layers that take a nest of inputs are built as they are called
        if self._entrance is None:
            shape = (None, *input_shape[1:])
            self._entrance = InputLayer(batch_shape=shape, dtype=self._sequence[0].compute_dtype)
        self._connect(self._entrance)

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
        """Return the configs of the layers, the Input among them if there is one."""
        layers = [*([self._entrance] if self._entrance else []), *self._sequence]
        config = {"name": self.name, "trainable": self.trainable}
        return config | {"layers": [serialize_keras_object(layer) for layer in layers]}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make a model from what `get_config` returned."""
        layers = [deserialize_keras_object(one, custom_objects) for one in config["layers"]]
        return cls(layers, trainable=config.get("trainable", True), name=config.get("name"))


def _entrance_like(model: Model) -> InputLayer | None:
    """Return an entrance for what an inner model takes, if that is one tensor."""
    if len(model.inputs) != 1:
        return None
    return InputLayer(batch_shape=model.input_shape, dtype=model.inputs[0].dtype.name)


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(
        length is None or isinstance(length, int) for length in value
    )
