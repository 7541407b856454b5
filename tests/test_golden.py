"""Compare minikeras with values that Keras itself gave; see golden/README.md."""

import functools
import importlib
import re

import numpy as np
import pytest

from tests.golden import store
from tests.golden.cases import CASES, FAMILIES, run_case
from tests.golden.recipe import Case

load = functools.cache(store.load)

# What is not there yet. A name leaves this list when its layer or op arrives.
NOT_YET = {
    "layers": (
        "AdditiveAttention AlphaDropout Attention Bidirectional CategoryEncoding CenterCrop "
        "Discretization EinsumDense GRU GroupNormalization LSTM Masking MultiHeadAttention RNN "
        "Resizing SimpleRNN SpectralNormalization TimeDistributed"
    ).split(),
    "ops": (
        "adaptive_average_pool adaptive_max_pool cdist corrcoef histogram unfold vander"
    ).split(),
}
# Cases of things that are there, but for one option.
NOT_YET_OPTIONS = {
    "layers_later/UpSampling2D_2": "interpolation other than nearest",
    "configs/layers.Embedding 12": "mask_zero",
    "configs/model regression": "build_config and compile_config, which whole-model files need",
    "configs/model convolutional": "likewise",
    "configs/model two_outputs": "likewise",
}


def _named(case):
    """Return the names that a case's own name is made of: `layers.GRU 16`, `GRU_2_value`."""
    parts = re.split(r"[ .]", case.name)
    return {*parts, *(re.sub(r"(_\d+)?(_value)?$", "", part) for part in parts)}


WAITING = {name for names in NOT_YET.values() for name in names}
PRESENT = [case for case in CASES if not _named(case) & WAITING and case.id not in NOT_YET_OPTIONS]


@pytest.fixture
def strict_numpy():
    """Let infinities and NaN pass: many cases are about them."""
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("case", PRESENT, ids=lambda case: case.id)
def test_same_as_keras(case):
    # Imported here, so that what is missing fails the cases which need it and no others.
    keras, tf = importlib.import_module("minikeras"), importlib.import_module("minikeras.tf")
    keras.backend.clear_session()
    expected = load(case.family)[case.name]
    actual = run_case(keras, tf, case)
    lines = store.differences(expected, actual, case.tolerance, case.free, case.wrong)
    assert not lines, "\n".join([f"{len(lines)} results differ. {case.why}", *lines])


@pytest.mark.parametrize("room", NOT_YET)
def test_what_is_said_to_be_missing_is_missing(room):
    module = importlib.import_module(f"minikeras.{room}")
    assert [name for name in NOT_YET[room] if hasattr(module, name)] == []


def test_options_said_to_be_missing_have_cases():
    assert set(NOT_YET_OPTIONS) <= {case.id for case in CASES}
    assert len(CASES) - len(PRESENT) < 60


@pytest.mark.parametrize("family", FAMILIES)
def test_every_case_has_values_and_every_value_a_case(family):
    assert set(load(family)) == {case.name for case in FAMILIES[family].CASES}


def test_looser_tolerances_have_a_reason():
    assert [case.id for case in CASES if case.tolerance and not case.why] == []


@pytest.mark.parametrize(
    ("want", "got"),
    [
        (np.float32([1, 2]), np.float32([1, 2.001])),
        (np.float32([1, 2]), np.float64([1, 2])),
        (np.float32([1, 2]), np.float32([[1, 2]])),
        (np.float32([1, np.nan]), np.float32([1, 2])),
        (np.float32([1, 2]), np.float32([1, np.nan])),
        (np.float32([np.inf]), np.float32([-np.inf])),
        (np.float32([np.inf]), np.float32([3e38])),
        (np.float64([1]), np.float64([1 + 1e-7])),
        (np.int32([1]), np.int32([2])),
        (np.float32([1]), None),
        (None, np.float32([1])),
        (1.0, 1.001),
        (True, 1),
        (["a"], ["b"]),
        ({"a": 1}, {"a": 2}),
    ],
)
def test_the_comparison_sees_a_difference(want, got):
    assert store.differences({"y": want}, {"y": got})


def test_the_comparison_sees_missing_and_unexpected_results():
    assert store.differences({"a": 1}, {"b": 1}) == ["a: missing", "b: unexpected"]


def test_the_comparison_allows_what_a_case_allows():
    want, got = {"y": np.float32([np.nan, 1])}, {"y": np.float32([7, 1])}
    assert store.differences(want, got, free=("y",)) == []
    assert store.differences(want, {"y": np.float32([7, 2])}, free=("y",))
    assert store.differences(want, {"y": np.float32([7, 2])}, wrong=("y",)) == []
    assert store.differences({"y": 1.0}, {"y": 1.001}, tolerance=1e-2) == []


def test_results_read_back_as_written(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "HERE", tmp_path)
    results = {
        "case": {"a": np.float32([0.1, np.inf, np.nan]), "b": np.zeros((0, 2)), "c": [1, None]}
    }
    first = store.save("family", results).read_bytes()
    again = store.load("family")["case"]
    assert store.differences(results["case"], again) == []
    assert store.save("family", results).read_bytes() == first


def test_a_case_names_its_family():
    assert Case("layers", "dense", {}).id == "layers/dense"
