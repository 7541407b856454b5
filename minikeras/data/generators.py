"""Hold what a Python generator yields to the signature that its user gave."""

from typing import Any

import numpy as np

from minikeras import tree
from minikeras.core.spec import TensorSpec
from minikeras.core.tensor import EagerTensor

_WHO = "Dataset.from_generator"


def signature(output_types: Any, output_shapes: Any, output_signature: Any) -> Any:
    """Return one structure of specs from either way to give them."""
    if output_signature is not None:
        if output_types is not None or output_shapes is not None:
            raise TypeError(
                f"{_WHO}: expected output_signature alone, got output_types or output_shapes too."
            )
        for leaf in tree.leaves(output_signature):
            if not isinstance(leaf, TensorSpec):
                raise TypeError(f"{_WHO}: expected output_signature of TensorSpecs, got {leaf!r}.")
        return output_signature
    if output_types is None:
        raise TypeError(f"{_WHO}: expected output_signature or output_types, got neither.")
    return _specs(output_types, output_shapes)


def _specs(types: Any, shapes: Any) -> Any:
    """Pair types with shapes; shapes are tuples themselves, so the types decide the structure."""
    if not isinstance(types, (tuple, dict)):
        return TensorSpec(shapes, types)
    keys = list(types) if isinstance(types, dict) else range(len(types))
    parts = [_specs(types[key], None if shapes is None else shapes[key]) for key in keys]
    if isinstance(types, dict):
        return dict(zip(keys, parts, strict=True))
    return type(types)(*parts) if hasattr(types, "_fields") else tuple(parts)


def conform(value: Any, spec: Any) -> Any:
    """Return `value` as an element that `spec` describes; raise `TypeError` if it is none."""
    if isinstance(spec, dict):
        if not isinstance(value, dict) or value.keys() != spec.keys():
            raise _mismatch(spec, value)
        return {key: conform(value[key], spec[key]) for key in spec}
    if isinstance(spec, tuple):
        if not isinstance(value, tuple) or len(value) != len(spec):
            raise _mismatch(spec, value)
        parts = [conform(*pair) for pair in zip(value, spec, strict=True)]
        return type(spec)(*parts) if hasattr(spec, "_fields") else tuple(parts)
    return _array(value, spec)


def _array(value: Any, spec: TensorSpec) -> np.ndarray:
    try:
        given = value.array if isinstance(value, EagerTensor) else np.asarray(value)
        with np.errstate(all="ignore"):
            array = given.astype(spec.dtype.name)
    except (TypeError, ValueError) as error:
        raise _mismatch(spec, value) from error
    if given.dtype.kind == "f" and array.dtype.kind != "f" and (array != given).any():
        raise _mismatch(spec, value)  # fractions would be cut off silently
    fits = spec.shape is None or (
        len(spec.shape) == array.ndim
        and all(n in (None, m) for n, m in zip(spec.shape, array.shape, strict=True))
    )
    if not fits:
        raise _mismatch(spec, value)
    return array


def _mismatch(spec: Any, value: Any) -> TypeError:
    shape = f" of shape {np.shape(value)}" if hasattr(value, "shape") else ""
    return TypeError(
        f"{_WHO}: expected the generator to yield {spec}, got {type(value).__name__}{shape}: "
        f"{str(value)[:80]}."
    )
