"""How often each machine instruction occurs in a kernel, from nvdisasm.

Counts are static: an instruction in a loop counts once.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path

from ix.cost.cuda_tools import require_tool, run
from ix.cost.errors import DisassemblyError

__all__ = ["GROUPS", "instruction_mix", "mix_of_text"]

# The instructions that a budget looks at; accesses to memory come with their width.
GROUPS = {
    "tensor": ("HGMMA", "QGMMA", "IGMMA", "HMMA", "QMMA", "IMMA", "DMMA", "UTCHMMA"),
    "float": ("FFMA", "FFMA2", "FADD", "FMUL", "HFMA2", "DFMA", "MUFU"),
    "global": ("LDG", "STG", "LDGSTS", "UTMALDG", "UTMASTG", "UBLKCP", "RED", "ATOMG"),
    "shared": ("LDS", "STS", "LDSM", "STSM", "ATOMS"),
    "local": ("LDL", "STL"),
    "barrier": ("BAR", "SYNCS", "WARPSYNC", "DEPBAR"),
}
_SIZED = {"LDG", "STG", "LDS", "STS", "LDL", "STL", "LDGSTS"}

_SECTION = re.compile(r"^\s*\.section\s+\.text\.([^,\s]+)")
_INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P[T\d]\s+)?([A-Z][\w.]*)")
_WIDTH = {"U8": "8", "S8": "8", "U16": "16", "S16": "16", "64": "64", "128": "128"}


def instruction_mix(
    cubin: bytes, *, tool: Path | None = None
) -> dict[str, dict[str, int]]:
    """Counts the instructions of every kernel of a cubin.

    Args:
        cubin: What ptxas made.
        tool: nvdisasm; None: the one that is found.

    Returns:
        By kernel, the count by opcode: `FFMA`, `HMMA`, ..., and with the width in bits
        `LDG.128`, `STS.32`, ...; `total` counts all but NOP.

    Raises:
        ToolNotFound: There is no nvdisasm.
        DisassemblyError: nvdisasm refuses the cubin.
    """
    tool = tool or require_tool("nvdisasm")
    with tempfile.TemporaryDirectory(prefix="ix-sass-") as folder:
        path = Path(folder, "module.cubin")
        path.write_bytes(cubin)
        done = run(tool, ["-c", str(path)])
    if done.returncode:
        raise DisassemblyError(
            "'nvdisasm' needs a cubin of an architecture that it knows, but it "
            f"reports: {done.stderr.strip()}; install the release that ptxas is of"
        )
    return mix_of_text(done.stdout)


def mix_of_text(text: str) -> dict[str, dict[str, int]]:
    """Counts the instructions in what `nvdisasm -c` prints, by kernel and opcode."""
    kernels: dict[str, Counter[str]] = {}
    counts: Counter[str] | None = None
    for line in text.splitlines():
        if section := _SECTION.match(line):
            counts = kernels.setdefault(section[1], Counter())
        elif counts is not None and (found := _INSTRUCTION.match(line)):
            name = _named(found[1])
            if name != "NOP":
                counts[name] += 1
                counts["total"] += 1
    return {name: dict(sorted(c.items())) for name, c in kernels.items()}


def _named(spelling: str) -> str:
    """`LDG.E.128.CONSTANT` → `LDG.128`, `FFMA.FTZ` → `FFMA`."""
    opcode, *modifiers = spelling.split(".")
    if opcode not in _SIZED:
        return opcode
    width = next((_WIDTH[m] for m in modifiers if m in _WIDTH), "32")
    return f"{opcode}.{width}"
