"""Weights files: what is in them, what is refused, and what a crash leaves behind."""

import os
import resource
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

import minikeras as keras
from minikeras import backend, layers, saving
from minikeras.errors import CorruptFileError, UnsupportedFormatError
from minikeras.saving import hdf5

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = X[:, :1]


@pytest.fixture(autouse=True)
def names_from_the_start():
    backend.clear_session()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.weights.h5"


def net(units=3, compiled=True):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(units), layers.Dense(1)])
    if compiled:
        model.compile("adam", "mse")
    return model


def values(model):
    optimizer = [v.numpy() for v in model.optimizer.variables] if model.optimizer else []
    return [*model.get_weights(), *optimizer]


def assert_same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b):
        np.testing.assert_array_equal(x, y)


def rewritten(path, change):
    """Change a file as other programs might, and drop our checksum behind it."""
    content = path.read_bytes()[: -hdf5._TAIL]
    path.write_bytes(content)
    with h5py.File(path, "r+") as file:
        change(file)
    return path


# -- there and back ------------------------------------------------------------------------------


def test_weights_and_optimizer_come_back(path):
    model = net()
    model.fit(X, Y, epochs=3, verbose=0)
    model.save_weights(path)
    again = net()
    again.load_weights(str(path))
    assert_same(values(again), values(model))
    for each in (model, again):
        each.train_on_batch(X, Y)
    assert_same(values(again), values(model))
    assert os.listdir(path.parent) == ["net.weights.h5"]


def test_an_optimizer_without_steps_yet_is_saved_and_loaded(path):
    model = net()
    model.optimizer.learning_rate = 0.25
    model.save_weights(path)
    again = net()
    again.load_weights(path)
    assert float(again.optimizer.learning_rate) == 0.25


@pytest.mark.parametrize(("saved", "loaded"), [(True, False), (False, True)])
def test_the_optimizer_may_be_missing_on_either_side(path, saved, loaded):
    model = net(compiled=saved)
    if saved:
        model.fit(X, Y, verbose=0)
    model.save_weights(path)
    again = net(compiled=loaded)
    again.load_weights(path)
    assert_same(again.get_weights(), model.get_weights())


def test_another_optimizer_s_state_is_left_aside_with_a_warning(path):
    model = net()
    model.fit(X, Y, verbose=0)
    model.save_weights(path)
    again = net(compiled=False)
    again.compile(keras.optimizers.SGD(momentum=0.9), "mse")
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer 'sgd'"):
        again.load_weights(path)
    assert_same(again.get_weights(), model.get_weights())


