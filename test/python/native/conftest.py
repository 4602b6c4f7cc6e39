"""Compiles the loops of one kernel into a function of NumPy arrays."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ix.mlir import PassManager, func, ir
from ix.passes.cpu.kernel_object import LOWER
from ix.passes.cpu.object_code import compile_object
from ix.passes.cpu.translate import to_llvm_ir
from ix.passes.schedule.microkernel.builder import Builder
from ix.runtime.elf import load_object
from ix.target import Target, host_missing

sys.path.insert(0, str(Path(__file__).parents[1]))

Array = np.ndarray[Any, Any]
Emit = Callable[..., None]

OPERATORS = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "div": "floordiv",
    "mod": "mod",
    "min": "min",
    "max": "max",
}


def element_type(name: str) -> ir.Type:
    """f16 bf16 f32 f64 i8 i32 as MLIR types."""
    return ir.Type.parse(name)


def _dims_of(b: Builder, dims: Sequence[Any], size: Any) -> Any:
    """A size as index arithmetic on the dimensions."""
    if isinstance(size, int):
        return size
    if size[0] == "dim":
        return dims[size[1]]
    left, right = (_dims_of(b, dims, operand) for operand in size[1:])
    return getattr(b, OPERATORS[size[0]])(left, right)


class NativeKernel:
    """@kernel(buffers…, scratch, low, high, dims…), compiled and loaded."""

    def __init__(
        self,
        emit: Emit,
        buffers: Sequence[tuple[Sequence[int], str]],
        *,
        target: str = "cpu",
        element: str = "f32",
        dims: int = 0,
        scratch_bytes: int = 0,
    ) -> None:
        self.target = Target.parse(target)
        if host_missing(self.target):
            pytest.skip(f"this host cannot run {target}")
        self.scratch = np.full(scratch_bytes + 64, 0xFF, np.uint8)  # NaN
        with ir.Context(), ir.Location.unknown():
            module = self._build(emit, buffers, element, dims)
            assert module.operation.verify()
            PassManager.parse(f"builtin.module({LOWER})").run(module.operation)
            text = to_llvm_ir(module)
        self.code = load_object(compile_object(text, self.target))
        kinds = [ctypes.c_void_p] * (len(buffers) + 1) + [ctypes.c_int64] * (2 + dims)
        self.call = ctypes.CFUNCTYPE(None, *kinds)(self.code.address("kernel"))

    def _build(
        self,
        emit: Emit,
        buffers: Sequence[tuple[Sequence[int], str]],
        element: str,
        dims: int,
    ) -> ir.Module:
        module = ir.Module.create()
        index, byte = ir.IndexType.get(), element_type("i8")
        types = [ir.MemRefType.get(list(s), element_type(e)) for s, e in buffers]
        types += [ir.MemRefType.get([max(len(self.scratch), 1)], byte)]
        types += [index] * (2 + dims)
        with ir.InsertionPoint(module.body):
            op = func.FuncOp("kernel", (types, []))
            with ir.InsertionPoint(op.add_entry_block()):
                arguments = list(op.arguments)
                values = arguments[len(types) - dims :]
                b = Builder(
                    self.target,
                    element_type(element),
                    size=lambda size: _dims_of(b, values, size),
                )
                count = len(buffers)
                scratch, low, high = arguments[count : count + 3]
                emit(b, *arguments[:count], scratch=scratch, low=low, high=high)
                func.ReturnOp([])
        return module

    def __call__(
        self, *arrays: Array, items: int, dims: Sequence[int] = (), chunks: int = 3
    ) -> None:
        """Runs all items in `chunks` ranges, the last first."""
        for array in arrays:
            assert array.flags.c_contiguous
        pointers = [array.ctypes.data for array in arrays]
        start = self.scratch.ctypes.data
        pointers.append(start + -start % 64)
        for chunk in reversed(range(chunks)):
            low, high = items * chunk // chunks, items * (chunk + 1) // chunks
            self.call(*pointers, low, high, *dims)


class Guarded:
    """An output array of NaN (or of -1) with as much behind it that must stay so."""

    def __init__(self, shape: Sequence[int], dtype: str = "float32") -> None:
        size = int(np.prod(shape))
        poison = np.nan if np.dtype(dtype).kind == "f" else -1
        self.all = np.full(2 * size + 64, poison, dtype)
        self.array = self.all[:size].reshape(shape)
        self.guard = self.all[size:]

    def check(self) -> Array:
        """The array, if nothing behind it was written."""
        untouched = (
            np.isnan(self.guard) if self.all.dtype.kind == "f" else self.guard < 0
        )
        assert untouched.all(), "a kernel wrote behind its output"
        return self.array


@pytest.fixture(scope="session")
def native_kernel() -> type[NativeKernel]:
    return NativeKernel


@pytest.fixture(scope="session")
def guarded() -> type[Guarded]:
    return Guarded
