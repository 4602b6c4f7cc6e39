"""ix-decompose-attention: attention as matmul, scale, mask, softmax and matmul.

attention(q, k, v, mask)  →  matmul(softmax(select(seen, q·kᵀ·scale, −∞)), v)

The fused kernel takes f32, f16 and bf16, static numbers of heads and rows of a static,
moderate width. What it does not take is decomposed; `all` decomposes all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ix.dialects import ix
from ix.dialects.ix.contraction import is_short_float
from ix.dialects.ix.shapes import is_bool, tensor_type
from ix.mlir import DYNAMIC, arith, ir
from ix.passes.framework import apply_patterns, module_pass, pattern

FUSED_TYPES = ("f32", "f16", "bf16")
# A wider row of q or v does not leave the registers and caches room for scores.
WIDEST_ROW = 512


@module_pass("ix-decompose-attention")
def decompose_attention(module: Any, *, all: bool = False) -> None:
    """Writes attention out in matmul and softmax where no fused kernel takes it.

    Args:
        module: The module.
        all: Decomposes every attention.
    """

    @pattern(ix.AttentionOp)
    def decompose(op: ix.AttentionOp) -> ir.Value | None:
        return decomposed(op) if all or not has_fused_kernel(op) else None

    apply_patterns(module, [decompose])


def has_fused_kernel(op: ix.AttentionOp) -> bool:
    """Whether the attention rule takes the op as it is."""
    depth, width = op.q.type.shape[3], op.v.type.shape[3]
    heads = (op.q.type.shape[1], op.k.type.shape[1])
    return (
        str(op.q.type.element_type) in FUSED_TYPES
        and DYNAMIC not in (*heads, depth, width)
        and 0 < depth <= WIDEST_ROW
        and 0 < width <= WIDEST_ROW
    )


def decomposed(op: ix.AttentionOp) -> ir.Value:
    """The same result in ops that lower to linalg; short floats compute in f32."""
    element = op.q.type.element_type
    real = ir.F32Type.get() if is_short_float(element) else element
    share = _share(op)
    scores = _per_group(op.q, op.k, share, transpose_b=True, element_type=real)
    scale = ix.ConstantOp.build(op.scale, str(real))
    scores = _masked(op, ix.MulOp.build(scores, scale))
    weights = _weights(op, scores)
    values = op.v if real == element else ix.CastOp.build(op.v, str(real))
    result = _per_group(weights, values, share)
    # All operands together may know sizes that weights and values alone do not.
    result.set_type(tensor_type(op.result.type.shape, real))
    return result if real == element else ix.CastOp.build(result, str(element))


def _share(op: ix.AttentionOp) -> int | ir.Value:
    """How many query heads read one head of keys."""
    heads, groups = op.q.type.shape[1], op.k.type.shape[1]
    if DYNAMIC not in (heads, groups):
        return heads // groups
    return arith.DivSIOp(_index(op.q, 1), _index(op.k, 1)).result


def _per_group(
    a: ir.Value, b: ir.Value, share: int | ir.Value, **attributes: Any
) -> ir.Value:
    """matmul(a, b) where each matrix of b serves `share` consecutive ones of a.

    Args:
        a: tensor<B x H x … x …>
        b: tensor<B x G x … x …>
        share: H / G.
        attributes: Of the matmul.

    Returns:
        tensor<B x H x … x …>
    """
    if share == 1:
        return ix.MatmulOp.build(a, b, **attributes)
    batch, heads, rows, inner = (_size(a, axis) for axis in range(4))
    groups = _size(b, 1)
    split = ix.ReshapeOp.build(a, [batch, groups, share, rows, inner])
    single = [_size(b, 0), groups, 1, _size(b, 2), _size(b, 3)]
    result = ix.MatmulOp.build(split, ix.ReshapeOp.build(b, single), **attributes)
    return ix.ReshapeOp.build(result, [batch, heads, rows, _size(result, 4)])


def _masked(op: ix.AttentionOp, scores: ir.Value) -> ir.Value:
    """Scores with the mask added, or −∞ where a key is hidden."""
    name = str(scores.type.element_type)
    hidden = ix.ConstantOp.build(-np.inf, name)
    if op.mask is not None and is_bool(op.mask.type.element_type):
        scores = ix.SelectOp.build(op.mask, scores, hidden)
    elif op.mask is not None:
        mask = op.mask
        if mask.type.element_type != scores.type.element_type:
            mask = ix.CastOp.build(mask, name)
        scores = ix.AddOp.build(scores, mask)
    if op.causal:
        scores = ix.SelectOp.build(_causally_seen(op), scores, hidden)
    return scores


def _causally_seen(op: ix.AttentionOp) -> ir.Value:
    """i1[s, t]: j ≤ i + (t − s), which is t − 1 − j ≥ s − 1 − i."""
    rows, columns = _size(op.q, 2), _size(op.k, 2)
    after_key = ix.FlipOp.build(ix.IotaOp.build([1, columns], "i64", axis=1), axes=[1])
    after_query = ix.FlipOp.build(ix.IotaOp.build([rows, 1], "i64"), axes=[0])
    return ix.GeOp.build(after_key, after_query)


def _weights(op: ix.AttentionOp, scores: ir.Value) -> ir.Value:
    """softmax of the scores; zeros in a row that sees no key."""
    weights = ix.SoftmaxOp.build(scores, axis=3)
    if not _may_hide_all(op) or scores.type.shape[3] == 0:
        return weights
    name = str(scores.type.element_type)
    greatest = ix.ReduceMaxOp.build(scores, axes=[3], keepdims=True)
    blind = ix.EqOp.build(greatest, ix.ConstantOp.build(-np.inf, name))
    return ix.SelectOp.build(blind, ix.ConstantOp.build(0.0, name), weights)


def _may_hide_all(op: ix.AttentionOp) -> bool:
    """Whether a row may see no key: by its mask, or with more queries than keys."""
    queries, keys = op.q.type.shape[2], op.k.type.shape[2]
    fits = DYNAMIC not in (queries, keys) and queries <= keys
    return op.mask is not None or (op.causal and not fits)


def _size(value: ir.Value, axis: int) -> int | ir.Value:
    size = value.type.shape[axis]
    return _index(value, axis) if size == DYNAMIC else size


def _index(value: ir.Value, axis: int) -> ir.Value:
    return ix.DimOp.build(value, axis=axis)
