"""Models of every kind: what they are made of, what they compute, and what they refuse."""

import gc
import weakref

import numpy as np
import pytest

import minikeras as keras
from minikeras import backend, layers, ops
from minikeras.errors import ResourceLimitError


@pytest.fixture(autouse=True)
def names_from_the_start():
    backend.clear_session()


def ones(*shape):
    return np.ones(shape, "float32")


def mlp(**kwargs):
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(3)], **kwargs
    )


def paths(variables):
    return [variable.path for variable in variables]


# -- Sequential ----------------------------------------------------------------------------------


def test_sequential_is_built_at_once_if_it_begins_with_an_input():
    model = mlp()
    assert model.built
    assert model.count_params() == 4 * 8 + 8 + 8 * 3 + 3
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 3))
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
    names = ("dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias")
    assert paths(model.weights) == [f"sequential/{name}" for name in names]
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    kernel, bias, kernel_1, bias_1 = model.get_weights()
    expected = np.maximum(x @ kernel + bias, 0) @ kernel_1 + bias_1
    np.testing.assert_allclose(model(x), expected, rtol=1e-5, atol=1e-6)


def test_sequential_takes_layers_one_by_one_and_gives_them_back():
    model = keras.Sequential()
    model.add(keras.Input(shape=(4,)))
    model.add(layers.Dense(8))
    assert model.output_shape == (None, 8)
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    last = model.pop()
    assert last.units == 2
    assert model.output_shape == (None, 8)
    assert model(ones(3, 4)).shape == (3, 8)
    model.pop()
    assert not model.built
    with pytest.raises(ValueError, match="expected a layer to pop, got none"):
        model.pop()


def test_sequential_without_a_shape_is_built_at_the_first_call():
    model = keras.Sequential([layers.Dense(5), layers.Dense(2)])
    assert not model.built
    assert model.weights == []
    with pytest.raises(ValueError, match="expected a built layer to count weights of"):
        model.count_params()
    with pytest.raises(AttributeError, match="expected a functional or built Sequential model"):
        model.output_shape
    assert model(ones(3, 4)).shape == (3, 2)
    assert model.output_shape == (None, 2)
    assert paths(model.weights)[0] == "sequential/dense/kernel"
    assert model(ones(7, 4)).shape == (7, 2)


def test_sequential_is_built_for_a_shape():
    model = keras.Sequential([layers.Dense(5), layers.Dense(2)])
    model.build((None, 4))
    assert model.count_params() == 4 * 5 + 5 + 5 * 2 + 2
    with pytest.raises(ValueError, match="expected at least one layer, got none"):
        keras.Sequential().build((None, 4))


def test_sequential_reads_the_shape_off_the_first_layer_with_a_warning():
    with pytest.warns(UserWarning, match="Do not pass an `input_shape`/`input_dim` argument"):
        first = layers.Dense(8, input_shape=(4,))
    model = keras.Sequential([first, layers.Dense(3)])
    assert model.input_shape == (None, 4)
    with pytest.warns(UserWarning, match="Do not pass an `input_shape`"):
        first = layers.Dense(8, input_dim=4)
    assert keras.Sequential([first]).output_shape == (None, 8)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([abs], "expected a layer, got <built-in function abs>.*layers.Lambda"),
        (["dense"], "expected a layer, got 'dense' of type str"),
        ([layers.Dense(2, name="a"), layers.Dense(2, name="a")], "a second 'a'. Pass name="),
        ([keras.Input((4,)), keras.Input((4,))], "expected an Input as the first entry only"),
        ([layers.Dense(2), keras.Input((4,))], "expected an Input as the first entry only"),
    ],
)
def test_sequential_refuses_entries(entries, message):
    with pytest.raises(ValueError, match=message):
        keras.Sequential(entries)


def test_sequential_may_hold_one_layer_twice():
    layer = layers.Dense(4)
    model = keras.Sequential([keras.Input((4,)), layer, layer])
    assert len(model.weights) == 2
    np.testing.assert_allclose(model(ones(2, 4)), layer(layer(ones(2, 4))), rtol=1e-6)


def test_sequential_of_models_is_built_by_the_shape_of_the_first():
    inner = mlp(name="inner")
    model = keras.Sequential([inner, layers.Dense(2)])
    assert model.input_shape == (None, 4)
    assert paths(model.weights)[0] == "inner/dense/kernel"
    np.testing.assert_array_equal(model(ones(2, 4)), model.layers[1](inner(ones(2, 4))))


