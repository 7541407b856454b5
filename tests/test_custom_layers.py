"""Layers as users write them: eagerly, symbolically, under the tape, saved as configs."""

import json

import numpy as np
import pytest

from minikeras import layers, ops, registry
from minikeras.core.check import GradientError, check_gradients
from minikeras.core.context import VariableScope
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import EagerTensor, SymbolicTensor
from minikeras.core.variable import Variable

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


class Scale(layers.Layer):
    """Weight made in build."""

    def build(self, input_shape):
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="factor")

    def call(self, inputs):
        return inputs * self.factor


class Early(layers.Layer):
    """Weights made in __init__, before any input is seen."""

    def __init__(self, width, units, **kwargs):
        super().__init__(**kwargs)
        self.w = self.add_weight(shape=(width, units), name="w")
        self.b = self.add_weight(shape=(units,), initializer="zeros", name="b")

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b


class Block(layers.Layer):
    """Sublayers as attributes, in lists and dicts, built when first called."""

    def __init__(self, units, rate=0.5, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = [layers.Dense(units, activation="relu") for _ in range(2)]
        self.heads = {"mean": layers.Dense(1), "scale": [Scale()]}
        self.rate = layers.Dropout(rate)

    def call(self, x, training=None):
        for layer in self.hidden:
            x = layer(x)
        x = self.rate(x, training=training)
        return self.heads["scale"][0](x) + self.heads["mean"](x)


class LateLayers(layers.Layer):
    """Sublayers made in build."""

    def build(self, input_shape):
        self.inner = layers.Dense(input_shape[-1])
        self.inner.build(input_shape)

    def call(self, inputs):
        return inputs + self.inner(inputs)


class LatestLayers(layers.Layer):
    """Sublayers made in the first call."""

    def call(self, inputs):
        if not hasattr(self, "inner"):
            self.inner = layers.Dense(2)
        return self.inner(inputs)


class Pair(layers.Layer):
    """Two inputs as arguments, two outputs, and a build that asks for both shapes."""

    def build(self, left_shape, right_shape):
        self.seen = (left_shape, right_shape)
        self.mix = self.add_weight(
            shape=(left_shape[-1], right_shape[-1]), initializer="ones", name="mix"
        )

    def call(self, left, right, power=1):
        return (left @ self.mix) * right**power, left


class Named(layers.Layer):
    """A dict of inputs and a dict of outputs."""

    def build(self, input_shape):
        self.seen = input_shape
        self.w = self.add_weight(shape=(input_shape["a"][-1], 2), name="w")

    def call(self, inputs):
        return {"sum": inputs["a"] @ self.w + inputs["b"], "b": inputs["b"]}


class Mode(layers.Layer):
    def call(self, inputs, training=False):
        return inputs * (2.0 if training else 1.0)


class Nested(layers.Layer):
    """Pass no training on; the inner layer learns it from the outer call."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.mode = Mode()

    def call(self, inputs):
        return self.mode(inputs)


class Penalty(layers.Layer):
    def call(self, inputs):
        self.add_loss(ops.mean(inputs))
        return inputs


class Forgetful(layers.Layer):
    def __init__(self):
        self.dense = layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


# ---- weights, paths and order --------------------------------------------------------------------


def paths(layer):
    return [v.path for v in layer.weights]


def test_weight_made_in_build():
    layer = Scale(name="s")
    np.testing.assert_array_equal(layer(X), X)
    assert paths(layer) == ["s/factor"]
    assert layer.built


def test_weights_made_in_init():
    layer = Early(3, 2, name="early")
    assert paths(layer) == ["early/w", "early/b"]
    assert layer(X).shape == (4, 2)


def test_nested_layers_in_lists_and_dicts():
    layer = Block(5, name="block")
    assert layer(X).shape == (4, 5)
    hidden = [d.name for d in layer.hidden]
    assert paths(layer) == [
        f"block/{hidden[0]}/kernel",
        f"block/{hidden[0]}/bias",
        f"block/{hidden[1]}/kernel",
        f"block/{hidden[1]}/bias",
        f"block/{layer.heads['mean'].name}/kernel",
        f"block/{layer.heads['mean'].name}/bias",
        f"block/{layer.heads['scale'][0].name}/factor",
    ]
    assert len(layer.variables) == 8  # with the state of the dropout
    layer.hidden.append(layers.Dense(5))
    layer(X)
    assert len(layer.weights) == 9


@pytest.mark.parametrize("cls", [LateLayers, LatestLayers])
@pytest.mark.parametrize("symbolic_first", [False, True])
def test_layers_made_late(cls, symbolic_first):
    layer = cls(name="late")
    if symbolic_first:
        symbol = layer(layers.Input((3,)))
        assert symbol.shape[0] is None
    y = layer(X)
    assert paths(layer) == [f"late/{layer.inner.name}/kernel", f"late/{layer.inner.name}/bias"]
    assert all(isinstance(v.stored, EagerTensor) for v in layer.weights)
    expected = X @ layer.inner.kernel.numpy()
    np.testing.assert_allclose(y, expected + (X if cls is LateLayers else 0), rtol=1e-5, atol=1e-6)


def test_weights_of_one_layer_are_counted_once():
    class Twice(layers.Layer):
        def __init__(self):
            super().__init__()
            self.a = layers.Dense(3)
            self.b = self.a
            self.all = [self.a, self.b]

        def call(self, x):
            return self.b(self.a(x))

    layer = Twice()
    layer(X)
    assert len(layer.weights) == 2
    assert layer.count_params() == 12


def test_trainable_weights_come_first_in_each_layer():
    class Mixed(layers.Layer):
        def build(self, shape):
            self.steps = self.add_weight(shape=(), initializer="zeros", trainable=False, name="n")
            self.w = self.add_weight(shape=(2,), name="w", initializer="ones")

        def call(self, x):
            self.steps.assign_add(1.0)
            return x

    layer = Mixed(name="m")
    layer(X)
    assert paths(layer) == ["m/w", "m/n"]
    assert [v.name for v in layer.trainable_weights] == ["w"]
    assert float(layer.steps) == 1
    layer(layers.Input((3,)))
    assert float(layer.steps) == 1  # finding shapes changes nothing
    layer.trainable = False
    assert layer.trainable_weights == []
    assert [v.name for v in layer.non_trainable_weights] == ["w", "n"]
    layer.trainable = True
    assert [v.name for v in layer.trainable_weights] == ["w"]


def test_variables_assigned_directly_are_weights():
    class Plain(layers.Layer):
        def __init__(self):
            super().__init__()
            self.v = Variable(2.0, name="v")

        def call(self, x):
            return x * self.v

    layer = Plain()
    np.testing.assert_array_equal(layer(X), 2 * X)
    assert len(layer.trainable_weights) == 1


def test_replaced_and_deleted_layers_are_forgotten():
    layer = Block(2)
    layer(X)
    layer.rate = lambda x, training: x
    layer.hidden = [layers.Dense(2)]
    layer(X)
    assert len(layer.weights) == len(layer.variables) == 5
    del layer.heads
    assert len(layer.weights) == 2


def test_trainable_reaches_inner_layers():
    layer = Block(2)
    layer(X)
    layer.trainable = False
    assert layer.trainable_weights == []
    assert not layer.heads["scale"][0].trainable
    layer.trainable = True
    layer.hidden[0].trainable = False
    assert len(layer.trainable_weights) == 5
    with GradientTape() as tape:
        y = layer(X)
    grads = tape.gradient(y, layer.weights)
    assert [g is None for g in grads] == [True, True, *[False] * 5]


def test_frozen_before_it_is_built():
    layer = layers.Dense(2)
    layer.trainable = False
    layer(X)
    assert layer.trainable_weights == []
    assert layers.Dense(2, trainable=False)(X) is not None


# ---- calling -------------------------------------------------------------------------------------


def test_several_inputs_and_outputs():
    layer = Pair(name="pair")
    left, right = np.ones((2, 3), "float32"), np.ones((2, 5), "float32")
    mixed, same = layer(left, right)
    np.testing.assert_array_equal(mixed, np.full((2, 5), 3))
    np.testing.assert_array_equal(same, left)
    assert layer.seen == ((2, 3), (2, 5))
    keyed, _ = layer(right=2 * right, left=left, power=2)
    np.testing.assert_array_equal(keyed, np.full((2, 5), 12))


def test_several_inputs_and_outputs_symbolically():
    layer = Pair()
    mixed, same = layer(layers.Input((3,)), right=layers.Input((5,)))
    assert layer.seen == ((None, 3), (None, 5))
    assert (tuple(mixed.shape), tuple(same.shape)) == ((None, 5), (None, 3))
    assert mixed.node is same.node
    assert mixed.node.op is layer


def test_dict_inputs():
    layer = Named()
    inputs = {"a": np.ones((2, 3)), "b": np.ones((2, 2))}
    found = layer(inputs)
    assert layer.seen == {"a": (2, 3), "b": (2, 2)}
    assert found["sum"].dtype == "float32"
    symbols = layer({"a": layers.Input((3,)), "b": layers.Input((2,))})
    assert tuple(symbols["sum"].shape) == (None, 2)
    assert layer.compute_output_shape({"a": (None, 3), "b": (None, 2)}) == {
        "sum": (None, 2),
        "b": (None, 2),
    }


def test_arguments_by_name_only():
    np.testing.assert_array_equal(Scale()(inputs=X), X)
    dense = layers.Dense(2)
    assert dense(inputs=X).shape == (4, 2)
    with pytest.raises(ValueError, match="expected inputs with last axis 3"):
        dense(inputs=np.ones((4, 5)))
    np.testing.assert_array_equal(Mode()(training=True, inputs=X), 2 * X)


@pytest.mark.parametrize("outer", [Mode, Nested])
def test_training_reaches_layers(outer):
    layer = outer()
    np.testing.assert_array_equal(layer(X), X)
    np.testing.assert_array_equal(layer(X, training=True), 2 * X)
    np.testing.assert_array_equal(layer(X, training=False), X)
    np.testing.assert_array_equal(layer(X), X)


def test_training_by_position():
    layer = Mode()
    np.testing.assert_array_equal(layer(X, True), 2 * X)
    np.testing.assert_array_equal(layer(X, False), X)

    class Outer(layers.Layer):
        def __init__(self, given):
            super().__init__()
            self.mode, self.given = Mode(), given

        def call(self, x, training=None):
            return self.mode(x, self.given)

    np.testing.assert_array_equal(Outer(None)(X, training=True), 2 * X)
    np.testing.assert_array_equal(Outer(False)(X, training=True), X)


def test_default_of_training():
    class Eager(layers.Layer):
        def call(self, x, training=True):
            return x * (2.0 if training else 1.0)

    np.testing.assert_array_equal(Eager()(X), 2 * X)
    np.testing.assert_array_equal(Eager()(X, training=False), X)


def test_training_symbolically():
    symbol = Mode()(layers.Input((3,)), training=True)
    assert symbol.node.params["kwargs"] == {"training": True}


def test_inputs_are_cast():
    class Dtype(layers.Layer):
        def call(self, a, b):
            return ops.cast(a, "int32"), a.dtype == self.compute_dtype and b.dtype == "int64"

    _, right = Dtype()(X.astype("float64"), np.ones(3, "int64"))
    assert right
    assert Scale(dtype="float64")(X).dtype == "float64"
    kept = Scale(autocast=False)
    kept.build((None, 3))
    assert kept(X.astype("float64")).dtype == "float64"


def test_open_axes():
    x = Scale()(layers.Input((None, 3)))
    assert tuple(x.shape) == (None, None, 3)
    with pytest.raises(ValueError, match=r"shape of weight 'factor' as a .* got \(None,\)"):
        Scale()(layers.Input((3, None)))


def test_python_condition_on_a_symbolic_tensor_is_explained():
    class Choice(layers.Layer):
        def call(self, x):
            return x if ops.sum(x) > 0 else -x

    np.testing.assert_array_equal(Choice()(np.ones((1, 2))), [[1, 1]])
    with pytest.raises(TypeError, match=r"Use ops.where"):
        Choice()(layers.Input((2,)))


# ---- gradients -----------------------------------------------------------------------------------


def gradient_check(layer, *inputs, order=2, **kwargs):
    """Check gradients with respect to the inputs and the trainable weights."""
    layer(*inputs, **kwargs)
    trained = layer.trainable_weights

    def function(*tensors):
        replaced = zip(trained, tensors[len(inputs) :], strict=True)
        with VariableScope(list(replaced)):
            return layer(*tensors[: len(inputs)], **kwargs)

    check_gradients(function, [*inputs, *(v.numpy() for v in trained)], order=order)


def test_gradients_of_users_layers():
    x = X.astype("float64")
    gradient_check(Scale(dtype="float64"), x)
    gradient_check(Early(3, 2, dtype="float64"), x)
    gradient_check(Pair(dtype="float64"), x, x + 1)


def test_the_gradient_check_can_fail():
    class Wrong(Scale):
        def call(self, inputs):
            return inputs * ops.stop_gradient(self.factor)

    with pytest.raises(GradientError, match="expected a first derivative"):
        gradient_check(Wrong(dtype="float64"), X.astype("float64"))


def test_tape_sees_all_weights_of_nested_layers():
    layer = Block(4)
    with GradientTape() as tape:
        y = ops.sum(layer(X, training=False) ** 2)
    grads = tape.gradient(y, layer.trainable_weights)
    assert len(grads) == 7
    assert all(g is not None and tuple(g.shape) == tuple(v.shape)
               for g, v in zip(grads, layer.weights, strict=True))  # fmt: skip


def test_training_a_nested_layer_lowers_the_loss():
    layer = Block(4)
    losses = []
    for _ in range(20):
        with GradientTape() as tape:
            loss = ops.mean((layer(X) - 1.0) ** 2)
        for v, g in zip(layer.trainable_weights, tape.gradient(loss, layer.trainable_weights)):
            v.assign_sub(0.1 * g)
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]


# ---- losses --------------------------------------------------------------------------------------


def test_losses_are_those_of_the_last_call():
    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.penalty = Penalty()

        def call(self, x):
            return self.penalty(self.penalty(x) + 1)

    layer = Outer()
    for _ in range(2):
        layer(np.ones((2, 2)))
        assert [float(loss) for loss in layer.losses] == [1, 2]
    layer(layers.Input((2,)))
    assert all(not isinstance(loss, SymbolicTensor) for loss in layer.losses)


# ---- configs -------------------------------------------------------------------------------------


@registry.register_keras_serializable("tests")
class Configured(layers.Layer):
    """Constructor arguments whose names are also those of other attributes."""

    def __init__(self, units, dropout=0.25, *, activation="relu", **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(2 * units, activation)
        self.dropout = layers.Dropout(dropout)

    def call(self, x):
        return self.dropout(self.dense(x))


@registry.register_keras_serializable("tests")
class Wrapping(layers.Layer):
    """A layer given to the constructor, and no **kwargs."""

    def __init__(self, layer, times):
        super().__init__()
        self.layer, self.times = layer, times

    def call(self, x):
        for _ in range(self.times):
            x = self.layer(x)
        return x


@registry.register_keras_serializable("tests")
class OwnConfig(layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.width = 2 * units
        self.dense = layers.Dense(self.width)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        config = super().get_config()
        config.update({"units": self.width // 2})
        return config


@pytest.mark.parametrize(
    "layer",
    [
        Configured(3, name="named", trainable=False),
        Configured(3, 0.5, activation="tanh", dtype="float64"),
        Wrapping(layers.Dense(3, kernel_regularizer="l2"), times=2),
        OwnConfig(3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_is_recorded(layer):
    y = layer(X)
    stored = json.loads(json.dumps(layers.serialize(layer)))
    assert stored["registered_name"] == f"tests>{type(layer).__name__}"
    again = layers.deserialize(stored)
    assert again.get_config() == layer.get_config()
    assert (again.trainable, again.dtype) == (layer.trainable, layer.dtype)
    again(X)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(X), y)


def test_config_holds_what_the_constructor_takes():
    assert set(Wrapping(layers.Dense(1), 2).get_config()) == {"layer", "times"}
    config = Configured(3, name="c").get_config()
    assert {key: config[key] for key in ("name", "units", "dropout", "activation")} == {
        "name": "c",
        "units": 3,
        "dropout": 0.25,
        "activation": "relu",
    }


def test_unregistered_class_is_named_in_the_error():
    stored = layers.serialize(Scale())
    with pytest.raises(ValueError, match=r"got 'Scale'. Register your own"):
        layers.deserialize(stored)
    assert isinstance(layers.deserialize(stored, custom_objects={"Scale": Scale}), Scale)


# ---- mistakes ------------------------------------------------------------------------------------


def test_forgotten_super_init():
    message = "Forgetful.__init__ did not call it. Make super"
    layer = Forgetful()
    with pytest.raises(RuntimeError, match=message):
        layer(X)
    with pytest.raises(RuntimeError, match=message):
        layer(layers.Input((3,)))

    class Weighted(layers.Layer):
        def __init__(self):
            self.w = self.add_weight(shape=(2,))

    with pytest.raises(RuntimeError, match=r"Weighted.__init__ did not call it"):
        Weighted()


def test_missing_attribute_is_a_plain_attribute_error():
    with pytest.raises(AttributeError, match="'Scale' object has no attribute 'fctor'"):
        Scale().fctor
    assert not hasattr(Scale(), "anything")


def test_missing_call():
    class Nothing(layers.Layer):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing '\w+': expected a call method"):
        Nothing()(X)


def test_old_order_of_add_weight():
    class Old(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight("w", (shape[-1],))

        def call(self, x):
            return x

    with pytest.raises(
        ValueError, match=r"expected the shape of a weight first, got 'w'. Write add_"
    ):
        Old()(X)


def test_unknown_argument():
    with pytest.raises(ValueError, match=r"Scale: expected known arguments, got \{'unit': 3\}"):
        Scale(unit=3)


def test_build_that_calls_the_base_class():
    class Polite(Scale):
        def build(self, input_shape):
            super().build(input_shape)
            self.shift = self.add_weight(shape=(1,), initializer="zeros", name="shift")
            self.built = True

    layer = Polite(name="p")
    layer(X)
    assert paths(layer) == ["p/factor", "p/shift"]


def test_list_of_inputs_and_star_arguments():
    class Star(layers.Layer):
        def build(self, input_shape):
            self.seen = input_shape

        def call(self, *inputs, **options):
            return sum(inputs) * options.get("factor", 1)

    layer = Star()
    np.testing.assert_array_equal(layer(X, X, factor=2), 4 * X)
    assert layer.seen == (4, 3)
    assert tuple(layer(layers.Input((3,)), layers.Input((3,))).shape) == (None, 3)

    class Listed(Star):
        def call(self, inputs):
            return sum(inputs)

    layer = Listed()
    layer([X, X, X])
    assert layer.seen == [(4, 3)] * 3


def test_failed_build_leaves_the_layer_unbuilt():
    layer = layers.Conv2D(2, 2)
    with pytest.raises(ValueError, match="expected inputs with 4 axes"):
        layer(X)
    assert not layer.built
    assert layer(np.ones((1, 3, 3, 1))).shape == (1, 2, 2, 2)
