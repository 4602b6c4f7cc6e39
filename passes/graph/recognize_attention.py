"""ix-recognize-attention: softmax(q · kᵀ · scale + mask) · v as one op.

matmul(softmax(add(mul(matmul(q, transpose(k)), scale), mask)), v)
    →  attention(q, k, v, mask) {scale}

`scores.py` says which forms of scores count. Products are matmul or dot_general, of
rank 4, of rank 3 with the heads in the batch, or of rank 5 with query heads in groups
that share keys. Heads of keys and values that
are repeated for the queries are shared instead. Whatever else reads the scores or the
weights keeps them from being recognised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ix.dialects import ix
from ix.mlir import DYNAMIC, defining_op, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import is_used_once, scalar, sizes_of
from ix.passes.graph.scores import (
    Product,
    Scores,
    find_scores,
    is_same_for_heads,
    joined_masks,
    product_of,
)

Size = Any
"""An int, or the index value of a dynamic size."""


@pattern(ix.MatmulOp, ix.DotGeneralOp)
def recognize(op: ix.MatmulOp | ix.DotGeneralOp) -> ir.Value | None:
    product = product_of(op.result)
    if product is None or product.order_a != list(range(op.a.type.rank)):
        return None
    scores = _scores_of(product.a)
    if scores is None or not _fits(scores, product, op.result.type.element_type):
        return None
    return _attention(op, scores, product)


def _scores_of(weights: ir.Value) -> Scores | None:
    """The scores behind weights of rank 3 or 4 that only the product with v reads."""
    value: ir.Value | None = weights if is_used_once(weights) else None
    guarded = _before_guard(weights)
    value = value if guarded is None else guarded
    while value is not None:
        op = defining_op(value)
        if isinstance(op, ix.SoftmaxOp):
            last = op.axis == value.type.rank - 1
            return find_scores(op.input) if last else None
        value = _before_step(op)
        if value is not None and not is_used_once(value):
            return None
    return None


def _before_guard(weights: ir.Value) -> ir.Value | None:
    """w where the weights are select(isnan(w), 0, w): 0 in a row that sees nothing."""
    op = defining_op(weights, ix.SelectOp)
    test = None if op is None else defining_op(op.condition, ix.IsnanOp)
    if test is None or test.input != op.b or scalar(op.a) != 0:
        return None
    alone = is_used_once(weights) and is_used_once(op.condition)
    return op.b if alone and len(list(op.b.uses)) == 2 else None


def _before_step(op: Any) -> ir.Value | None:
    """What a cast between floats, or a view of the leading axes, is computed from."""
    if isinstance(op, ix.CastOp):
        floats = isinstance(op.input.type.element_type, ir.FloatType)
        return op.input if floats else None
    if isinstance(op, ix.ReshapeOp):
        inner, outer = list(op.input.type.shape), list(op.result.type.shape)
        unclear = DYNAMIC in (*inner[:-2], *outer[:-2]) and DYNAMIC in inner[-2:]
        return op.input if inner[-2:] == outer[-2:] and not unclear else None
    return None


def _fits(scores: Scores, output: Product, element_type: ir.Type) -> bool:
    """Whether all parts have one element type, and batches that are just equal."""
    product = scores.product
    for operand in (product.a, product.b, output.b):
        if operand.type.element_type != element_type:
            return False
    q = _shape(product.a, product.order_a)
    k = _shape(product.b, product.order_b)
    v = _shape(output.b, output.order_b)
    if 0 in (*q[:-2], *k[:-2]):  # the op needs a head
        return False
    if len(q) == 4 and DYNAMIC in (q[1], k[1]):  # … and to know how many
        return False
    if 5 in (len(q), len(v)):
        return _fits_in_groups(scores, q, k, v)
    if 3 in (len(q), len(v)):  # the leading axes are viewed in two ways, or as one
        return q[:-2] == k[:-2]
    return q[0] == k[0] == v[0] and k[1] == v[1] and k[1] in (1, q[1])


def _fits_in_groups(scores: Scores, q: list[int], k: list[int], v: list[int]) -> bool:
    """Whether q[b, g, r, …] reads k[b, g, 1, …] and v[b, g, 1, …]."""
    return (
        len(q) == len(v)
        and q[:2] == k[:2] == v[:2]
        and k[2] == v[2] == 1
        and DYNAMIC not in q[1:3]
        and all(map(is_same_for_heads, scores.masks))
    )


def _shape(value: ir.Value, order: Sequence[int]) -> list[int]:
    return [value.type.shape[axis] for axis in order]


def _attention(op: Any, scores: Scores, output: Product) -> ir.Value:
    """Builds the op, and views of its operands and result where they have rank 3."""
    q, factor_q = _ordered(scores.product.a, scores.product.order_a)
    k, factor_k = _ordered(scores.product.b, scores.product.order_b)
    *batch, width, rows = output.order_b
    v = _transposed(output.b, [*batch, rows, width])
    sizes = [*sizes_of(q if q.type.rank == 5 else v)[:-2]]
    sizes += [sizes_of(q)[-2], sizes_of(v)[-1]]
    lead = _lead(scores, q, v)
    q, k, v = (_viewed(each, lead) for each in (q, k, v))
    k, v = _shared(k, v)
    mask = joined_masks(scores.masks, lead, q.type.element_type)
    scale = scores.scale * factor_q * factor_k
    result = ix.AttentionOp.build(q, k, v, mask, scale=scale)
    return result if op.result.type.rank == 4 else ix.ReshapeOp.build(result, sizes)


def _lead(scores: Scores, q: ir.Value, v: ir.Value) -> list[Size]:
    """The sizes of the batch and head axes."""
    if q.type.rank == 5:
        return [sizes_of(q)[0], q.type.shape[1] * q.type.shape[2]]
    if q.type.rank == 4:
        return sizes_of(q)[:2]
    if v.type.rank == 4:
        return sizes_of(v)[:2]
    return scores.lead or [sizes_of(q)[0], 1]


def _ordered(value: ir.Value, order: Sequence[int]) -> tuple[ir.Value, float]:
    """The value with its axes in order, and the number it was multiplied by."""
    factor = 1.0
    op = defining_op(value)
    while isinstance(op, ix.TransposeOp | ix.MulOp | ix.DivOp):
        if isinstance(op, ix.TransposeOp):
            order = [op.permutation[axis] for axis in order]
            value = op.input
        else:
            number = scalar(op.b)
            if not number or op.a.type != op.result.type:
                break
            factor *= number if isinstance(op, ix.MulOp) else 1 / number
            value = op.a
        op = defining_op(value)
    return _transposed(value, order), factor


def _transposed(value: ir.Value, order: Sequence[int]) -> ir.Value:
    if list(order) == sorted(order):
        return value
    return ix.TransposeOp.build(value, permutation=order)


def _viewed(value: ir.Value, lead: Sequence[Size]) -> ir.Value:
    """A tensor [n, s, d], or [b, g, r, s, d], as [b, h, s, d]."""
    rank = value.type.rank
    if rank == 4:
        return value
    sizes = sizes_of(value)
    front = list(lead) if rank == 3 else [lead[0], math.prod(value.type.shape[1:3])]
    return ix.ReshapeOp.build(value, [*front, *sizes[-2:]])


def _shared(k: ir.Value, v: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Keys and values before their heads are repeated, where both are alike."""
    first_k, first_v = _before_repeat(k), _before_repeat(v)
    if first_k is None or first_v is None:
        return k, v
    same = first_k.type.shape[1] == first_v.type.shape[1]
    return (first_k, first_v) if same else (k, v)


