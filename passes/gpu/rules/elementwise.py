"""Elements that do not depend on each other: a vector of them for each thread.

    thread v of the grid:  y[row, j : j + V] = value_at(y, row, j, V lanes)

V elements are 16 bytes where every access allows it, else 1: neighbouring threads then
read and write neighbouring elements, which costs as few sectors. Where all accesses are
at the point itself the tensor is one row, and the last vector may be partial.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, ir, scf
from ix.passes.gpu.kernel import (
    ALIGNMENT,
    GpuCode,
    GpuFrame,
    build_kernel,
    element_bits,
)
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel
from ix.passes.schedule.rules.loop import arithmetic, is_pointwise, op_cost
from ix.runtime.sizes import Size, combine, product
from ix.target import Target

__all__ = ["apply"]

THREADS = 256
COSTLY = 12.0
"""Cost of an element, as `op_cost` counts, from one elementary function on."""


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes kernels of family `loop`; all outputs have one shape."""
    if kernel.family != "loop":
        return None
    shape = kernel.shape(kernel.outputs[0])
    flat = is_pointwise(kernel)
    count = product(shape)
    last = count if flat else (shape[-1] if shape else 1)
    width = _widest(kernel)
    # A partial vector is only handled at the end of a tensor that is one row.
    whole = flat or (isinstance(last, int) and last % width == 0)
    if not kernel.needs(whole or width == 1, "partial-vectors", "vector_elementwise"):
        width = 1
    code = _Elementwise(kernel, shape, flat, last, width).code()
    return code or _Elementwise(kernel, shape, flat, last, 1).code()


def _widest(kernel: Kernel) -> int:
    """Elements of the widest vector that no tensor needs more than 16 bytes for.

    Elementary functions of four floats, or of one double, fill the registers.
    """
    bits = max(element_bits(v) for v in [*kernel.inputs, *kernel.outputs])
    width = 8 * ALIGNMENT // bits
    if sum(op_cost(op) for op in kernel.ops) < COSTLY:
        return width
    return 1 if bits == 64 else min(width, 4)


@dataclass
class _Elementwise:
    """One way to write a kernel.

    last: Size of the axis that vectors lie on: the last one, or the whole tensor.
    width: Elements of a vector.
    """

    kernel: Kernel
    shape: tuple[Size, ...]
    flat: bool
    last: Size
    width: int

    def code(self) -> GpuCode | None:
        """The kernel, or None where its vectors would fall into single accesses."""
        kernel, width = self.kernel, self.width
        rows = 1 if self.flat else product(self.shape[:-1])
        in_row = combine("div", combine("add", self.last, width - 1), width)
        vectors = combine("mul", rows, in_row)
        frames: list[GpuFrame] = []

        def emit(frame: GpuFrame) -> None:
            frames.append(frame)
            self._emit(frame, vectors, in_row)

        blocks = combine("div", combine("add", vectors, THREADS - 1), THREADS)
        elements = kernel.most(product(self.shape))
        code = build_kernel(
            kernel,
            emit,
            family="elementwise",
            blocks=blocks,
            threads=THREADS,
            lanes=width,
            flops=elements * sum(arithmetic(op) for op in kernel.ops),
            # Each element is read before it is written, and read nowhere else.
            in_place=self.flat and len(kernel.outputs) == 1,
            # What many narrow elements need may be more than full occupancy leaves.
            few_blocks=width > 4,
        )
        whole = width == 1 or not frames[0].elemental.split
        needs = functools.partial(kernel.needs, way="vector_elementwise")
        return code if needs(whole, "scattered-vectors") else None

    def _emit(self, frame: GpuFrame, vectors: Size, in_row: Size) -> None:
        elemental, math = frame.elemental, frame.math
        first = math.compute("mul", frame.block, THREADS)
        number = math.compute("add", first, frame.thread)
        count = elemental.base(vectors)
        inside = arith.cmpi(
            arith.CmpIPredicate.ult, math.value(number), math.value(count)
        )
        branch = scf.IfOp(inside)
        with ir.InsertionPoint(branch.then_block), elemental.scope():
            self._vector(frame, number, in_row)
            scf.YieldOp([])

    def _vector(self, frame: GpuFrame, number: Any, in_row: Size) -> None:
        elemental, math = frame.elemental, frame.math
        if self.flat:
            outer = [Index(0)] * (len(self.shape) - 1)
            at = Index(number)
        elif self.shape:
            sizes = [elemental.base(s) for s in [*self.shape[:-1], in_row]]
            *outer, at = math.delinearize(Index(number), sizes)
        else:
            outer, at = [], Index(0)
        j = math.compute("mul", at.base, self.width)
        lanes = Lanes(self.width, self.width)
        if self.width == 1 or (isinstance(self.last, int) and self._whole()):
            index = Index(j, int(self.width > 1), self.width)
            self._store(frame, [*outer, index], lanes)
            return
        end = math.compute("add", j, self.width)
        limit = math.value(elemental.base(self.last))
        whole = arith.cmpi(arith.CmpIPredicate.ule, math.value(end), limit)
        branch = scf.IfOp(whole, has_else=True)
        with ir.InsertionPoint(branch.then_block), elemental.scope():
            self._store(frame, [*outer, Index(j, 1, self.width)], lanes)
            scf.YieldOp([])
        with ir.InsertionPoint(branch.else_block), elemental.scope():
            self._tail(frame, outer, j, limit)
            scf.YieldOp([])

    def _whole(self) -> bool:
        return isinstance(self.last, int) and self.last % self.width == 0

    def _tail(self, frame: GpuFrame, outer: list[Index], j: Any, limit: Any) -> None:
        """The elements of the last, partial vector."""
        math = frame.math
        loop = scf.ForOp(math.value(j), limit, math.value(1), [])
        with ir.InsertionPoint(loop.body), frame.elemental.scope():
            self._store(frame, [*outer, Index(loop.induction_variable)], Lanes())
            scf.YieldOp([])

    def _store(self, frame: GpuFrame, at: list[Index], lanes: Lanes) -> None:
        elemental = frame.elemental
        at = at if self.shape else []
        values = [elemental.value_at(v, at, lanes) for v in self.kernel.outputs]
        for value, output, buffer in zip(
            values, self.kernel.outputs, frame.outputs, strict=True
        ):
            with self.kernel.location_of(output):
                elemental.store(value, buffer, at, lanes, output.type.element_type)
