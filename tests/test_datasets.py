import gzip
import hashlib
import http.server
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest

from minikeras.datasets import california_housing, digits, fashion_mnist, mnist, scikit
from minikeras.datasets.fetch import Remote, cache_folder, fetch
from minikeras.datasets.formats import read_idx, read_npz
from minikeras.datasets.images import IDX_NAMES
from minikeras.errors import CorruptFileError


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """Keep the user's caches and settings, and any proxy, out of the tests."""
    monkeypatch.setenv("MINIKERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for name in ("MINIKERAS_MNIST", "MINIKERAS_FASHION_MNIST"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def arrays(rng):
    """Return a small set of images in MNIST's shapes."""
    return {
        "x_train": rng.integers(0, 256, (20, 28, 28), np.uint8),
        "y_train": rng.integers(0, 10, 20, np.uint8),
        "x_test": rng.integers(0, 256, (8, 28, 28), np.uint8),
        "y_test": rng.integers(0, 10, 8, np.uint8),
    }


@pytest.fixture
def npz_bytes(arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def idx(array, kind=8):
    header = struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape)
    return header + array.tobytes()


def write_idx(folder, arrays, packed=False, dotted=False):
    folder.mkdir(exist_ok=True, parents=True)
    for key, name in IDX_NAMES.items():
        name = name.replace("-idx", ".idx") if dotted else name
        data = idx(arrays[key])
        (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)
    return folder


def assert_loaded(loaded, arrays):
    (x_train, y_train), (x_test, y_test) = loaded
    for got, key in [(x_train, "x_train"), (y_train, "y_train")]:
        np.testing.assert_array_equal(got, arrays[key])
    for got, key in [(x_test, "x_test"), (y_test, "y_test")]:
        np.testing.assert_array_equal(got, arrays[key])
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype("uint8")}


# Where MNIST is looked for.


def test_mnist_from_an_npz_file(tmp_path, arrays, npz_bytes):
    path = tmp_path / "here.npz"
    path.write_bytes(npz_bytes)
    assert_loaded(mnist.load_data(str(path)), arrays)
    assert_loaded(mnist.load_data(path), arrays)


def test_mnist_from_a_folder_with_an_npz_file(tmp_path, arrays, npz_bytes):
    (tmp_path / "mnist.npz").write_bytes(npz_bytes)
    assert_loaded(mnist.load_data(tmp_path), arrays)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_mnist_from_idx_files(tmp_path, arrays, packed, dotted):
    assert_loaded(mnist.load_data(write_idx(tmp_path / "d", arrays, packed, dotted)), arrays)


def test_mnist_default_prefers_the_variable_then_our_cache_then_keras(
    tmp_path, arrays, npz_bytes, monkeypatch
):
    theirs = tmp_path / "keras" / "datasets" / "mnist.npz"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(npz_bytes)
    assert_loaded(mnist.load_data(), arrays)

    theirs.write_bytes(b"")
    ours = cache_folder() / "mnist.npz"
    ours.parent.mkdir(parents=True)
    ours.write_bytes(npz_bytes)
    assert_loaded(mnist.load_data(), arrays)

    ours.write_bytes(b"")
    monkeypatch.setenv("MINIKERAS_MNIST", str(write_idx(tmp_path / "idx", arrays)))
    assert_loaded(mnist.load_data(), arrays)
    assert_loaded(mnist.load_data("mnist.npz"), arrays)


def test_the_default_home_is_in_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MINIKERAS_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".minikeras" / "datasets"


def test_a_variable_that_names_nothing_is_an_error(monkeypatch):
    monkeypatch.setenv("MINIKERAS_MNIST", "/nowhere/at/all")
    with pytest.raises(FileNotFoundError, match="MINIKERAS_MNIST: expected a file or folder"):
        mnist.load_data()


def test_a_folder_without_the_files_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected one of train-images-idx3-ubyte, "):
        mnist.load_data(tmp_path)


