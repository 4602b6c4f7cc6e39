"""sin, cos and tan of an f64 beyond 2^30, where a CPU would call libm.

    |x| = m · 2^e:   m · 2^e · 2/π mod 4 = m · W · 2^−190 mod 4

W is 192 bits of 2/π, from the first that does not count whole turns (Payne and Hanek,
"Radian Reduction for Trigonometric Functions", 1983). No f64 comes closer to a multiple
of π/2 than 2^−62 of it, so that 128 bits of the fraction hold all that counts.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

import numpy as np

from ix.mlir import arith, func, ir, math, memref, ops_in, vector
from ix.passes.cpu.vector_math.coefficients import PI
from ix.passes.cpu.vector_math.lanes import Floats, Integers
from ix.passes.cpu.vector_math.trigonometric import ENDS

__all__ = ["define_far_functions"]

TABLE = "ix_two_over_pi"
LEADING = 64
"""Zero bits before those of 2/π: at the least exponent the window begins in them."""

WORDS = 24


def define_far_functions(holder: Any) -> None:
    """math.sin %x : f64 → call @ix_sin(%x), with the function in the gpu.module."""
    block = holder.operation.regions[0].blocks[0]
    functions: dict[str, Any] = {}
    for op in ops_in(holder):
        name = op.operation.name.removeprefix("math.")
        if not op.operation.name.startswith("math.") or name not in ENDS:
            continue
        (x,) = op.operation.operands
        with op.operation.location:
            if not functions:
                _define_table(block)
            if name not in functions:
                functions[name] = _define(block, name)
            with ir.InsertionPoint(op):
                value = _each_lane(x, lambda v, n=name: _call(n, v))
        op.operation.results[0].replace_all_uses_with(value)
        op.operation.erase()


def _call(name: str, x: Any) -> Any:
    return func.CallOp([x.type], f"ix_{name}", [x]).results[0]


def _each_lane(x: Any, one: Callable[[Any], Any]) -> Any:
    if not isinstance(x.type, ir.VectorType):
        return one(x)
    lanes = [
        vector.extract(x, dynamic_position=[], static_position=[n])
        for n in range(x.type.shape[0])
    ]
    return vector.from_elements(x.type, [one(lane) for lane in lanes])


def _define_table(block: Any) -> None:
    with localcontext() as context:
        context.prec = 520
        bits = int(Decimal(2) / _pi() * Decimal(2) ** (64 * WORDS - LEADING))
    words = [bits >> (64 * (WORDS - 1 - n)) & (2**64 - 1) for n in range(WORDS)]
    i64 = ir.IntegerType.get_signless(64)
    data = ir.DenseElementsAttr.get(np.array(words, np.uint64).view(np.int64), type=i64)
    with ir.InsertionPoint.at_block_begin(block):
        memref.GlobalOp(
            TABLE,
            ir.TypeAttr.get(ir.MemRefType.get([WORDS], i64)),
            sym_visibility=ir.StringAttr.get("private"),
            initial_value=data,
            constant=True,
        )


def _pi() -> Decimal:
    """π by Machin's formula, 16·atan(1/5) − 4·atan(1/239), to the context's digits."""

    def inverse_tangent(n: int) -> Decimal:
        power, total, k = Decimal(1) / n, Decimal(0), 0
        while power > Decimal(10) ** -515:
            total += (power if k % 2 == 0 else -power) / (2 * k + 1)
            power, k = power / (n * n), k + 1
        return total

    return 16 * inverse_tangent(5) - 4 * inverse_tangent(239)


def _define(block: Any, name: str) -> Any:
    f64 = ir.F64Type.get()
    with ir.InsertionPoint.at_block_begin(block):
        function = func.FuncOp(f"ix_{name}", ([f64], [f64]), visibility="private")
    function.operation.attributes["llvm.linkage"] = ir.Attribute.parse(
        "#llvm.linkage<internal>"
    )
    with ir.InsertionPoint(function.add_entry_block()):
        (x,) = function.arguments
        r, n = _reduced(x)
        y = ENDS[name](Floats(r), Integers(n))
        # Of infinity and NaN nothing is left but NaN.
        infinity = arith.constant(f64, float("inf"))
        finite = arith.cmpf(arith.CmpFPredicate.OLT, math.absf(x), infinity)
        nan = arith.constant(f64, float("nan"))
        func.ReturnOp([arith.select(finite, y.value, nan)])
    return function


class _Word:
    """An i64 under Python's operators; shifts and comparisons are unsigned."""

    def __init__(self, value: Any) -> None:
        self.value = value

    @staticmethod
    def of(number: int) -> _Word:
        signed = number - (1 << 64) if number >= 1 << 63 else number
        return _Word(arith.constant(ir.IntegerType.get_signless(64), signed))

    def _with(self, op: Any, other: _Word | int) -> _Word:
        right = other if isinstance(other, _Word) else _Word.of(other)
        return _Word(op(self.value, right.value))

    def __add__(self, other: _Word | int) -> _Word:
        return self._with(arith.addi, other)

    def __sub__(self, other: _Word | int) -> _Word:
        return self._with(arith.subi, other)

    def __and__(self, other: _Word | int) -> _Word:
        return self._with(arith.andi, other)

    def __or__(self, other: _Word | int) -> _Word:
        return self._with(arith.ori, other)

    def __xor__(self, other: _Word | int) -> _Word:
        return self._with(arith.xori, other)

    def __lshift__(self, other: _Word | int) -> _Word:
        return self._with(arith.shli, other)

    def __rshift__(self, other: _Word | int) -> _Word:
        return self._with(arith.shrui, other)

    def __mul__(self, other: _Word | int) -> _Word:
        return self._with(arith.muli, other)

    def below(self, other: _Word) -> Any:
        return arith.cmpi(arith.CmpIPredicate.ult, self.value, other.value)

    def is_zero(self) -> Any:
        zero = _Word.of(0).value
        return arith.cmpi(arith.CmpIPredicate.eq, self.value, zero)

    def times(self, other: _Word) -> tuple[_Word, _Word]:
        """Both halves of the product of two unsigned numbers: low, high."""
        low, high = arith.mului_extended(self.value, other.value)
        return _Word(low), _Word(high)


