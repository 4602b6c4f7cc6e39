"""Contractions: matmul, batched, with any transposes, bias and activation in registers.

    C[batch, m, n] = epilogue(Σ over k of A[batch, m, k] · B[batch, k, n])

B is the operand that vectors run along: a constant one is packed at compile time into
panels. The epilogue and the prologue of A are the fused ops themselves, asked for their
value at the tile's coordinates.

Products with constants run on matrix tiles where the processor has them and there are
rows enough (`tiles_pay`), else on vectors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ix.mlir import defining_op, ir
from ix.passes.linalg.structure import Contraction, match_contraction
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, Outputs, Packing, build
from ix.passes.schedule.microkernel.builder import Builder
from ix.passes.schedule.microkernel.matmul import MatmulPlan, emit_matmul, plan_matmul
from ix.passes.schedule.microkernel.tile_matmul import (
    TileMatmulPlan,
    emit_tile_matmul,
    plan_tile_matmul,
)
from ix.passes.schedule.microkernel.tile_product import PARTS
from ix.passes.schedule.packing import panels, tile_panels
from ix.passes.schedule.rules.reduce import output_point
from ix.passes.schedule.structure import kind_of, tensor_operands
from ix.runtime.sizes import Size, bounds, combine, product
from ix.target import Target

__all__ = ["GFLOPS", "apply", "finish_outputs", "starts_from_zero", "tiles_pay"]

REPACK_ROWS = 32
"""From so many rows on, a panel of activations is worth packing in the kernel."""

TILED_ROWS, FEWEST_TILED_ROWS = 64, 24
"""With fewer rows, reading weights takes the time, and tiles read three parts of 2
bytes where vectors read 4: 16 rows take the same on both, 24 a fifth less on tiles."""

MANY_WEIGHTS = 1 << 17
"""Products of fewer weights and fewer than 64 rows are over before tiles pay."""

GFLOPS = 60.0
"""Rough speed of one thread, for the size of chunks only."""
TILED_GFLOPS = 250.0
"""The same on matrix tiles."""


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes float contractions that start from zero."""
    if kernel.family != "contraction":
        return None
    anchors = [op for op in kernel.ops if kind_of(op) == "contraction"]
    match = match_contraction(anchors[0]) if len(anchors) == 1 else None
    if match is None or not match.k:
        return None
    element = anchors[0].operation.results[0].type.element_type
    floats = str(element) in ("f32", "f64") and all(map(_is_float, anchors[0].inputs))
    if not kernel.needs(floats, "other-elements") or not starts_from_zero(anchors[0]):
        return None
    return _Rule(kernel, target, anchors[0], match).code()


def tiles_pay(rows: int, weights: int) -> bool:
    """Whether matrix tiles are faster than vectors, as measured on a Xeon.

    Args:
        rows: Rows of the result, at least.
        weights: Elements of the constant operand.
    """
    return rows >= (FEWEST_TILED_ROWS if weights >= MANY_WEIGHTS else TILED_ROWS)


def _is_float(value: Any) -> bool:
    return str(value.type.element_type) in ("f64", "f32", "f16", "bf16")


def starts_from_zero(op: Any) -> bool:
    """Whether the accumulator is a tensor filled with 0."""
    fill = defining_op(op.outputs[0])
    if fill is None or fill.operation.name != "linalg.fill":
        return False
    value = defining_op(fill.operation.operands[0])
    if value is None or value.operation.name != "arith.constant":
        return False
    attribute = value.operation.attributes["value"]
    return isinstance(attribute, ir.FloatAttr) and attribute.value == 0.0


@dataclass
class _Side:
    """One operand as the rule uses it.

    value: The tensor.
    axes: The loop of each of its axes; None: read at 0.
    """

    value: Any
    axes: Sequence[int | None]


