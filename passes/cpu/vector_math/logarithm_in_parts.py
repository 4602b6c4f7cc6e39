"""log2 of f64 in two numbers, their sum good to 2^−64: what a power of f64 needs.

log2 x = e + s·(c + s²·(c/3 + s²·Q(s²))) for x = 2^e·(1 + f), s = f / (2 + f) and
c = 2 / ln 2. Products and the quotient keep by fma what they lose, the sum of a large
and a small number by Dekker's Fast2Sum.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from ix.passes.cpu.vector_math.coefficients import LOG2_E, POWER_LOG2_TAIL
from ix.passes.cpu.vector_math.lanes import (
    F64,
    Floats,
    exact_fma,
    horner_by_pairs,
    multiply_add,
    select,
)
from ix.passes.cpu.vector_math.logarithm import mantissa_and_exponent, small_integer

__all__ = ["Parts", "log2_in_parts", "product_in_parts"]


class Parts(NamedTuple):
    """A number and the rest that it has no room for."""

    high: Floats
    low: Floats


def _sum(large: Floats, small: Parts, more: Floats | float = 0.0) -> Parts:
    """large + small + more, |large| ≥ |small| or large = 0."""
    high = large + small.high
    return Parts(high, (large - high) + small.high + (small.low + more))


def _product(a: Parts, b: Parts) -> Parts:
    high = a.high * b.high
    low = exact_fma(a.high, b.high, -high)
    return Parts(high, multiply_add(a.high, b.low, multiply_add(a.low, b.high, low)))


def product_in_parts(y: Floats, x: Parts) -> Parts:
    """y·(x.high + x.low)."""
    high = y * x.high
    return Parts(high, multiply_add(y, x.low, exact_fma(y, x.high, -high)))


def _quotient(f: Floats) -> Parts:
    """f / (2 + f)."""
    divisor = f + 2.0
    lost = f - (divisor - 2.0)
    inverse = 1.0 / divisor
    high = f * inverse
    rest = multiply_add(-high, lost, exact_fma(-high, divisor, f))
    return Parts(high, rest * inverse)


def log2_in_parts(x: Floats) -> Parts:
    """log2 x for a positive finite x, denormal or not."""
    denormal = x < 2.0 ** (1 - F64.bias)
    f, e = mantissa_and_exponent(select(denormal, x * 2.0**53, x))
    exponent = small_integer(e, F64) - select(denormal, x.constant(53.0), 0.0)
    s = _quotient(f)
    square = _product(s, s)
    z = square.high
    tail = z * horner_by_pairs(z, z * z, POWER_LOG2_TAIL)
    factor = _plus_constant(2 * LOG2_E / 3, Parts(tail, x.constant(0.0)))
    factor = _plus_constant(2 * LOG2_E, _product(square, factor))
    return _sum(exponent, _product(s, factor))


def _plus_constant(value: Decimal, small: Parts) -> Parts:
    """value + small, both parts of `value` counted."""
    high, low = F64.parts(value, 2)
    return _sum(small.high.constant(high), small, low)
