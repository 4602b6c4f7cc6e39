"""An executable: a plan, its code and its constants, ready to be called.

    executable(x, y)      NumPy, DLPack or torch CPU tensors in, NumPy arrays out

Calls may come from several threads: each takes an arena of its own from a free list.
"""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ix.errors import InputError, RuntimeFailure
from ix.runtime import pool as pools
from ix.runtime.arrays import aligned_empty, as_numpy, dtype_of
from ix.runtime.elf import LoadedCode
from ix.runtime.plan import ENTRY, Plan, Tensor
from ix.runtime.sizes import evaluate

if TYPE_CHECKING:
    from ix.runtime.profile import Profile

__all__ = ["Executable", "InputCheck", "output_maker", "refuse_count"]

ALIGNED_BYTES = 1 << 20
"""Outputs from here on start at a multiple of 64 bytes."""

_ENTRY_TYPE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class _Workspace:
    """What one running call owns: arena, scratch of each thread, table of pointers."""

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


class Executable:
    """A compiled program.

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
        self.plan = plan
        self.num_threads = num_threads or pools.default_threads()
        self._code = code
        self.objects = list(objects)
        self._constants = list(constants)
        self._entry = _ENTRY_TYPE(code.address(ENTRY))
        self._pool = pools.shared_pool(self.num_threads, objects[-1])
        self._free: list[_Workspace] = []
        self._lock = threading.Lock()
        self._inputs = [InputCheck(t, plan) for t in plan.inputs]
        self._outputs = [output_maker(t) for t in plan.outputs]
        self._dynamic = bool(plan.dims)
        self._closed = False

    def __call__(self, *arrays: Any) -> list[np.ndarray]:
        """Runs the program; outputs come back as new arrays, in the plan's order."""
        return self.run_flat(arrays)

    def run_flat(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """Runs the program on a sequence of inputs, in the plan's order.

        Raises:
            InputError: Count, dtype, rank or a size does not fit.
            RuntimeFailure: The executable is closed, or memory ran out.
        """
        if len(arrays) != len(self._inputs):
            refuse_count(self.plan, len(arrays))
        work = self._take()
        try:
            # What `keep` holds must outlive the call: copies of inputs.
            keep, outputs = self._bind(work, arrays)
            self._entry(self._pool.address, work.address, work.dims_address)
            del keep
        finally:
            self._free.append(work)  # list.append is atomic
        return outputs

    def _bind(
        self, work: _Workspace, arrays: Sequence[Any]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Checks the inputs, makes the outputs, and fills the table of pointers."""
        pointers = work.pointers
        keep = []
        for index, check in enumerate(self._inputs):
            array = check(arrays[index])
            keep.append(array)
            pointers[index] = array.__array_interface__["data"][0]
        dims = self._sizes(work, keep) if self._dynamic else ()
        outputs = [make(dims) for make in self._outputs]
        index = work.first_output
        for output in outputs:
            pointers[index] = output.__array_interface__["data"][0]
            index += 1
        return keep, outputs

    @contextmanager
    def prepared(
        self, arrays: Sequence[Any]
    ) -> Iterator[tuple[_Workspace, list[np.ndarray], int]]:
        """A workspace bound to inputs, the outputs and the pool, for a profiler."""
        if len(arrays) != len(self._inputs):
            refuse_count(self.plan, len(arrays))
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

    def explain(self) -> str:
        """The kernels, their work, the memory, and why ops were fused or not."""
        from ix.runtime.explain import explain

        return explain(self.plan, self.memory_bytes)

    def save(self, path: Any) -> None:
        """Writes the executable to a file that `ix.load` reads."""
        from ix.runtime.artifact import save

        save(self, path)

    def close(self) -> None:
        """Frees the arenas; a later call raises RuntimeFailure."""
        self._closed = True
        self._free.clear()

    @property
    def memory_bytes(self) -> dict[str, int]:
        """Bytes that a call needs beyond its inputs and outputs, by kind."""
        return {
            "constants": sum(c.nbytes for c in self._constants),
            "arena": self.plan.arena_bytes,
            "scratch": self.plan.scratch_bytes * self.num_threads,
        }

    @property
    def constants(self) -> list[np.ndarray]:
        """The constants as the kernels read them, in the plan's order."""
        return self._constants

    def _take(self) -> _Workspace:
        if self._closed:
            raise RuntimeFailure(
                f"'{self.plan.name}' needs an open executable, but it was closed; "
                "compile or load it again"
            )
        try:
            return self._free.pop()
        except IndexError:
            return _Workspace(self.plan, self._constants, self.num_threads)

    def _sizes(self, work: _Workspace, arrays: list[np.ndarray]) -> tuple[int, ...]:
        """Sizes of the declared dimensions, from the first input that names each."""
        sizes: dict[int, int] = {}
        for check, array in zip(self._inputs, arrays, strict=True):
            check.bind(array, sizes)
        dims = tuple(sizes[index] for index in range(len(self.plan.dims)))
        work.dims[:] = list(dims)
        return dims


def refuse_count(plan: Plan, count: int) -> NoReturn:
    """Says that a call has too many inputs, or too few.

    Raises:
        InputError: Always.
    """
    names = ", ".join(t.name for t in plan.inputs)
    raise InputError(
        f"'{plan.name}' needs {len(plan.inputs)} inputs ({names}), "
        f"but got {count}; pass one array for each"
    )


class InputCheck:
    """Turns one argument into a C-contiguous array of the right dtype and shape."""

    def __init__(self, tensor: Tensor, plan: Plan) -> None:
        self.tensor = tensor
        self.dtype = dtype_of(tensor.dtype)
        self.shape = tensor.shape
        self.static = all(isinstance(size, int) for size in tensor.shape)
        self.plan = plan

    def __call__(self, array: Any) -> np.ndarray:
        if type(array) is not np.ndarray:
            array = as_numpy(array, self.tensor.name)
        if array.dtype != self.dtype:
            self._refuse(
                f"dtype {self.dtype.name}", f"it has {array.dtype.name}", "cast it"
            )
        if self.static:
            if array.shape != self.shape:
                self._refuse_shape(array)
        elif array.ndim != len(self.shape):
            self._refuse_shape(array)
        flags = array.flags
        if not flags.c_contiguous:
            array = np.ascontiguousarray(array).reshape(array.shape)
        checked: np.ndarray = array
        return checked

    def bind(self, array: np.ndarray, sizes: dict[int, int]) -> None:
        """Checks this array's dynamic sizes and adds the new ones to `sizes`."""
        if self.static:
            return
        for axis, (size, got) in enumerate(zip(self.shape, array.shape, strict=True)):
            if isinstance(size, int):
                if size != got:
                    self._refuse_shape(array)
                continue
            index = size[1]
            dim = self.plan.dims[index]
            if sizes.setdefault(index, got) != got:
                self._refuse(
                    f"axis {axis} ({dim.name}) to be {sizes[index]} as in an earlier "
                    "input",
                    f"it is {got}",
                    "pass inputs that agree",
                )
            if not dim.low <= got <= dim.high:
                self._refuse(
                    f"axis {axis} ({dim.name}) within {dim.low}..{dim.high}",
                    f"it is {got}",
                    "declare a wider ix.Dim",
                )

    def _refuse_shape(self, array: np.ndarray) -> None:
        want = ", ".join(
            str(s) if isinstance(s, int) else self.plan.dims[s[1]].name
            for s in self.shape
        )
        self._refuse(
            f"shape ({want})",
            f"it has {tuple(array.shape)}",
            "reshape it or compile for it",
        )

    def _refuse(self, requirement: str, fact: str, remedy: str) -> None:
        raise InputError(
            f"input '{self.tensor.name}' of '{self.plan.name}' needs {requirement}, "
            f"but {fact}; {remedy}"
        )


def output_maker(tensor: Tensor) -> Callable[[Sequence[int]], np.ndarray]:
    """A function from the dimensions' sizes to a new, uninitialised output.

    Large outputs are aligned, because kernels may write them past the caches.
    """
    dtype = dtype_of(tensor.dtype)

    def make(shape: Sequence[int]) -> np.ndarray:
        size_bytes = math.prod(shape) * dtype.itemsize
        if size_bytes < ALIGNED_BYTES:
            return np.empty(shape, dtype)
        return aligned_empty(size_bytes).view(dtype).reshape(shape)

    if all(isinstance(size, int) for size in tensor.shape):
        shape: Any = tensor.shape
        if math.prod(shape) * dtype.itemsize < ALIGNED_BYTES:
            return lambda dims: np.empty(shape, dtype)
        return lambda dims: make(shape)
    sizes = tensor.shape
    return lambda dims: make([evaluate(size, dims) for size in sizes])
