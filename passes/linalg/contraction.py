"""Matmul and dot_general to one linalg.generic each, in the form rules recognise.

Loops: batch, free axes of a, free axes of b, contracted axes. The result's map is the
identity on the parallel loops; transposes and broadcasts are in the operands' maps.
"""

from __future__ import annotations

from collections.abc import Sequence

from ix.dialects import ix
from ix.dialects.ix.contraction import free_axes
from ix.dialects.ix.shapes import is_unsigned
from ix.mlir import ir
from ix.passes.linalg.accumulation import accumulator_type, cast_back
from ix.passes.linalg.generic import (
    Lowered,
    Size,
    broadcast_map,
    contract,
    projection_map,
    size_of,
    sizes_of,
)


def product_accumulator(op: ix.ContractionOp) -> ir.Type:
    """What the products of an op add up in: f32 for short floats, else its result."""
    return accumulator_type(op.result.type.element_type)


def unsigned_factors(op: ix.ContractionOp) -> tuple[bool, bool]:
    """Whether the elements of the first, and of the second operand are unsigned."""
    first, second = (operand.type.element_type for operand in list(op.operands)[:2])
    return is_unsigned(first), is_unsigned(second)


def lower_matmul(op: ix.MatmulOp, operands: list[ir.Value]) -> Lowered:
    a, b = operands
    axes_a = (-1, -2) if op.transpose_a else (-2, -1)
    axes_b = (-1, -2) if op.transpose_b else (-2, -1)
    batch = _batch_sizes(a, b, op.result.type.rank - 2)
    m, k, n = len(batch), len(batch) + 2, len(batch) + 1
    rank = len(batch) + 3
    maps = [
        _operand_map(a, batch, rank, axes_a, (m, k)),
        _operand_map(b, batch, rank, axes_b, (k, n)),
        projection_map(rank, range(k)),
    ]
    sizes = [
        *batch,
        size_of(a, a.type.rank + axes_a[0]),
        size_of(b, b.type.rank + axes_b[1]),
    ]
    iterators = ["parallel"] * k + ["reduction"]
    accumulator = product_accumulator(op)
    total = contract(a, b, maps, iterators, sizes, accumulator, unsigned_factors(op))
    return cast_back(total, op.result.type.element_type, sizes)


def _batch_sizes(a: ir.Value, b: ir.Value, count: int) -> list[Size]:
    """The broadcast of the leading axes; a static size above 1 wins."""
    sizes: list[Size] = [1] * count
    for operand in (a, b):
        offset = count - (operand.type.rank - 2)
        for axis, size in enumerate(operand.type.shape[:-2]):
            known = sizes[offset + axis]
            if size != 1 and (known == 1 or isinstance(known, ir.Value)):
                sizes[offset + axis] = size_of(operand, axis)
    return sizes


def _operand_map(
    operand: ir.Value,
    batch: Sequence[Size],
    rank: int,
    axes: tuple[int, int],
    loops: tuple[int, int],
) -> ir.AffineMap:
    """Batch axes aligned at the last batch loop, then the matrix axes.

    Args:
        operand: The tensor that is read.
        batch: Sizes of the batch loops.
        rank: Number of loops.
        axes: Where the two matrix axes stand, counted from the end.
        loops: The loops that they run along.
    """
    matrix = dict(zip(axes, loops, strict=True))
    leading = broadcast_map(operand.type.shape[:-2], batch)
    exprs = [*leading.results, *(ir.AffineDimExpr.get(matrix[at]) for at in (-2, -1))]
    return ir.AffineMap.get(rank, 0, exprs)


def lower_dot_general(op: ix.DotGeneralOp, operands: list[ir.Value]) -> Lowered:
    a, b = operands
    free_a = free_axes(a.type.rank, op.batch_a, op.contract_a)
    free_b = free_axes(b.type.rank, op.batch_b, op.contract_b)
    parallel = len(op.batch_a) + len(free_a) + len(free_b)
    rank = parallel + len(op.contract_a)
    loops_b = [*range(len(op.batch_a)), *range(parallel - len(free_b), rank)]
    loops_a = [*range(parallel - len(free_b)), *range(parallel, rank)]
    order_a = [*op.batch_a, *free_a, *op.contract_a]
    order_b = [*op.batch_b, *free_b, *op.contract_b]
    maps = [
        projection_map(rank, _by_axis(order_a, loops_a)),
        projection_map(rank, _by_axis(order_b, loops_b)),
        projection_map(rank, range(parallel)),
    ]
    sizes_a, sizes_b = sizes_of(a), sizes_of(b)
    sizes = [sizes_a[axis] for axis in [*op.batch_a, *free_a]]
    sizes += [sizes_b[axis] for axis in free_b]
    iterators = ["parallel"] * parallel + ["reduction"] * len(op.contract_a)
    accumulator = product_accumulator(op)
    total = contract(a, b, maps, iterators, sizes, accumulator, unsigned_factors(op))
    return cast_back(total, op.result.type.element_type, sizes)


def _by_axis(order: Sequence[int], loops: Sequence[int]) -> list[int]:
    """The loop of each axis 0, 1, …, when axis order[i] runs along loops[i]."""
    return [loop for _, loop in sorted(zip(order, loops, strict=True))]


LOWERINGS = {ix.MatmulOp: lower_matmul, ix.DotGeneralOp: lower_dot_general}
"""Op class → (op, lowered operands) → result."""
