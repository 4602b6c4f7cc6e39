"""AttentionPlan: how attention is cut, and what scratch it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ix.passes.schedule.microkernel.builder import aligned_bytes
from ix.passes.schedule.microkernel.register_tile import (
    TileShape,
    ceil_div,
    choose_tile,
)
from ix.runtime.sizes import Size, combine
from ix.target import Target

__all__ = ["AttentionPlan", "plan_attention"]

# K transposed and the scores of one tile of rows: they share the level-2 cache with V.
SCRATCH_BYTES = 192 << 10
# Where keys do not fit at once: scores of 8 rows take 16 KB, a third of the L1 cache.
BLOCK_KEYS = 512
# Rows that share one transposed block of keys where keys do not fit at once.
BLOCK_ROWS = 128
# Work items of a head whose keys fit at once: small, since they cost nothing.
ITEM_ROWS = 32
# Rows of a tile of two vectors: accumulators leave three registers for the operands.
MAX_ROWS = 14
# What the scores of a tile may take of the level-1 cache.
SCORES_SHARE = 0.6
# From here on so many rows read V that it is copied first, where there is room: vectors
# of a copy lie within cache lines, and one after the other.
COPY_ROWS = 256
# Time to transpose an element of K or to copy one of V.
COPY_NS = 0.5
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
        copies: V is copied into panels, as K is.
        lanes: Elements of a vector.
        element_bits: Bits of an accumulator.
    """

    heads: Size
    group: int
    s: Size
    t: Size
    d: int
    e: int
    causal: bool
    tile: TileShape
    block_keys: int
    block_rows: int
    online: bool
    dots: bool
    copies: bool
    lanes: int
    element_bits: int

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

    @property
    def rows(self) -> Size:
        """Rows of one head of K and V: the queries of all heads of its group."""
        return combine("mul", self.s, self.group)

    @property
    def row_blocks(self) -> Size:
        return ceil_div(self.rows, self.block_rows)

    @property
    def items(self) -> Size:
        """The number of work items."""
        return combine("mul", combine("div", self.heads, self.group), self.row_blocks)

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
        if self.copies:
            panels = -(-self.e // self.panel_columns)
            shapes["values"] = (panels, keys, self.panel_columns)
        if self.online:
            shapes["maxima"] = (self.block_rows, self.lanes)
            shapes["sums"] = (self.block_rows, self.lanes)
            shapes["sum_of_values"] = (self.block_rows, self.padded(self.e))
        return shapes

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch that each thread needs."""
        shapes = self.buffers().values()
        return sum(aligned_bytes(shape, self.element_bits) for shape in shapes)

    @property
    def setup_ns(self) -> float:
        """A guess of the time to transpose K, and to copy V, for a head.

        0 where that is done again for each block of rows.
        """
        if self.dots or self.online:
            return 0
        return self.block_keys * (self.d + self.copies * self.e) * COPY_NS


def plan_attention(
    target: Target,
    *,
    heads: Size,
    s: Size,
    t: Size,
    d: int,
    e: int,
    group: int = 1,
    causal: bool = False,
    max_keys: int | None = None,
    element_bits: int = 32,
) -> AttentionPlan:
    """Picks tiles and work items of attention.

    Args:
        target: Supplies the number and width of vector registers, and the caches.
        heads: Query heads times batch.
        s, t: Queries and keys of a head.
        d, e: Width of a row of Q and K, of V.
        group: Query heads that share one head of K and V.
        causal: Query i sees key j ≤ i + (t − s) only.
        max_keys: Bound of a dynamic t; None where there is none.
        element_bits: Bits of an accumulator: 32 or 64.
    """
    lanes = target.lanes(element_bits)
    tile = choose_tile(target)
    rows = s * group if isinstance(s, int) else None
    few = False
    if rows is not None and rows <= DOT_ROWS:
        few, tile = True, TileShape(rows, tile.vectors)
    columns = tile.vectors * lanes
    padded = -(-d // lanes) * lanes
    row_bytes = element_bits // 8 * (tile.rows if few else tile.rows + padded)
    most = max(SCRATCH_BYTES // row_bytes // columns, 1) * columns
    known = t if isinstance(t, int) else max_keys
    online = known is None or known > most
    keys = BLOCK_KEYS if online else known or 1
    if not few:
        score_bytes = element_bits // 8 * keys
        tile = TileShape(_tile_rows(target, tile.rows, rows, score_bytes), tile.vectors)
    block = (BLOCK_ROWS if online else ITEM_ROWS) // tile.rows * tile.rows
    if few:
        block = tile.rows
    if online:
        state_bytes = element_bits // 8 * block * e
        most = max((SCRATCH_BYTES - state_bytes) // row_bytes // columns, 1) * columns
        keys = min(most, BLOCK_KEYS)
    else:
        keys = -(-keys // columns) * columns
    plan = AttentionPlan(
        heads=heads,
        group=group,
        s=s,
        t=t,
        d=d,
        e=e,
        causal=causal,
        tile=tile,
        block_keys=keys,
        block_rows=block,
        online=online,
        dots=few,
        copies=False,
        lanes=lanes,
        element_bits=element_bits,
    )
    if online or rows is None or rows < COPY_ROWS:
        return plan
    copying = replace(plan, copies=True)
    return copying if copying.scratch_bytes * 2 <= target.cache_bytes.l2 else plan


def _tile_rows(target: Target, least: int, rows: int | None, score_bytes: int) -> int:
    """The height of a register tile that takes the least time for all rows.

    A tile costs as much as two rows more than it has, for loads of the right operand.
    Where rows are computed twice to fill the last tile, a lower one may win. The scores
    of a tile take no more than their part of the level-1 cache.

    Args:
        least: The height that any target has registers for.
        rows: How many there are; None where that is known at run time only.
        score_bytes: Bytes of a row of scores.
    """
    if rows is None or target.registers < 32:
        return least
    fitting = int(target.cache_bytes.l1 * SCORES_SHARE) // score_bytes
    heights = range(least, max(min(MAX_ROWS, fitting), least) + 1)
    return min(heights, key=lambda height: -(-rows // height) * (height + 2))
