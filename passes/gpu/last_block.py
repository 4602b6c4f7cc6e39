"""What the last block to finish does with the results of the others.

    store …; barrier
    thread 0:  fence; done = atomic add(counter, 1); fence       releases this block's
                                                stores, and acquires those of the others
    barrier;   if done is the last: …

Nobody waits for another block, so that it does not matter which of them run at once.
The last one sets the counter back to 0 for the next launch. A result does not depend on
which block is the last. Source: CUDA Programming Guide, "Memory Fence Functions".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.mlir import arith, gpu, ir, llvm, memref, scf
from ix.passes.gpu.kernel import GpuFrame
from ix.runtime.plan import COUNTER_BYTES

__all__ = ["MOST_COUNTERS", "is_last", "when_last"]

MOST_COUNTERS = COUNTER_BYTES // 4


def when_last(
    frame: GpuFrame, counter: Any, blocks: Any, body: Callable[[], None]
) -> None:
    """Runs `body` in the last of `blocks` blocks that count on one counter.

    Args:
        counter: Its number, below MOST_COUNTERS.
        blocks: How many blocks count, an int or an index.
    """
    with frame.when(is_last(frame, counter, blocks)):
        body()


def is_last(frame: GpuFrame, counter: Any, blocks: Any) -> Any:
    """Whether this is the last of `blocks` blocks to come here; see `when_last`.

    It sees what the others stored before.
    """
    math, i32 = frame.math, ir.IntegerType.get_signless(32)
    flag = frame.shared("last", [1], i32)
    gpu.BarrierOp()
    zero = math.value(0)
    first = arith.cmpi(arith.CmpIPredicate.eq, math.value(frame.thread), zero)
    branch = scf.IfOp(first)
    kind = ir.MemRefType.get([MOST_COUNTERS], i32)
    with ir.InsertionPoint(branch.then_block):
        counters = memref.view(kind, frame.scratch, zero, [])
        at = [math.value(counter)]
        one = arith.constant(i32, 1)
        # NVPTX writes a relaxed atomic whatever order it is given: fences order it.
        _fence()
        done = memref.atomic_rmw(arith.AtomicRMWKind.addi, one, counters, at)
        _fence()
        others = arith.index_cast(i32, math.value(math.compute("sub", blocks, 1)))
        last = arith.cmpi(arith.CmpIPredicate.eq, done, others)
        memref.store(arith.extui(i32, last), flag, [zero])
        reset = scf.IfOp(last)
        with ir.InsertionPoint(reset.then_block):
            memref.store(arith.constant(i32, 0), counters, at)
            scf.YieldOp([])
        scf.YieldOp([])
    gpu.BarrierOp()
    found = memref.load(flag, [zero])
    return arith.cmpi(arith.CmpIPredicate.ne, found, arith.constant(i32, 0))


def _fence() -> None:
    """Orders memory accesses before with those behind, as all of the GPU sees them."""
    llvm.inline_asm(None, [], "fence.acq_rel.gpu;", "~{memory}", has_side_effects=True)
