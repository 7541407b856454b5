"""Activation functions: names, variants of relu, serialization."""

import numpy as np
import pytest

from minikeras import activations, ops, registry
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor

NAMES = [
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu",
    "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign",
    "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip
ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_found_and_serialized(name):
    function = activations.get(name)
    assert function is getattr(activations, name)
    assert activations.serialize(function) == ALIASES.get(name, name)
    assert activations.deserialize(activations.serialize(function)) is function


def test_none_is_linear():
    x = as_tensor([1.0, -2.0])
    assert activations.get(None)(x) is x


def test_functions_pass_through():
    function = lambda x: x * 2
    assert activations.get(function) is function
    assert activations.get(ops.relu) is ops.relu


def test_unknown_names_are_refused_with_a_hint():
    with pytest.raises(ValueError, match=r"activation: .* got 'relus'\. Did you mean 'relu"):
        activations.get("relus")
    with pytest.raises(ValueError, match=r"activation: expected a name, .* got 3 of type int"):
        activations.get(3)


def test_registered_function_round_trip():
    @registry.register_keras_serializable("test_activations")
    def double(x):
        return x * 2

    config = activations.serialize(double)
    assert activations.deserialize(config) is double


def test_custom_objects():
    def triple(x):
        return x * 3

    assert activations.deserialize("triple", {"triple": triple}) is triple
    with pytest.raises(ValueError, match="got 'triple'"):
        activations.get("triple")


def relu(x, slope, highest, threshold):
    """Compute relu for one number, from Keras' description of its arguments."""
    if x <= threshold:
        return slope * (x - threshold)
    return x if highest is None else min(x, highest)


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("highest", [None, 6, 2.5])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_variants_of_relu(slope, highest, threshold):
    x = np.linspace(-8, 8, 33)
    expected = [relu(v, slope, highest, threshold) for v in x]
    got = activations.relu(x, slope, highest, threshold)
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert activations.relu(x.astype(np.float32), slope, highest, threshold).dtype == "float32"


def test_slope_of_relu_variants():
    x = as_tensor(np.array([-2.0, 0, 0.5, 1, 3, 7]))
    with GradientTape() as tape:
        tape.watch(x)
        y = activations.relu(x, negative_slope=0.1, max_value=6.5, threshold=1.0)
    np.testing.assert_allclose(tape.gradient(y, x), [0.1, 0.1, 0.1, 0, 1, 0])


def test_gelu_is_exact_unless_told():
    x = np.linspace(-3, 3, 7)
    np.testing.assert_array_equal(activations.gelu(x), ops.gelu(x, approximate=False))
    np.testing.assert_array_equal(activations.gelu(x, approximate=True), ops.gelu(x))


def test_exponential_and_linear():
    x = np.array([0.0, 1.0])
    np.testing.assert_allclose(activations.exponential(x), np.exp(x))
    assert activations.linear(x) is x


def test_softmax_of_one_class_warns():
    with pytest.warns(UserWarning, match="always return the value 1"):
        activations.softmax(np.ones((3, 1)))


def test_open_axes_stay_open():
    x = SymbolicTensor((None, 4), np.dtype("float32"))
    for name in set(NAMES) - {"glu", "threshold"}:
        assert tuple(activations.get(name)(x).shape) == (None, 4)
    assert tuple(activations.glu(x).shape) == (None, 2)
