import csv
import io
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import minikeras as keras
from minikeras import callbacks
from minikeras.callbacks import logs as logs_module
from minikeras.callbacks import progress
from minikeras.callbacks.logs import Logs
from minikeras.callbacks.monitors import _direction
from minikeras.core.tensor import EagerTensor


class Optimizer:
    learning_rate = 0.1


class Model:
    """What callbacks use of a model; it writes down what they do."""

    def __init__(self):
        self.optimizer = Optimizer()
        self.stop_training = False
        self.history = None
        self.weights = self.restored = None
        self.saved = []

    def get_weights(self):
        return self.weights

    def set_weights(self, weights):
        self.restored = weights

    def save(self, path, overwrite):
        self.saved.append(("model", path, overwrite))

    def save_weights(self, path, overwrite):
        self.saved.append(("weights", path, overwrite))


@pytest.fixture
def model():
    return Model()


def begun(callback, model):
    callback.set_model(model)
    callback.on_train_begin()
    return callback


class Lazy:
    """A value that counts how often it is computed."""

    def __init__(self, value):
        self.value, self.reads = value, 0

    def __float__(self):
        self.reads += 1
        return float(self.value)


# Signatures are Keras 3.15's.

SIGNATURES = """
Callback()
CallbackList(callbacks=None, add_history=False, add_progbar=False, model=None, **params)
CSVLogger(filename, separator=',', append=False)
EarlyStopping(monitor='val_loss', min_delta=0, patience=0, verbose=0, mode='auto', baseline=None, restore_best_weights=False, start_from_epoch=0)
History()
LambdaCallback(on_epoch_begin=None, on_epoch_end=None, on_train_begin=None, on_train_end=None, on_train_batch_begin=None, on_train_batch_end=None, **kwargs)
LearningRateScheduler(schedule, verbose=0)
ModelCheckpoint(filepath, monitor='val_loss', verbose=0, save_best_only=False, save_weights_only=False, mode='auto', save_freq='epoch', initial_value_threshold=None)
ProgbarLogger()
ReduceLROnPlateau(monitor='val_loss', factor=0.1, patience=10, verbose=0, mode='auto', min_delta=0.0001, cooldown=0, min_lr=0.0, **kwargs)
TerminateOnNaN(raise_error=False)
"""  # noqa: E501


@pytest.mark.parametrize("line", SIGNATURES.split("\n")[1:-1], ids=lambda x: x.partition("(")[0])
def test_signatures(line):
    import inspect

    signature = inspect.signature(getattr(callbacks, line.partition("(")[0]))
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    assert str(inspect.Signature(bare)) == line[line.index("(") :]


# Logs.


def test_logs_are_flat_sorted_and_read_once():
    loss, accuracy = Lazy(2), Lazy(0.5)
    logs = Logs({"loss": loss, "a": {"accuracy": accuracy}, "name": "x"})
    assert list(logs) == ["accuracy", "loss", "name"]
    assert loss.reads == accuracy.reads == 0
    assert logs["loss"] == 2.0 and type(logs["loss"]) is float
    assert f"{logs['loss']:.2f}" == "2.00"
    assert loss.reads == 1 and accuracy.reads == 0
    assert logs.get("accuracy") == 0.5 and logs.get("none") is None
    assert accuracy.reads == 1


def keywords(**names):
    return names


@pytest.mark.parametrize(
    "read",
    [
        dict,
        lambda logs: {**logs},
        lambda logs: dict(logs.items()),
        lambda logs: dict(zip(logs.keys(), logs.values())),
        lambda logs: logs.copy(),
        lambda logs: {} | dict(logs),
        lambda logs: keywords(**logs),
        lambda logs: eval(repr(logs)),
    ],
)
def test_every_way_to_read_logs_gives_floats(read):
    values = read(Logs({"a": Lazy(1), "b": EagerTensor(np.array(2.5, np.float32))}))
    assert values == {"a": 1.0, "b": 2.5}
    assert [type(value) for value in values.values()] == [float, float]


def test_what_is_no_number_stays():
    array = np.arange(3)
    assert Logs({"a": array})["a"] is array
    assert Logs({"a": "text"})["a"] == "text"
    assert Logs({"outputs": np.ones((1, 1))})["outputs"].shape == (1, 1)