class _Rule:
    def __init__(
        self, kernel: Kernel, target: Target, anchor: Any, match: Contraction
    ) -> None:
        self.kernel = kernel
        self.target = target
        self.anchor = anchor
        self.result = anchor.operation.results[0]
        self.element = self.result.type.element_type
        a, b = anchor.inputs
        self.a, self.b = _Side(a, match.a_axes), _Side(b, match.b_axes)
        self.m, self.n = list(match.m), list(match.n)
        self.batch, self.k = list(match.batch), list(match.k)
        self.out_axes = list(match.out_axes)
        self.loop_sizes = self._loop_sizes()
        self._orient()
        sizes = [self._total(loops) for loops in (self.m, self.n, self.k)]
        self.packed = self._packing_order()
        self.vector_n = self._innermost(self.b) in self.n or not self.n
        rows = kernel.most(sizes[0])
        repacked = (
            self.packed is None
            and isinstance(sizes[2], int)
            and (rows >= REPACK_ROWS or not self.vector_n)
        )
        self.plan: MatmulPlan | TileMatmulPlan
        if self._fits_tiles(sizes):
            a_type, b_type = (
                str(v.type.element_type) for v in (self.a.value, self.b.value)
            )
            assert isinstance(sizes[1], int) and isinstance(sizes[2], int)
            self.plan = plan_tile_matmul(
                sizes[0], rows, sizes[1], sizes[2], a=a_type, b=b_type
            )
        else:
            self.plan = plan_matmul(
                target,
                sizes[0],
                sizes[1],
                sizes[2],
                element_bits=self.element.width,
                repacked=repacked,
            )

    def _fits_tiles(self, sizes: Sequence[Size]) -> bool:
        """Whether the product runs on matrix tiles; sizes: m, n, k."""
        needs = functools.partial(self.kernel.needs, way="tiled_matmul")
        types = [str(v.type.element_type) for v in (self.a.value, self.b.value)]
        floats = str(self.element) == "f32" and all(kind in PARTS for kind in types)
        rows = bounds(sizes[0], self.kernel.ranges)[0]
        return (
            needs(self.target.has_tiles, "no-matrix-tiles")
            and needs(floats, "other-elements")
            and needs(self.packed is not None, "not-constant")
            and needs(self._innermost(self.a) in self.k, "across-depth")
            and needs(tiles_pay(rows, self._weights()), "few-rows")
        )

    def _weights(self) -> int:
        """Elements of a constant B."""
        return math.prod(self.b.value.type.shape)

    def _loop_sizes(self) -> dict[int, Size]:
        sizes: dict[int, Size] = {}
        for value, axes in (
            (self.a.value, self.a.axes),
            (self.b.value, self.b.axes),
            (self.result, self.out_axes),
        ):
            for axis, loop in enumerate(axes):
                if loop is not None:
                    sizes[loop] = self.kernel.shape(value)[axis]
        return sizes

    def _total(self, loops: Sequence[int]) -> Size:
        return product([self.loop_sizes[loop] for loop in loops])

    def _innermost(self, side: _Side) -> int | None:
        """The loop of an operand's last axis that is not of size 1."""
        shape = self.kernel.shape(side.value)
        for axis in reversed(range(len(shape))):
            if shape[axis] != 1:
                return side.axes[axis]
        return None

    def _orient(self) -> None:
        """Lets the vectors run along the result's last axis."""
        shape = self.kernel.shape(self.result)
        last = next(
            (
                loop
                for loop, size in zip(
                    reversed(self.out_axes), reversed(shape), strict=True
                )
                if size != 1
            ),
            None,
        )
        if last in self.m:
            self.a, self.b = self.b, self.a
            self.m, self.n = self.n, self.m

    def _packing_order(self) -> str | None:
        """ "kn" or "nk" where B is a constant of just those loops, else None."""
        if self.b.value not in self.kernel.inputs:
            return None
        number = self.kernel.inputs.index(self.b.value)
        axes = [loop for loop in self.b.axes if loop is not None]
        if not self.kernel.is_constant(number) or not self._used_once(self.b.value):
            return None
        if axes == [*self.k, *self.n]:
            return "kn"
        if axes == [*self.n, *self.k]:
            return "nk"
        return None

    def _used_once(self, value: Any) -> bool:
        uses = [v for op in self.kernel.ops for v in tensor_operands(op) if v == value]
        return len(uses) == 1

    # Code.

    def code(self) -> KernelCode | None:
        plan, tiled = self.plan, isinstance(self.plan, TileMatmulPlan)
        if isinstance(plan, MatmulPlan):
            if plan.repacked and not isinstance(plan.k, int):
                return None
            ordered = self.vector_n or self.packed is not None or plan.repacked
            if not self.kernel.needs(ordered, "dynamic-depth"):
                return None
        packings: dict[int, Packing] = {}
        types: dict[int, Any] = {}
        if self.packed is not None:
            number = self.kernel.inputs.index(self.b.value)
            packings[number], types[number] = self._packing()
        batch = self._total(self.batch)
        items = combine("mul", batch, plan.items)
        most = self.kernel.most
        flops = 2 * most(batch) * most(plan.m) * most(plan.n) * most(plan.k)
        weight = flops / (TILED_GFLOPS if tiled else GFLOPS)
        if self.packed is not None:
            # With few rows the time is that of reading the weights, at about 10 GB/s.
            weight = max(weight, self.kernel.bytes_of(self.b.value) / 10)
        return build(
            self.kernel,
            self.target,
            self._emit,
            family="tiled_matmul" if tiled else "matmul",
            items=items,
            item_ns=weight / max(most(items), 1),
            lanes=self.target.lanes(self.element.width),
            scratch_bytes=plan.scratch_bytes,
            level=0,
            flops=flops,
            packings=packings,
            packed_types=types,
            setup_ns=plan.split_ns if isinstance(plan, TileMatmulPlan) else 0,
        )

    def _packing(self) -> tuple[Packing, Any]:
        """The layout of B, and its type."""
        plan, transposed = self.plan, self.packed == "nk"
        assert isinstance(plan.k, int) and isinstance(plan.n, int)
        if isinstance(plan, TileMatmulPlan):
            layout = tile_panels(plan.k, plan.n, plan.parts_b, transposed=transposed)
            word = ir.IntegerType.get_signless(16)
            return layout, ir.MemRefType.get(list(plan.packed_shape), word)
        columns = plan.panel_columns
        shape = [plan.panels, plan.k, columns]
        return (
            panels(plan.k, plan.n, columns, transposed=transposed),
            ir.MemRefType.get(shape, self.b.value.type.element_type),
        )

    def _emit(self, frame: Frame) -> None:
        elemental = frame.elemental
        b = Builder(
            self.target, self.element, scope=elemental.scope, size=elemental.base
        )
        per_batch = elemental.base(self.plan.items)
        b.segments(
            frame.low,
            frame.high,
            per_batch,
            lambda number, low, high: self._emit_batch(
                frame, b, Index(number), low, high
            ),
            elemental.base(self._total(self.batch)),
        )

    def _emit_batch(
        self, frame: Frame, b: Builder, number: Index, low: Any, high: Any
    ) -> None:
        """The items low … high of one matmul of the batch."""
        elemental = frame.elemental
        coordinates = self._coordinates(frame, self.batch, number)

        def at(i: Any, j: Any, k: Any, along: str = "") -> dict[int, Index]:
            """The loops' indices at a row, column and depth; `along` has the lanes."""

            def one(value: Any, name: str) -> Index:
                stride = int(name == along)
                known = b.lanes if stride and not isinstance(value, int) else 1
                return Index(value, stride, known)

            where = dict(coordinates)
            where.update(self._coordinates(frame, self.m, one(i, "m")))
            where.update(self._coordinates(frame, self.n, one(j, "n")))
            where.update(self._coordinates(frame, self.k, one(k, "k")))
            return where

        def read(side: _Side, where: dict[int, Index], lanes: Lanes) -> Any:
            indices = [Index(0) if x is None else where[x] for x in side.axes]
            with elemental.scope():
                return elemental.value_at(side.value, indices, lanes)

        def lanes_of(live: Any) -> Lanes:
            return Lanes(b.lanes, b.lanes if b.is_whole(live) else live)

        def finish(i: Any, j: Any, live: Any, value: Any) -> None:
            with elemental.scope():
                self._finish(frame, at(i, j, 0, "n"), lanes_of(live), value)

        packed = None
        if self.packed is not None:
            packed = frame.inputs[self.kernel.inputs.index(self.b.value)]

        def read_a(i: Any, k: Any) -> Any:
            return read(self.a, at(i, 0, k), Lanes())

        if isinstance(self.plan, TileMatmulPlan):
            emit_tile_matmul(
                b,
                self.plan,
                low=low,
                high=high,
                read_a=read_a,
                read_row=lambda i, k, live: read(
                    self.a, at(i, 0, k, "k"), lanes_of(live)
                ),
                finish=finish,
                packed_b=packed,
                scratch=frame.scratch,
            )
            return
        rows = not self.vector_n and packed is None
        emit_matmul(
            b,
            self.plan,
            low=low,
            high=high,
            read_a=read_a,
            finish=finish,
            packed_b=packed,
            read_b=lambda k, j, live: read(self.b, at(0, j, k, "n"), lanes_of(live)),
            read_b_transposed=(
                (lambda j, k, live: read(self.b, at(0, j, k, "k"), lanes_of(live)))
                if rows
                else None
            ),
            scratch=frame.scratch if self.plan.repacked else None,
        )

    def _coordinates(
        self, frame: Frame, loops: Sequence[int], index: Index
    ) -> dict[int, Index]:
        if len(loops) == 1:
            return {loops[0]: index}
        sizes = [frame.elemental.base(self.loop_sizes[x]) for x in loops]
        parts = frame.math.delinearize(index, sizes)
        return dict(zip(loops, parts, strict=True))

    def _finish(
        self, frame: Frame, where: dict[int, Index], lanes: Lanes, value: Any
    ) -> None:
        """Applies the epilogue to one vector of the product, and stores the outputs."""
        finish_outputs(
            frame,
            self.result,
            [Index(0) if x is None else where[x] for x in self.out_axes],
            lanes,
            value,
        )


def finish_outputs(
    frame: Outputs, result: Any, at: list[Index], lanes: Lanes, value: Any
) -> None:
    """Stores a kernel's outputs at a point of its anchor's result, which is `value`."""
    elemental = frame.elemental
    elemental.providers[result] = lambda _, __: value
    for output, buffer in zip(frame.kernel.outputs, frame.outputs, strict=True):
        to = output_point(output, result, at)
        found = elemental.value_at(output, to, lanes)
        with frame.kernel.location_of(output):
            elemental.store(found, buffer, to, lanes, output.type.element_type)
