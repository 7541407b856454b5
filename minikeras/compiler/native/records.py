"""Say what a program is, and write the function that walks through one.

A program is a table of i64 words, one record after another. A kernel's record:

    0 address   1 units   2 grain   3 flags   4 words   5... operands, then parameters

Flag 1 asks for a barrier after the record. Shares of a kernel begin at multiples of `grain`; with
grain 0 one thread does all. Where the address is 0, word 1 says what the record is: `END`, whose
word 2 becomes 1, or `BRANCH`, whose words from 5 on are the number of a buffer that holds a bool, a
value, and the word at which the program goes on if they are equal. A flagged branch waits until all
threads have read the bool; without that, a barrier must come before the bool is written again.
"""

END, BRANCH = 0, 1
BARRIER = 1
HEADER = 5
"""Words of a record before its operands."""


def walk(name: str, arguments: str, entry: str, share: str, wait: str) -> str:
    """Write a function that walks through the records at `%records`.

    Args:
        name: of the function.
        arguments: what it takes, `%buffers` and `%records` among that.
        entry: what comes first.
        share: finds `%begin` and `%limit`, between which units of the kernel at hand are done.
        wait: what comes after a record, if `%flagged` says that it asks for a barrier.
    """
    return f"""
define internal void @{name}({arguments}) {{
entry:{entry}
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
{wait}
next:
  br label %head
end:
  %over = getelementptr i64, ptr %record, i64 2
  store atomic i64 1, ptr %over monotonic, align 8
  ret void
}}"""
