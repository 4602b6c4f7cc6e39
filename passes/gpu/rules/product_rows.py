"""A product and the rows that are made of its result, in one launch.

    block:        its tile of the product, with the epilogue, → memory
    last block of the tiles beside each other:  the row kernel's code on their rows

A layer norm behind a dense layer costs no launch of its own, and finds its input in the
L2 cache. `ix-merge-launches` makes such kernels; each part is a kernel function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ix.mlir import gpu, ir
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel
from ix.passes.gpu.last_block import MOST_COUNTERS, when_last
from ix.passes.gpu.product import ProductPlan
from ix.passes.gpu.reduce_threads import WARP
from ix.passes.gpu.row_shape import RowShape, row_width
from ix.passes.gpu.rules import contraction, small_m
from ix.passes.gpu.rules.row import RowCode, row_of
from ix.passes.schedule.kernel import Kernel, loop
from ix.passes.schedule.rules.loop import arithmetic
from ix.passes.schedule.rules.row import Row
from ix.runtime.plan import COUNTER_BYTES
from ix.runtime.sizes import product as product_of
from ix.target import Target

__all__ = ["FAMILY", "Pair", "apply", "pair_of"]

FAMILY = "product_rows"


@dataclass(frozen=True)
class Pair:
    """A kernel that multiplies, and one that reads rows of its result.

    first, second: The kernels.
    plan: How the first one is cut into blocks.
    row: The phases of the second one.
    """

    first: Kernel
    second: Kernel
    plan: ProductPlan
    row: Row


def pair_of(first: Kernel, second: Kernel, target: Target) -> Pair | None:
    """The two kernels as a pair; None where the rows are not those of the product.

    The second one notes why.
    """
    plan = small_m.plan_of(first, may_split=False) or contraction.plan_of(
        first, may_split=False
    )
    row = row_of(second, target)
    if plan is None or row is None:
        return None
    made = plan.product
    columns = len(row.domain) - row.rows
    in_order = made.out == (*made.rows, *made.columns)
    same = first.shape(first.outputs[0]) == row.domain
    rows = first.most(product_of(row.domain[: row.rows]))
    few = -(-rows // plan.rows) <= MOST_COUNTERS
    own = in_order and same and len(made.columns) == columns
    if not (
        second.needs(not made.batch, "batched")
        and second.needs(len(first.outputs) == 1, "several-outputs")
        and second.needs(own, "not-its-rows")
        and second.needs(few, "many-counters")
    ):
        return None
    return Pair(first, second, plan, row)


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes the kernels that ix-merge-launches made."""
    if kernel.family != FAMILY:
        return None
    first, second = (Kernel(_callee(call)) for call in kernel.ops)
    pair = pair_of(first, second, target)
    assert pair is not None, "ix-merge-launches merges pairs only"
    elements = second.most(product_of(pair.row.domain))
    plan = pair.plan
    code = build_kernel(
        kernel,
        lambda frame: _emit(kernel, pair, frame),
        family=f"{plan.family}_rows",
        blocks=plan.blocks,
        threads=plan.threads,
        lanes=plan.lanes,
        scratch_bytes=COUNTER_BYTES,
        flops=plan.flops + elements * sum(arithmetic(op) for op in second.ops),
    )
    kernel.declined += [*first.declined, *second.declined]
    return code


def _callee(call: Any) -> Any:
    """The kernel function that an op of the merged function calls."""
    name = ir.FlatSymbolRefAttr(call.operation.attributes["callee"]).value
    module = call.operation.parent.parent
    for op in module.regions[0].blocks[0].operations:
        if "sym_name" in op.operation.attributes and (
            ir.StringAttr(op.operation.attributes["sym_name"]).value == name
        ):
            return op.operation.opview
    raise AssertionError(f"@{name} is in the module")


def _emit(kernel: Kernel, pair: Pair, frame: GpuFrame) -> None:
    tensors = [*kernel.inputs, *kernel.outputs]
    buffers = dict(zip(tensors, frame.arguments, strict=True))

    def part(call: Any, inner: Kernel, lanes: int) -> GpuFrame:
        operands = list(call.operation.operands)[: len(inner.inputs)]
        values = [*operands, *call.operation.results]
        return frame.part(inner, [buffers[v] for v in values], lanes)

    first, second = kernel.ops
    plan = pair.plan
    with pair.first.location:
        plan.emit(part(first, pair.first, plan.lanes))
    math = frame.math
    columns = frame.elemental.base(pair.first.shape(pair.first.outputs[0])[-1])
    for size in pair.first.shape(pair.first.outputs[0])[pair.row.rows : -1]:
        columns = math.compute("mul", columns, frame.elemental.base(size))
    tiles = math.compute("add", columns, plan.columns - 1)
    tiles = math.compute("div", tiles, plan.columns)
    down = math.compute("div", frame.block, tiles)
    width = row_width(pair.second, pair.row)
    inner = part(second, pair.second, width)
    with pair.second.location:
        when_last(frame, down, tiles, lambda: _emit_rows(pair, inner, down, width))


def _emit_rows(pair: Pair, frame: GpuFrame, down: Any, width: int) -> None:
    """The rows of a row of tiles, by all threads of one block."""
    plan, math = pair.plan, frame.math
    shape = RowShape.of(pair.second, pair.row, width, block=plan.threads)
    code = RowCode(pair.second, pair.row, shape, frame)
    first = math.compute("mul", down, plan.rows)

    def some(at: Any) -> None:
        code.emit_rows(math.compute("add", first, at), beyond=True)
        if shape.threads > WARP:
            gpu.BarrierOp()  # the partial results are written again

    loop(0, plan.rows, shape.rows, some, frame.elemental)
