"""Running sums and products along one axis.

The axis is not the last:  a thread walks down one line; neighbours walk beside it.
It is the last:            a warp takes a line, 32 elements at a time

    lane: x = line[c · 32 + lane];  5 shuffles: x ∘= x of the lane 1, 2, 4 … before
    y[c · 32 + lane] = carry ∘ x;  carry = carry ∘ x of lane 31

Source: Harris, Sengupta, Owens, "Parallel Prefix Sum (Scan) with CUDA", GPU Gems 3.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, ir, scf
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel
from ix.passes.gpu.reduce_threads import WARP, shuffle_from
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, carry
from ix.passes.schedule.rules.scan import Scan
from ix.runtime.sizes import Size, combine, product
from ix.target import Target

__all__ = ["apply"]

THREADS = 128


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes ix.cumsum and ix.cumprod."""
    if kernel.family not in ("cumsum", "cumprod"):
        return None
    scan = Scan(kernel)
    lines = product(scan.lines)
    share = WARP if scan.last else 1
    in_block = THREADS // share
    return build_kernel(
        kernel,
        lambda frame: _ScanCode(kernel, scan, frame, lines).emit(),
        family="scan",
        blocks=combine("div", combine("add", lines, in_block - 1), in_block),
        threads=THREADS,
        flops=kernel.most(product(scan.shape)),
    )


class _ScanCode:
    """Emits the code of one thread."""

    def __init__(
        self, kernel: Kernel, scan: Scan, frame: GpuFrame, lines: Size
    ) -> None:
        self.kernel, self.scan, self.frame = kernel, scan, frame
        self.elemental, self.math = frame.elemental, frame.math
        self.lines = self.elemental.base(lines)
        self.size = self.elemental.base(scan.shape[scan.axis])

    def emit(self) -> None:
        """The line of the thread, or of its warp, where there is one."""
        math, share = self.math, WARP if self.scan.last else 1
        first = math.compute("mul", self.frame.block, THREADS // share)
        within = math.compute("div", self.frame.thread, share)
        number = math.compute("add", first, within)
        # All lanes of a warp have the same line, so that they branch together.
        branch = scf.IfOp(self._below(number, self.lines))
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            sizes = [self.elemental.base(s) for s in self.scan.lines]
            outer = math.delinearize(Index(number), sizes) if sizes else []
            if self.scan.last:
                self._across(outer)
            else:
                self._down(outer)
            scf.YieldOp([])

    def _below(self, number: Any, limit: Any) -> Any:
        return arith.cmpi(
            arith.CmpIPredicate.ult, self.math.value(number), self.math.value(limit)
        )

    def _point(self, outer: list[Index], j: Any) -> list[Index]:
        axis = self.scan.axis
        return [*outer[:axis], Index(self._turned(j)), *outer[axis:]]

    def _turned(self, j: Any) -> Any:
        """Position j of the line, counted from its end in reverse."""
        if not self.scan.reverse:
            return j
        last = self.math.compute("sub", self.size, 1)
        return self.math.compute("sub", last, j)

    def _down(self, outer: list[Index]) -> None:
        scan = self.scan

        def each(j: Any, total: Any) -> list[Any]:
            at = self._point(outer, j)
            after = scan.combined(total, scan.element_at(self.elemental, at, Lanes()))
            self._store(at, total if scan.exclusive else after)
            return [after]

        carry(0, self.size, 1, each, [scan.start()], self.elemental)

    def _across(self, outer: list[Index]) -> None:
        math, scan = self.math, self.scan
        lane = math.compute("mod", self.frame.thread, WARP)
        chunks = math.compute("add", self.size, WARP - 1)
        chunks = math.compute("div", chunks, WARP)

        def chunk(number: Any, total: Any) -> list[Any]:
            j = math.compute("add", math.compute("mul", number, WARP), lane)
            inside = self._below(j, self.size)
            last = math.compute("sub", self.size, 1)
            at = self._point(outer, math.compute("min", j, last))
            x = scan.element_at(self.elemental, at, Lanes())
            x = arith.select(inside, x, scan.start())
            x = self._scanned(x, lane)
            after = scan.combined(total, x)
            result = after
            if scan.exclusive:
                before = shuffle_from(x, math.compute("sub", lane, 1))
                first = self._below(lane, 1)
                before = arith.select(first, scan.start(), before)
                result = scan.combined(total, before)
            branch = scf.IfOp(inside)
            with ir.InsertionPoint(branch.then_block), self.elemental.scope():
                self._store(at, result)
                scf.YieldOp([])
            return [shuffle_from(after, WARP - 1)]

        carry(0, chunks, 1, chunk, [scan.start()], self.elemental)

    def _scanned(self, x: Any, lane: Any) -> Any:
        """x of this lane and of all before it, combined."""
        step = 1
        while step < WARP:
            other = shuffle_from(x, self.math.compute("sub", lane, step))
            summed = self.scan.combined(other, x)
            x = arith.select(self._below(lane, step), x, summed)
            step *= 2
        return x

    def _store(self, at: list[Index], value: Any) -> None:
        value = self.scan.narrowed(value)
        for output, buffer in zip(self.kernel.outputs, self.frame.outputs, strict=True):
            element = output.type.element_type
            self.elemental.store(value, buffer, at, Lanes(), element)
