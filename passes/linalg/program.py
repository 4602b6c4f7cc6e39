"""Constants and kept ops: what brings data into the program after lowering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.dialects import ix
from ix.dialects.ix.program import dense_elements, elements_array
from ix.dialects.ix.shapes import is_unsigned
from ix.mlir import arith, ir
from ix.passes.linalg.generic import Lowered, lowered_type

__all__ = ["LOWERINGS", "keep"]


def lower_constant(op: ix.ConstantOp, _: Sequence[ir.Value]) -> Lowered:
    """arith.constant of the same elements; ui8 becomes the i8 of the same bits."""
    value = op.attributes["value"]
    if is_unsigned(value.type.element_type):
        value = dense_elements(elements_array(value).view(np.int8))
    return arith.ConstantOp(value.type, value).result


def keep(op: Any, operands: Sequence[ir.Value]) -> Lowered:
    """The same op on lowered operands, with lowered result types."""
    kept = ir.Operation.create(
        op.operation.name,
        results=[lowered_type(result.type) for result in op.results],
        operands=list(operands),
        attributes=dict(op.operation.attributes.items()),
    )
    return list(kept.results)


LOWERINGS = {ix.ConstantOp: lower_constant, ix.ParameterOp: keep}
"""Op class → (op, lowered operands) → results."""
