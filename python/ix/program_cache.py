"""Whole compiled programs in the disk cache, weights left out."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numpy as np

from ix import dialects, passes
from ix.passes.compiled_program import CompiledProgram
from ix.passes.schedule.packing import packing_from
from ix.passes.schedule.program import ConstantSource
from ix.runtime.arrays import dtype_of
from ix.runtime.cache import DiskCache
from ix.runtime.plan import Plan
from ix.target import Target
from ix.version import __version__

__all__ = ["load_program", "program_digest", "store_program"]


@cache
def build_digest() -> str:
    """Changes whenever a file of the compiler does, so that no stale code is found.

    Sizes and times of the sources stand for their contents.
    """
    roots = [Path(__file__).parent]
    for package in (dialects, passes):
        roots += [Path(folder) for folder in package.__path__]
    parts = [__version__]
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            status = path.stat()
            parts.append(f"{path.name}:{status.st_size}:{status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def program_digest(module: Any, target: Target, assembler: str = "") -> str:
    """The cache key of a program: its imported text, the target and the versions.

    Args:
        assembler: What makes machine code of PTX; "" where nothing does.
    """
    text = module.operation.get_asm(enable_debug_info=True)
    parts = (text, str(target), build_digest(), llvmlite.__version__, assembler)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def store_program(
    disk: DiskCache | None, digest: str, program: CompiledProgram
) -> None:
    """Keeps a program, and the cache within its limit."""
    if disk is None:
        return
    head = json.dumps(
        {
            "plan": program.plan.to_json(),
            "constants": [_constant_json(source) for source in program.constants],
            "constants_module": program.constants_module,
            "objects": [len(each) for each in program.objects],
        }
    ).encode()
    disk.put(
        "programs",
        digest,
        b"".join([struct.pack("<Q", len(head)), head, *program.objects]),
    )
    disk.trim()


def load_program(disk: DiskCache | None, digest: str) -> CompiledProgram | None:
    """The program with this key, or None."""
    data = None if disk is None else disk.get("programs", digest)
    if data is None:
        return None
    (length,) = struct.unpack_from("<Q", data)
    head = json.loads(data[8 : 8 + length])
    objects, first = [], 8 + length
    for size in head["objects"]:
        objects.append(data[first : first + size])
        first += size
    return CompiledProgram(
        Plan.from_json(head["plan"]),
        objects,
        [_constant_from(entry) for entry in head["constants"]],
        head["constants_module"],
    )


def _constant_json(source: ConstantSource) -> dict[str, Any]:
    entry: dict[str, Any] = {"key": source.key, "name": source.name}
    if source.data is not None:
        entry["dtype"] = source.data.dtype.name
        entry["shape"] = list(source.data.shape)
        entry["bytes"] = base64.b64encode(source.data.tobytes()).decode()
    if source.packing is not None:
        entry["packing"] = source.packing.key
    return entry


def _constant_from(entry: dict[str, Any]) -> ConstantSource:
    data = None
    if "bytes" in entry:
        raw = base64.b64decode(entry["bytes"])
        data = np.frombuffer(raw, dtype_of(entry["dtype"])).reshape(entry["shape"])
    packing = packing_from(entry["packing"]) if "packing" in entry else None
    return ConstantSource(entry["key"], entry["name"], data, packing)
