"""A module after ix-form-kernels → a plan, PTX and cubins, and its constants' recipe.

Each kernel is compiled on its own, so that equal kernels of all programs share one
object in the cache.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

from ix.passes.compiled_program import (
    CompiledProgram,
    ObjectCache,
    functions_text,
    kernel_functions,
    op_names,
    plan_of,
    types_of,
)
from ix.passes.gpu.assemble import Assembled, assembled
from ix.passes.gpu.emit_gpu import gpu_code, shared_bytes
from ix.passes.nvvm.gpu_to_nvvm import gpu_modules_of, lower_gpu_modules
from ix.passes.nvvm.kernel_text import NamedKernel, named_kernel
from ix.passes.nvvm.ptx import compile_ptx, ptx_digest
from ix.passes.schedule.kernel import Kernel, Packing
from ix.passes.schedule.program import host_program
from ix.runtime.plan import Kernel as PlanKernel
from ix.runtime.plan import Tensor
from ix.target import Target

__all__ = ["compile_gpu"]


@dataclass
class _Compiled:
    """One kernel function, as LLVM IR."""

    packings: dict[int, Packing]
    in_place: bool
    entry: PlanKernel
    code: NamedKernel


def _compiled(functions: dict[str, Any], name: str, target: Target) -> _Compiled:
    kernel = Kernel(functions[name])
    code = gpu_code(functions, name, target)
    (holder,) = gpu_modules_of(code.module)
    shared = shared_bytes(holder) + code.dynamic_shared_bytes
    lower_gpu_modules(code.module)
    named = named_kernel(holder)
    entry = PlanKernel(
        named.symbol,
        code.family,
        op_names(kernel),
        code.flops,
        kernel.traffic,
        code.scratch_bytes,
        code.blocks,
        code.threads,
        types_of(kernel),
        tuple(map(kernel.memory, (*kernel.inputs, *kernel.outputs))),
        shared_bytes=shared,
        dynamic_shared_bytes=code.dynamic_shared_bytes,
    )
    return _Compiled(code.packings, code.in_place, entry, named)


def compile_gpu(
    module: Any,
    target: Target,
    signature: tuple[list[Tensor], list[Tensor]],
    name: str,
    cached: ObjectCache,
    *,
    machine_code: bool = True,
) -> CompiledProgram:
    """Compiles a module whose @main only calls kernels.

    Args:
        module: After ix-form-kernels.
        target: A GPU.
        signature: Inputs and outputs, with the dtypes that the importer saw.
        name: The program's name.
        cached: Looks objects up, or makes them.
        machine_code: Whether the PTX is assembled too, where ptxas is installed.

    Raises:
        CompileError: No rule takes a kernel, or LLVM refuses its code.
        AssemblyError: ptxas refuses the PTX.
    """
    functions = kernel_functions(module)
    kernels = functools.cache(lambda callee: _compiled(functions, callee, target))
    program = host_program(
        module, lambda callee: (kernels(callee).packings, kernels(callee).in_place)
    )
    program.steps = [
        replace(step, sources=kernels(step.callee).code.sources(step.sources))
        for step in program.steps
    ]
    used = dict.fromkeys(step.callee for step in program.steps)
    entries: dict[str, PlanKernel] = {}
    objects: dict[str, tuple[bytes, Assembled]] = {}
    for callee in used:
        entry = kernels(callee).entry
        if entry.symbol not in objects:
            text = kernels(callee).code.text
            objects[entry.symbol] = _objects(entry, text, target, cached, machine_code)
        _, made = objects[entry.symbol]
        entries[callee] = replace(
            entry,
            registers=made.registers,
            spill_bytes=made.spill_bytes,
            shared_bytes=made.shared_bytes or entry.shared_bytes,
            occupancy=made.occupancy,
        )
    return CompiledProgram(
        plan_of(module, target, signature, name, program, entries),
        [each for ptx, made in objects.values() for each in (ptx, made.cubin)],
        program.constants,
        functions_text(module, "constants"),
        {symbol: ptx.decode() for symbol, (ptx, _) in objects.items()},
    )


def _objects(
    entry: PlanKernel, text: str, target: Target, cached: ObjectCache, assemble: bool
) -> tuple[bytes, Assembled]:
    """The PTX of a kernel's LLVM IR, and what ptxas makes of it if it is asked."""
    ptx = cached(ptx_digest(text, target), lambda: _ptx(text, target))
    if not assemble:
        return ptx, Assembled()
    return ptx, assembled(
        entry.symbol,
        ptx.decode(),
        entry.threads,
        entry.dynamic_shared_bytes,
        target,
        cached,
    )


def _ptx(text: str, target: Target) -> bytes:
    return compile_ptx(text, target).encode()
