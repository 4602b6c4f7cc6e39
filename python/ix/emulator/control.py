"""Jumps, calls and ends: brx.idx, call, ret, exit, trap.

The scheduler itself executes `bra`, by the target that it is linked with.

Arguments and results of functions travel as bytes: a call copies them into a buffer
that the function's first step (`enter`) copies into its own variables; `ret` copies the
results back, and the step behind the call (`return_value`) takes them from there. So
direct and indirect calls are the same, and threads may call different functions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ix.emulator.batch import Active, Array, Batch
from ix.emulator.errors import OutOfBoundsError, TrapError
from ix.emulator.kernel_code import KernelCode, elements_of
from ix.emulator.layout import FUNCTION_BASE, align_up
from ix.emulator.outcome import Exit, Jump, Outcome, Step
from ix.emulator.ptx_types import bytes_of, dtype_of
from ix.emulator.syntax import (
    Instruction,
    Operand,
    Register,
    Symbol,
    Variable,
    Vector,
)

__all__ = ["INSTRUCTIONS", "CallStack"]


class CallStack:
    """Return points of each thread, and the bytes that calls pass.

    Attributes:
        depth: How many calls each thread is in.
        returns: (depth, threads): the instruction to return to.
        bytes: (threads, size): arguments or results.
    """

    def __init__(self, batch: Batch) -> None:
        threads, functions = batch.threads, len(batch.kernel.functions)
        # Without recursion, calls nest no deeper than there are functions.
        self.depth = np.zeros(threads, np.int64)
        self.returns = np.zeros((functions, threads), np.int64)
        self.bytes = np.zeros((threads, 256), np.uint8)

    @staticmethod
    def of(batch: Batch) -> CallStack:
        """The call stack of a batch."""
        return batch.extension(CallStack)

    def reserve(self, size: int) -> None:
        """Makes room for so many bytes of arguments."""
        if size > self.bytes.shape[1]:
            grown = np.zeros((len(self.bytes), align_up(size, 256)), np.uint8)
            grown[:, : self.bytes.shape[1]] = self.bytes
            self.bytes = grown


def compile_indexed_branch(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `brx.idx index, list`."""
    index, targets = instruction.operands
    assert isinstance(targets, Symbol)
    names = kernel.function.branch_targets[targets.name]
    places = np.array([kernel.label(name) for name in names])
    read = kernel.reader(index, "u32")

    def step(batch: Batch, active: Active) -> Outcome:
        at = active.select(read(batch)).astype(np.int64)
        if int(at.max()) >= len(places):
            worst = int(np.argmax(at))
            raise batch.error(
                OutOfBoundsError,
                f"needs an index below {len(places)}, but it is {int(at[worst])}; "
                "check the range before the branch",
                active.lanes[worst],
            )
        return Jump(places[at])

    return step


