"""Run jobs with JAX: layers and Adam by hand, a step or the whole loop jitted."""

import functools

import jax
import jax.numpy as jnp
from frameworks.jobs import batches, data, fingerprint, looped, weights
from frameworks.timing import fastest
from jax import lax
from linear_regression_job import x_train, y_train


def prepare(job, mode):
    """Return `run(steps)`, which gives a loss, or a fingerprint of outputs."""
    if not job.layers:
        return _regression(mode.how)
    if job.trains:
        return _train_loop(job) if mode.how == "loop" else _train(job)
    if mode.how == "best":
        return fastest([_predict(job, size) for size in (64, 128, 256, 512)], job.steps)
    return _predict(job, job.batch) if job.batch > 1 else _call(job)


def _forward(job, arrays, x, key=None):
    """Return logits; with a key, dropout is on."""
    arrays = iter(arrays)
    for number, (kind, *args) in enumerate(job.layers):
        if kind == "conv":
            layout = ("NHWC", "HWIO", "NHWC")
            x = lax.conv_general_dilated(
                x, next(arrays), (1, 1), "VALID", dimension_numbers=layout
            ) + next(arrays)
        elif kind == "dense":
            x = x @ next(arrays) + next(arrays)
        elif kind == "pool":
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        elif kind == "dropout" and key is not None:
            kept = jax.random.bernoulli(key, 1 - args[0], x.shape)
            x = jnp.where(kept, x / (1 - args[0]), 0)
        if kind in {"conv", "dense"} and number < len(job.layers) - 1:
            x = jax.nn.relu(x)
    return x


def _step(job, state, x, y):
    """Return the next state (parameters, Adam's moments, count, key) and the loss."""
    arrays, means, squares, count, key = state
    key, mask_key = jax.random.split(key)

    def loss_of(arrays):
        logits = _forward(job, arrays, x, mask_key)
        losses = jax.nn.logsumexp(logits, axis=1) - logits[jnp.arange(len(y)), y]
        return losses.sum() if job.summed else losses.mean()

    loss, gradients = jax.value_and_grad(loss_of)(arrays)
    count += 1
    rate = job.learning_rate * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients, strict=True)]
    squares = [0.999 * v + 0.001 * g * g for v, g in zip(squares, gradients, strict=True)]
    arrays = [
        array - rate * m / (jnp.sqrt(v) + 1e-7)
        for array, m, v in zip(arrays, means, squares, strict=True)
    ]
    return (arrays, means, squares, count, key), loss / (len(y) if job.summed else 1)


def _first_state(job):
    arrays = [jnp.array(array) for array in weights(job)]
    moments = [[jnp.zeros_like(array) for array in arrays] for _ in range(2)]
    return arrays, *moments, jnp.float32(0), jax.random.key(0)


def _train(job):
    step = jax.jit(functools.partial(_step, job), donate_argnums=0)
    pairs, kept = batches(job, jnp.asarray), [_first_state(job)]

    def run(steps):
        for x, y in looped(pairs, steps):
            kept[0], loss = step(kept[0], x, y)
        return float(jax.block_until_ready(loss))

    return run


def _train_loop(job):
    xs, ys = map(jnp.stack, zip(*batches(job, jnp.asarray), strict=True))
    kept = [_first_state(job)]

    @functools.partial(jax.jit, donate_argnums=1)
    def loop(steps, state):
        def turn(i, carried):
            return _step(job, carried[0], xs[i % len(xs)], ys[i % len(xs)])

        return lax.fori_loop(0, steps, turn, (state, jnp.float32(0)))

    def run(steps):
        kept[0], loss = loop(steps, kept[0])
        return float(jax.block_until_ready(loss))

    return run


def _regression(how):
    x, y = jnp.asarray(x_train, jnp.float32), jnp.asarray(y_train, jnp.float32)

    def step(a, b):
        loss, gradients = jax.value_and_grad(
            lambda a, b: jnp.abs(y - (a * x + b)).sum(), argnums=(0, 1)
        )(a, b)
        return a - 0.001 * gradients[0], b - 0.001 * gradients[1], loss

    one = jax.jit(step)
    loop = jax.jit(
        lambda steps, a, b: lax.fori_loop(
            0, steps, lambda _, values: step(*values[:2]), (a, b, jnp.float32(0))
        )
    )
    values = [jnp.float32(0.8), jnp.float32(0.7)]

    def run_steps(steps):
        a, b = values
        for _ in range(steps):
            a, b, loss = one(a, b)
        values[:] = a, b
        return float(jax.block_until_ready(loss))

    def run_loop(steps):
        a, b, loss = loop(steps, *values)
        values[:] = a, b
        return float(jax.block_until_ready(loss))

    return run_loop if how == "loop" else run_steps


def _outputs(job):
    """Return the model as a jitted function of the inputs alone."""
    arrays = [jnp.asarray(array) for array in weights(job)]
    last = jax.nn.softmax if job.softmax else lambda logits: logits
    jitted = jax.jit(lambda arrays, x: last(_forward(job, arrays, x)))
    return functools.partial(jitted, arrays)


def _predict(job, size):
    forward, x = _outputs(job), data(job)[0]

    def run(steps):
        rows = x[: steps * job.batch]
        outputs = [forward(rows[i : i + size]) for i in range(0, len(rows), size)]
        return fingerprint(jnp.concatenate(outputs))

    return run


def _call(job):
    forward, x = _outputs(job), jnp.asarray(data(job)[0][:1])

    def run(steps):
        for _ in range(steps):
            outputs = forward(x).block_until_ready()
        return fingerprint(outputs)

    return run
