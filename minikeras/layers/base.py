"""Define `Layer`: weights, the maths that uses them, and the life cycle around both."""

import functools
import inspect
import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras import tree
from minikeras.compiler.eager.calls import MISS
from minikeras.core.basic import astype
from minikeras.core.context import overridden, state, unique_name
from minikeras.core.graph import call_node
from minikeras.core.spec import as_dtype
from minikeras.core.tensor import EagerTensor, SymbolicTensor, Tensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.errors import ResourceLimitError
from minikeras.layers.dtype_policy import as_policy
from minikeras.layers.input_spec import check_inputs
from minikeras.layers.often import compiled_call, note_edit
from minikeras.registry import Configurable, get, snake_case
from minikeras.tracking import Tracked, remembered, unique, walk

_next_call = itertools.count(1).__next__

_SET_BY_INIT = {
    "name", "built", "input_spec", "autocast", "dtype_policy", "activity_regularizer",
    "_trainable", "_losses", "_losses_of_call", "_last_call", "_expected_shape",
}  # fmt: skip

# Elements that a weight may have: 64 bits of address space hold no more than a few times that.
_MOST = 2**56

# What Keras' configs hold for things that are not here, when they are off.
_OFF = {
    "quantization_config": None, "lora_rank": None, "lora_alpha": None, "rms_scaling": False,
    "renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99, "synchronized": False,
}  # fmt: skip


