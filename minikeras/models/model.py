"""Define `Model`: a layer that can be trained, made by subclassing or from a graph of layers."""

import json
from typing import Any

from minikeras import saving
from minikeras.core.context import overridden, state, unique_name
from minikeras.core.tensor import SymbolicTensor
from minikeras.errors import ConfigError
from minikeras.layers.base import Layer
from minikeras.metrics import Metric
from minikeras.models.functional import FunctionalGraph
from minikeras.models.summary import print_summary
from minikeras.models.trainer import Trainer
from minikeras.tracking import remembered, unique

_OF_GRAPH = {
    "input", "inputs", "input_shape", "output", "outputs", "output_shape", "output_names",
}  # fmt: skip


class Model(Trainer, Layer):
    """A layer with training, evaluation, prediction and saving.

    Make one from symbolic tensors, `Model(inputs, outputs)`, or subclass it and define `call`.

    Args:
        inputs: a symbolic tensor from `Input`, or a nest of them.
        outputs: what layers gave for them.
        name: the model's name.

    >>> inputs = minikeras.Input(shape=(4,))
    >>> Model(inputs, minikeras.layers.Dense(3)(inputs)).output_shape
    (None, 3)
    """

    # What compile() makes, and the graph, whose layers are found in `_graph_layers`.
    _untracked = Layer._untracked | {
        "optimizer", "loss", "history", "_graph", "_loss_tracker", "_compiled_loss",
        "_compiled_metrics",
    }  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        inputs, outputs, rest = _graph_arguments(args, kwargs)
        if outputs is not None and type(self) is Model and rest.get("name") is None:
            rest["name"] = unique_name("functional")
        super().__init__(**rest)
        self._graph: FunctionalGraph | None = None
        if outputs is not None:
            self._set_graph(inputs, outputs)

    def _set_graph(self, inputs: Any, outputs: Any) -> None:
        self._graph = FunctionalGraph(inputs, outputs)
        self._graph_layers = tuple(self._graph.layers)
        self.built = True
        if not self._trainable:
            self.trainable = False

    # -- computing -----------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the graph of layers; subclasses override this."""
        if self._graph is None:
            return super().call(inputs)
        return self._graph(self, inputs)

    def build(self, input_shape: Any) -> None:
        """Make all weights by running `call` on symbolic inputs of this shape."""
        if self._graph is not None or type(self).call is Model.call:
            return
        self.built = True  # else the call would begin with building
        try:
            with overridden(names=state.names[:-1]):  # the call adds this model's name again
                self.compute_output_shape(input_shape)
        except BaseException:
            self.built = False
            raise

    def _build_for(self, args: Any, kwargs: Any) -> None:
        """Leave it to the layers to build themselves in the call, unless a subclass does it."""
        if type(self).build is not Model.build:
            super()._build_for(args, kwargs)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        outputs = super()._run(*args, **kwargs)
        if not self.built:
            self.built = True
        return outputs

    # -- structure -----------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside, those of the graph if there is one."""
        if self._graph is not None:
            return list(self._graph_layers)
        return [part for part in self.children() if isinstance(part, Layer)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by name or position; raise `ValueError` naming those there are."""
        layers = self.layers
        if (name is None) == (index is None):
            raise ValueError(
                f"get_layer: expected either a name or an index, got name={name!r} and "
                f"index={index!r}."
            )
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"get_layer: expected an index below {len(layers)}, got {index}.")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"get_layer: expected one of {[layer.name for layer in layers]}, got {name!r}."
        )

    def __getattr__(self, name: str) -> Any:
        """Say why there is no such thing as an input or output if there is no graph."""
        if name in _OF_GRAPH and "_graph" in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__} '{self.name}': expected a functional or built Sequential "
                f"model to ask for its {name}, got one whose inputs are not known."
            )
        return super().__getattr__(name)

    def _known_graph(self) -> FunctionalGraph:
        if self._graph is None:
            raise AttributeError("no graph")  # `__getattr__` says it better
        return self._graph

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """The symbolic inputs of a functional model."""
        return self._known_graph().flat_inputs

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """The symbolic outputs of a functional model."""
        return self._known_graph().flat_outputs

    @property
    def input(self) -> Any:
        """The symbolic inputs, packed as they were given."""
        return self._known_graph().inputs

    @property
    def output(self) -> Any:
        """The symbolic outputs, packed as they were given."""
        return self._known_graph().outputs

    @property
    def input_shape(self) -> Any:
        """The shape of the input, a list of shapes for several."""
        return _one_or_all([tuple(tensor.shape) for tensor in self.inputs])

    @property
    def output_shape(self) -> Any:
        """The shape of the output, a list of shapes for several."""
        return _one_or_all([tuple(tensor.shape) for tensor in self.outputs])

    @property
    def output_names(self) -> list[str]:
        """The name of the layer or op that makes each output."""
        return self._known_graph().output_names()

    def _output_names(self) -> list[str] | None:
        return None if self._graph is None else self._graph.output_names()

    @remembered
    def _own_metrics(self) -> Any:
        """Find metrics that are attributes of this model or of layers; inner models keep theirs."""
        inner = [layer for layer in self._layers()[1:] if not isinstance(layer, Trainer)]
        parts = (part for layer in [self, *inner] for part in layer.children())
        return unique(part for part in parts if isinstance(part, Metric))

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
    ) -> None:
        """Print a table of layers, output shapes and parameter counts.

        Args:
            line_length: width of the table, that of the terminal by default.
            positions: where the columns end, as shares of the width.
            print_fn: takes the whole text, in place of printing it.
            expand_nested: show the layers inside layers too.
            show_trainable: add a column that tells whether a layer is frozen.
            layer_range: names, or patterns of names, of the first and the last layer to show.
        """
        print_summary(
            self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range
        )

    # -- saving --------------------------------------------------------------------------------

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write all weights, and the optimizer's state, to a `.weights.h5` file in Keras' layout.

        The file is written beside the old one and renamed, so a kill leaves one of them whole.
        """
        saving.save_weights(self, filepath, overwrite=overwrite)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False) -> None:
        """Read weights from a `.weights.h5` file that minikeras or Keras wrote.

        Raises `ValueError` naming all missing, extra and misshapen weights; then none changes.
        """
        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        if type(self) is Model:
            raise ConfigError(
                f"Model '{self.name}': expected a Sequential model or a subclass, got a model made "
                "of a graph of layers, whose config is not supported yet. Keep the code that makes "
                "it, and save_weights()."
            )
        return super().get_config()

    def to_json(self, **kwargs: Any) -> str:
        """Return the model's config as JSON."""
        return json.dumps(saving.serialize_keras_object(self), **kwargs)


def _graph_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Tell `Model(inputs, outputs, name=...)` from `Model(name=...)`."""
    names = ("inputs", "outputs", "name")
    if len(args) > len(names):
        raise ValueError(f"Model: expected at most (inputs, outputs, name), got {len(args)}.")
    kwargs = kwargs | dict(zip(names, args, strict=False))
    inputs, outputs = kwargs.pop("inputs", None), kwargs.pop("outputs", None)
    if (inputs is None) != (outputs is None):
        raise ValueError("Model: expected both inputs and outputs, or neither, got one of them.")
    return inputs, outputs, kwargs


def _one_or_all(shapes: list[Any]) -> Any:
    return shapes[0] if len(shapes) == 1 else shapes
