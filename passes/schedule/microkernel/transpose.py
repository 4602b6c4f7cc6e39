"""Transposes a few rows in registers: what a 128-bit lane holds becomes a short column.

    rows  r0 r1 r2 r3, L elements each     columns  c0 … c(L−1), 4 elements each
    r0 = a0 a1 a2 a3 | a4 …                c0 = a0 b0 c0 d0
    r1 = b0 b1 b2 b3 | b4 …                c1 = a1 b1 c1 d1   …

Two steps of unpacks within the 128-bit lanes, one instruction each, then every lane is
a column. Transposing whole squares of L rows in registers saves stores and is as fast,
but takes 8 times the shuffles to compile.
"""

from __future__ import annotations

from collections.abc import Callable

from ix.mlir import ir, vector
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector

__all__ = ["emit_transpose", "group_rows"]

GROUP_BITS = 128


def group_rows(b: Builder) -> int:
    """Rows that `emit_transpose` takes: the elements of 128 bits."""
    return GROUP_BITS // b.element.width


def emit_transpose(
    b: Builder,
    read_row: Callable[[int], Vector],
    into: ir.Value,
    at: Callable[[int], tuple[Index, ...]],
    live: Lanes = None,
) -> None:
    """Stores into[at(c)], of the last axis a group, = column c of the rows, c < L.

    Args:
        read_row: read_row(r) is a vector, for r < group_rows(b).
        at: Where column c goes.
        live: Rows to store, a count; None for all.
    """
    group = group_rows(b)
    squares = _unpack(b, [read_row(r) for r in range(group)])
    kind = ir.VectorType.get([group], b.element)
    mask = None
    if live is not None and not (isinstance(live, int) and live >= group):
        bits = ir.VectorType.get([group], ir.IntegerType.get_signless(1))
        mask = vector.create_mask(bits, [b.index(live)])
    for column in range(b.lanes):
        value = squares[column % group]
        if b.lanes > group:
            start = column // group * group
            value = vector.extract_strided_slice(kind, value, [start], [group], [1])
        where = [b.index(i) for i in at(column)]
        if mask is None:
            vector.store(value, into, where)
        else:
            vector.maskedstore(into, where, mask, value)


def _unpack(b: Builder, rows: list[Vector]) -> list[Vector]:
    """squares[c]: 128-bit lane q holds column q · group + c of the rows."""
    group = len(rows)

    def mix(x: Vector, y: Vector, pattern: tuple[int, ...]) -> Vector:
        """Picks within each lane: 0 … group − 1 of x, the following ones of y."""
        return b.shuffle(
            x,
            y,
            [
                start + pick if pick < group else b.lanes + start + pick - group
                for start in range(0, b.lanes, group)
                for pick in pattern
            ],
        )

    if group == 2:
        x, y = rows
        return [mix(x, y, (0, 2)), mix(x, y, (1, 3))]
    low, high, first, second = (0, 4, 1, 5), (2, 6, 3, 7), (0, 1, 4, 5), (2, 3, 6, 7)
    a, c = mix(rows[0], rows[1], low), mix(rows[2], rows[3], low)
    e, g = mix(rows[0], rows[1], high), mix(rows[2], rows[3], high)
    return [mix(a, c, first), mix(a, c, second), mix(e, g, first), mix(e, g, second)]
