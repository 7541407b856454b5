"""Optimizers: every rule against NumPy, what surrounds the rules, and what is refused."""

import copy
import inspect
import json
import warnings

import numpy as np
import pytest

from minikeras import optimizers, registry
from minikeras.compiler.native import llvm
from minikeras.constraints import NonNeg
from minikeras.core.context import VariableScope
from minikeras.core.graph import collect
from minikeras.core.tape import GradientTape
from minikeras.core.tensor import IndexedSlices, SymbolicTensor, as_tensor
from minikeras.core.variable import Variable
from minikeras.ops.gathering import take
from minikeras.optimizers import SGD, Adam, AdamW, Optimizer, schedules
from tests.interrupting import interrupt
from tests.optimizers_table import ROWS, State
from tests.rows import numbers

NAMED = [pytest.param(row, id=f"{i}-{row.name}") for i, row in enumerate(ROWS)]
START = [numbers(2, 3, seed=1), numbers(3, seed=2), np.array(0.7)]
SHARED = [
    {"weight_decay": 0.05},
    {"clipnorm": 0.5},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.6},
    {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 2},
    {"loss_scale_factor": 8.0},
    {"gradient_accumulation_steps": 2, "use_ema": True, "clipnorm": 0.4, "weight_decay": 0.1},
]


def _make(row, **kwargs):
    return getattr(optimizers, row.name)(**{"learning_rate": row.rate} | row.options | kwargs)


def _variables(dtype="float64"):
    names = ("kernel", "bias", "scale")
    return [Variable(np.asarray(x, dtype), name=name) for x, name in zip(START, names)]


def _grads(step, dtype="float64"):
    random = np.random.default_rng(step)
    return [np.asarray(random.normal(size=x.shape) * (1 + step), dtype) for x in START]


def _values(variables):
    return [v.numpy() for v in variables]


def test_every_optimizer_has_a_row():
    known = set(registry.known("optimizer").values()) - {Optimizer}
    assert {cls.__name__ for cls in known} == {row.name for row in ROWS}


# ---- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", NAMED)
def test_four_steps_equal_the_rule_in_numpy(row):
    variables, optimizer = _variables(), _make(row)
    expected, states = list(START), [State() for _ in START]
    rate = float(np.float32(row.rate))
    for t in range(1, 5):
        grads = _grads(t)
        count = optimizer.apply_gradients(zip(grads, variables))
        with np.errstate(all="ignore"):
            expected = [
                row.rule(w, g, s, t, rate) for w, g, s in zip(expected, grads, states, strict=True)
            ]
        assert int(count) == t
    for variable, want in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("row", NAMED)
def test_finds_the_bottom_of_a_bowl(row):
    x = Variable(np.array([[1.0, -2.0], [0.5, 1.5]]))
    optimizer = _make(row)
    for _ in range(200):
        with GradientTape() as tape:
            loss = (x * x * [[1.0], [3.0]])[0][0] + (x * x)[0][1] + (x * x)[1][0] + (x * x)[1][1]
        optimizer.apply_gradients([(tape.gradient(loss, x), x)])
    assert np.abs(x.numpy()).max() < 0.3


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("row", NAMED)
def test_computes_in_the_dtype_of_the_variable(row, dtype):
    variables = _variables(dtype)
    optimizer = _make(row)
    optimizer.apply(_grads(1), variables)
    assert {v.dtype.name for v in variables} == {dtype}
    others = {v.dtype.name for v in optimizer.variables[2:]}
    assert others <= {dtype, "int32"}
    assert all(np.isfinite(v.numpy()).all() for v in variables)


@pytest.mark.parametrize("row", NAMED)
def test_state_has_the_names_and_the_order_of_keras(row):
    optimizer = _make(row, name="mine")
    optimizer.build(_variables())
    names = [v.path for v in optimizer.variables]
    groups = optimizer.slots
    slots = [f"{v}_{s}" for g in groups for v in ("kernel", "bias", "scale") for s in g]
    rest = ["product"] if row.name == "Nadam" else []
    assert names == [f"mine/{n}" for n in ["iteration", "learning_rate", *slots, *rest]]
    assert tuple(s for g in groups for s in g) == row.slots
    assert optimizer.variables[0].dtype == "int64"
    assert not any(v.trainable for v in optimizer.variables)