def test_sequential_of_layers_that_take_a_list_is_built_as_it_is_called():
    model = keras.Sequential([layers.Concatenate(), layers.Dense(2)])
    assert model([ones(3, 2), ones(3, 4)]).shape == (3, 2)
    assert model.weights[0].shape == (6, 2)


# -- functional models ---------------------------------------------------------------------------


def test_functional_model_with_several_inputs_and_outputs():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    joined = layers.Concatenate()([a, b])
    model = keras.Model(
        [a, b], [layers.Dense(2, name="p")(joined), layers.Dense(1, name="q")(joined)]
    )
    p, q = model([ones(4, 2), ones(4, 3)])
    assert (p.shape, q.shape) == ((4, 2), (4, 1))
    assert model.input_shape == [(None, 2), (None, 3)]
    assert model.output_shape == [(None, 2), (None, 1)]
    assert model.output_names == ["p", "q"]
    by_name, _ = model({"b": ones(4, 3), "a": ones(4, 2), "unused": 3})
    np.testing.assert_array_equal(p, by_name)


def test_functional_model_with_dicts():
    inputs = {"b": keras.Input((3,), name="b"), "a": keras.Input((2,), name="a")}
    outputs = {"y": layers.Dense(2)(inputs["a"]), "x": layers.Dense(1)(inputs["b"])}
    model = keras.Model(inputs, outputs)
    found = model({"a": ones(4, 2), "b": ones(4, 3)})
    assert list(found) == ["y", "x"]
    assert (found["y"].shape, found["x"].shape) == ((4, 2), (4, 1))
    with pytest.raises(ValueError, match=r"expected inputs named \['a', 'b'\], got \['a'\]"):
        model({"a": ones(4, 2)})
    with pytest.raises(ValueError, match="expected 2 inputs named .*, got 2 in a list"):
        model([ones(4, 3), ones(4, 2)])


def test_functional_model_with_nests():
    a, b, c = keras.Input((2,)), keras.Input((2,)), keras.Input((2,))
    model = keras.Model([a, (b, c)], {"sum": a + b, "rest": [c, (b * c,)]})
    found = model([ones(1, 2), (2 * ones(1, 2), 3 * ones(1, 2))])
    np.testing.assert_array_equal(found["sum"], [[3, 3]])
    np.testing.assert_array_equal(found["rest"][1][0], [[6, 6]])


def test_functional_model_with_operators_ops_and_indices():
    x = keras.Input((4,))
    y = ops.concatenate([2.0 * x[:, :2] - 1.0, ops.abs(x)], axis=-1) @ ops.ones((6, 2))
    model = keras.Model(x, ops.mean(y, axis=-1))
    value = np.array([[1.0, -2, 3, -4]], "float32")
    assert model.output_shape == (None,)
    np.testing.assert_allclose(model(value), [(2 - 1) + (-4 - 1) + 1 + 2 + 3 + 4])


def test_shared_layers_have_their_weights_once():
    a, b = keras.Input((4,)), keras.Input((4,))
    shared = layers.Dense(3)
    model = keras.Model([a, b], shared(a) - shared(b))
    assert len(model.weights) == 2
    np.testing.assert_array_equal(model([ones(2, 4), ones(2, 4)]), np.zeros((2, 3)))


def test_functional_models_serve_as_layers():
    inner = mlp(name="inner")
    x = keras.Input((4,))
    model = keras.Model(x, inner(x) + inner(2 * x))
    assert paths(model.weights) == paths(inner.weights)
    np.testing.assert_allclose(
        model(ones(1, 4)), inner(ones(1, 4)) + inner(2 * ones(1, 4)), rtol=1e-6
    )
    deeper = keras.Sequential([keras.Input((4,)), model, layers.Dense(1)])
    assert deeper.predict(ones(3, 4), verbose=0).shape == (3, 1)


def test_a_part_of_a_model_is_a_model():
    inputs = keras.Input((4,))
    first, second = layers.Dense(5, name="first"), layers.Dense(3, name="second")
    middle = first(inputs)
    whole = keras.Model(inputs, second(middle))
    part, rest = keras.Model(whole.input, middle), keras.Model(middle, whole.output)
    x = ones(2, 4)
    np.testing.assert_array_equal(rest(part(x)), whole(x))
    assert [layer.name for layer in rest.layers[1:]] == ["second"]
    assert len(rest.weights) == 2
    assert whole.get_layer("first").input is inputs
    several = keras.Model(whole.inputs, [layer.output for layer in whole.layers[1:]])
    np.testing.assert_array_equal(several(x)[0], part(x))
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'output'"):
        layers.Dense(2).output


