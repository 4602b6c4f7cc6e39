"""Which module emulates which instruction.

A module of this table has `INSTRUCTIONS`, a dict from names to functions

    compile(instruction: Instruction, kernel: KernelCode) -> Step

The longest name that an instruction begins with counts: `cp.async.bulk.tensor` before
`cp.async.bulk` before `cp.async`. What is not in the table is the ALU's. A module is
imported when a kernel needs it.

A step runs on `(batch, active)`. It reads operands through `kernel.reader` and
`kernel.address`, writes results through `kernel.writer`, and returns None, or an
outcome: Wait, Hold, Jump or Exit. Instructions with `.aligned` reach their step with
whole warps only (whole warpgroups for `wgmma`); others check `active` themselves.
"""

from __future__ import annotations

import importlib
from typing import cast

from ix.emulator.outcome import Compile
from ix.emulator.syntax import Instruction

__all__ = ["MODULES", "alignment_of", "compile_of", "patience_of"]

_MODULES = {
    "moves": "mov cvta isspacep mapa getctarank",
    "load_store": "ld ldu st",
    "atomics": "atom red",
    "control": "brx call ret exit trap brkpt return_value enter",
    "barriers": "bar barrier barrier.cluster bar.warp",
    "warp": "shfl vote match redux activemask elect",
    "fences": "fence membar griddepcontrol nanosleep prefetch prefetchu applypriority "
    "discard createpolicy setmaxnreg pmevent",
    "mma": "mma",
    "matrix_moves": "ldmatrix stmatrix movmatrix",
    "wgmma": "wgmma",
    "mbarrier": "mbarrier",
    "async_copy": "cp.async",
    "bulk_copy": "cp.async.bulk cp.reduce.async.bulk cp.async.bulk.tensor "
    "cp.reduce.async.bulk.tensor cp.async.bulk.prefetch",
}
MODULES = {
    name: f"ix.emulator.{module}"
    for module, names in _MODULES.items()
    for name in names.split()
}
_WARPGROUP = 128  # threads
_POLL = 400  # steps


def compile_of(instruction: Instruction) -> Compile | None:
    """The compile function of an instruction; None if it is the ALU's."""
    words = (instruction.opcode, *instruction.modifiers)
    for count in range(len(words), 0, -1):
        name = ".".join(words[:count])
        module = MODULES.get(name)
        if module is not None:
            table = importlib.import_module(module).INSTRUCTIONS
            return cast(Compile, table[name])
    return None


def alignment_of(instruction: Instruction) -> int:
    """How many threads must execute an instruction together: 1, 32 or 128."""
    if instruction.opcode in ("wgmma", "setmaxnreg"):
        return _WARPGROUP
    if instruction.opcode == "bar" and not instruction.has("warp"):
        return 32
    return 32 if instruction.has("aligned") else 1


def patience_of(instruction: Instruction) -> int:
    """The steps that an instruction takes from its group's turn, if it may poll."""
    polls = instruction.opcode == "atom" or (
        instruction.opcode == "ld" and instruction.has("volatile", "relaxed", "acquire")
    )
    return _POLL if polls or instruction.has("test_wait") else 0
