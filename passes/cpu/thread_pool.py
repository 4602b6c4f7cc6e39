"""The thread pool that compiled programs run on, itself generated code.

    ix_pool_run(pool, task, args, chunks)   task(args, chunk, slot), once for each chunk
    ix_pool_threads(pool)                   how many threads share the chunks
    ix_pool_worker(worker)                  what each pthread runs
    ix_pool_stop(pool)                      sends the workers home; then join them

Workers are plain pthreads and never hold Python's GIL. All state is one 64-bit word,
the ticket {job number, chunks left}: a chunk is taken by compare-and-swap, so a worker
that wakes up late fails to take one and does no harm, the caller waits only for chunks
that were really taken, and a core slowed down by other processes takes fewer.

    caller    lock; write job; ticket = {job + 1, chunks}; wake who sleeps;
              take chunks; wait until `done` counts all; unlock
    worker    spin until the job number changes, or sleep on it; take chunks; again

A sleeping worker must not wake on the caller's core: a virtual machine marks a halted
core as preempted, the scheduler then takes it for busy, and both threads share one core
for up to 20 ms while the other idles. So a worker gives up the core that its caller
was last seen on before it sleeps, and a caller that has moved to a sleeper's core sends
the sleeper elsewhere. Nothing is done while workers spin, or as long as no one moves.
Source: Linux, kernel/sched/core.c, available_idle_cpu.

`slot` is 0 for the caller and i for worker i: the index of a thread's own scratch. The
caller runs every chunk itself, with slot 0, when there is no pool, one chunk, or
another caller in the pool. A task must not call `ix_pool_run`.
"""

from __future__ import annotations

from ix.passes.cpu.object_code import compile_object
from ix.target import Target

__all__ = ["compile_pool", "pool_ir"]

# Ticks of the time stamp counter that a worker waits for the next job before it sleeps:
# 150 to 250 us, by processor. To wake it takes 40 us, and between two calls lies what
# Python does: 60 us where the call before has emptied the caches.
PATIENCE = 500_000

# Pauses before the caller gives its core away to workers that it waits for: 30 to
# 150 us, by processor.
SPIN = 3000

# FUTEX_WAIT and FUTEX_WAKE on memory of one process; the numbers of the system calls.
# Source: Linux, include/uapi/linux/futex.h and arch/x86/entry/syscalls/syscall_64.tbl.
FUTEX, WAIT, WAKE = 202, 128, 129
SETAFFINITY, GETAFFINITY, GETTID = 203, 204, 186

# One cache line for each word that different threads write.
STATE_TYPES = """
; ticket: bits 0..31 chunks left, bits 32..63 number of the job
; state: 0 ticket, 64 done, 128 task, 136 args, 144 stop, 152 workers, 160 caller's core
;        192 sleepers, 256 lock, 320 the workers, 64 bytes each
; worker: 0 pool, 8 slot, 16 core to avoid, 20 thread, 24 core that it sleeps on
; cores are numbered from 1 here, so that 0 is none
"""

