"""atom and red: read, modify and write in one step, with the value before.

Lanes that meet at one address go in the order of their threads, so that every lane gets
the value that it found, and sums of floats are the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ix.emulator import alu
from ix.emulator.access import Access
from ix.emulator.batch import Active, Array, Batch
from ix.emulator.heap import INITIALISED
from ix.emulator.kernel_code import KernelCode, Reader, Writer, elements_of
from ix.emulator.load_store import space_in
from ix.emulator.outcome import Step
from ix.emulator.ptx_types import dtype_of, is_type
from ix.emulator.race_sync import Order
from ix.emulator.scopes import scope_of
from ix.emulator.syntax import Instruction, Sink

__all__ = ["ACCUMULATE", "INSTRUCTIONS", "decrement", "increment"]

# (value before, operands...) → value behind
Modify = Callable[..., Any]
_HALVES = ("f16", "f16x2", "bf16", "bf16x2")
_MODES = ("add", "min", "max", "inc", "dec", "and", "or", "xor", "exch", "cas")
# These can run over all lanes of one address at once.
ACCUMULATE: dict[str, np.ufunc] = {
    "add": np.add,
    "min": np.minimum,
    "max": np.maximum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One atomic operation.

    modify:      computes the value behind
    accumulate:  the same as a ufunc over a sequence, where there is one
    scope:       towards which threads it is atomic
    """

    dtype: np.dtype[Any]
    modify: Modify
    accumulate: np.ufunc | None
    scope: int


def operation_of(mode: str, type_name: str, scope: int) -> Operation:
    """The operation of a mode, such as "add", on a type."""
    dtype = dtype_of(type_name)
    if type_name in ("f16", "f16x2", "bf16", "bf16x2") and mode in (
        "add",
        "min",
        "max",
    ):
        modifiers = ("rn", type_name) if mode == "add" else (type_name,)
        return Operation(dtype, alu.lookup(mode, modifiers).function, None, scope)
    accumulate = ACCUMULATE.get(mode)
    if accumulate is not None:
        return Operation(dtype, accumulate, accumulate, scope)
    return Operation(dtype, _MODIFY[mode], None, scope)


def increment(old: Array, limit: Array) -> Array:
    """One more; 0 behind the limit."""
    return np.asarray(np.where(old >= limit, 0, old + old.dtype.type(1)), old.dtype)


def decrement(old: Array, limit: Array) -> Array:
    """One less; the limit behind 0, and where the old value is above it."""
    lower = old - old.dtype.type(1)
    return np.asarray(np.where((old == 0) | (old > limit), limit, lower))


_MODIFY: dict[str, Modify] = {
    "inc": increment,
    "dec": decrement,
    "exch": lambda old, new: new,
    "cas": lambda old, expected, new: np.where(old == expected, new, old),
}


def compile_atomic(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `atom` and `red`."""
    mode = next((m for m in instruction.modifiers if m in _MODES), None)
    if mode is None or instruction.has("async"):
        raise kernel.unsupported(instruction, "its operation is not emulated")
    type_name = [m for m in instruction.modifiers if is_type(m)][-1]
    operands = list(instruction.operands)
    result = operands.pop(0) if instruction.opcode == "atom" else Sink()
    address = kernel.address(operands.pop(0))
    operation = operation_of(mode, type_name, scope_of(instruction))
    columns = [
        [kernel.reader(each, type_name) for each in elements_of(operand)]
        for operand in operands[: 2 if mode == "cas" else 1]
    ]
    count = len(columns[0])
    writers = (
        [kernel.writer(each, type_name) for each in elements_of(result)]
        if not isinstance(result, Sink)
        else []
    )
    return _step(
        instruction, kernel, operation, address, list(zip(*columns, strict=True)),
        writers if len(writers) == count else [],
    )  # fmt: skip


def _step(
    instruction: Instruction,
    kernel: KernelCode,
    operation: Operation,
    address: Reader,
    columns: list[tuple[Reader, ...]],
    writers: list[Writer],
) -> Step:
    space, size = space_in(instruction, kernel), operation.dtype.itemsize
    order = Order(
        operation.scope,
        instruction.has("acquire", "acq_rel"),
        instruction.has("release", "acq_rel"),
    )

    def step(batch: Batch, active: Active) -> None:
        places = address(batch)
        at, lanes = active.select(places), active.lanes
        batch.counter.add(batch.pc, "atomics", active.count)
        batch.race.atomic(space, places, active, order)
        for i, readers in enumerate(columns):
            operands = [active.select(read(batch)) for read in readers]
            shifted = at + np.uint64(i * size)
            old = _apply(batch, space, shifted, operation, operands, lanes)
            if writers:
                writers[i](batch, old, active)

    return step


def _apply(
    batch: Batch,
    space: str,
    addresses: Array,
    operation: Operation,
    operands: list[Array],
    lanes: Array,
) -> Array:
    """Runs an operation at the addresses; the values before, one for each lane."""
    memory, size = batch.memory, operation.dtype.itemsize
    if space != "generic":
        access = memory.access(space, "atomic", addresses, size, lanes)
        return _update(batch, access, operation, operands)
    old = np.empty(len(addresses), operation.dtype)
    for part, inside, start in memory.spaces_of(addresses):
        access = memory.access(
            part, "atomic", addresses[inside] - start, size, lanes[inside]
        )
        chosen = [operand[inside] for operand in operands]
        old[inside] = _update(batch, access, operation, chosen)
    return old


def _update(
    batch: Batch, access: Access, operation: Operation, operands: list[Array]
) -> Array:
    memory = batch.memory
    access.scope = operation.scope
    buffer, index = memory.locate(access)
    memory.require_written(access, index)
    memory.note(access, index)
    view = buffer.view(operation.dtype)
    at = index // access.size
    old = np.empty(len(at), operation.dtype)
    order = np.argsort(at, kind="stable")
    starts = np.flatnonzero(np.diff(at[order], prepend=at[order[0]] - 1))
    sizes = np.diff(np.append(starts, len(at)))
    deepest = int(sizes.max())
    if deepest > len(starts) and operation.accumulate is not None:
        for group in np.split(order, starts[1:]):
            _accumulate(view, at, old, operation.accumulate, operands[0], group)
    else:
        for lanes in _rounds(order, starts, sizes, deepest):
            old[lanes] = view[at[lanes]]
            chosen = [operand[lanes] for operand in operands]
            view[at[lanes]] = operation.modify(old[lanes], *chosen)
    memory.mark(access, index, INITIALISED)
    return old


def _rounds(order: Array, starts: Array, sizes: Array, deepest: int) -> Iterator[Array]:
    """Sets of lanes with different addresses: the first of each, the second, ..."""
    for rank in range(deepest):
        yield order[starts[sizes > rank] + rank]


def _accumulate(
    view: Array, at: Array, old: Array, ufunc: np.ufunc, operand: Array, group: Array
) -> None:
    """Runs all lanes of one address, one after the other."""
    place = at[group[0]]
    values = np.concatenate((view[place : place + 1], operand[group]))
    steps = ufunc.accumulate(values, dtype=values.dtype)
    old[group] = steps[:-1]
    view[place] = steps[-1]


INSTRUCTIONS = {"atom": compile_atomic, "red": compile_atomic}
