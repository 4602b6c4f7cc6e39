"""Reductions to linalg: one generic over a filled tensor, accumulating in f32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.shapes import is_float, is_unsigned
from ix.mlir import arith, ir, linalg
from ix.passes.linalg.accumulation import (
    accumulator_type,
    cast_back,
    highest,
    lowest,
    narrow,
)
from ix.passes.linalg.generic import (
    Lowered,
    Size,
    elementwise,
    extend,
    insert_unit_axes,
    reduce,
    scalar,
    size_of,
)
from ix.passes.linalg.sizes import as_number, product

Combine = Callable[[ir.Value, ir.Value], Any]


def fold(
    operand: ir.Value,
    axes: Sequence[int],
    initial: float | int,
    combine: Combine,
    *,
    accumulator: ir.Type | None = None,
) -> ir.Value:
    """Reduces axes to accumulators, without a cast back; no axes leave the tensor.

    Args:
        operand: The tensor.
        axes: Ascending.
        initial: The neutral value of `combine`.
        combine: (accumulator, element) → an op whose result is the new accumulator.
        accumulator: Its type; None is what the elements accumulate in.
    """
    element = operand.type.element_type
    type_ = accumulator_type(element) if accumulator is None else accumulator

    def body(x: ir.Value, total: ir.Value) -> ir.Value:
        return combine(total, extend(x, type_)).result

    if not axes:
        return elementwise([operand], type_, lambda x: extend(x, type_))
    return reduce([operand], axes, [scalar(initial, type_)], body)[0]


def lower_reduction(
    op: Any,
    operand: ir.Value,
    initial: float | int,
    combine: Combine,
    accumulator: ir.Type | None = None,
) -> Lowered:
    """A reduction whose result rounds once to the operand's element type."""
    if not op.axes:
        return operand
    total = fold(operand, op.axes, initial, combine, accumulator=accumulator)
    result = cast_back(total, operand.type.element_type, _kept_sizes(op, operand))
    return insert_unit_axes(result, op.axes) if op.keepdims else result


def _kept_sizes(op: Any, operand: ir.Value) -> list[Size]:
    """The sizes of the axes that are not reduced."""
    axes = range(operand.type.rank)
    return [size_of(operand, axis) for axis in axes if axis not in op.axes]


def lower_sum(op: ix.ReduceSumOp, operands: list[ir.Value]) -> Lowered:
    is_real = is_float(operands[0].type.element_type)
    combine = arith.AddFOp if is_real else arith.AddIOp
    return lower_reduction(op, operands[0], 0, combine)


def lower_prod(op: ix.ReduceProdOp, operands: list[ir.Value]) -> Lowered:
    is_real = is_float(operands[0].type.element_type)
    combine = arith.MulFOp if is_real else arith.MulIOp
    return lower_reduction(op, operands[0], 1, combine)


def lower_mean(op: ix.ReduceMeanOp, operands: list[ir.Value]) -> Lowered:
    (operand,) = operands
    element = operand.type.element_type
    if not op.axes:
        return operand
    total = fold(operand, op.axes, 0, arith.AddFOp)
    count = product(size_of(operand, axis) for axis in op.axes)
    divisor = as_number(count, total.type.element_type)
    result = elementwise(
        [total],
        element,
        lambda x: narrow(arith.DivFOp(x, divisor).result, element),
        _kept_sizes(op, operand),
    )
    return insert_unit_axes(result, op.axes) if op.keepdims else result


def extremum_accumulator(element_type: ir.Type) -> ir.Type:
    """What max and min compare in: f8 in f32, for no machine compares f8."""
    is_f8 = is_float(element_type) and ir.FloatType(element_type).width == 8
    return ir.F32Type.get() if is_f8 else element_type


def greater_of(element_type: ir.Type) -> Combine:
    """The op that takes the greater of two scalars; NaN propagates."""
    if is_float(element_type):
        return arith.MaximumFOp
    if is_unsigned(element_type):
        return arith.MaxUIOp
    return arith.OrIOp if element_type.width == 1 else arith.MaxSIOp


