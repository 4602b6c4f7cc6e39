"""Products of a few tiles and a great depth: several blocks share each tile (split-K).

    block (tile, part):    the sums over a part of the depth → scratch
    last block of a tile:  adds the sums of all parts, in order; then the epilogue

The order of the additions is fixed, so that the same input gives the same bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, ir, memref
from ix.passes.gpu.kernel import GpuFrame
from ix.passes.gpu.last_block import MOST_COUNTERS, when_last
from ix.passes.gpu.tile_shape import BUSY_BLOCKS
from ix.passes.schedule import storage
from ix.passes.schedule.kernel import Kernel, carry
from ix.runtime.plan import COUNTER_BYTES
from ix.runtime.sizes import Size, combine

__all__ = ["WHOLE", "SplitDepth", "sum_of"]

MOST_PARTS = 32


@dataclass(frozen=True)
class SplitDepth:
    """How many blocks share a tile.

    parts: Of the depth; 1 where each tile has one block.
    share: Of the depth, for one part.
    tiles: How many tiles there are at most.
    threads: Of a block.
    values: Sums of a thread.
    """

    parts: int
    share: int = 0
    tiles: int = 0
    threads: int = 0
    values: int = 0

    @staticmethod
    def of(
        kernel: Kernel,
        depth: Size,
        unit: int,
        units: int,
        blocks: Size,
        threads: int,
        values: int,
    ) -> SplitDepth:
        """The parts that keep a large GPU busy; one where there are tiles enough.

        Args:
            kernel: Hears why the depth is not split.
            depth: Of the product; only a known one is split.
            unit: What a part's share is a multiple of.
            units: How many of these are worth a block.
            blocks: One for each tile.
        """
        needs = functools.partial(kernel.needs, way="split_depth")
        tiles = kernel.most(blocks)
        few = tiles <= min(BUSY_BLOCKS // 2, MOST_COUNTERS)
        if tiles < 1 or not needs(few, "enough-blocks"):
            return WHOLE
        if not isinstance(depth, int):
            kernel.decline("dynamic-depth", "split_depth")
            return WHOLE
        worth = depth // (unit * units)
        if not needs(worth > 1, "short-depth"):
            return WHOLE
        wanted = min(BUSY_BLOCKS // tiles, worth, MOST_PARTS)
        share = -(-depth // (wanted * unit)) * unit
        parts = -(-depth // share)
        return SplitDepth(parts, share, tiles, threads, values)

    def blocks(self, tiles: Size) -> Size:
        """The grid."""
        return combine("mul", tiles, self.parts)

    @property
    def scratch_bytes(self) -> int:
        """Bytes of scratch: the counters, and sums of 8 bytes at most."""
        if self.parts == 1:
            return 0
        sums = self.tiles * self.parts * self.threads * self.values
        return COUNTER_BYTES + sums * 8

    def place(self, frame: GpuFrame) -> tuple[Any, Any]:
        """The number of the block's tile, and of its part."""
        if self.parts == 1:
            return frame.block, 0
        math = frame.math
        return (
            math.compute("div", frame.block, self.parts),
            math.compute("mod", frame.block, self.parts),
        )

    def joined(
        self, frame: GpuFrame, values: list[Any], finish: Callable[[list[Any]], None]
    ) -> None:
        """finish(the sums of all parts) in the tile's last block.

        Args:
            values: The thread's sums over the block's part.
        """
        if self.parts == 1:
            finish(values)
            return
        math = frame.math
        tile, part = self.place(frame)
        kind = values[0].type
        count = (self.scratch_bytes - COUNTER_BYTES) // (kind.width // 8)
        view = ir.MemRefType.get([count], kind)
        sums = memref.view(view, frame.scratch, math.value(COUNTER_BYTES), [])

        def place(of_part: Any, number: int) -> Any:
            """Neighbouring threads lie side by side."""
            line = math.compute("mul", tile, self.parts)
            line = math.compute("add", line, of_part)
            line = math.compute("mul", line, self.values)
            line = math.compute("add", line, number)
            line = math.compute("mul", line, self.threads)
            return math.value(math.compute("add", line, frame.thread))

        for number, value in enumerate(values):
            memref.store(value, sums, [place(part, number)])

        def add(of_part: Any, *running: Any) -> list[Any]:
            found = [
                memref.load(sums, [place(of_part, n)]) for n in range(len(running))
            ]
            return [
                sum_of(one, other) for one, other in zip(running, found, strict=True)
            ]

        def finish_all() -> None:
            zero = storage.zero(kind)
            start = [zero] * len(values)
            finish(carry(0, self.parts, 1, add, start, frame.elemental))

        when_last(frame, tile, self.parts, finish_all)


WHOLE = SplitDepth(1)
"""Each tile has one block."""


def sum_of(one: Any, other: Any) -> Any:
    """one + other, of integers or floats."""
    integer = isinstance(one.type, ir.IntegerType)
    return (arith.addi if integer else arith.addf)(one, other)