def _before_repeat(value: ir.Value) -> ir.Value | None:
    """x[b, g, t, d] where the value repeats each head: x[b, h / (h/g), t, d]."""
    order = [0, 1, 2, 3]
    op = defining_op(value)
    if isinstance(op, ix.TransposeOp):
        order, op = op.permutation, defining_op(op.input)
    wide: Any = defining_op(op.input) if isinstance(op, ix.ReshapeOp) else None
    narrow = defining_op(wide.input) if isinstance(wide, ix.BroadcastOp) else None
    if not isinstance(narrow, ix.ReshapeOp) or narrow.input.type.rank != 4:
        return None
    axis = order[1]
    shape = list(narrow.input.type.shape)
    single = [*shape[: axis + 1], 1, *shape[axis + 1 :]]
    repeated = list(wide.result.type.shape)
    result = [*shape[:axis], op.result.type.shape[axis], *shape[axis + 1 :]]
    if list(narrow.result.type.shape) != single or len(repeated) != 5:
        return None
    if [*repeated[: axis + 1], 1, *repeated[axis + 2 :]] != single:
        return None
    if list(op.result.type.shape) != result or DYNAMIC in (shape[axis], result[axis]):
        return None
    return _transposed(narrow.input, order)


recognize_attention = rewrite_pass("ix-recognize-attention", [recognize])
