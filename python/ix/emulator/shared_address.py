"""Addresses of shared memory, for instructions that read and write nothing else."""

from __future__ import annotations

import numpy as np

from ix.emulator.batch import Active, Array, Batch
from ix.emulator.errors import OutOfBoundsError
from ix.emulator.kernel_code import KernelCode, Reader
from ix.emulator.layout import SHARED_WINDOW, WINDOW_BYTES
from ix.emulator.syntax import Instruction, Operand

__all__ = ["check_shared", "shared_reader"]


def shared_reader(
    instruction: Instruction, kernel: KernelCode, operand: Operand, space: str
) -> Reader:
    """Compiles the reading of a shared address, of the own CTA or of the cluster.

    Args:
        operand: The address operand.
        space: "shared", or "generic" for addresses of the generic window.

    Returns:
        uint64, (threads,) or 0-d, without the window.
    """
    read = kernel.address(operand)
    if space == "shared":
        return read
    window, size = np.uint64(SHARED_WINDOW), np.uint64(WINDOW_BYTES)

    def read_generic(batch: Batch) -> Array:
        # Addresses that are none wrap far outside; `check_shared` names them.
        moved: Array = read(batch) - window
        return np.where(moved < size, moved, ~np.uint64(0))

    return read_generic


def check_shared(batch: Batch, active: Active, addresses: Array) -> Array:
    """The addresses of the active threads, (count,).

    Raises:
        OutOfBoundsError: A generic address that is not one of shared memory.
    """
    chosen = active.select(addresses)
    outside = chosen == ~np.uint64(0)
    if outside.any():
        raise batch.error(
            OutOfBoundsError,
            "needs an address of shared memory, but a generic address lies outside of "
            "its window; convert with cvta.shared or use an address in shared memory",
            active.lanes[int(np.argmax(outside))],
        )
    return chosen
