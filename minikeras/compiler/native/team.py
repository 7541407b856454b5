"""Write how the threads of a team share a program, meet at barriers, sleep and wake up.

All threads of a team walk all records. Each counts its barriers in a cache line of its own; a
barrier is over when the counts of all others have reached one's own. A program begins when the
count of thread 0, the caller, goes up by one, and so the workers need one place to look at.
"""

import platform

from minikeras.compiler.native.records import walk

LINE = 128
"""Bytes from one thread's counter to the next: processors fetch lines of 64 by twos."""
# Of the team's memory. One line: what changes for each program; then what never changes.
BUFFERS, RECORDS, TAKEN = 0, 8, 16
THREADS, SPINS, LOCK, UNLOCK, SLEEP, WAKE = (LINE + 8 * i for i in range(6))
SLEEPERS = 2 * LINE
MUTEX, CONDITION = 3 * LINE, 4 * LINE
COUNTERS = 5 * LINE
# Of a thread's own line, after its count of barriers.
NUMBER, TEAM = 8, 16


def text() -> str:
    """Write the functions of a team: `@lead`, `@stop`, `@worker`, and `@spin`."""
    arguments = "ptr %buffers, ptr %records, ptr %team, ptr %mine"
    return f"{_DECLARATION}\n{walk('team', arguments, _MEMBER, _SHARE, _BARRIER)}\n{_TOGETHER}"


def _pause() -> tuple[str, str]:
    """Return how a processor is told that this is a spin loop: a declaration and a call."""
    kind = platform.machine().lower()
    if kind in {"x86_64", "amd64", "i686", "x86"}:
        return "declare void @llvm.x86.sse2.pause()", "call void @llvm.x86.sse2.pause()"
    if kind in {"arm64", "aarch64"}:  # isb waits about as long as x86's pause; yield does nothing
        return "declare void @llvm.aarch64.isb(i32)", "call void @llvm.aarch64.isb(i32 15)"
    return "", 'fence syncscope("singlethread") seq_cst'


_DECLARATION, _PAUSE = _pause()

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
  br i1 %flagged, label %barrier, label %next
barrier:
  call i64 @arrive(ptr %team, ptr %mine)
  call void @meet(ptr %team, ptr %mine)
  br label %next"""

# A thread that waits spins for a while and then sleeps, so that others may have its core: who
# sleeps is given one soon after being woken up, who merely yields is the last in the queue.
# `seq_cst` in two places settles the race between one that falls asleep (it says so, then looks at
# the count) and one that arrives (it raises its count, then looks for sleepers): at least one of
# them sees the other.
_TOGETHER = f"""
declare i64 @llvm.umin.i64(i64, i64)

define internal i64 @arrive(ptr %team, ptr %mine) alwaysinline {{
entry:
  %count = load i64, ptr %mine
  %one_more = add i64 %count, 1
  store atomic i64 %one_more, ptr %mine seq_cst, align 8
  %sleepers_at = getelementptr i8, ptr %team, i64 {SLEEPERS}
  %sleepers = load atomic i64, ptr %sleepers_at seq_cst, align 8
  %none = icmp eq i64 %sleepers, 0
  br i1 %none, label %end, label %wake
wake:
  call void @wake(ptr %team)
  br label %end
end:
  ret i64 %one_more
}}

define internal void @wake(ptr %team) noinline {{
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %condition = getelementptr i8, ptr %team, i64 {CONDITION}
  %lock_at = getelementptr i8, ptr %team, i64 {LOCK}
  %lock = load ptr, ptr %lock_at
  call i32 %lock(ptr %mutex)
  %unlock_at = getelementptr i8, ptr %team, i64 {UNLOCK}
  %unlock = load ptr, ptr %unlock_at
  call i32 %unlock(ptr %mutex)
  %broadcast_at = getelementptr i8, ptr %team, i64 {WAKE}
  %broadcast = load ptr, ptr %broadcast_at
  call i32 %broadcast(ptr %condition)
  ret void
}}

define internal void @meet(ptr %team, ptr %mine) alwaysinline {{
entry:
  %count = load i64, ptr %mine
  %threads_at = getelementptr i8, ptr %team, i64 {THREADS}
  %threads = load i64, ptr %threads_at
  %first = getelementptr i8, ptr %team, i64 {COUNTERS}
  br label %each
each:
  %t = phi i64 [ 0, %entry ], [ %t_next, %one ]
  %offset = mul i64 %t, {LINE}
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
  %limit_at = getelementptr i8, ptr %team, i64 {SPINS}
  %limit = load i64, ptr %limit_at
  br label %look
look:
  %spins = phi i64 [ 0, %entry ], [ %spins_next, %pause ]
  %seen = load atomic i64, ptr %counter acquire, align 8
  %reached = icmp sge i64 %seen, %count
  br i1 %reached, label %end, label %again
again:
  %patient = icmp slt i64 %spins, %limit
  br i1 %patient, label %pause, label %sleep
pause:
  {_PAUSE}
  %spins_next = add i64 %spins, 1
  br label %look
sleep:
  call void @doze(ptr %team, ptr %counter, i64 %count)
  br label %end
end:
  ret void
}}

