"""Elements read along another axis than they are written: tiles in shared memory.

    block: a tile of 32 × 32 over the last axis and the axis that the source is
           contiguous along
      tile[l, a] = source[a0 + a, l0 + l]        neighbouring threads along a
      barrier
      y[a0 + a, l0 + l] = f(tile[l, a], …)       neighbouring threads along l

A line of the tile is one bank longer than 32 elements, so that a warp reads a column of
it without conflicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, defining_op, gpu, ir, memref, scf
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel
from ix.passes.schedule import storage
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel
from ix.passes.schedule.rules.loop import arithmetic
from ix.runtime.sizes import Size, combine, product
from ix.target import Target

__all__ = ["apply"]

TILE = 32
LINES = 8
"""Lines of the tile that a block's threads cover at once."""

THREADS = TILE * LINES
BANK_BITS = 32
LEAST = 8
"""Axes shorter than this waste more of a tile than the tile saves."""


@dataclass(frozen=True)
class _Turned:
    """A tensor that is contiguous along another axis of the kernel than its outputs.

    value: The tensor.
    axes: The axis of the kernel that each of its axes lies on; None for index 0.
    """

    value: Any
    axes: tuple[int | None, ...]


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes kernels of family `loop` that read some operand across."""
    if kernel.family != "loop":
        return None
    shape = kernel.shape(kernel.outputs[0])
    if len(shape) < 2 or any(kernel.shape(v) != shape for v in kernel.outputs):
        return None
    turned = _turned(kernel, shape)
    if not turned:
        return None
    across = turned[0].axes[-1]
    assert across is not None
    last = len(shape) - 1
    turned = [t for t in turned if t.axes[-1] == across]
    shorter = min(kernel.most(shape[across]), kernel.most(shape[last]))
    if not kernel.needs(shorter >= LEAST, "short-axis"):
        return None
    sizes = _grid(shape, across)
    elements = kernel.most(product(shape))
    return build_kernel(
        kernel,
        lambda frame: _TransposeCode(kernel, shape, across, turned, frame).emit(),
        family="transpose",
        blocks=product(sizes),
        threads=THREADS,
        flops=elements * sum(arithmetic(op) for op in kernel.ops),
    )


def _grid(shape: tuple[Size, ...], across: int) -> list[Size]:
    """Blocks along each axis: tiles on two of them, single indices on the others."""
    last = len(shape) - 1
    return [
        combine("div", combine("add", size, TILE - 1), TILE)
        if axis in (across, last)
        else size
        for axis, size in enumerate(shape)
    ]


def _turned(kernel: Kernel, shape: tuple[Size, ...]) -> list[_Turned]:
    """Operands that ops at the kernel's own points read along another last axis."""
    found: dict[Any, _Turned] = {}
    pending, seen = list(kernel.outputs), set()
    while pending:
        value = pending.pop()
        op = defining_op(value)
        if value in seen or op is None or op.operation.name != "linalg.generic":
            continue
        seen.add(value)
        identity = [f"d{n}" for n in range(len(shape))]
        for operand, map_ in zip(op.inputs, op.indexing_maps, strict=False):
            results = list(map_.value.results)
            if [str(r) for r in results] == identity and kernel.shape(operand) == shape:
                pending.append(operand)
                continue
            axes = _axes(results)
            last = len(shape) - 1
            if axes is not None and last in axes and axes[-1] not in (None, last):
                found[operand] = _Turned(operand, axes)
    return list(found.values())


def _axes(results: list[Any]) -> tuple[int | None, ...] | None:
    axes: list[int | None] = []
    for expr in results:
        if isinstance(expr, ir.AffineDimExpr):
            axes.append(expr.position)
        elif isinstance(expr, ir.AffineConstantExpr) and expr.value == 0:
            axes.append(None)
        else:
            return None
    return tuple(axes) if axes else None


class _TransposeCode:
    """Emits the code of one thread."""

    def __init__(
        self,
        kernel: Kernel,
        shape: tuple[Size, ...],
        across: int,
        turned: list[_Turned],
        frame: GpuFrame,
    ) -> None:
        self.kernel, self.shape, self.across = kernel, shape, across
        self.turned, self.frame = turned, frame
        self.elemental, self.math = frame.elemental, frame.math
        self.last = len(shape) - 1
        math = self.math
        sizes = [self.elemental.base(s) for s in _grid(shape, across)]
        self.block = math.delinearize(Index(frame.block), sizes)
        self.column = math.compute("mod", frame.thread, TILE)
        self.line = math.compute("div", frame.thread, TILE)
        self.tiles = []
        for number, each in enumerate(turned):
            element = storage.storage_type(each.value.type.element_type)
            # An odd number of banks, whatever the size of an element.
            line = TILE + -(-BANK_BITS // element.width)
            tile = frame.shared(f"tile_{number}", [TILE, line], element)
            self.tiles.append(tile)

    def emit(self) -> None:
        """Fills the tiles along the sources, then computes along the outputs."""
        for step in range(TILE // LINES):
            line = self.math.compute("add", self.line, step * LINES)
            self._when_inside(self.column, line, lambda at, n=line: self._fill(at, n))
        gpu.BarrierOp()
        for step in range(TILE // LINES):
            line = self.math.compute("add", self.line, step * LINES)
            self._when_inside(line, self.column, lambda at, n=line: self._store(at, n))

    def _when_inside(self, across: Any, last: Any, body: Any) -> None:
        """body(point) at these places of the tile, where the point exists."""
        math = self.math
        point, conditions = [], []
        for axis, index in enumerate(self.block):
            if axis not in (self.across, self.last):
                point.append(index)
                continue
            first = math.compute("mul", index.base, TILE)
            place = across if axis == self.across else last
            at = math.compute("add", first, place)
            size = self.elemental.base(self.shape[axis])
            point.append(Index(at))
            if not isinstance(size, int) or size % TILE:
                conditions.append(
                    arith.cmpi(
                        arith.CmpIPredicate.ult, math.value(at), math.value(size)
                    )
                )
        if not conditions:
            with self.elemental.scope():
                body(point)
            return
        condition = conditions[0]
        for other in conditions[1:]:
            condition = arith.andi(condition, other)
        branch = scf.IfOp(condition)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            body(point)
            scf.YieldOp([])

    def _fill(self, point: list[Index], line: Any) -> None:
        for each, tile in zip(self.turned, self.tiles, strict=True):
            at = [Index(0) if a is None else point[a] for a in each.axes]
            value = self.elemental.value_at(each.value, at, Lanes())
            element = each.value.type.element_type
            place = [self.math.value(line), self.math.value(self.column)]
            memref.store(storage.to_storage(value, element), tile, place)

    def _store(self, point: list[Index], line: Any) -> None:
        elemental = self.elemental
        place = [self.math.value(self.column), self.math.value(line)]
        kept = dict(elemental.providers)
        for each, tile in zip(self.turned, self.tiles, strict=True):
            value = storage.from_storage(
                memref.load(tile, place), each.value.type.element_type
            )
            elemental.providers[each.value] = lambda _, __, v=value: v
        values = [elemental.value_at(v, point, Lanes()) for v in self.kernel.outputs]
        for value, output, buffer in zip(
            values, self.kernel.outputs, self.frame.outputs, strict=True
        ):
            elemental.store(value, buffer, point, Lanes(), output.type.element_type)
        elemental.providers.clear()
        elemental.providers.update(kept)
