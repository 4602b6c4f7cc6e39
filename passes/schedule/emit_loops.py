"""ix-emit-loops: kernels on tensors → loops on memrefs, and @main on one arena.

    %0 = call @kernel_0(%x)     →    %t0 = memref.view %arena[…]
    %1 = call @kernel_0(%0)          call @kernel_0(%x, %t0, %scratch, %low, %high)

This is for reading, and for `ix-opt`: the compiler itself lowers kernel by kernel, so
that equal kernels of all programs share one object, and hands out their items through
the thread pool. Here every call runs all items of its kernel.

@main takes inputs, outputs, constants (packed as the kernels read them), the arena,
scratch of one thread, and the declared dimensions.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, func, ir
from ix.passes.compiled_program import kernel_functions, target_of
from ix.passes.framework import module_pass
from ix.passes.schedule.choose_rule import loops_of
from ix.passes.schedule.host_function import computed, rebuild_main
from ix.passes.schedule.kernel import KernelCode
from ix.passes.schedule.program import Step, host_program

__all__ = ["emit_loops"]


@module_pass("ix-emit-loops")
def emit_loops(module: Any) -> None:
    """Kernels on tensors → loops on memrefs, and @main on one arena."""
    target = target_of(module, "cpu")
    body = module.operation.regions[0].blocks[0]
    functions = kernel_functions(module)
    codes = {name: loops_of(function, target) for name, function in functions.items()}
    program = host_program(
        module, lambda callee: (codes[callee].packings, codes[callee].in_place)
    )
    loops = {name: _take_body(code, name, body) for name, code in codes.items()}
    types = {name: list(function.type.inputs) for name, function in loops.items()}
    scratch = max((code.scratch_bytes for code in codes.values()), default=1)

    def call(step: Step, buffers: list[Any], sizes: list[Any]) -> None:
        low = arith.constant(ir.IndexType.get(), 0)
        high = computed(codes[step.callee].items, sizes)
        func.CallOp([], step.callee, [*buffers, *sizes, low, high])

    rebuild_main(module, program, types, scratch, call)
    for function in functions.values():
        function.operation.erase()
    for name, function in loops.items():
        function.operation.attributes["sym_name"] = ir.StringAttr.get(name)


def _take_body(code: KernelCode, name: str, block: Any) -> Any:
    """Copies @body of a kernel's own module to the end of this one."""
    (body,) = code.module.body.operations
    clone = body.operation.clone(ip=ir.InsertionPoint(block))
    clone.attributes["sym_name"] = ir.StringAttr.get(f"{name}_loops")
    clone.attributes["sym_visibility"] = ir.StringAttr.get("private")
    clone.attributes["ix.family"] = ir.StringAttr.get(code.family)
    return clone.opview
