"""`tf.errors`: the classes that TensorFlow code catches."""

from minikeras.errors import NotAllowedInTraceError

OperatorNotAllowedInGraphError = NotAllowedInTraceError


class OpError(Exception):
    """The base of the errors here."""


class InvalidArgumentError(OpError, ValueError):
    """An op got something it cannot work with, or an assertion failed."""


class OutOfRangeError(OpError):
    """There is nothing more to read."""


class FailedPreconditionError(OpError):
    """Something has to happen before."""
