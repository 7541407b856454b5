"""Walk a program's records natively, on one thread or on a team that meets at barriers.

A program is a table of i64 words, one record after another. A kernel's record:

    0 address   1 units   2 grain   3 flags   4 words   5... operands, then parameters

Flag 1 asks for a barrier after the record. Shares of a kernel begin at multiples of `grain`; with
grain 0 one thread does all. Where the address is 0, word 1 says what the record is: `END`, whose
word 2 becomes 1, or `BRANCH`, whose words from 5 on are the number of a buffer that holds a bool, a
value, and the word at which the program goes on if they are equal. A flagged branch waits until all
threads have read the bool; without that, a barrier must come before the bool is written again.

All threads of a team walk all records. Each counts its barriers in a cache line of its own; a
barrier is over when the counts of all others have reached one's own. A program begins when the
count of thread 0, the caller, goes up by one, and so the workers need one place to look at.
"""

import ctypes
import functools
import platform
from typing import Any, NamedTuple

from minikeras.compiler.native import llvm

END, BRANCH = 0, 1
BARRIER = 1

LINE = 128
"""Bytes from one thread's counter to the next: processors fetch lines of 64 by twos."""
# Of the team's memory. One line: what changes for each program; then what never changes.
BUFFERS, RECORDS, TAKEN = 0, 8, 16
THREADS, IDLE_SPINS, WAIT_SPINS = LINE, LINE + 8, LINE + 16
YIELD, LOCK, UNLOCK, SLEEP, WAKE = (LINE + 24 + 8 * i for i in range(5))
SLEEPERS = 2 * LINE
MUTEX, CONDITION = 3 * LINE, 4 * LINE
COUNTERS = 5 * LINE
# Of a thread's own line, after its count of barriers.
NUMBER, TEAM = 8, 16


class Driver(NamedTuple):
    """The native entries; addresses are Python numbers."""

    run: Any
    """`(buffers, records)`: run a program on the calling thread; releases the GIL."""
    run_small: Any
    """Likewise, but keep the GIL: cheaper, for programs that take no longer than a few µs."""
    lead: Any
    """`(team, buffers, records)`: run a program as thread 0 of a team, which is true, or return
    false if another thread has the team; releases the GIL."""
    stop: Any
    """`(team)`: tell the workers to return, for good, or return false if the team is at work."""
    spin: Any
    """`(count)`: spin idly, to measure how long that takes."""
    worker: int
    """The address of what a worker does, given its line of the team's memory."""


@functools.cache
def driver() -> Driver:
    """Return the driver, compiled at the first call."""
    (begin,) = llvm.addresses([text()])
    entries = (ctypes.c_int64 * 5)()
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(begin)(ctypes.addressof(entries))
    alone, lead, stop, spin, worker = entries
    word = ctypes.c_void_p  # twice as fast as c_int64
    return Driver(
        run=ctypes.CFUNCTYPE(None, word, word)(alone),
        run_small=ctypes.PYFUNCTYPE(None, word, word)(alone),
        lead=ctypes.CFUNCTYPE(ctypes.c_int, word, word, word)(lead),
        stop=ctypes.CFUNCTYPE(ctypes.c_int, word)(stop),
        spin=ctypes.CFUNCTYPE(None, word)(spin),
        worker=worker,
    )


def text() -> str:
    """Write the module; its `@KERNEL` stores the addresses of the entries."""
    declaration, pause = _pause()
    alone = _walk("alone", "ptr %buffers, ptr %records", _WHOLE, "")
    team = _walk("team", "ptr %buffers, ptr %records, ptr %team, ptr %mine", _SHARE, _BARRIER)
    layout = {name.lower(): value for name, value in globals().items() if name in _LAYOUT}
    rest = _TEAM.format(pause=pause, **layout)
    return f"{declaration}\n{alone}\n{team}\n{rest}\n{_ENTRIES}"


_LAYOUT = """
    BUFFERS RECORDS TAKEN THREADS IDLE_SPINS WAIT_SPINS YIELD LOCK UNLOCK SLEEP WAKE SLEEPERS MUTEX
    CONDITION COUNTERS NUMBER TEAM LINE
""".split()


