"""How elements lie in memory and in registers.

Types that LLVM cannot hold well are kept in another one: i1, i4 and f8 take a byte
each. i1 and i4 are widened and narrowed where they are stored and loaded; f8 stays a
byte in registers too and is decoded and encoded by integer arithmetic where a body
converts it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ix.mlir import arith, ir, vector

__all__ = [
    "constant",
    "convert",
    "element_bytes",
    "element_type",
    "from_storage",
    "storage_type",
    "to_storage",
    "zero",
]

_FLOAT8 = ("f8E4M3FN", "f8E5M2")


def _is_float8(kind: ir.Type) -> bool:
    return str(kind) in _FLOAT8


def _byte() -> ir.Type:
    return ir.IntegerType.get_signless(8)


def storage_type(element: ir.Type) -> ir.Type:
    """The type of one element in memory."""
    if str(element) in ("i1", "i4", "ui8", *_FLOAT8):
        return _byte()
    return element


def element_type(element: ir.Type) -> ir.Type:
    """The type of one element in a register."""
    return _byte() if _is_float8(element) else element


def element_bytes(element: ir.Type) -> int:
    """Bytes of one element in memory."""
    kind = storage_type(element)
    if isinstance(kind, ir.IndexType):
        return 8
    return kind.width // 8


def _like(value: ir.Value, element: ir.Type) -> ir.Type:
    """`element`, in a vector as long as `value` if that is one."""
    if isinstance(value.type, ir.VectorType):
        return ir.VectorType.get(value.type.shape, element)
    return element


def from_storage(value: ir.Value, element: ir.Type) -> ir.Value:
    """What a load gave, as the register type of `element`."""
    if str(element) in ("i1", "i4"):
        return arith.trunci(_like(value, element), value)
    return value


def to_storage(value: ir.Value, element: ir.Type) -> ir.Value:
    """A register value as memory holds it; a bool is 0 or 1."""
    if str(element) == "i1":
        return arith.extui(_like(value, _byte()), value)
    if str(element) == "i4":
        return arith.extsi(_like(value, _byte()), value)
    return value


def zero(element: ir.Type) -> ir.Value:
    """0 of a register type."""
    if isinstance(element, ir.IntegerType | ir.IndexType):
        return arith.constant(element, 0)
    return arith.constant(element, 0.0)


def constant(op: Any) -> ir.Value:
    """A scalar arith.constant again, in its register type."""
    kind = op.operation.results[0].type
    value = op.operation.attributes["value"]
    if _is_float8(kind):
        import ml_dtypes

        name = {"f8E4M3FN": "float8_e4m3fn", "f8E5M2": "float8_e5m2"}[str(kind)]
        number = np.array(ir.FloatAttr(value).value, getattr(ml_dtypes, name))
        return arith.constant(_byte(), int(number.view(np.int8)))
    return arith.ConstantOp(kind, value).result


_FROM_INTEGER = {"arith.sitofp": arith.sitofp, "arith.uitofp": arith.uitofp}


def convert(op: Any, operands: list[ir.Value]) -> ir.Value | None:
    """extf from, truncf and sitofp to an 8-bit float; None for any other op."""
    name = op.operation.name
    target = op.operation.results[0].type
    if name in _FROM_INTEGER and _is_float8(target):
        # Canonicalization makes one op of a conversion to f32 and its rounding.
        wide = _FROM_INTEGER[name](_like(operands[0], ir.F32Type.get()), operands[0])
        return _encode(wide, str(target))
    if name not in ("arith.extf", "arith.truncf"):
        return None
    source = op.operation.operands[0].type
    if _is_float8(source):
        wide = _decode(operands[0], str(source))
        return _refloat(wide, target)
    if _is_float8(target):
        return _encode(_refloat(operands[0], ir.F32Type.get()), str(target))
    return None


def _refloat(value: ir.Value, target: ir.Type) -> ir.Value:
    """A float value as another float type."""
    source = value.type.element_type if hasattr(value.type, "shape") else value.type
    if source == target:
        return value
    op = arith.extf if source.width < target.width else arith.truncf
    return op(_like(value, target), value)


class _Bits:
    """i32 arithmetic shaped like one value, scalar or vector."""

    def __init__(self, like: ir.Value) -> None:
        self.like = like
        self.type = _like(like, ir.IntegerType.get_signless(32))
        self.float = _like(like, ir.F32Type.get())

    def __call__(self, number: int) -> ir.Value:
        kind = ir.IntegerType.get_signless(32)
        number = number - (1 << 32) if number >= 1 << 31 else number
        value = arith.constant(kind, number)
        if self.type == kind:
            return value
        return vector.broadcast(self.type, value)


def _decode(value: ir.Value, kind: str) -> ir.Value:
    """The f32 of an 8-bit float: exponent and mantissa moved up, then rescaled.

    Moving the bits makes a float 2^(127 − bias) too small, denormals included, so one
    exact multiplication puts it right. E5M2 is the upper byte of an f16.
    """
    b = _Bits(value)
    mantissa, bias = (3, 7) if kind == "f8E4M3FN" else (2, 15)
    wide = arith.extui(b.type, value)
    magnitude = arith.andi(wide, b(0x7F))
    sign = arith.shli(arith.andi(wide, b(0x80)), b(24))
    moved = arith.bitcast(b.float, arith.shli(magnitude, b(23 - mantissa)))
    scale = arith.bitcast(b.float, b((127 + 127 - bias) << 23))
    number = arith.bitcast(b.type, arith.mulf(moved, scale))
    nan = b(0x7FC00000)
    eq, ugt = arith.CmpIPredicate.eq, arith.CmpIPredicate.ugt
    if kind == "f8E4M3FN":
        special = arith.cmpi(eq, magnitude, b(0x7F))
        number = arith.select(special, nan, number)
    else:
        infinite = arith.cmpi(eq, magnitude, b(0x7C))
        number = arith.select(infinite, b(0x7F800000), number)
        number = arith.select(arith.cmpi(ugt, magnitude, b(0x7C)), nan, number)
    return arith.bitcast(b.float, arith.ori(number, sign))


def _encode(value: ir.Value, kind: str) -> ir.Value:
    """The 8-bit float nearest to an f32, ties to even.

    Beyond the largest number: NaN in E4M3FN, which has no infinity; infinity in E5M2.
    Normal numbers round by adding half an ulp to the bits; what becomes denormal rounds
    in the addition of a number whose ulp is the smallest denormal.
    """
    b = _Bits(value)
    mantissa, bias = (3, 7) if kind == "f8E4M3FN" else (2, 15)
    overflow = 0x43E80000 if kind == "f8E4M3FN" else 0x47700000  # 464, 61440
    ult, uge, ugt = (
        arith.CmpIPredicate.ult,
        arith.CmpIPredicate.uge,
        arith.CmpIPredicate.ugt,
    )
    bits = arith.bitcast(b.type, value)
    sign = arith.andi(arith.shrui(bits, b(24)), b(0x80))
    magnitude = arith.andi(bits, b(0x7FFFFFFF))
    shift = 23 - mantissa
    odd = arith.andi(arith.shrui(magnitude, b(shift)), b(1))
    rounded = arith.addi(arith.addi(magnitude, odd), b((1 << (shift - 1)) - 1))
    rebias = ((127 - bias) << mantissa) & 0xFFFFFFFF
    normal = arith.subi(arith.shrui(rounded, b(shift)), b(rebias))
    magic = b((127 - bias + 1 + shift) << 23)
    summed = arith.addf(
        arith.bitcast(b.float, magnitude), arith.bitcast(b.float, magic)
    )
    denormal = arith.subi(arith.bitcast(b.type, summed), magic)
    small = arith.cmpi(ult, magnitude, b((127 - bias + 1) << 23))
    code = arith.select(small, denormal, normal)
    if (
        kind == "f8E4M3FN"
    ):  # 464 is a tie between 448 and what would be 480: to even, 448
        code = arith.select(arith.cmpi(ugt, magnitude, b(overflow)), b(0x7F), code)
    else:
        code = arith.select(arith.cmpi(uge, magnitude, b(overflow)), b(0x7C), code)
    nan = b(0x7F if kind == "f8E4M3FN" else 0x7E)
    code = arith.select(arith.cmpi(ugt, magnitude, b(0x7F800000)), nan, code)
    return arith.trunci(_like(value, _byte()), arith.ori(code, sign))