# The list.


class Recorder(callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *args, **kwargs: self.calls.append((name, args, kwargs))
        return super().__getattribute__(name)


HOOKS = [name for name in vars(callbacks.Callback) if name.startswith("on_")]


def test_the_list_hands_on_every_call():
    recorder = Recorder()
    many = callbacks.CallbackList([[recorder]])
    for name in HOOKS:
        place = (3,) if "batch" in name or "epoch" in name else ()
        getattr(many, name)(*place, {"loss": 1})
        hook, args, kwargs = recorder.calls.pop()
        assert hook == name and not recorder.calls
        assert (*args, *kwargs.values()) == (*place, {"loss": 1.0})
        assert list(kwargs) == ["logs"] * ("batch" in name)
    assert len(HOOKS) == 16


def test_the_list_reads_no_value_that_no_callback_reads():
    loss = Lazy(1)
    many = callbacks.CallbackList([callbacks.Callback()], model=Model(), verbose=0)
    many.on_train_batch_end(0, {"loss": loss})
    callbacks.CallbackList().on_train_batch_end(0, {"loss": loss})
    assert loss.reads == 0


def test_the_list_adds_history_and_progress_once(model):
    many = callbacks.CallbackList(None, True, True, model, verbose=0, epochs=2, steps=3)
    assert [type(c).__name__ for c in many.callbacks] == ["History", "ProgbarLogger"]
    assert many.callbacks[0].params == {"verbose": 0, "epochs": 2, "steps": 3}
    assert many.callbacks[0].model is model and model.history is many.callbacks[0]
    own = [callbacks.ProgbarLogger(), callbacks.History()]
    assert callbacks.CallbackList(own, True, True).callbacks == own


def test_older_names_of_batch_hooks_are_called():
    seen = []

    class Old(callbacks.Callback):
        def on_batch_begin(self, batch, logs=None):
            seen.append(("begin", batch))

        def on_batch_end(self, batch, logs=None):
            seen.append(("end", batch, logs["loss"]))

    many = callbacks.CallbackList([Old()])
    many.on_train_batch_begin(1)
    many.on_train_batch_end(1, {"loss": 2})
    assert seen == [("begin", 1), ("end", 1, 2.0)]


@pytest.mark.parametrize("wrong", [callbacks.History, "early", lambda: None])
def test_the_list_refuses_what_is_no_callback(wrong):
    with pytest.raises(TypeError, match="CallbackList: expected instances of Callback, got"):
        callbacks.CallbackList([wrong])


def test_an_end_without_a_begin_is_an_error():
    many = callbacks.CallbackList()
    many.on_train_begin()
    many.on_train_end()
    with pytest.raises(ValueError, match="called without corresponding `on_xxx_begin`"):
        many.on_test_end()


# History and functions.


def test_history(model):
    history = callbacks.History()
    many = callbacks.CallbackList([history], model=model)
    for _ in range(2):
        many.on_train_begin()
        many.on_epoch_end(0, {"loss": 2, "accuracy": EagerTensor(np.float32(0.5).reshape(()))})
        many.on_epoch_end(1, {"loss": math.nan, "val_loss": 3})
    assert history.epoch == [0, 1]
    assert repr(history.history) == (
        "{'accuracy': [0.5, 0.5], 'loss': [2.0, nan, 2.0, nan], 'val_loss': [3.0, 3.0]}"
    )
    assert model.history is history


def test_functions_as_callbacks():
    seen = []
    names = ["on_epoch_end", "on_train_begin", "on_train_batch_end", "on_test_end"]
    hooks = {name: lambda *a, n=name, **k: seen.append(n) for name in names}
    many = callbacks.CallbackList([callbacks.LambdaCallback(**hooks)])
    many.on_train_begin()
    many.on_epoch_begin(0)
    many.on_train_batch_end(0)
    many.on_test_begin()
    many.on_test_end()
    many.on_epoch_end(0)
    assert sorted(seen) == sorted(names)


# Watching a value. The tables hold what Keras 3.15 does with the same values.

EARLY = [
    ({}, [3, 2, 2.5, 1], ([0, 0, 1], True, None)),
    ({"patience": 2}, [3, 2, 2.5, 1, 1.5, 1.2, 1.1], ([0, 0, 1, 0, 1, 2], True, None)),
    (
        {"patience": 2, "min_delta": 0.5},
        [3, 2.8, 2.6, 2.4, 2.0, 1.9, 1.8],
        ([0, 1, 2], True, None),
    ),
    (
        {"patience": 1, "mode": "max", "monitor": "val_accuracy"},
        [0.1, 0.3, 0.2, 0.2, 0.4],
        ([0, 0, 1], True, None),
    ),
    ({"patience": 1, "monitor": "val_acc"}, [0.1, 0.3, 0.2, 0.2, 0.4], ([0, 0, 1], True, None)),
    ({"patience": 2, "baseline": 1.0}, [3, 2, 1.5, 1.2, 0.9], ([1, 2, 3, 4, 0], False, None)),
    (
        {"patience": 1, "baseline": 2.0, "restore_best_weights": True},
        [3, 1.9, 2.5, 2.2],
        ([1, 0, 1], True, 1),
    ),
    (
        {"patience": 2, "restore_best_weights": True},
        [3, 2, 2.5, 2.6, 2.7],
        ([0, 0, 1, 2], True, 1),
    ),
    (
        {"patience": 2, "restore_best_weights": True, "start_from_epoch": 3},
        [1, 5, 5, 4, 4.5, 4.2, 4.1, 3],
        ([0, 0, 0, 0, 1, 2], True, 3),
    ),
    ({"patience": 3}, [3, None, 3.5, None, 3.5, 3.5, 3.5], ([0, 0, 1, 1, 2, 3], True, None)),
    ({"patience": 0}, [3, 3], ([0, 1], True, None)),
    ({"patience": 1, "restore_best_weights": True}, [math.nan] * 3, ([0, 1], True, 0)),
    ({"patience": 5, "restore_best_weights": True}, [3, 2, 4], ([0, 0, 1], False, 1)),
]


@pytest.mark.parametrize(("options", "values", "expected"), EARLY)
@pytest.mark.filterwarnings("ignore:Early stopping conditioned")
def test_early_stopping_decides_as_keras(model, options, values, expected):
    stopping = callbacks.EarlyStopping(**options)
    for _ in range(2):  # a second fit begins anew
        model.restored, model.stop_training, waits = None, False, []
        begun(stopping, model)
        for epoch, value in enumerate(values):
            model.weights = epoch
            stopping.on_epoch_end(epoch, {} if value is None else {stopping.monitor: Lazy(value)})
            waits.append(stopping.wait)
            if model.stop_training:
                break
        stopping.on_train_end()
        assert (waits, model.stop_training, model.restored) == expected


def test_early_stopping_says_what_it_does(model, capsys):
    stopping = callbacks.EarlyStopping(verbose=1, restore_best_weights=True)
    begun(stopping, model)
    model.weights = "best"
    for epoch in range(2):
        stopping.on_epoch_end(epoch, {"val_loss": epoch})
    stopping.on_train_end()
    assert capsys.readouterr().out == (
        "Epoch 2: early stopping\nRestoring model weights from the end of the best epoch: 1.\n"
    )


def test_a_missing_value_is_a_warning_that_names_those_there_are(model, tmp_path):
    logs = {"loss": 1.0, "accuracy": 0.5}
    with pytest.warns(UserWarning, match=r"`val_loss` which is not available.*loss,accuracy"):
        begun(callbacks.EarlyStopping(), model).on_epoch_end(0, logs)
    with pytest.warns(UserWarning, match=r"`val_loss` which is not available.*loss,accuracy"):
        begun(callbacks.ReduceLROnPlateau(), model).on_epoch_end(0, logs)
    best = callbacks.ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    with pytest.warns(UserWarning, match=r"only with val_loss available.*loss,accuracy"):
        begun(best, model).on_epoch_end(0, logs)
    assert len(model.saved) == 1


PLATEAU = [
    ({"patience": 1}, [3, 3, 2, 2, 2], [0.1, 0.01, 0.01, 0.001, 0.0001]),
    (
        {"patience": 2, "factor": 0.5},
        [3, 3, 3, 3, 3, 3, 2, 2, 2],
        [0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.025, 0.025, 0.0125],
    ),
    (
        {"patience": 1, "factor": 0.5, "cooldown": 2},
        [3, 3, 3, 3, 3, 3, 3, 3],
        [0.1, 0.05, 0.05, 0.025, 0.025, 0.0125, 0.0125, 0.00625],
    ),
    (
        {"patience": 1, "factor": 0.5, "min_lr": 0.02},
        [3, 3, 3, 3, 3, 3, 3],
        [0.1, 0.05, 0.025, 0.02, 0.02, 0.02, 0.02],
    ),
    (
        {"patience": 1, "min_delta": 0.5, "factor": 0.5},
        [3, 2.6, 2.4, 2.2, 1.8],
        [0.1, 0.05, 0.05, 0.025, 0.025],
    ),
    (
        {"patience": 1, "mode": "max", "factor": 0.5},
        [1, 2, 2, 3, 1],
        [0.1, 0.1, 0.05, 0.05, 0.025],
    ),
    ({"patience": 0, "factor": 0.5}, [1, 1, 0, 0], [0.1, 0.05, 0.05, 0.025]),
]


@pytest.mark.parametrize(("options", "values", "rates"), PLATEAU)
def test_plateau_decides_as_keras(model, options, values, rates):
    plateau = begun(callbacks.ReduceLROnPlateau(**options), model)
    seen = []
    for epoch, value in enumerate(values):
        logs = {"val_loss": value}
        before = model.optimizer.learning_rate
        plateau.on_epoch_end(epoch, logs)
        assert logs["learning_rate"] == before
        seen.append(model.optimizer.learning_rate)
    assert seen == pytest.approx(rates)


def test_plateau_stops_at_the_rounded_least_rate(model, capsys):
    model.optimizer.learning_rate = np.float32(0.001)  # a little more than 0.001
    plateau = begun(callbacks.ReduceLROnPlateau(patience=1, min_lr=0.001, verbose=1), model)
    for epoch in range(3):
        plateau.on_epoch_end(epoch, {"val_loss": 1})
    assert capsys.readouterr().out == ""


def test_plateau_says_what_it_does(model, capsys):
    plateau = begun(callbacks.ReduceLROnPlateau(patience=1, factor=0.5, verbose=1), model)
    for epoch in range(2):
        plateau.on_epoch_end(epoch, {"val_loss": 1})
    expected = "\nEpoch 2: ReduceLROnPlateau reducing learning rate to 0.05.\n"
    assert capsys.readouterr().out == expected


def test_plateau_refuses_a_factor_that_raises():
    with pytest.raises(ValueError, match=r"ReduceLROnPlateau: expected a factor below 1, got 1.5"):
        callbacks.ReduceLROnPlateau(factor=1.5)


# What Keras' own metrics say about themselves.
UP = """accuracy acc binary_accuracy sparse_top_k_categorical_accuracy auc auc_1 binary_io_u io_u
mean_io_u one_hot_mean_io_u concordance_correlation pearson_correlation cosine_similarity f1_score
fbeta_score precision precision_at_recall recall_at_precision recall r2_score
sensitivity_at_specificity specificity_at_sensitivity true_positives val_head_accuracy"""
DOWN = """loss binary_crossentropy categorical_hinge hinge squared_hinge kl_divergence logcosh
mean_absolute_error mean_absolute_percentage_error mean_squared_error root_mean_squared_error
mean_squared_logarithmic_error poisson mae mse false_negatives val_head_loss accuracy_loss"""


@pytest.mark.parametrize(
    ("name", "mode"),
    [(name, "max") for name in UP.split()]
    + [(name, "min") for name in DOWN.split()]
    + [(name, None) for name in ("mean", "sum", "metric", "steps", "macaroni")],
)
def test_names_tell_what_is_better(name, mode):
    assert _direction(name) == _direction(f"val_{name}") == mode


def test_a_name_that_does_not_tell_is_an_error(model):
    stopping = begun(callbacks.EarlyStopping(monitor="fuel"), model)
    with pytest.raises(ValueError, match=r"expected monitor='fuel' to tell.*Pass mode='max'"):
        stopping.on_epoch_end(0, {"fuel": 1})


def test_an_unknown_mode_is_a_warning():
    with pytest.warns(UserWarning, match="EarlyStopping mode 'best' is unknown, fallback to auto"):
        assert callbacks.EarlyStopping(mode="best").mode == "auto"


# Checkpoints.


CHECKPOINTS = [
    ({}, "m{epoch:02d}.keras", 3, ["m01", "m02", "m03", "m04"]),
    ({"save_best_only": True}, "m{epoch:02d}.keras", 3, ["m01", "m02", "m04"]),
    (
        {},
        "m{epoch:02d}-{val_loss:.2f}.keras",
        3,
        ["m01-3.00", "m02-2.00", "m03-2.50", "m04-1.00"],
    ),
    (
        {"save_freq": 2},
        "m{epoch}-{batch}.keras",
        3,
        ["m1-2", "m2-1", "m2-3", "m3-2", "m4-1", "m4-3"],
    ),
    ({"save_freq": 4}, "m{epoch}-{batch}.keras", 3, ["m2-1", "m3-2", "m4-3"]),
    (
        {"save_freq": 4},
        "m{epoch}-{batch}-{loss:.1f}.keras",
        (1, 3, 5),  # what is seen with steps_per_execution=2
        ["m1-4-3.5", "m2-2-2.5", "m2-6-2.5", "m3-4-3.0", "m4-2-1.5", "m4-6-1.5"],
    ),
    (
        {"save_best_only": True, "initial_value_threshold": 2.2},
        "m{epoch:02d}.keras",
        3,
        ["m02", "m04"],
    ),
    ({"save_best_only": True, "mode": "max"}, "m{epoch:02d}.keras", 3, ["m01"]),
    (
        {"save_best_only": True, "save_freq": 1, "monitor": "loss"},
        "m{epoch}-{batch}.h5",
        2,
        ["m1-1", "m2-1", "m4-1"],  # Keras fails here: it learns what is better too late
    ),
]


@pytest.mark.parametrize(("options", "path", "batches", "expected"), CHECKPOINTS)
def test_checkpoints_are_saved_as_by_keras(model, tmp_path, options, path, batches, expected):
    checkpoint = begun(callbacks.ModelCheckpoint(tmp_path / path, **options), model)
    for epoch, value in enumerate([3, 2, 2.5, 1]):
        checkpoint.on_epoch_begin(epoch)
        for batch in range(batches) if isinstance(batches, int) else batches:
            checkpoint.on_train_batch_end(batch, Logs({"loss": Lazy(value + 0.5)}))
        checkpoint.on_epoch_end(epoch, Logs({"loss": value, "val_loss": Lazy(value)}))
    names = [Path(saved).name.rpartition(".")[0] for _, saved, _ in model.saved]
    assert names == expected
    assert {(kind, overwrite) for kind, _, overwrite in model.saved} == {("model", True)}


def test_only_weights_are_saved_on_request(model, tmp_path):
    path = tmp_path / "sub" / "best.weights.h5"
    begun(callbacks.ModelCheckpoint(path, save_weights_only=True), model).on_epoch_end(0, {})
    assert model.saved == [("weights", str(path), True)]
    assert path.parent.is_dir()


def test_lazy_values_are_not_read_for_checkpoints_that_do_not_need_them(model, tmp_path):
    loss = Lazy(1)
    checkpoint = begun(callbacks.ModelCheckpoint(tmp_path / "m.keras", save_freq=5), model)
    for batch in range(4):
        checkpoint.on_train_batch_end(batch, Logs({"loss": loss}))
    assert loss.reads == 0


def test_checkpoints_say_what_they_do(model, tmp_path, capsys):
    path = tmp_path / "m.keras"
    checkpoint = begun(callbacks.ModelCheckpoint(path, verbose=1, save_best_only=True), model)
    for epoch, value in enumerate([2, 1, 3]):
        checkpoint.on_epoch_end(epoch, {"val_loss": value})
    assert capsys.readouterr().out.split("\n\n") == [
        f"\nEpoch 1: val_loss improved from None to 2.00000, saving model to {path}",
        f"Epoch 1: finished saving model to {path}",
        f"Epoch 2: val_loss improved from 2.00000 to 1.00000, saving model to {path}",
        f"Epoch 2: finished saving model to {path}",
        "Epoch 3: val_loss did not improve from 1.00000\n",
    ]
    begun(callbacks.ModelCheckpoint(path, verbose=1), model).on_epoch_end(0, {})
    assert capsys.readouterr().out.startswith(f"\nEpoch 1: saving model to {path}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("m.keras", "loss", 0, False, False, "auto", "batch"), "save_freq 'epoch' or a number"),
        (("m.weights",), r"ends in \.keras or \.h5 with save_weights_only=False, got m\.weights"),
        (("m.h5", "loss", 0, False, True), r"ends in \.weights\.h5 with .*=True, got m\.h5"),
    ],
)
def test_wrong_checkpoints(arguments, message):
    with pytest.raises(ValueError, match=message):
        callbacks.ModelCheckpoint(*arguments)