def _select(condition: Any, a: _Word, b: _Word) -> _Word:
    return _Word(arith.select(condition, a.value, b.value))


def _carry(condition: Any) -> _Word:
    return _Word(arith.extui(ir.IntegerType.get_signless(64), condition))


def _joined(high: _Word, low: _Word, shift: _Word) -> _Word:
    """The upper word of high:low << shift, for shift below 64."""
    # low >> (64 − shift) in two steps: a shift by 64 would be poison.
    return (high << shift) | ((low >> 1) >> (_Word.of(63) - shift))


def _window(exponent: _Word) -> list[_Word]:
    """Three words of 2/π from bit exponent + LEADING − 2 of the table, high first."""
    position = exponent + (LEADING - 2)
    word, shift = position >> 6, position & 63
    kind = ir.MemRefType.get([WORDS], ir.IntegerType.get_signless(64))
    table = memref.get_global(kind, TABLE)
    index = ir.IndexType.get()
    found = [
        _Word(memref.load(table, [arith.index_cast(index, (word + n).value)]))
        for n in range(4)
    ]
    return [_joined(found[n], found[n + 1], shift) for n in range(3)]


def _reduced(x: Any) -> tuple[Any, Any]:
    """r and n with x = n · π/2 + r; any numbers where |x| is below 2^30."""
    i64, f64 = ir.IntegerType.get_signless(64), ir.F64Type.get()
    bits = _Word(arith.bitcast(i64, x))
    field = (bits >> 52) & 0x7FF
    least, most = _Word.of(1053), _Word.of(2046)
    field = _Word(arith.minui(arith.maxui(field.value, least.value), most.value))
    mantissa = (bits & (2**52 - 1)) | 2**52
    high, middle, low = _window(field - 1075)
    first, carried = mantissa.times(low)
    second, upper = mantissa.times(middle)
    middle_sum = second + carried
    top = mantissa * high + upper + _carry(middle_sum.below(second))
    quarter = top >> 62
    # The fraction of a quarter, two words; from one half on it is counted from above.
    a, b = (
        _joined(top, middle_sum, _Word.of(2)),
        _joined(middle_sum, first, _Word.of(2)),
    )
    above = a >> 63
    flip = _Word.of(0) - above
    a, b = a ^ flip, b ^ flip
    n = quarter + above
    r = _fraction(a, b)
    r = arith.mulf(r, arith.constant(f64, float(PI / 2)))
    negative = (bits >> 63) ^ above
    r = arith.bitcast(f64, (_Word(arith.bitcast(i64, r)) ^ (negative << 63)).value)
    turned = _select((bits >> 63).is_zero(), n, _Word.of(0) - n)
    return r, turned.value


def _fraction(a: _Word, b: _Word) -> Any:
    """a:b · 2^−128 as an f64, to its full precision."""
    f64 = ir.F64Type.get()
    small = a.is_zero()
    high, low = _select(small, b, a), _select(small, _Word.of(0), b)
    zeros = _Word(math.ctlz(high.value))
    zeros = _select(high.is_zero(), _Word.of(0), zeros)
    number = arith.uitofp(f64, _joined(high, low, zeros).value)
    offset = _select(small, _Word.of(1023 - 128), _Word.of(1023 - 64))
    scale = arith.bitcast(f64, ((offset - zeros) << 52).value)
    return arith.mulf(number, scale)
