"""Run the examples in the docstrings of the package, which may use `np`, `minikeras` and `tf`."""

import doctest
import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest

import minikeras

ROOT = Path(minikeras.__file__).parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = sorted(
    ".".join(("minikeras", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if path.name != "__main__.py"  # importing it would run it
)


@pytest.fixture(scope="module")
def names():
    names = {"np": np, "minikeras": minikeras}
    if importlib.util.find_spec("minikeras.tf"):
        names["tf"] = importlib.import_module("minikeras.tf")
    return names


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, names):
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs=names, optionflags=FLAGS).failed == 0