def test_open_axes_and_the_batch_size_are_free():
    x = keras.Input((None, 3))
    model = keras.Model(x, layers.Dense(2)(x))
    assert model.output_shape == (None, None, 2)
    assert model(ones(2, 5, 3)).shape == (2, 5, 2)
    assert model(ones(4, 7, 3)).shape == (4, 7, 2)
    fixed = keras.Input((3,), batch_size=2)
    assert keras.Model(fixed, layers.Dense(2)(fixed)).output_shape == (2, 2)


def test_inputs_get_the_dtype_and_the_last_axis_that_are_expected():
    x = keras.Input((1,))
    model = keras.Model(x, 2 * x)
    assert model(np.array([1, 2], "uint8")).dtype == "float32"
    np.testing.assert_array_equal(model(np.array([1.0, 2.0])), [[2], [4]])
    flat = keras.Model(y := keras.Input(()), y + 1)
    np.testing.assert_array_equal(flat(ones(3, 1)), [2, 2, 2])
    numbers = keras.Input((2,), dtype="int32")
    embedded = keras.Model(numbers, layers.Embedding(5, 3)(numbers))
    assert embedded(np.array([[1.0, 4.0]])).shape == (1, 2, 3)


def test_wrong_inputs_are_refused_by_name_and_shape():
    model = mlp()
    with pytest.raises(ValueError, match=r"'sequential': .*last axis 4, got shape \(2, 5\)"):
        model(ones(2, 5))
    with pytest.raises(ValueError, match="expected input_layer, got 2 in a list"):
        model([ones(2, 4), ones(2, 4)])
    with pytest.raises(ValueError, match=r"with 2 axes, got shape \(2, 3, 4\)"):
        model(ones(2, 3, 4))
    with pytest.raises(
        ValueError, match="expected a tensor or an array for input 'input_layer.*', got 3.0"
    ):
        mlp()(3.0)


def test_graphs_that_do_not_hang_together_are_refused():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    with pytest.raises(ValueError, match=r"depend on the inputs \['a'\] only, but one needs 'b'"):
        keras.Model(a, a + b)
    with pytest.raises(ValueError, match="expected inputs that come from layers.Input, got array"):
        keras.Model(ones(1, 2), a)
    with pytest.raises(ValueError, match="expected outputs that come from layers.Input"):
        keras.Model(a, ones(1, 2))
    with pytest.raises(ValueError, match="expected both inputs and outputs, or neither"):
        keras.Model(a)
    with pytest.raises(ValueError, match="expected at least one tensor in inputs"):
        keras.Model([], a)
    same = layers.Dense(2, name="same")(layers.Dense(2, name="same")(a))
    with pytest.raises(ValueError, match='The name "same" is used 2 times in the model'):
        keras.Model(a, same)
    with pytest.raises(ValueError, match="expected known arguments, got {'widht': 3}"):
        keras.Model(a, a + 1, widht=3)


def test_an_input_that_nothing_uses_is_no_harm():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    model = keras.Model([a, b], layers.Dense(1)(a))
    assert [layer.name for layer in model.layers] == ["a", "b", "dense"]
    assert model([ones(3, 2), ones(3, 2)]).shape == (3, 1)


def test_optional_inputs_may_be_none():
    class AddIfThere(layers.Layer):
        def call(self, x, y=None):
            return x if y is None else x + y

    a, b = keras.Input((2,)), keras.Input((2,), optional=True)
    model = keras.Model([a, b], AddIfThere()(a, b))
    np.testing.assert_array_equal(model([ones(1, 2), ones(1, 2)]), [[2, 2]])
    np.testing.assert_array_equal(model([ones(1, 2), None]), [[1, 1]])


# -- subclasses ----------------------------------------------------------------------------------


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(4)
        self.blocks = [layers.Dense(4), (layers.Dense(4),)]
        self.heads = {"out": layers.Dense(2)}

    def call(self, x, training=None):
        for layer in (self.first, self.blocks[0], self.blocks[1][0], self.heads["out"]):
            x = layer(x)
        return 2 * x if training else x


def test_subclass_finds_layers_in_attributes_lists_and_dicts():
    model = Subclassed()
    assert not model.built
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dense_2", "dense_3"]
    y = model(ones(3, 5))
    assert model.built
    assert paths(model.weights)[:2] == ["subclassed/dense/kernel", "subclassed/dense/bias"]
    assert model.count_params() == 5 * 4 + 4 + 2 * (4 * 4 + 4) + 4 * 2 + 2
    np.testing.assert_allclose(model(ones(3, 5), training=True), 2 * y)
    with pytest.raises(AttributeError, match="to ask for its inputs, got one whose inputs"):
        model.inputs


