"""ix-recognize-causal-mask: masks that only say "no key after the query", or nothing.

attention(q, k, v, mask)  →  attention(q, k, v) {causal}    mask[i, j]: j ≤ i + (t − s)
attention(q, k, v, mask)  →  attention(q, k, v)             a mask that hides nothing

The mask is computed here, so it may be spelled in any way, but must depend on constants
of the IR alone. A causal kernel skips the keys that a mask would only hide.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ix.dialects import ix
from ix.dialects.ix.program import elements_array
from ix.dialects.ix.reference import REFERENCE
from ix.mlir import DYNAMIC, defining_op, ir, op_key, ops_in
from ix.passes.framework import module_pass
from ix.passes.graph.scores import HIDDEN

Array = np.ndarray[Any, Any]

LARGEST_ELEMENTS = 1 << 22
"""A larger mask takes longer to compute here than a program is worth."""


@module_pass("ix-recognize-causal-mask")
def recognize_causal_mask(module: Any) -> None:
    """Replaces constant masks by the flag `causal`, or drops them."""
    known: dict[int, Array | None] = {}
    for op in ops_in(module, ix.AttentionOp):
        if op.mask is None or op.causal:
            continue
        kind = _kind(op, known)
        if kind is None:
            continue
        with ir.InsertionPoint(op), op.location:
            new = ix.AttentionOp.build(
                op.q, op.k, op.v, scale=op.scale, causal=kind == "causal"
            )
        op.result.replace_all_uses_with(new)
        op.operation.erase()


def _kind(op: ix.AttentionOp, known: dict[int, Array | None]) -> str | None:
    """ "causal", "none" for a mask that hides nothing, or None for another."""
    queries, keys = op.q.type.shape[2], op.k.type.shape[2]
    if DYNAMIC in (queries, keys) or op.mask.type.rank < 2:
        return None
    mask = _computed(op.mask, known)
    if mask is None:
        return None
    shown = mask if mask.dtype == np.bool_ else mask == 0
    if mask.dtype != np.bool_ and not (shown | (mask <= HIDDEN)).all():
        return None
    if shown.all():
        return "none"
    if keys < queries or shown.shape[-2:] != (queries, keys):
        return None
    causal = np.tri(queries, keys, keys - queries, dtype=np.bool_)
    return "causal" if (shown == causal).all() else None


def _computed(value: ir.Value, known: dict[int, Array | None]) -> Array | None:
    """The elements of a value; None where they need parameters, inputs or long."""
    op = defining_op(value)
    if not isinstance(op, ix.IxOp) or len(op.results) != 1:
        return None
    key = op_key(op)
    if key not in known:
        known[key] = _result(op, known)
    return known[key]


def _result(op: Any, known: dict[int, Array | None]) -> Array | None:
    type_ = op.results[0].type
    if isinstance(op, ix.ConstantOp):
        return elements_array(op.attributes["value"])
    if op.operation.name not in REFERENCE or not type_.has_static_shape:
        return None
    if math.prod(type_.shape) > LARGEST_ELEMENTS:
        return None
    operands = []
    for operand in op.operands:
        array = _computed(operand, known)
        if array is None:
            return None
        operands.append(array)
    return REFERENCE[op.operation.name](operands, op.python_attributes(), [type_])[0]
