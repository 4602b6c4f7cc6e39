"""AttentionPlan: how attention is cut, and what scratch it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ix.mlir import ir
from ix.passes.schedule.microkernel.builder import Builder, Index
from ix.passes.schedule.microkernel.register_tile import TileShape, choose_tile

__all__ = ["AttentionPlan", "plan_attention"]

# K transposed and the scores of one tile of rows: they share the level-2 cache with V.
SCRATCH_BYTES = 192 << 10
# Where keys do not fit at once: scores of 8 rows take 16 KB, a third of the L1 cache.
BLOCK_KEYS = 512
# Rows that share one transposed block of keys where keys do not fit at once.
BLOCK_ROWS = 128
# Work items of a head whose keys fit at once: small, since they cost nothing.
ITEM_ROWS = 32
# Up to here dot products with K as it lies beat a transposition of K.
DOT_ROWS = 4


@dataclass(frozen=True)
class AttentionPlan:
    """How attention is cut; `plan_attention` makes one.

    Attributes:
        heads: Query heads times batch.
        group: Query heads that share one head of K and V; divides `heads`.
        s, t: Queries and keys of a head.
        d, e: Width of a row of Q and K, of V.
        causal: Query i sees key j ≤ i + (t − s) only.
        tile: Register tile; `rows` queries are worked on at a time.
        block_keys: Keys that are worked on at a time, a multiple of a panel.
        block_rows: Rows of a work item, a multiple of the tile's.
        online: There may be more keys than `block_keys`: online softmax.
        dots: Scores are dot products with K as it lies.
        lanes: Elements of a vector.
    """

    heads: Index
    group: int
    s: Index
    t: Index
    d: int
    e: int
    causal: bool
    tile: TileShape
    block_keys: int
    block_rows: int
    online: bool
    dots: bool
    lanes: int

    @property
    def panel_columns(self) -> int:
        return self.tile.vectors * self.lanes

    @property
    def score_stride(self) -> int:
        """One vector more than a block, so that rows fall into different cache sets."""
        return self.block_keys + self.lanes

    def padded(self, size: int) -> int:
        """`size` rounded up to whole vectors."""
        return -(-size // self.lanes) * self.lanes

    def rows(self, b: Builder) -> Index:
        """Rows of one head of K and V: the queries of all heads of its group."""
        return b.mul(self.s, self.group)

    def row_blocks(self, b: Builder) -> Index:
        return b.ceildiv(self.rows(b), self.block_rows)

    def items(self, b: Builder) -> Index:
        """The number of work items: an int where all sizes are."""
        return b.mul(b.floordiv(self.heads, self.group), self.row_blocks(b))

    def buffers(self) -> dict[str, tuple[int, ...]]:
        """The shapes of the scratch buffers, in elements."""
        rows, keys = self.tile.rows, self.block_keys
        shapes: dict[str, tuple[int, ...]] = {
            "queries": (rows, self.padded(self.d)),
            "scores": (rows, self.score_stride),
            "factors": (rows, self.lanes),
        }
        if not self.dots:
            panels = keys // self.panel_columns
            shapes["keys"] = (panels, self.padded(self.d), self.panel_columns)
        if self.online:
            shapes["maxima"] = (self.block_rows, self.lanes)
            shapes["sums"] = (self.block_rows, self.lanes)
            shapes["sum_of_values"] = (self.block_rows, self.padded(self.e))
        return shapes

    def scratch_elements(self) -> int:
        """Elements of the scratch that each thread needs."""
        return sum(math.prod(shape) for shape in self.buffers().values())

    def carve(self, b: Builder, scratch: ir.Value) -> dict[str, ir.Value]:
        """Cuts the scratch, memref<scratch_elements x element>, into its buffers."""
        return b.carve(scratch, self.buffers())


def plan_attention(
    b: Builder,
    *,
    heads: Index,
    s: Index,
    t: Index,
    d: int,
    e: int,
    group: int = 1,
    causal: bool = False,
    max_keys: int | None = None,
) -> AttentionPlan:
    """Picks tiles and work items of attention.

    Args:
        heads: Query heads times batch.
        s, t: Queries and keys of a head; ints, or values of type index.
        d, e: Width of a row of Q and K, of V.
        group: Query heads that share one head of K and V.
        causal: Query i sees key j ≤ i + (t − s) only.
        max_keys: Bound of a dynamic t; None where there is none.
    """
    tile = choose_tile(b.lanes, b.registers)
    few = isinstance(s, int) and s * group <= DOT_ROWS
    if few:
        tile = TileShape(s * group, tile.vectors)
    columns = tile.vectors * b.lanes
    padded = -(-d // b.lanes) * b.lanes
    row_bytes = b.element.width // 8 * (tile.rows if few else tile.rows + padded)
    most = max(SCRATCH_BYTES // row_bytes // columns, 1) * columns
    known = t if isinstance(t, int) else max_keys
    online = known is None or known > most
    block = (BLOCK_ROWS if online else ITEM_ROWS) // tile.rows * tile.rows
    if few:
        block = tile.rows
    if online:
        state_bytes = b.element.width // 8 * block * e
        most = max((SCRATCH_BYTES - state_bytes) // row_bytes // columns, 1) * columns
        keys = min(most, BLOCK_KEYS)
    else:
        keys = -(-(known or 1) // columns) * columns
    return AttentionPlan(
        heads, group, s, t, d, e, causal, tile, keys, block, online, few, b.lanes
    )
