"""Walk down z = x² + y² from (-75, 75) and print the table of steps."""

from minikeras import tf


def main(steps=20, learning_rate=0.2):
    x, y = tf.Variable(-75.0), tf.Variable(75.0)
    print(*(f"{head:>10}" for head in ("x", "y", "z", "dz/dx", "step x", "dz/dy", "step y")))
    for _ in range(steps):
        with tf.GradientTape() as tape:
            z = x**2 + y**2
        dx, dy = tape.gradient(z, [x, y])
        row = (x, y, z, dx, learning_rate * dx, dy, learning_rate * dy)
        print(*(f"{float(value):10.3f}" for value in row))
        x.assign_sub(learning_rate * dx)
        y.assign_sub(learning_rate * dy)
    print(f"reached ({float(x):.5f}, {float(y):.5f})")
    return float(x), float(y)


if __name__ == "__main__":
    main()
