"""Run jobs with whatever speaks Keras: minikeras, Keras on its backends, TensorFlow's tape."""

import functools
import importlib

import numpy as np
from frameworks.jobs import batches, data, fingerprint, looped, one_hot, weights
from frameworks.timing import fastest
from linear_regression_job import tape_step, x_train, y_train


def prepare(job, mode):
    """Return `run(steps)`, which gives a loss, or a fingerprint of outputs."""
    return _HOW[mode.how](job, _Face(mode.who))


class _Face:
    """The two modules that users import, each when it is asked for."""

    def __init__(self, who):
        self.who = who

    @functools.cached_property
    def keras(self):
        return importlib.import_module("minikeras" if self.who == "minikeras" else "keras")

    @functools.cached_property
    def tf(self):
        return importlib.import_module("minikeras.tf" if self.who == "minikeras" else "tensorflow")

    def as_is(self, function):
        return function

    def function(self, function):
        return (self.keras if self.who == "minikeras" else self.tf).function(function)

    def xla(self, function):
        return self.tf.function(function, jit_compile=True)


def build(keras, job):
    """Return the model with the job's first weights."""
    layers = keras.layers
    kinds = {
        "conv": lambda filters: layers.Conv2D(filters, 3, activation="relu"),
        "pool": lambda: layers.MaxPooling2D(2),
        "flatten": layers.Flatten,
        "dropout": layers.Dropout,
        "dense": lambda units: layers.Dense(units, activation="relu"),
    }
    *hidden, (_, classes) = job.layers
    model = keras.Sequential([keras.Input(job.shape)])
    for kind, *args in hidden:
        model.add(kinds[kind](*args))
    model.add(layers.Dense(classes, activation="softmax" if job.softmax else None))
    model.set_weights(weights(job))
    return model


def compiled(keras, job):
    """Return the model, ready for `fit`."""
    model = build(keras, job)
    optimizer = keras.optimizers.Adam(job.learning_rate)
    model.compile(optimizer=optimizer, loss=_loss(keras, job), metrics=["accuracy"])
    return model


def _loss(keras, job):
    if job.summed:  # one loss a sample; a tape differentiates their sum
        return keras.losses.categorical_crossentropy
    if job.softmax:
        return keras.losses.CategoricalCrossentropy()
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _arrays(job):
    x, y = data(job)
    return x, one_hot(y) if job.softmax else y


def _fit(job, face):
    model = compiled(face.keras, job)
    x, y = _arrays(job)

    def run(steps):
        end = steps * job.batch
        history = model.fit(x[:end], y[:end], batch_size=job.batch)
        return history.history["loss"][-1]

    return run


def _three(job, face):
    """Train, evaluate and predict one batch."""
    model = compiled(face.keras, job)
    x, y = _arrays(job)

    def run(steps):
        for _ in range(steps):
            history = model.fit(x, y, batch_size=job.batch)
            model.evaluate(x, y, batch_size=job.batch)
            model.predict(x, batch_size=job.batch)
        return history.history["loss"][-1]

    return run


def _loop(wrap, job, face):
    """Train by a tape, as in TensorFlow's tutorials; the job without layers is their first one."""
    if not job.layers:
        return _repeated(wrap(face, tape_step(face.tf)))
    keras, tf = face.keras, face.tf
    model, loss_of = build(keras, job), _loss(keras, job)
    optimizer = keras.optimizers.Adam(job.learning_rate)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    step = wrap(face, step)
    pairs = batches(job, tf.constant, hot=job.softmax)

    def run(steps):
        for x, y in looped(pairs, steps):
            loss = step(x, y)
        return float(np.mean(loss.numpy()))

    return run


def _repeated(step):
    def run(steps):
        for _ in range(steps):
            loss = step()
        return float(np.sum(loss.numpy()))

    return run


def _loop_inside(_job, face):
    """Run the linear regression's steps in a loop inside one function."""
    keras, tf = face.keras, face.tf
    x, y = (tf.constant(array, tf.float32) for array in (x_train, y_train))

    def turn(_, values):
        a, b, _ = values
        with tf.GradientTape() as tape:
            tape.watch((a, b))
            loss = tf.abs(y - (a * x + b))
        a_gradient, b_gradient = tape.gradient(loss, (a, b))
        return a - a_gradient * 0.001, b - b_gradient * 0.001, tf.reduce_sum(loss)

    @face.function
    def loop(steps, a, b):
        return keras.ops.fori_loop(0, steps, turn, (a, b, tf.constant(0.0)))

    values = [tf.constant(0.8), tf.constant(0.7)]

    def run(steps):
        a, b, loss = loop(steps, *values)
        values[:] = a, b
        return float(loss)

    return run


def _predict(job, face, batch_size=None):
    model, (x, _) = build(face.keras, job), data(job)

    def run(steps):
        return fingerprint(model.predict(x[: steps * job.batch], batch_size=batch_size))

    return run


def _best(job, face):
    sizes = (64, 128, 256, 512)
    return fastest([_predict(job, face, batch_size=size) for size in sizes], job.steps)


def _call(wrap, job, face):
    """Call the model with one sample."""
    model = build(face.keras, job)
    call = wrap(face, model)
    x = face.keras.ops.convert_to_tensor(data(job)[0][:1])

    def run(steps):
        for _ in range(steps):
            outputs = call(x)
        return fingerprint(face.keras.ops.convert_to_numpy(outputs))

    return run


def _on_batch(job, face):
    model, x = build(face.keras, job), data(job)[0][:1]

    def run(steps):
        for _ in range(steps):
            outputs = model.predict_on_batch(x)
        return fingerprint(outputs)

    return run


_HOW = {
    "fit": _fit,
    "three": _three,
    "eager": functools.partial(_loop, _Face.as_is),
    "function": functools.partial(_loop, _Face.function),
    "xla": functools.partial(_loop, _Face.xla),
    "loop": _loop_inside,
    "predict": _predict,
    "best": _best,
    "call": functools.partial(_call, _Face.as_is),
    "call_function": functools.partial(_call, _Face.function),
    "on_batch": _on_batch,
}
