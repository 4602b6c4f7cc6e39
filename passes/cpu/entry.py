"""The entry of a CPU program: launches every kernel in order. LLVM IR.

    void ix_entry(ptr pool, ptr buffers, ptr dims)

buffers: inputs, outputs, constants, arena, scratch. Each launch gets an argument array
on the stack, as `kernel_object.py` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ix.passes.cpu.kernel_object import size_ir
from ix.passes.schedule.program import HostProgram, Place
from ix.runtime.plan import ENTRY

__all__ = ["entry_ir"]


def entry_ir(
    program: HostProgram,
    symbols: Mapping[str, str],
    inputs: int,
    outputs: int,
    dims: int,
) -> str:
    """LLVM IR of the entry.

    Args:
        program: The launches.
        symbols: The kernels' symbols, by the names of their functions.
        inputs, outputs, dims: How many the program has.
    """
    first_constant = inputs + outputs
    arena = first_constant + len(program.constants)
    starts = {"input": 0, "output": inputs, "constant": first_constant}
    body: list[str] = []
    for number in range(arena + 2):
        body.append(f"  %b{number}.at = getelementptr ptr, ptr %buffers, i64 {number}")
        body.append(f"  %b{number} = load ptr, ptr %b{number}.at")
    for number in range(dims):
        body.append(f"  %d{number}.at = getelementptr i64, ptr %dims, i64 {number}")
        body.append(f"  %d{number} = load i64, ptr %d{number}.at")
    slots = max(
        (len(s.reads) + len(s.writes) + len(s.sizes) + 2 for s in program.steps),
        default=1,
    )
    body.append(f"  %args = alloca [{slots} x i64], align 64")
    for number, step in enumerate(program.steps):
        values: list[str] = []
        for index, place in enumerate([*step.reads, *step.writes]):
            name = f"%s{number}.p{index}"
            values.append(f"ptr {_pointer(place, name, starts, arena, body)}")
        values.append(f"ptr %b{arena + 1}")
        for index, size in enumerate(step.sizes):
            text, operand = size_ir(size, f"s{number}.n{index}", "%d{0}")
            body += [text] if text else []
            values.append(f"i64 {operand}")
        for index, value in enumerate(values):
            at = f"%s{number}.a{index}"
            body.append(f"  {at} = getelementptr i64, ptr %args, i64 {index}")
            body.append(f"  store {value}, ptr {at}")
        body.append(f"  call void @{symbols[step.callee]}(ptr %pool, ptr %args)")
    used = sorted({symbols[s.callee] for s in program.steps})
    declares = "\n".join(f"declare void @{symbol}(ptr, ptr)" for symbol in used)
    text = "\n".join(body)
    return (
        f"{declares}\n\n"
        f"define void @{ENTRY}(ptr %pool, ptr %buffers, ptr %dims) {{\n"
        f"{text}\n  ret void\n}}\n"
    )


def _pointer(
    place: Place, name: str, starts: dict[str, int], arena: int, body: list[str]
) -> str:
    if place.buffer is None:
        return f"%b{starts[place.kind] + place.number}"
    body.append(
        f"  {name} = getelementptr i8, ptr %b{arena}, i64 {place.buffer.offset}"
    )
    return name
