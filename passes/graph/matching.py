"""What recognisers ask about values: scalars, sole uses, constants, squares, means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.contraction import is_short_float
from ix.mlir import DYNAMIC, defining_op, ir

__all__ = [
    "aligned",
    "averaged",
    "bare",
    "behind",
    "close",
    "commuted",
    "consecutive_slices",
    "is_constant",
    "is_mean",
    "is_reduced",
    "is_square",
    "is_trailing",
    "is_used_once",
    "peeled",
    "scalar",
    "sizes_of",
    "sole_user",
    "squared",
]


def scalar(value: ir.Value) -> float | None:
    """The number that every element of a constant has, whatever its shape; or None."""
    op = defining_op(value)
    if isinstance(op, ix.ConstantOp):
        elements = op.attributes["value"]
        return float(elements.get_splat_value().value) if elements.is_splat else None
    if isinstance(op, ix.BroadcastOp | ix.ReshapeOp | ix.CastOp):
        return scalar(op.input)
    return None


def close(actual: float | None, wanted: float, element_type: ir.Type) -> bool:
    """Whether a constant is `wanted`, as far as models write its digits.

    Papers give five to seven digits; short floats keep two to three.
    """
    if actual is None:
        return False
    tolerance = 4e-3 if is_short_float(element_type) else 2e-5
    return math.isclose(actual, wanted, rel_tol=tolerance)


def commuted(op: Any) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Both orders of a binary op's operands."""
    yield op.a, op.b
    yield op.b, op.a


def is_used_once(value: ir.Value) -> bool:
    """Whether exactly one operand of one op reads the value."""
    uses = iter(value.uses)
    return next(uses, None) is not None and next(uses, None) is None


def sole_user(value: ir.Value) -> Any | None:
    """The op that alone reads the value, or None."""
    uses = iter(value.uses)
    first = next(uses, None)
    if first is None or next(uses, None) is not None:
        return None
    return first.owner.opview


def is_constant(value: ir.Value) -> bool:
    """Whether a value depends on parameters and constants alone.

    It looks at a limited number of ops, for activations may come from thousands.
    """
    pending = [value]
    for _ in range(_MOST_CONSTANT_OPS):
        op = defining_op(pending.pop())
        if not isinstance(op, ix.IxOp):
            return False
        pending += op.operands
        if not pending:
            return True
    return False


_MOST_CONSTANT_OPS = 100


def sizes_of(value: ir.Value) -> list[int | ir.Value]:
    """The size of each axis: an int, or the Value of an ix.dim."""
    return [
        ix.DimOp.build(value, axis=axis) if size == DYNAMIC else size
        for axis, size in enumerate(value.type.shape)
    ]


def consecutive_slices(
    value: ir.Value, axis: int, counts: Sequence[int]
) -> list[ir.Value]:
    """Slices of `counts` elements each, one after the other along an axis."""
    starts: list[int | ir.Value] = [0] * value.type.rank
    limits = sizes_of(value)
    parts = []
    at = 0
    for count in counts:
        starts[axis], limits[axis] = at, at + count
        parts.append(ix.SliceOp.build(value, starts=starts, limits=limits))
        at += count
    return parts


def bare(value: ir.Value) -> ir.Value:
    """The value before casts that keep every bit of a float."""
    op = defining_op(value, ix.CastOp)
    while op is not None and _is_widening(op):
        value = op.input
        op = defining_op(value, ix.CastOp)
    return value


def _is_widening(op: ix.CastOp) -> bool:
    source, target = op.input.type.element_type, op.result.type.element_type
    if not (isinstance(source, ir.FloatType) and isinstance(target, ir.FloatType)):
        return False
    return source.width < target.width


def behind(value: ir.Value, kind: type) -> Any | None:
    """The op of class `kind` that a value comes from by reshapes and broadcasts."""
    op = defining_op(value)
    while isinstance(op, ix.ReshapeOp | ix.BroadcastOp):
        op = defining_op(op.input)
    return op if isinstance(op, kind) else None


def squared(value: ir.Value) -> ir.Value | None:
    """x where the value is x · x or x to the power of 2; else None."""
    op = defining_op(value)
    if isinstance(op, ix.MulOp) and op.a == op.b:
        return op.a
    if isinstance(op, ix.PowOp) and scalar(op.b) == 2:
        return op.a
    return None


def is_square(value: ir.Value, of: ir.Value) -> bool:
    """Whether the value is the square of `of`."""
    base = squared(value)
    return base is not None and base == of


def aligned(value: ir.Value, like: ir.Value, axes: list[int]) -> ir.Value | None:
    """A value with size 1 at `axes` and otherwise the shape of `like`, or None.

    A broadcast to the full shape is left out.
    """
    shape = list(like.type.shape)
    op = defining_op(value, ix.BroadcastOp)
    if op is not None and list(value.type.shape) == shape:
        value = op.input
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    return value if list(value.type.shape) == kept else None


def peeled(value: ir.Value) -> ir.Value:
    """The value before reshapes."""
    op = defining_op(value, ix.ReshapeOp)
    while op is not None:
        value = op.input
        op = defining_op(value, ix.ReshapeOp)
    return value


def is_reduced(value: ir.Value, kind: type, input: ir.Value, axes: list[int]) -> bool:
    """Whether a value is a reduction of `input` over `axes`, aligned with it."""
    value = aligned(value, input, axes)
    return value is not None and _reduces(value, kind, input, axes)


def _reduces(value: ir.Value, kind: type, input: ir.Value, axes: list[int]) -> bool:
    op = defining_op(peeled(value), kind)
    return op is not None and op.input == input and op.axes == axes


def is_mean(value: ir.Value, input: ir.Value, axes: list[int]) -> bool:
    """Whether a value is the mean of `input` over `axes`, aligned with it."""
    value = aligned(value, input, axes)
    mean = None if value is None else averaged(value)
    return mean is not None and mean == (input, axes)


def averaged(value: ir.Value) -> tuple[ir.Value, list[int]] | None:
    """What a mean is taken of and over which axes, whatever its shape; or None."""
    op = defining_op(peeled(value))
    if isinstance(op, ix.ReduceMeanOp):
        return op.input, op.axes
    if not isinstance(op, ix.DivOp | ix.MulOp):
        return None
    for sum_, number in commuted(op) if isinstance(op, ix.MulOp) else [(op.a, op.b)]:
        total = defining_op(peeled(sum_), ix.ReduceSumOp)
        if total is None:
            continue
        sizes = [total.input.type.shape[axis] for axis in total.axes]
        count = math.prod(sizes)
        wanted = count if isinstance(op, ix.DivOp) else 1 / max(count, 1)
        if DYNAMIC not in sizes and close(
            scalar(number), wanted, op.result.type.element_type
        ):
            return total.input, total.axes
    return None


def is_trailing(value: ir.Value, shape: list[int], axis: int) -> bool:
    """Whether a tensor has the axes `shape[axis:]` and, before them, only size 1."""
    own = list(value.type.shape)
    lead = len(own) - (len(shape) - axis)
    return lead >= 0 and own[lead:] == list(shape[axis:]) and set(own[:lead]) <= {1}
