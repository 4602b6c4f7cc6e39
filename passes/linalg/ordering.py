"""Ops that stay and order their elements: unsigned integers become signed ones.

x ↦ x xor 128 maps ui8 to i8 such that the order of unsigned numbers becomes the order
of signed ones, so that later stages know signed integers alone.
"""

from __future__ import annotations

from typing import Any

from ix.dialects import ix
from ix.dialects.ix.shapes import is_unsigned
from ix.mlir import arith, ir
from ix.passes.linalg.generic import Lowered, elementwise, scalar
from ix.passes.linalg.program import keep


def lower_ordered(op: Any, operands: list[ir.Value]) -> Lowered:
    """Keeps sort, topk and scatters; ui8 goes through the signed order."""
    element = op.input.type.element_type
    if not is_unsigned(element) or not _orders(op):
        return keep(op, operands)
    data = (0, 2) if isinstance(op, ix.ScatterOp | ix.ScatterNdOp) else (0,)
    operands = [
        _reordered(operand) if place in data else operand
        for place, operand in enumerate(operands)
    ]
    first, *others = keep(op, operands)
    return [_reordered(first), *others]


def _orders(op: Any) -> bool:
    """Whether the result depends on which of two elements is greater."""
    if isinstance(op, ix.ScatterOp | ix.ScatterNdOp):
        return op.reduction in ("max", "min")
    return True


def _reordered(value: ir.Value) -> ir.Value:
    """x xor 128: unsigned order to signed order, and back."""
    return elementwise(
        [value],
        value.type.element_type,
        lambda x: arith.XOrIOp(x, scalar(-128, x.type)).result,
    )
