"""ix-choose-layout: convolutions with channels last, where vectors run along them.

conv(x, filter) {NCHW}  →  transpose(conv(transpose(x), transpose(filter)) {NHWC})
f(transpose(x))         →  transpose(f(x))       f elementwise, a pool, a concat, …
transpose(transpose(x)) →  x

A network of convolutions keeps transposes at its ends only. Filters are constants, so
theirs cost nothing when the program runs; convolutions of other filters stay.
"""

from __future__ import annotations

from typing import Any

from ix.dialects import ix
from ix.dialects.ix.shapes import tensor_type
from ix.mlir import ir, ops_in
from ix.passes.framework import apply_patterns, module_pass, pattern
from ix.passes.graph.cancel_movement import merge_transposes, reshape_single_axes
from ix.passes.graph.image_axes import (
    SINKING,
    channels_first,
    channels_last,
    sinking,
    to_last,
)
from ix.passes.graph.matching import is_constant

_CONVOLUTIONS = (ix.ConvOp, ix.ConvTransposeOp)


@pattern(*_CONVOLUTIONS)
def put_channels_last(op: Any) -> ir.Value | None:
    if op.layout != "NCHW" or not is_constant(op.filter):
        return None
    rank = op.input.type.rank
    filter_order = [*range(2, rank), 1, 0]
    shape = [op.result.type.shape[axis] for axis in to_last(rank)]
    operands = list(op.operands)
    operands[0] = channels_last(op.input)
    operands[1] = ix.TransposeOp.build(op.filter, permutation=filter_order)
    attributes = {**op.python_attributes(), "layout": "NHWC"}
    result_type = tensor_type(shape, op.result.type.element_type)
    result = type(op).create(operands, [result_type], **attributes).result
    return channels_first(result)


@pattern(*SINKING)
def sink_transpose(op: Any) -> ir.Value | None:
    return sinking(op)


@module_pass("ix-choose-layout")
def choose_layout(module: Any) -> None:
    """Puts channels last in convolutions, and moves transposes to the ends."""
    if not any(
        op.layout == "NCHW" and is_constant(op.filter)
        for op in ops_in(module, _CONVOLUTIONS)
    ):
        return
    apply_patterns(
        module,
        [put_channels_last, merge_transposes, reshape_single_axes, sink_transpose],
    )
