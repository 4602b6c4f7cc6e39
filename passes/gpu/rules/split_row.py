"""Reductions of few, long rows: each row is shared by many blocks.

    block:              the total of one part of a row → scratch
    last block of a row: the totals of its parts, in order; then what depends on them

A sum of a million elements reads memory from all over the GPU, not through the one
multiprocessor that a single block has. The order of the additions is fixed, so that
the same input gives the same bits.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import ir, memref, scf
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel
from ix.passes.gpu.last_block import MOST_COUNTERS, when_last
from ix.passes.gpu.row_shape import RowShape, row_slack, row_width
from ix.passes.gpu.rules.row import RowCode, row_of
from ix.passes.gpu.tile_shape import BUSY_BLOCKS
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, carry
from ix.passes.schedule.reduction import associative, initial_values
from ix.passes.schedule.rules.loop import arithmetic
from ix.passes.schedule.rules.row import Row
from ix.runtime.plan import COUNTER_BYTES
from ix.runtime.sizes import Size, combine, product
from ix.target import Target

__all__ = ["apply"]

THREADS = 256
STEPS = 8
LEAST_PARTS = 4
SLOT_BYTES = 8
STORED = ("f32", "f64", "i32", "i64")
"""Types whose totals are kept in a slot."""


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes kernels that only reduce, in one sweep, where rows are few and long."""
    row = row_of(kernel, target)
    if row is None:
        return None
    width = row_width(kernel, row)
    part = THREADS * STEPS * width
    rows, length = product(row.domain[: row.rows]), product(row.domain[row.rows :])
    slack = row_slack(kernel, row, width)
    parts = combine("div", combine("add", length, part - 1 + slack), part)
    few = kernel.most(rows) < min(BUSY_BLOCKS, MOST_COUNTERS)
    reduces = all(kernel.shape(v) != row.domain for v in kernel.outputs)
    (ops, _), *more = row.phases
    kept = all(str(op.operation.results[0].type.element_type) in STORED for op in ops)
    if not (
        kernel.needs(kernel.most(parts) >= LEAST_PARTS, "short-row")
        and kernel.needs(few, "enough-blocks")
        and kernel.needs(reduces and not more, "several-sweeps")
        and kernel.needs(kept, "other-elements")
    ):
        return None
    slots = len(ops) * kernel.most(rows) * kernel.most(parts)
    elements = kernel.most(product(row.domain))
    frames: list[GpuFrame] = []

    def emit(frame: GpuFrame) -> None:
        frames.append(frame)
        shape = RowShape(THREADS, 1, STEPS, width, slack=slack)
        _SplitCode(kernel, row, shape, frame, parts, slots).emit()

    code = build_kernel(
        kernel,
        emit,
        family="split_row",
        blocks=combine("mul", rows, parts),
        threads=THREADS,
        lanes=width,
        scratch_bytes=COUNTER_BYTES + slots * SLOT_BYTES,
        flops=elements * sum(arithmetic(op) for op in kernel.ops),
    )
    whole = width == 1 or not frames[0].elemental.split
    return code if kernel.needs(whole, "scattered-vectors") else None


class _SplitCode(RowCode):
    """Emits the code of one thread."""

    def __init__(
        self,
        kernel: Kernel,
        row: Row,
        shape: RowShape,
        frame: GpuFrame,
        parts: Size,
        slots: int,
    ) -> None:
        super().__init__(kernel, row, shape, frame)
        math, self.slots = self.math, slots
        self.parts = self.elemental.base(parts)
        self.number = math.compute("div", frame.block, self.parts)
        self.part = math.compute("mod", frame.block, self.parts)
        size = shape.threads * shape.steps * shape.width
        self.whole = (
            isinstance(self.length, int) and self.length % size == 0 and not shape.slack
        )
        self.start = math.compute("mul", self.part, size)
        end = math.compute("add", self.start, size)
        self.length = math.compute("min", end, self.length)
        self.shift_row(self.number)

    def emit(self) -> None:
        """The total of the block's part; in the last block the row's results."""
        row, math = self.row, self.math
        sizes = [self.elemental.base(s) for s in row.domain[: row.rows]]
        outer = math.delinearize(Index(self.number), sizes)
        ((ops, row_ops),) = row.phases
        totals = self._totals(outer, ops)
        first = self._below(self.frame.thread, 1)
        branch = scf.IfOp(first)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            for place, total in enumerate(totals):
                slot = self._slot(place, self.part)
                memref.store(total, self._slots_of(total.type), [math.value(slot)])
            scf.YieldOp([])

        def finish() -> None:
            self._bind(ops, self._across(ops, self._gathered(ops)))
            for op in row_ops:
                self._row_value(outer, op)
            self._write(outer)

        when_last(self.frame, self.number, self.parts, finish)

    def _is_whole(self, step: Any) -> bool:
        return self.whole

    def _slot(self, place: int, part: Any) -> Any:
        """The slot of a part's total for reduction number `place`."""
        math = self.math
        rows = self.elemental.base(product(self.row.domain[: self.row.rows]))
        line = math.compute("add", math.compute("mul", rows, place), self.number)
        return math.compute("add", math.compute("mul", line, self.parts), part)

    def _slots_of(self, kind: Any) -> Any:
        """The slots as an array of a type; each takes SLOT_BYTES."""
        count = self.slots * SLOT_BYTES // (kind.width // 8)
        shape = ir.MemRefType.get([count], kind)
        offset = self.math.value(COUNTER_BYTES)
        return memref.view(shape, self.frame.scratch, offset, [])

    def _gathered(self, ops: list[Any]) -> list[Any]:
        """The totals of every THREADS-th part, from the thread's own on, combined."""
        math = self.math
        kinds = [initial_values(op, self.elemental)[0].type for op in ops]
        arrays = [self._slots_of(kind) for kind in kinds]

        def each(part: Any, *running: Any) -> list[Any]:
            result = []
            for place, (op, array) in enumerate(zip(ops, arrays, strict=True)):
                at = [math.value(self._slot(place, part))]
                value = memref.load(array, at)
                result.append(associative(op)(running[place], value))
            return result

        return carry(
            self.frame.thread,
            self.parts,
            THREADS,
            each,
            self._neutral(ops, 1),
            self.elemental,
        )
