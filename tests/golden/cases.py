"""All cases, and the one function that runs any of them on keras or on minikeras."""

from golden import activations, layers

FAMILIES = {module.FAMILY: module for module in (activations, layers)}
CASES = [case for module in FAMILIES.values() for case in module.CASES]


def run_case(keras, tf, case, **options):
    """Return {key: array or plain value} of a case, computed by the given keras and tf."""
    return FAMILIES[case.family].run(keras, tf, **case.spec, **options)
