"""Say in which dtype a layer computes and in which it stores its weights."""

from typing import Any

from minikeras import config, registry
from minikeras.core.spec import DTYPES, as_dtype


class DTypePolicy(registry.Configurable):
    """A dtype for both weights and computation, such as `"float32"`."""

    def __init__(self, name: Any = None) -> None:
        if isinstance(name, str) and name.startswith("mixed_"):
            raise ValueError(
                f"DTypePolicy: expected a dtype such as 'float32', got {name!r}. Mixed precision "
                "needs hardware that computes faster in 16 bits; use 'float32' on a CPU."
            )
        self.floating = as_dtype(name or config.floatx())
        """The dtype of computation as NumPy has it."""
        self.name = DTYPES[self.floating].name

    @property
    def compute_dtype(self) -> str:
        """The dtype that floating inputs are cast to."""
        return self.name

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights."""
        return self.name

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


registry.add("dtype_policy", "keras", DTypePolicy)


def as_policy(dtype: Any) -> DTypePolicy:
    """Return the policy that a layer's `dtype` argument means."""
    if isinstance(dtype, dict):
        dtype = registry.deserialize_keras_object(dtype)
    return dtype if isinstance(dtype, DTypePolicy) else DTypePolicy(dtype)