def test_groups_are_named_as_keras_names_them(path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.zebra = layers.Dense(1)
            self.blocks = [layers.Dense(2), [layers.Dense(2)], {"a": layers.Dense(2)}]
            self.again = self.blocks
            self._hidden = layers.Dense(2)
            self.tracker = keras.metrics.Mean()

        def call(self, x):
            first, (second,), third = self.blocks
            return self.zebra(self._hidden(third["a"](second(first(x)))))

    model = Net()
    model(X)
    model.save_weights(path)
    with h5py.File(path) as file:
        found = []
        file.visititems(lambda name, item: found.append(name) if name.endswith("/0") else None)
        assert file["again/dense/vars"].attrs["name"] == "dense_1"
    assert found == [
        "again/container/dense/vars/0",
        "again/container_1/dense/vars/0",
        "again/dense/vars/0",
        "layers/dense/vars/0",
        "layers/dense_4/vars/0",  # `layers` comes before private names
    ]


def test_a_layer_may_save_in_its_own_way(path):
    class Own(layers.Layer):
        def build(self, input_shape):
            self.table = self.add_weight((3,), "ones", name="table")

        def call(self, inputs):
            return inputs

        def save_own_variables(self, store):
            store["table"] = self.table.numpy()
            store["notes"] = np.arange(2)

        def load_own_variables(self, store):
            assert sorted(store) == ["notes", "table"]
            self.table.assign(store["table"])

    def build():
        return keras.Sequential([keras.Input((4,)), Own(), layers.Dense(1)])

    model = build()
    model.layers[0].table.assign([1.0, 2.0, 3.0])
    model.save_weights(path)
    again = build()
    again.load_weights(path)
    assert_same(again.get_weights(), model.get_weights())
    rewritten(path, lambda file: file["layers/own/vars"].__delitem__("notes"))
    again.layers[1].kernel.assign(np.zeros((4, 1)))
    before = again.get_weights()
    with pytest.raises(AssertionError):
        again.load_weights(path)
    assert_same(again.get_weights(), before)


def test_the_functions_do_what_the_methods_do(path):
    model = net()
    saving.save_weights(model, path)
    again = net()
    saving.load_weights(again, path)
    assert_same(again.get_weights(), model.get_weights())


def test_files_of_other_float_types_are_cast(path):
    model = net(compiled=False)
    model.save_weights(path)

    def widen(file):
        value = file["layers/dense/vars/0"][()]
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = value.astype(">f8")

    again = net(compiled=False)
    again.load_weights(rewritten(path, widen))
    assert again.layers[0].kernel.dtype == "float32"
    assert_same(again.get_weights(), model.get_weights())


# -- what does not fit ---------------------------------------------------------------------------


def test_everything_that_does_not_fit_is_named_in_one_error(path):
    net().save_weights(path)

    def change(file):
        del file["layers/dense/vars/1"]
        file["layers/dense_1/vars/2"] = np.zeros(3)
        file["layers/dense_7/vars/0"] = np.zeros((2, 2))

    rewritten(path, change)
    model = net(units=5)
    before = values(model)
    with pytest.raises(ValueError, match="got 5 that do not fit") as caught:
        model.load_weights(path)
    first = "sequential_1/dense_2"
    second = "sequential_1/dense_3"
    lines = str(caught.value).splitlines()[1:-1]
    assert [line.strip().removesuffix(" in the file") for line in lines] == [
        f"misshapen: 'layers/dense/vars/0' ({first}/kernel, shape (4, 5)) has shape (4, 3)",
        f"missing: 'layers/dense/vars/1' ({first}/bias, shape (5,))",
        f"misshapen: 'layers/dense_1/vars/0' ({second}/kernel, shape (5, 1)) has shape (3, 1)",
        "extra: 'layers/dense_1/vars/2' of shape (3,)",
        "extra: 'layers/dense_7/vars/0' of shape (2, 2)",
    ]
    assert_same(values(model), before)


def test_skip_mismatch_loads_what_fits(path):
    saved = net()
    saved.layers[1].bias.assign([7.0])
    saved.save_weights(path)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2), layers.Dense(1)])
    with pytest.warns(UserWarning, match="expected weights for exactly this model"):
        model.load_weights(path, skip_mismatch=True)
    assert_same(model.get_weights()[:2], saved.get_weights()[:2])
    assert model.layers[1].bias.shape == (2,)


