"""Interrupt code before any of its instructions or lines, as a signal handler may."""

import contextlib
import gc
import sys
from pathlib import Path
from types import SimpleNamespace

import minikeras

PACKAGE = str(Path(minikeras.__file__).parent)


@contextlib.contextmanager
def interrupt(at, inside=PACKAGE, before="opcode"):
    """Raise KeyboardInterrupt before the `at`-th "opcode" or "line" in files `inside` a path.

    It ends here. What is yielded says in `came` whether there were so many of them. No garbage is
    collected meanwhile: its callbacks run at any moment, and Python drops what they raise.
    """
    found, count = SimpleNamespace(came=False), 0

    def trace(frame, event, _):
        nonlocal count
        if not frame.f_code.co_filename.startswith(inside):
            return None
        frame.f_trace_opcodes = before == "opcode"
        count += event == before
        if count == at and not found.came:
            found.came = True
            raise KeyboardInterrupt
        return trace

    collects, tracer = gc.isenabled(), sys.gettrace()
    gc.disable()
    sys.settrace(trace)
    try:
        yield found
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(tracer)
        if collects:
            gc.enable()
