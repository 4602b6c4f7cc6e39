"""exp and its family: e^x = 2^n · e^r with n = round(x / ln 2), |r| ≤ ln 2 / 2.

r is all but exact: n·ln 2 is subtracted in two parts, of which the first has so few
bits that its product and the difference are representable. Errors are in `table.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ix.passes.cpu.vector_math.coefficients import (
    COSH,
    EXP,
    EXPM1,
    LN2,
    LOG2_E,
    SINH,
    TANH_SMALL,
)
from ix.passes.cpu.vector_math.lanes import (
    F32,
    Floats,
    Format,
    at_least,
    at_most,
    horner,
    horner_by_pairs,
    multiply_add,
    select,
)

__all__ = [
    "cosh",
    "exp",
    "exp2",
    "exp_non_positive",
    "expm1",
    "polynomial_exp",
    "power_of_two",
    "reduced",
    "scaled",
    "sinh",
    "steps",
    "tanh",
]


class Steps(NamedTuple):
    """A power of two as a product of two, each of which is a normal number."""

    first: Floats
    second: Floats


def _underflow(number_format: Format) -> float:
    """exp of this and of all below rounds to 0."""
    return -104.0 if number_format == F32 else -746.0


def _overflow(number_format: Format) -> float:
    """exp of this and of all above rounds to infinity."""
    return 89.0 if number_format == F32 else 710.0


def _round_ln2(x: Floats, offset: float) -> tuple[Floats, Floats]:
    """round(x / ln 2): with `offset` in the low bits, and as a float without it."""
    shift = x.format.round_shift + offset
    shifted = multiply_add(x, x.format.nearest(LOG2_E), shift)
    return shifted, shifted - shift


def _remainder(x: Floats, n: Floats, lost: Floats | None = None) -> Floats:
    """x + lost − n·ln 2, rounded once."""
    high, low = x.format.factor_parts(LN2)
    exact = multiply_add(n, -high, x)
    return (
        multiply_add(n, -low, exact)
        if lost is None
        else exact + multiply_add(n, -low, lost)
    )


def reduced(x: Floats, exponent_offset: int = 0) -> tuple[Floats, Floats]:
    """r and the bits of 2^(n + exponent_offset), yet to be read by `power_of_two`."""
    shifted, n = _round_ln2(x, x.format.bias + exponent_offset)
    return _remainder(x, n), shifted


def power_of_two(shifted: Floats) -> Floats:
    """2^n from n + bias in the low bits of `shifted`; 0 for n = −bias.

    The exponent's field is all that the shift leaves: a NaN gives a finite number,
    which the polynomial's NaN overrides in the product.
    """
    return (shifted.bits() << shifted.format.mantissa_bits).as_floats()


def steps(x: Floats, lost: Floats | None = None) -> tuple[Floats, Steps]:
    """r and 2^n in two factors: their products reach denormals and infinity.

    Args:
        x: Within twice the range of exponents of normal numbers, times ln 2.
        lost: What x had no room for.
    """
    kind = x.format
    shifted, n = _round_ln2(x, 2 * kind.bias)
    half = multiply_add(x, kind.nearest(LOG2_E) / 2, kind.round_shift + kind.bias)
    rest = (shifted.bits() - half.bits()) << kind.mantissa_bits
    return _remainder(x, n, lost), Steps(power_of_two(half), rest.as_floats())


def polynomial_exp(r: Floats) -> Floats:
    """e^r − 1 for |r| ≤ ln 2 / 2, accurate relative to e^r."""
    return _polynomial(r, EXP[r.format])


def polynomial_expm1(r: Floats) -> Floats:
    """e^r − 1 for |r| ≤ ln 2 / 2, accurate relative to itself."""
    return _polynomial(r, EXPM1[r.format])


def _polynomial(r: Floats, coefficients: Sequence[float]) -> Floats:
    square = r * r
    return multiply_add(square, horner_by_pairs(r, square, coefficients), r)


def scaled(expm1_r: Floats, by: Steps) -> Floats:
    """(1 + expm1_r) times a power of two; a denormal is rounded once."""
    return multiply_add(by.first, expm1_r, by.first) * by.second


def exp(x: Floats) -> Floats:
    """e^x for every x; denormal results are rounded once."""
    kind = x.format
    r, scale = steps(at_most(at_least(x, _underflow(kind)), _overflow(kind)))
    return scaled(polynomial_exp(r), scale)


def exp_non_positive(x: Floats) -> Floats:
    """e^x for x ≤ 0, as softmax needs it; about three quarters of the cost of `exp`.

    Results below about 0.7 times the smallest normal number are 0.
    """
    kind = x.format
    # There n is −bias, and 2^n by its bits is 0.
    r, shifted = reduced(at_least(x, -(kind.bias + 0.01) * float(LN2)))
    scale = power_of_two(shifted)
    return multiply_add(scale, polynomial_exp(r), scale)


def exp2(x: Floats, lost: Floats | None = None) -> Floats:
    """2^(x + lost), lost being what x had no room for; exact for integers."""
    kind = x.format
    x = at_most(at_least(x, -151.0 if kind == F32 else -1076.0), kind.bias + 2.0)
    shift = kind.round_shift + 2 * kind.bias
    shifted = x + shift
    half = multiply_add(x, 0.5, kind.round_shift + kind.bias)
    rest = (shifted.bits() - half.bits()) << kind.mantissa_bits
    r = x - (shifted - shift)
    r = (r if lost is None else r + lost) * kind.nearest(LN2)
    scale = Steps(power_of_two(half), rest.as_floats())
    return scaled(polynomial_exp(r), scale)


def expm1(x: Floats) -> Floats:
    """e^x − 1 = 2·(2^(n−1)·(e^r − 1) + 2^(n−1) − 1/2), with the sign of x for 0."""
    kind = x.format
    floor = -20.0 if kind == F32 else -40.0
    r, shifted = reduced(at_most(at_least(x, floor), _overflow(kind)), -1)
    scale = power_of_two(shifted)
    y = multiply_add(scale, polynomial_expm1(r), scale - 0.5) * 2.0
    return select(abs(x) < kind.tiny, x, y)


def tanh(x: Floats) -> Floats:
    """x + x³·P(x²) for small x, else t / (t + 2) with t = expm1(2·|x|)."""
    a = abs(x)
    square = a * a
    small = multiply_add(a * square, horner(square, TANH_SMALL[x.format]), a)
    r, shifted = reduced(at_most(a * 2.0, 20.0 if x.format == F32 else 40.0))
    scale = power_of_two(shifted)
    t = multiply_add(scale, polynomial_expm1(r), scale - 1.0)
    return select(a < 0.55, small, t / (t + 2.0)).with_sign_of(x)


class _Hyperbolic(NamedTuple):
    """What sinh and cosh of x = n·ln 2 + r are put together from."""

    sinh_r: Floats
    cosh_r_minus_1: Floats
    total: Floats
    """2^(n−3) + 2^(−n−3)"""
    difference: Floats
    """2^(n−3) − 2^(−n−3)"""


def _hyperbolic(x: Floats) -> _Hyperbolic:
    kind = x.format
    bound = 90.0 if kind == F32 else 711.0
    x = at_most(at_least(x, -bound), bound)
    # Exponents are lowered by 3 so that 2^n stays finite up to the bound; those that
    # are too small to represent become 0.
    shifted, n = _round_ln2(x, kind.bias - 3)
    mirrored = 2.0 * (kind.round_shift + kind.bias - 3) - shifted
    up = power_of_two(at_least(shifted, kind.round_shift))
    down = power_of_two(at_least(mirrored, kind.round_shift))
    r = _remainder(x, n)
    square = r * r
    sinh_r = multiply_add(r * square, horner(square, SINH[kind]), r)
    cosh_r_minus_1 = square * horner(square, COSH[kind])
    return _Hyperbolic(sinh_r, cosh_r_minus_1, up + down, up - down)


def sinh(x: Floats) -> Floats:
    """sinh(n ln 2)·cosh r + cosh(n ln 2)·sinh r, the small terms first."""
    h = _hyperbolic(x)
    small = multiply_add(h.total, h.sinh_r, h.difference * h.cosh_r_minus_1)
    # Scaling would cost a denormal its last bits.
    tiny = abs(x) < 2.0 ** -(x.format.mantissa_bits // 2 + 2)
    return select(tiny, x, (h.difference + small) * 4.0)


def cosh(x: Floats) -> Floats:
    """cosh(n ln 2)·cosh r + sinh(n ln 2)·sinh r, the small terms first."""
    h = _hyperbolic(x)
    small = multiply_add(h.difference, h.sinh_r, h.total * h.cosh_r_minus_1)
    return (h.total + small) * 4.0