@pytest.mark.parametrize("name", ["net.h5", "net.keras", "net", "weights.h5.tmp"])
def test_other_endings_are_refused(tmp_path, name):
    for method in (net().save_weights, net().load_weights):
        with pytest.raises(ValueError, match=r"The filename must end in `.weights.h5`. Received"):
            method(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_unbuilt_models_have_nothing_to_save(path):
    model = keras.Sequential([layers.Dense(1)])
    with pytest.raises(ValueError, match="You are saving a model that has not yet been built"):
        model.save_weights(path)
    net().save_weights(path)
    with pytest.raises(ValueError, match="You are loading weights into a model that has not yet"):
        model.load_weights(path)


def test_files_are_overwritten_unless_told_otherwise(path):
    model = net()
    model.save_weights(path)
    with pytest.raises(FileExistsError, match="Pass overwrite=True to replace it"):
        model.save_weights(path, overwrite=False)
    model.layers[0].bias.assign(np.ones(3))
    model.save_weights(path)
    again = net()
    again.load_weights(path)
    assert_same(again.get_weights(), model.get_weights())
    with pytest.raises(ValueError, match="expected no max_shard_size, got 3"):
        saving.save_weights(model, path, max_shard_size=3)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a file, got none at "):
        net().load_weights(tmp_path / "none.weights.h5")
    (tmp_path / "folder.weights.h5").mkdir()
    with pytest.raises(FileNotFoundError, match="expected a file, got none at .*folder"):
        net().load_weights(tmp_path / "folder.weights.h5")
    with pytest.raises(FileNotFoundError):
        net().save_weights(tmp_path / "none" / "net.weights.h5")


# -- damaged and hostile files -------------------------------------------------------------------


def refused(model, path, match, error=CorruptFileError):
    before = values(model)
    with pytest.raises(error, match=match):
        model.load_weights(path)
    assert_same(values(model), before)


def test_any_flipped_bit_is_noticed(path, rng):
    model = net()
    model.fit(X, Y, verbose=0)
    model.save_weights(path)
    content = path.read_bytes()
    again = net()
    for place in rng.integers(0, len(content) - hdf5._TAIL, 200):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        refused(again, path, "its checksum is wrong")


def test_any_truncation_is_noticed_or_harmless(path):
    model = net(compiled=False)
    model.save_weights(path)
    content = path.read_bytes()
    again = net(compiled=False)
    for length in [*range(0, len(content) - 80, 97), *range(len(content) - 80, len(content))]:
        path.write_bytes(content[:length])
        try:
            again.load_weights(path)
        except CorruptFileError:
            continue
        # Nothing but the checksum is missing.
        assert length >= len(content) - hdf5._TAIL
        assert_same(again.get_weights(), model.get_weights())


@pytest.mark.parametrize("content", [b"", b"not a weights file\n" * 99, b"\x89HDF\r\n\x1a\n" * 9])
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    refused(net(), path, "expected an HDF5 file, got .* damaged or of another kind")
    assert issubclass(CorruptFileError, OSError)  # what h5py raises, and so Keras


def test_hdf5_files_of_other_programs_are_refused(path):
    with h5py.File(path, "w") as file:
        file["table"] = np.zeros((3, 3))
    refused(net(), path, "missing: 'layers/dense/vars/0'", ValueError)


def replaced(name, make):
    def change(file):
        del file[name]
        make(file, name)

    return change


def _virtual(file, name):
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", (4, 3))
    file.create_virtual_dataset(name, layout)


def _bomb(file, name):
    file.create_dataset(name, (2**20, 2**20), "f4", chunks=(1024, 1024), compression="gzip")


def _filtered(file, name):
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((4, 3))
    creation.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((4, 3))
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, creation)


def _circle(file, name):
    file["layers/dense/vars/0/again"] = file["layers"]


HOSTILE = {
    "external link": (
        lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/")),
        CorruptFileError,
        "got a ExternalLink at",
    ),
    "soft link": (
        lambda file, name: file.__setitem__(name, h5py.SoftLink("/layers/dense_1/vars/0")),
        CorruptFileError,
        "got a SoftLink at 'layers/dense/vars/0'",
    ),
    "hard link": (
        lambda file, name: file.__setitem__(name, file["layers/dense_1/vars/0"]),
        CorruptFileError,
        "got a second link to one",
    ),
    "circle": (_circle, CorruptFileError, "got a second link to one"),
    "virtual": (_virtual, CorruptFileError, "got 'layers/dense/vars/0' stored elsewhere"),
    "external": (
        lambda file, name: file.create_dataset(
            name, (4, 3), "f4", external=[("/etc/passwd", 0, 48)]
        ),
        CorruptFileError,
        "stored elsewhere",
    ),
    "bomb": (_bomb, CorruptFileError, "to hold what it declares, 4398046511104 bytes"),
    "unknown filter": (_filtered, UnsupportedFormatError, "got filter number 32015"),
    "strings": (
        lambda file, name: file.__setitem__(name, np.array([b"x"] * 12).reshape(4, 3)),
        UnsupportedFormatError,
        "expected arrays of numbers, got dtype",
    ),
    "compound": (
        lambda file, name: file.__setitem__(name, np.zeros((4, 3), [("a", "f4")])),
        UnsupportedFormatError,
        "expected arrays of numbers, got dtype",
    ),
    "type": (
        lambda file, name: file.__setitem__(name, np.dtype("f4")),
        CorruptFileError,
        "expected arrays, got a type at 'layers/dense/vars/0'",
    ),
    "deep": (
        lambda file, name: file.create_group(name + "/x" * 70),
        CorruptFileError,
        "at most 64 nested groups",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused(path, kind):
    make, error, message = HOSTILE[kind]
    net().save_weights(path)
    rewritten(path, replaced("layers/dense/vars/0", make))
    start = time.monotonic()
    refused(net(), path, message, error)
    assert time.monotonic() - start < 5


def test_damaged_data_of_other_programs_is_refused(path):
    net().save_weights(path)

    def compress(file):
        value = file["layers/dense/vars/0"][()]
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", data=value, fletcher32=True)

    content = bytearray(rewritten(path, compress).read_bytes())
    model = net()
    model.load_weights(path)
    stored = model.layers[0].kernel.numpy().tobytes()
    content[content.rindex(stored)] ^= 1
    path.write_bytes(content)
    refused(net(), path, "cannot read 'layers/dense/0'")


# -- what can go wrong while writing -------------------------------------------------------------


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "chmod"])
def test_a_failing_disk_leaves_the_old_file_and_no_litter(path, monkeypatch, call):
    model = net()
    model.save_weights(path)
    content = path.read_bytes()

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    if call == "write":
        real = os.fdopen

        def open_full(*args):
            file = real(*args)
            wrapped = type("Full", (), {"__enter__": lambda s: s, "write": fail,
                                        "__exit__": lambda s, *_: file.close()})  # fmt: skip
            return wrapped()

        monkeypatch.setattr(os, "fdopen", open_full)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="No space left on device"):
        model.save_weights(path)
    monkeypatch.undo()
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["net.weights.h5"]