# An empty mask is refused, and so is a mask where the system has more than 1024 cores:
# then the worker stays where the scheduler puts it.
AVOID = """
define internal void @flip(ptr %mask, i32 %core, i1 %in) {
  %at = sub i32 %core, 1
  %word = lshr i32 %at, 6
  %bit = and i32 %at, 63
  %bit.wide = zext i32 %bit to i64
  %one = shl i64 1, %bit.wide
  %word.at = getelementptr i64, ptr %mask, i32 %word
  %old = load i64, ptr %word.at
  %rest = xor i64 %one, -1
  %without = and i64 %old, %rest
  %with = or i64 %old, %one
  %new = select i1 %in, i64 %with, i64 %without
  store i64 %new, ptr %word.at
  ret void
}

define internal void @avoid(ptr %worker, i32 %thread, i32 %core) {
entry:
  %mask = alloca [16 x i64], align 8
  store [16 x i64] zeroinitializer, ptr %mask
  %avoided.at = getelementptr i8, ptr %worker, i64 16
  %avoided = load atomic i32, ptr %avoided.at monotonic, align 4
  %known = icmp ult i32 %core, 1025
  %some = icmp ne i32 %core, 0
  %changed = icmp ne i32 %core, %avoided
  %useful.0 = and i1 %known, %some
  %useful = and i1 %useful.0, %changed
  br i1 %useful, label %read, label %end
read:
  %got = call i64 (i64, ...) @syscall(i64 GETAFFINITY, i32 %thread, i64 128,
      ptr %mask)
  %readable = icmp sgt i64 %got, 0
  br i1 %readable, label %give, label %end
give:
  %before = icmp ne i32 %avoided, 0
  br i1 %before, label %back, label %take
back:
  call void @flip(ptr %mask, i32 %avoided, i1 true)
  br label %take
take:
  call void @flip(ptr %mask, i32 %core, i1 false)
  %set = call i64 (i64, ...) @syscall(i64 SETAFFINITY, i32 %thread, i64 128,
      ptr %mask)
  %done = icmp eq i64 %set, 0
  br i1 %done, label %note, label %end
note:
  store atomic i32 %core, ptr %avoided.at monotonic, align 4
  br label %end
end:
  ret void
}

define internal i32 @this_core() {
  %cpu = call i32 @sched_getcpu()
  %core = add i32 %cpu, 1
  ret i32 %core
}
"""

SERIAL = """
define internal void @serial(ptr %task, ptr %args, i64 %chunks) {
entry:
  %some = icmp sgt i64 %chunks, 0
  br i1 %some, label %loop, label %end
loop:
  %chunk = phi i64 [ 0, %entry ], [ %next, %loop ]
  call void %task(ptr %args, i64 %chunk, i64 0)
  %next = add i64 %chunk, 1
  %more = icmp slt i64 %next, %chunks
  br i1 %more, label %loop, label %end
end:
  ret void
}
"""

TAKE = """
define internal void @take(ptr %pool, i64 %slot) {
entry:
  %done.at = getelementptr i8, ptr %pool, i64 64
  %task.at = getelementptr i8, ptr %pool, i64 128
  %args.at = getelementptr i8, ptr %pool, i64 136
  br label %look
look:
  %ticket = load atomic i64, ptr %pool acquire, align 8
  %left = and i64 %ticket, 4294967295
  %none = icmp eq i64 %left, 0
  br i1 %none, label %end, label %claim
claim:
  ; Read before the swap: it succeeds only while the job is still this one.
  %task = load atomic ptr, ptr %task.at monotonic, align 8
  %args = load atomic ptr, ptr %args.at monotonic, align 8
  %chunk = sub i64 %left, 1
  %fewer = sub i64 %ticket, 1
  %swap = cmpxchg ptr %pool, i64 %ticket, i64 %fewer acq_rel acquire
  %mine = extractvalue { i64, i1 } %swap, 1
  br i1 %mine, label %work, label %look
work:
  call void %task(ptr %args, i64 %chunk, i64 %slot)
  %count = atomicrmw add ptr %done.at, i64 1 release
  br label %look
end:
  ret void
}
"""

