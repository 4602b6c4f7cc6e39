"""ld, ldu and st, in all state spaces, of single values and vectors.

Cache operators, eviction hints and prefetch sizes change nothing. `.volatile`,
`.relaxed`, `.acquire` and `.release` accesses do not race with one another.
"""

from __future__ import annotations

import numpy as np

from ix.emulator.batch import Active, Array, Batch
from ix.emulator.kernel_code import KernelCode, Writer
from ix.emulator.memory import space_of
from ix.emulator.outcome import Step
from ix.emulator.ptx_types import dtype_of
from ix.emulator.race_sync import Order
from ix.emulator.scopes import strong_scope
from ix.emulator.syntax import Address, Instruction, Operand, Symbol

__all__ = ["INSTRUCTIONS", "space_in"]


def space_in(instruction: Instruction, kernel: KernelCode) -> str:
    """The state space of an access; parameters of functions are local memory."""
    space = space_of(instruction.modifiers)
    if space == "param":
        return "global" if _is_entry_parameter(instruction, kernel) else "local"
    return space


def _is_entry_parameter(instruction: Instruction, kernel: KernelCode) -> bool:
    if not kernel.function.is_entry:
        return False
    for operand in instruction.operands:
        if isinstance(operand, Address) and isinstance(operand.base, Symbol):
            return kernel.place_of(operand.base.name) is not None
    # An entry addresses its own parameters through registers, never those of callees.
    return True


def _require_plain(instruction: Instruction, kernel: KernelCode) -> None:
    for modifier in ("async", "bulk", "multimem"):
        if instruction.has(modifier):
            raise kernel.unsupported(instruction, f".{modifier} is not emulated")


def compile_load(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `ld`."""
    _require_plain(instruction, kernel)
    result, source = instruction.operands[:2]
    constant = _parameter_load(instruction, kernel, result, source)
    if constant is not None:
        return constant
    space, type_name = space_in(instruction, kernel), instruction.type
    address = kernel.address(source)
    writers = kernel.writers(result, type_name)
    dtype, count = dtype_of(type_name), len(writers)
    scope, is_nc = strong_scope(instruction), instruction.has("nc")
    order = Order(scope, acquires=instruction.has("acquire"))

    def step(batch: Batch, active: Active) -> None:
        values = batch.memory.load(
            space,
            active.select(address(batch)),
            dtype,
            count,
            active.lanes,
            scope=scope,
            is_nc=is_nc,
        )
        columns = (
            values.reshape(1, -1) if count == 1 else np.ascontiguousarray(values.T)
        )
        for write, column in zip(writers, columns, strict=True):
            write(batch, column, active)
        if scope:
            batch.race.loaded(space, address(batch), active, order)

    return step


def _parameter_load(
    instruction: Instruction, kernel: KernelCode, result: Operand, source: Operand
) -> Step | None:
    """A load of a kernel parameter by name: one value for all threads."""
    if not (isinstance(source, Address) and isinstance(source.base, Symbol)):
        return None
    place = kernel.place_of(source.base.name)
    if place is None or not instruction.has("param", "param::entry"):
        return None
    writers: list[Writer] = kernel.writers(result, instruction.type)
    dtype = dtype_of(instruction.type)
    start = source.base.offset + source.offset
    if start < 0 or start + dtype.itemsize * len(writers) > place.size:
        raise kernel.unsupported(
            instruction, f"it reads beyond the {place.size} bytes of the parameter"
        )
    first = place.offset + start
    stop = first + dtype.itemsize * len(writers)

    def step(batch: Batch, active: Active) -> None:
        values = batch.launch.parameters[first:stop].view(dtype)
        for write, value in zip(writers, values, strict=True):
            write(batch, value, active)

    return step


def compile_store(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `st`."""
    _require_plain(instruction, kernel)
    target, source = instruction.operands[:2]
    space, type_name = space_in(instruction, kernel), instruction.type
    address = kernel.address(target)
    readers = kernel.readers(source, type_name)
    scope = strong_scope(instruction)
    order = Order(scope, releases=instruction.has("release"))

    def step(batch: Batch, active: Active) -> None:
        columns: list[Array] = [active.select(read(batch)) for read in readers]
        values = (
            columns[0].reshape(-1, 1) if len(columns) == 1 else np.stack(columns, 1)
        )
        at = active.select(address(batch))
        if scope:
            batch.race.stored(space, address(batch), active, order)
        batch.memory.store(space, at, values, active.lanes, scope=scope)

    return step


INSTRUCTIONS = {"ld": compile_load, "ldu": compile_load, "st": compile_store}
