"""Reductions over any axes: one element of the result for each thread.

    thread (column, slice):  for each point of its slice of the reduced axes:
                               acc = body(inputs, acc)
    slices → shared memory, added in order by the first; then the epilogue

Neighbouring threads compute neighbouring elements, so that they read neighbouring
elements wherever the last axis is not reduced. Where there are few elements and long
sums, eight threads share one.
"""

from __future__ import annotations

import functools
from typing import Any

from ix.mlir import arith, gpu, ir, memref, scf
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel, element_bits
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, carry
from ix.passes.schedule.reduction import (
    accumulate,
    associative,
    combiner_of,
    initial_values,
    neutral_value,
)
from ix.passes.schedule.rules.contraction import finish_outputs
from ix.passes.schedule.rules.loop import arithmetic
from ix.passes.schedule.rules.row import iteration_space
from ix.passes.schedule.structure import kind_of, reduction_axes
from ix.runtime.sizes import combine, product
from ix.target import Target

__all__ = ["apply"]

COLUMNS = 32
SLICES = 8
THREADS = COLUMNS * SLICES
FEW_ELEMENTS = 1 << 16
LONG = 4 * SLICES


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes kernels whose anchor is a generic that reduces."""
    anchors = [op for op in kernel.ops if kind_of(op) in ("reduce", "contraction")]
    if kernel.family not in ("reduce", "contraction") or len(anchors) != 1:
        return None
    (anchor,) = anchors
    space = iteration_space(anchor, kernel)
    axes = reduction_axes(anchor)
    elements = product(kernel.shape(anchor.operation.results[0]))
    length = product([space[axis] for axis in axes])
    needs = functools.partial(kernel.needs, way="sliced_reduce")
    shared = (
        combiner_of(anchor) is not None
        and needs(kernel.most(elements) <= FEW_ELEMENTS, "enough-blocks")
        and needs(kernel.most(length) >= LONG, "short-row")
    )
    columns = COLUMNS if shared else THREADS
    points = kernel.most(combine("mul", elements, length))
    return build_kernel(
        kernel,
        lambda frame: _ReduceCode(kernel, anchor, frame, shared).emit(),
        family="reduce",
        blocks=combine("div", combine("add", elements, columns - 1), columns),
        threads=THREADS,
        flops=points * arithmetic(anchor),
        # ptxas packs what loops carry of bytes, and spills to do so.
        few_blocks=any(element_bits(v) < 32 for v in kernel.inputs),
    )


class _ReduceCode:
    """Emits the code of one thread."""

    def __init__(
        self, kernel: Kernel, anchor: Any, frame: GpuFrame, shared: bool
    ) -> None:
        self.kernel, self.anchor, self.frame, self.shared = (
            kernel,
            anchor,
            frame,
            shared,
        )
        self.elemental, self.math = frame.elemental, frame.math
        self.results = list(anchor.operation.results)
        self.space = iteration_space(anchor, kernel)
        self.axes = reduction_axes(anchor)
        self.shape = kernel.shape(self.results[0])

    def emit(self) -> None:
        """One element of the result, where the thread has one."""
        math, thread = self.math, self.frame.thread
        columns = COLUMNS if self.shared else THREADS
        column = math.compute("mod", thread, columns)
        first = math.compute("mul", self.frame.block, columns)
        number = math.compute("add", first, column)
        count = self.elemental.base(product(self.shape))
        exists = arith.cmpi(
            arith.CmpIPredicate.ult, math.value(number), math.value(count)
        )
        if not self.shared:
            self._guarded(exists, lambda: self._finish(number, self._sum(number)))
            return
        # All threads meet at the barrier; one without an element takes the last.
        last = math.compute("sub", count, 1)
        partial = self._sum(math.compute("min", number, last))
        total = self._across_slices(partial, column)
        one = math.compute("div", thread, COLUMNS)
        leads = arith.cmpi(arith.CmpIPredicate.eq, math.value(one), math.value(0))
        both = arith.andi(exists, leads)
        self._guarded(both, lambda: self._finish(number, [total()]))

    def _guarded(self, condition: Any, body: Any) -> None:
        branch = scf.IfOp(condition)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            body()
            scf.YieldOp([])

    def _point(self, number: Any) -> list[Index]:
        sizes = [self.elemental.base(s) for s in self.shape]
        return self.math.delinearize(Index(number), sizes) if sizes else []

    def _sum(self, number: Any) -> list[Any]:
        """The values over the thread's part of the reduced axes."""
        elemental, math = self.elemental, self.math
        dims: list[Index] = [Index(0)] * len(self.space)
        results = self.anchor.indexing_maps[len(list(self.anchor.inputs))].value.results
        for expr, index in zip(results, self._point(number), strict=True):
            if isinstance(expr, ir.AffineDimExpr):
                dims[expr.position] = index
        sizes = [elemental.base(self.space[axis]) for axis in self.axes]
        start = initial_values(self.anchor, elemental)
        low: Any = 0
        step = 1
        if self.shared:
            combiner = associative(self.anchor)
            start = [neutral_value(combiner, start[0].type, 1)]
            low, step = math.compute("div", self.frame.thread, COLUMNS), SLICES

        def each(i: Any, *running: Any) -> list[Any]:
            inner = math.delinearize(Index(i), sizes)
            for axis, index in zip(self.axes, inner, strict=True):
                dims[axis] = index
            return accumulate(self.anchor, elemental, dims, Lanes(), list(running))

        count = elemental.base(product([self.space[axis] for axis in self.axes]))
        return carry(low, count, step, each, start, elemental)

    def _across_slices(self, partial: list[Any], column: Any) -> Any:
        """Leaves the partial value in shared memory; a function that combines all."""
        math, frame = self.math, self.frame
        kind = partial[0].type
        stored = ir.IntegerType.get_signless(8) if str(kind) == "i1" else kind
        array = frame.shared("slices", [SLICES, COLUMNS], stored)
        place = math.compute("div", frame.thread, COLUMNS)
        kept = partial[0]
        if stored != kind:
            kept = arith.extui(stored, kept)
        memref.store(kept, array, [math.value(place), math.value(column)])
        gpu.BarrierOp()

        def total() -> Any:
            combiner = associative(self.anchor)
            (value,) = initial_values(self.anchor, self.elemental)
            for number in range(SLICES):
                at = [math.value(number), math.value(column)]
                part = memref.load(array, at)
                if stored != kind:
                    part = arith.trunci(kind, part)
                value = combiner(value, part)
            return value

        return total

    def _finish(self, number: Any, values: list[Any]) -> None:
        """The epilogue at one element."""
        for result, value in zip(self.results[1:], values[1:], strict=False):
            self.elemental.providers[result] = lambda _, __, v=value: v
        finish_outputs(
            self.frame, self.results[0], self._point(number), Lanes(), values[0]
        )
