"""Time one step of the tutorial's linear regression; argument: whose tape to use."""

import sys
import time

import numpy as np

x_train = np.arange(11)
y_train = 10 * x_train + 5


def tape_step(tf):
    a, b = tf.Variable(0.8), tf.Variable(0.7)

    def step():
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.abs(y_train - (a * x_train + b))
        a_gradient, b_gradient = tape.gradient(loss, (a, b))
        a.assign_sub(a_gradient * 0.001)
        b.assign_sub(b_gradient * 0.001)
        return loss

    return step


def torch_step():
    import torch

    x, y = torch.tensor(x_train), torch.tensor(y_train)
    a, b = (torch.tensor(value, requires_grad=True) for value in (0.8, 0.7))

    def step():
        loss = (y - (a * x + b)).abs().sum()
        a_gradient, b_gradient = torch.autograd.grad(loss, (a, b))
        with torch.no_grad():
            a.sub_(a_gradient * 0.001)
            b.sub_(b_gradient * 0.001)
        return loss

    return step


def main(who):
    if who == "minikeras":
        from minikeras import tf

        step = tape_step(tf)
    elif who == "tensorflow":
        import tensorflow as tf

        step = tape_step(tf)
    else:
        step = torch_step()
    for _ in range(200):
        step()
    count = 1000
    start = time.perf_counter()
    for _ in range(count):
        step()
    print((time.perf_counter() - start) / count * 1e6)


if __name__ == "__main__":
    main(sys.argv[1])
