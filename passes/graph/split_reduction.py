"""ix-split-reduction: a large reduction to few elements in pieces, for many threads.

sum(x[n, k])                →  sum(sum(x, last axis))             n pieces
sum(x[n])                   →  sum(sum(x as [64, n/64], last axis))
sum(x[n]), n no multiple    →  sum(x[…m] in pieces) + sum(x[m…])
mean(x)                     →  sum(x) / n
argmax(x[n])                →  p · n/64 + argmax(piece p), p = argmax(max of each piece)

How a reduction is cut depends on shapes alone, so the result is the same on any number
of threads. Elementwise ops in front go along: they are computed where they are read.
A GPU has rules of its own for long rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.contraction import is_short_float
from ix.dialects.ix.reduction import ArgExtremumOp, ReductionOp
from ix.mlir import defining_op, ir, op_key
from ix.passes.framework import apply_patterns, module_pass, pattern
from ix.passes.graph.cancel_movement import ELEMENTWISE, rebuilt
from ix.target import Target

FEWEST_ELEMENTS = 1 << 16
"""Smaller inputs are reduced before another thread has woken up."""

PIECES = 16
"""At least as many as a kernel is handed out in."""

MOST_PIECES = 4096

SHORTEST_PIECE = 1024
"""Elements: a piece's vectors are combined once at its end."""

_FOLDS: dict[type, type] = {
    ix.ReduceSumOp: ix.AddOp,
    ix.ReduceProdOp: ix.MulOp,
    ix.ReduceMaxOp: ix.MaxOp,
    ix.ReduceMinOp: ix.MinOp,
    ix.ReduceAnyOp: ix.OrOp,
    ix.ReduceAllOp: ix.AndOp,
}


@dataclass(frozen=True)
class Cut:
    """How an axis is cut: the first `pieces · length` elements; the rest is left over.

    One piece leaves the axis whole: those in front of it are pieces enough.
    """

    axis: int
    pieces: int
    length: int


@module_pass("ix-split-reduction")
def split_reduction(module: Any) -> None:
    """Cuts large reductions to few elements into pieces that run in parallel."""
    if _is_for_gpu(module):
        return
    apply_patterns(module, [split_sums, split_means, split_places])


def _is_for_gpu(module: Any) -> bool:
    attributes = module.operation.attributes
    if "ix.target" not in attributes:
        return False
    return Target.parse(ir.StringAttr(attributes["ix.target"]).value).kind == "cuda"


@pattern(*_FOLDS)
def split_sums(op: Any) -> ir.Value | None:
    shape = list(op.input.type.shape)
    cut = _cut_of(shape, op.axes) if _is_large(shape) else None
    if cut is None:
        return None
    element = op.input.type.element_type
    source = op.input
    if is_short_float(element) and isinstance(op, ix.ReduceSumOp | ix.ReduceProdOp):
        source = ix.CastOp.build(source, ir.F32Type.get())  # it is rounded once
    result = _folded(op, source, cut)
    if result.type.element_type != element:
        result = ix.CastOp.build(result, element)
    return _in_shape(result, op.result.type.shape)


@pattern(ix.ReduceMeanOp)
def split_means(op: ix.ReduceMeanOp) -> ir.Value | None:
    shape = list(op.input.type.shape)
    element = op.input.type.element_type
    if not _is_large(shape) or _cut_of(shape, op.axes) is None:
        return None
    short = is_short_float(element)
    source = ix.CastOp.build(op.input, ir.F32Type.get()) if short else op.input
    total = ix.ReduceSumOp.build(source, axes=op.axes, keepdims=op.keepdims)
    count = math.prod(shape[axis] for axis in op.axes)
    divisor = ix.ConstantOp.build(count, str(total.type.element_type))
    mean = ix.DivOp.build(total, divisor)
    return ix.CastOp.build(mean, element) if short else mean


