"""Gathers as linalg.generic over the result that reads the input by tensor.extract.

An index below 0 counts from the end; one outside is moved to the nearest element, so
that no index reads memory that is not the tensor's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.shapes import is_unsigned
from ix.mlir import arith, ir, linalg, tensor
from ix.passes.linalg.generic import (
    Lowered,
    Size,
    broadcast_map,
    broadcast_sizes,
    empty,
    generic,
    identity_map,
    index,
    projection_map,
    sizes_of,
)
from ix.passes.linalg.scalars import compare, select
from ix.passes.linalg.slicing import clamped_place

Values = list[ir.Value]


def position(number: ir.Value, size: Size, unsigned: bool) -> ir.Value:
    """The place that an index means on an axis of `size` elements."""
    type_ = ir.IndexType.get()
    if unsigned:
        return clamped_place(arith.IndexCastUIOp(type_, number).result, index(size))
    place = arith.IndexCastOp(type_, number).result
    from_end = arith.AddIOp(place, index(size)).result
    place = select(compare("lt", place, index(0)), from_end, place)
    return clamped_place(place, index(size))


def loops(count: int, start: int = 0) -> Values:
    """linalg.index of `count` loops."""
    return [linalg.IndexOp(axis).result for axis in range(start, start + count)]


def lower_gather(op: ix.GatherOp, operands: Values) -> Lowered:
    """result[a, i, b] = input[a, indices[i], b]."""
    source, indices = operands
    axis, inner = op.axis, indices.type.rank
    sizes = sizes_of(source)
    result = [*sizes[:axis], *sizes_of(indices), *sizes[axis + 1 :]]
    unsigned = is_unsigned(op.indices.type.element_type)

    def body(number: ir.Value, _: ir.Value) -> ir.Value:
        place = position(number, sizes[axis], unsigned)
        after = loops(source.type.rank - axis - 1, axis + inner)
        return tensor.ExtractOp(source, [*loops(axis), place, *after]).result

    read = projection_map(len(result), range(axis, axis + inner))
    return _gathered(source, [indices], [read], result, body)


def lower_take_along_axis(op: ix.TakeAlongAxisOp, operands: Values) -> Lowered:
    """result[a, i, b] = input[a, indices[a, i, b], b], other axes broadcast."""
    source, indices = operands
    axis = op.axis
    sizes, taken = sizes_of(source), sizes_of(indices)
    result = broadcast_sizes([source, indices])
    result[axis] = taken[axis]
    unsigned = is_unsigned(op.indices.type.element_type)

    def body(number: ir.Value, _: ir.Value) -> ir.Value:
        places = loops(len(sizes))
        for other, size in enumerate(sizes):
            if isinstance(size, int) and size == 1:
                places[other] = index(0)
        places[axis] = position(number, sizes[axis], unsigned)
        return tensor.ExtractOp(source, places).result

    read = broadcast_map(indices.type.shape, result)
    return _gathered(source, [indices], [read], result, body)


def lower_gather_nd(op: ix.GatherNdOp, operands: Values) -> Lowered:
    """result[b, i, r] = input[b, *indices[b, i, :], r].

    The tuple's entries are read as that many inputs of the generic.
    """
    source, indices = operands
    batch, length = op.batch_dims, indices.type.shape[-1]
    sizes = sizes_of(source)
    outer = sizes_of(indices)[:-1]
    result = [*outer, *sizes[batch + length :]]
    unsigned = is_unsigned(op.indices.type.element_type)

    def body(*numbers: ir.Value) -> ir.Value:
        places = [
            position(number, sizes[batch + entry], unsigned)
            for entry, number in enumerate(numbers[:-1])
        ]
        after = loops(len(sizes) - batch - length, len(outer))
        return tensor.ExtractOp(source, [*loops(batch), *places, *after]).result

    maps = []
    for entry in range(length):
        expressions = [ir.AffineDimExpr.get(axis) for axis in range(len(outer))]
        expressions.append(ir.AffineConstantExpr.get(entry))
        maps.append(ir.AffineMap.get(len(result), 0, expressions))
    return _gathered(source, [indices] * length, maps, result, body)


def _gathered(
    source: ir.Value,
    indices: Values,
    maps: list[ir.AffineMap],
    sizes: list[Size],
    body: Callable[..., ir.Value],
) -> ir.Value:
    """The generic over `sizes` that all gathers are."""
    rank = len(sizes)
    return generic(
        indices,
        [empty(sizes, source.type.element_type)],
        [*maps, identity_map(rank)],
        ["parallel"] * rank,
        body,
    )[0]


LOWERINGS: dict[type, Callable[[Any, Values], Lowered]] = {
    ix.GatherOp: lower_gather,
    ix.TakeAlongAxisOp: lower_take_along_axis,
    ix.GatherNdOp: lower_gather_nd,
}
"""Op class → (op, lowered operands) → result."""
