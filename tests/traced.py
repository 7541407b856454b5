"""What all tests of `function` use."""

from typing import Any, NamedTuple

from minikeras import tf

X = tf.constant([1.0, 2.0])


class Pair(NamedTuple):
    """A nest of two."""

    a: Any
    b: Any


def traces(f):
    """Return how often a function was traced."""
    return f.experimental_get_tracing_count()