class Layer(Tracked, Configurable):
    """Hold weights and compute outputs from inputs; the base of all layers and models.

    Subclasses store arguments in `__init__`, make weights in `build(input_shape)` with
    `add_weight`, and compute in `call`. Shapes of outputs, configs and saving follow from these.

    Args:
        activity_regularizer: adds a penalty on the outputs to `losses`.
        trainable: whether the weights are updated by optimizers.
        dtype: of weights and computation; floating inputs are cast to it.
        autocast: False leaves inputs in their own dtype.
        name: the layer's name, numbered automatically if None.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(input_shape[-1:], "ones", name="factor")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    """

    role = "weights"
    _untracked = Tracked._untracked | {"_losses"}
    _added: tuple[Variable, ...]
    _built_for: Any = None
    """The input's shape, or a nest of shapes, that the weights were made for."""

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.name = self._checked_name(name)
        self.built = False
        self.input_spec: Any = None
        self.autocast = autocast
        self.dtype_policy = as_policy(dtype)
        self.activity_regularizer = get("regularizer", activity_regularizer)
        self._trainable = trainable
        self._losses: list[Any] = []
        self._losses_of_call = self._last_call = 0
        self._expected_shape = self._shape_argument(kwargs)

    def _checked_name(self, name: str | None) -> str:
        if name is None:
            return unique_name(snake_case(type(self).__name__))
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                f"{type(self).__name__}: expected a name that is a string without '/', got "
                f"{name!r}."
            )
        return name

    def _shape_argument(self, kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
        """Read the old way of saying an input's shape, and refuse unknown arguments."""
        shape = kwargs.pop("input_shape", None)
        width = kwargs.pop("input_dim", None)
        batch = kwargs.pop("batch_size", None)
        if kwargs:
            raise ValueError(
                f"{type(self).__name__}: expected known arguments, got {kwargs}. See "
                f"help({type(self).__name__}) for those it takes."
            )
        if shape is None and width is None:
            return None
        warnings.warn(
            "Do not pass an `input_shape`/`input_dim` argument to a layer. When using Sequential "
            "models, prefer using an `Input(shape)` object as the first layer in the model "
            "instead.",
            stacklevel=4,
        )
        return (batch, *(tuple(shape) if shape is not None else (width,)))

    def __getattr__(self, name: str) -> Any:
        """Say what is wrong when attributes that `__init__` sets are missing."""
        if name in _SET_BY_INIT and "_trainable" not in self.__dict__:
            raise RuntimeError(
                f"{type(self).__name__}: expected Layer.__init__ to have run, but "
                f"{type(self).__name__}.__init__ did not call it. Make "
                "super().__init__(**kwargs) its first statement."
            )
        if name in ("input", "output") and "_symbolic" in self.__dict__:
            return self._symbolic[name]  # the tensors of the first call while models were built
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        note_edit()
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        note_edit()
        super().__delattr__(name)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is to have too: not the compiled calls of this layer."""
        return {name: value for name, value in self.__dict__.items() if name != "_often"}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _building(cls.build)  # type: ignore[method-assign]

    # -- weights -------------------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the weights; subclasses override this and call `add_weight`."""
        self.built = True

    def add_weight(
        self,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a Variable that belongs to this layer.

        Args:
            shape: of the weight; () if None.
            initializer: name or object; by default Glorot uniform for floats, zeros otherwise.
            dtype: by default the layer's.
            trainable: whether optimizers update it.
            regularizer: its penalty is added to `losses`.
            constraint: applied to the value after each update.
            name: last part of the Variable's path.
        """
        dtype = as_dtype(self.dtype if dtype is None else dtype)
        default = "glorot_uniform" if dtype.kind == "f" else "zeros"
        shape = self._weight_shape(shape, name)
        with overridden(names=self._names()):
            variable = Variable(
                get("initializer", default if initializer is None else initializer),
                shape=shape,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        variable.regularizer = get("regularizer", regularizer)
        variable.constraint = get("constraint", constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        variable.frozen = not self._trainable
        self._added = (*self.__dict__.get("_added", ()), variable)
        return variable

    def _names(self) -> tuple[str, ...]:
        """Return the name scopes around this layer's weights, its own the innermost."""
        inside = state.names[-1:] == (self.name,)
        return state.names if inside else (*state.names, self.name)

    def _weight_shape(self, shape: Any, name: str | None) -> tuple[int, ...]:
        """Return the shape of a weight; raise `ValueError` unless all lengths are known."""
        who = f"{type(self).__name__} '{self.name}'"
        if shape is None:
            return ()
        if not isinstance(shape, (list, tuple)):
            raise ValueError(
                f"{who}: expected the shape of a weight first, got {shape!r}. Write "
                "add_weight((3, 4), name='w')."
            )
        if not all(isinstance(length, (int, np.integer)) for length in shape):
            raise ValueError(
                f"{who}: expected the shape of weight {name!r} as a tuple of known lengths, got "
                f"{tuple(shape)}. Give the lengths that it depends on in Input(shape=...)."
            )
        if math.prod(map(int, shape)) > _MOST:
            raise ResourceLimitError(
                f"{who}: expected weight {name!r} to fit into some machine's memory, got shape "
                f"{tuple(shape)}."
            )
        return tuple(int(length) for length in shape)

    def _layers(self) -> list["Layer"]:
        return [item for item in walk(self) if isinstance(item, Layer)]

    @property
    @remembered
    def weights(self) -> Any:
        """All Variables of this layer and of those inside it, parents first."""
        return unique(v for layer in self._layers() for v in layer.own_variables())

    @property
    @remembered
    def variables(self) -> Any:
        """`weights` and the state of random generators inside."""
        state_holders = [item for item in walk(self) if item.role == "state"]
        others = (v for item in state_holders for v in item.own_variables())
        return unique([*self.weights, *others])

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that optimizers update."""
        return [v for v in self.weights if v.trainable]

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that optimizers leave alone."""
        return [v for v in self.weights if not v.trainable]

    @property
    def trainable_variables(self) -> list[Variable]:
        """The Variables that optimizers update."""
        return [v for v in self.variables if v.trainable]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The Variables that optimizers leave alone."""
        return [v for v in self.variables if not v.trainable]

    @property
    def trainable(self) -> bool:
        """Whether optimizers may update the weights; setting it reaches all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._layers():
            layer._trainable = bool(value)
            for variable in layer.own_variables():
                variable.frozen = not value

    def count_params(self) -> int:
        """Return the number of weights' elements; raise `ValueError` before they are made."""
        if not self.built:
            raise ValueError(
                f"{type(self).__name__} '{self.name}': expected a built layer to count weights of, "
                "got one whose input shape is not known yet. Call it, or build(input_shape)."
            )
        return sum(int(np.prod(v.shape)) for v in self.weights)

    def get_weights(self) -> list[Any]:
        """Return the values of `weights` as ndarrays."""
        return [v.numpy() for v in self.weights]

    def set_weights(self, weights: Any) -> None:
        """Set `weights` from a list of arrays; on a wrong count or shape nothing changes."""
        variables = self.weights
        values = [np.asarray(w) for w in weights]
        if len(values) != len(variables):
            raise ValueError(
                f"{type(self).__name__} '{self.name}': expected {len(variables)} arrays of "
                f"weights, got {len(values)}."
            )
        for variable, value in zip(variables, values, strict=True):
            if value.shape != tuple(variable.shape):
                raise ValueError(
                    f"{type(self).__name__} '{self.name}': expected shape "
                    f"{tuple(variable.shape)} for weight '{variable.path}', got {value.shape}."
                )
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def save_own_variables(self, store: Any) -> None:
        """Put this layer's own Variables into `store` under "0", "1", …"""
        for i, variable in enumerate(self.own_variables()):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Set this layer's own Variables from `store`; raise `ValueError` on a wrong count."""
        variables = self.own_variables()
        if len(store.keys()) != len(variables):
            raise ValueError(
                f"{type(self).__name__} '{self.name}': expected {len(variables)} saved variables, "
                f"got {len(store.keys())}."
            )
        for i, variable in enumerate(variables):
            variable.assign(store[str(i)])

    # -- dtypes --------------------------------------------------------------------------------

    @property
    def dtype(self) -> str:
        """The dtype of weights."""
        return self.dtype_policy.variable_dtype

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype that floating inputs are cast to."""
        return self.dtype_policy.compute_dtype

    # -- calling -------------------------------------------------------------------------------

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; subclasses override this."""
        raise NotImplementedError(
            f"{type(self).__name__} '{self.name}': expected a call method, got a class without. "
            "Define call(self, inputs)."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Cast inputs, build if that is still to do, and compute the outputs.

        Symbolic inputs give symbolic outputs: a node in the graph of a functional model.
        """
        if state.scope is None and self.built and len(args) == 1 and type(args[0]) is EagerTensor:
            training = kwargs.get("training")
            plain = not kwargs or (len(kwargs) == 1 and "training" in kwargs)
            if plain and (training is None or type(training) is bool):
                outputs = compiled_call(self, args[0], training)
                if outputs is not MISS:
                    return outputs
        args = tuple(map(self._converted, args))
        if kwargs:
            kwargs = {name: self._converted(arg) for name, arg in kwargs.items()}
        if self.input_spec is not None:
            check_inputs(self, self.input_spec, self._first(args, kwargs))
        if not self.built:
            self._build_for(args, kwargs)
        if not state.inline and _has_symbolic(*args, *kwargs.values()):
            outputs = call_node(self, self._run, args, kwargs)
            self.__dict__.setdefault(
                "_symbolic", {"input": self._first(args, kwargs), "output": outputs}
            )
            return outputs
        return self._run(*args, **kwargs)

    def _first(self, args: Any, kwargs: Any) -> Any:
        """Return the first argument of `call`, however it was passed; it must hold tensors."""
        if args:
            first = args[0]
        else:
            name = next(iter(inspect.signature(self.call).parameters), None)
            first = kwargs[name] if name in kwargs else next(iter(kwargs.values()), None)
        if not isinstance(first, Tensor) and any(
            isinstance(leaf, (int, float)) for leaf in tree.leaves(first)
        ):
            raise ValueError(
                f"{type(self).__name__} '{self.name}': expected a tensor, an array or a nest of "
                f"them, got {first!r}. Make an array of it with np.array."
            )
        return first

    def _converted(self, value: Any) -> Any:
        if type(value) is EagerTensor and value.array.dtype is self.dtype_policy.floating:
            return value
        if isinstance(value, (list, tuple, dict)):
            return tree.map_structure(self._converted, value)
        if not hasattr(value, "__array__"):
            return value
        if not isinstance(value, Tensor):
            value = as_tensor(value)
        if self.autocast and value.dtype.is_floating and value.dtype != self.compute_dtype:
            return astype(value, np.dtype(self.compute_dtype))
        return value

    def _build_for(self, args: Any, kwargs: Any) -> None:
        """Call `build` with the shapes it asks for: of the first argument, or of named ones."""
        names = list(inspect.signature(self.build).parameters)
        if len(names) <= 1:
            self.__dict__["_built_for"] = shapes = _shapes(self._first(args, kwargs))
            self.build(shapes)
        else:
            bound = inspect.signature(self.call).bind(*args, **kwargs).arguments
            self.build(**{name: _shapes(bound.get(name.removesuffix("_shape"))) for name in names})
        self.built = True

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Run `call` inside this layer's name scope and with the right `training` argument."""
        names, training, entry = state.names, state.training, state.call
        args, training_now = self._resolve_training(args, kwargs)
        state.names, state.training = (*names, self.name), training_now
        self.__dict__["_last_call"] = state.call = entry or _next_call()
        try:
            outputs = self.call(*args, **kwargs)
            if self.activity_regularizer is not None:
                self._regularize(outputs)
        except Exception as error:
            stand_in = " Multiples of 120 come from open axes." if state.inline else ""
            error.add_note(f"In the call of {type(self).__name__} '{self.name}'.{stand_in}")
            raise
        finally:
            state.names, state.training, state.call = names, training, entry
        return outputs

    def _regularize(self, outputs: Any) -> None:
        """Add the outputs' penalty, per sample so that it does not grow with the batch."""
        for output in tree.flatten(outputs):
            samples = max(output.shape[0], 1) if output.shape else 1
            self.add_loss(self.activity_regularizer(output) / samples)

    def _resolve_training(self, args: Any, kwargs: Any) -> tuple[Any, bool | None]:
        """Take `training` from the arguments, the layer around, or the default of `call`.

        Returns the positional arguments and `training`, both as `call` is to have them.
        """
        position, default = _training_parameter(type(self))  # type: ignore[arg-type]
        given, rest = (args, ()) if position is None else (args[:position], args[position:])
        training = rest[0] if rest else kwargs.pop("training", None)
        if training is None:
            training = state.training
        if training is None:
            training = default
        if rest:
            return (*given, training, *rest[1:]), training
        if position is not None and training is not None:
            kwargs["training"] = training
        return args, training

    # -- losses --------------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Add a scalar, or a nest of them, to the losses of the current call."""
        if self._losses_of_call != state.call:
            self.__dict__.update(_losses=[], _losses_of_call=state.call)
        self._losses.extend(tree.flatten(loss))

    @property
    def losses(self) -> list[Any]:
        """What `add_loss` collected in the last call, and the weights' regularization."""
        found = [
            loss
            for layer in self._layers()
            if layer._losses_of_call == self._last_call
            for loss in layer._losses
            if state.inline or not isinstance(loss, SymbolicTensor)
        ]
        penalties = [v.regularizer(v) for v in self.trainable_weights if v.regularizer is not None]
        return found + penalties

    # -- shapes and configs ---------------------------------------------------------------------

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return symbolic tensors of the shapes and dtypes that `call` gives for symbolic ones."""
        with overridden(inline=False):
            return self(*args, **kwargs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the output's shape for a shape, or a nest of shapes, with None for open axes."""
        inputs = _of_shapes(
            input_shape, lambda shape: SymbolicTensor(shape, np.dtype(self.compute_dtype))
        )
        outputs = self.compute_output_spec(inputs)
        return tree.map_structure(lambda x: tuple(x.shape), outputs)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": {
                "module": "keras",
                "class_name": "DTypePolicy",
                "config": {"name": self.dtype_policy.name},
                "registered_name": None,
            },
        }
        parameters = inspect.signature(type(self).__init__).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            config = {name: value for name, value in config.items() if name in parameters}
        skipped = {"input_shape", "input_dim", "batch_size"} - {*parameters}
        skipped |= {*config, "autocast"}
        rest = super().get_config()
        if self.activity_regularizer is None:
            skipped.add("activity_regularizer")
        return config | {name: value for name, value in rest.items() if name not in skipped}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make a layer, without its weights, from what `get_config` of it or of Keras returned."""
        known = inspect.signature(cls.__init__).parameters
        kept = {
            name: value
            for name, value in config.items()
            if name in known or name not in _OFF or value != _OFF[name]
        }
        return super().from_config(kept)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _building(build: Callable[..., None]) -> Callable[..., None]:
    """Run a `build` method in its layer's name scope, off the tapes, and note that it ran."""

    @functools.wraps(build)
    def wrapped(self: Layer, *args: Any, **kwargs: Any) -> None:
        self.__dict__.setdefault("_built_for", args[0] if args else None)
        with overridden(names=self._names(), recorders=(), scope=None, inline=False):
            build(self, *args, **kwargs)
        self.built = True

    return wrapped


@functools.cache
def _training_parameter(cls: type) -> tuple[int | None, bool | None]:
    """Return where `call` takes `training`, counted without self, and its default."""
    parameters = list(inspect.signature(cls.call).parameters.values())[1:]  # type: ignore[attr-defined]
    for i, parameter in enumerate(parameters):
        if parameter.name == "training":
            return i, None if parameter.default is parameter.empty else parameter.default
    return None, None


def _has_symbolic(*arguments: Any) -> bool:
    for value in arguments:
        if type(value) is not EagerTensor and any(
            isinstance(leaf, SymbolicTensor) for leaf in tree.leaves(value)
        ):
            return True
    return False


def _shapes(value: Any) -> Any:
    """Return the shapes of a tensor or a nest of tensors as plain tuples."""
    return tree.map_structure(
        lambda x: tuple(x.shape) if isinstance(x, (Tensor, Variable)) else None, value
    )


def _of_shapes(shapes: Any, make: Callable[[tuple[Any, ...]], Any]) -> Any:
    """Map `make` over a nest whose leaves are shapes: tuples of numbers and None."""
    if all(length is None or isinstance(length, (int, np.integer)) for length in shapes):
        return make(tuple(shapes))
    if isinstance(shapes, dict):
        return {name: _of_shapes(shape, make) for name, shape in shapes.items()}
    return [_of_shapes(shape, make) for shape in shapes]
