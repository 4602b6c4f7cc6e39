"""Copies the part of a convolution's input that a work item reads into scratch.

P[kd, r, w, c] = X[n, c, …], and 0 in the padding. The copy costs 1 to 3 % of the
product and makes everything behind it simple: no bounds, one layout, neighbouring
channels of neighbouring positions side by side, and a fused prologue runs once for each
element instead of once for each use.

Vectors are stored whole: what they overshoot is overwritten by what comes next, and
behind the last row lies slack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ix.mlir import arith, ir
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector
from ix.passes.schedule.microkernel.convolution_plan import Axis, ConvolutionPlan
from ix.passes.schedule.microkernel.register_tile import live_lanes
from ix.passes.schedule.microkernel.transpose import emit_transpose, group_rows

__all__ = [
    "Block",
    "Panel",
    "ReadInput",
    "block_extent",
    "emit_pack_source",
    "outer_block",
    "panel_at",
    "source_offset",
    "tap_offset",
]

ReadInput = Callable[[Index, tuple[Index, ...], Index, Lanes], Vector]


@dataclass(frozen=True)
class Block:
    """A block of output positions: image, depth, and the first row and column."""

    n: Index
    depth: Index
    row: Index
    column: Index


def outer_block(b: Builder, plan: ConvolutionPlan, outer: Index) -> Block:
    """The block of number `outer`, of plan.outer_blocks."""
    depths, rows, columns = plan.blocks
    column = b.mul(b.mod(outer, columns), plan.block_width)
    outer = b.floordiv(outer, columns)
    row = b.mul(b.mod(outer, rows), plan.block_height)
    outer = b.floordiv(outer, rows)
    return Block(b.floordiv(outer, depths), b.mod(outer, depths), row, column)


def block_extent(
    b: Builder, plan: ConvolutionPlan, block: Block
) -> tuple[Index, Index]:
    """Rows and columns of a block; at the edge of the output there are fewer."""
    _, height, width = plan.axes
    rows, columns = plan.block_height, plan.block_width
    if height.output % rows:
        rows = b.min(b.sub(height.output, block.row), rows)
    if width.output % columns:
        columns = b.min(b.sub(width.output, block.column), columns)
    return rows, columns


def source_offset(
    b: Builder, plan: ConvolutionPlan, row: Index, column: Index
) -> Index:
    """From the scratch of a block's first position to that of another."""
    _, height, width = plan.axes
    return b.add(
        b.mul(row, height.local_stride * plan.row_elements),
        b.mul(column, width.local_stride * plan.block_channels),
    )


def tap_offset(b: Builder, plan: ConvolutionPlan, kd: Index, kh: Index) -> Index:
    """From the scratch of a position's first tap to the first of a row of taps."""
    row = b.mul(kh, plan.axes[1].dilation * plan.row_elements)
    return b.add(b.mul(kd, plan.plane_elements), row)


@dataclass(frozen=True)
class Panel:
    """A panel of features.

    Attributes:
        index: Its number.
        column: The first feature of its group.
        channel: The first channel that its group reads.
        live: First column within the group, and live lanes, of each of its vectors.
    """

    index: Index
    column: Index
    channel: Index
    live: list[tuple[Index, Lanes]]


def panel_at(b: Builder, plan: ConvolutionPlan, index: Index) -> Panel:
    """The panel of number `index`, of plan.panels."""
    group, inner = 0, index
    if plan.groups > 1:
        group = b.floordiv(index, plan.group_panels)
        inner = b.mod(index, plan.group_panels)
    size = plan.group_features
    live = live_lanes(b, size, b.mul(inner, plan.panel_columns), plan.tile)
    channel = b.mul(group, plan.group_channels)
    return Panel(index, b.mul(group, size), channel, live)


def emit_pack_source(
    b: Builder,
    plan: ConvolutionPlan,
    block: Block,
    scratch: ir.Value,
    read_x: ReadInput,
    channel: Index = 0,
) -> None:
    """Fills the scratch for one block of output positions.

    Args:
        scratch: memref<plan.scratch_elements x element>.
        read_x: read_x(n, position, c, lanes) is a vector of the input: along c for
            plan.channels_last, else along the last of `position`.
        channel: First channel of the scratch.
    """
    depth, height, _ = plan.axes

    def row(kd: Index, r: Index) -> None:
        z = _source(b, depth, block.depth, b.mul(kd, depth.dilation))
        y = _source(b, height, block.row, b.mul(r, height.source_step))
        base = b.add(b.mul(kd, plan.plane_elements), b.mul(r, plan.row_elements))
        inside = _inside(b, depth, z, plan.blocks[0])
        inside += _inside(b, height, y, plan.blocks[1] * plan.block_height)
        copy = _Row(b, plan, block, scratch, read_x, channel, z, y, base)
        end = b.add(base, plan.row_elements)
        if not inside:
            copy.emit()
            return
        condition = inside[0]
        for other in inside[1:]:
            condition = arith.andi(condition, other)
        b.when(condition, copy.emit, lambda: fill_zero(b, scratch, base, end))

    b.loop(
        0,
        depth.kernel,
        1,
        lambda kd: b.loop(0, plan.scratch_rows, 1, lambda r: row(kd, r)),
    )


