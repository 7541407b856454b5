"""Native code from IR text, kept on the disk, and run by one thread or several."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from minikeras import config
from minikeras.compiler.native import llvm, machine, records, sharing, store, threads
from minikeras.compiler.native.driver import driver
from minikeras.compiler.native.emit import Code
from tests.interrupting import interrupt

pytest.importorskip("llvmlite")
native = pytest.mark.skipif(not llvm.available(), reason="native code is switched off")
posix = pytest.mark.skipif(os.name != "posix", reason="needs fork, owners of files, pthreads")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def restored_threads():
    before = list(config._threads)
    yield
    config._threads[:] = before


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIKERAS_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("MINIKERAS_CACHE", raising=False)
        yield


# -- programs --------------------------------------------------------------------------------------


def fill(value):
    """Write the text of a kernel that sets an operand's numbers."""
    code = Code(1)
    target = code.operand(0)
    with code.loop(code.begin, code.end) as i:
        code.store(code.constant(value, "int64"), target, i)
    return code.finish()


def add():
    """Write the text of a kernel: first += second, in order or reversed by a parameter."""
    code = Code(2)
    first, second = code.operand(0), code.operand(1)
    last = code.parameter(0)  # -1: in order; else element i of the first meets last - i
    with code.loop(code.begin, code.end) as i:
        reverse = code.select(code.compare("lt", last, 0), i, code.sub(last, i))
        total = code.add(code.load(first, i, "int64"), code.load(second, reverse, "int64"))
        code.store(total, first, i)
    return code.finish()


def step():
    """Write the text of a kernel of one unit: counter += 1; again = counter < parameter."""
    code = Code(2)
    counter, again = code.operand(0), code.operand(1)
    count = code.add(code.load(counter, 0, "int64"), 1)
    code.store(count, counter, 0)
    code.store(code.compare("lt", count, code.parameter(0)), again, 0)
    return code.finish()


def owner():
    """Write the text of a kernel that adds 1 to the operand's number 0 for each call."""
    code = Code(1)
    target = code.operand(0)
    code.store(code.add(code.load(target, 0, "int64"), 1), target, 0)
    return code.finish()


def kernel(text, units, grain, words, barrier=True):
    (address,) = llvm.addresses([text])
    return [address, units, grain, records.BARRIER * barrier, 5 + len(words), *words]


def branch(buffer, value, target, barrier=False):
    return [0, records.BRANCH, 0, records.BARRIER * barrier, 8, buffer, value, target]


END = [0, records.END, 0, 0, 5]


class Program:
    """Records and arrays, kept alive, and their addresses."""

    def __init__(self, arrays, *records):
        self.arrays = arrays
        self.table = np.array([array.ctypes.data for array in arrays], np.int64)
        self.words = np.array([*(word for record in records for word in record), *END], np.int64)

    def run(self, parallel=True):
        run = threads.run if parallel else threads.run_alone
        run(self.table.ctypes.data, self.words.ctypes.data)

    def run_small(self):
        driver().run_small(self.table.ctypes.data, self.words.ctypes.data)


def loop(size=1000, grain=7, steps=50):
    """Return a program: sum = 1; do {a += reversed(sum); sum += a} `steps` times."""
    arrays = [np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros(1, np.int64)]
    arrays.append(np.zeros(1, np.bool_))
    head = [kernel(fill(1), size, grain, [0]), kernel(fill(0), 1, 0, [2])]
    start = sum(map(len, head))
    return Program(
        arrays,
        *head,
        kernel(add(), size, grain, [1, 0, size - 1]),
        kernel(add(), size, grain, [0, 1, -1], barrier=False),
        kernel(step(), 1, 0, [2, 3, steps]),
        branch(3, 1, start),
    )


def expected_loop(size=1000, steps=50):
    total, a = np.ones(size, np.int64), np.zeros(size, np.int64)
    for _ in range(steps):
        a += total[::-1]
        total += a
    return total


# -- machine and code ------------------------------------------------------------------------------


