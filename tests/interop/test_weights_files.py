"""Exchange weights files with Keras itself, in both directions, and go on training.

These run where MINIKERAS_ORACLE_PYTHON names an interpreter with Keras; CI makes one.
"""

import json
import os
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest

import minikeras as keras
from tests.interop import architectures

HERE = Path(__file__).parent

every_architecture = pytest.mark.parametrize(
    "architecture", architectures.ALL, ids=lambda function: function.__name__
)
# One of the models has a layer that nothing uses.
pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")


def keras_side(oracle, task, folder):
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("PYTHONPATH", None)
    command = [oracle, str(HERE / "keras_side.py"), task, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def from_keras(oracle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("from_keras")
    keras_side(oracle, "write", folder)
    return folder


@pytest.fixture(scope="module")
def from_us(oracle, tmp_path_factory):
    """Save every model after one step; let Keras load the files, look, and train another step."""
    folder = tmp_path_factory.mktemp("from_us")
    for architecture in architectures.ALL:
        model, x, y = architectures.make(keras, architecture)
        architectures.step(model, x, y)
        model.save_weights(folder / f"{architecture.__name__}.weights.h5")
        for moment in ("saved", "later"):
            path = folder / f"{architecture.__name__}.ours.{moment}.npz"
            np.savez(path, **architectures.state(model, x))
            architectures.step(model, x, y)
    keras_side(oracle, "read", folder)
    return folder


def assert_equal(ours, path):
    theirs = np.load(path)
    assert list(ours) == list(theirs)
    for name in theirs:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, atol=1e-5, err_msg=name)


def contents(path):
    """Return every group and array of a file with its attributes, shape and dtype."""
    found = {}

    def visit(name, item):
        facts = (item.shape, item.dtype) if isinstance(item, h5py.Dataset) else ()
        found[name] = (dict(item.attrs), *facts)

    with h5py.File(path) as file:
        file.visititems(visit)
        return found, dict(file.attrs)


@every_architecture
def test_layers_weights_and_training_are_those_of_keras(from_keras, architecture):
    path = from_keras / architecture.__name__
    model, x, y = architectures.make(keras, architecture)
    assert [layer.name for layer in model.layers] == json.loads(
        path.with_suffix(".json").read_text()
    )["layers"]
    assert_equal(architectures.state(model, x), f"{path}.begin.npz")
    architectures.step(model, x, y)
    assert_equal(architectures.state(model, x), f"{path}.saved.npz")


@every_architecture
def test_a_file_of_keras_is_loaded_and_training_goes_on(from_keras, architecture):
    path = from_keras / architecture.__name__
    model, x, y = architectures.make(keras, architecture)
    model.load_weights(f"{path}.weights.h5")
    assert_equal(architectures.state(model, x), f"{path}.saved.npz")
    architectures.step(model, x, y)
    assert_equal(architectures.state(model, x), f"{path}.later.npz")


@every_architecture
def test_files_have_the_same_groups(from_keras, from_us, architecture):
    name = f"{architecture.__name__}.weights.h5"
    assert contents(from_us / name) == contents(from_keras / name)


@every_architecture
def test_keras_loads_our_file_and_goes_on_training(from_us, architecture):
    path = from_us / architecture.__name__
    for moment in ("saved", "later"):
        assert_equal(np.load(f"{path}.ours.{moment}.npz"), f"{path}.{moment}.npz")
