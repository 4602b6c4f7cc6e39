"""ix-emit-gpu: kernels on tensors → one gpu.module each, and @main that launches them.

    %0 = call @kernel_0(%x)   →   gpu.launch_func @kernel_0::@kernel
                                    blocks in (%n, %1, %1) threads in (%128, %1, %1)
                                    args(%x, %t0, %scratch, %sizes…)

This is for reading, and for `ix-opt`: the compiler itself lowers kernel by kernel, so
that equal kernels of all programs are compiled once, and @main becomes a plan. A launch
of no blocks, for an empty tensor, is left out when a plan runs.

@main takes inputs, outputs, constants (packed as the kernels read them), the arena,
scratch of all blocks, and the declared dimensions.
"""

from __future__ import annotations

import math
from typing import Any

from ix.errors import CompileError
from ix.mlir import arith, gpu, ir
from ix.passes.compiled_program import kernel_functions, target_of
from ix.passes.framework import module_pass
from ix.passes.gpu.choose_rule import code_of
from ix.passes.gpu.kernel import KERNEL, GpuCode
from ix.passes.nvvm.gpu_to_nvvm import gpu_modules_of
from ix.passes.schedule import storage
from ix.passes.schedule.host_function import computed, rebuild_main
from ix.passes.schedule.program import Step, host_program
from ix.passes.schedule.sources import number_ops
from ix.target import Target

__all__ = ["emit_gpu", "gpu_code", "shared_bytes"]


@module_pass("ix-emit-gpu")
def emit_gpu(module: Any) -> None:
    """Kernels on tensors → one gpu.module each, and @main that launches them."""
    target = target_of(module, "sm_90a")
    if target.kind != "cuda":
        raise CompileError(
            module,
            f"needs a GPU as its target, but ix.target is {target.name}; for example "
            '"sm_90a"',
        )
    functions = kernel_functions(module)
    codes: dict[str, GpuCode] = {}

    def code(callee: str) -> GpuCode:
        if callee not in codes:
            codes[callee] = gpu_code(functions, callee, target)
        return codes[callee]

    program = host_program(module, lambda c: (code(c).packings, code(c).in_place))
    body = module.operation.regions[0].blocks[0]
    for function in functions.values():
        function.operation.erase()
    module.operation.attributes["gpu.container_module"] = ir.UnitAttr.get()
    types = {name: _take_kernel(each, name, body) for name, each in codes.items()}
    scratch = max((each.scratch_bytes for each in codes.values()), default=1)

    def call(step: Step, buffers: list[Any], sizes: list[Any]) -> None:
        _launch(codes[step.callee], step.callee, buffers, sizes)

    rebuild_main(module, program, types, scratch, call)


def gpu_code(functions: dict[str, Any], name: str, target: Target) -> GpuCode:
    """The code of a kernel function, with numbers of its ops as locations.

    Args:
        functions: All kernel functions, for one may call others.
        name: The one.
        target: A GPU.

    Raises:
        CompileError: No rule takes the kernel, or one makes code that is not valid.
    """
    function = functions[name]
    number_ops(_ops(functions, name))
    code = code_of(function, target)
    try:
        code.module.operation.verify()
    except ir.MLIRError as error:
        raise CompileError(
            function,
            f"needs valid code, but the rule for '{code.family}' made code that is "
            f"not: {error}",
        ) from error
    (holder,) = gpu_modules_of(code.module)
    attributes = holder.operation.attributes
    with holder.context:
        attributes["ix.family"] = ir.StringAttr.get(code.family)
        launch = f"{code.blocks}|{code.threads}"
        if code.dynamic_shared_bytes:
            launch += f"|{code.dynamic_shared_bytes}"
        attributes["ix.launch"] = ir.StringAttr.get(launch)
    return code


def shared_bytes(holder: Any) -> int:
    """Bytes of the arrays that a gpu.module has in shared memory."""
    total = 0
    for op in holder.operation.regions[0].blocks[0].operations:
        if op.operation.name == "memref.global":
            kind = ir.MemRefType(ir.TypeAttr(op.operation.attributes["type"]).value)
            count = math.prod(kind.shape)
            total += count * storage.element_bytes(kind.element_type)
    return total


def _ops(functions: dict[str, Any], name: str) -> list[Any]:
    """The ops of a kernel function; in place of calls, those of what they call."""
    found = []
    for op in list(functions[name].entry_block.operations)[:-1]:
        if op.operation.name == "func.call":
            callee = ir.FlatSymbolRefAttr(op.operation.attributes["callee"]).value
            found += _ops(functions, callee)
        else:
            found.append(op)
    return found


def _take_kernel(code: GpuCode, name: str, block: Any) -> list[Any]:
    """Copies a kernel's gpu.module to the end of a block; the types it takes."""
    (holder,) = gpu_modules_of(code.module)
    clone = holder.operation.clone(ip=ir.InsertionPoint(block))
    clone.attributes["sym_name"] = ir.StringAttr.get(name)
    (kernel,) = [
        op
        for op in clone.regions[0].blocks[0].operations
        if op.operation.name == "gpu.func"
    ]
    kind = ir.FunctionType(
        ir.TypeAttr(kernel.operation.attributes["function_type"]).value
    )
    return list(kind.inputs)


def _launch(code: GpuCode, name: str, buffers: list[Any], sizes: list[Any]) -> None:
    index = ir.IndexType.get()
    one = arith.constant(index, 1)
    blocks = computed(code.blocks, sizes)
    threads = arith.constant(index, code.threads)
    i64 = ir.IntegerType.get_signless(64)
    operands = [*buffers, *[arith.index_cast(i64, size) for size in sizes]]
    shared = None
    if code.dynamic_shared_bytes:
        i32 = ir.IntegerType.get_signless(32)
        shared = arith.constant(i32, code.dynamic_shared_bytes)
    gpu.LaunchFuncOp(
        [name, KERNEL],
        (blocks, one, one),
        (threads, one, one),
        operands,
        dynamic_shared_memory_size=shared,
    )
