"""PTX → cubin through ptxas, with what each kernel takes of a multiprocessor.

The same PTX, options and ptxas give the same bytes.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ix.cost.cuda_tools import require_tool, run
from ix.cost.errors import AssemblyError

__all__ = ["Assembly", "KernelResources", "assemble", "read_report", "version"]

# Repairs that hide a mistake of the program: ptxas waits for a wgmma that the program
# reads the results of without a wait.
_INJECTED_WAIT = "C7517"

_ENTRY = re.compile(r"Compiling entry function '([^']+)'")
_SPILLS = re.compile(
    r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
)
_USED = re.compile(r"Used (\d+) registers")
_BARRIERS = re.compile(r"used (\d+) barriers")
_SHARED = re.compile(r"(\d+) bytes smem")
_CONSTANT = re.compile(r"(\d+) bytes cmem\[\d+\]")
_NOTE = re.compile(r"^ptxas (?:info|warning)\s*:\s*(\((C\d+)\) .*|.*warning.*)$")
_REFUSED = re.compile(r"line (\d+); (?:error|fatal)\s*: (.*)")


@dataclass(frozen=True)
class KernelResources:
    """What ptxas reports of a kernel.

    Attributes:
        registers: 32-bit registers of a thread.
        stack_bytes: Local memory of a thread, spills included, in bytes.
        spill_store_bytes, spill_load_bytes: Bytes of spill instructions, each counted
            once however often it runs.
        shared_bytes: Static shared memory of a block, in bytes.
        constant_bytes: Constant memory, parameters included, in bytes.
        barriers: Barriers of a block, at most 16.
    """

    registers: int = 0
    stack_bytes: int = 0
    spill_store_bytes: int = 0
    spill_load_bytes: int = 0
    shared_bytes: int = 0
    constant_bytes: int = 0
    barriers: int = 0

    @property
    def spill_bytes(self) -> int:
        """Bytes of spill instructions, stores and loads."""
        return self.spill_store_bytes + self.spill_load_bytes


@dataclass(frozen=True)
class Assembly:
    """What ptxas makes of PTX.

    Attributes:
        cubin: The machine code, an ELF file.
        kernels: The resources of each entry, by its name.
        notes: What ptxas remarks with a number: serialised wgmma and such.
    """

    cubin: bytes
    kernels: dict[str, KernelResources]
    notes: tuple[str, ...]


def assemble(
    ptx: str,
    architecture: str,
    *,
    options: Sequence[str] = (),
    tool: Path | None = None,
) -> Assembly:
    """Assembles PTX for an architecture such as `sm_90a`.

    Args:
        ptx: The text of a module.
        architecture: What the machine code is for.
        options: More options of ptxas, such as `-O1`.
        tool: ptxas; None: the one that is found.

    Raises:
        ToolNotFound: There is no ptxas.
        AssemblyError: ptxas refuses the PTX, or had to insert a wait for wgmma.
    """
    tool = tool or require_tool("ptxas")
    with tempfile.TemporaryDirectory(prefix="ix-ptxas-") as folder:
        source, target = Path(folder, "module.ptx"), Path(folder, "module.cubin")
        source.write_text(ptx)
        arguments = ["-v", "-arch", architecture, *options]
        done = run(tool, [*arguments, "-o", str(target), str(source)])
        report = done.stdout + done.stderr
        if done.returncode:
            raise AssemblyError(_refusal(report, ptx, architecture))
        cubin = target.read_bytes()
    kernels, notes = read_report(report)
    for note in notes:
        if _INJECTED_WAIT in note:
            raise AssemblyError(
                "'wgmma.mma_async' needs a wgmma.wait_group before its results are "
                f"read, but ptxas had to insert one: {note}; add the wait"
            )
    return Assembly(cubin, kernels, notes)


def version(tool: Path | None = None) -> str:
    """The release of ptxas, such as `13.0`.

    Raises:
        ToolNotFound: There is no ptxas, or it does not tell.
    """
    tool = tool or require_tool("ptxas")
    found = re.search(r"release (\d+\.\d+)", run(tool, ["--version"]).stdout)
    return found[1] if found else "unknown"


def read_report(report: str) -> tuple[dict[str, KernelResources], tuple[str, ...]]:
    """Reads what `ptxas -v` prints: the resources by entry, and the remarks.

    Spills of functions that an entry calls count as its own.
    """
    kernels: dict[str, KernelResources] = {}
    notes: list[str] = []
    name = ""
    for line in report.splitlines():
        if entry := _ENTRY.search(line):
            name = entry[1]
            kernels[name] = KernelResources()
        elif note := _NOTE.match(line):
            notes.append(note[1])
        elif name:
            kernels[name] = _with_line(kernels[name], line)
    return kernels, tuple(notes)


def _with_line(kernel: KernelResources, line: str) -> KernelResources:
    """The resources of a kernel with what one line adds to them."""
    if spills := _SPILLS.search(line):
        stack, stores, loads = map(int, spills.groups())
        return replace(
            kernel,
            stack_bytes=kernel.stack_bytes + stack,
            spill_store_bytes=kernel.spill_store_bytes + stores,
            spill_load_bytes=kernel.spill_load_bytes + loads,
        )
    if not (used := _USED.search(line)):
        return kernel
    barriers, shared = _BARRIERS.search(line), _SHARED.search(line)
    return replace(
        kernel,
        registers=int(used[1]),
        barriers=int(barriers[1]) if barriers else 0,
        shared_bytes=int(shared[1]) if shared else 0,
        constant_bytes=sum(map(int, _CONSTANT.findall(line))),
    )


def _refusal(report: str, ptx: str, architecture: str) -> str:
    """The message for PTX that ptxas refuses: its first complaint and the line."""
    refused = _REFUSED.search(report)
    if refused is None:
        return (
            f"'ptxas' needs PTX and an architecture that it knows, but for "
            f"{architecture} it reports: {report.strip()}; install a newer toolkit or "
            "choose another target"
        )
    number = int(refused[1])
    lines = ptx.splitlines()
    text = lines[number - 1].strip() if number <= len(lines) else ""
    return (
        f"'ptxas' needs PTX that is legal for {architecture}, but line {number}, "
        f"`{text}`, is not: {refused[2].strip()}; correct what generates it"
    )
