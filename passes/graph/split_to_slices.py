"""ix-split-to-slices: each part of a split as a slice of its own.

a, b = split(x) {axis}  →  a = slice(x), b = slice(x)

Parts are then fused, moved and dropped one by one.
"""

from __future__ import annotations

from ix.dialects import ix
from ix.mlir import ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import consecutive_slices


@pattern(ix.SplitOp)
def write_as_slices(op: ix.SplitOp) -> list[ir.Value]:
    return consecutive_slices(op.input, op.axis, op.sizes)


split_to_slices = rewrite_pass("ix-split-to-slices", [write_as_slices])
