"""A small Keras on NumPy."""

from minikeras.ops import operators as _operators