WORKER = """
define ptr @ix_pool_worker(ptr %worker) {
entry:
  %pool = load ptr, ptr %worker
  %slot.at = getelementptr i8, ptr %worker, i64 8
  %slot = load i64, ptr %slot.at
  %job.at = getelementptr i8, ptr %pool, i64 4
  %stop.at = getelementptr i8, ptr %pool, i64 144
  %sleepers = getelementptr i8, ptr %pool, i64 192
  %caller.at = getelementptr i8, ptr %pool, i64 160
  %thread.at = getelementptr i8, ptr %worker, i64 20
  %core.at = getelementptr i8, ptr %worker, i64 24
  %thread.wide = call i64 (i64, ...) @syscall(i64 GETTID)
  %thread = trunc i64 %thread.wide to i32
  store atomic i32 %thread, ptr %thread.at monotonic, align 4
  br label %wait
wait:
  %seen = phi i32 [ 0, %entry ], [ %job.new, %job ]
  %start = call i64 @llvm.readcyclecounter()
  br label %spin
spin:
  %job.now = load atomic i32, ptr %job.at acquire, align 4
  %same = icmp eq i32 %job.now, %seen
  br i1 %same, label %again, label %go
again:
  call void @llvm.x86.sse2.pause()
  %time = call i64 @llvm.readcyclecounter()
  %waiting = sub i64 %time, %start
  %tired = icmp ugt i64 %waiting, PATIENCE
  br i1 %tired, label %leave, label %spin
leave:
  %caller = load atomic i32, ptr %caller.at monotonic, align 4
  call void @avoid(ptr %worker, i32 %thread, i32 %caller)
  %core = call i32 @this_core()
  store atomic i32 %core, ptr %core.at release, align 4
  br label %sleep
sleep:
  %asleep = atomicrmw add ptr %sleepers, i32 1 seq_cst
  %waited = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %job.at, i64 WAIT,
      i32 %seen, ptr null, ptr null, i64 0)
  %awake = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  %job.then = load atomic i32, ptr %job.at acquire, align 4
  %spurious = icmp eq i32 %job.then, %seen
  br i1 %spurious, label %sleep, label %go
go:
  %job.new = phi i32 [ %job.now, %spin ], [ %job.then, %sleep ]
  %stop = load atomic i64, ptr %stop.at acquire, align 8
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %end, label %job
job:
  call void @take(ptr %pool, i64 %slot)
  br label %wait
end:
  ret ptr null
}
"""

RUN = """
define internal void @clear(ptr %pool, i32 %core) {
entry:
  %count.at = getelementptr i8, ptr %pool, i64 152
  %count = load i64, ptr %count.at
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %step ]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %look, label %end
look:
  %bytes = mul i64 %i, 64
  %offset = add i64 %bytes, 320
  %worker = getelementptr i8, ptr %pool, i64 %offset
  %thread.at = getelementptr i8, ptr %worker, i64 20
  %core.at = getelementptr i8, ptr %worker, i64 24
  %there = load atomic i32, ptr %core.at acquire, align 4
  %mine = icmp eq i32 %there, %core
  br i1 %mine, label %send, label %step
send:
  %thread = load atomic i32, ptr %thread.at monotonic, align 4
  call void @avoid(ptr %worker, i32 %thread, i32 %core)
  br label %step
step:
  %next = add i64 %i, 1
  br label %loop
end:
  ret void
}

define i64 @ix_pool_threads(ptr %pool) {
entry:
  %no.pool = icmp eq ptr %pool, null
  br i1 %no.pool, label %one, label %some
one:
  ret i64 1
some:
  %count.at = getelementptr i8, ptr %pool, i64 152
  %count = load i64, ptr %count.at
  %threads = add i64 %count, 1
  ret i64 %threads
}

define void @ix_pool_run(ptr %pool, ptr %task, ptr %args, i64 %chunks) {
entry:
  %no.pool = icmp eq ptr %pool, null
  %few = icmp slt i64 %chunks, 2
  %many = icmp sgt i64 %chunks, 4294967295
  %alone.0 = or i1 %no.pool, %few
  %alone = or i1 %alone.0, %many
  br i1 %alone, label %serial, label %lock
lock:
  %lock.at = getelementptr i8, ptr %pool, i64 256
  %locked = cmpxchg ptr %lock.at, i32 0, i32 1 acquire monotonic
  %got = extractvalue { i32, i1 } %locked, 1
  br i1 %got, label %share, label %serial
serial:
  call void @serial(ptr %task, ptr %args, i64 %chunks)
  ret void
share:
  %done.at = getelementptr i8, ptr %pool, i64 64
  %task.at = getelementptr i8, ptr %pool, i64 128
  %args.at = getelementptr i8, ptr %pool, i64 136
  store atomic ptr %task, ptr %task.at monotonic, align 8
  store atomic ptr %args, ptr %args.at monotonic, align 8
  store atomic i64 0, ptr %done.at monotonic, align 8
  %caller.at = getelementptr i8, ptr %pool, i64 160
  %core = call i32 @this_core()
  store atomic i32 %core, ptr %caller.at monotonic, align 4
  %old = load atomic i64, ptr %pool monotonic, align 8
  %next = add i64 %old, 4294967296
  %ticket = or i64 %next, %chunks
  store atomic i64 %ticket, ptr %pool seq_cst, align 8
  %sleepers.at = getelementptr i8, ptr %pool, i64 192
  %sleepers = load atomic i32, ptr %sleepers.at seq_cst, align 4
  %any = icmp ne i32 %sleepers, 0
  br i1 %any, label %clear, label %work
clear:
  call void @clear(ptr %pool, i32 %core)
  br label %wake
wake:
  %job.at = getelementptr i8, ptr %pool, i64 4
  %others = sub i64 %chunks, 1
  %fits = icmp slt i64 %others, 2147483647
  %helpers.wide = select i1 %fits, i64 %others, i64 2147483647
  %helpers = trunc i64 %helpers.wide to i32
  %woken = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %job.at, i64 WAKE,
      i32 %helpers, ptr null, ptr null, i64 0)
  br label %work
work:
  call void @take(ptr %pool, i64 0)
  br label %join
join:
  %spins = phi i32 [ 0, %work ], [ %more, %pause ], [ %spins, %yield ]
  %done = load atomic i64, ptr %done.at acquire, align 8
  %all = icmp eq i64 %done, %chunks
  br i1 %all, label %end, label %wait
wait:
  %long = icmp uge i32 %spins, SPIN
  br i1 %long, label %yield, label %pause
pause:
  call void @llvm.x86.sse2.pause()
  %more = add i32 %spins, 1
  br label %join
yield:
  %yielded = call i32 @sched_yield()
  br label %join
end:
  store atomic i32 0, ptr %lock.at release, align 4
  ret void
}
"""

