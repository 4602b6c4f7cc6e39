"""How programs spell the scores of attention: a product, scaled and masked.

scores = (q · kᵀ) · scale + mask, then softmax along the last axis. `find_scores` walks
from the softmax back to the product, whatever order and form the steps have:
scales multiply or divide, masks are added, subtracted or selected against a number
near −∞, and a rank-3 product may be viewed with two leading axes, or back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.shapes import join_sizes
from ix.mlir import DYNAMIC, defining_op, ir
from ix.passes.graph.matching import is_used_once, scalar, sizes_of

HIDDEN = -1e4
"""A score of this and less has no weight beside others: e^−1e4 is 0 in every format."""


@dataclass(frozen=True)
class Product:
    """A contraction over one axis with at most one free axis in each operand.

    Attributes:
        a, b: Operands.
        order_a, order_b: Axes of each: the batch axes, the free one, the summed one.
    """

    a: ir.Value
    b: ir.Value
    order_a: list[int]
    order_b: list[int]


@dataclass(frozen=True)
class Mask:
    """What one step hides.

    Attributes:
        value: i1 where `fill` is given, else what is added.
        keeps: Whether true keeps a score, or hides it.
        fill: The score of what is hidden.
        factor: By which later steps multiply what is added.
        rank: Of the scores at this step.
    """

    value: ir.Value
    keeps: bool = True
    fill: float | None = None
    factor: float = 1.0
    rank: int = 4


@dataclass
class Scores:
    """The parts of scores.

    Attributes:
        product: What is scaled and masked.
        rank: Of the product: 3, 4, or 5 with the heads in groups.
        scale: Of the product.
        masks: Outermost first.
        lead: The two leading sizes, where a reshape states them.
    """

    product: Product
    rank: int
    scale: float = 1.0
    masks: list[Mask] = field(default_factory=list)
    lead: list[int | ir.Value] | None = None


def product_of(value: ir.Value) -> Product | None:
    """A matmul or dot_general as a product, or None."""
    op = defining_op(value)
    if isinstance(op, ix.MatmulOp) and op.a.type.rank == op.b.type.rank:
        lead = list(range(op.a.type.rank - 2))
        m, n = len(lead), len(lead) + 1
        return Product(
            op.a,
            op.b,
            [*lead, n, m] if op.transpose_a else [*lead, m, n],
            [*lead, m, n] if op.transpose_b else [*lead, n, m],
        )
    if isinstance(op, ix.DotGeneralOp) and len(op.contract_a) == 1:
        orders = [
            [*batch, *_others(operand.type.rank, batch, contract), *contract]
            for operand, batch, contract in (
                (op.a, op.batch_a, op.contract_a),
                (op.b, op.batch_b, op.contract_b),
            )
        ]
        if all(len(order) == len(op.batch_a) + 2 for order in orders):
            return Product(op.a, op.b, *orders)
    return None


def _others(rank: int, batch: Sequence[int], contract: Sequence[int]) -> list[int]:
    return [axis for axis in range(rank) if axis not in (*batch, *contract)]


def find_scores(value: ir.Value, factor: float = 1.0) -> Scores | None:
    """The parts of the scores `value`, which nothing but the softmax reads.

    Args:
        factor: By which later steps multiply the value.
    """
    if not is_used_once(value) or value.type.rank not in (3, 4, 5):
        return None
    product = product_of(value)
    if product is not None:
        return Scores(product, value.type.rank, scale=factor)
    op = defining_op(value)
    for kind, step in _STEPS.items():
        if isinstance(op, kind):
            return step(op, factor)
    return None


def _through_cast(op: ix.CastOp, factor: float) -> Scores | None:
    types = (op.input.type.element_type, op.result.type.element_type)
    floats = all(isinstance(each, ir.FloatType) for each in types)
    return find_scores(op.input, factor) if floats else None


def _through_scale(op: ix.MulOp | ix.DivOp, factor: float) -> Scores | None:
    number = scalar(op.b)
    scores = op.a
    if number is None and isinstance(op, ix.MulOp):
        number, scores = scalar(op.a), op.b
    if not number or not math.isfinite(number):
        return None
    return find_scores(
        scores, factor * number if isinstance(op, ix.MulOp) else factor / number
    )


def _through_sum(op: ix.AddOp, factor: float) -> Scores | None:
    for scores, mask in ((op.a, op.b), (op.b, op.a)):
        found = _with_mask(op, scores, Mask(mask, factor=factor), factor)
        if found is not None:
            return found
    return None


def _through_difference(op: ix.SubOp, factor: float) -> Scores | None:
    return _with_mask(op, op.a, Mask(op.b, factor=-factor), factor)


def _through_select(op: ix.SelectOp, factor: float) -> Scores | None:
    for scores, other, keeps in ((op.a, op.b, True), (op.b, op.a, False)):
        fill = scalar(other)
        if fill is not None and fill * factor <= HIDDEN:
            mask = Mask(op.condition, keeps, fill * factor)
            return _with_mask(op, scores, mask, factor)
    return None


def _with_mask(op: Any, value: ir.Value, mask: Mask, factor: float) -> Scores | None:
    """The scores `value` with one more mask, unless the mask makes them larger."""
    if list(value.type.shape) != list(op.result.type.shape):
        return None
    found = find_scores(value, factor)
    if found is not None:
        rank = value.type.rank
        found.masks.insert(
            0, Mask(mask.value, mask.keeps, mask.fill, mask.factor, rank)
        )
    return found


def _through_reshape(op: ix.ReshapeOp, factor: float) -> Scores | None:
    """Through a view of [n, s, t] as [b, h, s, t], or back."""
    inner, outer = list(op.input.type.shape), list(op.result.type.shape)
    if sorted([len(inner), len(outer)]) != [3, 4] or inner[-2:] != outer[-2:]:
        return None
    if DYNAMIC in inner[-2:] and DYNAMIC in (*inner[:-2], *outer[:-2]):
        return None
    found = find_scores(op.input, factor)
    if found is not None and len(outer) == 4 and found.lead is None:
        found.lead = join_sizes(op.shape, op.sizes)[:2]
    return found


_STEPS = {
    ix.CastOp: _through_cast,
    ix.MulOp: _through_scale,
    ix.DivOp: _through_scale,
    ix.AddOp: _through_sum,
    ix.SubOp: _through_difference,
    ix.SelectOp: _through_select,
    ix.ReshapeOp: _through_reshape,
}


def joined_masks(
    masks: Sequence[Mask], lead: Sequence[int | ir.Value], element_type: ir.Type
) -> ir.Value | None:
    """One mask for `ix.attention` out of several, or None for none.

    Where everything hidden has the score −∞, the mask is of i1; else it is added. A
    score that is replaced by a number ≤ −1e4 then differs from that number by far less
    than it lies below the others.

    Args:
        lead: Sizes of the batch and head axes of the scores.
        element_type: Of the queries.
    """
    if all(mask.fill == -math.inf for mask in masks):
        flags = [_aligned(_keeping(mask), mask.rank, lead) for mask in masks]
        return _folded(ix.AndOp, flags)
    parts = [_aligned(_addend(mask, element_type), mask.rank, lead) for mask in masks]
    return _folded(ix.AddOp, parts)


def _folded(op: Any, values: Sequence[ir.Value]) -> ir.Value | None:
    result = None
    for value in values:
        result = value if result is None else op.build(result, value)
    return result


def _keeping(mask: Mask) -> ir.Value:
    return mask.value if mask.keeps else ix.LogicalNotOp.build(mask.value)


def _addend(mask: Mask, element_type: ir.Type) -> ir.Value:
    """What the mask adds, in the queries' type."""
    value = mask.value
    name = str(element_type)
    if mask.fill is not None:
        zero = ix.ConstantOp.build(0, name)
        fill = ix.ConstantOp.build(max(mask.fill, _lowest(element_type)), name)
        both = (zero, fill) if mask.keeps else (fill, zero)
        return ix.SelectOp.build(value, *both)
    own = value.type.element_type
    if mask.factor != 1:
        value = ix.MulOp.build(value, ix.ConstantOp.build(mask.factor, str(own)))
    if own == element_type:
        return value
    if ir.FloatType(own).width > ir.FloatType(element_type).width:
        lowest = ix.ConstantOp.build(_lowest(element_type), str(own))
        value = ix.MaxOp.build(value, lowest)
    return ix.CastOp.build(value, name)


def _lowest(element_type: ir.Type) -> float:
    """The most negative number of the type; −∞ stays out, where rows would be empty."""
    return -65504.0 if str(element_type) == "f16" else -3.3e38


def _aligned(value: ir.Value, rank: int, lead: Sequence[int | ir.Value]) -> ir.Value:
    """A mask of scores of some rank as one of scores [b, h, s, t]."""
    shape = list(value.type.shape)
    if rank == 4 or len(shape) < 3:
        return value
    sizes = sizes_of(value)
    if rank == 5:  # the same for all heads
        front = [sizes[0], 1] if len(shape) == 5 else [1, 1]
        return ix.ReshapeOp.build(value, [*front, *sizes[-2:]])
    front = [1, 1] if shape[0] == 1 else list(lead)
    return ix.ReshapeOp.build(value, [*front, *sizes[1:]])


def is_same_for_heads(mask: Mask) -> bool:
    """Whether a mask of scores [b, g, r, s, t] does not vary with g and r."""
    shape = list(mask.value.type.shape)
    return set(shape[-4:-2]) <= {1}
