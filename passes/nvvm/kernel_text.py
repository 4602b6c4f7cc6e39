"""A lowered gpu.module → LLVM IR whose kernel is named after that text; PTX to read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from ix.mlir import ir
from ix.passes.compiled_program import target_of
from ix.passes.cpu.translate import to_llvm_ir
from ix.passes.gpu.kernel import KERNEL
from ix.passes.nvvm.gpu_to_nvvm import gpu_modules_of
from ix.passes.nvvm.ptx import compile_ptx
from ix.passes.schedule.sources import sources_of

__all__ = ["NamedKernel", "named_kernel", "ptx_text"]

_DEBUG_LINE = re.compile(r"(?<=[lL]ine: )\d+")


class NamedKernel(NamedTuple):
    """A kernel named after its code.

    symbol: Its name.
    text: Its LLVM IR, where locations number ops by their first appearance.
    order: The number that each of these ops has in the kernel function, from 1.
    """

    symbol: str
    text: str
    order: tuple[int, ...]

    def sources(self, given: tuple[str, ...]) -> tuple[str, ...]:
        """What a launch says of the function's ops, as the text numbers them.

        Ops that no code names come last.
        """
        if not given:
            return ()
        named = [given[number - 1] for number in self.order]
        others = [g for n, g in enumerate(given, 1) if n not in self.order]
        return (*named, *others)


def named_kernel(holder: Any) -> NamedKernel:
    """The symbol of a kernel, and its LLVM IR.

    Equal code that is launched alike has one symbol, in all programs, also where the
    ops that it comes from stand in another order.

    Args:
        holder: A gpu.module after ix-lower-to-nvvm, with what ix-emit-gpu noted on it.
    """
    attributes = holder.operation.attributes
    family = ir.StringAttr(attributes["ix.family"]).value
    launch = ir.StringAttr(attributes["ix.launch"]).value
    text, order = _renumbered(to_llvm_ir(holder))
    digest = hashlib.sha256(f"{text}|{launch}".encode()).hexdigest()[:16]
    symbol = f"ix_{family}_{digest}"
    return NamedKernel(symbol, text.replace(f"@{KERNEL}(", f"@{symbol}("), order)


def _renumbered(text: str) -> tuple[str, tuple[int, ...]]:
    """LLVM IR with ops numbered as its locations come; the numbers that they had."""
    head, mark, debug = text.partition("\n!llvm.dbg.cu")
    found: dict[str, str] = {"0": "0"}  # no op

    def number(match: re.Match[str]) -> str:
        return found.setdefault(match[0], str(len(found)))

    debug = _DEBUG_LINE.sub(number, debug)
    return head + mark + debug, tuple(int(old) for old in found if old != "0")


def ptx_text(module: Any) -> str:
    """The PTX of every kernel of a module, with what its ops are in the model.

    Args:
        module: After ix-lower-to-nvvm.

    Raises:
        CompileError: The module says no target, or LLVM refuses a kernel.
    """
    target = target_of(module, "sm_90a")
    launches = _launches(module)
    parts = []
    for holder in gpu_modules_of(module):
        name = ir.StringAttr(holder.operation.attributes["sym_name"]).value
        kernel = named_kernel(holder)
        sources = [kernel.sources(given) for given in launches.get(name, [])]
        lines = [f"// @{name}", *_described(sources)]
        parts += [*lines, compile_ptx(kernel.text, target).strip("\n"), ""]
    return "\n".join(parts)


def _launches(module: Any) -> dict[str, list[tuple[str, ...]]]:
    """For each kernel, what its ops are in each of its launches."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for function in module.operation.regions[0].blocks[0].operations:
        if function.operation.name != "func.func":
            continue
        for op in function.operation.regions[0].blocks[0].operations:
            if op.operation.name == "gpu.launch_func":
                kernel = ir.SymbolRefAttr(op.operation.attributes["kernel"])
                found.setdefault(kernel.value[0], []).append(sources_of(op))
    return found


def _described(launches: list[tuple[str, ...]]) -> Iterator[str]:
    """Comments: what `.loc 1 n` stands for in the launches of a kernel."""
    for sources in dict.fromkeys(launches):
        for line, source in enumerate(sources, 1):
            yield f"//   .loc 1 {line}: {source}"