def test_a_missing_path_that_is_no_npz_file_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mnist.load_data: expected a file or folder at "):
        mnist.load_data(tmp_path / "nothing")


# Damaged and hostile files.


def npz_of(tmp_path, **arrays):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    return path


def test_every_truncation_of_an_npz_file_is_found(tmp_path, npz_bytes):
    path = tmp_path / "cut.npz"
    for size in [*range(0, len(npz_bytes), 97), len(npz_bytes) - 1]:
        path.write_bytes(npz_bytes[:size])
        with pytest.raises(CorruptFileError, match=r"cut\.npz: expected .*, got .*Delete the file"):
            mnist.load_data(path)


def test_a_changed_byte_of_an_npz_file_is_found_or_harmless(tmp_path, arrays, npz_bytes, rng):
    path = tmp_path / "flip.npz"
    central = npz_bytes.index(b"PK\x01\x02")
    places = {*rng.integers(0, len(npz_bytes), 150), *range(200), *range(central, len(npz_bytes))}
    for place in places:
        damaged = bytearray(npz_bytes)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        try:
            loaded = mnist.load_data(path)
        except CorruptFileError:
            continue
        assert_loaded(loaded, arrays)


@pytest.mark.parametrize("packed", [False, True])
def test_every_truncation_of_an_idx_file_is_found(tmp_path, arrays, packed):
    folder = write_idx(tmp_path / "idx", arrays, packed)
    path = folder / ("t10k-images-idx3-ubyte" + ".gz" * packed)
    whole = path.read_bytes()
    for size in [*range(18), *range(18, len(whole), 211), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptFileError, match="t10k-images"):
            mnist.load_data(folder)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x00\x01" + idx(np.zeros(8, np.uint8))[2:], "magic 0001 08 01"),
        (idx(np.zeros(8, np.uint8), kind=13), "magic 0000 0d 01"),
        (b"\x00\x00\x08\x00", "magic 0000 08 00"),
        (b"\x00\x00\x08\xff" + bytes(2000), "magic 0000 08 ff"),
        (idx(np.zeros(8, np.uint8)) + b"!", "expected 8 bytes of data, got more"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12 + bytes(100), r"shape \(4294967295, 4294967295"),
        (b"\x00\x00\x08\x01" + struct.pack(">I", 1 << 31) + bytes(100), "expected at most 108"),
        (idx(np.zeros(7, np.uint8)), r"test labels uint8 \(8,\), one an image, got uint8 \(7,\)"),
        (idx(np.zeros((8, 1), np.uint8)), r"test labels uint8 \(8,\), .* got uint8 \(8, 1\)"),
        (idx(np.full(8, 10, np.uint8)), "test labels from 0 to 9, got 10"),
    ],
)
def test_a_wrong_idx_file(tmp_path, arrays, data, message):
    folder = write_idx(tmp_path / "idx", arrays)
    (folder / "t10k-labels-idx1-ubyte").write_bytes(data)
    with pytest.raises(CorruptFileError, match=message):
        mnist.load_data(folder)


def test_images_of_another_size_are_refused(tmp_path, arrays):
    arrays["x_train"] = np.zeros((20, 32, 32), np.uint8)
    with pytest.raises(CorruptFileError, match=r"train images uint8 \(n, 28, 28\), got .*32, 32"):
        mnist.load_data(npz_of(tmp_path, **arrays))


def test_a_gzip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"\x00\x00\x08\x01" + struct.pack(">I", 1 << 30) + bytes(1000)))
    with pytest.raises(CorruptFileError, match=r"x\.gz: expected at most \d+ bytes"):
        read_idx(path)


