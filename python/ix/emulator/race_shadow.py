"""What the race detector remembers of each granule of memory: the last accesses.

An access is one int64: agent + 1 (23 bits), whether it was strong (1), the instruction
(16) and the time (24), from the top. Zero is no access.
"""

from __future__ import annotations

import numpy as np

from ix.emulator.batch import Array
from ix.emulator.kernel_code import KernelCode
from ix.emulator.syntax import Immediate, Instruction
from ix.emulator.types import bytes_of, is_type

__all__ = [
    "agent_of",
    "granule_of",
    "granules",
    "instruction_of",
    "is_strong",
    "pack",
    "time_of",
]

_TIME, _PLACE = 24, 16
_STRONG_BIT = _TIME + _PLACE
_AGENT_SHIFT = _STRONG_BIT + 1
_TIME_MASK, _PLACE_MASK = (1 << _TIME) - 1, (1 << _PLACE) - 1
_WIDEST = 16  # bytes of a granule at most


def pack(agent: Array, strong: bool, pc: int, time: Array) -> Array:
    """Packs accesses."""
    rest = int(strong) << _STRONG_BIT | min(pc, _PLACE_MASK) << _TIME
    shifted = (agent.astype(np.int64) + 1) << _AGENT_SHIFT
    return np.asarray(shifted | rest | (time.astype(np.int64) & _TIME_MASK))


def agent_of(packed: Array) -> Array:
    """The agent of packed accesses; -1 for none."""
    return np.asarray((packed >> _AGENT_SHIFT) - 1)


def time_of(packed: Array) -> Array:
    """The time of packed accesses."""
    return packed & _TIME_MASK


def is_strong(packed: Array) -> Array:
    """Whether packed accesses were strong."""
    return np.asarray(packed >> _STRONG_BIT & 1 != 0)


def instruction_of(packed: int) -> int:
    """The index of the instruction of a packed access."""
    return packed >> _TIME & _PLACE_MASK


def granules(index: Array, size: int, granule: int) -> Array:
    """The granules of accesses of `size` bytes at byte indices, access by access."""
    first = index // granule
    count = size // granule
    if count <= 1:
        return first
    return np.asarray((first[:, None] + np.arange(count)).reshape(-1))


def granule_of(kernel: KernelCode) -> int:
    """The bytes of a granule: the narrowest access that a kernel has, at most 16.

    So no two accesses meet in a granule that do not meet in memory.
    """
    return min((_width(c.instruction) for c in kernel.code), default=_WIDEST)


def _width(instruction: Instruction) -> int:
    """The bytes of the narrowest access of an instruction."""
    opcode = instruction.opcode
    if opcode in ("ld", "ldu", "st"):
        count = max(
            (int(m[1:]) for m in instruction.modifiers if m in ("v2", "v4", "v8")),
            default=1,
        )
        return min(bytes_of(instruction.type) * count, _WIDEST)
    if opcode in ("atom", "red"):
        types = [m for m in instruction.modifiers if is_type(m)]
        return min(bytes_of(types[-1]), _WIDEST) if types else 4
    if opcode == "mbarrier":
        return 8
    if opcode == "cp" and not instruction.has("bulk") and len(instruction.operands) > 2:
        size = instruction.operands[2]
        return int(size.value) if isinstance(size, Immediate) else 4
    return _WIDEST
