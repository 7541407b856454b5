"""Write a layer of one's own, check its gradients, and train a model that uses it."""

import numpy as np

import minikeras as keras


class RadialBasis(keras.Layer):
    """Measure how close each input is to each of some learned centres."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.centres = self.add_weight(
            (self.units, input_shape[-1]), "random_normal", name="centres"
        )
        self.width = self.add_weight((self.units,), "ones", name="width")

    def call(self, inputs):
        distance = keras.ops.sum((inputs[:, None, :] - self.centres) ** 2, axis=-1)
        return keras.ops.exp(-distance * self.width)


def main(epochs=150):
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    x = random.normal(size=(512, 2)).astype("float32")
    y = (np.hypot(x[:, 0], x[:, 1]) < 1).astype("float32")[:, None]  # inside the unit circle

    layer = RadialBasis(4, dtype="float64")
    keras.check_gradients(layer, [x[:5]])
    print("the layer's first and second derivatives agree with finite differences")

    model = keras.Sequential([keras.Input((2,)), RadialBasis(8), keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=64, verbose=0)
    loss, accuracy = model.evaluate(x, y, verbose=0)
    print(f"points inside the circle told from those outside: {accuracy:.3f} right")
    return accuracy


if __name__ == "__main__":
    main()
