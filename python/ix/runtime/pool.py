"""Pool: the worker threads that compiled programs share.

Workers are pthreads started through ctypes that run generated code
(`ix.passes.cpu.thread_pool`): they never hold the GIL and Python's threading does not
know them. A pool belongs to one process; after a fork the child starts its own.
"""

from __future__ import annotations

import ctypes
import math
import os
import platform
import signal
import sys
import threading
import weakref
from pathlib import Path

from ix.errors import InputError, RuntimeFailure
from ix.runtime.elf import LoadedCode, load_object

__all__ = ["Pool", "default_threads", "shared_pool"]

# The words of passes/cpu/thread_pool.py.
STATE_BYTES = 320
WORKER_COUNT = 152
WORKER_BYTES = 64
CACHE_LINE = 64
MAX_THREADS = 1024

# Raised by the thread itself: blocking them would only hide its traceback.
FAULTS = {
    number
    for number in signal.valid_signals()
    if number in (signal.SIGSEGV, signal.SIGFPE, signal.SIGILL, signal.SIGABRT)
    or number == getattr(signal, "SIGBUS", None)
}


class Pool:
    """`threads - 1` workers and whoever calls.

    Any number of Python threads may use one pool at once: the first to come gets the
    workers, the others run their own chunks until it is done.

    Args:
        threads: Threads that work on a job, the caller included; 1 to 1024.
        code: The object that `compile_pool` returns.

    Attributes:
        threads: What was asked for, or 1 where the system cannot have workers.
        reason: Why `threads` is 1 although more were asked for, or "".

    Raises:
        InputError: `threads` is out of range.
        RuntimeFailure: The system refuses another thread.
    """

    def __init__(self, threads: int, code: bytes) -> None:
        if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
            raise InputError(
                f"threads: needs 1 to {MAX_THREADS}, but got {threads!r}; "
                f"leave it out to use the {default_threads()} that are available"
            )
        self.reason = _why_single() if threads > 1 else ""
        self.threads = 1 if self.reason else threads
        self._loaded = load_object(code)
        kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        run = self._loaded.address("ix_pool_run")
        self._run = ctypes.CFUNCTYPE(None, *kinds)(run)
        self._lock = threading.Lock()
        self._workers: _Workers | None = None
        self._retired: list[_Workers] = []  # a caller may still hold their address
        self._closed = False
        _POOLS.add(self)
        self._start()

    @property
    def address(self) -> int:
        """What `ix_pool_run` takes as `pool`; 0 runs everything on the caller.

        Read it for each call: after a fork it is another one, and 0 once closed. It
        stays valid as long as the pool object itself.
        """
        workers = self._workers
        return self._start() if workers is None else workers.address

    def run(self, task: int, args: int, chunks: int) -> None:
        """Calls `task(args, chunk, slot)` once for each chunk, and waits for all.

        Args:
            task: Address of a `void(ptr args, i64 chunk, i64 slot)`.
            args: What it gets first; may be 0.
            chunks: How many; none if negative or 0.
        """
        self._run(self.address, task, args, chunks)

    def close(self) -> None:
        """Waits for the running job and ends the workers; the pool then has one thread.

        May be called again, and while other threads use the pool.
        """
        with self._lock:
            self._closed = True
            self._retire()
        for workers in self._retired:
            workers.stop()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _start(self) -> int:
        with self._lock:
            if self._workers is None and not self._closed and self.threads > 1:
                self._workers = _Workers(self.threads, self._loaded)
            return 0 if self._workers is None else self._workers.address

    def _retire(self) -> None:
        if self._workers is not None:
            self._retired.append(self._workers)
            self._workers = None

    def _forget_workers(self) -> None:
        """In the child of a fork: the workers and whoever held the lock are gone."""
        self._lock = threading.Lock()
        self._retire()