def _pause() -> tuple[str, str]:
    """Return how a processor is told that this is a spin loop: a declaration and a call."""
    kind = platform.machine().lower()
    if kind in {"x86_64", "amd64", "i686", "x86"}:
        return "declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"
    if kind in {"arm64", "aarch64"}:  # isb waits about as long as x86's pause; yield does nothing
        return "declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"
    return "", 'fence syncscope("singlethread") seq_cst'


def _walk(name: str, arguments: str, share: str, barrier: str) -> str:
    """Write the function that walks the records, given how work is shared and waited for."""
    wait = "  br i1 %flagged, label %barrier, label %next\nbarrier:" + barrier if barrier else ""
    return f"""
define internal void @{name}({arguments}) {{
entry:{_MEMBER if barrier else ""}
  br label %head
head:
  %record = phi ptr [ %records, %entry ], [ %following, %next ]
  %function = load ptr, ptr %record
  %units_at = getelementptr i64, ptr %record, i64 1
  %units = load i64, ptr %units_at
  %words_at = getelementptr i64, ptr %record, i64 4
  %words = load i64, ptr %words_at
  %behind = getelementptr i64, ptr %record, i64 %words
  %control = icmp eq ptr %function, null
  br i1 %control, label %special, label %kernel
special:
  %branch = icmp eq i64 %units, {BRANCH}
  br i1 %branch, label %decide, label %end
decide:
  %number_at = getelementptr i64, ptr %record, i64 5
  %number = load i64, ptr %number_at
  %value_at = getelementptr i64, ptr %record, i64 6
  %value = load i64, ptr %value_at
  %target_at = getelementptr i64, ptr %record, i64 7
  %target = load i64, ptr %target_at
  %pointer_at = getelementptr ptr, ptr %buffers, i64 %number
  %pointer = load ptr, ptr %pointer_at
  %byte = load i8, ptr %pointer
  %found = icmp ne i8 %byte, 0
  %wanted = icmp ne i64 %value, 0
  %same = icmp eq i1 %found, %wanted
  %elsewhere = getelementptr i64, ptr %records, i64 %target
  %chosen = select i1 %same, ptr %elsewhere, ptr %behind
  br label %after
kernel:{share}
  %some = icmp slt i64 %begin, %limit
  br i1 %some, label %call, label %after
call:
  call void %function(ptr %buffers, ptr %record, i64 %begin, i64 %limit)
  br label %after
after:
  %following = phi ptr [ %chosen, %decide ], [ %behind, %kernel ], [ %behind, %call ]
  %flags_at = getelementptr i64, ptr %record, i64 3
  %flags = load i64, ptr %flags_at
  %flag = and i64 %flags, {BARRIER}
  %flagged = icmp ne i64 %flag, 0
{wait or "  br label %next"}
next:
  br label %head
end:
  %over = getelementptr i64, ptr %record, i64 2
  store atomic i64 1, ptr %over monotonic, align 8
  ret void
}}"""


_WHOLE = """
  %begin = add i64 0, 0
  %limit = add i64 %units, 0"""

_MEMBER = f"""
  %t_at = getelementptr i8, ptr %mine, i64 {NUMBER}
  %t = load i64, ptr %t_at
  %threads_at = getelementptr i8, ptr %team, i64 {THREADS}
  %threads = load i64, ptr %threads_at"""

# share = ceil(ceil(units / grain) / threads) * grain; grain 0 means one share, of thread 0.
_SHARE = """
  %grain_at = getelementptr i64, ptr %record, i64 2
  %grain = load i64, ptr %grain_at
  %single = icmp eq i64 %grain, 0
  %atom = select i1 %single, i64 %units, i64 %grain
  %empty = icmp eq i64 %atom, 0
  %divisor = select i1 %empty, i64 1, i64 %atom
  %less = sub i64 %divisor, 1
  %more = add i64 %units, %less
  %blocks = udiv i64 %more, %divisor
  %blocks_less = sub i64 %threads, 1
  %blocks_more = add i64 %blocks, %blocks_less
  %each = udiv i64 %blocks_more, %threads
  %share = mul i64 %each, %divisor
  %start = mul i64 %t, %share
  %begin = call i64 @llvm.umin.i64(i64 %start, i64 %units)
  %stop = add i64 %begin, %share
  %limit = call i64 @llvm.umin.i64(i64 %stop, i64 %units)"""

_BARRIER = """
  call void @arrive(ptr %mine)
  call void @meet(ptr %team, ptr %mine)
  br label %next"""

