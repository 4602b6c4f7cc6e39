"""How many blocks of a kernel fit on a multiprocessor at once."""

from __future__ import annotations

from dataclasses import dataclass

from ix.cost.errors import UnknownDevice

__all__ = ["SM_LIMITS", "Occupancy", "SmLimits", "limits_of", "occupancy"]

WARP_THREADS = 32


@dataclass(frozen=True)
class SmLimits:
    """What a multiprocessor (SM) has for the blocks that are on it.

    Attributes:
        warps: Resident warps at most.
        blocks: Resident blocks at most.
        shared_bytes: Shared memory, in bytes.
        block_shared_bytes: Shared memory that one block can have, in bytes.
    """

    warps: int
    blocks: int
    shared_bytes: int
    block_shared_bytes: int


# Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
SM_LIMITS = {
    "sm_80": SmLimits(64, 32, 164 << 10, 163 << 10),
    "sm_86": SmLimits(48, 16, 100 << 10, 99 << 10),
    "sm_89": SmLimits(48, 24, 100 << 10, 99 << 10),
    "sm_90": SmLimits(64, 32, 228 << 10, 227 << 10),
    "sm_100": SmLimits(64, 32, 228 << 10, 227 << 10),
    "sm_120": SmLimits(48, 24, 100 << 10, 99 << 10),
}

# Alike from compute capability 8.0 to 12.0, in the same table.
SM_REGISTERS = 64 << 10
THREAD_REGISTERS = 255
BLOCK_THREADS = 1024

# How they are handed out. Source: cuda_occupancy.h of the CUDA toolkit.
_WARP_REGISTER_UNIT = 256
_SHARED_UNIT = 128  # bytes
_RESERVED_SHARED = 1 << 10  # bytes of every block that the system takes
_PARTITIONS = 4  # each has a quarter of the registers, and warps of its own


@dataclass(frozen=True)
class Occupancy:
    """What fits on a multiprocessor.

    Attributes:
        blocks: Resident blocks; 0 if not even one fits.
        warps: Resident warps.
        fraction: The part of the warps that could be resident, 0 to 1.
        limits: What keeps another block out: `registers`, `shared`, `warps`, `blocks`.
    """

    blocks: int
    warps: int
    fraction: float
    limits: tuple[str, ...]


def limits_of(architecture: str) -> SmLimits:
    """The limits of `sm_90`, also when it is spelt `sm_90a`.

    Raises:
        UnknownDevice: ix has no figures of it.
    """
    name = architecture.rstrip("af")
    if name not in SM_LIMITS:
        raise UnknownDevice(
            f"'occupancy' needs an architecture of {', '.join(SM_LIMITS)}, but it is "
            f"'{architecture}'; choose one of them"
        )
    return SM_LIMITS[name]


def occupancy(
    architecture: str, *, threads: int, registers: int, shared_bytes: int
) -> Occupancy:
    """The blocks of a kernel that a multiprocessor holds at once.

    Args:
        architecture: Such as `sm_90a`.
        threads: Threads of a block.
        registers: 32-bit registers of a thread.
        shared_bytes: Shared memory of a block, static and dynamic, in bytes.

    Raises:
        UnknownDevice: ix has no figures of the architecture.

    Source: cuda_occupancy.h of the CUDA toolkit, which the occupancy API of the runtime
        follows as well.
    """
    sm = limits_of(architecture)
    warps = -(-threads // WARP_THREADS)
    room = {
        "registers": _warps_by_registers(registers) // warps,
        "shared": _blocks_by_shared(shared_bytes, sm),
        "warps": sm.warps // warps,
        "blocks": sm.blocks,
    }
    if threads > BLOCK_THREADS:
        room["warps"] = 0
    blocks = min(room.values())
    limits = tuple(name for name, fits in room.items() if fits == blocks)
    resident = blocks * warps
    return Occupancy(blocks, resident, resident / sm.warps, limits)


def _warps_by_registers(registers: int) -> int:
    """The warps that the registers of a multiprocessor suffice for."""
    if registers > THREAD_REGISTERS:
        return 0
    needed = max(registers, 1) * WARP_THREADS
    unit = _WARP_REGISTER_UNIT
    of_warp = -(-needed // unit) * unit
    return SM_REGISTERS // _PARTITIONS // of_warp * _PARTITIONS


def _blocks_by_shared(shared_bytes: int, sm: SmLimits) -> int:
    if shared_bytes > sm.block_shared_bytes:
        return 0
    taken = -(-(shared_bytes + _RESERVED_SHARED) // _SHARED_UNIT) * _SHARED_UNIT
    return sm.shared_bytes // taken