def test_machine_says_what_kernels_are_fitted_to():
    host = machine.host()
    assert host.vector_bytes in {16, 32, 64} and host.registers in {16, 32}
    assert host.lanes("float32") * 4 == host.lanes("float64") * 8 == host.vector_bytes
    assert 0 < host.l1 <= host.l2


@pytest.mark.parametrize(
    ("features", "arm", "expected"),
    [
        ("", False, (16, 16)),
        ("", True, (16, 32)),
        ("+avx,+avx2,+fma,-avx512f", False, (32, 16)),
        ("+avx,+avx512f,+fma", False, (64, 32)),
    ],
)
def test_vectors_follow_from_features(features, arm, expected):
    found = machine._described(features, arm, {1: 1, 2: 2})
    assert (found.vector_bytes, found.registers) == expected


def test_a_processor_without_fma_is_left_to_numpy(monkeypatch):
    for features, usable in (("+avx,+fma", True), ("+avx,-fma", False), ("+neon", True)):
        monkeypatch.setattr(llvm, "_features", lambda _, features=features: features)
        assert llvm._usable.__wrapped__() == usable


def test_caches_are_guessed_where_the_system_is_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_CACHES", tmp_path)
    monkeypatch.setattr(machine.sys, "platform", "linux")
    assert machine._caches() == machine._USUAL
    for number, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "64K"), ("3", "Unified", "2M")]
    ):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, content in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(content + "\n")
    assert machine._caches() == {1: 48 << 10, 2: machine._USUAL[2]}


def test_switch_of_native_code(monkeypatch):
    monkeypatch.setenv("MINIKERAS_JIT", "0")
    assert not llvm.available()
    monkeypatch.setenv("MINIKERAS_JIT", "off")
    with pytest.raises(ValueError, match="MINIKERAS_JIT: expected 0 or 1, got 'off'"):
        llvm.available()


@native
def test_a_text_is_compiled_once():
    first, second = llvm.addresses([fill(3), fill(4)])
    assert first != second
    assert llvm.addresses([fill(4), fill(3), fill(4)]) == [second, first, second]


@native
def test_helpers_are_inlined():
    code = Code(1)
    name = "define internal i64 @three() alwaysinline {\n  ret i64 3\n}"
    code.helpers["three"] = name
    code.store(code.op("call i64 @three()", "int64"), code.operand(0), 0)
    machine = llvm._machine(llvm._binding())
    assert "call" not in machine.emit_assembly(llvm._optimised(code.finish(), machine))
    program = Program([np.zeros(1, np.int64)], kernel(code.finish(), 1, 0, [0]))
    program.run()
    assert program.arrays[0][0] == 3


@native
def test_wrong_ir_is_an_error():
    with pytest.raises(RuntimeError, match="parsing error"):
        llvm.addresses(["define void @KERNEL() { nonsense }"])


@native
def test_products_and_sums_are_rounded_apart():
    code = Code(2)
    x, y = code.operand(0), code.operand(1)
    lanes = machine.host().lanes("float32")
    value = code.load(x, 0, "float32", lanes)
    code.store(code.sub(code.mul(value, value), code.constant(1, "float32", lanes)), y, 0)
    near_one = np.full(lanes, 1 + 2.0**-12, np.float32)
    result = np.zeros(lanes, np.float32)
    Program([near_one, result], kernel(code.finish(), 1, 0, [0, 1])).run()
    np.testing.assert_array_equal(result, near_one * near_one - np.float32(1))


@native
def test_constants_and_denormals_survive():
    code = Code(2)
    x, y = code.operand(0), code.operand(1)
    half = code.constant(0.5, "float32")
    code.store(code.mul(code.load(x, 0, "float32"), half), y, 0)
    tiny, result = np.array([1e-38], np.float32), np.zeros(1, np.float32)
    Program([tiny, result], kernel(code.finish(), 1, 0, [0, 1])).run()
    assert result[0] == np.float32(5e-39) and result[0] > 0


# -- driver and threads ----------------------------------------------------------------------------


