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
    # The shortest text that reads back as the same float32 takes half the room of a float64's.
    values = [float(str(v)) for v in values] if leaf.dtype.kind == "f" else values.tolist()
    return [leaf.dtype.name, list(leaf.shape), values]


def decode(stored):
    """Undo `encode`."""
    if isinstance(stored, dict):
        return stored["is"]
    dtype, shape, values = stored
    return np.array(values, dtype=dtype).reshape(shape)


def save(family, results):
    """Write {case: {key: leaf}}; the same results always give the same bytes."""
    encoded = {
        case: {key: encode(leaf) for key, leaf in leaves.items()}
        for case, leaves in results.items()
    }
    text = json.dumps(encoded, separators=(",", ":"), ensure_ascii=False)
    path = HERE / f"{family}.json.gz"
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    return path


def load(family):
    """Read {case: {key: leaf}}."""
    stored = json.loads(gzip.decompress((HERE / f"{family}.json.gz").read_bytes()))
    return {
        case: {key: decode(leaf) for key, leaf in leaves.items()} for case, leaves in stored.items()
    }


def differences(expected, actual, tolerance=None, free=()):
    """Return a line for every key at which the results disagree."""
    lines = [f"{key}: missing" for key in expected if key not in actual]
    lines += [f"{key}: unexpected" for key in actual if key not in expected]
    for key, want in expected.items():
        if key in actual:
            complaint = difference(want, actual[key], tolerance, key.startswith(free) and bool(free))
            lines += [f"{key}: {complaint}"] if complaint else []
    return lines


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
    if want.dtype.kind not in "f":
        return None if np.array_equal(want, got) else f"expected {want.tolist()}, got {got.tolist()}"
    return difference_of_floats(want, got, tolerance or TOLERANCE[want.dtype.name], free_nan)


def difference_of_floats(want, got, tolerance, free_nan):
    """Say where two float arrays differ by more than tolerance * (1 + |want|)."""
    want, got = want.astype("float64"), got.astype("float64")
    with np.errstate(all="ignore"):
        near = np.abs(got - want) <= tolerance * (1 + np.abs(want))
        same = near | (got == want) | (np.isnan(got) & np.isnan(want)) | (free_nan & np.isnan(want))
    if same.all():
        return None
    places = [tuple(map(int, place)) for place in np.argwhere(~same)[:5]]
    shown = ", ".join(f"{place}: expected {want[place]:.9g}, got {got[place]:.9g}" for place in places)
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
