"""Softmax of the scores of one tile of rows, in place, on the cache.

    per row:  m = max S[r, 0:w];  P = exp(S − m);  sum P;  P[w:width] = 0

A row that sees nothing has the maximum −∞; its exponentials are 0, and so is the factor
that would be 1 / sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ix.mlir import arith, ir
from ix.passes.cpu import vector_math
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector

__all__ = ["SoftmaxTile", "emit_softmax"]

WAYS = 4  # independent accumulators: enough to hide the latency of max and add


@dataclass(frozen=True)
class SoftmaxTile:
    """The scores of a tile of rows and where softmax keeps its numbers.

    Attributes:
        rows: Rows of the tile.
        width: Scores of a row, the longest where they differ.
        buffers: scores[rows, …] becomes P; factors[rows, L] what to multiply P·V or,
            online, the sums before it with; online, maxima and sums[…, L] as well.
        state: First row of the tile in maxima and sums; None where not online.
    """

    rows: int
    width: Index
    buffers: dict[str, ir.Value]
    state: Index = None


def emit_softmax(
    b: Builder,
    tile: SoftmaxTile,
    *,
    row_width: Callable[[Index], Index],
    mask: Callable[[Index, Index, Lanes], Vector] | None,
) -> None:
    """Emits the softmax of every row.

    Args:
        row_width: row_width(r) is how many scores of row r count; may be below 0.
        mask: mask(r, j, lanes) is added to S[r, j], or of i1: false where it is −∞.
    """
    b.loop(0, tile.rows, 1, lambda r: _row(b, tile, r, row_width(r), mask))


def _row(
    b: Builder,
    tile: SoftmaxTile,
    r: Index,
    width: Index,
    mask: Callable[[Index, Index, Lanes], Vector] | None,
) -> None:
    scores = tile.buffers["scores"]
    lowest = b.splat(float("-inf"))

    def maximum(j: Index, lanes: Lanes, top: Vector) -> Vector:
        x = b.load(scores, r, j)
        if mask is not None:
            x = _masked(b, x, mask(r, j, lanes))
            b.store(x, scores, r, j)
        return larger(top, _only(b, lanes, x, lowest))

    top = _sweep(b, width, width, maximum, lowest, larger)
    if tile.state is not None:
        row = b.add(tile.state, r)
        before = b.load(tile.buffers["maxima"], row, 0)
        top = larger(before, top)
        b.store(top, tile.buffers["maxima"], row, 0)
    # −∞ − −∞ is NaN: a row that sees nothing subtracts 0.
    nothing = arith.cmpf(arith.CmpFPredicate.OEQ, top, lowest)
    top = arith.select(nothing, b.splat(0), top)

    def exponential(j: Index, lanes: Lanes, total: Vector) -> Vector:
        x = vector_math.exp_non_positive(arith.subf(b.load(scores, r, j), top))
        x = _only(b, lanes, x, b.splat(0))
        b.store(x, scores, r, j)
        return b.plus(total, x)

    total = _sweep(b, width, tile.width, exponential, b.splat(0), b.plus)
    if tile.state is None:
        b.store(b.inverse_or_zero(total), tile.buffers["factors"], r, 0)
        return
    factor = vector_math.exp_non_positive(arith.subf(before, top))
    b.store(factor, tile.buffers["factors"], r, 0)
    sums = tile.buffers["sums"]
    total = b.multiply_add(b.load(sums, row, 0), factor, total)
    b.store(total, sums, row, 0)


def _sweep(
    b: Builder,
    live: Index,
    width: Index,
    body: Callable[[Index, Lanes, Vector], Vector],
    neutral: Vector,
    combine: Callable[[Vector, Vector], Vector],
) -> Vector:
    """Folds body(j, lanes, value) over a row; every lane of the result holds it.

    Args:
        live: Elements that count.
        width: Elements to visit, those behind `live` with no lane alive.
    """
    step = WAYS * b.lanes

    def ways(j: Index, *values: Vector) -> list[Vector]:
        return [
            body(b.add(j, way * b.lanes), b.lanes, value)
            for way, value in enumerate(values)
        ]

    def rest(j: Index, value: Vector) -> list[Vector]:
        return [body(j, b.lanes if even else b.live(b.sub(live, j)), value)]

    even = isinstance(live, int) and live == width and live % b.lanes == 0
    whole = b.mul(b.floordiv(b.max(live, 0), step), step)
    values = b.loop(0, whole, step, ways, [neutral] * WAYS)
    values[0] = b.loop(whole, width, b.lanes, rest, values[:1])[0]
    while len(values) > 1:
        values = [
            combine(values[at], values[at + 1]) for at in range(0, len(values), 2)
        ]
    return b.across(values[0], combine)


def _masked(b: Builder, x: Vector, mask: ir.Value) -> Vector:
    """Applies a mask of booleans or of summands, a scalar where all lanes agree."""
    element = mask.type
    if isinstance(element, ir.VectorType):
        element = element.element_type
    if element == ir.IntegerType.get_signless(1):
        return arith.select(mask, x, b.splat(float("-inf")))
    return arith.addf(x, b.widen(mask))


def _only(b: Builder, lanes: Lanes, x: Vector, otherwise: Vector) -> Vector:
    """x in its live lanes."""
    return x if b.is_whole(lanes) else arith.select(b.mask(lanes), x, otherwise)


def larger(x: Vector, y: Vector) -> Vector:
    """One vmaxps; a NaN in y survives."""
    return arith.select(arith.cmpf(arith.CmpFPredicate.OGT, x, y), x, y)
