"""Do with Keras itself what tests/interop/test_weights_files.py asks for.

`keras_side.py write FOLDER` trains each model one step, saves its weights and its state; trains
another step, and saves the state again. `keras_side.py read FOLDER` loads weights that minikeras
saved, and saves the states before and after one more step.
"""

import json
import os
import sys
from pathlib import Path

import architectures
import numpy as np

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras


def write(architecture, path):
    model, x, y = architectures.make(keras, architecture)
    np.savez(f"{path}.begin.npz", **architectures.state(model, x))
    architectures.step(model, x, y)
    model.save_weights(f"{path}.weights.h5")
    np.savez(f"{path}.saved.npz", **architectures.state(model, x))
    architectures.step(model, x, y)
    np.savez(f"{path}.later.npz", **architectures.state(model, x))
    layers = [layer.name for layer in model.layers]
    Path(f"{path}.json").write_text(json.dumps({"layers": layers}), encoding="utf-8")


def read(architecture, path):
    model, x, y = architectures.make(keras, architecture)
    model.optimizer.build(model.trainable_variables)  # else Keras skips the optimizer's state
    model.load_weights(f"{path}.weights.h5")
    np.savez(f"{path}.saved.npz", **architectures.state(model, x))
    architectures.step(model, x, y)
    np.savez(f"{path}.later.npz", **architectures.state(model, x))


if __name__ == "__main__":
    task, folder = sys.argv[1:]
    for architecture in architectures.ALL:
        {"write": write, "read": read}[task](
            architecture, str(Path(folder) / architecture.__name__)
        )
