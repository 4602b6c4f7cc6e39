"""Moves: mov, packing and unpacking, and conversions of addresses.

mov.b64 %rd, {%lo, %hi}   cvta.to.global.u64   isspacep.shared   mapa   getctarank
"""

from __future__ import annotations

import numpy as np

from ix.emulator.batch import Active, Array, Batch
from ix.emulator.kernel_code import KernelCode, Reader, Writer
from ix.emulator.layout import (
    CLUSTER_SHIFT,
    LOCAL_WINDOW,
    SHARED_WINDOW,
    WINDOW_BYTES,
)
from ix.emulator.memory import space_of
from ix.emulator.outcome import Step
from ix.emulator.ptx_types import STORAGE, bytes_of
from ix.emulator.special_registers import cluster_rank
from ix.emulator.syntax import Instruction, Vector

__all__ = ["INSTRUCTIONS"]

_OFFSET_MASK = (1 << CLUSTER_SHIFT) - 1


def compile_mov(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `mov`, also from and to vectors of registers."""
    result, source = instruction.operands
    if isinstance(result, Vector) and isinstance(source, Vector):
        return _move_vector(instruction, kernel)
    if isinstance(result, Vector):
        return _unpack(instruction, kernel)
    if isinstance(source, Vector):
        return _pack(instruction, kernel)
    read = kernel.reader(source, instruction.type)
    write = kernel.writer(result, instruction.type)

    def step(batch: Batch, active: Active) -> None:
        write(batch, read(batch), active)

    return step


def _move_vector(instruction: Instruction, kernel: KernelCode) -> Step:
    result, source = instruction.operands
    readers = kernel.readers(source, instruction.type)
    writers = kernel.writers(result, instruction.type)

    def step(batch: Batch, active: Active) -> None:
        for read, write in zip(readers, writers, strict=True):
            write(batch, read(batch), active)

    return step


def _part_type(instruction: Instruction, parts: int) -> tuple[str, int]:
    """The type and the bits of each of the parts of a packed register."""
    size = bytes_of(instruction.type) // parts
    return f"b{8 * size}", 8 * size


def _unpack(instruction: Instruction, kernel: KernelCode) -> Step:
    result, source = instruction.operands
    assert isinstance(result, Vector)
    whole = f"b{8 * bytes_of(instruction.type)}"
    part, bits = _part_type(instruction, len(result.elements))
    read, writers = kernel.reader(source, whole), kernel.writers(result, part)
    dtype = STORAGE[bits // 8]

    def step(batch: Batch, active: Active) -> None:
        value = np.ascontiguousarray(read(batch))
        parts = value.reshape(-1, 1).view(dtype)
        for i, write in enumerate(writers):
            # One column of a uniform value is uniform again.
            column = parts[:, i]
            write(batch, column if value.ndim and len(parts) > 1 else column[0], active)

    return step if whole == "b128" else _unpack_shifted(read, writers, whole, bits)


def _unpack_shifted(read: Reader, writers: list[Writer], whole: str, bits: int) -> Step:
    """Unpacks by shifts, which keep each part contiguous."""
    kind, dtype = STORAGE[bytes_of(whole)].type, STORAGE[bits // 8]

    def step(batch: Batch, active: Active) -> None:
        value = read(batch)
        for i, write in enumerate(writers):
            part = (value >> kind(bits * i)) if i else value
            write(batch, part.astype(dtype), active)

    return step


def _pack(instruction: Instruction, kernel: KernelCode) -> Step:
    result, source = instruction.operands
    assert isinstance(source, Vector)
    whole = f"b{8 * bytes_of(instruction.type)}"
    part, bits = _part_type(instruction, len(source.elements))
    readers, write = kernel.readers(source, part), kernel.writer(result, whole)
    dtype = STORAGE[bytes_of(whole)]

    def step(batch: Batch, active: Active) -> None:
        value = readers[0](batch).astype(dtype)
        for i, read in enumerate(readers[1:], start=1):
            value = value | (read(batch).astype(dtype) << dtype.type(bits * i))
        write(batch, value, active)

    def step_wide(batch: Batch, active: Active) -> None:
        parts = [np.broadcast_to(read(batch), (batch.threads,)) for read in readers]
        write(batch, np.stack(parts, 1).view(dtype)[:, 0], active)

    return step_wide if whole == "b128" else step


def _window(space: str) -> int:
    """What a generic address of a space has on top of one in the space."""
    return {"shared": SHARED_WINDOW, "local": LOCAL_WINDOW}.get(space, 0)


def compile_cvta(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `cvta` and `cvta.to` between generic addresses and those of a space."""
    result, source = instruction.operands
    space = space_of(instruction.modifiers)
    if space == "param" and not kernel.function.is_entry:
        space = "local"
    shift = np.uint64(_window(space))
    if instruction.has("to"):
        shift = np.uint64((1 << 64) - int(shift)) if shift else shift
    read = kernel.reader(source, "u64")
    write = kernel.writer(result, "u64")

    def step(batch: Batch, active: Active) -> None:
        write(batch, read(batch) + shift, active)

    return step


def compile_isspacep(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles the question whether a generic address lies in a space."""
    result, source = instruction.operands
    space = instruction.modifiers[0]
    read = kernel.reader(source, "u64")
    write = kernel.writer(result, "pred")
    size = np.uint64(WINDOW_BYTES)

    def inside(address: Array, start: int) -> Array:
        return np.asarray((address - np.uint64(start)) < size)

    def step(batch: Batch, active: Active) -> None:
        address = read(batch)
        shared = inside(address, SHARED_WINDOW)
        local = inside(address, LOCAL_WINDOW)
        if space.startswith("shared"):
            found = shared
            if space != "shared::cluster":
                rank = (address >> np.uint64(CLUSTER_SHIFT)) & np.uint64(0xFF)
                own = cluster_rank(batch).astype(np.uint64) + np.uint64(1)
                found = shared & ((rank == 0) | (rank == own))
        elif space == "local":
            found = local
        else:
            found = ~(shared | local)
            if space in ("const", "param"):
                found = found & ~np.bool_(True)
        write(batch, found, active)

    return step


def compile_mapa(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `mapa`: the same shared address in another CTA of the cluster."""
    result, source, rank = instruction.operands
    type_name = instruction.type
    read, write = kernel.reader(source, type_name), kernel.writer(result, type_name)
    read_rank = kernel.reader(rank, "u32")
    kind = STORAGE[bytes_of(type_name)].type
    is_generic = not instruction.has("shared::cluster")
    mask = kind(_OFFSET_MASK | (SHARED_WINDOW if is_generic else 0))

    def step(batch: Batch, active: Active) -> None:
        upper = (read_rank(batch).astype(kind) + kind(1)) << kind(CLUSTER_SHIFT)
        write(batch, (read(batch) & mask) | upper, active)

    return step


def compile_getctarank(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `getctarank`: the rank of the CTA that a shared address is in."""
    result, source = instruction.operands
    read, write = kernel.reader(source, instruction.type), kernel.writer(result, "u32")

    def step(batch: Batch, active: Active) -> None:
        address = read(batch).astype(np.uint64)
        rank = (address >> np.uint64(CLUSTER_SHIFT)) & np.uint64(0xFF)
        own = cluster_rank(batch).astype(np.uint64)
        found = np.where(rank == 0, own, rank - np.uint64(1)).astype(np.uint32)
        write(batch, found, active)

    return step


INSTRUCTIONS = {
    "mov": compile_mov,
    "cvta": compile_cvta,
    "isspacep": compile_isspacep,
    "mapa": compile_mapa,
    "getctarank": compile_getctarank,
}