def npy(header, data=b""):
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def one_member(tmp_path, content, name="x.npy"):
    path = tmp_path / "one.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1125899906842624,)}"), "at most"),
        (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-1,)}"), "negative"),
        (
            npy("{'descr': '|u1', 'fortran_order': False, 'shape': (9,)}", b"12"),
            "9 bytes of data, got 2",
        ),
        (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2,)}", b"123"), "more"),
        (npy("{'descr': '|u1', 'fortran_order': False, 'shape': 'x'}"), "shape"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"x"), "got dtype object"),
        (npy("{'descr': '<U9', 'fortran_order': False, 'shape': (1,)}", b"x"), "got dtype <U9"),
        (npy("__import__('os').abort()"), "malformed"),
        (npy("(" * 110), "one.npz"),
        (npy("'"), "one.npz"),
        (b"\x93NUMPY\x09\x00" + bytes(20), r"version \(9, 0\)"),
        (b"nonsense", "magic"),
    ],
)
def test_a_wrong_npz_member(tmp_path, content, message):
    with pytest.raises(CorruptFileError, match=message):
        read_npz(one_member(tmp_path, content), ["x"])


def test_pickled_objects_are_not_loaded(tmp_path, arrays):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    arrays["y_train"] = np.array([Trap()] * 20, object)
    with pytest.raises(CorruptFileError, match=r"expected numbers in y_train\.npy, got dtype obj"):
        mnist.load_data(npz_of(tmp_path, **arrays))
    assert not (tmp_path / "sprung").exists()


def test_a_missing_or_repeated_member_is_an_error(tmp_path, arrays):
    with pytest.raises(CorruptFileError, match=r"one member y_train\.npy, got 0 of them"):
        mnist.load_data(npz_of(tmp_path, x_train=arrays["x_train"]))
    path = one_member(tmp_path, b"1")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("x.npy", b"2")
    with pytest.raises(CorruptFileError, match=r"one member x\.npy, got 2 of them"):
        read_npz(path, ["x"])


@pytest.mark.parametrize("array", [np.zeros((0, 3)), np.asfortranarray(np.eye(3, 4)), np.array(3)])
def test_read_npz_keeps_shape_dtype_and_order(tmp_path, array):
    read = read_npz(npz_of(tmp_path, x=array), ["x"])["x"]
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


# Downloads.


class Server:
    """Serve bytes on 127.0.0.1, whole or not; count the requests."""

    def __init__(self, data):
        self.data, self.sent, self.delay, self.length, self.requests = data, len(data), 0, None, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests += 1
                if outer.data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                if outer.length != "none":
                    self.send_header("Content-Length", str(outer.length or len(outer.data)))
                self.end_headers()
                for start in range(0, outer.sent, 4096):
                    self.wfile.write(outer.data[start : min(start + 4096, outer.sent)])
                    time.sleep(outer.delay)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *args: None  # a client that was killed is no news
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/mnist.npz"

    def remote(self, name="mnist.npz"):
        return Remote(name, self.url, len(self.data), hashlib.sha256(self.data).hexdigest())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def server(npz_bytes):
    with Server(npz_bytes) as server:
        yield server


@pytest.fixture
def published(server, monkeypatch):
    monkeypatch.setattr(mnist, "_REMOTE", server.remote())
    return server


def files_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_mnist_is_downloaded_once(published, arrays):
    assert_loaded(mnist.load_data(), arrays)
    assert_loaded(mnist.load_data(), arrays)
    assert published.requests == 1
    assert files_in(cache_folder()) == ["mnist.npz"]


def test_mnist_is_downloaded_to_another_name(published, arrays, tmp_path):
    assert_loaded(mnist.load_data("sub/mine.npz"), arrays)
    assert (cache_folder() / "sub" / "mine.npz").exists()
    assert_loaded(mnist.load_data(tmp_path / "there.npz"), arrays)
    assert (tmp_path / "there.npz").exists()


def test_a_download_without_a_stated_length(published, arrays):
    published.length = "none"
    assert_loaded(mnist.load_data(), arrays)


@pytest.mark.parametrize("length", [None, "none"])
def test_a_connection_that_closes_half_way(published, length):
    published.length = length
    published.sent = len(published.data) // 2
    reason = f"the connection closed after {published.sent} bytes"
    with pytest.raises(ConnectionError, match=f"{reason}.*put that file at .*mnist.npz .sha256"):
        mnist.load_data()
    assert files_in(cache_folder()) == []


