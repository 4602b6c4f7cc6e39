"""ix-cancel-movement: removes moves that undo each other, and brings them together.

transpose(transpose(x, p), q)      →  transpose(x, p∘q), or x
reshape(reshape(x))                →  reshape(x), or x
matmul(x, transpose(y))            →  matmul(x, y) {transpose_b}
transpose(x) that moves size-1 axes only  →  reshape(x)
f(transpose(x, p)), and then a transpose  →  transpose(f(x), p)    f elementwise
f(reshape(y), b)                   →  reshape(f(y, b))    y a contraction, or f of one

A reshape sinks below elementwise ops so that bias, activation and residual of a
contraction stand directly beside it; other operands are reshaped instead, which moves
nothing. A transpose sinks only where another one waits below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.elementwise import BinaryOp, UnaryOp
from ix.dialects.ix.shapes import join_sizes
from ix.mlir import DYNAMIC, defining_op, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import (
    is_constant,
    is_used_once,
    sizes_of,
    sole_user,
)

ELEMENTWISE = (UnaryOp, BinaryOp, ix.GeluOp, ix.CastOp, ix.SelectOp, ix.ClampOp)
_PRODUCTS = (ix.MatmulOp, ix.DotGeneralOp)
_LONGEST_CHAIN = 16


@pattern(ix.TransposeOp)
def merge_transposes(op: ix.TransposeOp) -> ir.Value | None:
    inner = defining_op(op.input, ix.TransposeOp)
    if inner is None:
        return op.input if op.permutation == sorted(op.permutation) else None
    order = [inner.permutation[axis] for axis in op.permutation]
    if order == sorted(order):
        return inner.input
    return ix.TransposeOp.build(inner.input, permutation=order)


@pattern(ix.TransposeOp)
def reshape_single_axes(op: ix.TransposeOp) -> ir.Value | None:
    shape = list(op.input.type.shape)
    moved = [axis for axis in op.permutation if shape[axis] != 1]
    if moved != sorted(moved):
        return None
    sizes = sizes_of(op.input)
    return ix.ReshapeOp.build(op.input, [sizes[axis] for axis in op.permutation])


@pattern(ix.ReshapeOp)
def merge_reshapes(op: ix.ReshapeOp) -> ir.Value | None:
    if _is_identity(op):
        return op.input
    inner = defining_op(op.input, ix.ReshapeOp)
    if inner is None:
        return None
    return ix.ReshapeOp.build(inner.input, join_sizes(op.shape, op.sizes))


def _is_identity(op: ix.ReshapeOp) -> bool:
    """Whether the shape stays; one unknown size among equal ones, not 0, stays too."""
    shape = list(op.result.type.shape)
    return (
        op.input.type == op.result.type
        and shape.count(DYNAMIC) <= 1
        and (0 not in shape or DYNAMIC not in shape)
    )


@pattern(ix.BroadcastOp)
def drop_broadcast(op: ix.BroadcastOp) -> ir.Value | None:
    if op.input.type == op.result.type and op.input.type.has_static_shape:
        return op.input
    return None


@pattern(*ELEMENTWISE)
def sink_transpose(op: Any) -> ir.Value | None:
    _, transpose = _mover(op, ix.TransposeOp)
    if transpose is None or not _meets_transpose(op):
        return None
    order = transpose.permutation
    operands = []
    for value in op.operands:
        other = defining_op(value, ix.TransposeOp)
        if other is not None and other.permutation == order:
            operands.append(other.input)
        elif _is_single(value):
            operands.append(_scalar_like(value))
        elif is_constant(value) and value.type.rank <= len(order):
            operands.append(_untransposed(value, order))
        else:
            return None
    return ix.TransposeOp.build(rebuilt(op, operands), permutation=order)


def _mover(op: Any, kind: type) -> tuple[int, Any | None]:
    """The first operand that a transpose or reshape of the full shape gives."""
    shape = list(op.results[0].type.shape)
    for place, value in enumerate(op.operands):
        found = defining_op(value, kind)
        if found is not None and list(value.type.shape) == shape:
            return place, found
    return 0, None


def _meets_transpose(op: Any) -> bool:
    """Whether only elementwise ops stand between the result and a transpose."""
    for _ in range(_LONGEST_CHAIN):
        user = sole_user(op.results[0])
        if isinstance(user, ix.TransposeOp):
            return True
        if not isinstance(user, ELEMENTWISE):
            return False
        op = user
    return False


def _is_single(value: ir.Value) -> bool:
    """Whether the tensor has one element."""
    return all(size == 1 for size in value.type.shape)


def _scalar_like(value: ir.Value) -> ir.Value:
    """The tensor of one element without axes, which broadcasts to every shape."""
    return value if value.type.rank == 0 else ix.ReshapeOp.build(value, [])


def _untransposed(value: ir.Value, order: Sequence[int]) -> ir.Value:
    """A constant that broadcasts, in the order of axes before the transpose."""
    lead = [1] * (len(order) - value.type.rank)
    if lead:
        value = ix.ReshapeOp.build(value, lead + list(value.type.shape))
    inverse = sorted(range(len(order)), key=lambda axis: order[axis])
    return ix.TransposeOp.build(value, permutation=inverse)


def rebuilt(op: Any, operands: Sequence[ir.Value]) -> ir.Value:
    """The same op on other operands."""
    if isinstance(op, ix.CastOp):
        return ix.CastOp.build(operands[0], op.result.type.element_type)
    return type(op).create(list(operands), **op.python_attributes()).result


@pattern(*ELEMENTWISE)
def sink_reshape(op: Any) -> ir.Value | None:
    place, reshape = _mover(op, ix.ReshapeOp)
    if reshape is None or not _comes_from_product(reshape.result):
        return None
    others = [value for i, value in enumerate(op.operands) if i != place]
    if not all(_can_follow(other, reshape) for other in others):
        return None
    operands = [
        reshape.input if i == place else _following(value, reshape)
        for i, value in enumerate(op.operands)
    ]
    result = rebuilt(op, operands)
    return ix.ReshapeOp.build(result, join_sizes(reshape.shape, reshape.sizes))


def _comes_from_product(value: ir.Value, depth: int = _LONGEST_CHAIN) -> bool:
    """Whether elementwise ops and reshapes lead from a contraction to just here."""
    if not depth or not is_used_once(value):
        return False
    op = defining_op(value)
    if isinstance(op, ix.ReshapeOp):
        return _comes_from_product(op.input, depth - 1)
    if isinstance(op, ELEMENTWISE):
        return any(_comes_from_product(each, depth - 1) for each in op.operands)
    return isinstance(op, _PRODUCTS)


def _can_follow(value: ir.Value, reshape: ix.ReshapeOp) -> bool:
    """Whether an operand can have the shape before the reshape instead."""
    if _is_single(value) or _is_kept(value, reshape):
        return True
    if list(value.type.shape) == list(reshape.result.type.shape):
        own = defining_op(value, ix.ReshapeOp)
        if own is not None and own.input.type == reshape.input.type:
            return True
        # Two products whose shapes differ would push their reshapes to and fro.
        return not _comes_from_product(value)
    return is_constant(value) and _merged_axes(value, reshape) is not None


def _following(value: ir.Value, reshape: ix.ReshapeOp) -> ir.Value:
    """An operand for which `_can_follow` holds, as it is before the reshape."""
    if _is_single(value):
        return _scalar_like(value)
    if _is_kept(value, reshape):
        return value
    if list(value.type.shape) == list(reshape.result.type.shape):
        own = defining_op(value, ix.ReshapeOp)
        if own is not None and own.input.type == reshape.input.type:
            return own.input
        return ix.ReshapeOp.build(value, sizes_of(reshape.input))
    sizes = _merged_axes(value, reshape)
    assert sizes is not None
    return ix.ReshapeOp.build(ix.BroadcastOp.build(value, sizes), [math.prod(sizes)])


def _is_kept(value: ir.Value, reshape: ix.ReshapeOp) -> bool:
    """Whether the operand broadcasts along axes that the reshape leaves alone."""
    shape = list(value.type.shape)
    while shape and shape[0] == 1:
        shape = shape[1:]
    count = len(shape)
    inner, outer = list(reshape.input.type.shape), list(reshape.result.type.shape)
    return (
        value.type.rank <= len(inner)
        and inner[-count:] == outer[-count:]
        and DYNAMIC not in inner[-count:]
    )


def _merged_axes(value: ir.Value, reshape: ix.ReshapeOp) -> list[int] | None:
    """The last axes that the reshape has made of one, if they hold the operand's."""
    outer = list(reshape.result.type.shape)
    rank = reshape.input.type.rank
    wanted = reshape.input.type.shape[rank - 1] if rank else DYNAMIC
    for count in range(value.type.rank, len(outer) + 1):
        sizes = outer[len(outer) - count :]
        if DYNAMIC not in (*sizes, wanted) and math.prod(sizes) == wanted:
            return sizes
    return None


@pattern(ix.MatmulOp)
def absorb_transpose(op: ix.MatmulOp) -> ir.Value | None:
    flags = {"transpose_a": op.transpose_a, "transpose_b": op.transpose_b}
    operands = []
    for value, flag in ((op.a, "transpose_a"), (op.b, "transpose_b")):
        inner = defining_op(value, ix.TransposeOp)
        rank = value.type.rank
        swapped = [*range(rank - 2), rank - 1, rank - 2]
        if inner is not None and inner.permutation == swapped:
            value = inner.input
            flags[flag] = not flags[flag]
        operands.append(value)
    if operands == [op.a, op.b]:
        return None
    element = op.result.type.element_type
    return ix.MatmulOp.build(*operands, **flags, element_type=element)


cancel_movement = rewrite_pass(
    "ix-cancel-movement",
    [
        merge_transposes,
        reshape_single_axes,
        merge_reshapes,
        drop_broadcast,
        absorb_transpose,
        sink_transpose,
        sink_reshape,
    ],
)
