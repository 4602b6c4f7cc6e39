"""Axes of images: N, C, spatial (channels first) and N, spatial, C (channels last).

`sinking` gives, for an op that reads transpose(x) with channels first, the same op on x
with channels last and a transpose of its result. A pass applies it until transposes
meet the ones before the next convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.reduction import ReductionOp
from ix.dialects.ix.shapes import join_sizes
from ix.mlir import DYNAMIC, defining_op, ir
from ix.passes.graph.cancel_movement import ELEMENTWISE
from ix.passes.graph.matching import is_constant, sizes_of


def to_first(rank: int) -> list[int]:
    """The permutation that moves the last axis to place 1."""
    return [0, rank - 1, *range(1, rank - 1)]


def to_last(rank: int) -> list[int]:
    """The permutation that moves axis 1 to the end."""
    return [0, *range(2, rank), 1]


def place_in_last(axis: int, rank: int) -> int:
    """Where an axis of channels first is with channels last."""
    return to_last(rank).index(axis)


def channels_last(value: ir.Value, rank: int | None = None) -> ir.Value:
    """The tensor with channels last, after axes of size 1 in front up to `rank`."""
    known = before_transpose(value)
    if known is not None and rank in (None, value.type.rank):
        return known
    missing = 0 if rank is None else rank - value.type.rank
    if missing:
        value = ix.ReshapeOp.build(value, [1] * missing + sizes_of(value))
    return ix.TransposeOp.build(value, permutation=to_last(value.type.rank))


def channels_first(value: ir.Value) -> ir.Value:
    """The tensor with channels at place 1."""
    return ix.TransposeOp.build(value, permutation=to_first(value.type.rank))


def before_transpose(value: ir.Value) -> ir.Value | None:
    """x with channels last where the value is transpose(x) with channels first."""
    op = defining_op(value, ix.TransposeOp)
    rank = value.type.rank
    if op is None or rank < 3 or op.permutation != to_first(rank):
        return None
    return None if _undoes_itself(rank) and is_constant(op.input) else op.input


def _undoes_itself(rank: int) -> bool:
    """Whether channels first and channels last are one permutation."""
    return to_first(rank) == to_last(rank)


def _can_move(values: Sequence[ir.Value]) -> bool:
    """Whether putting channels last in all operands comes to an end.

    With one spatial axis, a transpose that is put on one operand looks like the one
    that another operand loses, and would be moved back.
    """
    return all(
        not _undoes_itself(value.type.rank)
        or before_transpose(value) is not None
        or is_constant(value)
        for value in values
    )


def sinking(op: Any) -> ir.Value | None:
    """The result of an op as a transpose of the same op on channels last, or None."""
    for kind, rule in _RULES.items():
        if isinstance(op, kind):
            return rule(op)
    return None


def _sink_elementwise(op: Any) -> ir.Value | None:
    result = op.results[0].type
    if not any(
        before_transpose(value) is not None and value.type.shape == result.shape
        for value in op.operands
    ):
        return None
    if not _can_move(op.operands):
        return None
    operands = [
        value if value.type.rank == 0 else channels_last(value, result.rank)
        for value in op.operands
    ]
    if isinstance(op, ix.CastOp):
        return channels_first(ix.CastOp.build(operands[0], result.element_type))
    return channels_first(_again(op, operands))


def _again(op: Any, operands: Sequence[ir.Value], **changed: Any) -> ir.Value:
    """The same op on other operands, with some attributes changed."""
    attributes = {**op.python_attributes(), **changed}
    return type(op).create(list(operands), **attributes).results[0]


def _sink_pool(op: Any) -> ir.Value | None:
    x = before_transpose(op.input)
    if x is None or op.layout != "NCHW":
        return None
    return channels_first(_again(op, [x], layout="NHWC"))


def _sink_axis(op: Any) -> ir.Value | None:
    """Softmax and running totals: the result has the input's shape."""
    x = before_transpose(op.input)
    if x is None:
        return None
    axis = place_in_last(op.axis, x.type.rank)
    return channels_first(_again(op, [x, *list(op.operands)[1:]], axis=axis))


def _sink_concat(op: ix.ConcatOp) -> ir.Value | None:
    inputs = op.inputs
    known = [value for value in inputs if before_transpose(value) is not None]
    if 2 * len(known) < len(inputs) or not _can_move(inputs):
        return None
    axis = place_in_last(op.axis, op.result.type.rank)
    joined = ix.ConcatOp.build([channels_last(value) for value in inputs], axis=axis)
    return channels_first(joined)


