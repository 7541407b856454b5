"""Train a convolutional network on MNIST with `fit`, save its weights and load them again."""

import tempfile
from pathlib import Path

import numpy as np

import minikeras as keras
from minikeras import layers

BATCH = 128


def load():
    """Return images in [0, 1] with their labels, and how often to go through them."""
    try:
        train, test = keras.datasets.mnist.load_data()
    except OSError as error:
        print(f"MNIST cannot be had ({error}).\nGoing on with scikit-learn's 8x8 digits instead.")
        train, test = keras.datasets.digits.load_data()
    (x_train, y_train), (x_test, y_test) = train, test
    x_train, x_test = (x[..., None].astype("float32") / x_train.max() for x in (x_train, x_test))
    return (x_train, y_train), (x_test, y_test), 7 if len(x_train) > 10_000 else 60


def make_model(image_shape):
    """Return the network of the Keras introduction; 8x8 images are padded to leave enough."""
    padding = "valid" if image_shape[0] >= 28 else "same"
    model = keras.Sequential([keras.Input(shape=image_shape)])
    model.add(layers.Conv2D(32, kernel_size=(3, 3), activation="relu", padding=padding))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Conv2D(64, kernel_size=(3, 3), activation="relu", padding=padding))
    model.add(layers.MaxPooling2D(pool_size=(2, 2)))
    model.add(layers.Flatten())
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(10, activation="softmax"))
    return model


def main():
    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test), epochs = load()
    model = make_model(x_train.shape[1:])
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(x_train) // BATCH)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["acc"])
    model.fit(x_train, y_train, BATCH, epochs, validation_data=(x_test, y_test))
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")
    with tempfile.TemporaryDirectory() as folder:
        model.save_weights(Path(folder) / "mnist.weights.h5")
        again = make_model(x_train.shape[1:])
        again.load_weights(Path(folder) / "mnist.weights.h5")
    same = np.array_equal(model.predict(x_test, verbose=0), again.predict(x_test, verbose=0))
    print("predictions after saving and loading agree:", same)
    return accuracy


if __name__ == "__main__":
    main()
