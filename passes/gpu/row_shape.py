"""How threads share the rows of a kernel, and how a row lies in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ix.passes.gpu.kept_row import element_bytes
from ix.passes.gpu.kernel import ALIGNMENT, element_bits
from ix.passes.gpu.reduce_threads import WARP
from ix.passes.schedule.kernel import Kernel
from ix.passes.schedule.rules.row import Row
from ix.runtime.sizes import product

__all__ = ["RowShape", "row_slack", "row_width"]

REGISTER_ELEMENTS = 16
"""Elements of a row that a thread keeps in registers, for each tensor of the kernel."""

REGISTER_BITS = 32

TILE_ELEMENTS = 4
"""Elements that an online pair takes at once at least."""

SECTOR_BITS = 256
"""What memory is read and written by."""

SHIFTED_SECTORS = 32
"""Rows of fewer sectors are not worth the instructions."""

MAX_THREADS = 1024
BLOCK = 128
"""Threads of a block that works on several rows."""


def row_width(kernel: Kernel, row: Row) -> int:
    """Elements of the widest vector that a row is a whole number of."""
    width = 8 * ALIGNMENT // _widest_bits(kernel)
    last = row.domain[-1]
    whole = isinstance(last, int) and last > 0 and last % width == 0
    return width if whole else 1


def row_slack(kernel: Kernel, row: Row, width: int) -> int:
    """How far behind the start of a sector a row may begin, in elements.

    0 where all rows start with one, and where rows are too short for it to matter.
    """
    rows, length = product(row.domain[: row.rows]), product(row.domain[row.rows :])
    bits = [element_bits(v) for v in [*kernel.inputs, *kernel.outputs]]
    sector = SECTOR_BITS // min(bits)
    starts = isinstance(length, int) and length % sector == 0
    short = kernel.most(length) < SHIFTED_SECTORS * sector
    return 0 if width > 1 or starts or short or rows == 1 else sector - 1


def _widest_bits(kernel: Kernel) -> int:
    return max(element_bits(v) for v in [*kernel.inputs, *kernel.outputs])


@dataclass(frozen=True)
class RowShape:
    """How threads share rows.

    threads: Threads of one row.
    rows: Rows of a block.
    steps: Vectors of each thread that stay in registers.
    width: Elements of a vector.
    shared: Further vectors of each thread, which stay in shared memory.
    more: Whether vectors are left that each sweep reads again.
    slack: See `row_slack`.
    """

    threads: int
    rows: int
    steps: int
    width: int
    shared: int = 0
    more: bool = False
    slack: int = 0

    @property
    def shared_vectors(self) -> int:
        """Vectors that a block keeps in shared memory."""
        return self.shared * self.threads

    @property
    def tile(self) -> int:
        """Vectors that an online pair takes at once."""
        return max(TILE_ELEMENTS // self.width, 1)

    @staticmethod
    def of(
        kernel: Kernel,
        row: Row,
        width: int,
        block: int | None = None,
        kept: Sequence[Any] = (),
        room: int = 0,
    ) -> RowShape:
        """The shape for a kernel of its own, or for a block of so many threads.

        Args:
            kept: Values that are worth keeping; room: Bytes of shared memory for them.
        """
        slack = row_slack(kernel, row, width)
        length = kernel.most(product(row.domain[row.rows :]))
        vectors = -(-(length + slack) // width)
        each = REGISTER_ELEMENTS // width
        threads = 4
        while threads < WARP and threads < vectors:
            threads *= 2
        most = block or MAX_THREADS
        while threads < most and threads * max(each, 1) < vectors:
            threads *= 2
        rows = max((block or BLOCK) // threads, 1)
        steps = -(-vectors // threads)
        words = -(-_widest_bits(kernel) // REGISTER_BITS)
        if steps <= max(2 * each // words, 1):
            return RowShape(threads, rows, steps, width, slack=slack)
        if not kept or not room:
            return RowShape(threads, rows, 0, width, more=True, slack=slack)
        size = element_bytes(kept)
        # Half the threads have twice the registers, for elements of twice the size.
        wide = 8 * size > REGISTER_BITS
        threads = threads // 2 if wide else threads
        left = -(-vectors // threads) - each
        most = room // (threads * width * size)
        if left <= most:
            return RowShape(threads, rows, each, width, left, slack=slack)
        most -= most % TILE_ELEMENTS
        return RowShape(threads, rows, each, width, most, more=True, slack=slack)
