"""ix-fold-padding: a padding of the spatial axes goes into the op that slides windows.

conv(pad(x, 0) {low, high})        →  conv(x) {padding + low, padding + high}
max_pool(pad(x, −∞) {low, high})   →  max_pool(x) {padding + low, padding + high}

The kernels know their edges, so that the padded tensor is never in memory.
"""

from __future__ import annotations

import math
from typing import Any

from ix.dialects import ix
from ix.mlir import defining_op, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import scalar


@pattern(ix.ConvOp)
def fold_into_convolution(op: ix.ConvOp) -> ir.Value | None:
    return _folded(op, 0.0)


@pattern(ix.MaxPoolOp)
def fold_into_pool(op: ix.MaxPoolOp) -> ir.Value | None:
    return _folded(op, -math.inf)


def _folded(op: Any, value: float) -> ir.Value | None:
    """The op on the tensor before its padding by `value`."""
    pad = defining_op(op.operands[0], ix.PadOp)
    if pad is None or pad.mode != "constant" or scalar(pad.value) != value:
        return None
    rank = pad.input.type.rank
    first = 2 if op.layout == "NCHW" else 1
    spatial = range(first, first + rank - 2)
    others = [axis for axis in range(rank) if axis not in spatial]
    if any(pad.low[axis] or pad.high[axis] for axis in others):
        return None
    attributes = op.python_attributes()
    for name, added in (("padding_low", pad.low), ("padding_high", pad.high)):
        inner = [added[axis] for axis in spatial]
        attributes[name] = [a + b for a, b in zip(attributes[name], inner, strict=True)]
    operands = [pad.input, *list(op.operands)[1:]]
    return type(op).create(operands, [op.result.type], **attributes).result


fold_padding = rewrite_pass("ix-fold-padding", [fold_into_convolution, fold_into_pool])
