"""`import minikeras` loads nothing that only some programs need."""

import subprocess
import sys

import pytest

LATE = {"h5py", "tqdm", "sklearn", "scipy", "llvmlite", "matplotlib"}


def loaded_by(statement):
    """Return the top-level modules that a fresh interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_is_light():
    assert loaded_by("import minikeras") & LATE == set()


@pytest.mark.parametrize("name", ["h5py", "tqdm"])
def test_the_check_sees_an_import(name):
    assert name in loaded_by(f"import {name}")


def test_a_star_import_brings_all_names():
    names = {}
    exec("from minikeras import *", names)
    assert {"Model", "Sequential", "Input", "layers", "ops", "tf", "function"} <= set(names)
    assert "importlib" not in names
