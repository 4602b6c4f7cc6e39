"""Register tile: the accumulators of a matmul-like kernel, carried by its k loop.

acc[r, v] = initial[r, v] + Σ_k broadcast(left(r, k)) · right(k, v)

One step needs rows · vectors accumulators, the `vectors` of the right operand and one
broadcast, which must fit in the registers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ix.mlir import ir
from ix.passes.schedule.microkernel.builder import (
    Builder,
    Index,
    Lanes,
    Vector,
    VectorTarget,
)
from ix.runtime.sizes import Size, combine

__all__ = [
    "TileShape",
    "choose_tile",
    "emit_register_tile",
    "even_height",
    "live_lanes",
]


@dataclass(frozen=True)
class TileShape:
    """A register tile of `rows` rows by `vectors` vectors."""

    rows: int
    vectors: int


def choose_tile(target: VectorTarget) -> TileShape:
    """Picks the largest tile that leaves registers for both operands.

    At most 8 rows: rows of the left operand a multiple of 4096 bytes apart share one
    set of the level-1 cache, which has 8 ways.

    """
    return TileShape(8 if target.registers >= 32 else 6, 2)


def ceil_div(size: Size, step: int) -> Size:
    """⌈size / step⌉."""
    return combine("div", combine("add", size, step - 1), step)


def even_height(size: int, most: int) -> int:
    """A tile height near `most` that divides `size`: one micro-kernel is enough then.

    The size itself where it is smaller, `most` where nothing near divides it.
    """
    if size <= most:
        return max(size, 1)
    return next((h for h in (most, most - 1, most - 2) if size % h == 0), most)


def live_lanes(
    b: Builder, size: Index, column: Index, tile: TileShape
) -> list[tuple[Index, Lanes]]:
    """First column and live lanes of each vector of the panel at `column`.

    Args:
        size: Columns that there are; vectors known to begin behind them are left out.
    """
    starts = [b.add(column, v * b.lanes) for v in range(tile.vectors)]
    if isinstance(size, int) and size % (tile.vectors * b.lanes) == 0:
        return [(j, b.lanes) for j in starts]
    if isinstance(column, int) and isinstance(size, int):
        return [(j, min(b.lanes, size - j)) for j in starts if j < size]
    return [(j, b.live(b.sub(size, j))) for j in starts]


def emit_register_tile(
    b: Builder,
    *,
    rows: int,
    vectors: int,
    depth: Index | Sequence[Index],
    left: Callable[..., ir.Value],
    right: Callable[..., Vector],
    initial: list[list[Vector]] | None = None,
) -> list[list[Vector]]:
    """Emits the k loop; the accumulators never leave the registers.

    Args:
        depth: Trip count of k, or of each loop of a nest, outermost first.
        left: left(r, *k) is the scalar of row r.
        right: right(*k, v) is vector v.
        initial: Accumulators at the start, [rows][vectors]; 0 where there are none.

    Returns:
        The accumulators, [rows][vectors].
    """
    depths = list(depth) if isinstance(depth, (list, tuple)) else [depth]

    def step(ks: list[Index], flat: Sequence[Vector]) -> list[Vector]:
        columns = [right(*ks, v) for v in range(vectors)]
        result = []
        for r in range(rows):
            x = b.broadcast(left(r, *ks))
            for v in range(vectors):
                result.append(b.multiply_add(x, columns[v], flat[r * vectors + v]))
        return result

    def nest(ks: list[Index], flat: Sequence[Vector]) -> list[Vector]:
        if len(ks) == len(depths):
            return step(ks, flat)
        high = depths[len(ks)]
        return b.loop(0, high, 1, lambda k, *acc: nest([*ks, k], acc), flat)

    if initial is None:
        zero = b.splat(0)
        initial = [[zero] * vectors for _ in range(rows)]
    flat = nest([], [value for row in initial for value in row])
    return [flat[r * vectors : (r + 1) * vectors] for r in range(rows)]
