"""Say what inputs a layer takes, and check them before its code runs."""

from collections.abc import Sequence
from typing import Any

from minikeras import tree


class InputSpec:
    """Constrain one input: rank, dtype, and the lengths of some axes (None is any)."""

    def __init__(
        self,
        dtype: str | None = None,
        shape: Sequence[int | None] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = dtype
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(shape) if shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {} if axes is None else {int(k): v for k, v in axes.items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional

    def complaint(self, shape: tuple[Any, ...], dtype: Any) -> str | None:
        """Return `expected ..., got ...` for inputs that do not fit, else None."""
        rank = len(shape)
        if self.ndim is not None and rank != self.ndim:
            return f"expected inputs with {self.ndim} axes, got shape {shape}."
        if self.min_ndim is not None and rank < self.min_ndim:
            return f"expected inputs with at least {self.min_ndim} axes, got shape {shape}."
        if self.max_ndim is not None and rank > self.max_ndim:
            return f"expected inputs with at most {self.max_ndim} axes, got shape {shape}."
        if self.dtype is not None and dtype != self.dtype:
            return f"expected inputs of dtype {self.dtype}, got {dtype.name}."
        for axis, wanted in [*self.axes.items(), *enumerate(self.shape or ())]:
            if wanted is not None and shape[axis] not in (wanted, None):
                named = "last axis" if axis in (-1, rank - 1) else f"axis {axis}"
                return f"expected inputs with {named} {wanted}, got shape {shape}."
        return None


def check_inputs(layer: Any, specs: Any, inputs: Any) -> None:
    """Raise `ValueError` unless `inputs` fit the layer's `input_spec`."""
    if isinstance(specs, InputSpec) and hasattr(inputs, "shape"):
        pairs = [(specs, inputs)]
    else:
        flat_specs = tree.flatten(specs)
        flat = tree.flatten(inputs)
        if len(flat) != len(flat_specs):
            raise ValueError(f"{_who(layer)}: expected {len(flat_specs)} inputs, got {len(flat)}.")
        pairs = list(zip(flat_specs, flat, strict=True))
    for spec, tensor in pairs:
        if spec is None or (tensor is None and spec.optional):
            continue
        complaint = spec.complaint(tuple(tensor.shape), tensor.dtype)
        if complaint:
            raise ValueError(f"{_who(layer)}: {complaint}{_advice(spec, tensor)}")


def _who(layer: Any) -> str:
    return f"{type(layer).__name__} '{layer.name}'"


def _advice(spec: InputSpec, tensor: Any) -> str:
    """Add what to do in the cases that users meet most."""
    rank = len(tensor.shape)
    if spec.ndim is not None and rank == spec.ndim - 1:
        return " Add the missing axis, e.g. inputs[..., None] for images without channels."
    if spec.ndim is None and -1 in spec.axes and rank > 2:
        return " Add layers.Flatten() before it."
    return ""