def test_averages_and_accumulators_come_before_slots():
    optimizer = Adam(use_ema=True, gradient_accumulation_steps=2, amsgrad=True, name="a")
    optimizer.build(_variables()[:2])
    assert [v.name for v in optimizer.variables] == [
        "iteration", "learning_rate", "kernel_average", "bias_average",
        "kernel_gradient_accumulator", "bias_gradient_accumulator", "kernel_momentum",
        "kernel_velocity", "bias_momentum", "bias_velocity", "kernel_velocity_hat",
        "bias_velocity_hat",
    ]  # fmt: skip


# ---- compiled updates ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("row", "options"),
    [
        *((row, options) for row in ROWS for options in ({}, {"weight_decay": 0.05})),
        *((ROWS[6], options) for options in SHARED),
    ],
)
def test_compiled_updates_are_those_of_the_rule(row, options, dtype, monkeypatch):
    def final():
        variables = [Variable(numbers(30, 7, seed=3).astype(dtype)), *_variables(dtype)]
        optimizer = _make(row, **options)
        for step in range(6):
            random = np.random.default_rng(step)
            grads = [random.normal(size=v.shape).astype(dtype) for v in variables]
            optimizer.apply(grads, variables)
        return _values([*variables, *optimizer.variables]), optimizer

    compiled, optimizer = final()
    if llvm.available():
        assert _compiled(optimizer)
    monkeypatch.setattr(Optimizer, "_is_pure", lambda *_: False)
    for a, b in zip(compiled, final()[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5 if dtype == "float32" else 1e-12, atol=1e-7)


def _compiled(optimizer):
    calls = optimizer._compiled
    return calls is not None and any(call is not None for call in calls._found.values())


def _steps(optimizer, variable, count=5):
    for _ in range(count):
        optimizer.apply([np.ones(variable.shape, variable.dtype.name)], [variable])


def test_the_rule_runs_no_more_once_it_is_compiled(monkeypatch):
    if not llvm.available():
        pytest.skip("needs llvmlite")
    optimizer, variable = SGD(1.0), Variable([0.0, 0.0])
    _steps(optimizer, variable, 3)
    monkeypatch.setattr(SGD, "rule", lambda *_: pytest.fail("run again"))
    _steps(optimizer, variable, 2)
    np.testing.assert_array_equal(variable, [-5.0, -5.0])
    assert int(optimizer.iterations) == 5


def test_transposed_values_and_gradients_are_updated_right():
    variable, optimizer = Variable(np.zeros((2, 3))), SGD(1.0)
    for _ in range(5):
        variable.assign(as_tensor(np.arange(6.0).reshape(3, 2)).array.T)
        optimizer.apply([np.arange(6.0).reshape(3, 2).T], [variable])
        np.testing.assert_array_equal(variable, np.zeros((2, 3)))


def test_values_read_before_a_compiled_update_stay_as_they_were():
    variable, optimizer = Variable([0.0, 0.0]), SGD(1.0)
    read = []
    for _ in range(6):
        read.append(variable.value)
        _steps(optimizer, variable, 1)
    assert [float(x[0]) for x in read] == [0, -1, -2, -3, -4, -5]


def test_a_change_of_an_option_counts_from_the_next_step():
    optimizer, variable = SGD(1.0, momentum=0.5), Variable([0.0])
    for momentum in (0.5, 0.25):
        optimizer.momentum = momentum
        optimizer.apply([np.ones(1)], [variable])
    assert variable.numpy() == [-1.0 - (1 + 0.25)]


def test_changes_count_after_updates_were_compiled():
    optimizer, variable = SGD(1.0), Variable([0.0])
    _steps(optimizer, variable)
    optimizer.learning_rate = 0.5
    _steps(optimizer, variable, 1)
    assert variable.numpy() == [-5.5]
    optimizer.clipvalue = 0.25
    _steps(optimizer, variable, 1)
    assert variable.numpy() == [-5.625]
    variable.constraint = NonNeg()
    _steps(optimizer, variable, 4)
    assert variable.numpy() == [0]


class _Counting(schedules.LearningRateSchedule):
    calls = 0

    def __call__(self, step):
        self.calls += 1
        return 0.5


class _Halving(Optimizer):
    def rule(self, grad, value, slots, pace):
        return (value / 2 if float(value[0]) > 1 else value - pace * grad), ()


def test_code_of_the_user_runs_in_every_step():
    schedule, calls = _Counting(), []
    _steps(SGD(schedule), Variable([0.0]))
    assert schedule.calls == 5
    _steps(SGD(lambda: calls.append(0) or 0.1), Variable([0.0]))
    assert len(calls) == 5
    variable = Variable([0.0])
    variable.constraint = lambda w: calls.append(1) or w
    _steps(SGD(), variable)
    assert calls.count(1) == 5


def test_rules_that_cannot_be_compiled_run_as_they_are_written():
    variable = Variable([16.0, 0.0])
    _steps(_Halving(0.5), variable)
    np.testing.assert_array_equal(variable, [0.5, -0.5])


def test_copies_of_an_optimizer_update_their_own_state():
    optimizer, variable = SGD(1.0, momentum=0.5), Variable([0.0])
    _steps(optimizer, variable)
    other = copy.copy(optimizer)
    assert optimizer._compiled is None or other._compiled is None


def test_an_interrupt_in_a_compiled_update_changes_nothing(monkeypatch):
    optimizer, variable = SGD(1.0), Variable([0.0])
    _steps(optimizer, variable)

    def interrupted(*_):
        raise KeyboardInterrupt

    for call in (optimizer._compiled._found if optimizer._compiled else {}).values():
        if call is None:
            continue
        monkeypatch.setattr(call, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _steps(optimizer, variable, 1)
    assert variable.numpy() == [-5.0]
    assert int(optimizer.iterations) == 5


# ---- tracing -------------------------------------------------------------------------------------


def _traced(optimizer, variables, steps):
    """Trace one step, then run its graph again and again."""
    optimizer.build(variables)
    state = [*variables, *optimizer.variables]
    symbols = [SymbolicTensor(tuple(v.shape), np.dtype(v.dtype.name)) for v in state]
    inputs = [SymbolicTensor(x.shape, np.dtype("float64")) for x in START]
    with VariableScope(list(zip(state, symbols))) as scope:
        optimizer.apply(inputs, variables)
    outputs = [scope.read(v) for v in state]
    nodes = collect(outputs, [*symbols, *inputs])
    for step in range(steps):
        values = {s.key: v.value for s, v in zip(symbols, state)}
        values |= {s.key: as_tensor(g) for s, g in zip(inputs, _grads(step))}
        for node in nodes:
            result = node.op(*[values.get(x.key, x) for x in node.inputs], **node.params)
            values[node.outputs[0].key] = result
        for variable, output in zip(state, outputs):
            variable.assign(values.get(output.key, output))
    return _values(state)


@pytest.mark.parametrize(
    ("row", "options"),
    [*((row, {}) for row in NAMED), *((NAMED[6], options) for options in SHARED)],
)
def test_a_traced_step_does_what_an_eager_one_does(row, options):
    row = row.values[0] if hasattr(row, "values") else row
    variables, optimizer = _variables(), _make(row, **options)
    for step in range(4):
        optimizer.apply(_grads(step), variables)
    eager = _values([*variables, *optimizer.variables])
    traced = _traced(_make(row, **options), _variables(), 4)
    for a, b in zip(eager, traced, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


# ---- all or nothing ------------------------------------------------------------------------------


def test_a_gradient_of_another_shape_changes_nothing():
    for optimizer in (SGD(), Adam(), optimizers.RMSprop(momentum=0.5)):
        variables = _variables()
        with pytest.raises(
            ValueError,
            match=rf"{type(optimizer).__name__}: expected a gradient of shape \(3,\) for variable "
            r"'bias', got shape \(1,\)",
        ):
            optimizer.apply_gradients(zip([_grads(0)[0], np.ones(1)], variables))
        for variable, start in zip(variables, START):
            np.testing.assert_array_equal(variable, start)
        assert int(optimizer.iterations) == 0


@pytest.mark.parametrize("compiled", [False, True])
def test_an_interrupt_anywhere_leaves_all_or_nothing(compiled, monkeypatch):
    variables = _variables()
    optimizer = Adam(weight_decay=0.1, use_ema=True, ema_overwrite_frequency=1)
    if not compiled:
        monkeypatch.setattr(Optimizer, "_is_pure", lambda *_: False)
    for _ in range(4):
        optimizer.apply(_grads(0), variables)
    state = [*variables, *optimizer.variables]
    start = _values(state)

    def stepped(line=None):
        """Return whether an interrupt came before the given line of a step, and the state then."""
        for variable, value in zip(state, start):
            variable.assign(value)
        with interrupt(line, before="line") as found:
            optimizer.apply(_grads(1), variables)
        return found.came, [x.tobytes() for x in _values(state)]

    untouched, (_, after) = [x.tobytes() for x in start], stepped()
    assert untouched != after
    line = 1
    while (now := stepped(line))[0]:
        assert now[1] in (untouched, after), f"half done before line {line}"
        line += 1
    assert line > 50
    assert stepped()[1] == after


def test_a_rule_that_fails_changes_nothing():
    class Broken(SGD):
        def rule(self, grad, value, slots, pace):
            if value.ndim == 1:
                raise RuntimeError("broken")
            return super().rule(grad, value, slots, pace)

    variables = _variables()
    with pytest.raises(RuntimeError, match="broken"):
        Broken().apply(_grads(0), variables)
    np.testing.assert_array_equal(variables[0], START[0])


# ---- options of all optimizers -------------------------------------------------------------------


def _moved(options, grads, steps=1, start=1.0):
    """Return what gradient descent of rate 1 makes of a variable."""
    variable = Variable(np.full(np.shape(grads), start))
    optimizer = SGD(1.0, **options)
    for _ in range(steps):
        optimizer.apply([np.asarray(grads, float)], [variable])
    return variable.numpy()


def test_clipping():
    np.testing.assert_allclose(_moved({"clipnorm": 1.0}, [3.0, 4.0]), [0.4, 0.2])
    np.testing.assert_allclose(_moved({"clipnorm": 9.0}, [3.0, 4.0]), [-2.0, -3.0])
    np.testing.assert_allclose(_moved({"clipvalue": 1.0}, [3.0, -0.5]), [0.0, 1.5])
    np.testing.assert_allclose(_moved({"clipnorm": 1.0}, [0.0, 0.0]), [1.0, 1.0])


def test_clipping_all_gradients_by_their_common_norm():
    a, b = Variable([0.0]), Variable(np.float64([0.0]))
    SGD(1.0, global_clipnorm=1.0).apply([np.array([3.0]), np.array([4.0])], [a, b])
    np.testing.assert_allclose([a, b], [[-0.6], [-0.8]])
    assert (a.dtype, b.dtype) == ("float32", "float64")
    SGD(1.0, global_clipnorm=1.0).apply([np.array([np.inf]), np.array([4.0])], [a, b])
    assert np.isnan(a.numpy()).all()
    assert np.isnan(b.numpy()).all()


def test_weight_decay_and_what_is_kept_from_it():
    variables = [Variable([1.0], name="kernel"), Variable([1.0], name="bias"), Variable([1.0])]
    optimizer = SGD(0.5, weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_list=[variables[2]], var_names=["bi"])
    optimizer.apply([np.zeros(1)] * 3, variables)
    np.testing.assert_allclose(variables, [[0.95], [1.0], [1.0]])
    with pytest.raises(ValueError, match="can only be configured before the optimizer is built"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_decay_comes_before_the_gradient():
    np.testing.assert_allclose(_moved({"weight_decay": 0.1}, 0.25), 1 - 0.1 - 0.25)


def test_moving_average():
    variable = Variable([0.0])
    optimizer = SGD(1.0, use_ema=True, ema_momentum=0.5)
    for _ in range(3):  # -1, -2, -3; the first average is the first value
        optimizer.apply([np.ones(1)], [variable])
    assert variable.numpy() == [-3.0]
    optimizer.finalize_variable_values([variable])
    assert variable.numpy() == [(-1 * 0.5 - 2 * 0.5) * 0.5 - 3 * 0.5]
    with pytest.raises(ValueError, match=r"length of model variables \(2\)"):
        optimizer.finalize_variable_values([variable, variable])
    SGD().finalize_variable_values([variable])


def test_moving_average_overwrites_from_time_to_time():
    variable = Variable([0.0])
    optimizer = SGD(1.0, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2)
    optimizer.apply([np.ones(1)], [variable])
    assert variable.numpy() == [-1.0]
    optimizer.apply([np.ones(1)], [variable])
    assert variable.numpy() == [-1.5]


def test_accumulated_gradients():
    variable, optimizer = Variable([0.0]), SGD(1.0, gradient_accumulation_steps=3)
    seen = []
    for g in (1.0, 2.0, 6.0, 3.0, 3.0, 3.0):
        optimizer.apply([np.array([g])], [variable])
        seen.append((float(variable[0]), int(optimizer.iterations)))
    assert seen == [(0, 0), (0, 0), (-3, 1), (-3, 1), (-3, 1), (-6, 2)]


def test_loss_scale():
    optimizer = SGD(1.0, loss_scale_factor=4.0)
    assert optimizer.scale_loss(2.0) == 8.0
    assert SGD().scale_loss(2.0) == 2.0
    np.testing.assert_allclose(_moved({"loss_scale_factor": 4.0}, 2.0), 0.5)


def test_constraints_hold_after_the_step():
    variable = Variable([1.0, 1.0])
    variable.constraint = NonNeg()
    SGD(1.0).apply([np.array([3.0, 0.5])], [variable])
    np.testing.assert_array_equal(variable, [0.0, 0.5])


def test_variables_that_take_their_gradient_for_a_value():
    variable = Variable([1.0])
    variable.overwrite_with_gradient = True
    Adam().apply([np.array([5.0])], [variable])
    assert variable.numpy() == [5.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clipnorm": 1.0, "clipvalue": 1.0}, "Only one of .* clipnorm=1.0, clipvalue=1.0"),
        ({"gradient_accumulation_steps": 1}, "must be an integer >= 2"),
        ({"use_ema": True, "ema_momentum": 1.5}, r"`ema_momentum` must be in the range \[0, 1\]"),
        ({"use_ema": True, "ema_overwrite_frequency": 0.5}, "must be an integer >= 1 or None"),
        ({"learning_rate": "fast"}, "`learning_rate` should be float.*'fast'"),
        ({"momentum": 2.0}, r"SGD: expected `momentum` to be a number in \[0, 1\], got 2.0"),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SGD(**options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdamW(weight_decay=None), "AdamW: expected `weight_decay` to be a float"),
        (lambda: optimizers.Lion(beta_1=0.0), r"Lion: expected `beta_1` in \(0, 1\]"),
        (lambda: optimizers.Ftrl(learning_rate_power=1), "Ftrl: expected `learning_rate_power`"),
        (lambda: optimizers.Ftrl(l1_regularization_strength=-1), "l1_regularization_strength` >="),
    ],
)
def test_options_of_one_optimizer_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_arguments_that_are_not_known():
    with pytest.raises(ValueError, match=r"^Argument\(s\) not recognized: {'lr': 0.001}$"):
        Adam(lr=0.001)
    with pytest.warns(UserWarning, match="Argument `decay` is no longer supported"):
        Adam(decay=0.1)


# ---- learning rate -------------------------------------------------------------------------------


def test_learning_rate_can_be_set_to_numbers_variables_and_schedules():
    optimizer = SGD(1)
    assert float(optimizer.learning_rate) == 1
    optimizer.learning_rate = 0.5
    assert float(optimizer.learning_rate) == 0.5
    optimizer.learning_rate.assign(0.25)
    assert float(optimizer.learning_rate) == 0.25
    optimizer.learning_rate = Variable(0.125)
    assert float(optimizer.learning_rate) == 0.125
    assert len(optimizer.variables) == 2
    optimizer.learning_rate = schedules.ExponentialDecay(0.5, 1, 0.5)
    assert float(optimizer.learning_rate) == 0.5
    assert [v.name for v in optimizer.variables] == ["iteration"]
    optimizer.apply([np.ones(1)], [Variable([0.0])])
    assert float(optimizer.learning_rate) == 0.25
    with pytest.raises(TypeError, match="hence its learning rate is not settable"):
        optimizer.learning_rate = 0.1


def test_learning_rate_from_a_function():
    rates = iter([1.0, 3.0])
    variable, optimizer = Variable([0.0]), SGD(lambda: next(rates))
    for _ in range(2):
        optimizer.apply([np.ones(1)], [variable])
    assert variable.numpy() == [-4.0]


def test_schedules_see_steps_that_accumulate_too():
    variable = Variable([0.0])
    rate = schedules.PiecewiseConstantDecay([0, 2], [9.0, 1.0, 7.0])
    optimizer = SGD(rate, gradient_accumulation_steps=2)
    for _ in range(4):
        optimizer.apply([np.ones(1)], [variable])
    assert variable.numpy() == [-1.0 - 7.0]


RATES = [
    (schedules.ExponentialDecay(0.1, 4, 0.5), lambda s: 0.1 * 0.5 ** (s / 4)),
    (schedules.ExponentialDecay(0.1, 4, 0.5, staircase=True), lambda s: 0.1 * 0.5 ** (s // 4)),
    (schedules.InverseTimeDecay(0.1, 4, 0.5), lambda s: 0.1 / (1 + 0.5 * s / 4)),
    (schedules.InverseTimeDecay(0.1, 4, 0.5, True), lambda s: 0.1 / (1 + 0.5 * (s // 4))),
    (
        schedules.PolynomialDecay(0.1, 4, 0.02, power=2.0),
        lambda s: 0.08 * (1 - min(s, 4) / 4) ** 2 + 0.02,
    ),
    (
        schedules.PolynomialDecay(0.1, 4, 0.02, cycle=True),
        lambda s: 0.08 * (1 - s / (4 * max(1, -(-s // 4)))) + 0.02,
    ),
    (
        schedules.PiecewiseConstantDecay([2, 5], [1.0, 0.5, 0.1]),
        lambda s: 1.0 if s <= 2 else 0.5 if s <= 5 else 0.1,
    ),
    (
        schedules.CosineDecay(0.1, 4, alpha=0.2),
        lambda s: 0.1 * (0.8 * 0.5 * (1 + np.cos(np.pi * min(s, 4) / 4)) + 0.2),
    ),
    (
        schedules.CosineDecay(0.02, 4, warmup_target=0.1, warmup_steps=3),
        lambda s: (
            0.02 + 0.08 * s / 3 if s < 3 else 0.05 * (1 + np.cos(np.pi * min(s - 3, 4) / 4))
        ),
    ),
    (
        schedules.CosineDecay(0.02, 4, warmup_target=0.1),
        lambda s: 0.05 * (1 + np.cos(np.pi * min(s, 4) / 4)),
    ),
    (
        schedules.CosineDecayRestarts(0.1, 3, t_mul=1.0, m_mul=0.5, alpha=0.1),
        lambda s: 0.1 * (0.9 * 0.5 ** (s // 3) * 0.5 * (1 + np.cos(np.pi * (s % 3) / 3)) + 0.1),
    ),
    (
        schedules.CosineDecayRestarts(0.1, 3),
        lambda s: 0.05 * (1 + np.cos(np.pi * (s / 3 if s < 3 else (s - 3) / 6))),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "expected"), RATES)
def test_schedules(schedule, expected):
    for step in range(9):
        for given in (step, Variable(step), as_tensor(np.int64(step))):
            found = schedule(given)
            assert found.dtype == "float32"
            np.testing.assert_allclose(found, expected(step), rtol=1e-5, atol=1e-8)
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(schedule))))
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()


def test_every_schedule_is_tried():
    known = set(registry.known("schedule").values()) - {schedules.LearningRateSchedule}
    assert known == {type(schedule) for schedule, _ in RATES}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: schedules.ExponentialDecay(0.1, 0, 0.5), "expected decay_steps > 0, got 0"),
        (lambda: schedules.CosineDecayRestarts(0.1, 0), "expected first_decay_steps > 0, got 0"),
        (lambda: schedules.PiecewiseConstantDecay([1], [0.1]), "one boundary fewer than values"),
        (lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 2, 3]), "in ascending order"),
    ],
)
def test_schedules_that_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
    with pytest.raises(NotImplementedError, match="must override `__call__"):
        schedules.LearningRateSchedule()(1)


# ---- gradients and variables ---------------------------------------------------------------------


def test_gradients_that_are_none():
    variables = _variables()
    with pytest.warns(
        UserWarning,
        match=r"^Gradients do not exist for variables \['bias'\] when minimizing the loss. If "
        r"using `model.compile\(\)`, did you forget to provide a `loss` argument\?$",
    ):
        SGD().apply_gradients(zip([np.ones((2, 3)), None, np.ones(())], variables))
    np.testing.assert_array_equal(variables[1], START[1])
    assert np.all(variables[0].numpy() != START[0])
    with pytest.raises(ValueError, match=r"^No gradients provided for any variable\.$"):
        SGD().apply_gradients([(None, variables[0])])


def test_no_pairs_at_all():
    with pytest.raises(ValueError, match=r"SGD: expected \(gradient, variable\) pairs, got none"):
        SGD().apply_gradients([])
    SGD().apply([])


def test_variables_that_it_was_not_built_for():
    optimizer, known, other = Adam(), Variable([1.0]), Variable([1.0])
    optimizer.apply([np.ones(1)], [known])
    with pytest.raises(
        ValueError,
        match=r"^Unknown variable: <Variable .* This optimizer can only be called for the "
        "variables it was originally built with. When working with a new set of variables, you "
        "should recreate a new optimizer instance.$",
    ):
        optimizer.apply([np.ones(1)], [other])
    assert other.numpy() == [1.0]


def test_a_part_of_the_variables_may_be_updated():
    variables, optimizer = _variables(), Adam()
    optimizer.build(variables)
    optimizer.apply([np.ones(3)], [variables[1]])
    np.testing.assert_array_equal(variables[0], START[0])
    optimizer.apply(_grads(0))
    with pytest.raises(ValueError, match="expected one gradient for each of 3 variables, got 1"):
        optimizer.apply([np.ones(3)])
    with pytest.raises(ValueError, match="the optimizer must already be built"):
        Adam().apply([np.ones(3)])


def test_a_swapped_pair():
    with pytest.raises(TypeError, match="Did you swap gradient and variable in a pair"):
        SGD().apply_gradients([(Variable([1.0]), as_tensor([1.0]))])


def test_sparse_gradients():
    table = Variable(np.zeros((4, 2)))
    with GradientTape() as tape:
        rows = take(table, [1, 1, 3], axis=0)
        loss = rows[0][0] + rows[1][0] + rows[2][1]
    grad = tape.gradient(loss, table)
    SGD(1.0).apply([grad], [table])
    np.testing.assert_array_equal(table, [[0, 0], [-2, 0], [0, 0], [0, -1]])
    grad = IndexedSlices(as_tensor(np.ones((2, 2))), as_tensor([0, 0]), (4, 2))
    SGD(1.0).apply([grad], [table])
    np.testing.assert_array_equal(table[0], [-2, -2])


def test_updates_inside_a_tape_are_not_recorded():
    variable = Variable([1.0])
    with GradientTape(persistent=True) as tape:
        loss = variable * variable
    with tape:
        before = len(tape._nodes)
        Adam().apply([tape.gradient(loss, variable)], [variable])
        assert all(node.op.name != "sqrt" for node in tape._nodes[before:])


def test_minimize():
    variable = Variable([3.0])
    count = SGD(0.5).minimize(lambda: variable * variable, [variable])
    assert (int(count), variable.numpy()) == (1, [0.0])
    variable.assign([3.0])
    with GradientTape() as tape:
        loss = variable * variable
    SGD(0.5).minimize(loss, lambda: [variable], tape)
    assert variable.numpy() == [0.0]
    with pytest.raises(ValueError, match="expected a tape beside a loss that is a tensor"):
        SGD().minimize(loss, [variable])


# ---- configs, saving, own optimizers -------------------------------------------------------------


@pytest.mark.parametrize("row", NAMED)
def test_config_goes_round_through_json(row):
    optimizer = _make(row, weight_decay=0.25, clipnorm=2.0, name="mine")
    config = json.loads(json.dumps(optimizers.serialize(optimizer)))
    assert config["module"] == "keras.optimizers"
    again = optimizers.deserialize(config)
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()
    assert list(config["config"])[:3] == ["name", "learning_rate", "weight_decay"]
    for name, value in row.options.items():
        assert config["config"][name] == value


def test_config_with_a_schedule():
    optimizer = SGD(schedules.CosineDecay(0.1, 5))
    config = json.loads(json.dumps(optimizer.get_config()))
    assert SGD.from_config(config).learning_rate.dtype == "float32"
    assert SGD.from_config(config).get_config() == optimizer.get_config()


@pytest.mark.parametrize("row", NAMED)
def test_state_saved_and_loaded_goes_on_as_before(row):
    variables, optimizer = _variables(), _make(row)
    for step in range(2):
        optimizer.apply(_grads(step), variables)
    store = {}
    optimizer.save_own_variables(store)
    assert list(store) == [str(i) for i in range(len(optimizer.variables))]
    others, again = [Variable(v.numpy()) for v in variables], _make(row)
    again.build(others)
    again.load_own_variables(store)
    optimizer.apply(_grads(2), variables)
    again.apply(_grads(2), others)
    for a, b in zip(variables, others, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)  # the third step may be compiled


def test_state_that_does_not_fit():
    optimizer = Adam(name="a")
    with pytest.raises(ValueError, match="optimizer that has not yet been built"):
        optimizer.set_weights([])
    optimizer.build([Variable([1.0])])
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer 'a', because it"):
        optimizer.load_own_variables({"0": np.int64(3)})
    with pytest.raises(ValueError, match="Adam: expected 4 arrays of state, got 1"):
        optimizer.set_weights([np.zeros(1)])
    values = [np.int64(7), np.float32(0.5), np.ones(1), np.ones(2)]
    with pytest.raises(ValueError, match=r"shape \(1,\) for 'a/.*velocity', got \(2,\)"):
        optimizer.set_weights(values)
    assert int(optimizer.iterations) == 0
    optimizer.set_weights([*values[:3], np.ones(1)])
    assert int(optimizer.iterations) == 7
    fresh = Adam()
    fresh.load_own_variables({"0": np.int64(3), "1": np.float32(0.5)})
    assert (int(fresh.iterations), float(fresh.learning_rate)) == (3, 0.5)


def test_names():
    assert type(optimizers.get("adam")) is Adam
    assert type(optimizers.get("AdamW")) is AdamW
    assert type(optimizers.get("rmsprop")) is optimizers.RMSprop
    assert type(optimizers.get(SGD)) is SGD
    assert optimizers.get(None) is None
    optimizer = SGD()
    assert optimizers.get(optimizer) is optimizer
    with pytest.raises(ValueError, match="'adam'"):
        optimizers.get("adm")
    with pytest.raises(ValueError, match="optimizer: expected a name, a config or an Optimizer"):
        optimizers.get(len)


def test_signatures_show_the_shared_options():
    tail = "weight_decay clipnorm clipvalue global_clipnorm use_ema ema_momentum"
    tail += " ema_overwrite_frequency loss_scale_factor gradient_accumulation_steps name kwargs"
    for name, own in {
        "SGD": "learning_rate momentum nesterov",
        "Adam": "learning_rate beta_1 beta_2 epsilon amsgrad",
    }.items():
        found = inspect.signature(getattr(optimizers, name)).parameters
        assert list(found) == f"{own} {tail}".split()
    found = list(inspect.signature(AdamW).parameters)
    assert found[:6] == "learning_rate weight_decay beta_1 beta_2 epsilon amsgrad".split()
    assert sorted(found[6:]) == sorted(tail.split()[1:])


class Momentum(Optimizer):
    """Written as for Keras."""

    def __init__(self, learning_rate=0.1, momentum=0.5, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        super().build(variables)
        self.momentums = [
            self.add_variable_from_reference(reference_variable=v, name="momentum")
            for v in variables
        ]

    def update_step(self, gradient, variable, learning_rate):
        m = self.momentums[self._get_variable_index(variable)]
        self.assign(m, m * self.momentum - gradient * learning_rate)
        self.assign_add(variable, m)


def test_optimizers_written_for_keras():
    a, b = Variable([1.0], name="a"), Variable([1.0], name="b")
    own = Momentum(1.0, weight_decay=0.5)
    twin = SGD(1.0, momentum=0.5, weight_decay=0.5)
    for _ in range(3):
        own.apply([np.ones(1)], [a])
        twin.apply([np.ones(1)], [b])
    assert a.numpy() == b.numpy()
    assert [v.name for v in own.variables] == ["iteration", "learning_rate", "a_momentum"]
    assert Momentum.from_config(own.get_config()).momentum == 0.5


def test_a_class_without_a_rule():
    with pytest.raises(NotImplementedError, match=r"expected a method rule\(grad, value, slots"):
        Optimizer(0.1).apply([np.ones(1)], [Variable([1.0])])


def test_add_optimizer_variables():
    optimizer, variables = SGD(name="s"), _variables()[:2]
    one = optimizer.add_optimizer_variables(variables, "a", initializer="ones")
    two = optimizer.add_optimizer_variables(variables, ["b", "c"], initializer=["zeros", 2.0])
    assert [v.name for v in one] == ["kernel_a", "bias_a"]
    assert [v.numpy().flat[0] for v in (*one, *two[0], *two[1])] == [1, 1, 0, 0, 2, 2]
    assert [v.name for v in optimizer.variables[4:]] == [
        "kernel_b", "kernel_c", "bias_b", "bias_c",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="number of provided names must match"):
        optimizer.add_optimizer_variables(variables, ["a", "b"], ["zeros"])


def test_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Adam().apply(_grads(0), _variables())
