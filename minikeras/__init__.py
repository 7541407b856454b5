"""A small Keras on NumPy: tape, layers, training and saving, in readable Python.

Names are those of Keras 3, and of TensorFlow in `minikeras.tf`. Parts are imported when they are
first used, so that `import minikeras` costs little more than NumPy.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = """
    activations backend callbacks config constraints data datasets initializers layers
    losses metrics models ops optimizers random regularizers saving tf tree utils
""".split()

_NAMES = {
    "core.tensor": "Tensor",
    "core.variable": "Variable",
    "core.tape": "GradientTape UnconnectedGradients",
    "core.gradients": "custom_gradient recompute_grad stop_gradient",
    "core.forward": "ForwardAccumulator",
    "core.check": "check_gradients GradientError",
    "core.context": "name_scope record_source_lines",
    "initializers": "Initializer",
    "layers": "Input InputSpec Layer",
    "layers.dtype_policy": "DTypePolicy",
    "losses": "Loss",
    "metrics": "Metric",
    "models": "Model Sequential",
    "optimizers": "Optimizer",
    "regularizers": "Regularizer",
    "compiler.tracing.function": "function",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}


__all__ = sorted([*_MODULES, *_HOME, "version"])  # noqa: PLE0605 - names that come when used


def version() -> str:
    """Return the version."""
    return __version__


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"minikeras.{name}")
    if name in _HOME:
        # Operators are hung on tensors by the ops, so those come first.
        importlib.import_module("minikeras.ops")
        value = getattr(importlib.import_module(f"minikeras.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'minikeras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES, *_HOME])
