"""Fences, hints and waits that change no value: fence, membar, prefetch, nanosleep, ...

A fence orders the accesses of its warp for the race detector: those before it become
visible with the next atomic operation behind it.
"""

from __future__ import annotations

import numpy as np

from ix.emulator.batch import Active, Batch
from ix.emulator.errors import BarrierError
from ix.emulator.kernel_code import KernelCode
from ix.emulator.outcome import Step
from ix.emulator.scopes import scope_of
from ix.emulator.syntax import Address, Immediate, Instruction

__all__ = ["INSTRUCTIONS"]


def compile_fence(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles fence and membar; `.proxy.async` orders generic and async accesses.

    `.mbarrier_init` does both, for more than the mbarriers that it is meant for.
    """
    scope = scope_of(instruction)
    if instruction.has("mbarrier_init"):
        return lambda batch, active: _fence_both(batch, active, scope)
    if instruction.has("proxy"):
        if not any(m.startswith("async") for m in instruction.modifiers):
            return _nothing
        return lambda batch, active: batch.race.proxy_fence(active.warps)
    return lambda batch, active: batch.race.fence(active.warps, scope)


def _fence_both(batch: Batch, active: Active, scope: int) -> None:
    batch.race.proxy_fence(active.warps)
    batch.race.fence(active.warps, scope)


def compile_nothing(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles a hint."""
    return _nothing


def _nothing(batch: Batch, active: Active) -> None:
    """Does nothing."""


def compile_policy(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles createpolicy: a cache policy, of which only the existence counts."""
    write = kernel.writer(instruction.operands[0], "b64")
    policy = np.uint64(0)
    return lambda batch, active: write(batch, policy, active)  # type: ignore[arg-type]


def compile_prefetch(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles prefetch; its address may be anything, even invalid."""
    for operand in instruction.operands:
        if isinstance(operand, Address):
            kernel.address(operand)
    return _nothing


def compile_setmaxnreg(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles setmaxnreg, which a whole warpgroup executes with the same count.

    Source: PTX ISA, "setmaxnreg": 24 to 256 registers, a multiple of 8.
    """
    count = instruction.operands[0]
    value = count.value if isinstance(count, Immediate) else 0
    is_valid = isinstance(value, int) and 24 <= value <= 256 and value % 8 == 0

    def step(batch: Batch, active: Active) -> None:
        if not is_valid:
            raise batch.error(
                BarrierError,
                f"needs 24 to 256 registers in steps of 8, but the count is {value}; "
                "round it",
            )

    return step


INSTRUCTIONS = {
    "fence": compile_fence,
    "membar": compile_fence,
    "griddepcontrol": compile_nothing,
    "nanosleep": compile_nothing,
    "pmevent": compile_nothing,
    "prefetch": compile_prefetch,
    "prefetchu": compile_prefetch,
    "applypriority": compile_nothing,
    "discard": compile_nothing,
    "createpolicy": compile_policy,
    "setmaxnreg": compile_setmaxnreg,
}
