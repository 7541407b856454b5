"""Let `import tensorflow` find `minikeras.tf` where TensorFlow itself is not installed.

Scripts often import `from tensorflow.keras.layers import Dense` beside `import tensorflow as tf`.
Once `minikeras.tf` is imported, such lines resolve here, so that changing the first import is
enough. The finder stands last: an installed TensorFlow is always found first.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from typing import Any

_NAME = "tensorflow"


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Make a module that hands on the attributes of the part of `minikeras.tf` it stands for."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != _NAME and not name.startswith(f"{_NAME}."):
            return None
        if _target(name) is None:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: Any) -> types.ModuleType:
        target = _target(spec.name)
        module = types.ModuleType(spec.name, target.__doc__)
        module.__getattr__ = lambda attribute: getattr(target, attribute)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Do nothing: the module has no code of its own."""


def _target(name: str) -> Any:
    """Return what a dotted name below `tensorflow` stands for, None if there is no such thing."""
    found: Any = sys.modules["minikeras.tf"]
    for part in name.split(".")[1:]:
        found = getattr(found, part, None)
        if found is None:
            return None
    return found


def answer_for_tensorflow() -> None:
    """Put the finder at the end of Python's list, once."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
