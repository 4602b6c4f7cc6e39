"""Steps of the arithmetic instructions: operands → ALU function → results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.emulator import alu
from ix.emulator.batch import Active, Array, Batch
from ix.emulator.kernel_code import KernelCode, Reader, Writer, elements_of
from ix.emulator.outcome import Step
from ix.emulator.syntax import Instruction

__all__ = ["compile_alu"]


def compile_alu(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles an instruction of the ALU.

    The condition code of extended precision is a register of its own: it follows the
    written operands where the operation wants one more.

    Raises:
        UnsupportedInstruction: The ALU does not have it.
    """
    sources = instruction.operands[1:]
    operation = alu.lookup(instruction.opcode, instruction.modifiers, len(sources))
    if not instruction.operands:
        raise kernel.unsupported(instruction, "it has no operands")
    types = operation.sources
    if len(types) not in (len(sources), len(sources) + 1):
        raise kernel.unsupported(
            instruction, f"it has {len(sources)} source operands of {len(types)}"
        )
    readers = [kernel.reader(o, t) for o, t in zip(sources, types, strict=False)]
    if len(types) > len(sources):
        readers.append(kernel.read_carry())
    results = elements_of(instruction.operands[0])
    writers = [
        kernel.writer(o, t) for o, t in zip(results, operation.results, strict=False)
    ]
    if len(operation.results) > len(results) and instruction.has("cc"):
        writers.append(kernel.write_carry())
    is_tuple = len(operation.results) > 1
    return _step(operation.function, readers, writers, is_tuple)


def _step(
    function: Callable[..., Any],
    readers: list[Reader],
    writers: list[Writer],
    is_tuple: bool,
) -> Step:
    """The step of a function; spelled out by the number of sources, for speed."""
    if is_tuple:
        return _many(function, readers, writers)
    (write,) = writers
    if len(readers) == 1:
        (a,) = readers

        def unary(batch: Batch, active: Active) -> None:
            write(batch, function(a(batch)), active)

        return unary
    if len(readers) == 2:
        a, b = readers

        def binary(batch: Batch, active: Active) -> None:
            write(batch, function(a(batch), b(batch)), active)

        return binary

    def general(batch: Batch, active: Active) -> None:
        write(batch, function(*[read(batch) for read in readers]), active)

    return general


def _many(
    function: Callable[..., tuple[Array, ...]],
    readers: list[Reader],
    writers: list[Writer],
) -> Step:
    def step(batch: Batch, active: Active) -> None:
        values = function(*[read(batch) for read in readers])
        for write, value in zip(writers, values, strict=False):
            write(batch, value, active)

    return step
