"""Fit y = 6x² + 8x + 2 by hand-written gradient descent on three Variables."""

import numpy as np

from minikeras import tf


def main(steps=10_000):
    x_train = np.asarray([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    y_train = 6 * x_train**2 + 8 * x_train + 2
    coefficients = [tf.Variable(0.8), tf.Variable(0.7), tf.Variable(0.4)]
    a, b, c = coefficients

    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.abs(y_train - (a * x_train**2 + b * x_train + c))
        for variable, gradient in zip(coefficients, tape.gradient(loss, coefficients), strict=True):
            variable.assign_sub(gradient * 0.001)

    print(f"y = {a.numpy():.3f} x^2 + {b.numpy():.3f} x + {c.numpy():.3f}")
    return float(a), float(b), float(c)


if __name__ == "__main__":
    main()
