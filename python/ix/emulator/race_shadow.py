"""What the race detector remembers of each granule of memory: the last accesses.

An access is one int64: agent + 1 (21 bits), its scope (2), the lane (6), the
instruction (15) and the time (20), from the top. Zero is no access.
"""

from __future__ import annotations

import numpy as np

from ix.emulator.batch import Array
from ix.emulator.kernel_code import KernelCode
from ix.emulator.ptx_types import bytes_of, is_type
from ix.emulator.syntax import Immediate, Instruction

__all__ = [
    "LANES",
    "SEVERAL",
    "agent_of",
    "by_several",
    "granule_of",
    "granules",
    "in_lane",
    "instruction_of",
    "lane_of",
    "pack",
    "scope_of",
    "time_of",
]

_TIME, _PLACE, _LANE, _SCOPE = 20, 15, 6, 2  # bits
_LANE_SHIFT = _TIME + _PLACE
_SCOPE_SHIFT = _LANE_SHIFT + _LANE
_AGENT_SHIFT = _SCOPE_SHIFT + _SCOPE
_TIME_MASK, _PLACE_MASK = (1 << _TIME) - 1, (1 << _PLACE) - 1
_LANE_MASK = (1 << _LANE) - 1
_WIDEST = 16  # bytes of a granule at most

SEVERAL = 32  # the lane of what several lanes of a warp did
LANES = _LANE_MASK << _LANE_SHIFT  # where the lane of an access stands


def pack(agent: Array, scope: int, lane: Array | int, pc: int, time: Array) -> Array:
    """Packs accesses."""
    rest = scope << _SCOPE_SHIFT | min(pc, _PLACE_MASK) << _TIME
    shifted = (agent.astype(np.int64) + 1) << _AGENT_SHIFT
    shifted |= time.astype(np.int64) & _TIME_MASK | rest
    return np.asarray(shifted | np.left_shift(lane, _LANE_SHIFT))


def agent_of(packed: Array) -> Array:
    """The agent of packed accesses; -1 for none."""
    return np.asarray((packed >> _AGENT_SHIFT) - 1)


def time_of(packed: Array) -> Array:
    """The time of packed accesses."""
    return packed & _TIME_MASK


def in_lane(lanes: Array) -> Array:
    """What packs accesses of lane 0 as those of other lanes."""
    return np.asarray(lanes << _LANE_SHIFT)


def lane_of(packed: Array) -> Array:
    """The lane of packed accesses, or SEVERAL."""
    return np.asarray(packed >> _LANE_SHIFT & _LANE_MASK)


def by_several(packed: Array) -> Array:
    """Packed accesses as those of several lanes."""
    return np.asarray(packed & ~LANES | SEVERAL << _LANE_SHIFT)


def scope_of(packed: Array) -> Array:
    """The scope of packed accesses; WEAK if they were not strong."""
    return np.asarray(packed >> _SCOPE_SHIFT & (1 << _SCOPE) - 1)


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
