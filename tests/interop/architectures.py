"""Models that both Keras and minikeras build from the same lines, and data for them.

Every function takes the module that is called `keras` in scripts, and returns a compiled model.
This file imports neither.
"""

import numpy as np

ROWS = 12


def mlp(keras):
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(3, name="logits")]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"])
    return model, (4,), (3,)


def convolutions(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(3, 3, use_bias=False),
            layers.BatchNormalization(name="second"),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    # Before a normalization gradients may be rounding errors, which Adam would blow up.
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True), "mse")
    return model, (8, 8, 2), (2,)


def built_at_first_call(keras):
    layers = keras.layers
    model = keras.Sequential([layers.Dense(5, activation="tanh"), layers.Dense(1)])
    model.compile(keras.optimizers.RMSprop(0.01, momentum=0.5), "mse")
    return model, (3,), (1,)


def residual(keras):
    layers, ops = keras.layers, keras.ops
    inputs = keras.Input((6,), name="features")
    x = layers.Dense(6, activation="relu")(inputs)
    x = x * 2.0 + inputs
    y = layers.LayerNormalization()(x)
    y = ops.concatenate([y, ops.abs(x)], axis=-1)
    outputs = layers.Dense(2)(y) - 1.0
    model = keras.Model(inputs, outputs)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, 10, 0.9)
    model.compile(keras.optimizers.Adam(schedule), "mse")
    return model, (6,), (2,)


def branches(keras):
    layers = keras.layers
    left, right = keras.Input((4,), name="left"), keras.Input((5,), name="right")
    shared = layers.Dense(6, activation="tanh", name="shared")
    a = shared(layers.Dense(3, name="narrow")(left))
    b = shared(layers.Dense(3, name="other")(right))
    joined = layers.Concatenate()([a, b])
    deep = layers.Dense(4, name="deep")(layers.Dense(5, name="middle")(joined))
    first = layers.Dense(2, name="first")(deep)
    second = layers.Dense(1, name="second")(layers.Add()([a, b]))
    model = keras.Model([left, right], [first, second])
    model.compile(
        keras.optimizers.Adam(0.01, amsgrad=True), ["mse", "mae"], loss_weights=[1.0, 0.5]
    )
    return model, [(4,), (5,)], [(2,), (1,)]


def by_name(keras):
    layers = keras.layers
    inputs = {"b": keras.Input((3,), name="b"), "a": keras.Input((2,), name="a")}
    joined = layers.Concatenate()([inputs["b"], inputs["a"]])
    outputs = {"y": layers.Dense(2, name="why")(joined), "x": layers.Dense(1, name="ex")(joined)}
    model = keras.Model(inputs, outputs)
    model.compile("adam", {"x": "mse", "y": "mae"})
    return model, {"b": (3,), "a": (2,)}, {"y": (2,), "x": (1,)}


def nested(keras):
    layers = keras.layers
    inner = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(4)], name="inner")
    there = keras.Input((4,))
    block = keras.Model(there, layers.Dense(4)(inner(there)) + there, name="block")
    inputs = keras.Input((4,))
    outputs = layers.Dense(1)(block(layers.Dense(4)(inputs)))
    model = keras.Sequential(
        [keras.Model(inputs, outputs, name="body"), layers.Dense(2, name="head")]
    )
    model.compile("adam", "mse")
    return model, (4,), (2,)


def subclassed(keras):
    layers = keras.layers

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.zebra = layers.Dense(4, activation="relu")
            self.blocks = [layers.Dense(4), layers.BatchNormalization(), layers.Dense(4)]
            self.heads = {"b": layers.Dense(2), "a": [layers.Dense(3), layers.Dense(2)]}
            self.apple = layers.Dense(4)

        def call(self, inputs, training=None):
            x = self.apple(self.zebra(inputs))
            for block in self.blocks:
                x = block(x)
            first, second = self.heads["a"]
            return self.heads["b"](x) + second(first(x))

    model = Subclassed()
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
    return model, (5,), (2,)


def own_layers(keras):
    layers = keras.layers

    class Scale(layers.Layer):
        def build(self, input_shape):
            self.steps = self.add_weight(
                shape=(), initializer="zeros", trainable=False, name="steps"
            )
            self.factor = self.add_weight(shape=input_shape[-1:], initializer="ones", name="factor")

        def call(self, inputs):
            return inputs * self.factor + self.steps

    class Block(layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.scale = Scale()
            self.dense = layers.Dense(units, activation="tanh")

        def build(self, input_shape):
            self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="own_bias")
            self.scale.build(input_shape)
            self.dense.build(input_shape)

        def call(self, inputs):
            return self.dense(self.scale(inputs)) + self.bias

    inputs = keras.Input((4,))
    outputs = layers.Dense(2)(Block(3)(Block(5)(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model, (4,), (2,)


def functional_subclass(keras):
    layers = keras.layers

    class Extended(keras.Model):
        def __init__(self, inputs, outputs):
            super().__init__(inputs=inputs, outputs=outputs)
            self.extra = layers.Dense(2)
            self.extra.build((None, 3))

    inputs = keras.Input((3,))
    model = Extended(inputs, layers.Dense(2)(inputs))
    model.compile(keras.optimizers.Adagrad(0.1), "mse")
    return model, (3,), (2,)


ALL = [
    mlp, convolutions, built_at_first_call, residual, branches, by_name, nested, subclassed,
    own_layers, functional_subclass,
]  # fmt: skip


def arrays(shapes, seed):
    """Return arrays of these shapes, a batch axis in front, nested alike."""
    if isinstance(shapes, dict):
        return {key: arrays(shape, seed + i) for i, (key, shape) in enumerate(shapes.items())}
    if isinstance(shapes, list):
        return [arrays(shape, seed + i) for i, shape in enumerate(shapes)]
    rng = np.random.RandomState(seed)
    return rng.standard_normal((ROWS, *shapes)).astype("float32")


def make(keras, architecture):
    """Return a built model with weights that depend on their places and shapes only, x and y."""
    keras.utils.clear_session()
    model, shapes_of_x, shapes_of_y = architecture(keras)
    x, y = arrays(shapes_of_x, 1), arrays(shapes_of_y, 10)
    model(x)
    rng = np.random.RandomState(2)
    values = [0.3 * rng.standard_normal(tuple(w.shape)).astype("float32") for w in model.weights]
    model.set_weights(
        [
            np.abs(value) if w.path.endswith("variance") else value
            for w, value in zip(model.weights, values)
        ]
    )
    return model, x, y


def step(model, x, y):
    """Train with all samples in one batch."""
    model.fit(x, y, batch_size=ROWS, verbose=0)


def flat(outputs):
    """Return outputs as a list, those of a dict by key."""
    if isinstance(outputs, dict):
        return [outputs[key] for key in sorted(outputs)]
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def state(model, x):
    """Return what two models must have in common: predictions, weights, optimizer state."""
    found = {f"output {i}": y for i, y in enumerate(flat(model.predict(x, verbose=0)))}
    for i, variable in enumerate([*model.weights, *model.optimizer.variables]):
        found[f"{i} {variable.path}"] = np.array(variable)
    return found
