"""PTX → machine code, where ptxas is installed, and what it takes of a GPU.

A cubin spares the driver the assembly when a program is loaded; the PTX stays beside it
for GPUs that the cubin is not for.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import asdict, dataclass

from ix.cost.cuda_tools import find_tool
from ix.cost.occupancy import occupancy
from ix.cost.ptxas import assemble, version
from ix.passes.compiled_program import ObjectCache
from ix.target import Target

__all__ = ["Assembled", "assembled"]


@dataclass(frozen=True)
class Assembled:
    """The machine code of a kernel; all 0 and empty where there is no ptxas.

    registers: 32-bit registers of a thread.
    spill_bytes: Bytes of spill instructions.
    shared_bytes: Shared memory of a block.
    occupancy: Resident warps as a part of those possible.
    """

    cubin: bytes = b""
    registers: int = 0
    spill_bytes: int = 0
    shared_bytes: int = 0
    occupancy: float = 0.0


def assembled(
    symbol: str,
    ptx: str,
    threads: int,
    dynamic_shared_bytes: int,
    target: Target,
    cached: ObjectCache,
) -> Assembled:
    """Assembles a kernel, or looks it up.

    Args:
        symbol: The kernel's name in the PTX.
        threads: Threads of a block.
        dynamic_shared_bytes: Shared memory of a block that a launch asks for.
        cached: Looks machine code up, or makes it.

    Raises:
        AssemblyError: ptxas refuses the PTX.
    """
    tool = find_tool("ptxas")
    if tool is None:
        return Assembled()
    launch = f"{threads},{dynamic_shared_bytes}"
    parts = (ptx, target.name, launch, "cubin", version(tool))
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return _unpacked(
        cached(
            digest, lambda: _packed(symbol, ptx, threads, dynamic_shared_bytes, target)
        )
    )


def _packed(
    symbol: str, ptx: str, threads: int, dynamic_shared_bytes: int, target: Target
) -> bytes:
    """The figures as JSON, then the machine code."""
    done = assemble(ptx, target.name)
    used = done.kernels[symbol]
    shared = used.shared_bytes + dynamic_shared_bytes
    resident = occupancy(
        target.name, threads=threads, registers=used.registers, shared_bytes=shared
    )
    figures = Assembled(
        b"", used.registers, used.spill_bytes, shared, resident.fraction
    )
    data = asdict(figures)
    del data["cubin"]
    head = json.dumps(data, sort_keys=True).encode()
    return struct.pack("<Q", len(head)) + head + done.cubin


def _unpacked(data: bytes) -> Assembled:
    (length,) = struct.unpack_from("<Q", data)
    figures = json.loads(data[8 : 8 + length])
    return Assembled(data[8 + length :], **figures)