class _Workers:
    """Threads that run `ix_pool_worker`, and the memory that they share."""

    def __init__(self, threads: int, loaded: LoadedCode) -> None:
        self._memory = ctypes.create_string_buffer(
            STATE_BYTES + (threads - 1) * WORKER_BYTES + CACHE_LINE
        )
        start = ctypes.addressof(self._memory)
        self.address = start + -start % CACHE_LINE
        self._entry = loaded.address("ix_pool_worker")
        self._handles: list[ctypes.c_ulong] = []
        # Runs also when the pool is forgotten without `close`, and at exit.
        self.stop = weakref.finalize(
            self, _stop, os.getpid(), loaded, self._memory, self._handles, self.address
        )
        try:
            self._start(threads)
        except BaseException:
            self.stop()
            raise

    def _start(self, threads: int) -> None:
        libc = _libc()
        count = ctypes.c_int64.from_address(self.address + WORKER_COUNT)
        count.value = threads - 1
        # Workers inherit the mask: signals go to the threads that Python knows.
        blocked = signal.valid_signals() - FAULTS
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            for slot in range(1, threads):
                worker = self.address + STATE_BYTES + (slot - 1) * WORKER_BYTES
                ctypes.c_uint64.from_address(worker).value = self.address
                ctypes.c_int64.from_address(worker + 8).value = slot
                handle = ctypes.c_ulong()
                error = libc.pthread_create(
                    ctypes.byref(handle), None, self._entry, worker
                )
                if error:
                    raise RuntimeFailure(
                        f"the pool needs {threads - 1} worker threads, but number "
                        f"{slot} failed: {os.strerror(error)}; ask for fewer threads"
                    )
                self._handles.append(handle)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _stop(
    owner: int,
    loaded: LoadedCode,
    memory: ctypes.Array[ctypes.c_char],
    handles: list[ctypes.c_ulong],
    address: int,
) -> None:
    """Ends and joins workers; `memory` and `loaded` live until then."""
    if os.getpid() != owner:
        return  # a fork has the memory but not the threads
    stop = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(loaded.address("ix_pool_stop"))
    stop(address)
    for handle in handles:
        _libc().pthread_join(handle, None)


def shared_pool(threads: int, code: bytes) -> Pool:
    """The process-wide pool of so many threads, started at the first request.

    Args:
        threads: As for `Pool`.
        code: As for `Pool`; the first caller's is used, and its ABI is fixed.
    """
    with _SHARED_LOCK:
        pool = _SHARED.get(threads)
        if pool is None or pool.closed:
            pool = _SHARED[threads] = Pool(threads, code)
        return pool


def default_threads() -> int:
    """The processors that this process may use: its affinity, and its cgroup's quota.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst, cpu.max.
    """
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    return max(1, min(available, _quota(), MAX_THREADS))


def _quota() -> int:
    """Processors' worth of time that the cgroup and its parents grant, rounded up."""
    root, least = Path("/sys/fs/cgroup"), MAX_THREADS
    for folder in _cgroup_folders(root):
        try:
            quota, period = (folder / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if quota.isdigit() and period.isdigit() and int(period):
            least = min(least, math.ceil(int(quota) / int(period)))
    return max(least, 1)


def _cgroup_folders(root: Path) -> list[Path]:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    paths = [line[3:].strip("/") for line in lines if line.startswith("0::")]
    folder = root / paths[0] if paths else root
    return [f for f in (folder, *folder.parents) if f.is_relative_to(root)]


def _why_single() -> str:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return (
            f"workers wait with the futex of Linux on x86-64, and this is "
            f"{sys.platform} on {platform.machine()}"
        )
    return ""


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.pthread_create.argtypes = [ctypes.c_void_p] * 4
    libc.pthread_join.argtypes = [ctypes.c_ulong, ctypes.c_void_p]
    return libc


def _after_fork_in_child() -> None:
    global _SHARED_LOCK
    _SHARED_LOCK = threading.Lock()
    for pool in list(_POOLS):
        pool._forget_workers()


_POOLS: weakref.WeakSet[Pool] = weakref.WeakSet()
_SHARED: dict[int, Pool] = {}
_SHARED_LOCK = threading.Lock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
