"""The thread pool: every chunk runs once, no slot is used twice at a time."""

import ctypes
import functools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ix.errors import InputError
from ix.passes.cpu.object_code import compile_object
from ix.passes.cpu.thread_pool import compile_pool, pool_ir
from ix.runtime.elf import LoadedCode, load_object
from ix.runtime.pool import Pool, default_threads, shared_pool
from ix.target import Target

HOST = Target.parse("cpu")

# args: {counts, busy, violations, slots}. A chunk counts itself, and its slot must be
# free and in range. @jobs runs `n` jobs of 1..63 chunks and checks the counts of each.
CHECKED = """
declare void @ix_pool_run(ptr, ptr, ptr, i64)

define internal void @violate(ptr %args, i1 %wrong) {
  %at = getelementptr ptr, ptr %args, i64 2
  %violations = load ptr, ptr %at
  %one = zext i1 %wrong to i64
  %old = atomicrmw add ptr %violations, i64 %one monotonic
  ret void
}

define void @task(ptr %args, i64 %chunk, i64 %slot) {
entry:
  %counts = load ptr, ptr %args
  %busy.at = getelementptr ptr, ptr %args, i64 1
  %busy = load ptr, ptr %busy.at
  %slots.at = getelementptr ptr, ptr %args, i64 3
  %slots = load i64, ptr %slots.at
  %outside = icmp uge i64 %slot, %slots
  call void @violate(ptr %args, i1 %outside)
  %mine = getelementptr i64, ptr %busy, i64 %slot
  %before = atomicrmw xchg ptr %mine, i64 1 acq_rel
  %taken = icmp ne i64 %before, 0
  call void @violate(ptr %args, i1 %taken)
  %count = getelementptr i64, ptr %counts, i64 %chunk
  %old = atomicrmw add ptr %count, i64 1 monotonic
  store atomic i64 0, ptr %mine release, align 8
  ret void
}

define void @jobs(ptr %pool, ptr %args, i64 %n, i64 %seed) {
entry:
  %counts = load ptr, ptr %args
  br label %job
job:
  %i = phi i64 [ 0, %entry ], [ %i.next, %checked ]
  %x = phi i64 [ %seed, %entry ], [ %x.next, %checked ]
  %x.times = mul i64 %x, 6364136223846793005
  %x.next = add i64 %x.times, 1442695040888963407
  %x.high = lshr i64 %x.next, 40
  %x.mod = urem i64 %x.high, 63
  %chunks = add i64 %x.mod, 1
  call void @ix_pool_run(ptr %pool, ptr @task, ptr %args, i64 %chunks)
  br label %check
check:
  %c = phi i64 [ 0, %job ], [ %c.next, %check ]
  %at = getelementptr i64, ptr %counts, i64 %c
  %got = load i64, ptr %at
  %within = icmp ult i64 %c, %chunks
  %wanted = zext i1 %within to i64
  %wrong = icmp ne i64 %got, %wanted
  call void @violate(ptr %args, i1 %wrong)
  store i64 0, ptr %at
  %c.next = add i64 %c, 1
  %c.more = icmp ult i64 %c.next, 64
  br i1 %c.more, label %check, label %checked
checked:
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %n
  br i1 %more, label %job, label %end
end:
  ret void
}
"""


@functools.cache
def pool_code() -> bytes:
    return compile_pool(HOST)


@functools.cache
def checked() -> LoadedCode:
    return load_object(compile_object(CHECKED, HOST), pool_code())


