"""cp.async.bulk and cp.reduce.async.bulk: contiguous bytes between memories.

    global → shared, also to several CTAs of a cluster     completes at an mbarrier
    shared → shared of another CTA of the cluster          completes at an mbarrier
    shared → global                                        completes in a bulk group

Source: PTX ISA, "Data Movement and Conversion Instructions: Bulk copy".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ix.emulator.batch import Active, Array, Batch
from ix.emulator.bulk_queue import CHUNK, BulkQueue, SharedPiece
from ix.emulator.bulk_reduce import TYPES, reduce_bytes
from ix.emulator.bulk_transfer import (
    barrier_at,
    checked_size,
    copy_to_ctas,
    one,
    owner,
    write_global,
)
from ix.emulator.kernel_code import KernelCode
from ix.emulator.outcome import Step
from ix.emulator.syntax import Immediate, Instruction, Operand
from ix.emulator.tensor_copy import (
    compile_tensor_copy,
    compile_tensor_prefetch,
    compile_tensor_reduce,
)

__all__ = ["INSTRUCTIONS"]

_REDUCTIONS = ("add", "min", "max", "and", "or", "xor", "inc", "dec")


def _compile_group(instruction: Instruction) -> Step:
    if instruction.has("commit_group"):

        def commit(batch: Batch, active: Active) -> None:
            BulkQueue.of(batch).committed[active.lanes] += 1

        return commit
    (operand,) = instruction.operands
    left = int(operand.value) if isinstance(operand, Immediate) else 0
    reads_only = instruction.has("read")

    def wait(batch: Batch, active: Active) -> None:
        BulkQueue.of(batch).wait(active, left, reads_only=reads_only)

    return wait


def compile_bulk_copy(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles a bulk copy or reduction, or what its groups need."""
    if instruction.has("commit_group", "wait_group"):
        return _compile_group(instruction)
    if instruction.has("bulk_group"):
        return _compile_out(instruction, kernel)
    if instruction.has("shared::cta") and not instruction.has("global"):
        return _compile_within(instruction, kernel)
    return _compile_in(instruction, kernel)


def _compile_in(instruction: Instruction, kernel: KernelCode) -> Step:
    target, source, size, barrier, *rest = instruction.operands
    read = [kernel.address(each) for each in (target, source, barrier)]
    read_size = kernel.reader(size, "u32")
    mask = (
        kernel.reader(rest[0], "u16") if instruction.has("multicast::cluster") else None
    )

    def step(batch: Batch, active: Active) -> None:
        for i, thread in enumerate(active.lanes.tolist()):
            to, start, at = (one(batch, active, each, i) for each in read)
            count = checked_size(batch, to, start, one(batch, active, read_size, i))
            steps = np.arange(0, count, CHUNK, dtype=np.int64)
            values = batch.memory.load(
                "global",
                (start + steps).astype(np.uint64),
                np.uint64,
                2,
                np.full(len(steps), thread),
            ).view(np.uint8)
            ranks = None if mask is None else one(batch, active, mask, i)
            copy_to_ctas(batch, thread, to + steps, to, at, ranks, values)

    return step


def _combination(
    instruction: Instruction, kernel: KernelCode
) -> Callable[[Array, Array], Array] | None:
    """What a reduction makes of old and new bytes; None for a copy."""
    if instruction.opcode != "cp" or not instruction.has("async"):
        raise kernel.unsupported(instruction, "its operation is not known")
    if instruction.modifiers[0] != "reduce":
        return None
    operation = next((o for o in _REDUCTIONS if instruction.has(o)), None)
    if operation is None or instruction.type not in TYPES:
        raise kernel.unsupported(instruction, "its reduction is not known")
    return partial(_reduce, operation=operation, type_name=instruction.type)


def _reduce(old: Array, new: Array, operation: str, type_name: str) -> Array:
    return reduce_bytes(old, new, operation, type_name)


def _compile_within(instruction: Instruction, kernel: KernelCode) -> Step:
    target, source, size, barrier = instruction.operands[:4]
    read = [kernel.address(each) for each in (target, source, barrier)]
    read_size = kernel.reader(size, "u32")
    combine = _combination(instruction, kernel)

    def step(batch: Batch, active: Active) -> None:
        for i, thread in enumerate(active.lanes.tolist()):
            to, start, at = (one(batch, active, each, i) for each in read)
            count = checked_size(batch, to, start, one(batch, active, read_size, i))
            steps = np.arange(0, count, CHUNK, dtype=np.int64)
            cta, offset = owner(batch, thread, start)
            to_cta, to_offset = owner(batch, thread, to)
            piece = SharedPiece.of(batch, "write", to_cta, to_offset + steps, thread)

            def make(values: Array, piece: SharedPiece = piece) -> Array:
                return values if combine is None else combine(piece.load(batch), values)

            batch.counter.add(batch.pc, "bulk_copies", 1)
            batch.counter.add(batch.pc, "bulk_copy_bytes", count)
            BulkQueue.of(batch).copy_within(
                SharedPiece.of(batch, "read", cta, offset + steps, thread),
                piece,
                make,
                barrier_at(batch, thread, at),
            )

    return step


def _compile_out(instruction: Instruction, kernel: KernelCode) -> Step:
    target, source, size = instruction.operands[:3]
    if instruction.has("cp_mask"):
        raise kernel.unsupported(instruction, "it copies some bytes of a chunk only")
    read = [kernel.address(each) for each in (target, source)]
    read_size = kernel.reader(size, "u32")
    combine = _combination(instruction, kernel)

    def step(batch: Batch, active: Active) -> None:
        for i, thread in enumerate(active.lanes.tolist()):
            to, start = (one(batch, active, each, i) for each in read)
            count = checked_size(batch, to, start, one(batch, active, read_size, i))
            steps = np.arange(0, count, CHUNK, dtype=np.int64)
            cta, offset = owner(batch, thread, start)
            batch.counter.add(batch.pc, "bulk_copies", 1)
            batch.counter.add(batch.pc, "bulk_copy_bytes", count)
            finish = partial(
                write_global, batch, batch.pc, (to + steps).astype(np.uint64), thread,
                combine,
            )  # fmt: skip
            piece = SharedPiece.of(batch, "read", cta, offset + steps, thread)
            BulkQueue.of(batch).copy_out(piece, finish)

    return step


def compile_prefetch(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles a prefetch, which changes nothing."""
    if instruction.has("tensor"):
        return compile_tensor_prefetch(instruction, kernel)
    operands: list[Operand] = list(instruction.operands)
    kernel.address(operands[0])

    def nothing(batch: Batch, active: Active) -> None:
        """Fills a cache that is not modelled."""

    return nothing


INSTRUCTIONS = {
    "cp.async.bulk": compile_bulk_copy,
    "cp.reduce.async.bulk": compile_bulk_copy,
    "cp.async.bulk.prefetch": compile_prefetch,
    "cp.async.bulk.tensor": compile_tensor_copy,
    "cp.reduce.async.bulk.tensor": compile_tensor_reduce,
}
