"""Transposes L vectors of L lanes in registers: L·log2(L) two-operand shuffles.

First every 4x4 square within a 128-bit lane, by unpacks, then the 128-bit lanes
themselves: each shuffle is one instruction on SSE, AVX2 and AVX-512.
"""

from __future__ import annotations

from collections.abc import Callable

from ix.mlir import ir
from ix.passes.schedule.microkernel.builder import Builder, Index, Vector

__all__ = ["emit_transpose_block", "transpose_vectors"]


def transpose_vectors(b: Builder, rows: list[Vector]) -> list[Vector]:
    """Returns the columns of the square that the b.lanes vectors are the rows of.

    For lanes of 32 bits in groups of four; other vectors take twice the shuffles.
    """
    lanes = b.lanes
    assert len(rows) == lanes, "a square has as many rows as lanes"
    if lanes < 4 or b.element.width != 32:
        return _by_halves(b, rows)
    quads = range(0, lanes, 4)
    # squares[g][c]: 128-bit lane q holds rows 4g … 4g+3 of column 4q + c.
    squares = [_transpose_quads(b, rows[g : g + 4], quads) for g in quads]
    columns: list[Vector] = [None] * lanes
    for c in range(4):
        joined = _transpose_lanes(b, [square[c] for square in squares])
        for q, value in enumerate(joined):
            columns[4 * q + c] = value
    return columns


def _transpose_quads(b: Builder, rows: list[Vector], quads: range) -> list[Vector]:
    def mix(x: Vector, y: Vector, pattern: tuple[int, ...]) -> Vector:
        """Picks within each 128-bit lane: 0 … 3 of x, 4 … 7 of y."""
        picks = [
            q + p if p < 4 else b.lanes + q + p - 4 for q in quads for p in pattern
        ]
        return b.shuffle(x, y, picks)

    low, high, first, second = (0, 4, 1, 5), (2, 6, 3, 7), (0, 1, 4, 5), (2, 3, 6, 7)
    a, c = mix(rows[0], rows[1], low), mix(rows[2], rows[3], low)
    e, g = mix(rows[0], rows[1], high), mix(rows[2], rows[3], high)
    return [mix(a, c, first), mix(a, c, second), mix(e, g, first), mix(e, g, second)]


def _transpose_lanes(b: Builder, vectors: list[Vector]) -> list[Vector]:
    """Transposes the 1, 2 or 4 vectors as squares of 128-bit lanes."""

    def mix(x: Vector, y: Vector, pattern: tuple[int, ...]) -> Vector:
        return b.shuffle(x, y, [4 * p + at for p in pattern for at in range(4)])

    if len(vectors) == 1:
        return vectors
    if len(vectors) == 2:
        x, y = vectors
        return [mix(x, y, (0, 2)), mix(x, y, (1, 3))]
    w, x, y, z = vectors
    low, high = mix(w, x, (0, 1, 4, 5)), mix(y, z, (0, 1, 4, 5))
    result = [mix(low, high, (0, 2, 4, 6)), mix(low, high, (1, 3, 5, 7))]
    low, high = mix(w, x, (2, 3, 6, 7)), mix(y, z, (2, 3, 6, 7))
    return [*result, mix(low, high, (0, 2, 4, 6)), mix(low, high, (1, 3, 5, 7))]


def _by_halves(b: Builder, rows: list[Vector]) -> list[Vector]:
    """Swaps off-diagonal blocks of 1, 2, 4 … rows."""
    lanes, step = b.lanes, 1
    while step < lanes:
        kept = [at if not at & step else lanes + at - step for at in range(lanes)]
        moved = [at + step if not at & step else lanes + at for at in range(lanes)]
        for r in range(lanes):
            if not r & step:
                x, y = rows[r], rows[r + step]
                rows = list(rows)
                rows[r], rows[r + step] = b.shuffle(x, y, kept), b.shuffle(x, y, moved)
        step *= 2
    return rows


def emit_transpose_block(
    b: Builder,
    read_row: Callable[[int], Vector],
    into: ir.Value,
    *at: Index,
) -> None:
    """Stores into[*at[:-2], at[-2] + c, at[-1] : at[-1] + L] = column c of the rows.

    Args:
        read_row: read_row(r) is row r of the square, for r < L.
        into: A memref whose last two axes take the transposed square.
        at: Where its first element goes.
    """
    columns = transpose_vectors(b, [read_row(r) for r in range(b.lanes)])
    *outer, row, column = at
    for c, value in enumerate(columns):
        b.store(value, into, *outer, b.add(row, c), column)