@native
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_loop_is_the_same_on_any_number_of_threads(count):
    config.set_num_threads(count)
    program = loop()
    for _ in range(5):
        program.arrays[1][:] = 0
        program.run()
        np.testing.assert_array_equal(program.arrays[0], expected_loop())


@native
def test_run_small_and_alone():
    for run in (Program.run_small, lambda program: program.run(parallel=False)):
        program = loop()
        run(program)
        np.testing.assert_array_equal(program.arrays[0], expected_loop())


@native
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("units", "grain"), [(0, 0), (0, 4), (1, 4), (9, 4), (8, 100), (5, 1)])
def test_every_unit_is_done_once(count, units, grain):
    config.set_num_threads(count)
    arrays = [np.zeros(16, np.int64), np.arange(16)]
    Program(arrays, kernel(add(), units, grain, [0, 1, -1])).run()
    np.testing.assert_array_equal(arrays[0], np.where(np.arange(16) < units, np.arange(16), 0))


@native
def test_shares_begin_at_multiples_of_the_grain():
    config.set_num_threads(3)
    code = Code(1)
    target = code.operand(0)
    code.store(code.end, target, code.begin)
    ends = np.zeros(20, np.int64)
    Program([ends], kernel(code.finish(), 20, 4, [0])).run()
    assert {int(i): int(ends[i]) for i in ends.nonzero()[0]} == {0: 8, 8: 16, 16: 20}


@native
@pytest.mark.parametrize("count", [1, 3])
def test_grain_0_is_one_call(count):
    config.set_num_threads(count)
    calls = np.zeros(1, np.int64)
    Program([calls], *[kernel(owner(), 9, 0, [0], barrier=False)] * 30).run()
    assert calls[0] == 30


@native
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("value", [0, 1])
def test_branch_skips(count, value):
    config.set_num_threads(count)
    arrays = [np.array([True]), np.zeros(4, np.int64)]
    one, two = kernel(fill(1), 4, 1, [1]), kernel(fill(2), 2, 1, [1])
    Program(arrays, one, branch(0, value, 8 + len(one) + len(two), barrier=True), two).run()
    assert arrays[1].tolist() == ([1, 1, 1, 1] if value else [2, 2, 1, 1])


@native
def test_a_flagged_branch_may_be_followed_by_a_write_of_its_bool():
    config.set_num_threads(3)
    arrays = [np.zeros(1, np.int64), np.ones(1, np.bool_)]
    Program(arrays, kernel(step(), 1, 0, [0, 1, 2000]), branch(1, 1, 0, barrier=True)).run()
    assert arrays[0][0] == 2000


