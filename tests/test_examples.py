"""Every example runs, and learns what it says it learns."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from minikeras import datasets

FOLDER = Path(__file__).parents[1] / "examples"
REAL_MNIST = os.environ.get("MINIKERAS_MNIST")


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs an example's `main` and returns its answer."""
    monkeypatch.syspath_prepend(FOLDER)

    def run(name):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module.main()

    return run


def test_examples_are_short():
    scripts = sorted(FOLDER.glob("*.py"))
    assert len(scripts) == 6
    assert [path.name for path in scripts if path.read_text().count("\n") >= 60] == []


def test_linear_regression(run):
    a, b = run("linear_regression")
    assert abs(a - 10) < 0.1
    assert abs(b - 5) < 0.05


def test_polynomial_regression(run):
    a, b, c = run("polynomial_regression")
    assert 5.9 < a < 6.5
    assert 7.4 < b < 7.8
    assert 1.95 < c < 2.05


def test_gradient_descent(run, capsys):
    x, y = run("gradient_descent")
    assert (round(x, 5), round(y, 5)) == (-0.00274, 0.00274)
    table = capsys.readouterr().out.splitlines()
    assert [float(cell) for cell in table[2].split()] == pytest.approx(
        [-45, 45, 4050, -90, -18, 90, 18]
    )


def test_custom_layer(run):
    assert run("custom_layer") > 0.97


@pytest.mark.parametrize("name", ["mnist", "mnist_custom_loop"])
def test_mnist_offline_goes_on_with_digits(run, name, monkeypatch, capsys):
    def offline(path="mnist.npz"):
        raise FileNotFoundError("no network")

    monkeypatch.setattr(datasets.mnist, "load_data", offline)
    assert run(name) > 0.95
    out = capsys.readouterr().out
    assert "MNIST cannot be had (no network)" in out
    if name == "mnist":
        assert "predictions after saving and loading agree: True" in out


@pytest.mark.skipif(REAL_MNIST is None, reason="MINIKERAS_MNIST names no file with the real MNIST")
@pytest.mark.parametrize("name", ["mnist", "mnist_custom_loop"])
def test_mnist_reaches_99_percent(run, name):
    assert run(name) >= 0.99
