"""mma.m8n8k4 of f16: four products for each warp, each by eight of its lanes.

Lanes 4 q to 4 q + 3 and 16 + 4 q to 16 + 4 q + 3 compute product q = 0..3. A lane is
16 h + 4 q + t; bits of t and of the element i are named t1 t0 and i2 i1 i0:

    A by rows, C of f16   →  row t + 4 h, column i
    A by columns          →  row i + 4 h, column t
    B by rows             →  row t, column i + 4 h
    B by columns          →  row i, column t + 4 h
    C of f32              →  row h i1 t0, column i2 t1 i0

so every fragment is a transposition. Only sm_70 has such an instruction: the bits of
what other GPUs compute in its place are not known, nor repeated with exact=True.

Source: PTX ISA, "Matrix Fragments for mma.m8n8k4 with .f16 floating point type".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.element_types import decode, unpack
from ix.emulator.kernel_code import KernelCode, Reader
from ix.emulator.outcome import Step
from ix.emulator.syntax import Instruction
from ix.emulator.tensorcore import Operation, multiply_add

__all__ = ["compile_quads"]

_FLOPS = 4 * 2 * 8 * 8 * 4  # of a warp
# [W, h, q, t, i] → [W, q, rows, columns]
_A = {"row": (0, 2, 1, 3, 4), "col": (0, 2, 1, 4, 3)}
_B = {"row": (0, 2, 3, 1, 4), "col": (0, 2, 4, 1, 3)}
# [W, h, q, t1, t0, i2, i1, i0] → [W, q, h, i1, t0, i2, t1, i0], and back
_C = (0, 2, 1, 6, 4, 5, 3, 7)


def factor_matrix(registers: Array, order: tuple[int, ...], rows: int) -> Array:
    """A[W, 4, 8, 4] or B[W, 4, 4, 8] codes from registers [W, 32, 2]."""
    codes = unpack(registers, 16).reshape(-1, 2, 4, 4, 4)
    return codes.transpose(order).reshape(len(codes), 4, rows, -1)


def quad_matrix(values: Array) -> Array:
    """C[W, 4, 8, 8] from values [W, 32, 8] of f16 or f32."""
    if values.dtype == np.float16:
        split = values.reshape(-1, 2, 4, 4, 8).transpose(0, 2, 1, 3, 4)
    else:
        split = values.reshape(-1, 2, 4, 2, 2, 2, 2, 2).transpose(_C)
    return split.reshape(-1, 4, 8, 8)


def quad_registers(matrix: Array) -> Array:
    """The values [W, 32, 8] of D[W, 4, 8, 8]: `quad_matrix`, inverted."""
    if matrix.dtype == np.float16:
        split = matrix.reshape(-1, 4, 2, 4, 8).transpose(0, 2, 1, 3, 4)
    else:
        split = matrix.reshape(-1, 4, 2, 2, 2, 2, 2, 2).transpose(_C)
    return split.reshape(-1, WARP, 8)


def compile_quads(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `mma.sync.aligned.m8n8k4.alayout.blayout.dtype.f16.f16.ctype`."""
    layouts = [name for name in instruction.modifiers if name in ("row", "col")]
    kinds = [name for name in instruction.modifiers if name in ("f16", "f32")]
    if len(layouts) != 2 or len(kinds) != 4 or kinds[1:3] != ["f16", "f16"]:
        raise kernel.unsupported(instruction, "its layouts or types are not known")
    d_kind, c_kind = kinds[0], kinds[3]
    if c_kind == "f32" and d_kind != "f32":
        raise kernel.unsupported(instruction, "it sums f32 into f16")
    result, left, right, accumulator = instruction.operands
    load_a = _factor(kernel.readers(left, "b32"), _A[layouts[0]], 8)
    load_b = _factor(kernel.readers(right, "b32"), _B[layouts[1]], 4)
    read_c = kernel.readers(accumulator, "f32" if c_kind == "f32" else "b32")
    write_d = kernel.writers(result, "f32" if d_kind == "f32" else "b32")
    operation = Operation("f16", "f16", d_kind)
    d_type = np.float32 if d_kind == "f32" else np.float16

    def step(batch: Batch, active: Active) -> None:
        warps = active.warp_count
        batch.counter.add(batch.pc, "tensor_operations", warps)
        batch.counter.add(batch.pc, "tensor_flops", warps * _FLOPS)
        stacked = _stacked(batch, active, read_c)
        values = stacked if c_kind == "f32" else stacked.view(np.float16)
        c = quad_matrix(values).astype(d_type)
        d = multiply_add(load_a(batch, active), load_b(batch, active), c, operation)
        registers = np.ascontiguousarray(quad_registers(d).reshape(active.count, 8))
        columns = registers if d_kind == "f32" else registers.view(np.uint32)
        for index, write in enumerate(write_d):
            write(batch, np.ascontiguousarray(columns[:, index]), active)

    return step


def _factor(
    readers: list[Reader], order: tuple[int, ...], rows: int
) -> Callable[[Batch, Active], Array]:
    def load(batch: Batch, active: Active) -> Array:
        codes = factor_matrix(_stacked(batch, active, readers), order, rows)
        return decode(codes, "f16")

    return load


def _stacked(batch: Batch, active: Active, readers: list[Reader]) -> Array:
    """What the lanes hold, [W, 32, registers]."""
    columns = [active.select(read(batch)) for read in readers]
    return np.stack(columns, -1).reshape(-1, WARP, len(readers))