def _source(b: Builder, axis: Axis, output: Index, offset: Index) -> Index:
    """Input position that an output reads at `offset`; may be outside."""
    return b.sub(b.add(b.mul(output, axis.stride), offset), axis.padding)


def _inside(b: Builder, axis: Axis, at: Index, outputs: int) -> list[ir.Value]:
    """The conditions for `at` to be in the input, none where it always is."""
    if not axis.needs_padding(outputs):
        return []
    # As an unsigned number, a negative position is above every size.
    below = arith.CmpIPredicate.ult
    return [arith.cmpi(below, b.index(at), b.index(axis.input))]


def fill_zero(b: Builder, buffer: ir.Value, low: Index, high: Index) -> None:
    """Zeroes low … high and at most b.lanes − 1 elements more."""
    zero = b.splat(0)
    b.loop(low, high, b.lanes, lambda at: b.store(zero, buffer, at))


@dataclass
class _Row:
    """One row of the input that lies within it; its padding is left and right."""

    b: Builder
    plan: ConvolutionPlan
    block: Block
    scratch: ir.Value
    read_x: ReadInput
    channel: Index
    z: Index
    y: Index
    base: Index

    def emit(self) -> None:
        b, plan = self.b, self.plan
        axis, size = plan.axes[2], plan.block_channels
        low, high = self.live_columns(axis)
        fill_zero(b, self.scratch, self.base, b.add(self.base, b.mul(low, size)))
        if plan.channels_last:
            b.loop(low, high, 1, self.copy_position)
        else:
            b.loop(low, high, b.lanes, lambda w: self.transpose_positions(w, high))
        end = b.add(self.base, plan.row_elements)
        fill_zero(b, self.scratch, b.add(self.base, b.mul(high, size)), end)

    def live_columns(self, axis: Axis) -> tuple[Index, Index]:
        """The columns of the scratch that lie in the input."""
        b, plan = self.b, self.plan
        if not axis.needs_padding(plan.blocks[2] * plan.block_width):
            return 0, plan.scratch_columns
        first = _source(b, axis, self.block.column, 0)
        step = axis.source_step
        low = b.ceildiv(b.max(b.sub(0, first), 0), step)
        high = b.ceildiv(b.max(b.sub(axis.input, first), 0), step)
        return low, b.min(high, plan.scratch_columns)

    def position(self, w: Index) -> tuple[Index, ...]:
        """Input position of column w of the scratch."""
        b, axis = self.b, self.plan.axes[2]
        x = _source(b, axis, self.block.column, b.mul(w, axis.source_step))
        return (self.z, self.y, x)[3 - self.plan.rank :]

    def at(self, w: Index, c: Index) -> Index:
        b = self.b
        return b.add(b.add(self.base, b.mul(w, self.plan.block_channels)), c)

    def copy_position(self, w: Index) -> None:
        b, plan = self.b, self.plan
        position = self.position(w)

        def channels(c: Index) -> None:
            first = b.add(self.channel, c)
            live = b.sub(plan.channels, first)
            if plan.channels % (plan.panel_columns if plan.depthwise else b.lanes) == 0:
                live = b.lanes
            elif not isinstance(live, int):
                live = b.live(live)
            value = b.widen(self.read_x(self.block.n, position, first, live))
            b.store(value, self.scratch, self.at(w, c))

        b.loop(0, plan.block_channels, b.lanes, channels)

    def transpose_positions(self, w: Index, high: Index) -> None:
        """Copies the channels of b.lanes neighbouring columns."""
        b, plan = self.b, self.plan
        position = self.position(w)
        live = b.sub(high, w)
        live = live if isinstance(live, int) else b.live(live)
        last, group = plan.channels - 1, group_rows(b)

        def channels(c: Index) -> None:
            first = b.add(self.channel, c)

            def row(r: int) -> Vector:
                at = b.min(b.add(first, r), last)
                return b.widen(self.read_x(self.block.n, position, at, live))

            stored = None
            if plan.block_channels > group and plan.block_channels % group:
                stored = b.sub(plan.block_channels, c)
            emit_transpose(
                b,
                row,
                self.scratch,
                lambda column: (self.at(b.add(w, column), c),),
                stored,
            )

        b.loop(0, plan.block_channels, group, channels)
