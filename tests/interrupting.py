"""Interrupt code before any of its instructions, as a signal handler may."""

import contextlib
import sys
from types import SimpleNamespace


@contextlib.contextmanager
def interrupt(at, part):
    """Raise KeyboardInterrupt before the `at`-th instruction in files whose path holds `part`.

    It ends here. What is yielded says in `came` whether there were so many instructions.
    """
    found, count = SimpleNamespace(came=False), 0

    def trace(frame, event, _):
        nonlocal count
        if part not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        count += event == "opcode"
        if count == at:
            found.came = True
            raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        yield found
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
