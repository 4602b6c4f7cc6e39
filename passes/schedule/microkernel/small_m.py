"""Kernels of one to three rows: each element of B is read once, so bandwidth decides.

A register tile of so few rows has too few accumulators to hide the latency of fma. The
k loop is therefore split over independent sets of accumulators that are added at the
end:

    for k in steps of ways:
      for w < ways:  acc[w, r, v] += broadcast(A[i + r, k + w]) · B[k + w, v]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ix.mlir import ir
from ix.passes.schedule.microkernel.builder import Builder, Index, Vector

__all__ = ["emit_few_rows_tile", "split_ways"]

# 4 cycles of latency, 2 fma a cycle. Source: Agner Fog, "Instruction tables".
LATENCY_BOUND_ACCUMULATORS = 8


def split_ways(rows: int, vectors: int) -> int:
    """The sets of accumulators that hide the latency of fma for a tile, 1 to 4."""
    ways = LATENCY_BOUND_ACCUMULATORS // (rows * vectors)
    return 1 << max(0, min(ways, 4).bit_length() - 1)


def emit_few_rows_tile(
    b: Builder,
    *,
    rows: int,
    vectors: int,
    depth: Index,
    left: Callable[[int, Index], ir.Value],
    right: Callable[[Index, int], Vector],
    initial: list[list[Vector]] | None = None,
) -> list[list[Vector]]:
    """Emits the k loop of a tile of few rows; see `emit_register_tile`."""
    ways = split_ways(rows, vectors)
    size = rows * vectors

    def one(k: Index, acc: Sequence[Vector]) -> list[Vector]:
        columns = [right(k, v) for v in range(vectors)]
        splats = [b.broadcast(left(r, k)) for r in range(rows)]
        return [
            b.multiply_add(splats[at // vectors], columns[at % vectors], acc[at])
            for at in range(size)
        ]

    def step(k: Index, *acc: Vector) -> list[Vector]:
        result = []
        for way in range(ways):
            result += one(b.add(k, way), acc[way * size : (way + 1) * size])
        return result

    zero = b.splat(0)
    first = [value for row in initial for value in row] if initial else [zero] * size
    whole = b.mul(b.floordiv(depth, ways), ways)
    flat = b.loop(0, whole, ways, step, first + [zero] * (size * (ways - 1)))
    while len(flat) > size:
        half = len(flat) // 2
        flat = [b.plus(flat[at], flat[half + at]) for at in range(half)]
    if ways > 1:
        flat = b.loop(whole, depth, 1, lambda k, *acc: one(k, acc), flat)
    return [flat[r * vectors : (r + 1) * vectors] for r in range(rows)]