define internal void @begin(ptr %team, ptr %buffers, ptr %records) {{
  %buffers_at = getelementptr i8, ptr %team, i64 {BUFFERS}
  store ptr %buffers, ptr %buffers_at
  %records_at = getelementptr i8, ptr %team, i64 {RECORDS}
  store ptr %records, ptr %records_at
  %mine = getelementptr i8, ptr %team, i64 {COUNTERS}
  call i64 @arrive(ptr %team, ptr %mine)
  ret void
}}

define internal i1 @take(ptr %team) alwaysinline {{
  %taken_at = getelementptr i8, ptr %team, i64 {TAKEN}
  %pair = cmpxchg ptr %taken_at, i64 0, i64 1 acquire monotonic, align 8
  %mine = extractvalue {{ i64, i1 }} %pair, 1
  ret i1 %mine
}}

define internal i32 @lead(ptr %team, ptr %buffers, ptr %records) {{
entry:
  %mine = getelementptr i8, ptr %team, i64 {COUNTERS}
  %free = call i1 @take(ptr %team)
  br i1 %free, label %go, label %end
go:
  call void @begin(ptr %team, ptr %buffers, ptr %records)
  call void @team(ptr %buffers, ptr %records, ptr %team, ptr %mine)
  call i64 @arrive(ptr %team, ptr %mine)
  call void @meet(ptr %team, ptr %mine)
  %taken_at = getelementptr i8, ptr %team, i64 {TAKEN}
  store atomic i64 0, ptr %taken_at release, align 8
  br label %end
end:
  %done = zext i1 %free to i32
  ret i32 %done
}}

define internal i32 @stop(ptr %team) {{
entry:
  %taken_at = getelementptr i8, ptr %team, i64 {TAKEN}
  %pair = cmpxchg ptr %taken_at, i64 0, i64 2 acquire monotonic, align 8
  %before = extractvalue {{ i64, i1 }} %pair, 0
  %free = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %free, label %go, label %end
go:
  call void @begin(ptr %team, ptr null, ptr null)
  br label %end
end:
  %busy = icmp eq i64 %before, 1
  %done = select i1 %busy, i32 0, i32 1
  ret i32 %done
}}

define internal ptr @worker(ptr %mine) {{
entry:
  %team_at = getelementptr i8, ptr %mine, i64 {TEAM}
  %team = load ptr, ptr %team_at
  %leader = getelementptr i8, ptr %team, i64 {COUNTERS}
  br label %idle
idle:
  %count = call i64 @arrive(ptr %team, ptr %mine)
  call void @wait(ptr %team, ptr %leader, i64 %count)
  %records_at = getelementptr i8, ptr %team, i64 {RECORDS}
  %records = load ptr, ptr %records_at
  %over = icmp eq ptr %records, null
  br i1 %over, label %end, label %walk
walk:
  %buffers_at = getelementptr i8, ptr %team, i64 {BUFFERS}
  %buffers = load ptr, ptr %buffers_at
  call void @team(ptr %buffers, ptr %records, ptr %team, ptr %mine)
  call i64 @arrive(ptr %team, ptr %mine)
  br label %idle
end:
  ret ptr null
}}

define internal void @doze(ptr %team, ptr %counter, i64 %count) noinline {{
entry:
  %mutex = getelementptr i8, ptr %team, i64 {MUTEX}
  %condition = getelementptr i8, ptr %team, i64 {CONDITION}
  %sleepers = getelementptr i8, ptr %team, i64 {SLEEPERS}
  %lock_at = getelementptr i8, ptr %team, i64 {LOCK}
  %lock = load ptr, ptr %lock_at
  %unlock_at = getelementptr i8, ptr %team, i64 {UNLOCK}
  %unlock = load ptr, ptr %unlock_at
  %sleep_at = getelementptr i8, ptr %team, i64 {SLEEP}
  %sleep = load ptr, ptr %sleep_at
  call i32 %lock(ptr %mutex)
  atomicrmw add ptr %sleepers, i64 1 seq_cst
  br label %look
look:
  %seen = load atomic i64, ptr %counter seq_cst, align 8
  %reached = icmp sge i64 %seen, %count
  br i1 %reached, label %end, label %rest
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
  {_PAUSE}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %again, label %end
end:
  ret void
}}"""
