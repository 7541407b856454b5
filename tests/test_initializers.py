"""Initializers: distributions, fans, seeds, configs, errors."""

import numpy as np
import pytest
from scipy import stats

import minikeras.ops.operators  # noqa: F401 - hangs the operators on tensors
from minikeras import config, initializers, random
from minikeras.core.tensor import as_tensor
from minikeras.core.variable import Variable

SHAPE = (300, 200)
RANDOM = [
    initializers.RandomNormal, initializers.RandomUniform, initializers.TruncatedNormal,
    initializers.VarianceScaling, initializers.GlorotUniform, initializers.GlorotNormal,
    initializers.LecunUniform, initializers.LecunNormal, initializers.HeUniform,
    initializers.HeNormal, initializers.Orthogonal,
]  # fmt: skip
CONSTANT = [initializers.Constant, initializers.Zeros, initializers.Ones, initializers.Identity]


def fits(values, distribution):
    return stats.kstest(values.numpy().ravel().astype(np.float64), distribution.cdf).pvalue > 0.001


def truncated(stddev):
    return stats.truncnorm(-2, 2, scale=stddev / 0.87962566103423978)


def uniform(stddev):
    limit = np.sqrt(3) * stddev
    return stats.uniform(-limit, 2 * limit)


# ---- values --------------------------------------------------------------------------------------


def test_constants():
    for dtype in ("float32", "float64", "int32"):
        for initializer, value in (("zeros", 0), ("ones", 1), (initializers.Constant(3), 3)):
            w = initializers.get(initializer)((2, 3), dtype=dtype)
            assert w.dtype == dtype
            np.testing.assert_array_equal(w, np.full((2, 3), value))
    np.testing.assert_array_equal(initializers.Constant([1.0, 2])((3, 2)), [[1, 2]] * 3)
    np.testing.assert_array_equal(initializers.Identity(2.0)((2, 3)), [[2, 0, 0], [0, 2, 0]])


@pytest.mark.parametrize(
    ("initializer", "distribution"),
    [
        (initializers.RandomNormal(1.0, 0.5, seed=1), stats.norm(1, 0.5)),
        (initializers.RandomUniform(-1, 2, seed=1), stats.uniform(-1, 3)),
        (initializers.TruncatedNormal(0.0, 0.5, seed=1), stats.truncnorm(-2, 2, scale=0.5)),
        (initializers.GlorotUniform(seed=1), uniform(np.sqrt(2 / 500))),
        (initializers.GlorotNormal(seed=1), truncated(np.sqrt(2 / 500))),
        (initializers.LecunUniform(seed=1), uniform(np.sqrt(1 / 300))),
        (initializers.LecunNormal(seed=1), truncated(np.sqrt(1 / 300))),
        (initializers.HeUniform(seed=1), uniform(np.sqrt(2 / 300))),
        (initializers.HeNormal(seed=1), truncated(np.sqrt(2 / 300))),
        (initializers.VarianceScaling(3.0, "fan_out", seed=1), truncated(np.sqrt(3 / 200))),
        (
            initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal", seed=1),
            stats.norm(0, np.sqrt(2 / 300)),
        ),
    ],
    ids=lambda x: type(x).__name__,
)
def test_distributions(initializer, distribution):
    w = initializer(SHAPE)
    assert w.dtype == config.floatx()
    assert fits(w, distribution)


@pytest.mark.parametrize(
    ("shape", "axes", "fans"),
    [
        ((), (), (1, 1)),
        ((7,), (), (7, 7)),
        ((4, 5), (), (4, 5)),
        ((3, 3, 4, 5), (), (36, 45)),
        ((3, 4, 5), (), (12, 15)),
        ((3, 4, 5), ((0,), (1, 2)), (3, 20)),
    ],
)
def test_fans(shape, axes, fans):
    assert initializers.compute_fans(shape, *axes) == fans


def test_convolution_kernels_count_their_window():
    w = initializers.HeNormal(seed=1)((5, 5, 32, 64)).numpy()
    assert abs(w.std() - np.sqrt(2 / 800)) < 0.001


@pytest.mark.parametrize("shape", [(20, 30), (30, 20), (25, 25), (3, 3, 4, 20)])
def test_orthogonal(shape):
    w = initializers.Orthogonal(gain=2.0, seed=1)(shape, dtype="float64")
    assert tuple(w.shape) == shape
    matrix = w.numpy().reshape(-1, shape[-1])
    small = matrix @ matrix.T if len(matrix) < shape[-1] else matrix.T @ matrix
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-12)


def test_orthogonal_has_no_preferred_sign():
    corners = [float(initializers.Orthogonal(seed=i)((2, 2))[0, 0]) for i in range(200)]
    assert 60 < sum(corner > 0 for corner in corners) < 140


# ---- seeds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RANDOM, ids=lambda c: c.__name__)
def test_seeds(kind):
    same = kind(seed=1)
    a = same((6, 4)).numpy()
    np.testing.assert_array_equal(same((6, 4)), a)
    np.testing.assert_array_equal(kind(seed=1)((6, 4)), a)
    assert not np.array_equal(kind(seed=2)((6, 4)), a)
    unseeded = kind()
    np.testing.assert_array_equal(unseeded((6, 4)), unseeded((6, 4)))
    assert not np.array_equal(unseeded((6, 4)), kind()((6, 4)))
    generator = kind(seed=random.SeedGenerator(1))
    np.testing.assert_array_equal(generator((6, 4)), a)
    assert not np.array_equal(generator((6, 4)), a)