def compile_exit(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `exit`."""
    return lambda batch, active: Exit()


def compile_trap(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `trap` and `brkpt`, which end the launch with an error."""

    def step(batch: Batch, active: Active) -> None:
        raise batch.error(
            TrapError,
            f"needs to be unreachable, but {active.count} threads execute it; look at "
            "the condition that leads here",
            active.lanes[0],
        )

    return step


def compile_call(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `call [(result),] function [, (arguments)] [, prototype]`."""
    callee, arguments = _parts(instruction)
    copies = _argument_copies(kernel, arguments)
    size = copies[-1].stop if copies else 0
    back = kernel.index + 1
    target: int | None = None
    if isinstance(callee, Symbol):
        target = kernel.starts.get(callee.name)
        if target is None:
            return _missing(callee.name)
    read = None if target is not None else kernel.reader(callee, "u64")

    def step(batch: Batch, active: Active) -> Outcome:
        stack = CallStack.of(batch)
        stack.reserve(size)
        lanes = active.lanes
        for copy in copies:
            copy.pass_in(batch, stack, active)
        depth = stack.depth[lanes]
        stack.returns[depth, lanes] = back
        stack.depth[lanes] = depth + 1
        if read is None:
            return Jump(np.full(active.count, target))
        places = active.select(read(batch)).view(np.int64) - FUNCTION_BASE
        return Jump(_checked_functions(batch, active, places))

    return step


def _missing(name: str) -> Step:
    """A call of a function without a body, such as a failed assertion's."""

    def step(batch: Batch, active: Active) -> None:
        raise batch.error(
            TrapError,
            f"needs a function of the module, but '{name}' has no body, and "
            f"{active.count} threads call it; link it, or look at the condition that "
            "leads here",
            active.lanes[0],
        )

    return step


def _checked_functions(batch: Batch, active: Active, places: Array) -> Array:
    known = np.isin(places, list(batch.kernel.starts.values()))
    if not known.all():
        worst = int(np.argmin(known))
        raise batch.error(
            OutOfBoundsError,
            f"needs the address of a function, but it is "
            f"{int(places[worst]) + FUNCTION_BASE:#x}; check the table of functions",
            active.lanes[worst],
        )
    return places


def _parts(instruction: Instruction) -> tuple[Operand, tuple[Operand, ...]]:
    """The function and the arguments of a call."""
    operands = list(instruction.operands)
    if isinstance(operands[0], Vector):
        operands.pop(0)
    callee = operands.pop(0)
    arguments = operands[0] if operands else None
    return callee, elements_of(arguments) if isinstance(arguments, Vector) else ()


class _Copy:
    """A piece of the bytes that calls pass: a `.param` variable, register or constant.

    Args:
        operand: What it is copied from or to.
        start: Where it lies among the bytes that are passed.
    """

    def __init__(self, kernel: KernelCode, operand: Operand, start: int) -> None:
        function = kernel.function
        place = None
        if isinstance(operand, Symbol):
            place = kernel.layout.local.get(f"{function.name}:{operand.name}")
        self.place = place
        if place is not None:
            self.size = place.size
        else:
            name = (
                function.registers[operand.name]
                if isinstance(operand, Register)
                else "b32"
            )
            self.size = bytes_of(name)
            self.read = kernel.reader(operand, name)
            self.write = (
                kernel.writer(operand, name) if isinstance(operand, Register) else None
            )
            self.dtype = dtype_of(name)
        self.start = align_up(start, 16)
        self.stop = self.start + self.size

    def pass_in(self, batch: Batch, stack: CallStack, active: Active) -> None:
        """Copies from the operand to the bytes that are passed."""
        lanes = active.lanes
        if self.place is not None:
            local = batch.memory.local.reshape(batch.threads, -1)
            begin = self.place.offset
            values = local[lanes, begin : begin + self.size]
        else:
            chosen = active.select(self.read(batch))
            values = np.ascontiguousarray(chosen).view(np.uint8).reshape(-1, self.size)
        stack.bytes[lanes, self.start : self.stop] = values

    def pass_out(self, batch: Batch, stack: CallStack, active: Active) -> None:
        """Copies from the bytes that are passed to the operand."""
        lanes = active.lanes
        values = stack.bytes[lanes, self.start : self.stop]
        if self.place is not None:
            begin = self.place.offset
            memory = batch.memory
            local = memory.local.reshape(batch.threads, -1)
            states = memory.local_states.reshape(batch.threads, -1)
            local[lanes, begin : begin + self.size] = values
            states[lanes, begin : begin + self.size] = 1
        elif self.write is not None:
            value = np.ascontiguousarray(values).view(self.dtype)[:, 0]
            self.write(batch, value, active)


def _argument_copies(kernel: KernelCode, operands: Sequence[Operand]) -> list[_Copy]:
    copies: list[_Copy] = []
    for operand in operands:
        copies.append(_Copy(kernel, operand, copies[-1].stop if copies else 0))
    return copies


def _variables(variables: list[Variable]) -> list[Operand]:
    """The operands that stand for the parameters or results of a function."""
    return [Register(v.name) if v.space == "reg" else Symbol(v.name) for v in variables]


def compile_enter(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles the first step of a function: takes the arguments."""
    copies = _argument_copies(kernel, _variables(kernel.function.parameters))

    def step(batch: Batch, active: Active) -> None:
        stack = CallStack.of(batch)
        stack.reserve(copies[-1].stop if copies else 0)
        for copy in copies:
            copy.pass_out(batch, stack, active)

    return step


def compile_return(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `ret`: ends an entry, returns from a function."""
    if kernel.function.is_entry:
        return compile_exit(instruction, kernel)
    copies = _argument_copies(kernel, _variables(kernel.function.returns))

    def step(batch: Batch, active: Active) -> Outcome:
        stack = CallStack.of(batch)
        stack.reserve(copies[-1].stop if copies else 0)
        for copy in copies:
            copy.pass_in(batch, stack, active)
        lanes = active.lanes
        depth = stack.depth[lanes] - 1
        stack.depth[lanes] = depth
        return Jump(stack.returns[depth, lanes])

    return step


def compile_return_value(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles the step behind a call: takes the results."""
    first = instruction.operands[0]
    is_list = isinstance(first, Vector) and len(instruction.operands) > 1
    copies = _argument_copies(kernel, elements_of(first) if is_list else ())

    def step(batch: Batch, active: Active) -> None:
        stack = CallStack.of(batch)
        for copy in copies:
            copy.pass_out(batch, stack, active)

    return step


INSTRUCTIONS = {
    "brx": compile_indexed_branch,
    "call": compile_call,
    "ret": compile_return,
    "exit": compile_exit,
    "trap": compile_trap,
    "brkpt": compile_trap,
    "enter": compile_enter,
    "return_value": compile_return_value,
}
