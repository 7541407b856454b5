"""Random numbers: the stream, its distributions, seeds and generators, dropout."""

import random as python_random
import warnings

import numpy as np
import pytest
from scipy import stats

import minikeras.ops.operators  # noqa: F401 - hangs the operators on tensors
from minikeras import random
from minikeras.core.context import VariableScope
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import SymbolicTensor, as_tensor
from minikeras.ops import random as draws

N = 200_000


def fits(values, distribution):
    """Tell whether a Kolmogorov-Smirnov test accepts that `values` have the distribution."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return stats.kstest(np.asarray(values, np.float64).ravel(), distribution).pvalue > 0.001


# ---- the stream ----------------------------------------------------------------------------------


def test_stream_is_what_it_was():
    state = as_tensor(np.array([42, 1], np.uint32))
    got = draws.uniform(state, shape=(3,), dtype=np.dtype("float32")).numpy() * 2**24
    np.testing.assert_array_equal(got, FIRST_UNIFORM)
    got = draws.normal(state, shape=(3,), dtype=np.dtype("float32")).numpy()
    np.testing.assert_array_equal(got, np.array(FIRST_NORMAL, np.float32))


FIRST_UNIFORM = [14596956, 7444837, 2883322]
FIRST_NORMAL = [-0.3317304253578186, 1.5870286226272583, 0.4450533986091614]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("function", [random.uniform, random.normal, random.truncated_normal])
def test_any_part_of_the_stream_is_the_same(function, dtype):
    whole = function((7, 11), dtype=dtype, seed=5).numpy()
    assert whole.dtype == dtype
    for count in (1, 2, 3, 20, 77):
        part = function((count,), dtype=dtype, seed=5).numpy()
        np.testing.assert_array_equal(part, whole.ravel()[:count])


def test_blocks_can_be_made_apart():
    state = np.array([3, 9], np.uint32)
    whole = draws._words64(state, 64)
    key = 3 | 9 << 64
    for block in (0, 5, 15):
        part = np.random.Philox(key=key, counter=[block, 0, 0, 0]).random_raw(4)
        np.testing.assert_array_equal(part, whole[4 * block : 4 * block + 4])


@pytest.mark.parametrize("function", [random.uniform, random.normal, random.truncated_normal])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3), 4, [2, 1]])
def test_shapes(function, shape):
    expected = (shape,) if isinstance(shape, int) else tuple(shape)
    assert tuple(function(shape, seed=1).shape) == expected


# ---- distributions -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform(seed, dtype):
    values = random.uniform((N,), dtype=dtype, seed=seed).numpy()
    assert values.min() >= 0
    assert values.max() < 1
    assert fits(values, stats.uniform.cdf)
    assert abs(values.mean() - 0.5) < 4 * np.sqrt(1 / 12 / N)
    moved = random.uniform((N,), -2, 3, dtype=dtype, seed=seed)
    assert fits(moved, stats.uniform(-2, 5).cdf)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(seed, dtype):
    values = random.normal((N,), dtype=dtype, seed=seed).numpy().astype(np.float64)
    assert fits(values, stats.norm.cdf)
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((values**power).mean() - expected) < 4 * np.sqrt(variance / N)
    assert fits(random.normal((N,), 5.0, 0.1, dtype=dtype, seed=seed), stats.norm(5, 0.1).cdf)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truncated_normal(seed, dtype):
    values = random.truncated_normal((N,), dtype=dtype, seed=seed).numpy()
    assert np.abs(values).max() <= 2
    assert fits(values, stats.truncnorm(-2, 2).cdf)
    assert abs(values.std() - 0.8796) < 0.005


def test_normal_tails_are_right():
    values = random.normal((10 * N,), seed=3).numpy()
    for z in (3, 4, 4.5):
        expected = 2 * stats.norm.sf(z) * len(values)
        assert abs((np.abs(values) > z).sum() - expected) < 4 * np.sqrt(expected)


def test_consecutive_draws_and_neighbouring_seeds_are_independent():
    generator = random.SeedGenerator(8)
    samples = [random.normal((N,), seed=generator).numpy() for _ in range(4)]
    samples += [random.normal((N,), seed=seed).numpy() for seed in (9, 10)]
    correlations = np.corrcoef(samples) - np.eye(6)
    assert np.abs(correlations).max() < 4.5 / np.sqrt(N)
    assert fits(np.concatenate(samples), stats.norm.cdf)
    bits = [(sample > 0) for sample in samples]
    for i in range(6):
        for j in range(i):
            assert abs((bits[i] ^ bits[j]).mean() - 0.5) < 4.5 * 0.5 / np.sqrt(N)


def test_numbers_in_a_row_are_independent():
    values = random.uniform((N + 8,), seed=11).numpy()
    for lag in range(1, 9):
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < 4.5 / np.sqrt(N)
    pairs = np.histogram2d(values[:N:2], values[1:N:2], bins=20)[0]
    assert stats.chisquare(pairs.ravel()).pvalue > 0.001


@pytest.mark.parametrize(("low", "high"), [(0, 2), (-5, 12), (3, 4), (0, 1000)])
def test_randint(low, high):
    values = random.randint((N,), low, high, seed=2).numpy()
    assert values.dtype == "int32"
    assert values.min() == low
    assert values.max() == high - 1
    if high - low > 1:
        counts = np.bincount(values - low)
        assert stats.chisquare(counts).pvalue > 0.001


def test_randint_over_the_whole_range_of_int64():
    values = random.randint((N,), -(2**62), 2**62, dtype="int64", seed=2).numpy()
    assert fits(values / 2**63 + 0.5, stats.uniform.cdf)
    values = random.randint((1000,), 0, 256, dtype="uint8", seed=2).numpy()
    assert (values.min(), values.max()) == (0, 255)


def test_categorical():
    logits = np.log(np.array([[0.1, 0.2, 0.7], [0.5, 1e-30, 0.5]])) + 1e3
    values = random.categorical(logits, N, seed=4).numpy()
    assert values.shape == (2, N)
    assert values.dtype == "int32"
    counts = [np.bincount(row, minlength=3) for row in values]
    assert stats.chisquare(counts[0], np.array([0.1, 0.2, 0.7]) * N).pvalue > 0.001
    assert counts[1][1] == 0
    assert stats.chisquare(counts[1][::2]).pvalue > 0.001


def test_categorical_never_draws_the_impossible():
    logits = np.array([[-np.inf, 0.0, -np.inf]])
    assert set(random.categorical(logits, 1000, seed=1).numpy().ravel()) == {1}


def test_shuffle():
    x = np.arange(24.0).reshape(4, 6)
    for axis in (0, 1, -1):
        y = random.shuffle(x, axis=axis, seed=3).numpy()
        assert not np.array_equal(y, x)
        np.testing.assert_array_equal(np.sort(y, axis), x)
        other = 1 - axis % 2
        np.testing.assert_array_equal(np.diff(y, axis=other), np.diff(x, axis=other))


def test_all_orders_are_equally_likely():
    generator = random.SeedGenerator(6)
    orders = [tuple(random.shuffle([0, 1, 2], seed=generator).numpy()) for _ in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 0.001


def test_shuffle_has_a_gradient():
    x = as_tensor(np.arange(5.0))
    with GradientTape() as tape:
        tape.watch(x)
        y = random.shuffle(x, seed=1) * np.arange(5.0)
    g = tape.gradient(y, x).numpy()
    assert list(random.shuffle(g, seed=1).numpy()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.5, 100.0])
def test_gamma(alpha):
    assert fits(random.gamma((N // 4,), alpha, dtype="float64", seed=5), stats.gamma(alpha).cdf)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (2.0, 5.0)])
def test_beta(a, b):
    assert fits(random.beta((N // 4,), a, b, dtype="float64", seed=5), stats.beta(a, b).cdf)


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (20, 0.5), (33, 0.9), (1000, 0.01), (10**6, 0.4)])
def test_binomial(n, p):
    values = random.binomial((N // 10,), n, p, seed=7).numpy()
    assert values.dtype == "float32"
    exact = stats.binom(n, p)
    with np.errstate(all="ignore"):
        edges = np.unique(exact.ppf(np.linspace(0, 1, 12)[1:-1]))
        edges = edges[edges < n]
        expected = np.diff([0, *exact.cdf(edges), 1]) * len(values)
    found = np.diff([0, *[(values <= edge).sum() for edge in edges], len(values)])
    assert stats.chisquare(found, expected).pvalue > 0.001


def test_parameters_broadcast():
    alpha = np.array([0.5, 50.0])
    means = random.gamma((N // 10, 2), alpha, seed=1).numpy().mean(0)
    np.testing.assert_allclose(means, alpha, rtol=0.05)
    means = random.binomial((N // 10, 2), [10, 100], 0.5, seed=1).numpy().mean(0)
    np.testing.assert_allclose(means, [5, 50], rtol=0.05)
    high = random.randint((1000, 2), 0, np.array([3, 300]), seed=1).numpy().max(0)
    assert list(high) == [2, 299]


# ---- bounds and dtypes ---------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0000002), (-0.05, 0.05), (1e6, 1e6 + 1)])
def test_uniform_never_reaches_its_upper_bound(low, high):
    values = random.uniform((N,), low, high, seed=1).numpy()
    assert values.min() >= np.float32(low)
    assert values.max() < np.float32(high)


def test_uniform_of_an_empty_interval_is_its_bound():
    np.testing.assert_array_equal(random.uniform((3,), 2.0, 2.0, seed=1), [2, 2, 2])


@pytest.mark.parametrize(
    "function", [random.uniform, random.normal, random.truncated_normal, random.gamma]
)
def test_floating_dtypes_only(function):
    with pytest.raises(ValueError, match=r"\w+: expected a floating dtype, got 'int32'"):
        function((2,), 1.0, dtype="int32")


def test_randint_wants_an_integer_dtype_and_a_range():
    with pytest.raises(ValueError, match="randint: expected an integer dtype, got 'float32'"):
        random.randint((2,), 0, 5, dtype="float32")
    with pytest.raises(ValueError, match="randint: expected minval < maxval, got 5 and 5"):
        random.randint((2,), 5, 5)
    with pytest.raises(
        ValueError, match=r"random_integers: expected arguments to fit shape \(2,\), got \(3,\)"
    ):
        random.randint((2,), 0, [5, 6, 7])


def test_bad_parameters_are_named():
    with pytest.raises(ValueError, match=r"gamma: expected finite alpha > 0, got 0"):
        random.gamma((2,), 0.0)
    with pytest.raises(ValueError, match=r"gamma: expected finite alpha > 0, got \[ ?1. +nan\]"):
        random.gamma((2,), [1.0, np.nan])
    with pytest.raises(ValueError, match=r"beta: expected finite alpha and beta > 0"):
        random.beta((2,), 1.0, -1.0)
    with pytest.raises(ValueError, match=r"binomial: expected counts >= 0 and probabilities"):
        random.binomial((2,), 5, 1.5)
    with pytest.raises(ValueError, match=r"random_gamma: expected arguments to fit shape \(2,\)"):
        random.gamma((2,), [1.0, 2, 3])
    with pytest.raises(
        ValueError, match=r"categorical: expected logits of shape \(rows, classes\)"
    ):
        random.categorical([1.0, 2.0], 3)
    with pytest.raises(ValueError, match=r"shuffle: expected an axis in \[-1, 1\), got 1"):
        random.shuffle([1, 2], axis=1)


# ---- seeds ---------------------------------------------------------------------------------------


def test_an_integer_seed_repeats_and_a_generator_does_not():
    a, b = (random.normal((5,), seed=3).numpy() for _ in range(2))
    np.testing.assert_array_equal(a, b)
    generator = random.SeedGenerator(3)
    first, second = (random.normal((5,), seed=generator).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, a)
    assert not np.array_equal(first, second)
    assert not np.array_equal(random.normal((5,)), random.normal((5,)))


def test_generator_counts_its_draws_in_a_variable():
    generator = random.SeedGenerator(5, name="mine")
    assert generator.state.path == "mine/seed_generator_state"
    assert not generator.state.trainable
    assert generator.state.dtype == "uint32"
    for count in range(3):
        assert list(generator.next().numpy()) == [5, count]
    assert list(generator.state.numpy()) == [5, 3]


def test_generator_goes_on_where_its_state_was():
    generator = random.SeedGenerator(5)
    random.normal((2,), seed=generator)
    saved = generator.state.numpy()
    expected = random.normal((2,), seed=generator).numpy()
    other = random.SeedGenerator(99)
    other.state.assign(saved)
    np.testing.assert_array_equal(random.normal((2,), seed=other), expected)


def test_generator_config_round_trip():
    config = random.SeedGenerator(5, name="mine").get_config()
    assert config == {"seed": 5, "name": "mine"}
    assert random.SeedGenerator.from_config(config).seed == 5
    assert random.SeedGenerator().get_config()["seed"] is None


def test_generator_state_goes_through_scopes():
    generator = random.SeedGenerator(5)
    with VariableScope() as scope:
        random.normal((2,), seed=generator)
        assert list(scope.assigned[generator.state.key][1].numpy()) == [5, 1]
    assert list(generator.state.numpy()) == [5, 0]


def test_a_trace_takes_the_state_as_an_input():
    generator = random.SeedGenerator(5)
    state = SymbolicTensor((2,), np.dtype("uint32"))
    with VariableScope([(generator.state, state)]) as scope:
        y = random.normal((2, 3), seed=generator)
        after = scope.assigned[generator.state.key][1]
    assert isinstance(y, SymbolicTensor)
    assert y.node.inputs[0].key == state.key
    assert after.node.op.name == "add"


@pytest.mark.parametrize("seed", [-1, 2**32 + 7, 2**40, np.int64(3)])
def test_unusual_integers_are_seeds_too(seed):
    a = random.uniform((3,), seed=seed).numpy()
    np.testing.assert_array_equal(a, random.uniform((3,), seed=int(seed) % 2**32))
    np.testing.assert_array_equal(a, random.uniform((3,), seed=random.SeedGenerator(seed)))


def test_what_is_no_seed():
    with pytest.raises(
        ValueError, match="seed: expected an integer, a SeedGenerator or None, got 'a'"
    ):
        random.normal((2,), seed="a")
    with pytest.raises(
        ValueError, match=r"SeedGenerator: expected an integer or None as seed, got 1\.5"
    ):
        random.SeedGenerator(1.5)
    with pytest.raises(ValueError, match="set_random_seed: expected an integer, got None"):
        random.set_random_seed(None)


def test_set_random_seed_seeds_everything():
    def everything():
        random.set_random_seed(42)
        generator = random.SeedGenerator()
        return [
            python_random.random(),
            np.random.uniform(),
            float(random.normal(())),
            float(random.normal((), seed=generator)),
        ]

    first = everything()
    assert first == everything()
    assert len(set(first)) == 4
    random.set_random_seed(43)
    assert python_random.random() != first[0]


def test_set_random_seed_keeps_the_global_variable():
    state = random.global_seed_generator().state
    random.set_random_seed(1)
    assert random.global_seed_generator().state is state
    assert list(state.numpy())[1] == 0


# ---- dropout -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_drops_and_scales(rate):
    y = random.dropout(np.ones((N,), np.float32), rate, seed=1).numpy()
    assert y.dtype == "float32"
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)
    assert abs((y == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / N)


def test_dropout_of_nothing_and_of_all():
    x = as_tensor(np.ones((2, 3)))
    assert random.dropout(x, 0.0) is x
    np.testing.assert_array_equal(random.dropout(x, 1.0), np.zeros((2, 3)))


def test_dropout_drops_what_uniform_has_below_rate():
    y = random.dropout(np.ones((999,), np.float32), 0.25, seed=6).numpy()
    np.testing.assert_array_equal(y > 0, random.uniform((999,), seed=6).numpy() >= 0.25)


def test_dropout_of_whole_channels():
    y = random.dropout(np.ones((8, 5, 16)), 0.5, noise_shape=(None, 1, 16), seed=1).numpy()
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert 0 < (y[:, 0] == 0).mean() < 1


def test_gradient_of_dropout_uses_the_same_mask():
    x = as_tensor(np.random.normal(size=(50, 60)))
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = random.dropout(x * x, 0.3, seed=4)
        g = inner.gradient(y, x)
    mask = np.where(y.numpy() == 0, 0, 1 / 0.7)
    np.testing.assert_allclose(g, 2 * x.numpy() * mask)
    np.testing.assert_allclose(outer.gradient(g, x), 2 * mask)


def test_tape_keeps_neither_mask_nor_input_of_dropout():
    x = as_tensor(np.ones((100, 100)))
    with GradientTape() as tape:
        tape.watch(x)
        random.dropout(x, 0.5)
    (node,) = tape._nodes
    assert [type(kept).__name__ for kept in (*node.inputs, *node.outputs)] == [
        "SymbolicTensor", "EagerTensor", "SymbolicTensor",
    ]  # fmt: skip


def test_dropout_checks_rate_and_noise_shape():
    for rate in (-0.1, 1.5):
        with pytest.raises(ValueError, match=rf"dropout: expected a rate in \[0, 1\], got {rate}"):
            random.dropout(np.ones(3), rate)
    with pytest.raises(ValueError, match=r"dropout: expected a noise_shape of rank 2, got \(3,\)"):
        random.dropout(np.ones((2, 3)), 0.5, noise_shape=(3,))
    with pytest.raises(ValueError, match=r"a noise_shape to fit shape \(1, 3\), got \(2, 3\)"):
        random.dropout(np.ones((1, 3)), 0.5, noise_shape=(2, 3))


def test_dropout_on_open_axes_is_one_node():
    y = random.dropout(SymbolicTensor((None, 4), np.dtype("float32")), 0.5, seed=1)
    assert tuple(y.shape) == (None, 4)
    assert y.node.op.name == "dropout"