@pattern(ix.ArgmaxOp, ix.ArgminOp)
def split_places(op: ArgExtremumOp) -> ir.Value | None:
    """Of equal elements the first piece's first counts, or the last piece's last."""
    shape = list(op.input.type.shape)
    axis = op.axis
    if not _is_large(shape) or math.prod(shape) != shape[axis]:
        return None
    cut = _cut_of(shape, [axis])
    if cut is None:
        return None
    best: Any = ix.ReduceMaxOp if isinstance(op, ix.ArgmaxOp) else ix.ReduceMinOp
    tree = _Tree(op, op.input, cut)

    def found(line: ir.Value) -> ir.Value:
        flat = _in_shape(line, [math.prod(line.type.shape)])
        return _value(type(op).build(flat, axis=0, select_last=op.select_last))

    every = list(range(len(shape)))
    in_piece = [a for a in range(len(shape) + 1) if a != cut.axis]
    bests = best.build(tree.in_pieces(), axes=in_piece)
    winner = found(bests)
    start = ix.MulOp.build(winner, ix.ConstantOp.build(cut.length, "i64"))
    place = ix.AddOp.build(start, found(tree.piece(winner)))
    rest = tree.left_over()
    if rest is not None:
        start = ix.ConstantOp.build(tree.done, "i64")
        places = _pair(place, ix.AddOp.build(start, found(rest)))
        values = _pair(best.build(bests, axes=[0]), best.build(rest, axes=every))
        place = ix.GatherOp.build(places, found(values), axis=0)
    return _in_shape(place, op.result.type.shape)


def _is_large(shape: Sequence[int]) -> bool:
    return all(size > 0 for size in shape) and math.prod(shape) >= FEWEST_ELEMENTS


