"""The small models that are trained, described and serialized."""

import numpy as np


def regression(keras):
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, activation="tanh"), layers.Dense(1)], name="regression"
    )


def classifier(keras):
    layers = keras.layers
    hidden = layers.Dense(5, activation="relu")
    return keras.Sequential([keras.Input((4,)), hidden, layers.Dense(3, activation="softmax")])


def logits(keras):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def binary(keras):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])


def convolutional(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(3, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.BatchNormalization(momentum=0.8),
            layers.Conv2D(2, 2),
            layers.Flatten(),
            layers.Dropout(0.0),
            layers.Dense(3, activation="softmax"),
        ],
        name="convolutional",
    )


def words(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(7, 3),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def two_outputs(keras):
    """Share one layer between two branches, and give two outputs."""
    inputs = keras.Input((4,), name="rows")
    shared = keras.layers.Dense(4, activation="tanh", name="shared")
    left, right = shared(inputs), shared(shared(inputs))
    both = keras.layers.Concatenate(name="both")(
        [left, keras.layers.Add(name="sum")([left, right])]
    )
    value = keras.layers.Dense(1, name="value")(both)
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(both)
    return keras.Model(inputs, [value, kind], name="two_outputs")


def dict_outputs(keras):
    model = two_outputs(keras)
    named = dict(zip(("value", "kind"), model.outputs, strict=True))
    return keras.Model(model.inputs[0], named, name="dict_outputs")


def two_inputs(keras):
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    product = keras.layers.Multiply()([keras.layers.Dense(3)(left), keras.layers.Dense(3)(right)])
    return keras.Model([left, right], keras.layers.Dense(1)(product))


def regularized(keras):
    layers, l2 = keras.layers, keras.regularizers.L2(0.1)
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, kernel_regularizer=l2, bias_regularizer="l1", activity_regularizer=l2),
            layers.Dense(1, kernel_constraint="non_neg"),
        ]
    )


def with_added_loss(keras):
    class Penalty(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(0.1 * keras.ops.mean(keras.ops.square(inputs)))
            return inputs

    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), Penalty(), keras.layers.Dense(1)]
    )


def subclass(keras):
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.hidden = keras.layers.Dense(5, activation="relu")
            self.last = keras.layers.Dense(1)

        def call(self, inputs, training=False):
            return self.last(self.hidden(inputs))

    model = Own()
    model(np.zeros((1, 4), "float32"))
    return model
