"""Scalar arithmetic in the bodies of linalg ops: constants, conversions, safe division.

Narrow types compute in a wider one (`compute_type`) and are rounded once for each op,
as NumPy does: f16, bf16 and f8 in f32, i4 in i8.
"""

from __future__ import annotations

from ix.dialects.ix.shapes import is_bool, is_float, is_unsigned
from ix.mlir import arith, defining_op, ir, math
from ix.passes.linalg.generic import lowered_type, scalar

__all__ = [
    "compare",
    "compute_type",
    "convert",
    "integer_max",
    "integer_min",
    "narrow",
    "quotient",
    "remainder",
    "select",
    "widen",
]


def compute_type(element_type: ir.Type) -> ir.Type:
    """The type that an element of the given type computes in."""
    if is_float(element_type) and element_type.width < 32:
        return ir.F32Type.get()
    if isinstance(element_type, ir.IntegerType) and element_type.width == 4:
        return ir.IntegerType.get_signless(8)
    return lowered_type(element_type)


def widen(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """An element in its compute type."""
    return convert(value, element_type, compute_type(element_type))


def narrow(value: ir.Value, element_type: ir.Type) -> ir.Value:
    """A value of the compute type as an element: floats round, integers wrap."""
    return convert(value, compute_type(element_type), element_type)


def select(condition: ir.Value, yes: ir.Value, no: ir.Value) -> ir.Value:
    """condition ? yes : no."""
    return arith.SelectOp(condition, yes, no).result


def compare(
    predicate: str, a: ir.Value, b: ir.Value, unsigned: bool = False
) -> ir.Value:
    """a <predicate> b as i1, for eq ne lt le gt ge.

    Floats compare ordered, but `ne` is true with NaN. i1 orders false before true.
    """
    if is_float(a.type):
        order = "u" if predicate == "ne" else "o"
        kind = getattr(arith.CmpFPredicate, f"{order}{predicate}".upper())
        return arith.CmpFOp(kind, a, b).result
    sign = "u" if unsigned or is_bool(a.type) or predicate in ("eq", "ne") else "s"
    name = predicate if predicate in ("eq", "ne") else f"{sign}{predicate}"
    return arith.CmpIOp(getattr(arith.CmpIPredicate, name), a, b).result


def integer_min(type_: ir.IntegerType, unsigned: bool = False) -> int:
    """The smallest value of an integer type."""
    return 0 if unsigned else -(1 << (type_.width - 1))


def integer_max(type_: ir.IntegerType, unsigned: bool = False) -> int:
    """The largest value of an integer type."""
    return (1 << (type_.width - (not unsigned))) - 1


def quotient(a: ir.Value, b: ir.Value, unsigned: bool) -> ir.Value:
    """The integer quotient toward zero; 0 where b is 0, −a where b is −1.

    The division itself never sees 0 or −1: on x86 idiv traps for a / 0 and MIN / −1.
    """
    zero = scalar(0, a.type)
    by_zero = compare("eq", b, zero)
    if unsigned:
        divisor = select(by_zero, scalar(1, a.type), b)
        return select(by_zero, zero, arith.DivUIOp(a, divisor).result)
    by_minus_one = compare("eq", b, scalar(-1, a.type))
    result = arith.DivSIOp(a, _safe_divisor(b, by_zero, by_minus_one)).result
    result = select(by_minus_one, arith.SubIOp(zero, a).result, result)
    return select(by_zero, zero, result)


def remainder(a: ir.Value, b: ir.Value, unsigned: bool) -> ir.Value:
    """The integer remainder with the sign of a; 0 where b is 0."""
    zero = scalar(0, a.type)
    by_zero = compare("eq", b, zero)
    if unsigned:
        divisor = select(by_zero, scalar(1, a.type), b)
        return select(by_zero, zero, arith.RemUIOp(a, divisor).result)
    by_minus_one = compare("eq", b, scalar(-1, a.type))
    return arith.RemSIOp(a, _safe_divisor(b, by_zero, by_minus_one)).result


def _safe_divisor(b: ir.Value, *unsafe: ir.Value) -> ir.Value:
    """b, or 1 where a condition holds; any remainder by 1 is 0."""
    for condition in unsafe:
        b = select(condition, scalar(1, b.type), b)
    return b


def convert(value: ir.Value, source: ir.Type, target: ir.Type) -> ir.Value:
    """A scalar in another element type, by the rules of `ix.cast`.

    Args:
        value: Of type `lowered_type(source)`.
        source, target: Element types before lowering; they say what is unsigned.

    Returns:
        A value of type `lowered_type(target)`.
    """
    if source == target:
        return value
    if is_float(source) and is_float(target) and target.width > source.width:
        constant = defining_op(value, arith.ConstantOp)
        if constant is not None:
            return scalar(constant.value.value, target)
    if is_bool(target):
        value = widen(value, source)
        return compare("ne", value, scalar(0, value.type))
    if is_float(source):
        if is_float(target):
            return _float_to_float(value, target)
        return _float_to_integer(value, target)
    unsigned = is_unsigned(source) or is_bool(source)
    if is_float(target):
        return _integer_to_float(value, target, unsigned)
    return _integer_to_integer(value, lowered_type(target), unsigned)


def _float_to_float(value: ir.Value, target: ir.Type) -> ir.Value:
    """Rounds to nearest, ties to even; narrow types convert through f32."""
    f32 = ir.F32Type.get()
    if value.type.width < 32:
        value = arith.ExtFOp(f32, value).result
    if value.type == target:
        return value
    if value.type.width == 64 and target.width < 32:
        value = _round_to_odd(value)
    if target.width > value.type.width:
        return arith.ExtFOp(target, value).result
    return arith.TruncFOp(target, value).result


def _round_to_odd(value: ir.Value) -> ir.Value:
    """f64 → f32 such that a second rounding, to 16 bits or fewer, is still exact.

    An inexact result gets an odd last bit (Boldo and Melquiond, "When double rounding
    is odd"), so that it lies on no tie of the narrower type.
    """
    i32, f32, f64 = ir.IntegerType.get_signless(32), ir.F32Type.get(), value.type
    near = arith.TruncFOp(f32, value).result
    back = arith.ExtFOp(f64, near).result
    bits = arith.BitcastOp(i32, near).result
    away = compare("gt", math.AbsFOp(back).result, math.AbsFOp(value).result)
    toward_zero = arith.SubIOp(bits, arith.ExtUIOp(i32, away).result).result
    odd = arith.OrIOp(toward_zero, scalar(1, i32)).result
    # Beyond f32 the result is infinite, as it must stay in the narrower type.
    finite = compare("lt", math.AbsFOp(back).result, scalar(float("inf"), f64))
    lossy = arith.CmpFOp(arith.CmpFPredicate.ONE, back, value).result
    adjust = arith.AndIOp(finite, lossy).result
    return arith.BitcastOp(f32, select(adjust, odd, bits)).result


def _float_to_integer(value: ir.Value, target: ir.IntegerType) -> ir.Value:
    """Truncates toward zero; out of range saturates, NaN gives 0."""
    unsigned, result_type = is_unsigned(target), lowered_type(target)
    if value.type.width < 32:
        value = arith.ExtFOp(ir.F32Type.get(), value).result
    low, high = integer_min(target, unsigned), integer_max(target, unsigned)
    if target.width < 32:
        # The limits are exact in f32, and a conversion to i32 exists as a vector op.
        limited = arith.MaxNumFOp(value, scalar(low, value.type)).result
        limited = arith.MinNumFOp(limited, scalar(high, value.type)).result
        ordered = arith.CmpFOp(arith.CmpFPredicate.ORD, value, value).result
        limited = select(ordered, limited, scalar(0, value.type))
        whole = arith.FPToSIOp(ir.IntegerType.get_signless(32), limited).result
        return arith.TruncIOp(result_type, whole).result
    too_low = compare("lt", value, scalar(low, value.type))
    too_high = compare("ge", value, scalar(float(high) + 1, value.type))
    ordered = arith.CmpFOp(arith.CmpFPredicate.ORD, value, value).result
    outside = arith.OrIOp(too_low, too_high).result
    inside = select(outside, scalar(0, value.type), value)
    inside = select(ordered, inside, scalar(0, value.type))
    whole = arith.FPToSIOp(result_type, inside).result
    whole = select(too_low, scalar(low, result_type), whole)
    return select(too_high, scalar(high, result_type), whole)


def _integer_to_float(value: ir.Value, target: ir.Type, unsigned: bool) -> ir.Value:
    wide = target if target.width >= 32 else ir.F32Type.get()
    convert_op = arith.UIToFPOp if unsigned else arith.SIToFPOp
    return _float_to_float(convert_op(wide, value).result, target)


def _integer_to_integer(
    value: ir.Value, target: ir.IntegerType, unsigned: bool
) -> ir.Value:
    """Keeps the low bits."""
    if value.type.width == target.width:
        return value
    if value.type.width > target.width:
        return arith.TruncIOp(target, value).result
    extend_op = arith.ExtUIOp if unsigned else arith.ExtSIOp
    return extend_op(target, value).result
