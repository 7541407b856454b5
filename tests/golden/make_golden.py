"""Write the golden files with Keras itself: `python make_golden.py [family ...]`.

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
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from golden import store  # noqa: E402
from golden.cases import FAMILIES, run_case  # noqa: E402

VERSIONS = {"keras": "3.15.1", "tensorflow": "2.21.0"}


def make(family):
    """Run one family's cases and write its file."""
    results, options = {}, getattr(FAMILIES[family], "FOR_MAKER", {})
    for case in FAMILIES[family].CASES:
        if case.name in results:
            raise ValueError(f"{case.id}: two cases have this name. Rename one.")
        keras.backend.clear_session()
        try:
            results[case.name] = run_case(keras, tf, case, **options)
        except Exception as error:
            error.add_note(f"in case {case.id}")
            raise
    path = store.save(family, results)
    print(f"{path.name:28} {len(results):5} cases {path.stat().st_size / 1024:8.1f} KiB")


if __name__ == "__main__":
    found = {"keras": keras.__version__, "tensorflow": tf.__version__}
    if found != VERSIONS:
        sys.exit(f"make_golden: expected {VERSIONS}, got {found}.")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for name in sys.argv[1:] or FAMILIES:
        make(name)
