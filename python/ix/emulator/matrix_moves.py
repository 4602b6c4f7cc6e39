"""ldmatrix, stmatrix and movmatrix: 8×8 tiles of 16 bits between lanes and memory.

Lane l gives the address of row l mod 8 of tile l div 8. Each row is 16 bytes.

Source: PTX ISA, "Warp-level matrix load/store/transpose instruction".
"""

from __future__ import annotations

import numpy as np

from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.fragments import (
    registers_of_tiles,
    tiles_of_registers,
    transpose_tile,
)
from ix.emulator.kernel_code import KernelCode, Reader
from ix.emulator.memory import space_of
from ix.emulator.outcome import Step
from ix.emulator.shared_address import check_shared, shared_reader
from ix.emulator.syntax import Instruction, Operand

__all__ = ["INSTRUCTIONS"]

_ROWS = 8  # of a tile


def _check_form(instruction: Instruction, kernel: KernelCode) -> None:
    if not (instruction.has("m8n8") and instruction.type == "b16"):
        raise kernel.unsupported(
            instruction, "it moves other tiles than m8n8 of b16, which sm_90 lacks"
        )


def _row_addresses(
    batch: Batch, active: Active, addresses: Array, tiles: int
) -> tuple[Array, Array]:
    """Addresses of all rows, and the lanes that give them: (warps · 8 · tiles,)."""
    rows = _ROWS * tiles
    chosen = check_shared(batch, active, addresses).reshape(-1, WARP)[:, :rows]
    lanes = active.lanes.reshape(-1, WARP)[:, :rows]
    return chosen.reshape(-1), lanes.reshape(-1)


def _shared_side(
    instruction: Instruction, kernel: KernelCode, operand: Operand
) -> tuple[Reader, bool]:
    """The reader of the rows' addresses, and whether tiles are transposed."""
    _check_form(instruction, kernel)
    space = space_of(instruction.modifiers)
    address = shared_reader(instruction, kernel, operand, space)
    return address, instruction.has("trans")


def compile_ldmatrix(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `ldmatrix`."""
    result, source = instruction.operands
    address, transposed = _shared_side(instruction, kernel, source)
    writers = kernel.writers(result, "b32")
    count = len(writers)

    def step(batch: Batch, active: Active) -> None:
        at, lanes = _row_addresses(batch, active, address(batch), count)
        rows = batch.memory.load("shared", at, np.uint16, 8, lanes, is_collective=True)
        tiles = rows.reshape(-1, count, _ROWS, 8)
        registers = registers_of_tiles(tiles, transposed)
        for index, write in enumerate(writers):
            write(batch, registers[:, index].reshape(-1), active)

    return step


def compile_stmatrix(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `stmatrix`."""
    target, source = instruction.operands
    address, transposed = _shared_side(instruction, kernel, target)
    readers = kernel.readers(source, "b32")
    count = len(readers)

    def step(batch: Batch, active: Active) -> None:
        at, lanes = _row_addresses(batch, active, address(batch), count)
        registers = np.stack([active.select(read(batch)) for read in readers], -1)
        tiles = tiles_of_registers(registers.reshape(-1, WARP, count), transposed)
        batch.memory.store(
            "shared", at, tiles.reshape(-1, 8), lanes, is_collective=True
        )

    return step


def compile_movmatrix(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `movmatrix`."""
    _check_form(instruction, kernel)
    result, source = instruction.operands
    read, write = kernel.reader(source, "b32"), kernel.writer(result, "b32")

    def step(batch: Batch, active: Active) -> None:
        registers = active.select(read(batch)).reshape(-1, WARP)
        write(batch, transpose_tile(registers).reshape(-1), active)

    return step


INSTRUCTIONS = {
    "ldmatrix": compile_ldmatrix,
    "stmatrix": compile_stmatrix,
    "movmatrix": compile_movmatrix,
}