def test_subclass_is_built_for_a_shape():
    model = Subclassed()
    model.build((None, 5))
    assert model.built
    assert model.weights[0].shape == (5, 4)


def test_subclass_with_its_own_build():
    class Own(keras.Model):
        def build(self, input_shape):
            self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
            self.dense = layers.Dense(2)
            super().build(input_shape)

        def call(self, x):
            return self.dense(x * self.scale)

    model = Own()
    assert model(ones(3, 4)).shape == (3, 2)
    assert paths(model.weights) == ["own/scale", "own/dense/kernel", "own/dense/bias"]


def test_subclass_that_takes_several_arguments():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(2), layers.Dense(2)

        def call(self, x, y, scale=1.0):
            return (self.a(x) + self.b(y)) * scale

    model = Two()
    assert model(ones(3, 4), ones(3, 5)).shape == (3, 2)
    assert [tuple(w.shape) for w in model.weights] == [(4, 2), (2,), (5, 2), (2,)]


def test_a_model_whose_call_fails_is_not_built():
    class Fails(Subclassed):
        def call(self, x):
            raise KeyError("no")

    model = Fails()
    with pytest.raises(KeyError, match="no"):
        model(ones(3, 5))
    assert not model.built
    with pytest.raises(KeyError, match="no"):
        model.build((None, 5))
    assert not model.built


def test_subclass_without_init_or_call_says_what_is_missing():
    class NoInit(keras.Model):
        def __init__(self):
            self.dense = layers.Dense(2)

    class NoCall(keras.Model):
        pass

    with pytest.raises(RuntimeError, match=r"super\(\).__init__\(\*\*kwargs\) its first statement"):
        NoInit()(ones(1, 2))
    with pytest.raises(NotImplementedError, match="expected a call method, got a class without"):
        NoCall()(ones(1, 2))


def test_functional_subclass_has_a_graph_and_attributes():
    class Extended(keras.Model):
        def __init__(self, inputs, outputs):
            super().__init__(inputs=inputs, outputs=outputs)
            self.extra = layers.Dense(2)

    x = keras.Input((4,))
    model = Extended(x, layers.Dense(3)(x))
    assert model.name == "extended"
    assert [layer.name for layer in model.layers] == ["input_layer", "dense"]
    model.extra.build((None, 3))
    assert len(model.weights) == 4
    assert model(ones(2, 4)).shape == (2, 3)


def test_subclass_keeps_what_is_appended_and_assigned_later():
    model = Subclassed()
    model(ones(1, 5))
    assert len(model.weights) == 8
    model.blocks.append(late := layers.Dense(3))
    late.build((None, 2))
    assert len(model.weights) == 10
    model.blocks[-1] = other = layers.Dense(3)
    other.build((None, 2))
    assert any(w is other.kernel for w in model.weights)
    assert not any(w is late.kernel for w in model.weights)
    model.heads["in"] = layers.Dense(1)
    assert len(model.layers) == 6
    model.heads = None
    assert len(model.layers) == 4
    del model.first
    assert len(model.layers) == 3


# -- structure -----------------------------------------------------------------------------------


def test_get_layer_finds_by_name_and_index():
    model = mlp()
    assert model.get_layer("dense_1") is model.get_layer(index=1) is model.layers[1]
    with pytest.raises(ValueError, match=r"expected one of \['dense', 'dense_1'\], got 'x'"):
        model.get_layer("x")
    with pytest.raises(ValueError, match="expected an index below 2, got 5"):
        model.get_layer(index=5)
    with pytest.raises(ValueError, match="expected either a name or an index, got name=None"):
        model.get_layer()


def test_frozen_layers_count_as_not_trainable():
    model = mlp()
    model.layers[0].trainable = False
    assert paths(model.trainable_weights) == [
        "sequential/dense_1/kernel",
        "sequential/dense_1/bias",
    ]
    assert len(model.non_trainable_weights) == 2
    model.trainable = False
    assert model.trainable_weights == []
    assert len(mlp(trainable=False).non_trainable_weights) == 4


