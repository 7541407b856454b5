"""Keep results as gzipped JSON, a file a family, and compare results with them."""

import gzip
import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TOLERANCE = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5, "float64": 1e-9}


def encode(leaf):
    """Write an array as [dtype, shape, values], anything else as itself."""
    if not isinstance(leaf, np.ndarray):
        return {"is": leaf}
    values = leaf.ravel()
    if leaf.dtype.kind == "f":
        # Text of no more digits than are compared: half the room of a float64's full repr.
        values = [
            float(f"{value:.11g}" if leaf.dtype == "float64" else str(value)) for value in values
        ]
    else:
        values = values.tolist()
    return [leaf.dtype.name, list(leaf.shape), values]


def decode(stored):
    """Undo `encode`."""
    if isinstance(stored, dict):
        return stored["is"]
    dtype, shape, values = stored
    return np.array(values, dtype=dtype).reshape(shape)


def path_of(family):
    """Return where a family's results lie."""
    return HERE / f"{family}.json.gz"


def packed(results):
    """Pack {case: {key: leaf}}; the same results always give the same bytes."""
    encoded = {
        case: {key: encode(leaf) for key, leaf in leaves.items()}
        for case, leaves in results.items()
    }
    text = json.dumps(encoded, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode(), mtime=0)


def save(family, results):
    """Write a family's results and return the path."""
    path_of(family).write_bytes(packed(results))
    return path_of(family)


def load(family):
    """Read {case: {key: leaf}}."""
    stored = json.loads(gzip.decompress(path_of(family).read_bytes()))
    return {
        case: {key: decode(leaf) for key, leaf in leaves.items()} for case, leaves in stored.items()
    }


def differences(expected, actual, tolerance=None, free=(), wrong=()):
    """Return a line for every key at which the results disagree; see `recipe.Case`."""
    expected, actual = (
        {k: v for k, v in d.items() if not covers(wrong, k)} for d in (expected, actual)
    )
    lines = [f"{key}: missing" for key in expected if key not in actual]
    lines += [f"{key}: unexpected" for key in actual if key not in expected]
    for key in expected.keys() & actual.keys():
        complaint = difference(expected[key], actual[key], tolerance, covers(free, key))
        lines += [f"{key}: {complaint}"] if complaint else []
    return sorted(lines)


def covers(names, key):
    """Say whether a key is one of the names or lies below one: "grad.0" below "grad"."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def difference(want, got, tolerance=None, free_nan=False):
    """Say how two leaves disagree, or return None."""
    if not isinstance(want, np.ndarray):
        if want == "raises":
            return None  # What Keras refuses, minikeras may refuse or do better.
        got = json.loads(json.dumps(got, default=lambda leaf: leaf.tolist()))
        return None if same_plain(want, got, tolerance) else f"expected {want!r}, got {got!r}"
    got = np.asarray(got)
    if (got.dtype, got.shape) != (want.dtype, want.shape):
        return f"expected {want.dtype}{want.shape}, got {got.dtype}{got.shape}"
    if want.dtype.kind != "f":
        return (
            None if np.array_equal(want, got) else f"expected {want.tolist()}, got {got.tolist()}"
        )
    return difference_of_floats(want, got, tolerance or TOLERANCE[want.dtype.name], free_nan)


def difference_of_floats(want, got, tolerance, free_nan):
    """Say where two float arrays differ by more than tolerance * (1 + |want|)."""
    want, got = want.astype("float64"), got.astype("float64")
    with np.errstate(all="ignore"):
        near = np.isfinite(want) & (np.abs(got - want) <= tolerance * (1 + np.abs(want)))
        same = near | (got == want) | (np.isnan(got) & np.isnan(want)) | (free_nan & np.isnan(want))
    if same.all():
        return None
    places = [tuple(map(int, place)) for place in np.argwhere(~same)[:5]]
    shown = ", ".join(
        f"{place}: expected {want[place]:.9g}, got {got[place]:.9g}" for place in places
    )
    return f"{(~same).sum()} of {same.size} values differ by more than {tolerance:g}; {shown}"


def same_plain(want, got, tolerance=None):
    """Compare plain values; floats, also nested ones, within 1e-5 or the tolerance."""
    if isinstance(want, float) and isinstance(got, int | float):
        both_nan = want != want and got != got
        return both_nan or want == got or abs(want - got) <= (tolerance or 1e-5) * (1 + abs(want))
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return all(same_plain(w, g, tolerance) for w, g in zip(want, got, strict=True))
    if isinstance(want, dict) and isinstance(got, dict) and list(want) == list(got):
        return all(same_plain(want[key], got[key], tolerance) for key in want)
    return type(want) is type(got) and want == got
