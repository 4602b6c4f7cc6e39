"""erf, erfc and the gelu that is made of them.

erfc(t) = e^(−t²)·erfcx(t) for t ≥ 0, where erfcx is a quotient of polynomials and t² is
kept in two parts: the relative error stays small down to the last denormal.
"""

from __future__ import annotations

from collections.abc import Sequence

from ix.passes.cpu.vector_math.coefficients import (
    ERF_LARGE,
    ERF_SMALL,
    ERFCX,
    LN2,
    LOG2_E,
    NORMAL_TAIL,
)
from ix.passes.cpu.vector_math.exponential import (
    Steps,
    polynomial_exp,
    power_of_two,
    reduced,
    steps,
)
from ix.passes.cpu.vector_math.lanes import (
    F32,
    F64,
    Floats,
    at_least,
    at_most,
    exact_fma,
    horner,
    horner_by_pairs,
    multiply_add,
    quotient,
    select,
)

__all__ = ["erf", "erfc", "gelu_erf"]

TAIL_OFFSET = 64
"""Powers of two by which gelu's tail is scaled: its least is a normal number then, and
only the last operation, whose result is rounded once, scales it back."""

NORMAL_UP_TO = {F32: 13.146246, F64: 37.615868}
"""The largest a for which a·Φ(−a) is a normal number, rounded down."""


def _above_one(t: Floats, square: Floats, coefficients: Sequence[float]) -> Floats:
    """1 + c0·t + c1·t² + …, one rounding of the sum as long as t is small."""
    return multiply_add(t, horner_by_pairs(t, square, coefficients), 1.0)


def _scaled_erfc(t: Floats, square: Floats) -> Floats:
    """e^(t²)·erfc(t) for t ≥ 0."""
    numerator, denominator = ERFCX[t.format]
    return _above_one(t, square, numerator) / _above_one(t, square, denominator)


def _gauss(a: Floats, square: Floats) -> tuple[Floats, Steps]:
    """e^(−a²) less 1, and a power of two to scale it by."""
    r, scale = steps(-square, exact_fma(-a, a, square))
    return polynomial_exp(r), scale


def erf(x: Floats) -> Floats:
    """x + x·P(x²) for |x| < 1, else 1 − erfc(|x|) with the sign of x."""
    a = abs(x)
    square = a * a
    small = multiply_add(a, horner(square, ERF_SMALL[x.format]), a)
    large = _erf_above_one(at_most(a, 4.0 if x.format == F32 else 6.0))
    return select(a < 1.0, small, large).with_sign_of(x)


def _erf_above_one(a: Floats) -> Floats:
    """erf(a) for 1 ≤ a; erfc(a) below 0.16 needs no accuracy relative to itself."""
    if a.format == F32:
        r, shifted = reduced(-(a * horner(a, ERF_LARGE)))
        p = polynomial_exp(r) + 1.0
    else:
        r, shifted = reduced(-(a * a))
        p = (polynomial_exp(r) + 1.0) * _scaled_erfc(a, a * a)
    return multiply_add(p, -power_of_two(shifted), 1.0)


def erfc(x: Floats) -> Floats:
    """1 − erf(x), accurate relative to itself."""
    a = at_most(abs(x), 10.1 if x.format == F32 else 27.3)
    square = a * a
    small, scale = _gauss(a, square)
    factor = _scaled_erfc(a, square)
    tail = multiply_add(factor, small, factor) * scale.first * scale.second
    return select(x < 0.0, 2.0 - tail, tail)


def gelu_erf(x: Floats) -> Floats:
    """x·Φ(x), Φ the normal distribution: max(x, −0) − a·Φ(−a) with a = |x|.

    Accurate relative to itself, also where Φ is small; −0 at −∞ and in place of
    denormals, with which processors are slow.
    """
    kind = x.format
    a = at_most(abs(x), 14.5 if kind == F32 else 38.7)
    square, half = a * a, a * 0.5
    r, shifted = _reduced_gauss(a, half, square)
    numerator, denominator = NORMAL_TAIL[kind]
    above = multiply_add(square, horner_by_pairs(a, square, numerator), half)
    factor = quotient(above, _above_one(a, square, denominator))
    tail = multiply_add(factor, polynomial_exp(r), factor) * power_of_two(shifted)
    tail = select(a > NORMAL_UP_TO[kind], 0.0, tail)
    return multiply_add(tail, -(2.0**-TAIL_OFFSET), at_least(x, -0.0))


def _reduced_gauss(a: Floats, half: Floats, square: Floats) -> tuple[Floats, Floats]:
    """r and the bits of 2^(n + TAIL_OFFSET) with e^(−a·half) = 2^n·e^r."""
    kind = a.format
    shift = kind.round_shift + kind.bias + TAIL_OFFSET
    shifted = multiply_add(square, -kind.nearest(LOG2_E) / 2, shift)
    n = shifted - shift
    high, low = kind.factor_parts(LN2)
    r = exact_fma(-half, a, n * -high)
    return multiply_add(n, -low, r), shifted
