"""Train a convolutional network on MNIST with `fit`, save its weights and load them again."""

import sys
import tempfile
from pathlib import Path

import numpy as np

import minikeras as keras
from minikeras import layers


def load():
    """Return MNIST, or the small digits that come with scikit-learn when it cannot be had."""
    try:
        return keras.datasets.mnist.load_data()
    except OSError as error:
        print(f"MNIST cannot be had ({error}).\nGoing on with scikit-learn's 8x8 digits instead.")
        return keras.datasets.digits.load_data()


def make_model(image_shape):
    """Return the network of the Keras introduction, made smaller for 8x8 images."""
    small = image_shape[0] < 28
    return keras.Sequential(
        [
            keras.Input(shape=image_shape),
            layers.Conv2D(32, kernel_size=(3, 3), activation="relu", padding="same" if small else "valid"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(64, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(epochs=None):
    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = load()
    x_train, x_test = (x[..., None].astype("float32") / x_train.max() for x in (x_train, x_test))
    model = make_model(x_train.shape[1:])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    if epochs is None:
        epochs = 10 if len(x_train) > 10_000 else 60
    model.fit(x_train, y_train, batch_size=128, epochs=epochs, validation_data=(x_test, y_test))
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"test loss {loss:.4f}, test accuracy {accuracy:.4f}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mnist.weights.h5"
        model.save_weights(path)
        again = make_model(x_train.shape[1:])
        again.load_weights(path)
    same = np.array_equal(model.predict(x_test, verbose=0), again.predict(x_test, verbose=0))
    print("predictions after saving and loading agree:", same)
    return accuracy


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
