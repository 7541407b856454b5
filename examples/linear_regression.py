"""Fit y = 10x + 5 by hand-written gradient descent on two Variables."""

import numpy as np

from minikeras import tf


def main(steps=10_000):
    x_train = np.asarray([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    y_train = 10 * x_train + 5
    a, b = tf.Variable(0.8), tf.Variable(0.7)

    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.abs(y_train - (a * x_train + b))
        a_gradient, b_gradient = tape.gradient(loss, (a, b))
        a.assign_sub(a_gradient * 0.001)
        b.assign_sub(b_gradient * 0.001)

    print(f"y = {a.numpy():.3f} x + {b.numpy():.3f}")
    return float(a), float(b)


if __name__ == "__main__":
    main()
