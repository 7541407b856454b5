"""`keras.backend`: settings and small questions about dtypes."""

from typing import Any

from minikeras.config import backend as backend
from minikeras.config import epsilon as epsilon
from minikeras.config import floatx as floatx
from minikeras.config import image_data_format as image_data_format
from minikeras.config import set_epsilon as set_epsilon
from minikeras.config import set_floatx as set_floatx
from minikeras.config import set_image_data_format as set_image_data_format
from minikeras.core.context import forget_names, unique_name
from minikeras.core.spec import DTYPES, as_dtype
from minikeras.core.spec import result_type as _result_type
from minikeras.core.tensor import SymbolicTensor


def clear_session(free_memory: bool = True) -> None:  # noqa: ARG001 - Keras' signature
    """Begin to number layers and models anew; their memory is Python's business."""
    forget_names()


def get_uid(prefix: str = "") -> int:
    """Return the next number for names that begin with `prefix`, from 1."""
    found = unique_name(f"uid:{prefix}").removeprefix(f"uid:{prefix}")
    return int(found.removeprefix("_") or 0) + 1


def standardize_dtype(dtype: Any) -> str:
    """Return the plain name of a dtype given in any form."""
    return DTYPES[as_dtype(dtype)].name


def is_float_dtype(dtype: Any) -> bool:
    """Tell whether `dtype` is a floating type."""
    return as_dtype(dtype).kind == "f"


def is_int_dtype(dtype: Any) -> bool:
    """Tell whether `dtype` is an integer type."""
    return as_dtype(dtype).kind in "iu"


def is_keras_tensor(x: Any) -> bool:
    """Tell whether `x` is a symbolic tensor."""
    return isinstance(x, SymbolicTensor)


def result_type(*dtypes: Any) -> str:
    """Return the name of the dtype in which values of `dtypes` meet."""
    return _result_type(*dtypes).name