# What the team's threads share. `seq_cst` in two places settles the race between a worker that
# falls asleep (it says so, then looks at the count) and a caller who begins (it raises the count,
# then looks for sleepers): at least one of them sees the other.
_TEAM = """
declare i64 @llvm.umin.i64(i64, i64)

define internal i64 @arrive(ptr %mine) alwaysinline {{
  %count = load i64, ptr %mine
  %one_more = add i64 %count, 1
  store atomic i64 %one_more, ptr %mine release, align 8
  ret i64 %one_more
}}

define internal void @meet(ptr %team, ptr %mine) alwaysinline {{
entry:
  %count = load i64, ptr %mine
  %threads_at = getelementptr i8, ptr %team, i64 {threads}
  %threads = load i64, ptr %threads_at
  %first = getelementptr i8, ptr %team, i64 {counters}
  br label %each
each:
  %t = phi i64 [ 0, %entry ], [ %t_next, %one ]
  %offset = mul i64 %t, {line}
  %other = getelementptr i8, ptr %first, i64 %offset
  call void @wait(ptr %team, ptr %other, i64 %count)
  br label %one
one:
  %t_next = add i64 %t, 1
  %more = icmp slt i64 %t_next, %threads
  br i1 %more, label %each, label %end
end:
  ret void
}}

define internal void @wait(ptr %team, ptr %counter, i64 %count) alwaysinline {{
entry:
  %limit_at = getelementptr i8, ptr %team, i64 {wait_spins}
  %limit = load i64, ptr %limit_at
  br label %look
look:
  %spins = phi i64 [ 0, %entry ], [ %spins_next, %pause ], [ 0, %yield ]
  %seen = load atomic i64, ptr %counter acquire, align 8
  %reached = icmp sge i64 %seen, %count
  br i1 %reached, label %end, label %again
again:
  %patient = icmp slt i64 %spins, %limit
  br i1 %patient, label %pause, label %yield
pause:
  {pause}
  %spins_next = add i64 %spins, 1
  br label %look
yield:
  %yield_at = getelementptr i8, ptr %team, i64 {yield}
  %give_way = load ptr, ptr %yield_at
  call i32 %give_way()
  br label %look
end:
  ret void
}}

define internal void @begin(ptr %team, ptr %buffers, ptr %records) {{
entry:
  %buffers_at = getelementptr i8, ptr %team, i64 {buffers}
  store ptr %buffers, ptr %buffers_at
  %records_at = getelementptr i8, ptr %team, i64 {records}
  store ptr %records, ptr %records_at
  %mine = getelementptr i8, ptr %team, i64 {counters}
  %count = load i64, ptr %mine
  %one_more = add i64 %count, 1
  store atomic i64 %one_more, ptr %mine seq_cst, align 8
  %sleepers_at = getelementptr i8, ptr %team, i64 {sleepers}
  %sleepers = load atomic i64, ptr %sleepers_at seq_cst, align 8
  %none = icmp eq i64 %sleepers, 0
  br i1 %none, label %end, label %wake
wake:
  %mutex = getelementptr i8, ptr %team, i64 {mutex}
  %condition = getelementptr i8, ptr %team, i64 {condition}
  %lock_at = getelementptr i8, ptr %team, i64 {lock}
  %lock = load ptr, ptr %lock_at
  call i32 %lock(ptr %mutex)
  %unlock_at = getelementptr i8, ptr %team, i64 {unlock}
  %unlock = load ptr, ptr %unlock_at
  call i32 %unlock(ptr %mutex)
  %broadcast_at = getelementptr i8, ptr %team, i64 {wake}
  %broadcast = load ptr, ptr %broadcast_at
  call i32 %broadcast(ptr %condition)
  br label %end
end:
  ret void
}}

define internal i1 @take(ptr %team) alwaysinline {{
  %taken_at = getelementptr i8, ptr %team, i64 {taken}
  %pair = cmpxchg ptr %taken_at, i64 0, i64 1 acquire monotonic, align 8
  %mine = extractvalue {{ i64, i1 }} %pair, 1
  ret i1 %mine
}}

define internal i32 @lead(ptr %team, ptr %buffers, ptr %records) {{
entry:
  %mine = getelementptr i8, ptr %team, i64 {counters}
  %free = call i1 @take(ptr %team)
  br i1 %free, label %go, label %end
go:
  call void @begin(ptr %team, ptr %buffers, ptr %records)
  call void @team(ptr %buffers, ptr %records, ptr %team, ptr %mine)
  call i64 @arrive(ptr %mine)
  call void @meet(ptr %team, ptr %mine)
  %taken_at = getelementptr i8, ptr %team, i64 {taken}
  store atomic i64 0, ptr %taken_at release, align 8
  br label %end
end:
  %done = zext i1 %free to i32
  ret i32 %done
}}

define internal i32 @stop(ptr %team) {{
entry:
  %free = call i1 @take(ptr %team)
  br i1 %free, label %go, label %end
go:
  call void @begin(ptr %team, ptr null, ptr null)
  br label %end
end:
  %done = zext i1 %free to i32
  ret i32 %done
}}

define internal ptr @worker(ptr %mine) {{
entry:
  %team_at = getelementptr i8, ptr %mine, i64 {team}
  %team = load ptr, ptr %team_at
  %leader = getelementptr i8, ptr %team, i64 {counters}
  %limit_at = getelementptr i8, ptr %team, i64 {idle_spins}
  %limit = load i64, ptr %limit_at
  br label %idle
idle:
  %count = call i64 @arrive(ptr %mine)
  br label %look
look:
  %spins = phi i64 [ 0, %idle ], [ %spins_next, %pause ]
  %seen = load atomic i64, ptr %leader acquire, align 8
  %begun = icmp sge i64 %seen, %count
  br i1 %begun, label %work, label %again
again:
  %patient = icmp slt i64 %spins, %limit
  br i1 %patient, label %pause, label %sleep
pause:
  {pause}
  %spins_next = add i64 %spins, 1
  br label %look
sleep:
  call void @doze(ptr %team, ptr %leader, i64 %count)
  br label %work
work:
  %records_at = getelementptr i8, ptr %team, i64 {records}
  %records = load ptr, ptr %records_at
  %over = icmp eq ptr %records, null
  br i1 %over, label %end, label %walk
walk:
  %buffers_at = getelementptr i8, ptr %team, i64 {buffers}
  %buffers = load ptr, ptr %buffers_at
  call void @team(ptr %buffers, ptr %records, ptr %team, ptr %mine)
  call i64 @arrive(ptr %mine)
  br label %idle
end:
  ret ptr null
}}

define internal void @doze(ptr %team, ptr %leader, i64 %count) {{
entry:
  %mutex = getelementptr i8, ptr %team, i64 {mutex}
  %condition = getelementptr i8, ptr %team, i64 {condition}
  %sleepers = getelementptr i8, ptr %team, i64 {sleepers}
  %lock_at = getelementptr i8, ptr %team, i64 {lock}
  %lock = load ptr, ptr %lock_at
  %unlock_at = getelementptr i8, ptr %team, i64 {unlock}
  %unlock = load ptr, ptr %unlock_at
  %sleep_at = getelementptr i8, ptr %team, i64 {sleep}
  %sleep = load ptr, ptr %sleep_at
  call i32 %lock(ptr %mutex)
  atomicrmw add ptr %sleepers, i64 1 seq_cst
  br label %look
look:
  %seen = load atomic i64, ptr %leader seq_cst, align 8
  %begun = icmp sge i64 %seen, %count
  br i1 %begun, label %end, label %rest
rest:
  call i32 %sleep(ptr %condition, ptr %mutex)
  br label %look
end:
  atomicrmw sub ptr %sleepers, i64 1 seq_cst
  call i32 %unlock(ptr %mutex)
  ret void
}}

define internal void @spin(i64 %count) {{
entry:
  br label %again
again:
  %i = phi i64 [ 0, %entry ], [ %next, %again ]
  {pause}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %again, label %end
end:
  ret void
}}"""

_ENTRIES = """
define void @KERNEL(ptr %entries) {
  store ptr @alone, ptr %entries
  %lead_at = getelementptr ptr, ptr %entries, i64 1
  store ptr @lead, ptr %lead_at
  %stop_at = getelementptr ptr, ptr %entries, i64 2
  store ptr @stop, ptr %stop_at
  %spin_at = getelementptr ptr, ptr %entries, i64 3
  store ptr @spin, ptr %spin_at
  %worker_at = getelementptr ptr, ptr %entries, i64 4
  store ptr @worker, ptr %worker_at
  ret void
}
"""
