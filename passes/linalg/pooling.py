"""Pools to one windowed reduction each.

A generic needs an operand whose axes run along the loops of the window; it is an empty
tensor of the kernel's shape, whose elements nothing reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.convolution import spatial_axes
from ix.dialects.ix.shapes import is_unsigned
from ix.mlir import arith, ir, linalg
from ix.passes.linalg.accumulation import accumulator_type, cast_back, lowest, narrow
from ix.passes.linalg.generic import (
    Body,
    Lowered,
    Size,
    elementwise,
    empty,
    extend,
    full,
    generic,
    index,
    projection_map,
    scalar,
    size_of,
    sizes_of,
)
from ix.passes.linalg.padding import padded
from ix.passes.linalg.reduction import extremum_accumulator, greater_of
from ix.passes.linalg.sizes import as_number, plus, product, window_count


def lower_max_pool(op: ix.MaxPoolOp, operands: list[ir.Value]) -> Lowered:
    (x,) = operands
    element = x.type.element_type
    declared = op.input.type.element_type
    type_ = extremum_accumulator(element)
    combine = greater_of(declared)
    least = lowest(element, is_unsigned(declared))
    sizes = window_sizes(op, x, op.padding_high)
    best = slide(
        op,
        x,
        sizes,
        op.padding_high,
        scalar(least, element),
        scalar(least, type_),
        lambda x, best: combine(best, extend(x, type_)).result,
    )
    return cast_back(best, element, sizes)


def lower_avg_pool(op: ix.AvgPoolOp, operands: list[ir.Value]) -> Lowered:
    (x,) = operands
    element = x.type.element_type
    type_ = accumulator_type(element)
    high = [a + b for a, b in zip(op.padding_high, op.ceil_padding, strict=True)]
    sizes = window_sizes(op, x, high)
    total = slide(
        op,
        x,
        sizes,
        high,
        scalar(0, element),
        scalar(0, type_),
        lambda x, total: arith.AddFOp(total, extend(x, type_)).result,
    )
    constant = None if _count_varies(op, high) else as_number(product(op.kernel), type_)
    bounds = None if constant is not None else _counted_bounds(op, x)

    def mean(total: ir.Value) -> ir.Value:
        count = constant if bounds is None else _count(op, bounds, type_)
        return narrow(arith.DivFOp(total, count).result, element)

    return elementwise([total], element, mean, sizes)


def window_sizes(op: Any, x: ir.Value, padding_high: Sequence[int]) -> list[Size]:
    """The sizes of the result of a pool."""
    sizes = sizes_of(x)
    for at, axis in enumerate(spatial_axes(op.layout, x.type.rank)):
        reach = (op.kernel[at] - 1) * op.dilations[at] + 1
        padding = op.padding_low[at] + padding_high[at]
        sizes[axis] = window_count(sizes[axis], padding, reach, op.strides[at])
    return sizes


def slide(
    op: Any,
    x: ir.Value,
    sizes: Sequence[Size],
    padding_high: Sequence[int],
    fill: ir.Value,
    initial: ir.Value,
    body: Body,
) -> ir.Value:
    """Reduces each window of the spatial axes of x.

    Args:
        op: A pool, with kernel, strides, padding_low, dilations and layout.
        x: The input.
        sizes: Of the result.
        padding_high: Elements added after each spatial axis.
        fill: What padding holds.
        initial: The first accumulator of each window.
        body: (element, accumulator) → the new accumulator.
    """
    axes = spatial_axes(op.layout, x.type.rank)
    rank = x.type.rank
    low, high = [0] * rank, [0] * rank
    exprs = [ir.AffineDimExpr.get(axis) for axis in range(rank)]
    for at, axis in enumerate(axes):
        low[axis], high[axis] = op.padding_low[at], padding_high[at]
        tap = ir.AffineDimExpr.get(rank + at)
        exprs[axis] = exprs[axis] * op.strides[at] + tap * op.dilations[at]
    window = empty(op.kernel, x.type.element_type)
    loops = rank + len(axes)
    return generic(
        [padded(x, low, high, fill), window],
        [full(sizes, initial)],
        [
            ir.AffineMap.get(loops, 0, exprs),
            projection_map(loops, range(rank, loops)),
            projection_map(loops, range(rank)),
        ],
        ["parallel"] * rank + ["reduction"] * len(axes),
        lambda x, _, accumulator: body(x, accumulator),
    )[0]


def _count_varies(op: ix.AvgPoolOp, high: Sequence[int]) -> bool:
    """Whether windows differ in how many elements count."""
    if op.count_include_pad:
        return any(op.ceil_padding)
    return any((*op.padding_low, *high))


Bounds = list[tuple[int, ir.Value]]
"""For each spatial axis of the padded input: the first place that counts, the end."""


def _counted_bounds(op: ix.AvgPoolOp, x: ir.Value) -> Bounds:
    bounds = []
    for at, axis in enumerate(spatial_axes(op.layout, x.type.rank)):
        low, size = op.padding_low[at], size_of(x, axis)
        if op.count_include_pad:
            bounds.append((0, index(plus(size, low + op.padding_high[at]))))
        else:
            bounds.append((low, index(plus(size, low))))
    return bounds


def _count(op: ix.AvgPoolOp, bounds: Bounds, type_: ir.Type) -> ir.Value:
    """How many elements of the window at the current loop indices count.

    On one axis, the taps k with first ≤ place·stride + k·dilation < end.
    """
    total = index(1)
    rank = op.input.type.rank
    for at, axis in enumerate(spatial_axes(op.layout, rank)):
        first, end = bounds[at]
        place = linalg.IndexOp(axis).result
        start = arith.MulIOp(place, index(op.strides[at])).result
        dilation = index(op.dilations[at])
        skipped = arith.SubIOp(index(first), start).result
        skipped = arith.CeilDivSIOp(skipped, dilation).result
        skipped = arith.MaxSIOp(skipped, index(0)).result
        reached = arith.SubIOp(end, start).result
        reached = arith.CeilDivSIOp(reached, dilation).result
        reached = arith.MinSIOp(reached, index(op.kernel[at])).result
        counted = arith.SubIOp(reached, skipped).result
        counted = arith.MaxSIOp(counted, index(0)).result
        total = arith.MulIOp(total, counted).result
    return as_number(total, type_)


LOWERINGS = {ix.MaxPoolOp: lower_max_pool, ix.AvgPoolOp: lower_avg_pool}
"""Op class → (op, lowered operands) → result."""