def lesser_of(element_type: ir.Type) -> Combine:
    """The op that takes the lesser of two scalars; NaN propagates."""
    if is_float(element_type):
        return arith.MinimumFOp
    if is_unsigned(element_type):
        return arith.MinUIOp
    return arith.AndIOp if element_type.width == 1 else arith.MinSIOp


def lower_max(op: ix.ReduceMaxOp, operands: list[ir.Value]) -> Lowered:
    element = op.input.type.element_type
    type_ = extremum_accumulator(operands[0].type.element_type)
    initial = lowest(type_, is_unsigned(element))
    return lower_reduction(op, operands[0], initial, greater_of(element), type_)


def lower_min(op: ix.ReduceMinOp, operands: list[ir.Value]) -> Lowered:
    element = op.input.type.element_type
    type_ = extremum_accumulator(operands[0].type.element_type)
    initial = highest(type_, is_unsigned(element))
    return lower_reduction(op, operands[0], initial, lesser_of(element), type_)


def lower_any(op: ix.ReduceAnyOp, operands: list[ir.Value]) -> Lowered:
    return lower_reduction(op, operands[0], False, arith.OrIOp)


def lower_all(op: ix.ReduceAllOp, operands: list[ir.Value]) -> Lowered:
    return lower_reduction(op, operands[0], True, arith.AndIOp)


def lower_arg_extremum(op: Any, operands: list[ir.Value]) -> Lowered:
    """One sweep that keeps the extremum and its place."""
    (operand,) = operands
    i64 = ir.IntegerType.get_signless(64)
    element = op.input.type.element_type
    type_ = extremum_accumulator(operand.type.element_type)
    is_max = isinstance(op, ix.ArgmaxOp)
    limit = (lowest if is_max else highest)(type_, is_unsigned(element))

    def body(x: ir.Value, best: ir.Value, place: ir.Value) -> list[ir.Value]:
        x = extend(x, type_)
        here = arith.IndexCastOp(i64, linalg.IndexOp(op.axis).result).result
        wins = _wins(x, best, is_max, op.select_last, is_unsigned(element))
        return [
            arith.SelectOp(wins, x, best).result,
            arith.SelectOp(wins, here, place).result,
        ]

    initials = [scalar(limit, type_), scalar(0, i64)]
    places = reduce([operand], [op.axis], initials, body)[1]
    return insert_unit_axes(places, [op.axis]) if op.keepdims else places


def _wins(
    x: ir.Value, best: ir.Value, is_max: bool, select_last: bool, unsigned: bool
) -> ir.Value:
    """Whether an element takes the place of the best one before it."""
    if not is_float(x.type):
        sign = "u" if unsigned or x.type.width == 1 else "s"
        name = sign + ("g" if is_max else "l") + ("e" if select_last else "t")
        return arith.CmpIOp(getattr(arith.CmpIPredicate, name), x, best).result
    # Unordered comparison lets NaN win; then only another NaN may win over NaN.
    name = ("UG" if is_max else "UL") + ("E" if select_last else "T")
    wins = arith.CmpFOp(getattr(arith.CmpFPredicate, name), x, best).result
    open_ = arith.CmpFOp(arith.CmpFPredicate.ORD, best, best).result
    if select_last:
        is_nan = arith.CmpFOp(arith.CmpFPredicate.UNO, x, x).result
        open_ = arith.OrIOp(open_, is_nan).result
    return arith.AndIOp(wins, open_).result


LOWERINGS = {
    ix.ReduceSumOp: lower_sum,
    ix.ReduceProdOp: lower_prod,
    ix.ReduceMeanOp: lower_mean,
    ix.ReduceMaxOp: lower_max,
    ix.ReduceMinOp: lower_min,
    ix.ReduceAnyOp: lower_any,
    ix.ReduceAllOp: lower_all,
    ix.ArgmaxOp: lower_arg_extremum,
    ix.ArgminOp: lower_arg_extremum,
}
"""Op class → (op, lowered operands) → result."""