def test_get_and_set_weights():
    model = mlp()
    values = [np.full_like(w, i) for i, w in enumerate(model.get_weights())]
    model.set_weights(values)
    np.testing.assert_array_equal(model.get_weights()[2], values[2])
    before = model.get_weights()
    with pytest.raises(ValueError, match="expected 4 arrays of weights, got 3"):
        model.set_weights(values[:3])
    with pytest.raises(ValueError, match=r"expected shape \(8, 3\) for weight '.*', got \(3, 8\)"):
        model.set_weights([v + 1 for v in values[:2]] + [values[2].T, values[3]])
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_that_no_machine_can_hold_are_refused():
    with pytest.raises(
        ResourceLimitError, match=r"weight 'kernel' to fit .* \(4, 4611686018427387904"
    ):
        keras.Sequential([keras.Input((4,)), layers.Dense(2**62)])


def test_variables_are_weights_and_random_state_but_no_metrics():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1), layers.Dropout(0.5)])
    model.tracker = keras.metrics.Mean()
    assert len(model.weights) == 2
    assert [v.name for v in model.variables[2:]] == ["seed_generator_state"]


def test_models_are_freed():
    model = mlp()
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_the_config_of_sequential_makes_it_again():
    model = mlp(name="net")
    again = keras.Sequential.from_config(model.get_config())
    assert again.name == "net"
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    assert '"class_name": "Sequential"' in model.to_json()
    x = keras.Input((2,))
    with pytest.raises(ValueError, match="config is not supported yet. Keep the code"):
        keras.Model(x, x + 1).to_json()


# -- summary -------------------------------------------------------------------------------------


def printed(model, **kwargs):
    texts = []
    model.summary(print_fn=texts.append, **kwargs)
    assert len(texts) == 1
    return texts[0]


def test_summary_is_that_of_keras():
    model = keras.Sequential(
        [keras.Input((784,)), layers.Dense(512, name="a_layer_with_quite_a_long_name_indeed"),
         layers.Dense(10)]
    )  # fmt: skip
    model.layers[0].trainable = False
    assert (
        printed(model, line_length=60)
        == """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ Layer (type)             ┃ Output Shape      ┃   Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ a_layer_with_quite_a_lo… │ (None, 512)       │   401,920 │
│ (Dense)                  │                   │           │
├──────────────────────────┼───────────────────┼───────────┤
│ dense (Dense)            │ (None, 10)        │     5,130 │
└──────────────────────────┴───────────────────┴───────────┘
 Total params: 407,050 (1.55 MB)
 Trainable params: 5,130 (20.04 KB)
 Non-trainable params: 401,920 (1.53 MB)
"""
    )


def test_summary_of_a_graph_says_what_is_connected():
    a, b = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = layers.Dense(6, name="shared")
    model = keras.Model([a, b], layers.Concatenate()([shared(a), shared(b)]) * 2.0)
    assert (
        printed(model, line_length=76)
        == """\
Model: "functional"
┏━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)        ┃ Output Shape      ┃    Param # ┃ Connected to      ┃
┡━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━┩
│ left (InputLayer)   │ (None, 4)         │          0 │ -                 │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ right (InputLayer)  │ (None, 4)         │          0 │ -                 │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ shared (Dense)      │ (None, 6)         │         30 │ left[0][0],       │
│                     │                   │            │ right[0][0]       │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ concatenate         │ (None, 12)        │          0 │ shared[0][0],     │
│ (Concatenate)       │                   │            │ shared[1][0]      │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ multiply (Multiply) │ (None, 12)        │          0 │ concatenate[0][0] │
└─────────────────────┴───────────────────┴────────────┴───────────────────┘
 Total params: 30 (120.00 B)
 Trainable params: 30 (120.00 B)
 Non-trainable params: 0 (0.00 B)
"""
    )


def test_summary_shows_nested_layers_shapes_and_optimizer():
    inner = keras.Sequential([layers.Dense(4), layers.Dense(4)], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, layers.Dense(1)])
    model.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    model.fit(ones(2, 4), ones(2, 1), verbose=0)
    text = printed(model, expand_nested=True, show_trainable=True, line_length=76)
    assert "│    └ dense (Dense)          │ (None, 4)             │         20 │   Y   │" in text
    assert " Optimizer params: 47 (192.00 B)" in text
    only = printed(model, layer_range=["dense_2", "dense_2"])
    assert "dense_2" in only and "inner" not in only
    with pytest.raises(ValueError, match="expected layer_range of names among"):
        model.summary(layer_range=["nothing", "dense"])


def test_summary_before_and_after_building(capsys):
    model = Subclassed()
    model.summary()
    assert "? " in (shown := capsys.readouterr().out) and "0 (unbuilt)" in shown
    model(ones(3, 5))
    assert "(3, 4)" in printed(model)
    with pytest.raises(ValueError, match="expected a line_length for 3 columns, got 9"):
        model.summary(line_length=9)
