"""`tf.debugging`: assertions about values, and the search for NaN.

A function that is traced asserts after each run, when Variables have their new values.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minikeras.compiler.tracing.trace import after_each_run
from minikeras.core.tensor import as_tensor
from minikeras.tf.errors import InvalidArgumentError


def _when_run(check: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(check)
    def call(*args: Any, **kwargs: Any) -> None:
        if not after_each_run(lambda args, kwargs: check(*args, **kwargs), (args, kwargs)):
            check(*args, **kwargs)

    return call


def _compare(name: str, holds: Callable[[Any, Any], Any]) -> Callable[..., None]:
    def check(x: Any, y: Any, message: str = "", summarize: Any = None, name: Any = None) -> None:
        a, b = np.asarray(x), np.asarray(y)
        found = holds(a, b)
        if not np.all(found):
            raise InvalidArgumentError(
                f"{label}: {message or 'expected the condition to hold everywhere'}, got it false "
                f"for {np.size(found) - np.count_nonzero(found)} of {np.size(found)} elements; "
                f"x = {a}, y = {b}."
            )

    label = check.__name__ = f"assert_{name}"
    check.__doc__ = f"Raise `InvalidArgumentError` unless x is {name.replace('_', ' ')} y."
    return _when_run(check)


assert_equal = _compare("equal", np.equal)
assert_none_equal = _compare("none_equal", np.not_equal)
assert_less = _compare("less", np.less)
assert_less_equal = _compare("less_equal", np.less_equal)
assert_greater = _compare("greater", np.greater)
assert_greater_equal = _compare("greater_equal", np.greater_equal)


@_when_run
def assert_near(
    x: Any, y: Any, rtol: Any = None, atol: Any = None, message: str = "", name: Any = None
) -> None:
    """Raise `InvalidArgumentError` unless `|x - y| <= atol + rtol * |y|` everywhere."""
    a, b = np.asarray(x), np.asarray(y)
    step = 10 * np.finfo(np.result_type(a, b, np.float16)).eps
    rtol, atol = step if rtol is None else rtol, step if atol is None else atol
    if not np.all(np.abs(a - b) <= atol + rtol * np.abs(b)):
        raise InvalidArgumentError(f"assert_near: {message or 'expected x near y'}, got {a}, {b}.")


def assert_positive(x: Any, message: str = "", summarize: Any = None, name: Any = None) -> None:
    """Raise `InvalidArgumentError` unless every element is above 0."""
    assert_greater(x, 0, message or "expected numbers above 0")


def assert_non_negative(x: Any, message: str = "", summarize: Any = None, name: Any = None) -> None:
    """Raise `InvalidArgumentError` unless every element is at least 0."""
    assert_greater_equal(x, 0, message or "expected numbers >= 0")


def assert_shapes(shapes: Any, message: str = "", **_: Any) -> None:
    """Raise `ValueError` unless tensors have the given shapes; letters must agree everywhere."""
    sizes: dict[Any, int] = {}
    for tensor, wanted in shapes.items() if isinstance(shapes, dict) else shapes:
        tensor = tensor.deref() if hasattr(tensor, "deref") else tensor
        actual = tuple(as_tensor(tensor).shape)
        letters = tuple(wanted)
        fits = len(letters) == len(actual)
        for letter, length in zip(letters, actual, strict=False):
            known = sizes.setdefault(letter, length) if isinstance(letter, str) else letter
            fits = fits and known in (None, length)
        if not fits:
            raise ValueError(f"assert_shapes: {message} expected {letters}, got {actual}.")


def assert_rank(x: Any, rank: int, message: str = "", name: Any = None) -> None:
    """Raise `ValueError` unless `x` has `rank` axes."""
    if as_tensor(x).ndim != rank:
        raise ValueError(f"assert_rank: {message} expected {rank} axes, got {as_tensor(x).ndim}.")


def check_numerics(tensor: Any, message: str = "", name: Any = None) -> Any:
    """Return `tensor`; raise `InvalidArgumentError` if it holds NaN or infinity."""
    _check_numerics(tensor, message)
    return as_tensor(tensor)


@_when_run
def _check_numerics(tensor: Any, message: str) -> None:
    array = np.asarray(tensor)
    if not np.all(np.isfinite(array)):
        kinds = " and ".join(
            label for label, test in (("NaN", np.isnan), ("Inf", np.isinf)) if test(array).any()
        )
        raise InvalidArgumentError(f"check_numerics: {message} : Tensor had {kinds} values")


@_when_run
def Assert(condition: Any, data: Any, summarize: Any = None, name: Any = None) -> None:
    """Raise `InvalidArgumentError` with `data` unless `condition` holds."""
    if not np.all(np.asarray(condition)):
        raise InvalidArgumentError(f"Assert: expected the condition to hold. {data}")
