"""Slice, split, pad, flip and tile as tensor ops and reads of computed places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.dialects import ix
from ix.mlir import DYNAMIC, arith, ir, linalg, tensor
from ix.passes.linalg.generic import (
    Lowered,
    Size,
    elementwise,
    empty,
    generic,
    identity_map,
    index,
    sizes_from,
    sizes_of,
    splat_scalar,
    static_shape,
)
from ix.passes.linalg.movement import repeated
from ix.passes.linalg.padding import padded
from ix.passes.linalg.reshape import total_equal
from ix.passes.linalg.scalars import compare, select
from ix.passes.linalg.sizes import floor_divided, plus

Values = list[ir.Value]


def lower_slice(op: ix.SliceOp, operands: Values) -> Lowered:
    """tensor.extract_slice."""
    bounds = operands[1:]
    count = op.starts.count(DYNAMIC)
    starts = sizes_from(op.starts, bounds[:count])
    limits = sizes_from(op.limits, bounds[count:])
    sizes = [
        floor_divided(plus(minus(limit, start), stride - 1), stride)
        if known == DYNAMIC
        else known
        for start, limit, stride, known in zip(
            starts, limits, op.strides, op.result.type.shape, strict=True
        )
    ]
    return extract_slice(operands[0], starts, sizes, op.strides)


def minus(a: Size, b: Size) -> Size:
    """a − b."""
    if isinstance(a, int) and isinstance(b, int):
        return a - b
    if isinstance(b, int) and b == 0:
        return a
    return arith.SubIOp(index(a), index(b)).result


def extract_slice(
    operand: ir.Value,
    starts: Sequence[Size],
    sizes: Sequence[Size],
    strides: Sequence[int],
) -> ir.Value:
    """The elements start, start + stride, … of each axis; the operand if it is all."""
    whole = all(stride == 1 for stride in strides) and all(
        isinstance(start, int) and start == 0 for start in starts
    )
    if 0 in sizes:  # upstream refuses an offset at the end, even to take nothing
        return empty(sizes, operand.type.element_type)
    if whole and total_equal(sizes_of(operand), sizes):
        return operand
    return tensor.ExtractSliceOp(
        ir.RankedTensorType.get(static_shape(sizes), operand.type.element_type),
        operand,
        [start for start in starts if isinstance(start, ir.Value)],
        [size for size in sizes if isinstance(size, ir.Value)],
        [],
        static_shape(starts),
        static_shape(sizes),
        list(strides),
    ).result


def lower_split(op: ix.SplitOp, operands: Values) -> Lowered:
    """One tensor.extract_slice for each part."""
    operand = operands[0]
    sizes = sizes_of(operand)
    starts: list[Size] = [0] * len(sizes)
    parts = []
    for size in op.sizes:
        sizes[op.axis] = size
        parts.append(extract_slice(operand, starts, sizes, [1] * len(sizes)))
        starts[op.axis] += size
    return parts


def lower_pad(op: ix.PadOp, operands: Values) -> Lowered:
    """tensor.pad with a constant; else a generic that reads the place it copies."""
    operand, value = operands
    if not any((*op.low, *op.high)):
        return operand
    if op.mode == "constant":
        fill = splat_scalar(value)
        if fill is not None and 0 not in operand.type.shape:
            return padded(operand, op.low, op.high, fill)
        return _pad_by_place(op, operand, [value])
    return _pad_by_place(op, operand, [])


def _pad_by_place(op: ix.PadOp, operand: ir.Value, values: Values) -> ir.Value:
    """Reads, for each element, the place in the input that it repeats.

    Args:
        op: Says how much is added, and which place that repeats.
        operand: The input.
        values: The value that stands outside; none where every element has a place.
    """
    sizes = sizes_of(operand)
    result = [
        plus(size, low + high)
        for size, low, high in zip(sizes, op.low, op.high, strict=True)
    ]

    if 0 in sizes:  # there is no place to read
        return elementwise(values, operand.type.element_type, lambda x: x, result)

    def body(*outside: ir.Value) -> ir.Value:
        places, inside = [], []
        for axis, (size, low) in enumerate(zip(sizes, op.low, strict=True)):
            here = linalg.IndexOp(axis).result
            if low or op.high[axis]:
                shifted = arith.SubIOp(here, index(low)).result
                here = _PLACES[op.mode](shifted, index(size))
                inside.append(compare("eq", here, shifted))
            places.append(here)
        found = tensor.ExtractOp(operand, places).result
        for value in outside:
            for condition in inside:
                found = select(condition, found, value)
        return found

    return elementwise(values, operand.type.element_type, body, result)


def clamped_place(place: ir.Value, size: ir.Value) -> ir.Value:
    """The nearest place inside 0..size − 1."""
    last = arith.SubIOp(size, index(1)).result
    return arith.MaxSIOp(arith.MinSIOp(place, last).result, index(0)).result


def _absolute(place: ir.Value) -> ir.Value:
    return arith.MaxSIOp(place, arith.SubIOp(index(0), place).result).result


def _reflected_place(place: ir.Value, size: ir.Value) -> ir.Value:
    """Mirrors at the first and at the last element, which are not repeated."""
    last = arith.SubIOp(size, index(1)).result
    from_last = arith.SubIOp(last, _absolute(place)).result
    return arith.SubIOp(last, _absolute(from_last)).result


def _wrapped_place(place: ir.Value, size: ir.Value) -> ir.Value:
    """Continues at the other end."""
    up = arith.AddIOp(place, size).result
    down = arith.SubIOp(place, size).result
    place = select(compare("lt", place, index(0)), up, place)
    return select(compare("ge", place, size), down, place)


_PLACES: dict[str, Callable[[ir.Value, ir.Value], ir.Value]] = {
    "constant": clamped_place,
    "edge": clamped_place,
    "reflect": _reflected_place,
    "wrap": _wrapped_place,
}


def lower_flip(op: ix.FlipOp, operands: Values) -> Lowered:
    """A generic that reads backwards: by its map, or by place for a dynamic size."""
    operand = operands[0]
    sizes = sizes_of(operand)
    axes = [axis for axis in op.axes if sizes[axis] != 1]
    if not axes:
        return operand
    if all(isinstance(sizes[axis], int) for axis in axes):
        return _flip_by_map(operand, axes)

    def body() -> ir.Value:
        places = [linalg.IndexOp(axis).result for axis in range(len(sizes))]
        for axis in axes:
            last = arith.SubIOp(index(sizes[axis]), index(1)).result
            places[axis] = arith.SubIOp(last, places[axis]).result
        return tensor.ExtractOp(operand, places).result

    return elementwise([], operand.type.element_type, body, sizes)


def _flip_by_map(operand: ir.Value, axes: Sequence[int]) -> ir.Value:
    """Reads axis d at size − 1 − d."""
    rank = operand.type.rank
    places = []
    for axis in range(rank):
        loop = ir.AffineDimExpr.get(axis)
        last = operand.type.shape[axis] - 1
        places.append(last - loop if axis in axes else loop)
    return generic(
        [operand],
        [empty(sizes_of(operand), operand.type.element_type)],
        [ir.AffineMap.get(rank, 0, places), identity_map(rank)],
        ["parallel"] * rank,
        lambda x, _: x,
    )[0]


def lower_tile(op: ix.TileOp, operands: Values) -> Lowered:
    return repeated(operands[0], op.repeats)


LOWERINGS: dict[type, Callable[[Any, Values], Lowered]] = {
    ix.SliceOp: lower_slice,
    ix.SplitOp: lower_split,
    ix.PadOp: lower_pad,
    ix.FlipOp: lower_flip,
    ix.TileOp: lower_tile,
}
"""Op class → (op, lowered operands) → result, or one for each part of a split."""
