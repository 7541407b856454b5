"""Train the network of `mnist.py` in a loop of one's own: a tape and `apply_gradients`."""

from mnist import BATCH, load, make_model

import minikeras as keras
from minikeras import tf


def main():
    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test), epochs = load()
    model = make_model(x_train.shape[1:])
    rate = keras.optimizers.schedules.CosineDecay(3e-3, epochs * len(x_train) // BATCH)
    optimizer = keras.optimizers.Adam(rate)
    loss_function = keras.losses.SparseCategoricalCrossentropy()
    dataset = tf.data.Dataset.from_tensor_slices((x_train, y_train))
    dataset = dataset.shuffle(len(x_train), seed=1).batch(BATCH)

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
        loss, test = float(losses.result()), float(accuracy.result())
        print(f"epoch {epoch + 1}: loss {loss:.4f}, test accuracy {test:.4f}", flush=True)
    return test


if __name__ == "__main__":
    main()