def test_a_name_that_the_logs_lack_is_an_error(model, tmp_path):
    checkpoint = begun(callbacks.ModelCheckpoint(tmp_path / "{val_acc}.keras"), model)
    with pytest.raises(KeyError, match=r"got 'val_acc'. Available are: epoch, loss"):
        checkpoint.on_epoch_end(0, {"loss": 1})


def test_a_value_with_axes_is_a_warning(model, tmp_path):
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "m.keras", save_best_only=True)
    with pytest.warns(UserWarning, match="only when `monitor` is a scalar value"):
        begun(checkpoint, model).on_epoch_end(0, {"val_loss": np.ones(2)})
    assert len(model.saved) == 1


def test_a_folder_at_the_path_is_an_error(model, tmp_path):
    (tmp_path / "m.keras").mkdir()
    checkpoint = begun(callbacks.ModelCheckpoint(tmp_path / "m.keras"), model)
    with pytest.raises(OSError, match=r"expected the path of a file, got the folder .*m\.keras"):
        checkpoint.on_epoch_end(0, {})


def test_a_folder_that_cannot_be_written_to_is_found_before_training(model, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        begun(callbacks.ModelCheckpoint(tmp_path / "file" / "m.keras"), model)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(PermissionError, match="ModelCheckpoint: expected a folder to write to"):
        begun(callbacks.ModelCheckpoint(tmp_path / "e{epoch}" / "m.keras"), model)


# Learning rates by epoch.


@pytest.mark.parametrize(
    "schedule",
    [
        lambda epoch, rate: rate / 2,
        lambda epoch: 0.1 / 2 ** (epoch + 1),
        lambda epoch, rate, scale=0.5: np.float32(rate * scale),
        lambda epoch, rate: EagerTensor(np.array(rate / 2)),
    ],
)
def test_learning_rates_are_scheduled(model, schedule):
    scheduler = begun(callbacks.LearningRateScheduler(schedule), model)
    for epoch in range(2):
        scheduler.on_epoch_begin(epoch)
        assert type(model.optimizer.learning_rate) is float
        logs = {}
        scheduler.on_epoch_end(epoch, logs)
        assert logs == {"learning_rate": pytest.approx(0.1 / 2 ** (epoch + 1))}


def test_the_scheduler_says_what_it_does(model, capsys):
    begun(callbacks.LearningRateScheduler(lambda e: 0.5, verbose=1), model).on_epoch_begin(1)
    expected = "\nEpoch 2: LearningRateScheduler setting learning rate to 0.5.\n"
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("rate", [None, 1, "0.1", np.ones(2), True])
def test_a_schedule_that_returns_no_float_is_an_error(model, rate):
    scheduler = begun(callbacks.LearningRateScheduler(lambda epoch, old: rate), model)
    with pytest.raises(ValueError, match="output of the `schedule` function should be a float"):
        scheduler.on_epoch_begin(0)


def test_an_error_inside_a_schedule_comes_through(model):
    scheduler = begun(callbacks.LearningRateScheduler(lambda epoch, rate: rate + "x"), model)
    with pytest.raises(TypeError, match="unsupported operand"):
        scheduler.on_epoch_begin(0)


def test_an_optimizer_without_a_rate_is_an_error(model):
    model.optimizer = object()
    scheduler = begun(callbacks.LearningRateScheduler(lambda epoch: 0.1), model)
    with pytest.raises(ValueError, match='Optimizer must have a "learning_rate" attribute'):
        scheduler.on_epoch_begin(0)


def test_history_shows_the_rate(model):
    history = callbacks.History()
    scheduler = callbacks.LearningRateScheduler(lambda epoch: 0.25)
    many = callbacks.CallbackList([scheduler, history], model=model)
    many.on_train_begin()
    many.on_epoch_begin(0)
    many.on_epoch_end(0, {"loss": 1})
    assert history.history == {"loss": [1.0], "learning_rate": [0.25]}


# Files.


def rows(path, **options):
    with open(path, newline="") as file:
        return list(csv.reader(file, **options))


def test_csv(model, tmp_path):
    path = tmp_path / "log.csv"
    logger = callbacks.CSVLogger(path)
    for _ in range(2):  # a second fit begins anew
        begun(logger, model)
        logger.on_epoch_end(0, {"loss": Lazy(2), "accuracy": 0.5})
        logger.on_epoch_end(1, {"loss": 1, "accuracy": EagerTensor(np.array(0.75)), "val_loss": 3})
        logger.on_train_end()
    assert path.read_text().splitlines() == [
        "epoch,accuracy,loss,val_accuracy,val_loss",
        "0,0.5,2.0,NA,NA",
        "1,0.75,1.0,NA,3.0",
    ]


def test_csv_goes_on_in_an_existing_file(model, tmp_path):
    path = str(tmp_path / "log.csv")
    for epoch in range(2):
        logger = begun(callbacks.CSVLogger(path, separator=";", append=True), model)
        logger.on_epoch_end(epoch, {"loss": 1, "val_loss": 2})
        logger.on_train_end()
    assert rows(path, delimiter=";") == [
        ["epoch", "loss", "val_loss"], ["0", "1.0", "2.0"], ["1", "1.0", "2.0"],
    ]  # fmt: skip


def test_csv_holds_a_line_as_soon_as_an_epoch_ends(model, tmp_path):
    logger = begun(callbacks.CSVLogger(tmp_path / "log.csv"), model)
    logger.on_epoch_end(0, {"per_class": np.arange(3), "note": "a,b"})
    assert rows(tmp_path / "log.csv")[1] == ["0", "a,b", '"[0, 1, 2]"', "NA", "NA"]
    logger.on_train_end()


def test_csv_in_a_missing_folder_fails_before_training(model, tmp_path):
    with pytest.raises(FileNotFoundError):
        begun(callbacks.CSVLogger(tmp_path / "none" / "log.csv"), model)


# NaN.


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, Lazy(math.nan)])
def test_training_ends_when_the_loss_is_no_number(model, loss, capsys):
    many = callbacks.CallbackList([callbacks.TerminateOnNaN()], model=model)
    many.on_train_batch_end(3, {"loss": 1.0})
    many.on_train_batch_end(3, {})
    assert not model.stop_training
    many.on_train_batch_end(4, {"loss": loss})
    assert model.stop_training
    assert capsys.readouterr().out == "Batch 4: Invalid loss, terminating training\n"


