"""ix-fold-constants: computes ops whose operands are all constants of the IR.

add(constant 1, constant 2)  →  constant 3

Results of more than 1 KiB stay for ix-hoist-constants, and so does what depends on
parameters, whose elements the compiler does not see. An op that only repeats a number
stays: it tells more than its elements.
"""

from __future__ import annotations

import math
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.program import elements_array
from ix.dialects.ix.reference import REFERENCE
from ix.dialects.ix.shapes import numpy_dtype
from ix.mlir import defining_op, ir
from ix.passes.framework import pattern, rewrite_pass

LARGEST_BYTES = 1024

_STRETCHES = (ix.BroadcastOp, ix.TileOp)


@pattern(ix.IxOp)
def fold(op: Any) -> list[ir.Value] | None:
    constants = [defining_op(operand, ix.ConstantOp) for operand in op.operands]
    if not constants or any(each is None for each in constants):
        return None
    types = [result.type for result in op.results]
    foldable = op.operation.name in REFERENCE and not isinstance(op, _STRETCHES)
    if not foldable or not all(map(_is_small, types)):
        return None
    arrays = [elements_array(each.attributes["value"]) for each in constants]
    results = REFERENCE[op.operation.name](arrays, op.python_attributes(), types)
    return [
        ix.ConstantOp.build(array, str(type_.element_type))
        for array, type_ in zip(results, types, strict=True)
    ]


def _is_small(type_: ir.Type) -> bool:
    if not isinstance(type_, ir.RankedTensorType) or not type_.has_static_shape:
        return False
    octets = math.prod(type_.shape) * numpy_dtype(type_.element_type).itemsize
    return octets <= LARGEST_BYTES


fold_constants = rewrite_pass("ix-fold-constants", [fold])