@pytest.mark.parametrize("change", [lambda d: b"\0" + d[1:], lambda d: d + b"\0", lambda d: d * 9])
def test_other_contents_are_refused_and_not_kept(published, change):
    published.data = change(published.data)
    published.sent = len(published.data)
    with pytest.raises(CorruptFileError, match=r"expected .* with sha256 .*Nothing was kept"):
        mnist.load_data()
    assert files_in(cache_folder()) == []


def test_offline_the_error_says_what_to_put_where(monkeypatch):
    address = "http://127.0.0.1:9/mnist.npz"  # the discard port: nobody listens
    monkeypatch.setattr(mnist, "_REMOTE", mnist._REMOTE._replace(url=address))
    path = cache_folder() / "mnist.npz"
    with pytest.raises(ConnectionError, match=rf"put that file at {path} \(sha256 731c5ac6"):
        mnist.load_data()
    assert files_in(cache_folder()) == []


def test_a_missing_page_is_an_error(published):
    published.data = None
    with pytest.raises(ConnectionError, match="404"):
        mnist.load_data()


def test_a_link_in_the_cache_is_replaced_not_followed(server, tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "mnist.npz").symlink_to(tmp_path / "elsewhere")
    assert fetch(server.remote(), folder).read_bytes() == server.data
    assert not (folder / "mnist.npz").is_symlink()
    assert not (tmp_path / "elsewhere").exists()


FETCH = """
import sys
from pathlib import Path
from minikeras.datasets.fetch import Remote, fetch
name, url, size, sha256, folder = sys.argv[1:]
print(len(fetch(Remote(name, url, int(size), sha256), Path(folder)).read_bytes()))
"""


def start_fetch(remote, folder):
    command = [sys.executable, "-c", FETCH, *map(str, remote), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_that_download_at_once_each_see_a_whole_file(server, tmp_path):
    server.delay = 0.05
    children = [start_fetch(server.remote(), tmp_path / "cache") for _ in range(3)]
    results = [child.communicate(timeout=60)[0].strip() for child in children]
    assert results == [str(len(server.data))] * 3
    assert files_in(tmp_path / "cache") == ["mnist.npz"]


def test_a_killed_download_leaves_nothing(server, tmp_path):
    folder = tmp_path / "cache"
    server.delay = 1
    child = start_fetch(server.remote(), folder)
    deadline = time.monotonic() + 60
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert files_in(folder) == []
    server.delay = 0
    assert fetch(server.remote(), folder).read_bytes() == server.data


# The other data sets.


def test_fashion_mnist_from_a_folder_a_cache_and_keras(tmp_path, arrays, monkeypatch):
    theirs = write_idx(tmp_path / "keras" / "datasets" / "fashion-mnist", arrays, packed=True)
    assert_loaded(fashion_mnist.load_data(), arrays)
    for path in theirs.iterdir():
        path.write_bytes(b"")
    write_idx(cache_folder() / "fashion-mnist", arrays, packed=True)
    assert_loaded(fashion_mnist.load_data(), arrays)
    monkeypatch.setenv("MINIKERAS_FASHION_MNIST", str(write_idx(tmp_path / "idx", arrays)))
    assert_loaded(fashion_mnist.load_data(), arrays)


def test_fashion_mnist_is_downloaded(arrays, monkeypatch):
    files, servers = {}, []
    for key, name in IDX_NAMES.items():
        data = gzip.compress(idx(arrays[key]))
        servers.append(Server(data).__enter__())
        files[f"{name}.gz"] = (len(data), hashlib.sha256(data).hexdigest())
    urls = dict(zip(files, [server.url for server in servers]))
    monkeypatch.setattr(fashion_mnist, "_FILES", files)
    monkeypatch.setattr(
        fashion_mnist, "Remote", lambda name, url, *rest: Remote(name, urls[name], *rest)
    )
    assert_loaded(fashion_mnist.load_data(), arrays)
    assert_loaded(fashion_mnist.load_data(), arrays)
    for server in servers:
        server.__exit__()
    assert [server.requests for server in servers] == [1, 1, 1, 1]


def test_digits():
    (x_train, y_train), (x_test, y_test) = digits.load_data()
    assert x_train.shape == (1437, 8, 8) and x_test.shape == (360, 8, 8)
    assert y_train.shape == (1437,) and y_test.shape == (360,)
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype("uint8")}
    assert x_train.max() == 16 and set(y_train) == set(range(10))