def test_set_random_seed_repeats_unseeded_initializers():
    random.set_random_seed(3)
    a = initializers.get("glorot_uniform")((4, 4)).numpy()
    random.set_random_seed(3)
    np.testing.assert_array_equal(initializers.get("glorot_uniform")((4, 4)), a)


def test_what_is_no_seed():
    with pytest.raises(ValueError, match=r"HeNormal: expected seed to be an integer, .* got 'x'"):
        initializers.HeNormal(seed="x")


# ---- names and configs ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", RANDOM + CONSTANT, ids=lambda c: c.__name__)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_initializer_keeps_shape_and_dtype_and_comes_back_from_its_config(kind, dtype):
    initializer = kind(seed=5) if kind in RANDOM else kind()
    w = initializer((6, 4), dtype=dtype)
    assert (tuple(w.shape), w.dtype) == ((6, 4), dtype)
    serialized = initializers.serialize(initializer)
    assert serialized["module"] == "keras.initializers"
    assert serialized["class_name"] == kind.__name__
    again = initializers.deserialize(serialized)
    assert type(again) is kind
    np.testing.assert_array_equal(again((6, 4), dtype=dtype), w)
    np.testing.assert_array_equal(initializer.clone()((6, 4), dtype=dtype), w)


def test_configs_are_those_of_keras():
    assert initializers.GlorotUniform().get_config() == {
        "seed": None, "input_axes": None, "output_axes": None,
    }  # fmt: skip
    assert initializers.RandomNormal(seed=3).get_config() == {
        "mean": 0.0, "stddev": 0.05, "seed": 3,
    }  # fmt: skip
    assert initializers.Zeros().get_config() == {}
    assert initializers.Constant(2.0).get_config() == {"value": 2.0}


def test_a_seed_generator_goes_into_the_config():
    initializer = initializers.HeNormal(seed=random.SeedGenerator(4))
    again = initializers.deserialize(initializers.serialize(initializer))
    np.testing.assert_array_equal(again((3, 3)), initializer((3, 3)))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("GlorotUniform", initializers.GlorotUniform),
        ("glorot_uniform", initializers.glorot_uniform),
        ("normal", initializers.RandomNormal),
        ("uniform", initializers.RandomUniform),
        ("zero", initializers.Zeros),
        ("one", initializers.Ones),
        ("identity", initializers.Identity),
        ("OrthogonalInitializer", initializers.Orthogonal),
        (initializers.HeNormal, initializers.HeNormal),
        ({"class_name": "HeNormal", "config": {"seed": 1}}, initializers.HeNormal),
    ],
)
def test_get(name, kind):
    assert type(initializers.get(name)) is kind


def test_get_takes_functions_and_arrays_and_none():
    function = lambda shape, dtype=None: shape
    assert initializers.get(function) is function
    assert initializers.get(None) is None
    for given in (np.arange(3), as_tensor([0.0, 1, 2])):
        initializer = initializers.get(given)
        w = initializer((3,), dtype="float32")
        assert w.dtype == "float32"
        np.testing.assert_array_equal(w, [0, 1, 2])
        with pytest.raises(ValueError, match=r"expected a weight of .* shape \(3,\), got \(2,\)"):
            initializer((2,))


def test_get_names_near_matches():
    with pytest.raises(ValueError, match=r"initializer: expected .* got 'glorot'\. Did you mean"):
        initializers.get("glorot")


def test_variables_take_initializers():
    variable = Variable(initializers.GlorotUniform(seed=1), shape=(3, 4), dtype="float64")
    expected = initializers.GlorotUniform(seed=1)((3, 4), dtype="float64")
    np.testing.assert_array_equal(variable, expected)


def test_own_initializers():
    class Twos(initializers.Initializer):
        def __init__(self, more=0):
            self.more = more

        def __call__(self, shape, dtype=None):
            return np.full(shape, 2 + self.more)

    assert Twos(more=3).clone()((1,)) == 5
    with pytest.raises(NotImplementedError, match="Initializer: expected a method __call__"):
        initializers.Initializer()((2,))


# ---- errors --------------------------------------------------------------------------------------


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="VarianceScaling: expected scale > 0, got 0"):
        initializers.VarianceScaling(scale=0)
    with pytest.raises(ValueError, match=r"expected mode to be one of .*'fan_avg'.* got 'fan'"):
        initializers.VarianceScaling(mode="fan")
    with pytest.raises(ValueError, match=r"expected distribution to be one of .* got 'cauchy'"):
        initializers.VarianceScaling(distribution="cauchy")
    with pytest.raises(ValueError, match=r"Identity: expected a shape of two axes, got \(2,\)"):
        initializers.Identity()((2,))
    with pytest.raises(ValueError, match=r"Orthogonal: expected .* two axes or more, got \(2,\)"):
        initializers.Orthogonal()((2,))