class Jobs:
    """Checked jobs of one caller; `violations` counts what went wrong."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.counts, self.busy = np.zeros(64, np.int64), np.zeros(1024, np.int64)
        self.wrong = np.zeros(1, np.int64)
        pointers = [x.ctypes.data for x in (self.counts, self.busy, self.wrong)]
        self.args = np.array([*pointers, pool.threads], np.uint64)
        kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self.call = ctypes.CFUNCTYPE(None, *kinds)(checked().address("jobs"))

    def run(self, count: int, seed: int = 1) -> None:
        self.call(self.pool.address, self.args.ctypes.data, count, seed)

    @property
    def violations(self) -> int:
        return int(self.wrong[0])


@pytest.mark.parametrize(
    ("threads", "jobs"), [(1, 20_000), (2, 60_000), (4, 40_000), (8, 20_000)]
)
def test_every_chunk_runs_once_in_a_free_slot(threads: int, jobs: int) -> None:
    pool = Pool(threads, pool_code())
    checks = Jobs(pool)
    checks.run(jobs, seed=threads)
    pool.close()
    assert checks.violations == 0


def test_the_checks_can_fail() -> None:
    pool = Pool(2, pool_code())
    checks = Jobs(pool)
    checks.args[3] = 1  # the worker's slot is now out of range
    for seed in range(200):
        checks.run(2000, seed)
        if checks.violations:
            break
        time.sleep(0.001)
    pool.close()
    assert checks.violations > 0, "no job was ever shared with the worker"


def test_work_is_shared() -> None:
    spin = """
    define void @spin(ptr %slots, i64 %chunk, i64 %slot) {
    entry:
      %at = getelementptr i64, ptr %slots, i64 %slot
      %old = atomicrmw add ptr %at, i64 1 monotonic
      br label %loop
    loop:
      %i = phi i64 [ 0, %entry ], [ %next, %loop ]
      %next = add i64 %i, 1
      store volatile i64 %i, ptr %at
      %more = icmp ult i64 %next, 2000000
      br i1 %more, label %loop, label %end
    end:
      ret void
    }"""
    code = load_object(compile_object(spin, HOST))
    pool = Pool(3, pool_code())
    slots = np.zeros(3, np.int64)
    for _ in range(50):
        pool.run(code.address("spin"), slots.ctypes.data, 24)
        if slots.all():
            break
    pool.close()
    assert slots.all(), "a thread never took a chunk"


def test_workers_that_slept_wake_up() -> None:
    pool = Pool(4, pool_code())
    checks = Jobs(pool)
    for seed in range(60):
        time.sleep(0.002)
        checks.run(5, seed)
    pool.close()
    assert checks.violations == 0


def asleep(thread: int) -> set[int]:
    """The cores that a thread may run on, as soon as it sleeps."""
    deadline = time.monotonic() + 20
    stat = Path(f"/proc/self/task/{thread}/stat")
    while stat.read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < deadline, "the worker never sleeps"
        time.sleep(0.005)
    return os.sched_getaffinity(thread)


@pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="with one core there is no other"
)
def test_a_sleeping_worker_leaves_its_callers_core() -> None:
    allowed = os.sched_getaffinity(0)
    first, second, *_ = sorted(allowed)
    before = set(os.listdir("/proc/self/task"))
    pool = Pool(2, pool_code())
    (worker,) = (int(t) for t in set(os.listdir("/proc/self/task")) - before)
    checks = Jobs(pool)
    asleep(worker)
    try:
        # Twice each: the caller that moved onto the sleeper's core sends it away.
        for core in (first, first, second, second, first):
            os.sched_setaffinity(0, {core})
            checks.run(3)
            assert asleep(worker) == allowed - {core}
    finally:
        os.sched_setaffinity(0, allowed)
        pool.close()
    assert checks.violations == 0


def test_a_worker_with_one_core_keeps_it() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        before = set(os.listdir("/proc/self/task"))
        pool = Pool(2, pool_code())
        (worker,) = (int(t) for t in set(os.listdir("/proc/self/task")) - before)
        checks = Jobs(pool)
        checks.run(3)
        assert asleep(worker) == {min(allowed)}
        checks.run(3)
    finally:
        os.sched_setaffinity(0, allowed)
        pool.close()
    assert checks.violations == 0


@pytest.mark.parametrize("chunks", [-5, 0, 1, 2, 63])
def test_chunks_of_one_job(chunks: int) -> None:
    pool = Pool(2, pool_code())
    checks = Jobs(pool)
    pool.run(checked().address("task"), checks.args.ctypes.data, chunks)
    pool.close()
    assert checks.counts.tolist() == [1] * max(chunks, 0) + [0] * (64 - max(chunks, 0))


def test_many_callers_at_once() -> None:
    pool = shared_pool(3, pool_code())
    callers = [Jobs(pool) for _ in range(4)]
    threads = [
        threading.Thread(target=caller.run, args=(15_000, seed))
        for seed, caller in enumerate(callers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [caller.violations for caller in callers] == [0] * 4


def test_close_while_others_call() -> None:
    pool = Pool(2, pool_code())
    callers = [Jobs(pool) for _ in range(2)]
    threads = [threading.Thread(target=c.run, args=(20_000,)) for c in callers]
    for thread in threads:
        thread.start()
    pool.close()
    pool.close()
    for thread in threads:
        thread.join()
    assert pool.address == 0
    callers[0].run(10)
    assert [caller.violations for caller in callers] == [0] * 2


def test_reopening_and_several_pools() -> None:
    for _ in range(20):
        pools = [Pool(threads, pool_code()) for threads in (1, 2, 3)]
        assert pools[0].address == 0
        assert len({pool.address for pool in pools}) == 3
        for pool in pools:
            checks = Jobs(pool)
            checks.run(50)
            assert checks.violations == 0
            pool.close()


def test_shared_pool_is_one_for_each_number_of_threads() -> None:
    pool = shared_pool(2, pool_code())
    assert shared_pool(2, pool_code()) is pool
    assert shared_pool(3, pool_code()) is not pool
    pool.close()
    again = shared_pool(2, pool_code())
    assert again is not pool
    assert again.address != 0


def native_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_a_forgotten_pool_ends_its_workers() -> None:
    before = native_threads()
    pool = Pool(5, pool_code())
    assert native_threads() == before + 4
    del pool
    assert native_threads() == before


CHILD = """
import os, sys, threading, time
sys.path.insert(0, {here!r})
from test_pool import *
pool = shared_pool(2, pool_code())
checks = Jobs(pool)
stop = threading.Event()
def keep_busy():
    mine = Jobs(pool)
    while not stop.is_set():
        mine.run(200)
    assert mine.violations == 0