def _sink_reduction(op: Any) -> ir.Value | None:
    x = before_transpose(op.input)
    if x is None:
        return None
    rank = x.type.rank
    if isinstance(op, ix.ArgmaxOp | ix.ArgminOp):
        gone = [op.axis]
        reduced = _again(op, [x], axis=place_in_last(op.axis, rank))
    else:
        gone = op.axes
        axes = sorted(place_in_last(axis, rank) for axis in gone)
        reduced = _again(op, [x], axes=axes)
    if op.keepdims:
        return channels_first(reduced)
    kept = [place_in_last(axis, rank) for axis in range(rank) if axis not in gone]
    order = [sorted(kept).index(place) for place in kept]
    if order == sorted(order):
        return reduced
    return ix.TransposeOp.build(reduced, permutation=order)


def _sink_pad(op: ix.PadOp) -> ir.Value | None:
    x = before_transpose(op.input)
    if x is None:
        return None
    order = to_last(x.type.rank)
    low, high = ([each[axis] for axis in order] for each in (op.low, op.high))
    return channels_first(_again(op, [x, op.value], low=low, high=high))


def _sink_slice(op: ix.SliceOp) -> ir.Value | None:
    x = before_transpose(op.input)
    if x is None:
        return None
    bounds = list(op.bounds)
    count = op.starts.count(DYNAMIC)
    starts = join_sizes(op.starts, bounds[:count])
    limits = join_sizes(op.limits, bounds[count:])
    order = to_last(x.type.rank)
    part = ix.SliceOp.build(
        x,
        starts=[starts[axis] for axis in order],
        limits=[limits[axis] for axis in order],
        strides=[op.strides[axis] for axis in order],
    )
    return channels_first(part)


def _sink_resize(op: ix.ResizeOp) -> ir.Value | None:
    x = before_transpose(op.input)
    if x is None:
        return None
    order = to_last(x.type.rank)
    sizes = join_sizes(op.shape, op.sizes)
    sizes = [sizes[axis] for axis in order]
    attributes = op.python_attributes()
    attributes["shape"] = [op.shape[axis] for axis in order]
    attributes["scales"] = [op.scales[axis] for axis in order]
    operands = [x, *(size for size in sizes if isinstance(size, ir.Value))]
    return channels_first(ix.ResizeOp.create(operands, **attributes).result)


def _sink_batch_norm(op: ix.BatchNormOp) -> ir.Value | None:
    x = before_transpose(op.input)
    if x is None:
        return None
    axis = place_in_last(op.axis, x.type.rank)
    return channels_first(_again(op, [x, *list(op.operands)[1:]], axis=axis))


def _sink_flattening(op: ix.ReshapeOp) -> ir.Value | None:
    """[n, c, spatial…] as [n, c, positions]."""
    x = before_transpose(op.input)
    inner, outer = list(op.input.type.shape), list(op.result.type.shape)
    if x is None or len(outer) != 3 or len(inner) < 4 or inner[:2] != outer[:2]:
        return None
    if inner.count(DYNAMIC) - inner[:1].count(DYNAMIC):
        return None
    batch, channels, positions = join_sizes(op.shape, op.sizes)
    return channels_first(ix.ReshapeOp.build(x, [batch, positions, channels]))


_RULES: dict[Any, Callable[[Any], ir.Value | None]] = {
    ELEMENTWISE: _sink_elementwise,
    (ix.MaxPoolOp, ix.AvgPoolOp): _sink_pool,
    (ix.SoftmaxOp, ix.LogSoftmaxOp, ix.CumsumOp, ix.CumprodOp): _sink_axis,
    (ReductionOp, ix.ArgmaxOp, ix.ArgminOp): _sink_reduction,
    ix.ConcatOp: _sink_concat,
    ix.PadOp: _sink_pad,
    ix.SliceOp: _sink_slice,
    ix.ResizeOp: _sink_resize,
    ix.BatchNormOp: _sink_batch_norm,
    ix.ReshapeOp: _sink_flattening,
}

SINKING = (
    *ELEMENTWISE,
    ix.MaxPoolOp,
    ix.AvgPoolOp,
    ix.SoftmaxOp,
    ix.LogSoftmaxOp,
    ix.CumsumOp,
    ix.CumprodOp,
    ReductionOp,
    ix.ArgmaxOp,
    ix.ArgminOp,
    ix.ConcatOp,
    ix.PadOp,
    ix.SliceOp,
    ix.ResizeOp,
    ix.BatchNormOp,
    ix.ReshapeOp,
)