@native
def test_python_threads_run_programs_at_once():
    config.set_num_threads(2)
    programs, failures = [loop(), loop()], []

    def work(program):
        for _ in range(200):
            program.arrays[1][:] = 0
            program.run()
            if not np.array_equal(program.arrays[0], expected):
                failures.append(program)

    expected = expected_loop()
    workers = [threading.Thread(target=work, args=(program,)) for program in programs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


@native
def test_workers_that_slept_are_woken_every_time():
    config.set_num_threads(3)
    program = loop(steps=3)
    for turn in range(60):
        program.arrays[1][:] = 0
        program.run()
        assert program.arrays[0][0] == expected_loop(steps=3)[0]
        time.sleep(0.0001 * (turn % 5))  # some find workers spinning, some falling asleep


@native
def test_idle_workers_use_no_time():
    config.set_num_threads(3)
    loop().run()
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


@native
@posix
def test_number_of_threads_changes_the_team():
    program = loop()
    for count in (2, 4, 1, 3):
        config.set_num_threads(count)
        program.run()
        assert (threads._team.threads if threads._team else 1) == count


@native
def test_a_system_without_threads_left_runs_alone(monkeypatch, caplog):
    def refuse(self, worker, number, attributes):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(threads.Team, "_start", refuse)
    config.set_num_threads(2)
    threads._dismissed()
    program = loop()
    program.run()
    np.testing.assert_array_equal(program.arrays[0], expected_loop())
    assert "cannot start 1 more threads" in caplog.text
    assert config.get_num_threads() == 1


def _threads_of_the_system():
    folder = "/proc/self/task"
    return len(os.listdir(folder)) if os.path.isdir(folder) else 0


class Runs:
    """A clock, and what runs take by it, in ms: `shared` on all threads and `alone` on one."""

    def __init__(self, monkeypatch, shared, alone):
        self.now, self.shared, self.alone, self.ways = 0.0, shared, alone, ""
        self.turns = 1
        monkeypatch.setattr(sharing, "perf_counter", lambda: self.now)
        monkeypatch.setattr(threads, "run", lambda *_: self._pass("s", self.shared))
        monkeypatch.setattr(threads, "run_alone", lambda *_: self._pass("a", self.alone))
        self._run = sharing.Sharing(0, 0).run

    def _pass(self, way, took):
        self.now += took / 1e3
        self.ways += way

    def __call__(self, count):
        self.ways = ""
        for _ in range(count):
            self._run(self.turns)
        return self.ways


def test_programs_are_shared_unless_one_thread_is_quicker(monkeypatch):
    config.set_num_threads(2)
    runs = Runs(monkeypatch, shared=5, alone=9)
    assert runs(50) == "sa" + 48 * "s"
    runs.shared = 100  # others want the cores
    assert runs(200).count("s") < 10
    runs.shared = 5
    assert "sss" in runs(1000)
    assert runs(20) == 20 * "s"


def test_programs_that_gain_nothing_by_threads_run_on_one(monkeypatch):
    runs = Runs(monkeypatch, shared=8, alone=4)
    ways = runs(1000)
    assert ways.startswith("sa") and ways.count("s") < 50


def test_a_run_that_does_much_is_judged_by_what_it_does_once(monkeypatch):
    runs = Runs(monkeypatch, shared=5, alone=9)
    runs(20)
    runs.shared, runs.turns = 50, 10
    assert runs(20) == 20 * "s"
    runs.shared = 500
    assert "aaaa" in runs(20)


def test_long_programs_are_not_tried_on_one_thread_for_nothing(monkeypatch):
    assert "a" not in Runs(monkeypatch, shared=100, alone=190)(20)


@native
@posix
def test_an_interrupt_anywhere_leaves_no_thread_behind(monkeypatch):
    """Raise before the n-th instruction, for every n, while one team makes way for another."""

    def interrupted(at):
        try:
            with interrupt(at, threads.__file__) as found:
                program.run()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)  # no real one comes while all wait
        return found.came

    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)  # Python ignores it in __del__
    # A tracer may raise where no signal comes: at the end of `with`, which then keeps its lock.
    monkeypatch.setattr(threads, "_hiring", threading.RLock())
    program, at, before = loop(steps=3), 1, _threads_of_the_system()
    config.set_num_threads(2)
    while interrupted(at):
        program.arrays[1][:] = 0
        program.run()
        np.testing.assert_array_equal(program.arrays[0], expected_loop(steps=3))
        assert threads._team.threads == config.get_num_threads()
        at += 1
        config.set_num_threads(2 + at % 2)
    assert at > 200
    assert threads._dismissed() and _threads_of_the_system() <= before


@pytest.mark.parametrize("count", [0, -1, 10**9])
def test_number_of_threads_is_checked(count):
    with pytest.raises(ValueError, match=f"set_num_threads: expected 1 to 1024, got {count}"):
        config.set_num_threads(count)


@pytest.mark.parametrize("count", [2.5, "3", None])
def test_number_of_threads_is_an_integer(count):
    with pytest.raises(TypeError, match=f"set_num_threads: expected an integer, got {count!r}"):
        config.set_num_threads(count)


