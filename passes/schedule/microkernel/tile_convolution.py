"""Convolution on matrix tiles; `tile_product` says how they multiply float32.

    for a block of output positions:
      P = the rows of the input that it reads          convolution_source.py
      Pp = the bfloat16 parts of P
      for panel:                                       # 32 features, all taps
        for 32 positions:
          for kd, kh, (kw, c) in steps of 32:
            acc += Σ over p + q ≤ 2 of Pp · Fq         # four tiles of 16 x 16
          finish(acc)

A tile of A is 16 output positions: their taps lie a stride apart in Pp, so a tile is
loaded from where it lies. Positions count on from one row of the block to the next,
over the columns that the last taps of a row read; the sums of those are dropped.
Where strides would make too many of them, tiles begin at each row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, ir, memref, vector
from ix.passes.schedule.microkernel.amx import TILE_DEPTH, TILE_ROWS
from ix.passes.schedule.microkernel.builder import (
    Builder,
    Index,
    Lanes,
    Vector,
    VectorTarget,
    aligned_bytes,
)
from ix.passes.schedule.microkernel.convolution_plan import (
    ConvolutionPlan,
    plan_convolution,
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
from ix.passes.schedule.microkernel.register_tile import TileShape
from ix.passes.schedule.microkernel.tile_product import (
    PAIR_ROWS,
    PANEL_COLUMNS,
    PARTS,
    TileProduct,
    read_chunk,
)
from ix.runtime.sizes import Size

__all__ = ["TileConvolutionPlan", "emit_tile_convolution", "plan_tile_convolution"]

POSITIONS = (256, 128, 64)
"""Output positions of a block: many, because each splits the rows around it too."""
SOURCE_ELEMENTS = 96 << 10
"""Of a block's input: with its parts, 960 KB."""
FULL = 0.75
"""Tiles with less of their depth in use lose to vectors."""
SOURCE_NS = 0.4
"""Time to copy an element of the input and to cut it into parts."""

Position = tuple[Index, ...]