def test_a_loss_that_is_no_number_can_be_an_error(model):
    callback = begun(callbacks.TerminateOnNaN(raise_error=True), model)
    with pytest.raises(RuntimeError, match=r"NaN or Inf loss encountered at batch 2\. Loss value"):
        callback.on_train_batch_end(2, {"loss": EagerTensor(np.array(np.nan))})
    assert not model.stop_training


# Progress.


def run_fit(verbose, epochs=2, steps=3, loss=1.0):
    bar = callbacks.ProgbarLogger()
    many = callbacks.CallbackList([bar], verbose=verbose, epochs=epochs, steps=steps)
    many.on_train_begin()
    for epoch in range(epochs):
        many.on_epoch_begin(epoch)
        for batch in range(3):
            many.on_train_batch_end(batch, {"loss": loss})
        many.on_test_begin()
        many.on_test_batch_end(0, {"loss": 5})
        many.on_test_end({"loss": 5})
        many.on_epoch_end(epoch, {"loss": loss, "accuracy": 1e-4, "val_loss": 5})
    many.on_train_end()
    return bar


@pytest.mark.parametrize("verbose", [1, 2, "auto"])
@pytest.mark.parametrize("steps", [3, None])
def test_one_line_an_epoch_where_there_is_no_terminal(capsys, verbose, steps):
    run_fit(verbose, steps=steps)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines, 1):
        parts = line.split(" - ")
        assert parts[:3] == [f"Epoch {number}/2", "3/3", "0s"]
        assert parts[3].endswith("s/step")
        assert parts[4:] == ["accuracy: 1.0000e-04", "loss: 1.0000", "val_loss: 5.0000"]


