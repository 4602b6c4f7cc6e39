"""A parallel linalg.generic whose inputs each read some of the loops."""

from __future__ import annotations

from collections.abc import Sequence

from ix.mlir import ir
from ix.passes.linalg.generic import (
    Body,
    Size,
    empty,
    generic,
    identity_map,
    is_empty,
    projection_map,
)


def project(
    reads: Sequence[tuple[ir.Value, Sequence[int]]],
    sizes: Sequence[Size],
    element_type: ir.Type,
    body: Body,
) -> ir.Value:
    """Applies a scalar function in a loop nest over `sizes`.

    Args:
        reads: Tensors, each with the loops that its axes run along.
        sizes: Of the result, one for each loop.
        element_type: Of the result.
        body: Gets one scalar for each read; returns one of `element_type`.
    """
    rank = len(sizes)
    maps = [projection_map(rank, axes) for _, axes in reads]
    return generic(
        [value for value, _ in reads],
        [empty(sizes, element_type)],
        [*maps, identity_map(rank)],
        ["parallel"] * rank,
        lambda *scalars: body(*scalars[:-1]),
    )[0]


def sweep(
    reads: Sequence[tuple[ir.Value, Sequence[int]]],
    sizes: Sequence[Size],
    axes: Sequence[int],
    out: ir.Value,
    body: Body,
) -> ir.Value:
    """Reduces the loops `axes` of a nest over `sizes` into `out`.

    Args:
        reads: Tensors, each with the loops that its axes run along.
        sizes: One for each loop.
        axes: The reduced loops; the others are, in order, the axes of `out`.
        out: The first value of the accumulators.
        body: Gets one scalar for each read, then the accumulator; returns the new one.
    """
    if any(is_empty(value) for value, _ in reads):
        return out
    rank = len(sizes)
    kept = [axis for axis in range(rank) if axis not in axes]
    return generic(
        [value for value, _ in reads],
        [out],
        [projection_map(rank, read) for _, read in reads]
        + [projection_map(rank, kept)],
        ["reduction" if axis in axes else "parallel" for axis in range(rank)],
        body,
    )[0]
