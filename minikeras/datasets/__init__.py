"""Small data sets to learn with: downloaded once, checked, and kept in a cache folder."""

from minikeras.datasets import california_housing, digits, fashion_mnist, mnist

__all__ = ["california_housing", "digits", "fashion_mnist", "mnist"]