def test_digits_split_and_seed():
    (a, _), (b, _) = digits.load_data(test_split=0, seed=1)
    assert len(a) == 1797 and len(b) == 0
    (c, _), _ = digits.load_data(test_split=0.5, seed=1)
    np.testing.assert_array_equal(c, a[:898])
    (other, _), _ = digits.load_data(test_split=0, seed=2)
    assert (other != a).any()


@pytest.mark.parametrize("test_split", [-0.1, 1, 1.5])
def test_a_wrong_split_is_an_error(test_split):
    with pytest.raises(ValueError, match="test_split: expected at least 0 and less than 1, got"):
        digits.load_data(test_split)


class FakeSklearn:
    def __init__(self, rng):
        self.x, self.y, self.calls = rng.normal(size=(20640, 8)), rng.random(20640) * 5, 0

    def fetch_california_housing(self, data_home, return_X_y):
        self.calls += 1
        with open(os.path.join(data_home, "cal_housing.pkz"), "wb"):
            return self.x, self.y


@pytest.fixture
def sklearn_data(rng, monkeypatch):
    fake = FakeSklearn(rng)
    monkeypatch.setattr(scikit, "_datasets", lambda: fake)
    return fake


def test_california_housing(sklearn_data):
    (x_train, y_train), (x_test, y_test) = california_housing.load_data()
    assert x_train.shape == (16512, 8) and x_test.shape == (4128, 8)
    assert {a.dtype for a in (x_train, y_train, x_test, y_test)} == {np.dtype("float32")}
    # The order that Keras shuffles into: np.random.RandomState(113).shuffle(np.arange(20640)).
    order = np.arange(20640)
    np.random.RandomState(113).shuffle(order)
    np.testing.assert_array_equal(x_train[0], sklearn_data.x[order[0]].astype(np.float32))
    np.testing.assert_allclose(y_test[-1], sklearn_data.y[order[-1]] * 1e5, rtol=1e-6)
    assert files_in(cache_folder()) == ["california_housing.npz"]
    california_housing.load_data()
    assert sklearn_data.calls == 1


def test_california_housing_small(sklearn_data):
    (x_train, _), (x_test, y_test) = california_housing.load_data(version="small")
    assert len(x_train) == 480 and x_test.shape == (120, 8) and y_test.shape == (120,)


def test_california_housing_from_a_file(tmp_path, rng):
    path = npz_of(tmp_path, x=rng.normal(size=(10, 8)), y=np.arange(10))
    (x, y), (_, y_test) = california_housing.load_data(path=path)
    assert x.shape == (8, 8) and sorted([*y, *y_test]) == list(range(10))


def test_california_housing_refuses_other_shapes(tmp_path, rng):
    with pytest.raises(CorruptFileError, match=r"expected x \(n, 8\) and y \(n,\), got \(10, 7\)"):
        california_housing.load_data(path=npz_of(tmp_path, x=np.ones((10, 7)), y=np.ones(10)))


def test_california_housing_refuses_another_version():
    with pytest.raises(ValueError, match="version: expected 'large' or 'small', got 'huge'"):
        california_housing.load_data("huge")


def test_california_housing_offline(sklearn_data, monkeypatch):
    def fail(**_):
        raise OSError("no route to host")

    monkeypatch.setattr(sklearn_data, "fetch_california_housing", fail)
    with pytest.raises(ConnectionError, match=r"got: no route to host\. .*put an NPZ file with x"):
        california_housing.load_data()
    assert files_in(cache_folder()) == []


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        digits.load_data()
