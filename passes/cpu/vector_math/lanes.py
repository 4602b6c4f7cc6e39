"""Numbers in the lanes of a vector, or one scalar, under Python's operators.

`Floats`, `Integers` and `Mask` wrap an MLIR value and emit arith and math ops at the
current insertion point; a Python number beside them becomes a constant of their type.

    y = multiply_add(x, x, 1.0)         # vector.fma, 1.0 in every lane
    y = select(x < 0.0, -y, y)          # arith.cmpf olt, arith.negf, arith.select

Two idioms matter for speed and for NaN:

* `at_least` and `at_most` are one vmaxps or vminps each, and let a NaN through.
* A float is rounded to an integer by adding 1.5·2^p, p the bits of its mantissa: the
  integer lies in the low bits of the sum. No conversion, so a NaN or a number out of
  range gives some value, where `arith.fptosi` gives poison.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from math import frexp
from typing import Any

from ix.mlir import arith, ir, llvm, math, vector

__all__ = [
    "F32",
    "F64",
    "Floats",
    "Format",
    "Integers",
    "Mask",
    "any_lane",
    "at_least",
    "at_most",
    "exact_fma",
    "horner",
    "horner_by_pairs",
    "multiply_add",
    "quotient",
    "select",
]

_Compare = arith.CmpFPredicate


@dataclass(frozen=True)
class Format:
    """An IEEE 754 binary format, and what rounding and bit tricks need of it."""

    bits: int
    mantissa_bits: int
    """Stored bits of the mantissa: 23 or 52."""
    bias: int

    @property
    def round_shift(self) -> float:
        """1.5·2^mantissa_bits; x + round_shift holds round(x) in its low bits."""
        return 1.5 * 2.0**self.mantissa_bits

    @property
    def tiny(self) -> float:
        """Below this, 1 + x rounds to 1 with room to spare."""
        return 2.0 ** -(self.mantissa_bits + 3)

    def nearest(self, value: Decimal | float) -> float:
        """The number of this format nearest to `value`."""
        code = "f" if self.bits == 32 else "d"
        result: float = struct.unpack(code, struct.pack(code, float(value)))[0]
        return result

    def parts(self, value: Decimal, count: int) -> tuple[float, ...]:
        """`count` numbers of falling size with the sum `value`, to their precision."""
        found = []
        with localcontext() as context:
            context.prec = 80
            for _ in range(count):
                found.append(self.nearest(value))
                value -= Decimal(found[-1])
        return tuple(found)

    def factor_parts(self, value: Decimal) -> tuple[float, float]:
        """Two numbers with the sum `value`; the first times an exponent is exact.

        It lacks as many bits as an exponent, twice the range included, may have.
        """
        spare = 9 if self.bits == 32 else 12
        _, exponent = frexp(value)
        ulp = Decimal(2) ** (exponent - self.mantissa_bits - 1 + spare)
        high = float((value / ulp).to_integral_value() * ulp)
        return high, self.nearest(value - Decimal(high))


F32 = Format(bits=32, mantissa_bits=23, bias=127)
F64 = Format(bits=64, mantissa_bits=52, bias=1023)


def _retyped(type_: ir.Type, element: ir.Type) -> ir.Type:
    """`type_` with another element type."""
    if isinstance(type_, ir.VectorType):
        return ir.VectorType.get(type_.shape, element)
    return element


def _element(type_: ir.Type) -> ir.Type:
    return type_.element_type if isinstance(type_, ir.VectorType) else type_


def _constant(type_: ir.Type, attribute: ir.Attribute) -> ir.Value:
    if isinstance(type_, ir.VectorType):
        attribute = ir.DenseElementsAttr.get_splat(type_, attribute)
    return arith.constant(type_, attribute)


@dataclass(frozen=True, eq=False)
class Mask:
    """A bool in each lane."""

    value: ir.Value

    def __and__(self, other: Mask) -> Mask:
        return Mask(arith.andi(self.value, other.value))

    def __or__(self, other: Mask) -> Mask:
        return Mask(arith.ori(self.value, other.value))

    def and_not(self, other: Mask) -> Mask:
        """This and not `other`."""
        false = ir.IntegerAttr.get(_element(self.value.type), 0)
        zero = _constant(self.value.type, false)
        return Mask(arith.select(other.value, zero, self.value))


@dataclass(frozen=True, eq=False)
class Integers:
    """A signless integer in each lane, as wide as the float that it came from."""

    value: ir.Value

    def _operand(self, other: Integers | int) -> ir.Value:
        if isinstance(other, Integers):
            return other.value
        width = _element(self.value.type).width
        # Patterns of bits are written unsigned, IntegerAttr takes them signed.
        signed = (other + (1 << (width - 1))) % (1 << width) - (1 << (width - 1))
        attribute = ir.IntegerAttr.get(_element(self.value.type), signed)
        return _constant(self.value.type, attribute)

    def __add__(self, other: Integers | int) -> Integers:
        return Integers(arith.addi(self.value, self._operand(other)))

    def __sub__(self, other: Integers | int) -> Integers:
        return Integers(arith.subi(self.value, self._operand(other)))

    def __and__(self, other: Integers | int) -> Integers:
        return Integers(arith.andi(self.value, self._operand(other)))

    def __or__(self, other: Integers | int) -> Integers:
        return Integers(arith.ori(self.value, self._operand(other)))

    def __xor__(self, other: Integers | int) -> Integers:
        return Integers(arith.xori(self.value, self._operand(other)))

    def __lshift__(self, count: int) -> Integers:
        return Integers(arith.shli(self.value, self._operand(count)))

    def __rshift__(self, count: int) -> Integers:
        """Shifts copies of the sign in from the left."""
        return Integers(arith.shrsi(self.value, self._operand(count)))

    def __rsub__(self, other: int) -> Integers:
        return Integers(arith.subi(self._operand(other), self.value))

    def at_most(self, bound: int) -> Integers:
        return Integers(arith.minsi(self.value, self._operand(bound)))

    def where(self, mask: Mask, other: Integers) -> Integers:
        """This where `mask` holds, `other` elsewhere."""
        return Integers(arith.select(mask.value, self.value, other.value))

    def is_negative(self) -> Mask:
        predicate = arith.CmpIPredicate.slt
        return Mask(arith.cmpi(predicate, self.value, self._operand(0)))

    def is_not_below(self, bound: int) -> Mask:
        """Where this is at least `bound`, both read as unsigned."""
        predicate = arith.CmpIPredicate.uge
        return Mask(arith.cmpi(predicate, self.value, self._operand(bound)))

    def narrowed(self) -> Integers:
        """The low 32 of 64 bits."""
        i32 = ir.IntegerType.get_signless(32)
        return Integers(arith.trunci(_retyped(self.value.type, i32), self.value))

    def as_floats(self) -> Floats:
        """The floats whose bits these are."""
        wide = _element(self.value.type).width == 64
        element = ir.F64Type.get() if wide else ir.F32Type.get()
        return Floats(arith.bitcast(_retyped(self.value.type, element), self.value))


@dataclass(frozen=True, eq=False)
class Floats:
    """An f32 or f64 in each lane."""

    value: ir.Value

    @property
    def format(self) -> Format:
        return F32 if _element(self.value.type).width == 32 else F64

    def constant(self, value: float) -> Floats:
        """`value` in every lane of a value of this type."""
        attribute = ir.FloatAttr.get(_element(self.value.type), value)
        return Floats(_constant(self.value.type, attribute))

    def operand(self, other: Floats | float) -> ir.Value:
        """The MLIR value of `other`, a constant of this type where it is a number."""
        if isinstance(other, Floats):
            return other.value
        return self.constant(other).value

    def __add__(self, other: Floats | float) -> Floats:
        return Floats(arith.addf(self.value, self.operand(other)))

    def __sub__(self, other: Floats | float) -> Floats:
        return Floats(arith.subf(self.value, self.operand(other)))

    def __rsub__(self, other: float) -> Floats:
        return self.constant(other) - self

    def __mul__(self, other: Floats | float) -> Floats:
        return Floats(arith.mulf(self.value, self.operand(other)))

    def __truediv__(self, other: Floats | float) -> Floats:
        return Floats(arith.divf(self.value, self.operand(other)))

    def __rtruediv__(self, other: float) -> Floats:
        return self.constant(other) / self

    def __neg__(self) -> Floats:
        return Floats(arith.negf(self.value))

    def __abs__(self) -> Floats:
        return Floats(math.absf(self.value))

    def _compare(self, predicate: Any, other: Floats | float) -> Mask:
        return Mask(arith.cmpf(predicate, self.value, self.operand(other)))

    def __lt__(self, other: Floats | float) -> Mask:
        return self._compare(_Compare.OLT, other)

    def __gt__(self, other: Floats | float) -> Mask:
        return self._compare(_Compare.OGT, other)

    def __ge__(self, other: Floats | float) -> Mask:
        return self._compare(_Compare.OGE, other)

    def equals(self, other: Floats | float) -> Mask:
        """True where both are the same number; false for NaN."""
        return self._compare(_Compare.OEQ, other)

    def differs(self, other: Floats | float) -> Mask:
        """True where they are not the same number; true for NaN."""
        return self._compare(_Compare.UNE, other)

    def with_sign_of(self, other: Floats) -> Floats:
        return Floats(math.copysign(self.value, other.value))

    def sqrt(self) -> Floats:
        return Floats(math.sqrt(self.value))

    def rounded(self) -> Floats:
        """The nearest integer, halves to even; any magnitude."""
        return Floats(math.roundeven(self.value))

    def bits(self) -> Integers:
        """The bits of each float as an integer."""
        element = ir.IntegerType.get_signless(self.format.bits)
        return Integers(arith.bitcast(_retyped(self.value.type, element), self.value))

    def widened(self) -> Floats:
        """f32 as f64, exactly."""
        type_ = _retyped(self.value.type, ir.F64Type.get())
        return Floats(arith.extf(type_, self.value))

    def narrowed(self) -> Floats:
        """f64 rounded to f32."""
        type_ = _retyped(self.value.type, ir.F32Type.get())
        return Floats(arith.truncf(type_, self.value))


def multiply_add(a: Floats, b: Floats | float, c: Floats | float) -> Floats:
    """a·b + c in one instruction where the target has fma, in two where it has not."""
    operands = (a.value, a.operand(b), a.operand(c))
    if isinstance(a.value.type, ir.VectorType):
        return Floats(vector.fma(*operands))
    return Floats(llvm.intr_fmuladd(*operands))


def quotient(a: Floats, b: Floats) -> Floats:
    """a / b, up to 2 ulp off on targets where rounding it costs a branch."""
    flags = arith.FastMathFlags.afn
    return Floats(arith.divf(a.value, b.value, fastmath=flags))


def exact_fma(a: Floats, b: Floats | float, c: Floats | float) -> Floats:
    """a·b + c rounded once; without fma in the target, a libm call for each lane."""
    return Floats(math.fma(a.value, a.operand(b), a.operand(c)))


def select(mask: Mask, a: Floats | float, b: Floats | float) -> Floats:
    """`a` where `mask` holds, `b` elsewhere; one of them must be `Floats`."""
    like = a if isinstance(a, Floats) else b
    assert isinstance(like, Floats)
    return Floats(arith.select(mask.value, like.operand(a), like.operand(b)))


def at_least(x: Floats, bound: float) -> Floats:
    """max(x, bound); NaN where x is NaN."""
    limit = x.constant(bound)
    return select(limit > x, limit, x)


def at_most(x: Floats, bound: float) -> Floats:
    """min(x, bound); NaN where x is NaN."""
    limit = x.constant(bound)
    return select(limit < x, limit, x)


def horner(x: Floats, coefficients: Sequence[float]) -> Floats:
    """c0 + x·(c1 + x·(c2 + …))."""
    result = x.constant(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = multiply_add(result, x, coefficient)
    return result


def horner_by_pairs(x: Floats, square: Floats, coefficients: Sequence[float]) -> Floats:
    """The same as (c0 + c1·x) + x²·((c2 + c3·x) + …), given x².

    In a quotient of two such the error of x² cancels, and half of the roundings go.
    """
    pairs = [
        horner(x, coefficients[at : at + 2]) for at in range(0, len(coefficients), 2)
    ]
    result = pairs.pop()
    while pairs:
        result = multiply_add(square, result, pairs.pop())
    return result


def any_lane(mask: Mask) -> ir.Value:
    """An i1: whether `mask` holds in any lane."""
    if not isinstance(mask.value.type, ir.VectorType):
        return mask.value
    i1 = _element(mask.value.type)
    return vector.reduction(i1, vector.CombiningKind.OR, mask.value)
