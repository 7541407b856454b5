"""All cases, and the one function that runs any of them on keras or on minikeras."""

from tests.golden import (
    activations,
    configs,
    convolution,
    edges,
    layers,
    layers_later,
    losses,
    metrics,
    models,
    ops_arrays,
    ops_elementwise,
    ops_linalg,
    optimizers,
    rules,
    schedules,
)

MODULES = (
    activations,
    ops_elementwise,
    ops_arrays,
    ops_linalg,
    convolution,
    edges,
    layers,
    layers_later,
    losses,
    metrics,
    optimizers,
    schedules,
    rules,
    models,
    configs,
)
FAMILIES = {module.FAMILY: module for module in MODULES}
CASES = [case for module in MODULES for case in module.CASES]


def run_case(keras, tf, case, **options):
    """Return {key: array or plain value} of a case, computed by the given keras and tf."""
    return FAMILIES[case.family].run(keras, tf, **case.spec, **options)
