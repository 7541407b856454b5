"""Train the network of `mnist.py` in a loop of one's own: a tape and `apply_gradients`."""

import sys

import numpy as np
from mnist import load, make_model

import minikeras as keras
from minikeras import tf


def main(epochs=None):
    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = load()
    x_train, x_test = (x[..., None].astype("float32") / x_train.max() for x in (x_train, x_test))
    if epochs is None:
        epochs = 10 if len(x_train) > 10_000 else 60

    model = make_model(x_train.shape[1:])
    optimizer = keras.optimizers.Adam(learning_rate=1e-3)
    loss_function = keras.losses.SparseCategoricalCrossentropy()
    dataset = tf.data.Dataset.from_tensor_slices((x_train, y_train))
    dataset = dataset.shuffle(len(x_train), seed=1).batch(128)

    for epoch in range(epochs):
        losses = keras.metrics.Mean()
        for images, labels in dataset:
            with tf.GradientTape() as tape:
                loss = loss_function(labels, model(images, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables))
            losses.update_state(loss)
        accuracy = keras.metrics.SparseCategoricalAccuracy()
        for start in range(0, len(x_test), 1000):
            part = slice(start, start + 1000)
            accuracy.update_state(y_test[part], model(x_test[part], training=False))
        print(f"epoch {epoch + 1}: loss {float(losses.result()):.4f}, "
              f"test accuracy {float(accuracy.result()):.4f}", flush=True)
    return float(np.asarray(accuracy.result()))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
