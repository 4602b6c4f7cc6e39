"""Loops over independent work items → one item a thread.

Rules of `passes/schedule/rules` make `@body(buffers…, scratch, sizes…, low, high)`. On
a GPU each thread runs some of the items, and its scratch lies in global memory:

    for item = thread; item < items; item += threads of the grid:
      @body(buffers…, scratch of the thread, sizes…, item, item + 1)

Every op of the dialect runs this way; the rules in `passes/gpu/rules` are faster.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, func, gpu, ir, memref, scf
from ix.passes.gpu.kernel import GpuCode, index_bits, open_kernel
from ix.passes.schedule.index import IndexMath
from ix.passes.schedule.kernel import Kernel, KernelCode, SizeEmitter
from ix.runtime.plan import COUNTER_BYTES
from ix.runtime.sizes import Size, combine

__all__ = ["threads_of"]

THREADS = 128
SCRATCH_BYTES = 64 << 20
"""Global memory for scratch at most: with more, fewer threads share the items."""


def threads_of(kernel: Kernel, code: KernelCode) -> GpuCode:
    """A kernel whose threads take the items of `code`."""
    padded = (code.scratch_bytes + 15) // 16 * 16
    most = max(kernel.most(code.items), 1)
    threads = THREADS if most >= THREADS else 32
    blocks: Size = combine("div", combine("add", code.items, threads - 1), threads)
    blocks = combine("max", blocks, 1)
    if padded:
        allowed = max(SCRATCH_BYTES // (padded * threads), 1)
        blocks = combine("min", blocks, allowed)
    scratch = padded * threads * kernel.most(blocks)
    scratch += COUNTER_BYTES if padded else 0
    with kernel.location:
        bits = index_bits(kernel, code.items, scratch)
        module, holder, function = open_kernel(
            kernel, threads, scratch, bits, few_blocks=True
        )
        (body,) = code.module.body.operations
        device = body.operation.clone(ip=ir.InsertionPoint.at_block_begin(holder))
        device.attributes["sym_name"] = ir.StringAttr.get("body")
        device.attributes["llvm.linkage"] = ir.Attribute.parse(
            "#llvm.linkage<internal>"
        )
        device.attributes["passthrough"] = ir.ArrayAttr.get(
            [ir.StringAttr.get("alwaysinline")]
        )
        with ir.InsertionPoint(function.add_entry_block()):
            _emit(kernel, code, device.opview, function, blocks, threads, padded)
            gpu.ReturnOp([])
    return GpuCode(
        module,
        code.family,
        blocks,
        threads,
        scratch,
        flops=code.flops,
        in_place=code.in_place,
    )


def _emit(
    kernel: Kernel,
    code: KernelCode,
    device: Any,
    function: Any,
    blocks: Size,
    threads: int,
    padded: int,
) -> None:
    index = ir.IndexType.get()
    arguments = list(function.entry_block.arguments)
    buffers = len(kernel.inputs) + len(kernel.outputs)
    sizes = [arith.index_cast(index, a) for a in arguments[buffers + 1 :]]
    emitter = SizeEmitter(sizes)
    emitter.math = math = IndexMath(1)
    count = math.value(threads)
    here = arith.addi(
        arith.muli(gpu.block_id(gpu.Dimension.x), count),
        gpu.thread_id(gpu.Dimension.x),
    )
    step = arith.muli(math.value(emitter(blocks)), count)
    items = math.value(emitter(code.items))
    kind = list(device.type.inputs)[buffers]
    scratch = arguments[buffers]
    if kind.shape[0] > 1:
        offset = arith.muli(here, math.value(padded))
        offset = arith.addi(offset, math.value(COUNTER_BYTES))
        scratch = memref.view(kind, scratch, offset, [])
    one = math.value(1)
    loop = scf.ForOp(here, items, step, [])
    with ir.InsertionPoint(loop.body):
        item = loop.induction_variable
        func.CallOp(
            [],
            "body",
            [*arguments[:buffers], scratch, *sizes, item, arith.addi(item, one)],
        )
        scf.YieldOp([])
