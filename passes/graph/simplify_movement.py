"""Rules of ix-simplify-algebra for ops that move or reduce nothing.

slice of everything, concat of one tensor, pad by 0, tile by 1, flip of no axis  →  x
slice(slice(x))                                             →  slice(x)
split into one part                                         →  x
reduction over no axis                                      →  x
reduce_sum, …_mean, …_max, …_min, …_prod over axes of size 1  →  reshape(x)
dim of a static axis                                        →  a constant
"""

from __future__ import annotations

from typing import Any

from ix.dialects import ix
from ix.dialects.ix.reduction import ReductionOp
from ix.mlir import DYNAMIC, arith, defining_op, ir
from ix.passes.framework import pattern
from ix.passes.graph.matching import sizes_of


@pattern(ix.SliceOp)
def drop_whole_slice(op: ix.SliceOp) -> ir.Value | None:
    whole = op.input.type == op.result.type and op.result.type.has_static_shape
    return op.input if whole and set(op.strides) <= {1} else None


@pattern(ix.SliceOp)
def merge_slices(op: ix.SliceOp) -> ir.Value | None:
    inner = defining_op(op.input, ix.SliceOp)
    bounds = None if inner is None else (*op.starts, *op.limits, *inner.starts)
    if inner is None or DYNAMIC in (*bounds, *inner.limits):
        return None
    starts, limits, strides = [], [], []
    for axis, stride in enumerate(inner.strides):
        first = inner.starts[axis] + op.starts[axis] * stride
        count = op.result.type.shape[axis]
        step = stride * op.strides[axis]
        starts.append(first)
        limits.append(first + (count - 1) * step + 1 if count else first)
        strides.append(step)
    return ix.SliceOp.build(inner.input, starts=starts, limits=limits, strides=strides)


@pattern(ix.ConcatOp)
def drop_concat_of_one(op: ix.ConcatOp) -> ir.Value | None:
    return op.input if len(list(op.operands)) == 1 else None


@pattern(ix.PadOp)
def drop_empty_padding(op: ix.PadOp) -> ir.Value | None:
    return None if any(op.low) or any(op.high) else op.input


@pattern(ix.TileOp)
def drop_single_tile(op: ix.TileOp) -> ir.Value | None:
    return op.input if set(op.repeats) <= {1} else None


@pattern(ix.FlipOp)
def drop_flip_of_nothing(op: ix.FlipOp) -> ir.Value | None:
    return None if op.axes else op.input


@pattern(ix.SplitOp)
def drop_split_into_one(op: ix.SplitOp) -> ir.Value | None:
    return op.input if len(op.sizes) == 1 else None


_KEEPING = (
    ix.ReduceSumOp,
    ix.ReduceMeanOp,
    ix.ReduceMaxOp,
    ix.ReduceMinOp,
    ix.ReduceProdOp,
)


@pattern(ReductionOp)
def drop_reduction_of_one(op: Any) -> ir.Value | None:
    if not op.axes:
        return op.input
    shape = list(op.input.type.shape)
    if not isinstance(op, _KEEPING) or any(shape[axis] != 1 for axis in op.axes):
        return None
    if op.keepdims:
        return op.input
    sizes = sizes_of(op.input)
    kept = [size for axis, size in enumerate(sizes) if axis not in op.axes]
    return ix.ReshapeOp.build(op.input, kept)


@pattern(ix.DimOp)
def fold_static_size(op: ix.DimOp) -> ir.Value | None:
    size = op.input.type.shape[op.axis]
    if size == DYNAMIC:
        return None
    return arith.ConstantOp(ir.IndexType.get(), size).result


MOVEMENT_PATTERNS = (
    drop_whole_slice,
    merge_slices,
    drop_concat_of_one,
    drop_empty_padding,
    drop_single_tile,
    drop_flip_of_nothing,
    drop_split_into_one,
    drop_reduction_of_one,
    fold_static_size,
)
