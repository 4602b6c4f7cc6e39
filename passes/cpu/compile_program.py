"""A module after ix-form-kernels → a plan, its objects and its constants' recipe.

Each kernel is compiled on its own, so that equal kernels of all programs share one
object in the cache.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import llvmlite

from ix.passes.compiled_program import (
    CompiledProgram,
    ObjectCache,
    functions_text,
    kernel_functions,
    op_names,
    plan_of,
)
from ix.passes.cpu.entry import entry_ir
from ix.passes.cpu.kernel_object import kernel_ir
from ix.passes.cpu.object_code import compile_object
from ix.passes.cpu.thread_pool import pool_ir
from ix.passes.schedule.choose_rule import loops_of
from ix.passes.schedule.form_kernels import declared_dims
from ix.passes.schedule.kernel import Kernel, Packing
from ix.passes.schedule.program import host_program
from ix.runtime.plan import Kernel as PlanKernel
from ix.runtime.plan import Tensor
from ix.target import Target

__all__ = ["compile_cpu"]


@dataclass
class _Compiled:
    """One kernel function, compiled."""

    packings: dict[int, Packing]
    in_place: bool
    kernel: PlanKernel
    text: str
    level: int


def _compiled(function: Any, target: Target) -> _Compiled:
    kernel = Kernel(function)
    code = loops_of(function, target)
    pointers = len(kernel.inputs) + len(kernel.outputs) + 1
    symbol, text = kernel_ir(code, pointers, len(kernel.ranges))
    padded = (code.scratch_bytes + 63) // 64 * 64
    entry = PlanKernel(
        symbol, code.family, op_names(kernel), code.flops, kernel.traffic, padded
    )
    return _Compiled(code.packings, code.in_place, entry, text, code.level)


def compile_cpu(
    module: Any,
    target: Target,
    signature: tuple[list[Tensor], list[Tensor]],
    name: str,
    cached: ObjectCache,
) -> CompiledProgram:
    """Compiles a module whose @main only calls kernels.

    Args:
        module: After ix-form-kernels.
        target: A CPU.
        signature: Inputs and outputs, with the dtypes that the importer saw.
        name: The program's name.
        cached: Looks objects up, or makes them.

    Raises:
        CompileError: No rule takes a kernel, or LLVM refuses its code.
    """
    functions = kernel_functions(module)
    kernels = functools.cache(lambda callee: _compiled(functions[callee], target))
    program = host_program(
        module, lambda callee: (kernels(callee).packings, kernels(callee).in_place)
    )
    used = list(dict.fromkeys(step.callee for step in program.steps))
    inputs, outputs = signature
    symbols = {callee: kernels(callee).kernel.symbol for callee in used}
    dims = len(declared_dims(module))
    entry = entry_ir(program, symbols, len(inputs), len(outputs), dims)
    texts = {symbols[callee]: kernels(callee) for callee in used}

    def compiled(text: str, level: int) -> bytes:
        digest = object_digest(text, target, level)
        return cached(digest, lambda: compile_object(text, target, level=level))

    objects = [compiled(entry, 0)]
    objects += [compiled(k.text, k.level) for k in texts.values()]
    objects.append(compiled(pool_ir(target), 0))
    entries = {callee: kernels(callee).kernel for callee in used}
    llvm_ir = {symbol: k.text for symbol, k in texts.items()}
    return CompiledProgram(
        plan_of(module, target, signature, name, program, entries),
        objects,
        program.constants,
        functions_text(module, "constants"),
        {**llvm_ir, "entry": entry},
    )


def object_digest(text: str, target: Target, level: int) -> str:
    """The cache key of an object: all that its bytes depend on."""
    parts = (text, str(target), str(level), llvmlite.__version__)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