@dataclass(frozen=True)
class TileConvolutionPlan:
    """How a convolution is cut; `plan_tile_convolution` makes one.

    Attributes:
        blocks: The blocks of output positions, and their source in scratch.
        parts_a, parts_b: bfloat16 parts of an element of the input, of the filter.
    """

    blocks: ConvolutionPlan
    parts_a: int
    parts_b: int

    @property
    def items(self) -> Size:
        """The number of work items: a panel of a block each."""
        return self.blocks.items

    @property
    def is_contiguous(self) -> bool:
        """Whether all channels of all taps along the width lie side by side."""
        return self.blocks.groups == 1 and self.blocks.axes[2].dilation == 1

    @property
    def taps(self) -> tuple[int, int, int]:
        """Taps along depth, height and width that begin runs of elements."""
        depth, height, width = (axis.kernel for axis in self.blocks.axes)
        return (depth, height, 1 if self.is_contiguous else width)

    @property
    def run(self) -> int:
        """Elements of the source that lie side by side, from one tap on."""
        channels = self.blocks.group_channels
        return channels * (self.blocks.axes[2].kernel if self.is_contiguous else 1)

    @property
    def run_steps(self) -> int:
        return -(-self.run // TILE_DEPTH)

    @property
    def steps(self) -> int:
        """Steps of 32 elements along all taps and channels."""
        depth, height, width = self.taps
        return depth * height * width * self.run_steps

    @property
    def packed_shape(self) -> tuple[int, ...]:
        """The filter's: panel, step, part, half of the panel, pair, 2 · feature."""
        panels = self.blocks.panels
        return (panels, self.steps, self.parts_b, 2, TILE_ROWS, TILE_DEPTH)

    @property
    def row_tiles(self) -> int:
        """Tiles of a row of the block, where each row begins with a tile; else 0."""
        rows, columns = self.blocks.block_height, self.blocks.block_width
        _, height, width = self.blocks.axes
        apart = -(-columns // TILE_ROWS)
        across = -(-((rows - 1) * self.blocks.scratch_columns + columns) // TILE_ROWS)
        same = height.local_stride == width.local_stride
        return 0 if same and across <= rows * apart else apart

    @property
    def source_elements(self) -> int:
        """Elements of the source without what its last vectors overshoot."""
        return self.blocks.axes[0].kernel * self.blocks.plane_elements

    @property
    def part_elements(self) -> int:
        """Elements of one part of the source, with room for positions behind it."""
        step = self.blocks.axes[2].local_stride * self.blocks.block_channels
        elements = self.source_elements + TILE_ROWS * step + 2 * TILE_DEPTH
        return -(-elements // TILE_DEPTH) * TILE_DEPTH

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch that each thread needs."""
        parts = aligned_bytes((self.parts_a, self.part_elements), 16)
        return self.blocks.scratch_bytes + parts + PAIR_ROWS * PANEL_COLUMNS * 4

    @property
    def setup_ns(self) -> float:
        """A guess of the time to fill the source of a block."""
        return self.source_elements * SOURCE_NS


def plan_tile_convolution(
    target: VectorTarget, *, a: str, b: str, **sizes: Any
) -> TileConvolutionPlan | None:
    """Picks the work items of a convolution; None where tiles are far from full.

    Args:
        target: Supplies the number and width of vector registers.
        a, b: Element types of the input and the filter, of those in PARTS.
        sizes: What `plan_convolution` takes.
    """
    for positions in POSITIONS:
        blocks = plan_convolution(target, positions=positions, **sizes)
        if blocks.scratch_elements <= SOURCE_ELEMENTS:
            break
    blocks = dataclasses.replace(blocks, tile=TileShape(TILE_ROWS, 2))
    plan = TileConvolutionPlan(blocks, PARTS[a], PARTS[b])
    full = plan.run >= plan.run_steps * TILE_DEPTH * FULL
    many = blocks.block_height * blocks.block_width >= TILE_ROWS
    return plan if full and many else None


def emit_tile_convolution(
    b: Builder,
    plan: TileConvolutionPlan,
    *,
    low: Index,
    high: Index,
    scratch: ir.Value,
    read_x: ReadInput,
    packed_filter: ir.Value,
    finish: Callable[[Index, Position, Index, Lanes, Vector], None],
) -> None:
    """Emits the work items low … high of a convolution.

    Args:
        plan: From `plan_tile_convolution`.
        packed_filter: memref<plan.packed_shape x i16>.

    The others are those of `emit_convolution`.
    """
    kernel = _Kernel(b, plan, scratch, read_x, packed_filter, finish)
    kernel.product.tiles.configure()
    outer = b.size(plan.blocks.outer_blocks)
    b.segments(low, high, plan.blocks.panels, kernel.segment, outer)
    kernel.product.tiles.release()


@dataclass(frozen=True)
class _Tiles:
    """One or two tiles of positions: `first` is the number of the first, `height` how
    many they are, `extent` the rows and columns of the block."""

    block: Block
    panel: Panel
    extent: tuple[Index, Index]
    first: Index
    height: int


class _Kernel:
    """The callbacks of `emit_tile_convolution`, and what they emit together."""

    def __init__(
        self,
        b: Builder,
        plan: TileConvolutionPlan,
        scratch: ir.Value,
        read_x: ReadInput,
        packed_filter: ir.Value,
        finish: Callable[[Index, Position, Index, Lanes, Vector], None],
    ) -> None:
        self.b, self.plan, self.blocks = b, plan, plan.blocks
        self.read_x, self.finish = read_x, finish
        self.product = TileProduct(b, plan.parts_a, plan.parts_b, packed_filter)
        kinds = [
            ir.MemRefType.get([self.blocks.scratch_elements], b.element),
            ir.MemRefType.get([plan.parts_a, plan.part_elements], ir.BF16Type.get()),
            ir.MemRefType.get([PAIR_ROWS, PANEL_COLUMNS], b.element),
        ]
        parts = self.blocks.scratch_bytes
        sums = plan.scratch_bytes - PAIR_ROWS * PANEL_COLUMNS * 4
        self.source, self.parts, self.sums = (
            memref.view(kind, scratch, b.index(at), [])
            for kind, at in zip(kinds, (0, parts, sums), strict=True)
        )

    def segment(self, outer: Index, first: Index, last: Index) -> None:
        """Computes the panels first … last of a block."""
        b, blocks = self.b, self.blocks
        block = outer_block(b, blocks, outer)
        emit_pack_source(b, blocks, block, self.source, self.read_x)
        self.split()

        def panel(index: Index) -> None:
            self.positions(block, panel_at(b, blocks, index))

        b.loop(first, last, 1, panel)

    def split(self) -> None:
        """Cuts the source into its parts, with zeros behind it."""
        b, plan = self.b, self.plan

        def chunk(at: Index, lanes: int) -> None:
            halves = read_chunk(
                b, lanes, lambda first, _: b.load(self.source, b.add(at, first))
            )
            for part, value in enumerate(self.product.split(halves)):
                vector.store(value, self.parts, [b.index(part), b.index(at)])

        whole = plan.source_elements // TILE_DEPTH * TILE_DEPTH
        b.loop(0, whole, TILE_DEPTH, lambda at: chunk(at, TILE_DEPTH))
        chunk(whole, plan.source_elements - whole)
        chunk(whole + TILE_DEPTH, 0)

    # Positions of a block.

    def place(self, tile: Index, r: Index) -> tuple[Index, Index]:
        """Row and column within the block of position r of a tile."""
        b, plan = self.b, self.plan
        if plan.row_tiles:
            column = b.mul(b.mod(tile, plan.row_tiles), TILE_ROWS)
            return b.floordiv(tile, plan.row_tiles), b.add(column, r)
        position = b.add(b.mul(tile, TILE_ROWS), r)
        columns = self.blocks.scratch_columns
        return b.floordiv(position, columns), b.mod(position, columns)

    def offset(self, row: Index, column: Index) -> Index:
        """Where the source has the first tap of a position, channel 0."""
        return source_offset(self.b, self.blocks, row, column)

    def positions(self, block: Block, panel: Panel) -> None:
        """Computes a block's positions for one panel."""
        b, plan = self.b, self.plan
        rows, columns = block_extent(b, self.blocks, block)
        if plan.row_tiles:
            tiles = b.mul(rows, plan.row_tiles)
        else:
            last = b.mul(b.sub(rows, 1), self.blocks.scratch_columns)
            tiles = b.ceildiv(b.add(last, columns), TILE_ROWS)
        whole = b.mul(b.floordiv(tiles, 2), 2)

        def some(tile: Index, height: int) -> None:
            self.compute(_Tiles(block, panel, (rows, columns), tile, height))

        b.loop(0, whole, 2, lambda tile: some(tile, 2))
        b.when(b.less(whole, tiles), lambda: some(whole, 1))

    # Products.

    def runs(self, body: Callable[[Index, Index], None]) -> None:
        """Runs body(offset in the source, first step) for each run of elements."""
        b, plan = self.b, self.plan
        step = self.blocks.axes[2].dilation * self.blocks.block_channels
        depths, heights, widths = plan.taps

        def run(kd: Index, kh: Index, kw: Index) -> None:
            offset = b.add(tap_offset(b, self.blocks, kd, kh), b.mul(kw, step))
            number = b.add(b.mul(b.add(b.mul(kd, heights), kh), widths), kw)
            body(offset, b.mul(number, plan.run_steps))

        b.loop(
            0,
            depths,
            1,
            lambda kd: b.loop(
                0,
                heights,
                1,
                lambda kh: b.loop(0, widths, 1, lambda kw: run(kd, kh, kw)),
            ),
        )

    def compute(self, tiles: _Tiles) -> None:
        """Computes one or two tiles of positions."""
        b, plan, product = self.b, self.plan, self.product
        panel = tiles.panel
        base = product.tiles.base(self.parts)
        left = []
        for t in range(tiles.height):
            tile = b.add(tiles.first, t)
            if plan.row_tiles:
                at = self.offset(*self.place(tile, 0))
            else:
                at = self.offset(0, b.mul(tile, TILE_ROWS))
            left.append(b.add(base, b.mul(b.add(at, panel.channel), 2)))
        sums = product.tiles.base(self.sums)
        product.clear(tiles.height)

        def run(offset: Index, first: Index) -> None:
            right = product.right(panel.index, first)
            starts = [b.add(x, b.mul(offset, 2)) for x in left]

            def step(c: Index) -> None:
                product.multiply(
                    [b.add(x, b.mul(c, 2 * TILE_DEPTH)) for x in starts],
                    b.add(right, b.mul(c, product.step_bytes)),
                    sums,
                    part_bytes=2 * plan.part_elements,
                    row_bytes=2
                    * self.blocks.axes[2].local_stride
                    * self.blocks.block_channels,
                )

            b.loop(0, plan.run_steps, 1, step)

        self.runs(run)
        product.store(tiles.height, sums)
        self.finish_tiles(tiles)

    def finish_tiles(self, tiles: _Tiles) -> None:
        """Finishes the sums of those positions that there are."""
        b, block, panel = self.b, tiles.block, tiles.panel

        def place(r: Index) -> tuple[Index, Index]:
            t, inside = b.floordiv(r, TILE_ROWS), b.mod(r, TILE_ROWS)
            return self.place(b.add(tiles.first, t), inside)

        def exists(r: Index) -> ir.Value:
            below = arith.CmpIPredicate.ult
            inside = [
                arith.cmpi(below, b.index(at), b.index(size))
                for at, size in zip(place(r), tiles.extent, strict=True)
            ]
            return arith.andi(*inside)

        def read(r: Index, v: int) -> Vector:
            return b.load(self.sums, r, v * b.lanes)

        def again(r: Index) -> None:
            at = b.add(self.offset(*place(r)), panel.channel)
            for v in range(2):
                b.store(self.with_fma(panel, v, at), self.sums, r, v * b.lanes)

        def store(r: Index) -> None:
            row, column = place(r)
            position = (block.depth, b.add(block.row, row), b.add(block.column, column))
            for v, (j, lanes) in enumerate(panel.live):
                feature = b.add(panel.column, j)
                spatial = position[3 - self.blocks.rank :]
                self.finish(block.n, spatial, feature, lanes, read(r, v))

        def each(body: Callable[[Index], None]) -> None:
            rows = tiles.height * TILE_ROWS
            b.loop(0, rows, 1, lambda r: b.when(exists(r), lambda: body(r)))

        any_nan = self.product.any_nan(tiles.height * TILE_ROWS, read, exists)
        b.when(any_nan, lambda: each(again))
        each(store)

    def with_fma(self, panel: Panel, half: int, at: Index) -> Vector:
        """Half a position's panel as any processor computes it, slowly.

        Args:
            at: Where the source has the position's first tap.
        """
        b, plan = self.b, self.plan
        total = b.stack_buffer(b.lanes)
        b.store(b.splat(0), total, 0)

        def run(offset: Index, first: Index) -> None:
            def step(k: Index, acc: Vector) -> list[Vector]:
                chunk, inside = b.floordiv(k, TILE_DEPTH), b.mod(k, TILE_DEPTH)
                step = b.add(first, chunk)
                weights = self.product.weights(panel.index, step, inside, half)
                x = b.load_splat(self.source, b.add(b.add(at, offset), k))
                return [b.multiply_add(x, weights, acc)]

            (acc,) = b.loop(0, plan.run, 1, step, [b.load(total, 0)])
            b.store(acc, total, 0)

        self.runs(run)
        return b.load(total, 0)