def test_number_of_threads_from_the_environment(monkeypatch):
    config._threads.clear()
    monkeypatch.setenv("MINIKERAS_NUM_THREADS", "3")
    assert config.get_num_threads() == 3
    for wrong in ("0", "many", "1000000000"):
        config._threads.clear()
        monkeypatch.setenv("MINIKERAS_NUM_THREADS", wrong)
        with pytest.raises(ValueError, match="MINIKERAS_NUM_THREADS: expected 1 to 1024"):
            config.get_num_threads()
    monkeypatch.delenv("MINIKERAS_NUM_THREADS")
    assert 1 <= config.get_num_threads() <= os.cpu_count()


# -- other processes -------------------------------------------------------------------------------


def python(script, folder=None, **environment):
    """Run a script that may use this file's programs; return what it prints."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    if folder:
        env["MINIKERAS_CACHE_DIR"] = str(folder)
    script = "from test_compiler_runtime import *\n" + textwrap.dedent(script)
    command = [sys.executable, "-W", "error::DeprecationWarning", "-c", script]
    done = subprocess.run(
        command, env={**env, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@native
@posix
def test_fork_leaves_both_sides_able_to_run():
    script = """
        config.set_num_threads(2)
        program = loop()
        program.run()
        child = os.fork()
        program.arrays[1][:] = 0
        program.run()
        right = np.array_equal(program.arrays[0], expected_loop())
        if not child:
            os._exit(0 if right and threads._team.threads == 2 else 1)
        print(right, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    assert python(script) == "True 0"


@native
@posix
def test_fork_while_another_thread_runs_a_program():
    script = """
        import warnings
        warnings.simplefilter("ignore")
        config.set_num_threads(2)
        busy = loop(steps=200)
        over = threading.Event()
        def work():
            while not over.is_set():
                busy.run()
        worker = threading.Thread(target=work)
        worker.start()
        codes = []
        for _ in range(20):
            child = os.fork()
            if not child:
                program = loop()
                program.run()
                os._exit(0 if np.array_equal(program.arrays[0], expected_loop()) else 1)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        over.set()
        worker.join()
        print(sum(codes))
    """
    assert python(script) == "0"


@native
@pytest.mark.parametrize("rest", ["0", "0.01"])
def test_exit_with_live_workers_is_prompt(rest):
    script = f"""
        config.set_num_threads(3)
        loop().run()
        time.sleep({rest})
        print(time.time())
    """
    end = float(python(script))
    assert time.time() - end < 2


@native
def test_programs_after_the_exit_functions_run_alone():
    script = """
        import atexit
        config.set_num_threads(2)
        loop().run()
        atexit._run_exitfuncs()
        program = loop()
        program.run()
        print(threads._team, np.array_equal(program.arrays[0], expected_loop()))
    """
    assert python(script) == "None True"


@native
def test_exit_while_a_daemon_thread_runs_programs():
    script = """
        config.set_num_threads(2)
        program = loop()
        def work():
            while True:
                program.run()
        threading.Thread(target=work, daemon=True).start()
        time.sleep(0.05)
        print("out")
    """
    assert python(script) == "out"


@native
@posix
def test_interrupt_comes_after_the_program():
    script = """
        import signal
        config.set_num_threads(2)
        program = loop(size=20000, steps=4000)
        loop().run()
        threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            program.run()
            time.sleep(5)
        except KeyboardInterrupt:
            print(np.array_equal(program.arrays[0], expected_loop(20000, 4000)))
        after = loop()
        after.run()
        print(np.array_equal(after.arrays[0], expected_loop()), threads._team.threads)
    """
    assert python(script) == "True\nTrue 2"


COUNTED = """
    compiled = []
    real = llvm._compiled
    llvm._compiled = lambda text: compiled.append(text) or real(text)
    program = Program([np.zeros(3, np.int64)], kernel(fill(42), 3, 1, [0]))
    program.run(parallel=False)
    print(program.arrays[0].tolist(), len(compiled))
"""
COMPILED, LOADED = "[42, 42, 42] 2", "[42, 42, 42] 0"  # the kernel and the driver


@native
def test_second_process_finds_the_code(tmp_path):
    folder = tmp_path / "deep" / "cache"
    assert python(COUNTED, folder) == COMPILED
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert python(COUNTED, folder) == LOADED
    assert not list(folder.glob("*.tmp"))


@native
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:200] + bytes([content[200] ^ 1]) + content[201:],
        lambda content: b"x" + content[1:],
    ],
    ids=["truncated", "empty", "header only", "one bit", "other kind"],
)
def test_damaged_entries_are_compiled_anew(tmp_path, damage):
    assert python(COUNTED, tmp_path) == COMPILED
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for path, content in before.items():
        path.write_bytes(damage(content))
    assert python(COUNTED, tmp_path) == COMPILED
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@native
def test_entries_cannot_stand_in_for_each_other(tmp_path):
    python(COUNTED, tmp_path)
    one, two = tmp_path.iterdir()
    one.write_bytes(two.read_bytes())
    assert python(COUNTED, tmp_path) == "[42, 42, 42] 1"