other = threading.Thread(target=keep_busy)
other.start()
for turn in range(12):
    child = os.fork()
    if child == 0:
        mine = Jobs(pool)
        mine.run(2000, turn)
        ok = mine.violations == 0 and pool.address != 0
        again = shared_pool(2, pool_code()) is pool
        workers = len(os.listdir("/proc/self/task")) == 2
        if turn % 2:
            pool.close()
        os._exit(0 if ok and again and workers else 1)
    assert os.waitpid(child, 0)[1] == 0, turn
    checks.run(500)
stop.set()
other.join()
assert checks.violations == 0
pid = os.fork()
if pid == 0:
    sys.exit(0)  # the whole exit, in a child that never used the pool
assert os.waitpid(pid, 0)[1] == 0
print("done")
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    here = os.path.dirname(__file__)
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            code.format(here=here),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_fork_in_the_middle() -> None:
    result = run_python(CHILD)
    assert (result.returncode, result.stdout, result.stderr) == (0, "done\n", "")


@pytest.mark.parametrize(
    "last",
    [
        "",
        "time.sleep(0.01)  # the workers sleep",
        "threading.Thread(target=checks.run, args=(10**9,), daemon=True).start()\n"
        "time.sleep(0.05)\npool.close()  # between two jobs",
        "import gc; keep = [pool, checks]; keep.append(keep)  # never collected",
    ],
)
def test_exit_is_silent(last: str) -> None:
    result = run_python(
        "import sys, threading, time\nsys.path.insert(0, {here!r})\n"
        "from test_pool import *\npool = shared_pool(4, pool_code())\n"
        f"checks = Jobs(pool)\nchecks.run(500)\n{last}\n"
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_workers_leave_signals_to_python() -> None:
    pool = Pool(3, pool_code())
    blocked = set()
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as status:
            line = next(line for line in status if line.startswith("SigBlk"))
        if int(task) != threading.get_native_id():
            blocked.add(int(line.split()[1], 16) >> 1 & 1)  # SIGINT
    pool.close()
    assert 1 in blocked


def test_default_threads_are_available() -> None:
    assert 1 <= default_threads() <= len(os.sched_getaffinity(0))


def test_number_of_threads_is_checked() -> None:
    with pytest.raises(InputError, match=r"threads: needs 1 to 1024, but got 0"):
        Pool(0, pool_code())


def test_systems_without_futex_run_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    pool = Pool(4, pool_code())
    monkeypatch.undo()
    assert (pool.threads, pool.address) == (1, 0)
    assert "futex of Linux" in pool.reason
    checks = Jobs(pool)
    checks.run(100)
    assert checks.violations == 0


def test_portable_text_runs_every_chunk() -> None:
    mac = Target.parse(str(HOST).replace("unknown-linux-gnu", "apple-macosx"))
    text = pool_ir(mac)
    assert "syscall" not in text
    code = load_object(compile_object(CHECKED, HOST), compile_object(text, HOST))
    checks = Jobs(Pool(1, pool_code()))
    kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    jobs = ctypes.CFUNCTYPE(None, *kinds)(code.address("jobs"))
    jobs(None, checks.args.ctypes.data, 100, 1)
    assert checks.violations == 0