def test_one_epoch_needs_no_number(capsys):
    run_fit(2, epochs=1)
    assert capsys.readouterr().out.startswith("3/3 - 0s - ")


def test_silence(capsys):
    loss = Lazy(1)
    run_fit(0, loss=loss)
    assert capsys.readouterr().out == ""
    assert loss.reads == 0


def test_evaluate_and_predict_have_a_line_each(capsys):
    many = callbacks.CallbackList([callbacks.ProgbarLogger()], verbose=1, epochs=1, steps=2)
    many.on_test_begin()
    many.on_test_batch_end(0, {"loss": 2})
    many.on_test_batch_end(1, {"loss": 3})
    many.on_test_end({"loss": 3})
    many.on_predict_begin()
    many.on_predict_batch_end(0, {"outputs": np.ones(3)})
    many.on_predict_batch_end(1, {"outputs": np.ones(3)})
    many.on_predict_end()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("2/2 - 0s - ") and first.endswith("s/step - loss: 3.0000")
    assert second.startswith("2/2 - 0s - ") and second.endswith("s/step")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(progress, "_INTERVAL", 0)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    before = threading.active_count()
    run_fit(1)
    shown = screen.getvalue()
    assert "Epoch 1/2:" in shown and "2/3 [" in shown and "loss: 1.0000" in shown
    assert "val_loss: 5.0000" in shown and "100%" in shown
    assert shown.count("\n") == 2
    assert threading.active_count() == before  # tqdm would start a watcher


