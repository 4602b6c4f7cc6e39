"""How a block cuts a product into tiles."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TileShape", "choose_tile"]

# Blocks that keep a large GPU busy: 132 multiprocessors of an H100.
# Source: NVIDIA H100 Tensor Core GPU Architecture, "H100 SXM5".
BUSY_BLOCKS = 132


@dataclass(frozen=True)
class TileShape:
    """The tile of a block, and of each of its threads, in elements.

    rows, columns: Of the result, for a block.
    depth: Of the shared dimension, for one step.
    thread_rows, thread_columns: Of the result, for a thread; multiples of 4.
    """

    rows: int
    columns: int
    depth: int
    thread_rows: int
    thread_columns: int

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return (self.rows // self.thread_rows) * (self.columns // self.thread_columns)


# From the most reuse to the most blocks. A thread loads whole vectors of both tiles.
SHAPES = (
    TileShape(128, 128, 8, 8, 8),
    TileShape(64, 64, 16, 4, 4),
    TileShape(32, 64, 16, 4, 4),
    TileShape(16, 64, 16, 4, 4),
    TileShape(16, 32, 16, 4, 4),
)


def choose_tile(rows: int, columns: int, batch: int) -> TileShape:
    """The tile with most reuse that still makes enough blocks, without many idle rows.

    Args:
        rows, columns, batch: Upper bounds of the result's sizes.
    """
    for shape in SHAPES:
        blocks = batch * -(-rows // shape.rows) * -(-columns // shape.columns)
        wasteful = rows <= shape.rows // 2 and shape.rows > 16
        if blocks >= BUSY_BLOCKS and not wasteful:
            return shape
    fitting = [s for s in SHAPES if rows > s.rows // 2 or s.rows == 16]
    return fitting[-1]
