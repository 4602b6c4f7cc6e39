"""Broadcast, reshape, transpose, concat, iota and dim as linalg and tensor ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.shapes import is_float
from ix.mlir import arith, defining_op, ir, linalg, tensor
from ix.passes.linalg.generic import (
    Lowered,
    Size,
    elementwise,
    empty,
    generic,
    identity_map,
    index,
    lowered_type,
    projection_map,
    size_of,
    sizes_from,
    sizes_of,
    static_shape,
)
from ix.passes.linalg.reshape import reshape
from ix.passes.linalg.scalars import compute_type, narrow
from ix.passes.linalg.sizes import product, summed

Values = list[ir.Value]


def lower_broadcast(op: ix.BroadcastOp, operands: Values) -> Lowered:
    """A generic that reads size-1 axes at 0; nothing where the shape is the same."""
    sizes = sizes_from(op.shape, operands[1:])
    operand = operands[0]
    if list(operand.type.shape) == static_shape(sizes) == list(op.result.type.shape):
        return operand
    return elementwise([operand], operand.type.element_type, lambda x: x, sizes)


def lower_reshape(op: ix.ReshapeOp, operands: Values) -> Lowered:
    return reshape(operands[0], sizes_from(op.shape, operands[1:]))


def lower_transpose(op: ix.TransposeOp, operands: Values) -> Lowered:
    """A generic whose loops are the result's axes."""
    return transpose(operands[0], op.permutation)


def transpose(operand: ir.Value, permutation: Sequence[int]) -> ir.Value:
    """Axis i of the result is axis permutation[i] of the operand."""
    rank = operand.type.rank
    if list(permutation) == list(range(rank)):
        return operand
    sizes = sizes_of(operand)
    place = [list(permutation).index(axis) for axis in range(rank)]
    return generic(
        [operand],
        [empty([sizes[axis] for axis in permutation], operand.type.element_type)],
        [projection_map(rank, place), identity_map(rank)],
        ["parallel"] * rank,
        lambda x, _: x,
    )[0]


def lower_concat(op: ix.ConcatOp, operands: Values) -> Lowered:
    """tensor.concat; the chain that unlike types make becomes one op again."""
    parts: list[ir.Value] = []
    for operand in operands:
        inner = defining_op(operand, tensor.ConcatOp)
        if inner is not None and inner.dim.value == op.axis and operand is operands[0]:
            parts.extend(inner.inputs)
        else:
            parts.append(operand)
    parts = [p for p in parts if p.type.shape[op.axis] != 0] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    if 0 in op.result.type.shape:  # upstream refuses an offset in an axis of nothing
        sizes = sizes_of(parts[0])
        sizes[op.axis] = summed(size_of(part, op.axis) for part in parts)
        return empty(sizes, parts[0].type.element_type)
    type_ = lowered_type(op.result.type)
    return tensor.ConcatOp(type_, op.axis, parts).result


def lower_iota(op: ix.IotaOp, operands: Values) -> Lowered:
    """A generic without inputs that yields its loop index."""
    type_ = op.result.type
    element = type_.element_type
    sizes = sizes_from(type_.shape, operands)

    def body() -> ir.Value:
        return counted(linalg.IndexOp(op.axis).result, element)

    return elementwise([], lowered_type(element), body, sizes)


def counted(position: ir.Value, element: ir.Type) -> ir.Value:
    """An index as an element; integers keep their low bits."""
    i64 = ir.IntegerType.get_signless(64)
    wide = arith.IndexCastOp(i64, position).result
    if is_float(element):
        return narrow(arith.SIToFPOp(compute_type(element), wide).result, element)
    if element.width == 64:
        return wide
    return arith.TruncIOp(lowered_type(element), wide).result


def lower_dim(op: ix.DimOp, operands: Values) -> Lowered:
    return index(size_of(operands[0], op.axis))


def repeated(operand: ir.Value, repeats: Sequence[int]) -> ir.Value:
    """The tensor repeated along its axes.

    A generic into [repeat, size] pairs of axes that ignores the repeats, then a
    collapse of each pair: no division is needed to find an element.
    """
    sizes = sizes_of(operand)
    loops: list[Size] = []
    groups: list[list[int]] = []
    read: list[int] = []
    for size, repeat in zip(sizes, repeats, strict=True):
        start = len(loops)
        loops.extend([size] if repeat == 1 else [repeat, size])
        groups.append(list(range(start, len(loops))))
        read.append(len(loops) - 1)
    if len(loops) == len(sizes):
        return operand
    out = empty(loops, operand.type.element_type)
    rank = len(loops)
    result = generic(
        [operand],
        [out],
        [projection_map(rank, read), identity_map(rank)],
        ["parallel"] * rank,
        lambda x, _: x,
    )[0]
    return reshape(result, _products(loops, groups))


def _products(sizes: Sequence[Size], groups: Sequence[Sequence[int]]) -> list[Size]:
    return [product(sizes[axis] for axis in group) for group in groups]


LOWERINGS: dict[type, Callable[[Any, Values], Lowered]] = {
    ix.BroadcastOp: lower_broadcast,
    ix.ReshapeOp: lower_reshape,
    ix.TransposeOp: lower_transpose,
    ix.ConcatOp: lower_concat,
    ix.IotaOp: lower_iota,
    ix.DimOp: lower_dim,
}
"""Op class → (op, lowered operands) → result."""
