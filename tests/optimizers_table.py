"""The table of optimizers: one row or more for each, with its rule written in plain NumPy.

The rules are those of the papers, of one parameter and in place, in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass
class Row:
    """One optimizer with its arguments, and what it must compute.

    Args:
        name: the class.
        rule: `rule(w, g, s, t, rate)` returns the new w; `s` is a dict of zeros to keep state in,
            `t` the step counted from 1.
        options: the arguments beside the learning rate.
        slots: names of the state, in the order of `optimizer.variables`, for one parameter.
        rate: a learning rate with which it goes down a bowl in 200 steps.
    """

    name: str
    rule: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)
    slots: tuple[str, ...] = ()
    rate: float = 0.1


class State(dict):
    """Zeros under every name."""

    def __missing__(self, name):
        return 0.0


def sgd(w, g, s, t, rate):
    return w - rate * g


def heavy_ball(w, g, s, t, rate):
    s["v"] = 0.9 * s["v"] - rate * g
    return w + s["v"]


def nesterov(w, g, s, t, rate):
    s["v"] = 0.9 * s["v"] - rate * g
    return w + 0.9 * s["v"] - rate * g


def rmsprop(w, g, s, t, rate):
    s["v"] = 0.9 * s["v"] + 0.1 * g**2
    return w - rate * g / np.sqrt(s["v"] + 1e-7)


def rmsprop_momentum(w, g, s, t, rate):
    s["v"] = 0.8 * s["v"] + 0.2 * g**2
    s["m"] = 0.5 * s["m"] + rate * g / np.sqrt(s["v"] + 1e-7)
    return w - s["m"]


def rmsprop_centered(w, g, s, t, rate):
    s["v"] = 0.9 * s["v"] + 0.1 * g**2
    s["a"] = 0.9 * s["a"] + 0.1 * g
    s["m"] = 0.5 * s["m"] + rate * g / np.sqrt(s["v"] - s["a"] ** 2 + 1e-7)
    return w - s["m"]


def adam(w, g, s, t, rate, epsilon=1e-7):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    rate = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return w - rate * s["m"] / (np.sqrt(s["v"]) + epsilon)


def amsgrad(w, g, s, t, rate):
    s["m"] = 0.8 * s["m"] + 0.2 * g
    s["v"] = 0.9 * s["v"] + 0.1 * g**2
    s["top"] = np.maximum(s["top"], s["v"])
    rate = rate * np.sqrt(1 - 0.9**t) / (1 - 0.8**t)
    return w - rate * s["m"] / (np.sqrt(s["top"]) + 1e-3)


def adamw(w, g, s, t, rate):
    return adam(w - rate * 0.004 * w, g, s, t, rate)


def adagrad(w, g, s, t, rate):
    s["sum"] = s["sum"] + g**2
    return w - rate * g / np.sqrt(0.1 + s["sum"] + 1e-7)


def adadelta(w, g, s, t, rate):
    s["g"] = 0.95 * s["g"] + 0.05 * g**2
    step = np.sqrt(s["d"] + 1e-7) / np.sqrt(s["g"] + 1e-7) * g
    s["d"] = 0.95 * s["d"] + 0.05 * step**2
    return w - rate * step


def adamax(w, g, s, t, rate):
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["u"] = np.maximum(0.999 * s["u"], abs(g))
    return w - rate / (1 - 0.9**t) * s["m"] / (s["u"] + 1e-7)


def nadam(w, g, s, t, rate):
    def momentum(t):
        return 0.9 * (1 - 0.5 * 0.96**t)

    before = np.prod([momentum(i) for i in range(1, t + 1)])
    s["m"] = 0.9 * s["m"] + 0.1 * g
    s["v"] = 0.999 * s["v"] + 0.001 * g**2
    after = before * momentum(t + 1)
    mean = momentum(t + 1) * s["m"] / (1 - after) + (1 - momentum(t)) * g / (1 - before)
    return w - rate * mean / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-7)


def lion(w, g, s, t, rate):
    step = rate * np.sign(0.9 * s["m"] + 0.1 * g)
    s["m"] = 0.99 * s["m"] + 0.01 * g
    return w - step


def ftrl(w, g, s, t, rate, l1=0.0, l2=0.0, shrinkage=0.0, beta=0.0, power=0.5):
    before = s["n"] + 0.1
    s["n"] = s["n"] + g**2
    after = s["n"] + 0.1
    s["z"] = s["z"] + g + 2 * shrinkage * w - (after**power - before**power) / rate * w
    quadratic = after**power / rate + 2 * (l2 + beta / (2 * rate))
    return np.where(abs(s["z"]) <= l1, 0, (np.sign(s["z"]) * l1 - s["z"]) / quadratic)


def adafactor(w, g, s, t, rate):
    keep, squares = 1 - t**-0.8, g**2 + 1e-30
    if w.ndim < 2:
        s["v"] = keep * s["v"] + (1 - keep) * squares
        v = s["v"]
    else:
        s["r"] = keep * s["r"] + (1 - keep) * squares.mean(1)
        s["c"] = keep * s["c"] + (1 - keep) * squares.mean(0)
        v = np.outer(s["r"], s["c"]) / s["r"].mean()
    step = g / np.sqrt(v)
    step = step / max(1, np.sqrt((step**2).mean()))
    return w - max(1e-3, np.sqrt((w**2).mean())) * min(rate, t**-0.5) * step


ROWS = [
    Row("SGD", sgd),
    Row("SGD", heavy_ball, {"momentum": 0.9}, ("momentum",), 0.02),
    Row("SGD", nesterov, {"momentum": 0.9, "nesterov": True}, ("momentum",), 0.02),
    Row("RMSprop", rmsprop, {}, ("velocity",), 0.02),
    Row(
        "RMSprop", rmsprop_momentum, {"rho": 0.8, "momentum": 0.5}, ("velocity", "momentum"), 0.02
    ),
    Row(
        "RMSprop", rmsprop_centered, {"momentum": 0.5, "centered": True},
        ("velocity", "momentum", "average_gradient"), 0.01,
    ),
    Row("Adam", adam, {}, ("momentum", "velocity")),
    Row(
        "Adam", amsgrad, {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3, "amsgrad": True},
        ("momentum", "velocity", "velocity_hat"),
    ),
    Row("AdamW", adamw, {}, ("momentum", "velocity")),
    Row("Adagrad", adagrad, {}, ("accumulator",), 0.5),
    Row("Adadelta", adadelta, {}, ("accumulated_grad", "accumulated_delta_var"), 20.0),
    Row("Adamax", adamax, {}, ("momentum", "norm")),
    Row("Nadam", nadam, {}, ("momentum", "velocity")),
    Row("Lion", lion, {}, ("momentum",), 0.02),
    Row("Ftrl", ftrl, {}, ("accumulator", "linear"), 1.0),
    Row(
        "Ftrl", lambda *a: ftrl(*a, l1=0.01, l2=0.02, shrinkage=0.03, beta=0.1, power=0.7),
        {
            "learning_rate_power": -0.7, "l1_regularization_strength": 0.01,
            "l2_regularization_strength": 0.02, "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.1,
        },
        ("accumulator", "linear"), 1.0,
    ),
    Row("Adafactor", adafactor, {}, ("row", "column", "velocity")),
]  # fmt: skip