@native
def test_cache_can_be_switched_off(tmp_path):
    assert python(COUNTED, tmp_path, MINIKERAS_CACHE="0") == COMPILED
    assert not list(tmp_path.iterdir())


@native
@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_is_harmless(tmp_path):
    tmp_path.chmod(0o500)
    assert python(COUNTED, tmp_path) == COMPILED
    tmp_path.chmod(0o700)
    assert not list(tmp_path.iterdir())


@native
def test_a_disk_that_refuses_is_harmless(tmp_path):
    script = """
        def refuse(*arguments, **options):
            raise OSError(28, "No space left on device")
        store.tempfile.mkstemp = refuse
    """
    assert python(textwrap.dedent(script) + textwrap.dedent(COUNTED), tmp_path) == COMPILED
    assert not list(tmp_path.iterdir())


@posix
def test_an_entry_that_others_may_write_is_not_read(tmp_path):
    name = store.key("text")
    store.write(tmp_path, name, b"code")
    assert store.read(tmp_path, name) == b"code"
    (tmp_path / name).chmod(0o622)
    assert store.read(tmp_path, name) is None


@posix
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_folder_open_to_others_is_refused(tmp_path, monkeypatch, mode):
    monkeypatch.setenv("MINIKERAS_CACHE_DIR", str(tmp_path))
    tmp_path.chmod(0o755)
    assert store.folder() == tmp_path
    tmp_path.chmod(mode)
    assert store.folder() is None
    tmp_path.chmod(0o700)


@posix
def test_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIKERAS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(store.os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert store.folder() is None


def test_no_folder_where_a_file_is_in_the_way(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINIKERAS_CACHE_DIR", str(tmp_path / "file"))
    assert store.folder() is None


@posix
def test_usual_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("MINIKERAS_CACHE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(store.sys, "platform", "darwin")
    assert store.folder() == tmp_path / "Library" / "Caches" / "minikeras"
    monkeypatch.setattr(store.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert store.folder() == tmp_path / ".cache" / "minikeras"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert store.folder() == tmp_path / "xdg" / "minikeras"


def test_size_is_bounded_and_the_oldest_go_first(tmp_path):
    for age in range(10):
        store.write(tmp_path, f"entry{age}", bytes(1000))
        os.utime(tmp_path / f"entry{age}", (1e9 - age, 1e9 - age))
    assert store.read(tmp_path, "entry9") == bytes(1000)  # and so it is in use
    store.shrink(tmp_path, 20_000)
    assert len(list(tmp_path.iterdir())) == 10
    store.shrink(tmp_path, 8000)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"entry9", "entry0", "entry1", "entry2", "entry3"}


def test_size_is_looked_at_while_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "LIMIT", 10_000)
    monkeypatch.setattr(store, "_writes", 0)
    for number in range(2 * store._WRITES_BETWEEN_LOOKS + 1):
        store.write(tmp_path, f"entry{number}", bytes(1000))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000


def test_keys_tell_everything_apart():
    assert store.key("ab", "c") != store.key("a", "bc")
    assert store.key("a\0b") != store.key("a", "b")
