"""Make every test strict, seeded and without effect on the next one."""

import atexit
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from minikeras import config

if "MINIKERAS_CACHE_DIR" not in os.environ:  # tests leave nothing in the user's own folder
    os.environ["MINIKERAS_CACHE_DIR"] = tempfile.mkdtemp(prefix="minikeras-tests-")
    atexit.register(shutil.rmtree, os.environ["MINIKERAS_CACHE_DIR"], ignore_errors=True)

SEED = int(os.environ.get("MINIKERAS_TEST_SEED", "0"))

# Machines shared with others are slow at times; a fixed choice of examples keeps CI repeatable.
settings.register_profile("minikeras", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("minikeras")


def pytest_report_header():
    return f"minikeras: MINIKERAS_TEST_SEED={SEED}"


@pytest.fixture(autouse=True)
def strict_numpy():
    """Fail on overflow, underflow, division by zero and NaN that the code does not expect."""
    with np.errstate(all="raise"):
        yield


@pytest.fixture(autouse=True)
def seeded():
    """Start every test from the same random state, whichever tests ran before it."""
    random.seed(SEED)
    np.random.seed(SEED)


@pytest.fixture(autouse=True)
def restored_config():
    """Put back the global settings that a test changes."""
    floatx, epsilon, layout = config.floatx(), config.epsilon(), config.image_data_format()
    yield
    config.set_floatx(floatx)
    config.set_epsilon(epsilon)
    config.set_image_data_format(layout)


@pytest.fixture
def count():
    """Return a function that remembers how often it ran."""

    def ran(value=None):
        ran.times += 1
        return value

    ran.times = 0
    return ran


@pytest.fixture
def rng():
    """Return a NumPy generator of the session's seed."""
    return np.random.default_rng(SEED)


@pytest.fixture(scope="session")
def oracle():
    """Return the path of an interpreter that has Keras itself, or skip.

    MINIKERAS_ORACLE_PYTHON names it. A path that is set but does not work is an error: else a
    typing mistake would look like a pass.
    """
    path = os.environ.get("MINIKERAS_ORACLE_PYTHON")
    if not path:
        pytest.skip("MINIKERAS_ORACLE_PYTHON is not set to an interpreter that has keras")
    check = "import importlib.util, sys; sys.exit(importlib.util.find_spec('keras') is None)"
    if not Path(path).is_file() or subprocess.run([path, "-c", check], check=False).returncode:
        pytest.fail(f"MINIKERAS_ORACLE_PYTHON: expected an interpreter that has keras, got {path}.")
    return path
