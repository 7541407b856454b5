"""Every op: forward, shape and dtype rule, first and second derivative, odd inputs."""

import importlib
import pkgutil

import numpy as np
import pytest

import minikeras
from minikeras import tree
from minikeras.core.check import check_gradients
from minikeras.core.dispatch import Primitive
from minikeras.core.tensor import SymbolicTensor, as_tensor
from tests import rows as table

FILES = [module.name for module in pkgutil.iter_modules(table.__path__)]
ROWS = [row for name in FILES for row in importlib.import_module(f"tests.rows.{name}").ROWS]
NAMED = [pytest.param(row, id=f"{i}-{row.name}") for i, row in enumerate(ROWS)]


def _arrays(value):
    return [np.asarray(leaf) for leaf in tree.flatten(value)]


def _agrees(row, inputs):
    with np.errstate(all="ignore"):
        expected = _arrays(row.oracle(*inputs))
    got = _arrays(row.op(*map(as_tensor, inputs)))
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype.kind == b.dtype.kind
        np.testing.assert_allclose(a, b, rtol=row.tolerance, atol=row.tolerance)


@pytest.mark.parametrize("row", NAMED)
def test_forward_equals_oracle_and_leaves_inputs_alone(row):
    inputs = [np.array(x) for x in row.inputs]
    before = [x.copy() for x in inputs]
    tensors = [as_tensor(x) for x in inputs]
    row.op(*tensors)
    _agrees(row, inputs)
    for tensor, x in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(tensor.array, x)


@pytest.mark.parametrize("row", NAMED)
def test_spec_is_actual_shape_and_dtype(row):
    inputs = [as_tensor(x) for x in row.inputs]
    symbolic = [SymbolicTensor(x.array.shape, x.array.dtype) for x in inputs]
    inferred = tree.flatten(row.op(*symbolic))
    actual = tree.flatten(row.op(*inputs))
    assert [(tuple(x.shape), x.dtype) for x in inferred] == [
        (tuple(x.shape), x.dtype) for x in actual
    ]


@pytest.mark.parametrize("row", [row for row in NAMED if row.values[0].order])
def test_derivatives(row):
    floats = [i for i, x in enumerate(row.inputs) if np.asarray(x).dtype.kind == "f"]

    def function(*tensors):
        arguments = [as_tensor(x) for x in row.inputs]
        for i, tensor in zip(floats, tensors, strict=True):
            arguments[i] = tensor
        return [y for y in tree.flatten(row.op(*arguments)) if y.dtype.is_floating]

    check_gradients(function, [row.inputs[i] for i in floats], order=row.order)


@pytest.mark.parametrize("row", [row for row in NAMED if row.values[0].elementwise])
def test_elementwise_on_scalars_empty_broadcast_and_strided_inputs(row):
    inputs = [np.asarray(x) for x in row.inputs]
    _agrees(row, [x.flat[0].reshape(()) for x in inputs])
    _agrees(row, [x[:0] for x in inputs])
    _agrees(row, [x.T[::2] for x in inputs])
    _agrees(row, [inputs[0][:, :1], *inputs[1:]])
    _agrees(row, [*inputs[:-1], inputs[-1][0]])


@pytest.mark.parametrize("row", [row for row in NAMED if row.values[0].elementwise])
def test_elementwise_keeps_float32(row):
    inputs = [
        np.asarray(x, np.float32) if np.asarray(x).dtype.kind == "f" else x for x in row.inputs
    ]
    result = row.op(*map(as_tensor, inputs))
    assert result.dtype in ("float32", "bool")
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(result, row.oracle(*inputs), rtol=1e-5, atol=1e-6)


def _primitives():
    found = {}
    for package in ("core", "ops"):
        for module in pkgutil.walk_packages(
            importlib.import_module(f"minikeras.{package}").__path__,
            f"minikeras.{package}.",
        ):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, Primitive):
                    found[value.name] = value
    return found


def test_every_primitive_has_a_row():
    covered = {name for row in ROWS for name in row.covers}
    assert sorted(set(_primitives()) - covered) == []


def test_the_package_is_the_one_under_test():
    assert minikeras.__file__