def _cut_of(shape: Sequence[int], axes: Sequence[int]) -> Cut | None:
    """Where to cut a reduction that has fewer than `PIECES` independent parts."""
    rank = len(shape)
    first = rank  # of the reduced axes at the end
    while first and first - 1 in axes:
        first -= 1
    if first == rank:
        return _column_cut(shape, axes)
    rows = math.prod(shape[:first])
    if rows >= PIECES or len(axes) != rank - first:
        return None
    for axis in range(first + 1, rank):
        rows, rest = math.prod(shape[:axis]), math.prod(shape[axis:])
        if PIECES <= rows <= MOST_PIECES and rest >= SHORTEST_PIECE:
            return Cut(axis, 1, shape[axis])
    for axis in range(first, rank):
        rest = math.prod(shape[axis:])
        least = -(-PIECES // math.prod(shape[:axis]))
        for pieces in range(4 * least, max(least, 2) - 1, -1):
            if shape[axis] % pieces == 0 and rest // pieces >= SHORTEST_PIECE:
                return Cut(axis, pieces, shape[axis] // pieces)
    if shape[first] >= PIECES:
        return Cut(first, PIECES, shape[first] // PIECES)
    return None


def _column_cut(shape: Sequence[int], axes: Sequence[int]) -> Cut | None:
    """Of sums over leading axes: kernels run along rows of the last axis."""
    kept = math.prod(size for axis, size in enumerate(shape[:-1]) if axis not in axes)
    if list(axes) != list(range(len(axes))) or kept >= PIECES:
        return None
    for pieces in range(4 * PIECES, PIECES - 1, -1):
        if shape[0] % pieces == 0 and shape[0] > pieces:
            return Cut(0, pieces, shape[0] // pieces)
    if shape[0] < 2 * PIECES:
        return None
    return Cut(0, PIECES, shape[0] // PIECES)


def _folded(op: ReductionOp, source: ir.Value, cut: Cut) -> ir.Value:
    """The reduction of a source in two steps, and what the cut leaves over."""
    kind: Any = type(op)
    outer = [axis for axis in op.axes if axis < cut.axis]
    inner = [axis for axis in op.axes if axis >= cut.axis]
    if cut.pieces == 1:
        return _value(kind.build(kind.build(source, axes=inner), axes=outer))
    tree = _Tree(op, source, cut)
    some = kind.build(tree.in_pieces(), axes=[axis + 1 for axis in inner])
    result = kind.build(some, axes=[*outer, cut.axis])
    rest = tree.left_over()
    if rest is not None:
        fold: Any = _FOLDS[kind]
        result = fold.build(result, kind.build(rest, axes=op.axes))
    return _value(result)


class _Tree:
    """The elementwise ops that compute the source of a reduction, and nothing else."""

    def __init__(self, op: Any, source: ir.Value, cut: Cut) -> None:
        self.source, self.cut = source, cut
        self.done = cut.pieces * cut.length
        self.members = _sole_producers(op, source)

    def in_pieces(self) -> ir.Value:
        """The source with the axis in two: the pieces, and the elements of one."""
        return self._again(self.source, self._cut, {})

    def piece(self, number: ir.Value) -> ir.Value:
        """One piece of the source, without the axis of the pieces."""

        def leaf(value: ir.Value) -> ir.Value:
            axis, cut = self._axis(value), self._cut(value)
            if axis is None:
                return value
            if cut.type.shape[axis] == 1:
                shape = list(cut.type.shape)
                return _in_shape(cut, shape[:axis] + shape[axis + 1 :])
            return _value(ix.GatherOp.build(cut, number, axis=axis))

        return self._again(self.source, leaf, {})

    def left_over(self) -> ir.Value | None:
        """What of the source lies behind the pieces, or None."""
        if self.done == self.source.type.shape[self.cut.axis]:
            return None
        return self._again(self.source, lambda v: self._sliced(v, behind=True), {})

    def _again(
        self,
        value: ir.Value,
        leaf: Callable[[ir.Value], ir.Value],
        known: dict[ir.Value, ir.Value],
    ) -> ir.Value:
        """The value computed from other leaves."""
        if value not in known:
            op = self.members.get(value)
            if op is None:
                known[value] = leaf(value)
            else:
                operands = [self._again(each, leaf, known) for each in op.operands]
                known[value] = rebuilt(op, operands)
        return known[value]

    def _axis(self, value: ir.Value) -> int | None:
        """The axis of an operand that is cut, if it has it."""
        axis = self.cut.axis - (self.source.type.rank - value.type.rank)
        return axis if axis >= 0 else None

    def _cut(self, value: ir.Value) -> ir.Value:
        axis = self._axis(value)
        if axis is None:
            return value
        shape = list(value.type.shape)
        parts = [1, 1] if shape[axis] == 1 else [self.cut.pieces, self.cut.length]
        shape[axis : axis + 1] = parts
        return ix.ReshapeOp.build(self._sliced(value, behind=False), shape)

    def _sliced(self, value: ir.Value, *, behind: bool) -> ir.Value:
        """The part of an operand in the pieces, or behind them."""
        axis = self._axis(value)
        if axis is None or value.type.shape[axis] in (1, 0 if behind else self.done):
            return value
        starts, limits = [0] * value.type.rank, list(value.type.shape)
        if behind:
            starts[axis] = self.done
        else:
            limits[axis] = self.done
        return ix.SliceOp.build(value, starts=starts, limits=limits)


def _sole_producers(op: Any, source: ir.Value) -> dict[ir.Value, Any]:
    """Elementwise ops that `source` comes from and no op but these and `op` reads."""
    inside = {op_key(op)}
    members: dict[ir.Value, Any] = {}
    pending = [source]
    while pending:
        value = pending.pop()
        producer = defining_op(value)
        if value in members or not isinstance(producer, ELEMENTWISE):
            continue
        if all(op_key(use.owner) in inside for use in value.uses):
            members[value] = producer
            inside.add(op_key(producer))
            # One that others read may have been met before its last reader.
            pending += [each for member in members.values() for each in member.operands]
    return members


def _value(result: Any) -> ir.Value:
    assert isinstance(result, ir.Value)
    return result


def _pair(first: ir.Value, second: ir.Value) -> ir.Value:
    """Two scalars as a tensor."""
    lines = [ix.ReshapeOp.build(each, [1]) for each in (first, second)]
    return _value(ix.ConcatOp.build(lines, axis=0))


def _in_shape(value: ir.Value, shape: Sequence[int]) -> ir.Value:
    if list(value.type.shape) == list(shape):
        return value
    return ix.ReshapeOp.build(value, list(shape))
