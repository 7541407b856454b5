"""Run one operation of keras.ops; the tables of the ops families are rows for it."""

import numpy as np

from tests.golden.recipe import Case, flatten, gradients


def run(keras, tf, op, args, kwargs, grad):
    """Return the outputs, and the gradients with respect to every float array in `args`."""
    function = getattr(keras.ops, op)
    arrays = arrays_of(args)

    def call(*tensors):
        return function(*filled(args, iter(tensors)), **kwargs)

    if grad and any(item.dtype.kind == "f" for item in arrays):
        outputs, slopes = gradients(keras, tf, call, arrays)
        return flatten(keras, {"y": outputs, "grad": list(slopes)})
    return flatten(keras, {"y": call(*[keras.ops.convert_to_tensor(item) for item in arrays])})


def arrays_of(args):
    """List the arrays in a nest of lists and tuples, in order."""
    if isinstance(args, np.ndarray):
        return [args]
    if isinstance(args, list | tuple):
        return [array for item in args for array in arrays_of(item)]
    return []


def filled(args, tensors):
    """Put a tensor in the place of every array of the nest."""
    if isinstance(args, np.ndarray):
        return next(tensors)
    if isinstance(args, list | tuple):
        return type(args)(filled(item, tensors) for item in args)
    return args


def rows(family, table, grad=True):
    """Make cases of (op, args[, kwargs]) rows, named by the op and a running number."""
    cases, seen = [], {}
    for op, args, *kwargs in table:
        number = seen[op] = seen.get(op, 0) + 1
        name = op if number == 1 else f"{op}_{number}"
        spec = {"op": op, "args": args, "kwargs": kwargs[0] if kwargs else {}, "grad": grad}
        cases.append(Case(family, name, spec))
    return cases
