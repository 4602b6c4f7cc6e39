"""erf, erfc and the gelu that is made of them.

erfc(t) = e^(−t²)·erfcx(t) for t ≥ 0, where erfcx is a quotient of polynomials and t² is
kept in two parts: the relative error stays small down to the last denormal.
"""

from __future__ import annotations

from collections.abc import Mapping

from ix.passes.cpu.vector_math.coefficients import (
    ERF_LARGE,
    ERF_SMALL,
    ERFCX,
    NORMAL_TAIL,
)
from ix.passes.cpu.vector_math.exponential import (
    Steps,
    polynomial_expm1,
    power_of_two,
    reduced,
    steps,
)
from ix.passes.cpu.vector_math.lanes import (
    F32,
    Floats,
    Format,
    at_most,
    fma,
    horner,
    select,
)

__all__ = ["erf", "erfc", "gelu_erf"]

_Quotient = tuple[tuple[float, ...], tuple[float, ...]]


def _quotient(t: Floats, table: Mapping[Format, _Quotient]) -> Floats:
    numerator, denominator = table[t.format]
    return horner(t, numerator) / horner(t, denominator)


def _gauss(a: Floats, factor: float) -> tuple[Floats, Steps]:
    """e^(factor·a²) less 1, and a power of two to scale it by; factor −1 or −1/2."""
    square = a * a
    lost = fma(a, a, -square)
    r, scale = steps(square * factor)
    return polynomial_expm1(fma(lost, factor, r)), scale


def erf(x: Floats) -> Floats:
    """x + x·P(x²) for |x| < 1, else 1 − erfc(|x|) with the sign of x."""
    a = abs(x)
    square = a * a
    small = fma(a, horner(square, ERF_SMALL[x.format]), a)
    large = _erf_above_one(at_most(a, 4.0 if x.format == F32 else 6.0))
    return select(a < 1.0, small, large).with_sign_of(x)


def _erf_above_one(a: Floats) -> Floats:
    """erf(a) for 1 ≤ a; erfc(a) below 0.16 needs no accuracy relative to itself."""
    if a.format == F32:
        r, shifted = reduced(-(a * horner(a, ERF_LARGE)))
        p = polynomial_expm1(r) + 1.0
    else:
        r, shifted = reduced(-(a * a))
        p = (polynomial_expm1(r) + 1.0) * _quotient(a, ERFCX)
    return fma(p, -power_of_two(shifted), 1.0)


def erfc(x: Floats) -> Floats:
    """1 − erf(x), accurate relative to itself."""
    a = at_most(abs(x), 10.1 if x.format == F32 else 27.3)
    small, scale = _gauss(a, -1.0)
    factor = _quotient(a, ERFCX)
    tail = fma(factor, small, factor) * scale.first * scale.second
    return select(x < 0.0, 2.0 - tail, tail)


def gelu_erf(x: Floats) -> Floats:
    """x·Φ(x), Φ the normal distribution: x·Φ(−|x|) below 0, x − x·Φ(−|x|) above.

    Accurate relative to itself, also where Φ is small; −0 at −∞.
    """
    a = at_most(abs(x), 14.5 if x.format == F32 else 38.7)
    small, scale = _gauss(a, -0.5)
    factor = a * _quotient(a, NORMAL_TAIL)
    # The factors come before the power of two, which may make a denormal.
    tail = fma(factor, small, factor) * scale.first * scale.second
    return select(x > 0.0, x - tail, tail).with_sign_of(x)
