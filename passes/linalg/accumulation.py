"""What sums and products are computed in, and the cast back to the result's type."""

from __future__ import annotations

from collections.abc import Sequence

from ix.dialects.ix.shapes import is_float
from ix.mlir import arith, ir
from ix.passes.linalg.generic import Size, elementwise


def accumulator_type(element_type: ir.Type) -> ir.Type:
    """f32 for floats of 16 and 8 bits; every other type accumulates in itself."""
    if is_float(element_type) and ir.FloatType(element_type).width < 32:
        return ir.F32Type.get()
    return element_type


def narrow(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """Rounds a float scalar to a narrower type; an equal type is left."""
    if value.type == element_type:
        return value
    return arith.TruncFOp(element_type, value).result


def cast_back(
    value: ir.Value, element_type: ir.Type, sizes: Sequence[Size]
) -> ir.Value:
    """A tensor of accumulators, of the given sizes, in the result's element type."""
    if value.type.element_type == element_type:
        return value
    return elementwise([value], element_type, lambda x: narrow(x, element_type), sizes)


def lowest(element_type: ir.Type, unsigned: bool = False) -> float | int:
    """The value that no element is below: −∞, or the least number."""
    if is_float(element_type):
        has_no_infinity = isinstance(element_type, ir.Float8E4M3FNType)
        return -448.0 if has_no_infinity else float("-inf")
    width = ir.IntegerType(element_type).width
    return 0 if unsigned or width == 1 else -(2 ** (width - 1))


def highest(element_type: ir.Type, unsigned: bool = False) -> float | int:
    """The value that no element is above: ∞, or the greatest number."""
    if is_float(element_type):
        return -lowest(element_type)
    width = ir.IntegerType(element_type).width
    if width == 1:
        return True
    # An all-ones pattern is the greatest unsigned number.
    return -1 if unsigned else 2 ** (width - 1) - 1
