"""Convolution as an implicit matmul: no column matrix is ever in memory.

    for a block of output positions:
      P = the rows of the input that it reads          convolution_source.py
      for panel:                                       # NR features, all taps
        for a tile of positions:
          acc[r, v] = start(position r, o + v)
          for kd, kh, (kw, c):
            acc[r, v] += P[position r + tap, c] · F[panel, kd, kh, (kw, c), v]
          finish(position r, o + v, acc[r, v])

With channels last, taps along the width are contiguous in P: (kw, c) is one loop, long
enough for three channels too. A 1x1 convolution without padding is `emit_matmul`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ix.mlir import ir
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector
from ix.passes.schedule.microkernel.convolution_plan import (
    Axis,
    ConvolutionPlan,
    pack_filter,
    plan_convolution,
    plan_depthwise,
    unpack_filter,
)
from ix.passes.schedule.microkernel.convolution_source import (
    Block,
    Panel,
    ReadInput,
    block_extent,
    emit_pack_source,
    outer_block,
    panel_at,
    source_offset,
    tap_offset,
)
from ix.passes.schedule.microkernel.register_tile import (
    emit_register_tile,
    live_lanes,
)

__all__ = [
    "Axis",
    "ConvolutionPlan",
    "emit_convolution",
    "pack_filter",
    "plan_convolution",
    "plan_depthwise",
    "unpack_filter",
]

Position = tuple[Index, ...]


def emit_convolution(
    b: Builder,
    plan: ConvolutionPlan,
    *,
    low: Index,
    high: Index,
    scratch: ir.Value,
    read_x: ReadInput,
    packed_filter: ir.Value,
    finish: Callable[[Index, Position, Index, Lanes, Vector], None],
    start: Callable[[Index, Position, Index, Lanes], Vector | None] | None = None,
) -> None:
    """Emits the work items low … high of a convolution, depthwise or not.

    Args:
        plan: From `plan_convolution` or `plan_depthwise`.
        low, high: Range of work items, within 0 … plan.items.
        scratch: memref<N x i8>, N ≥ plan.scratch_bytes, one for each thread.
        read_x: read_x(n, position, c, lanes) is a vector of the input: along c for
            plan.channels_last, else along the last of `position`. It lies within the
            input; dead lanes may hold anything; narrower types are widened.
        packed_filter: The filter as `pack_filter` made it, a memref of
            plan.filter_shape; a narrower type is widened.
        finish: finish(n, position, o, lanes, vector) applies the epilogue to the
            features o : o + lanes of an output position and stores them.
        start: start(n, position, o, lanes) is what the accumulators begin with, such
            as the bias; 0 where None.
    """
    source = b.carve(scratch, {"source": (plan.scratch_elements,)})["source"]
    kernel = _Kernel(b, plan, source, read_x, packed_filter, finish, start)
    emit = kernel.depthwise_segment if plan.depthwise else kernel.segment
    b.segments(low, high, plan.panels, emit, b.size(plan.outer_blocks))


@dataclass
class _Kernel:
    """The callbacks of `emit_convolution`, and what they emit together."""

    b: Builder
    plan: ConvolutionPlan
    scratch: ir.Value
    read_x: ReadInput
    packed_filter: ir.Value
    finish: Callable[[Index, Position, Index, Lanes, Vector], None]
    start: Callable[[Index, Position, Index, Lanes], Vector | None] | None

    def segment(self, outer: Index, first: Index, last: Index) -> None:
        b, plan = self.b, self.plan
        block = outer_block(b, plan, outer)
        emit_pack_source(b, plan, block, self.scratch, self.read_x)

        def panel(index: Index) -> None:
            self.tiles(block, panel_at(b, plan, index))

        b.loop(first, last, 1, panel)

    def depthwise_segment(self, outer: Index, first: Index, last: Index) -> None:
        b, plan = self.b, self.plan
        block = outer_block(b, plan, outer)

        def panel(index: Index) -> None:
            channel = b.mul(index, plan.panel_columns)
            emit_pack_source(b, plan, block, self.scratch, self.read_x, channel)
            live = live_lanes(b, plan.channels, channel, plan.tile)
            self.tiles(block, Panel(index, 0, 0, live))

        b.loop(first, last, 1, panel)

    def tiles(self, block: Block, panel: Panel) -> None:
        """Computes the register tiles of a block for one panel."""
        b, plan = self.b, self.plan
        _, height, width = plan.axes
        rows, columns = block_extent(b, plan, block)

        def row(r: Index, tall: int) -> None:
            self.cut(
                columns,
                plan.tile_width,
                width.output % plan.tile_width,
                lambda w, wide: self.tile(block, panel, r, w, (tall, wide)),
            )

        self.cut(rows, plan.tile_height, height.output % plan.tile_height, row)

    def cut(
        self, size: Index, step: int, rest: int, body: Callable[[Index, int], None]
    ) -> None:
        """Runs body(at, step) for whole steps, then body(at, rest) for what is left."""
        b = self.b
        whole = b.mul(b.floordiv(size, step), step)
        b.loop(0, whole, step, lambda at: body(at, step))
        if rest:
            b.when(b.less(whole, size), lambda: body(whole, rest))

    def tile(
        self,
        block: Block,
        panel: Panel,
        row: Index,
        column: Index,
        shape: tuple[int, int],
    ) -> None:
        """Computes one register tile of shape[0] rows by shape[1] columns."""
        b, plan = self.b, self.plan
        offsets = [(y, x) for y in range(shape[0]) for x in range(shape[1])]
        positions = [
            (
                block.depth,
                b.add(b.add(block.row, row), y),
                b.add(b.add(block.column, column), x),
            )[3 - plan.rank :]
            for y, x in offsets
        ]
        features = [(b.add(panel.column, j), lanes) for j, lanes in panel.live]
        initial = self.initial(block.n, positions, features)
        emit = self.depthwise_tile if plan.depthwise else self.dense_tile
        acc = emit(panel, source_offset(b, plan, row, column), offsets, initial)
        for position, values in zip(positions, acc, strict=True):
            for (o, lanes), value in zip(features, values, strict=True):
                self.finish(block.n, position, o, lanes, value)

    def initial(
        self,
        n: Index,
        positions: list[Position],
        features: list[tuple[Index, Lanes]],
    ) -> list[list[Vector]] | None:
        if self.start is None:
            return None
        b = self.b
        zero = b.splat(0)
        given = [
            [self.start(n, position, o, lanes) for o, lanes in features]
            for position in positions
        ]
        return [
            [zero if value is None else b.widen(value) for value in row]
            for row in given
        ]

    def tap(self, source: Index, kd: Index, kh: Index) -> Index:
        b = self.b
        return b.add(source, tap_offset(b, self.plan, kd, kh))

    def dense_tile(
        self,
        panel: Panel,
        source: Index,
        offsets: list[tuple[int, int]],
        initial: list[list[Vector]] | None,
    ) -> list[list[Vector]]:
        b, plan = self.b, self.plan
        depth, height, width = plan.axes
        source = b.add(source, panel.channel)
        contiguous = plan.groups == 1 and width.dilation == 1

        def filter_row(inner: tuple[Index, ...]) -> Index:
            if contiguous:
                return inner[0]
            return b.add(b.mul(inner[0], plan.group_channels), inner[1])

        def source_row(inner: tuple[Index, ...]) -> Index:
            if contiguous:
                return inner[0]
            step = width.dilation * plan.block_channels
            return b.add(b.mul(inner[0], step), inner[1])

        def left(r: int, kd: Index, kh: Index, *inner: Index) -> ir.Value:
            at = b.add(self.tap(source, kd, kh), source_row(inner))
            return b.load_scalar(
                self.scratch, b.add(at, source_offset(b, plan, *offsets[r]))
            )

        def right(kd: Index, kh: Index, *rest: Index) -> Vector:
            *inner, v = rest
            row = filter_row(tuple(inner))
            at = (panel.index, kd, kh, row, v * b.lanes)
            return b.widen(b.load(self.packed_filter, *at))

        taps = [width.kernel, plan.group_channels]
        return emit_register_tile(
            b,
            rows=len(offsets),
            vectors=len(panel.live),
            depth=[depth.kernel, height.kernel]
            + ([taps[0] * taps[1]] if contiguous else taps),
            left=left,
            right=right,
            initial=initial,
        )

    def depthwise_tile(
        self,
        panel: Panel,
        source: Index,
        offsets: list[tuple[int, int]],
        initial: list[list[Vector]] | None,
    ) -> list[list[Vector]]:
        """acc[r, v] += P[position r + tap, v] · F[panel, tap, v]."""
        b, plan = self.b, self.plan
        depth, height, width = plan.axes
        vectors = len(panel.live)
        step = width.dilation * plan.block_channels

        def taps(
            kd: Index, kh: Index, kw: Index, flat: Sequence[Vector]
        ) -> list[Vector]:
            at = b.add(self.tap(source, kd, kh), b.mul(kw, step))
            weights = [
                b.widen(
                    b.load(self.packed_filter, panel.index, kd, kh, kw, v * b.lanes)
                )
                for v in range(vectors)
            ]
            result = []
            for r, offset in enumerate(offsets):
                for v, weight in enumerate(weights):
                    x = b.add(at, source_offset(b, plan, *offset) + v * b.lanes)
                    value = flat[r * vectors + v]
                    x = b.load(self.scratch, x)
                    result.append(b.multiply_add(x, weight, value))
            return result

        zero = b.splat(0)
        flat = [value for row in initial for value in row] if initial else None
        flat = flat or [zero] * (len(offsets) * vectors)

        def rows(kd: Index, acc: tuple[Vector, ...]) -> list[Vector]:
            return b.loop(
                0,
                height.kernel,
                1,
                lambda kh, *acc: b.loop(
                    0, width.kernel, 1, lambda kw, *acc: taps(kd, kh, kw, acc), acc
                ),
                acc,
            )

        flat = b.loop(0, depth.kernel, 1, lambda kd, *acc: rows(kd, acc), flat)
        return [flat[r * vectors : (r + 1) * vectors] for r in range(len(offsets))]