def test_output_that_is_missing_or_knows_few_letters(monkeypatch):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="\u00f1\u6f22")])
    model.compile("sgd", "mse")
    for screen in (None, io.TextIOWrapper(io.BytesIO(), encoding="cp1252")):
        monkeypatch.setattr(sys, "stdout", screen)
        model.summary()
        model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=1)
    shown = screen.buffer.getvalue().decode("cp1252")
    assert "-----" in shown and "| \u00f1? (Dense)" in shown and "loss" in shown


def test_a_bar_reads_values_only_when_it_is_drawn(monkeypatch):
    class Counting(Lazy):
        pass

    monkeypatch.setattr(progress, "_INTERVAL", 3600)
    monkeypatch.setattr(sys, "stdout", Terminal())
    many = callbacks.CallbackList([callbacks.ProgbarLogger()], verbose=1, epochs=1, steps=100)
    loss = Counting(1)
    many.on_epoch_begin(0)
    for batch in range(100):
        many.on_train_batch_end(batch, {"loss": loss})
    assert loss.reads == 0
    many.on_epoch_end(0, {"loss": loss})
    assert loss.reads == 1


def test_without_tqdm_there_are_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    run_fit(1)
    assert [line.split(" - ")[1] for line in screen.getvalue().splitlines()] == ["3/3", "3/3"]


def test_durations():
    shown = [progress._duration(seconds) for seconds in (0, 2.4, 0.0149, 2.5e-5)]
    assert shown == ["0s", "2s", "15ms", "25us"]


def test_tqdm_is_loaded_only_for_a_bar():
    code = "import sys, minikeras.callbacks; print('tqdm' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "False\n"


def test_messages_end_up_on_the_standard_output(capsys):
    logs_module.say("text")
    assert capsys.readouterr().out == "text\n"
