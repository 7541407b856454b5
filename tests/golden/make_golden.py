"""Write the golden files with Keras itself: `python make_golden.py [--check] [family ...]`.

Needs keras 3.15.1 and tensorflow 2.21, which minikeras and its tests do not.
"""

import os
import sys
from pathlib import Path

os.environ.update(
    KERAS_BACKEND="tensorflow",
    CUDA_VISIBLE_DEVICES="-1",
    TF_CPP_MIN_LOG_LEVEL="3",
    TF_ENABLE_ONEDNN_OPTS="0",  # oneDNN sums in an order that depends on the processor
)
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import tensorflow as tf

from tests.golden import store
from tests.golden.cases import FAMILIES, run_case

VERSIONS = {"keras": "3.15.1", "tensorflow": "2.21.0"}


def results_of(family):
    """Run one family's cases; stop with a list if Keras refuses any."""
    results, refused = {}, []
    options = getattr(FAMILIES[family], "FOR_MAKER", {})
    for case in FAMILIES[family].CASES:
        if case.name in results:
            sys.exit(f"{case.id}: two cases have this name. Rename one.")
        keras.backend.clear_session()
        try:
            results[case.name] = run_case(keras, tf, case, **options)
        except Exception as error:  # noqa: BLE001 - all refusals are shown together
            refused.append(f"{case.id}: {type(error).__name__}: {str(error)[:400]}")
    if refused:
        sys.exit("\n".join(refused))
    return results


def make(family):
    """Write one family's file."""
    results = results_of(family)
    path = store.save(family, results)
    print(f"{path.name:28} {len(results):5} cases {path.stat().st_size / 1024:8.1f} KiB")


def check(family):
    """Say whether one family's file is what would be written now."""
    same = store.packed(results_of(family)) == store.path_of(family).read_bytes()
    print(f"{family:28} {'same' if same else 'DIFFERENT'}")
    return same


if __name__ == "__main__":
    found = {"keras": keras.__version__, "tensorflow": tf.__version__}
    if found != VERSIONS:
        sys.exit(f"make_golden: expected {VERSIONS}, got {found}.")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    chosen = [name for name in sys.argv[1:] if name != "--check"] or list(FAMILIES)
    if "--check" in sys.argv:
        same = [check(name) for name in chosen]
        sys.exit(0 if all(same) else 1)
    for name in chosen:
        make(name)
