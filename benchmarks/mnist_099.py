"""Time the way from a cold process to a test accuracy of 0.99 on MNIST: imports, compiling, epochs.

usage: MINIKERAS_MNIST=mnist.npz python benchmarks/mnist_099.py [--rival torch=PYTHON ...]
       [--repeats 1] [--threads 2] [--epochs 20] [--quick]

The model is the convnet of Keras' introduction; batch 128, Adam, evaluated after every epoch. The
rivals are `tensorflow` (Keras on it, with oneDNN) and `torch`; runs are interleaved, and each
repeat draws other orders and dropout masks, from the same first weights.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import tempfile
import time

from frameworks.jobs import JOBS, mnist, one_hot
from training import arguments, environment, interpreters

JOB = JOBS["cnn"]
GOAL = 0.99
KERAS = {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "1"}


def images(part, limit):
    """Return MNIST's images and labels of a part, at most `limit`."""
    x, y = mnist(os.environ["MINIKERAS_MNIST"], part, JOB.shape)
    return x[:limit], y[:limit]


def with_keras(who, seed, limit):
    """Yield the test accuracy after every epoch, by `fit` and `evaluate`."""
    from frameworks.keras_api import compiled

    keras = importlib.import_module("minikeras" if who == "minikeras" else "keras")
    keras.utils.set_random_seed(seed)
    model = compiled(keras, JOB)
    (x, y), (x_test, y_test) = images("train", limit), images("test", limit)
    y, y_test = one_hot(y), one_hot(y_test)
    while True:
        model.fit(x, y, batch_size=JOB.batch)
        yield model.evaluate(x_test, y_test)[1]


def with_torch(_who, seed, limit):
    """Yield the test accuracy after every epoch, by a loop."""
    import torch
    from frameworks.on_torch import to_tensor, trainer

    torch.manual_seed(seed)
    model, step = trainer(JOB, "eager")
    tensor = to_tensor(JOB, "eager")
    (x, y), (x_test, y_test) = (map(tensor, images(part, limit)) for part in ("train", "test"))
    while True:
        model.train()
        for rows in torch.randperm(len(x)).split(JOB.batch):
            step(x[rows], y[rows])
        model.eval()
        with torch.inference_mode():
            logits = torch.cat([model(batch) for batch in x_test.split(1000)])
        yield (logits.argmax(1) == y_test).float().mean().item()


FRAMEWORKS = {"minikeras": with_keras, "tensorflow": with_keras, "torch": with_torch}


def train(who, seed, epochs, limit, started):
    """Return the accuracies of all epochs up to the goal, and the seconds since `started`."""
    found = []
    for accuracy in FRAMEWORKS[who](who, seed, limit):
        found.append(accuracy)
        if accuracy >= GOAL or len(found) == epochs:
            break
    return found, time.time() - started


def run(who, python, threads, *options):
    """Return what `train` gives in a fresh process, whose cache of compiled code is empty."""
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [python, __file__, "--child", json.dumps([who, *options, time.time()])],
            env=environment(threads, cache, KERAS), stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments(parser)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=20, help="when to give up")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(f"\n{json.dumps(train(*args.child))}")
        return
    if "MINIKERAS_MNIST" not in os.environ:
        parser.error("MINIKERAS_MNIST: expected the path of mnist.npz, got nothing.")
    pythons = {who: at for who, at in interpreters(args.rival).items() if who in FRAMEWORKS}
    limit, epochs = (1280, 1) if args.quick else (60_000, args.epochs)
    times = {who: [] for who in pythons}
    print("| who | seed | seconds | epochs | test accuracy after each |\n|---|--:|--:|--:|---|")
    for seed in range(args.repeats):
        for who, python in pythons.items():
            found, seconds = run(who, python, args.threads, seed, epochs, limit)
            times[who].append(seconds)
            each = ", ".join(f"{accuracy:.4f}" for accuracy in found)
            print(f"| {who} | {seed} | {seconds:.1f} | {len(found)} | {each} |", flush=True)
    for who, values in times.items():
        pairs = zip(values, times["minikeras"], strict=True)
        ratio = statistics.median(theirs / ours for theirs, ours in pairs)
        print(f"{who}: median {statistics.median(values):.1f} s, {ratio:.2f} times ours")


if __name__ == "__main__":
    main()