WRITER = """
import sys
import numpy as np
import minikeras as keras

model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(200)])
path = sys.argv[1]
{limit}
for i in range(10**6):
    model.set_weights([np.full(w.shape, i, "float32") for w in model.weights])
    model.save_weights(path)
    if i == 0:
        print("begun", flush=True)
"""


def test_a_file_too_large_for_the_disk_is_an_error_and_the_old_one_stays(path):
    """Let the kernel stop the writing: the limit of this file system's files is reached."""
    model = keras.Sequential([keras.Input((100,)), layers.Dense(200)])
    model.save_weights(path)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9999, 9999))"
    done = subprocess.run(
        [sys.executable, "-c", WRITER.format(limit=limit), str(path)],
        capture_output=True, text=True, check=False,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )  # fmt: skip
    assert "OSError: [Errno 27] File too large" in done.stderr
    again = keras.Sequential([keras.Input((100,)), layers.Dense(200)])
    again.load_weights(path)
    assert_same(again.get_weights(), model.get_weights())
    assert os.listdir(path.parent) == ["net.weights.h5"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 9999


def test_a_kill_at_any_moment_leaves_a_whole_file(path, rng):
    """Kill a process that saves without a pause, again and again; the file is always whole."""
    model = keras.Sequential([keras.Input((100,)), layers.Dense(200)])
    seen = set()
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER.format(limit=""), str(path)], stdout=subprocess.PIPE
        )
        with writer:
            assert writer.stdout.readline() == b"begun\n"
            time.sleep(rng.uniform(0, 0.1))
            writer.kill()
        model.load_weights(path)
        kernel, bias = model.get_weights()
        assert (kernel == bias[0]).all() and (bias == bias[0]).all()
        seen.add(float(bias[0]))
    assert len(seen) > 1


STOPPER = """
import os, sys
import numpy as np
import minikeras as keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
path, outcomes, calls = sys.argv[1], [], 0
while outcomes[-1:] != ["done"]:
    model.set_weights([np.full(w.shape, 1.0, "float32") for w in model.weights])
    model.save_weights(path)
    calls += 1
    child = os.fork()
    if child == 0:
        model.set_weights([np.full(w.shape, 2.0, "float32") for w in model.weights])
        count = 0

        def stop(frame, event, _):
            global count
            inside = frame.f_code.co_filename.endswith(("atomic.py", "tempfile.py"))
            count += inside and event in ("c_call", "c_return")
            if count == calls:
                os._exit(9)

        sys.setprofile(stop)
        model.save_weights(path)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    model.load_weights(path)
    kernel, bias = model.get_weights()
    assert (kernel == bias[0]).all() and (bias == bias[0]).all()
    outcomes.append("done" if status == 0 else {1.0: "old", 2.0: "new"}[float(bias[0])])
print(" ".join(outcomes))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_stop_before_or_after_any_call_of_the_system_leaves_a_whole_file(path):
    """Stop a saving process before and after each call of a C function, one after the other."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STOPPER, str(path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    outcomes = done.stdout.split()
    assert len(outcomes) > 20, done.stderr
    change = outcomes.index("new")
    assert outcomes == ["old"] * change + ["new"] * (len(outcomes) - change - 1) + ["done"]