# Keeps the lock: who still calls with this pool runs its chunks alone.
STOP = """
define void @ix_pool_stop(ptr %pool) {
entry:
  %lock.at = getelementptr i8, ptr %pool, i64 256
  br label %lock
lock:
  %locked = cmpxchg ptr %lock.at, i32 0, i32 1 acquire monotonic
  %got = extractvalue { i32, i1 } %locked, 1
  br i1 %got, label %stop, label %yield
yield:
  %yielded = call i32 @sched_yield()
  br label %lock
stop:
  %stop.at = getelementptr i8, ptr %pool, i64 144
  store atomic i64 1, ptr %stop.at release, align 8
  %job.at = getelementptr i8, ptr %pool, i64 4
  %job = atomicrmw add ptr %job.at, i32 1 seq_cst
  %woken = call i64 (i64, ...) @syscall(i64 FUTEX, ptr %job.at, i64 WAKE,
      i32 2147483647, ptr null, ptr null, i64 0)
  ret void
}
"""

DECLARATIONS = """
declare void @llvm.x86.sse2.pause()
declare i64 @llvm.readcyclecounter()
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
declare i32 @sched_getcpu()
"""

ALONE = """
define i64 @ix_pool_threads(ptr %pool) {
  ret i64 1
}

define void @ix_pool_run(ptr %pool, ptr %task, ptr %args, i64 %chunks) {
  call void @serial(ptr %task, ptr %args, i64 %chunks)
  ret void
}

define ptr @ix_pool_worker(ptr %worker) {
  ret ptr null
}

define void @ix_pool_stop(ptr %pool) {
  ret void
}
"""


def pool_ir(target: Target) -> str:
    """The pool as LLVM IR.

    Workers wait with Linux's futex and x86's pause: for any other target the text has
    the same functions, and the caller runs every chunk itself.
    """
    if "linux" not in target.triple or not target.triple.startswith("x86_64"):
        return SERIAL + ALONE
    text = STATE_TYPES + DECLARATIONS + SERIAL + AVOID + TAKE + WORKER + RUN + STOP
    for name, value in (
        ("PATIENCE", PATIENCE),
        ("SPIN", SPIN),
        ("FUTEX", FUTEX),
        ("WAIT", WAIT),
        ("WAKE", WAKE),
        ("SETAFFINITY", SETAFFINITY),
        ("GETAFFINITY", GETAFFINITY),
        ("GETTID", GETTID),
    ):
        text = text.replace(f" {name}", f" {value}")
    return text


def compile_pool(target: Target) -> bytes:
    """The pool as an object for `ix.runtime.elf`, alone or beside a program's own."""
    return compile_object(pool_ir(target), target, level=0)
