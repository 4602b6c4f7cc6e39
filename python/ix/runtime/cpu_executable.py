"""A program compiled for the CPU: code that is called, on threads that are kept.

Calls may come from several threads: each takes an arena of its own from a free list.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ix.runtime import pool as pools
from ix.runtime.arrays import address_of, aligned_empty
from ix.runtime.elf import LoadedCode
from ix.runtime.executable import Executable
from ix.runtime.plan import ENTRY, Plan

if TYPE_CHECKING:
    from ix.runtime.profile import Profile

__all__ = ["ArrayCall", "CpuExecutable"]

ArrayCall = Callable[[Sequence[np.ndarray]], list[np.ndarray]]

_ENTRY_TYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class _Workspace:
    """What one running call owns: arena, scratch of each thread, table of pointers."""

    __slots__ = (
        "address",
        "arena",
        "dims",
        "dims_address",
        "first_output",
        "pointers",
        "scratch",
    )

    def __init__(
        self, plan: Plan, constants: Sequence[np.ndarray], threads: int
    ) -> None:
        self.arena = aligned_empty(plan.arena_bytes)
        self.scratch = aligned_empty(plan.scratch_bytes * threads)
        self.first_output = len(plan.inputs)
        outputs = self.first_output + len(plan.outputs)
        count = outputs + len(constants) + 2
        self.pointers = (ctypes.c_void_p * count)()
        for index, constant in enumerate(constants):
            self.pointers[outputs + index] = constant.ctypes.data
        self.pointers[count - 2] = self.arena.ctypes.data
        self.pointers[count - 1] = self.scratch.ctypes.data
        self.dims = (ctypes.c_int64 * max(len(plan.dims), 1))()
        self.address = ctypes.addressof(self.pointers)
        self.dims_address = ctypes.addressof(self.dims)


class CpuExecutable(Executable):
    """A program compiled for the CPU.

    Args:
        plan: What to run.
        code: The loaded code; it exports the plan's entry.
        objects: What it was loaded from; the thread pool's object is the last.
        constants: One array for each of plan.constants, in order, 64-byte aligned.
        num_threads: Threads of one call, the caller included; None: all that there are.
    """

    def __init__(
        self,
        plan: Plan,
        code: LoadedCode,
        objects: Sequence[bytes],
        constants: Sequence[np.ndarray],
        num_threads: int | None = None,
    ) -> None:
        super().__init__(plan, objects, constants)
        if num_threads is None:
            num_threads = pools.default_threads()
        self.num_threads = num_threads
        self._code = code
        self._entry = _ENTRY_TYPE(code.address(ENTRY))
        self._pool = pools.shared_pool(self.num_threads, objects[-1])
        self._free: list[_Workspace] = []
        self._dynamic = bool(plan.dims)

    def run_flat(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        if len(arrays) != len(self._inputs):
            self._refuse_count(len(arrays))
        work = self._take()
        try:
            # What `keep` holds must outlive the call: copies of inputs.
            keep, outputs = self._bind(work, arrays)
            self._entry(self._pool.address, work.address, work.dims_address)
            del keep
        finally:
            self._free.append(work)  # list.append is atomic
        return outputs

    def launcher(self) -> Callable[[list[Any]], None]:
        """The shortest way to run a program of static sizes.

        Returns:
            launch(addresses) runs it on memory that the caller has checked: inputs,
            then outputs, in the plan's order, all C-contiguous, of the plan's dtypes
            and shapes, and there until the call returns. It raises RuntimeFailure
            where the executable is closed, or memory ran out.
        """
        # Names of this function alone: after a program that has read megabytes, each
        # object that is looked at comes from the level-3 cache.
        take, free, entry, pool = self._take, self._free, self._entry, self._pool
        count = len(self.plan.inputs) + len(self.plan.outputs)

        def launch(addresses: list[Any]) -> None:
            try:
                work = free.pop()
            except IndexError:  # as after `close`, or in a second thread
                work = take()
            work.pointers[:count] = addresses
            entry(pool.address, work.address, work.dims_address)
            if not self._closed:
                free.append(work)

        return launch

    def array_call(self) -> ArrayCall | None:
        """The shortest call on arrays that were checked; None for dynamic sizes.

        Returns:
            call(arrays) takes np.ndarray themselves, of the plan's dtypes and shapes.
        """
        if self._dynamic:
            return None
        launch, makers, address = self.launcher(), self._outputs, address_of

        def call(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
            for array in arrays:
                if not array.flags.c_contiguous:
                    return self.run_flat(arrays)
            outputs = [make(()) for make in makers]
            launch([address(array) for array in (*arrays, *outputs)])
            return outputs

        return call

    def _bind(
        self, work: _Workspace, arrays: Sequence[Any]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Checks the inputs, makes the outputs, and fills the table of pointers."""
        pointers = work.pointers
        keep = []
        for index, check in enumerate(self._inputs):
            array = check(arrays[index])
            keep.append(array)
            pointers[index] = address_of(array)
        dims = self._sizes(work, keep) if self._dynamic else ()
        outputs = [make(dims) for make in self._outputs]
        index = work.first_output
        for output in outputs:
            pointers[index] = address_of(output)
            index += 1
        return keep, outputs

    @contextmanager
    def prepared(
        self, arrays: Sequence[Any]
    ) -> Iterator[tuple[_Workspace, list[np.ndarray], int]]:
        """A workspace bound to inputs, the outputs and the pool, for a profiler."""
        if len(arrays) != len(self._inputs):
            self._refuse_count(len(arrays))
        work = self._take()
        try:
            keep, outputs = self._bind(work, arrays)
            yield work, outputs, self._pool.address
            del keep
        finally:
            self._free.append(work)

    def symbol(self, name: str) -> int:
        """The address of a kernel."""
        return self._code.address(name)

    def profile(self, *arrays: Any, calls: int = 30) -> Profile:
        """Times whole calls and each kernel; see `ix.runtime.profile`."""
        from ix.runtime.profile import profile

        return profile(self, arrays, calls)

    def close(self) -> None:
        self._closed = True
        self._free.clear()

    @property
    def memory_bytes(self) -> dict[str, int]:
        return {
            "constants": sum(c.nbytes for c in self.constants),
            "arena": self.plan.arena_bytes,
            "scratch": self.plan.scratch_bytes * self.num_threads,
        }

    def _take(self) -> _Workspace:
        self._check_open()
        try:
            return self._free.pop()
        except IndexError:
            return _Workspace(self.plan, self.constants, self.num_threads)

    def _sizes(self, work: _Workspace, arrays: list[np.ndarray]) -> tuple[int, ...]:
        """Sizes of the declared dimensions, from the first input that names each."""
        dims = tuple(self._bound(arrays))
        work.dims[:] = list(dims)
        return dims
