"""Save and load the weights of a model in `.weights.h5` files."""

import os
import warnings
from pathlib import Path
from typing import Any

from minikeras.atomic import write_file
from minikeras.core.variable import Variable
from minikeras.layers.base import Layer
from minikeras.saving.hdf5 import Groups, WeightsFile, read, write_groups
from minikeras.saving.layout import places
from minikeras.tracking import variables_of

_OPTIMIZER = "optimizer/vars"


def save_weights(
    model: Any, filepath: Any, overwrite: bool = True, max_shard_size: float | None = None
) -> None:
    """Write the weights of `model`, and its optimizer's state, to `filepath`.

    Raises `ValueError` for a wrong ending or an unbuilt model, `FileExistsError` if the file is
    there and `overwrite` is False, `OSError` if it cannot be written; the old file stays then.
    """
    path = _checked(filepath, "save_weights")
    if max_shard_size is not None:
        raise ValueError(
            f"save_weights: expected no max_shard_size, got {max_shard_size}: one file holds all."
        )
    _must_be_built(model, "saving")
    if path.exists() and not overwrite:
        raise FileExistsError(f"save_weights: {path} exists. Pass overwrite=True to replace it.")
    groups = []
    for place, item in places(model):
        store: dict[str, Any] = {}
        item.save_own_variables(store)
        groups.append((place, getattr(item, "name", None), store))
    write_file(path, write_groups(groups))


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Read the weights of `model`, and its optimizer's state, from `filepath`.

    Args:
        model: built, with the layers that the file was saved from.
        filepath: a `.weights.h5` file of minikeras or Keras 3.
        skip_mismatch: leave weights that do not fit as they are, with a warning.

    Raises one `ValueError` that names every missing, extra and misshapen weight;
    `CorruptFileError` for a file that is damaged. The model is unchanged then.
    """
    path = _checked(filepath, "load_weights")
    _must_be_built(model, "loading weights into")
    with WeightsFile(path) as file:
        groups = file.variables()
        found = places(model)
        problems = {place: _problems(place, item, groups) for place, item in found}
        complaints = [line for lines in problems.values() for line in lines]
        complaints += _extra({_group(place) for place, _ in found}, groups)
        if complaints and not skip_mismatch:
            raise ValueError(_complaint(path, complaints))
        if complaints:
            warnings.warn(_complaint(path, complaints), stacklevel=3)
        fitting = [(place, item) for place, item in found if not problems[place]]
        stores = [_store(place, groups) for place, _ in fitting]
    _prepare_optimizer(model, groups)
    _load(model, fitting, stores)


def _load(model: Any, fitting: list[tuple[str, Any]], stores: list[dict[str, Any]]) -> None:
    """Hand each object what the file holds for it; put everything back if one refuses."""
    before = [(variable, variable.stored) for variable in _variables(model)]
    try:
        for (_, item), store in zip(fitting, stores, strict=True):
            if store or _has_own(item):
                item.load_own_variables(store)
    except BaseException:
        for variable, value in before:
            variable.stored = value
        raise


def _checked(filepath: Any, who: str) -> Path:
    path = Path(os.fspath(filepath))
    if not path.name.endswith(".weights.h5"):
        raise ValueError(
            f"The filename must end in `.weights.h5`. Received: filepath={path} ({who})"
        )
    return path


def _must_be_built(model: Any, doing: str) -> None:
    if not model.built:
        raise ValueError(
            f"You are {doing} a model that has not yet been built. Try building the model first "
            "by calling it on some data or by using `build()`."
        )


def _variables(model: Any) -> list[Variable]:
    optimizer = getattr(model, "optimizer", None)
    return [*variables_of(model), *(optimizer.variables if optimizer is not None else [])]


def _group(place: str) -> str:
    return f"{place}/vars" if place else "vars"


def _store(place: str, groups: Groups) -> dict[str, Any]:
    datasets = groups.get(_group(place), {})
    return {key: read(dataset, f"{place}/{key}") for key, dataset in datasets.items()}


def _has_own(item: Any) -> bool:
    """Tell whether a layer's class reads its variables in its own way."""
    return isinstance(item, Layer) and type(item).load_own_variables is not Layer.load_own_variables


def _prepare_optimizer(model: Any, groups: Groups) -> None:
    """Give an optimizer that has not run yet the slots that the file has values for."""
    optimizer = getattr(model, "optimizer", None)
    saved = len(groups.get(_OPTIMIZER, {}))
    if optimizer is not None and saved > len(optimizer.variables):
        optimizer.build(model.trainable_variables)


def _problems(place: str, item: Any, groups: Groups) -> list[str]:
    """Compare what the file holds for one object with the variables it has."""
    if not isinstance(item, Layer) or _has_own(item):
        return []
    saved = groups.get(_group(place), {})
    variables = item.own_variables()
    lines = []
    for i, variable in enumerate(variables):
        where = f"'{_group(place)}/{i}' ({variable.path}, shape {tuple(variable.shape)})"
        if str(i) not in saved:
            lines.append(f"missing: {where}")
        elif saved[str(i)].shape != tuple(variable.shape):
            lines.append(f"misshapen: {where} has shape {saved[str(i)].shape} in the file")
    known = set(map(str, range(len(variables))))
    return lines + [
        f"extra: '{_group(place)}/{key}' of shape {dataset.shape}"
        for key, dataset in saved.items()
        if key not in known
    ]


def _extra(known: set[str], groups: Groups) -> list[str]:
    """Name the groups that belong to no object; an optimizer's state may be left unused."""
    return [
        f"extra: '{group}/{key}' of shape {dataset.shape}"
        for group, datasets in groups.items()
        if group not in known and group != _OPTIMIZER
        for key, dataset in datasets.items()
    ]


def _complaint(path: Path, lines: list[str]) -> str:
    listed = "\n  ".join(lines)
    return (
        f"load_weights: expected weights for exactly this model in {path}, got {len(lines)} that "
        f"do not fit:\n  {listed}\nBuild the model that was saved, or pass skip_mismatch=True."
    )
