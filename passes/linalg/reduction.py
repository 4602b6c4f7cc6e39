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
    full,
    insert_unit_axes,
    reduce,
    scalar,
    size_of,
    sizes_of,
)
from ix.passes.linalg.projection import sweep
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
    """The extremum m, then the first (or last) place where x = m.

    Two sweeps, each of one reduction that runs in vectors, beat one sweep that keeps a
    pair. Where there is a NaN, m is NaN, and NaN is what is looked for.
    """
    (x,) = operands
    element = op.input.type.element_type
    combine = (greater_of if isinstance(op, ix.ArgmaxOp) else lesser_of)(element)
    type_ = extremum_accumulator(x.type.element_type)
    limit = lowest if isinstance(op, ix.ArgmaxOp) else highest
    initial = limit(type_, is_unsigned(element))
    best = fold(x, [op.axis], initial, combine, accumulator=type_)

    every = list(range(x.type.rank))
    rest = [axis for axis in every if axis != op.axis]
    sizes = sizes_of(x)
    place = _place_type(sizes[op.axis])
    none = -1 if op.select_last else 2 ** (place.width - 1) - 1
    closer: Any = arith.MaxSIOp if op.select_last else arith.MinSIOp

    def body(x: ir.Value, best: ir.Value, found: ir.Value) -> ir.Value:
        at = arith.IndexCastOp(place, linalg.IndexOp(op.axis).result).result
        hit = _equals(extend(x, type_), best)
        candidate = arith.SelectOp(hit, at, scalar(none, place)).result
        return closer(found, candidate).result

    kept = [sizes[axis] for axis in rest]
    start = full(kept, scalar(none, place))
    places = sweep([(x, every), (best, rest)], sizes, [op.axis], start, body)
    i64 = ir.IntegerType.get_signless(64)
    places = elementwise([places], i64, lambda at: extend(at, i64), kept)
    return insert_unit_axes(places, [op.axis]) if op.keepdims else places


def _place_type(size: Size) -> ir.Type:
    """i32 for an axis below 2³¹, as every dynamic one is: twice the lanes of i64."""
    is_long = isinstance(size, int) and size >= 2**31
    return ir.IntegerType.get_signless(64 if is_long else 32)


def _equals(x: ir.Value, best: ir.Value) -> ir.Value:
    """Whether an element is the extremum; a NaN is, for then the extremum is NaN."""
    if not is_float(x.type):
        return arith.CmpIOp(arith.CmpIPredicate.eq, x, best).result
    equal = arith.CmpFOp(arith.CmpFPredicate.OEQ, x, best).result
    is_nan = arith.CmpFOp(arith.CmpFPredicate.UNO, x, x).result
    return arith.OrIOp(equal, is_nan).result


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
