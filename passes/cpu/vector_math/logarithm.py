"""log and its family: log x = e·ln 2 + log(1 + f) for x = 2^e·(1 + f), √½ ≤ 1 + f < √2.

log(1 + f) is kept as f + tail, so that e·ln 2 joins the small part first.
"""

from __future__ import annotations

from typing import NamedTuple

from ix.passes.cpu.vector_math.coefficients import (
    LN2,
    LOG1P_CUBE,
    LOG1P_QUOTIENT,
    LOG2_E,
    LOG10_2,
    LOG10_E,
    SQRT_HALF,
)
from ix.passes.cpu.vector_math.lanes import (
    F32,
    Floats,
    Format,
    Integers,
    horner,
    horner_by_pairs,
    multiply_add,
    select,
)

__all__ = [
    "acosh",
    "asinh",
    "atanh",
    "log",
    "log1p",
    "log1p_tail",
    "log2",
    "log10",
    "mantissa_and_exponent",
]

_INFINITY = float("inf")
_NAN = float("nan")


class Logarithm(NamedTuple):
    """log x = exponent·ln 2 + f + tail."""

    exponent: Floats
    f: Floats
    tail: Floats


def _sqrt_half_bits(number_format: Format) -> int:
    """The bits of √½; below it an exponent counts as one less."""
    exact = int(SQRT_HALF * 2 ** (number_format.mantissa_bits + 1))
    implicit_one = 1 << number_format.mantissa_bits
    return ((number_format.bias - 1) << number_format.mantissa_bits) + (
        exact - implicit_one
    )


def mantissa_and_exponent(x: Floats) -> tuple[Floats, Integers]:
    """f and the integer e with x = 2^e·(1 + f), for a positive normal x."""
    kind = x.format
    base = _sqrt_half_bits(kind)
    offset = x.bits() - base
    mantissa = (offset & ((1 << kind.mantissa_bits) - 1)) + base
    return mantissa.as_floats() - 1.0, offset >> kind.mantissa_bits


def small_integer(n: Integers, like: Format) -> Floats:
    """An integer of magnitude below 2^22 as a float."""
    return _above_round_shift(n, like) - like.round_shift


def _above_round_shift(n: Integers, like: Format) -> Floats:
    """round_shift + n."""
    pattern = (like.bias + like.mantissa_bits) << like.mantissa_bits
    return (n + (pattern | 1 << (like.mantissa_bits - 1))).as_floats()


def log1p_tail(f: Floats) -> Floats:
    """log(1 + f) − f for √½ ≤ 1 + f ≤ √2."""
    if f.format == F32:
        square = f * f
        return multiply_add(
            square, -0.5, square * f * horner_by_pairs(f, square, LOG1P_CUBE)
        )
    # s = f / (2 + f), log(1 + f) = f − (h − s·(h + s²·P(s²))) with h = f²/2: the form
    # of fdlibm's e_log.c, with coefficients of ix's own.
    s = f / (f + 2.0)
    z = s * s
    half_square = f * f * 0.5
    return multiply_add(
        s, multiply_add(z, horner(z, LOG1P_QUOTIENT), half_square), -half_square
    )


def _decompose(x: Floats) -> Logarithm:
    """For positive finite x, denormal or not."""
    kind = x.format
    raised = kind.mantissa_bits + 1
    denormal = x < 2.0 ** (1 - kind.bias)
    f, e = mantissa_and_exponent(select(denormal, x * 2.0**raised, x))
    shift = x.constant(kind.round_shift)
    exponent = _above_round_shift(e, kind) - select(
        denormal, x.constant(kind.round_shift + raised), shift
    )
    return Logarithm(exponent, f, log1p_tail(f))


def _with_limits(x: Floats, y: Floats) -> Floats:
    """y = log x where 0 < x < ∞; −∞ at 0, NaN below, ∞ at ∞, NaN at NaN."""
    y = select(x < _INFINITY, y, x)
    y = select(x.equals(0.0), -_INFINITY, y)
    return select(x < 0.0, _NAN, y)


def _natural(parts: Logarithm) -> Floats:
    high, low = parts.f.format.factor_parts(LN2)
    small = multiply_add(parts.exponent, low, parts.tail)
    return multiply_add(parts.exponent, high, parts.f + small)


def log(x: Floats) -> Floats:
    """The natural logarithm."""
    return _with_limits(x, _natural(_decompose(x)))


def log2(x: Floats) -> Floats:
    """The logarithm to base 2; exact for powers of two."""
    parts = _decompose(x)
    high, low = x.format.parts(LOG2_E, 2)
    small = multiply_add(parts.f, low, parts.tail * high)
    return _with_limits(x, multiply_add(parts.f, high, small) + parts.exponent)


def log10(x: Floats) -> Floats:
    """The logarithm to base 10."""
    parts = _decompose(x)
    high, low = x.format.parts(LOG10_E, 2)
    two_high, two_low = x.format.factor_parts(LOG10_2)
    small = multiply_add(
        parts.exponent, two_low, multiply_add(parts.f, low, parts.tail * high)
    )
    y = multiply_add(parts.exponent, two_high, multiply_add(parts.f, high, small))
    return _with_limits(x, y)


def log1p(x: Floats) -> Floats:
    """log(1 + x), with the sign of x for 0.

    u = 1 + x loses the low bits c of x; f takes them back, divided by u's 2^e.
    """
    kind = x.format
    u = x + 1.0
    c = x - (u - 1.0)
    f, e = mantissa_and_exponent(u)
    # Where e is above 60, c is 0: any finite power of two will do.
    inverse = kind.bias - e.at_most(60)
    f = multiply_add(c, (inverse << kind.mantissa_bits).as_floats(), f)
    y = _natural(Logarithm(small_integer(e, kind), f, log1p_tail(f)))
    return _with_limits(u, y).with_sign_of(x)


def _doubles_itself(x: Floats) -> float:
    """From here on √(x² ± 1) rounds to x."""
    return 2.0 ** (x.format.mantissa_bits + 3)


def asinh(x: Floats) -> Floats:
    """log1p(a + a² / (1 + √(1 + a²))) for a = |x|; log a + ln 2 where a is large."""
    a = abs(x)
    large = a > _doubles_itself(x)
    square = a * a
    t = a + square / ((square + 1.0).sqrt() + 1.0)
    more = select(large, x.constant(x.format.nearest(LN2)), 0.0)
    return (log1p(select(large, a, t)) + more).with_sign_of(x)


def acosh(x: Floats) -> Floats:
    """log1p(t + √(t·(t + 2))) for t = x − 1; log x + ln 2 where x is large."""
    large = x > _doubles_itself(x)
    t = x - 1.0
    root = t + multiply_add(t, t, t * 2.0).sqrt()
    more = select(large, x.constant(x.format.nearest(LN2)), 0.0)
    return select(x >= 1.0, log1p(select(large, x, root)) + more, _NAN)


def atanh(x: Floats) -> Floats:
    """log1p(2a / (1 − a)) / 2 for a = |x|; NaN for a > 1."""
    a = abs(x)
    return (log1p((a + a) / (1.0 - a)) * 0.5).with_sign_of(x)
