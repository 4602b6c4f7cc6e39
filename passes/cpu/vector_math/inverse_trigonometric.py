"""asin, acos, atan and atan2 of f32: a polynomial near 0, identities elsewhere."""

from __future__ import annotations

from ix.passes.cpu.vector_math.coefficients import ARCSIN, ARCTAN, PI
from ix.passes.cpu.vector_math.lanes import (
    F32,
    Floats,
    Mask,
    horner,
    multiply_add,
    select,
)

__all__ = ["acos", "asin", "atan", "atan2"]

_PI_HIGH, _PI_LOW = F32.parts(PI, 2)
_HALF_PI_HIGH, _HALF_PI_LOW = F32.parts(PI / 2, 2)


def _half_arcsine(x: Floats) -> tuple[Floats, Mask]:
    """p and whether |x| > 1/2: arcsin|x| is p, or π/2 − 2p where it is.

    arcsin a = π/2 − 2·arcsin √((1 − a) / 2); NaN for a > 1 by the root.
    """
    a = abs(x)
    above = a > 0.5
    square = select(above, multiply_add(a, -0.5, 0.5), a * a)
    s = select(above, square.sqrt(), a)
    return multiply_add(s * square, horner(square, ARCSIN), s), above


def asin(x: Floats) -> Floats:
    """arcsin x; NaN for |x| > 1."""
    p, above = _half_arcsine(x)
    other = multiply_add(p, -2.0, _HALF_PI_HIGH) + _HALF_PI_LOW
    return select(above, other, p).with_sign_of(x)


def acos(x: Floats) -> Floats:
    """π/2 − arcsin x where |x| ≤ 1/2, else 2p, or π − 2p below 0."""
    p, above = _half_arcsine(x)
    middle = (_HALF_PI_HIGH - p.with_sign_of(x)) + _HALF_PI_LOW
    twice = p + p
    outer = select(x < 0.0, (_PI_HIGH - twice) + _PI_LOW, twice)
    return select(above, outer, middle)


def _arctangent(t: Floats) -> Floats:
    """arctan t for |t| ≤ 1."""
    square = t * t
    return multiply_add(t * square, horner(square, ARCTAN), t)


def atan(x: Floats) -> Floats:
    """arctan |x|, above 1 as π/2 − arctan(1 / |x|), with the sign of x."""
    a = abs(x)
    above = a > 1.0
    p = _arctangent(select(above, 1.0 / a, a))
    return select(above, (_HALF_PI_HIGH - p) + _HALF_PI_LOW, p).with_sign_of(x)


def atan2(y: Floats, x: Floats) -> Floats:
    """The angle of the point (x, y), −π to π; zeros and infinities as in IEEE 754."""
    a, b = abs(x), abs(y)
    steep = b > a
    less, more = select(steep, a, b), select(steep, b, a)
    # 0/0 and ∞/∞ are taken as 0 and 1.
    t = select(less.equals(more), 1.0, less / more)
    t = select(more.equals(0.0), less, t)
    p = _arctangent(t)
    p = select(steep, (_HALF_PI_HIGH - p) + _HALF_PI_LOW, p)
    p = select(x.bits().is_negative(), (_PI_HIGH - p) + _PI_LOW, p)
    return p.with_sign_of(y)
