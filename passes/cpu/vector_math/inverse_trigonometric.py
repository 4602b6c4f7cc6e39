"""asin, acos, atan and atan2: a polynomial near 0, identities elsewhere."""

from __future__ import annotations

from decimal import Decimal

from ix.passes.cpu.vector_math.coefficients import ARCSIN, ARCTAN, PI
from ix.passes.cpu.vector_math.lanes import (
    Floats,
    Mask,
    horner,
    horner_by_pairs,
    multiply_add,
    select,
)

__all__ = ["acos", "asin", "atan", "atan2"]


def _less(x: Floats, angle: Decimal) -> Floats:
    """angle − x, the angle in two parts."""
    high, low = x.format.parts(angle, 2)
    return (high - x) + low


def _half_arcsine(x: Floats) -> tuple[Floats, Mask]:
    """p and whether |x| > 1/2: arcsin|x| is p, or π/2 − 2p where it is.

    arcsin a = π/2 − 2·arcsin √((1 − a) / 2); NaN for a > 1 by the root.
    """
    a = abs(x)
    above = a > 0.5
    square = select(above, multiply_add(a, -0.5, 0.5), a * a)
    s = select(above, square.sqrt(), a)
    return multiply_add(s * square, horner(square, ARCSIN[x.format]), s), above


def asin(x: Floats) -> Floats:
    """arcsin x; NaN for |x| > 1."""
    p, above = _half_arcsine(x)
    return select(above, _less(p + p, PI / 2), p).with_sign_of(x)


def acos(x: Floats) -> Floats:
    """π/2 − arcsin x where |x| ≤ 1/2, else 2p, or π − 2p below 0."""
    p, above = _half_arcsine(x)
    middle = _less(p.with_sign_of(x), PI / 2)
    twice = p + p
    outer = select(x < 0.0, _less(twice, PI), twice)
    return select(above, outer, middle)


def _arctangent(t: Floats) -> Floats:
    """arctan t for |t| ≤ 1."""
    square = t * t
    return multiply_add(
        t * square, horner_by_pairs(square, square * square, ARCTAN[t.format]), t
    )


def atan(x: Floats) -> Floats:
    """arctan |x|, above 1 as π/2 − arctan(1 / |x|), with the sign of x."""
    a = abs(x)
    above = a > 1.0
    p = _arctangent(select(above, 1.0 / a, a))
    return select(above, _less(p, PI / 2), p).with_sign_of(x)


def atan2(y: Floats, x: Floats) -> Floats:
    """The angle of the point (x, y), −π to π; zeros and infinities as in IEEE 754."""
    a, b = abs(x), abs(y)
    steep = b > a
    less, more = select(steep, a, b), select(steep, b, a)
    # 0/0 and ∞/∞ are taken as 0 and 1.
    t = select(less.equals(more), 1.0, less / more)
    t = select(more.equals(0.0), less, t)
    p = _arctangent(t)
    p = select(steep, _less(p, PI / 2), p)
    p = select(x.bits().is_negative(), _less(p, PI), p)
    return p.with_sign_of(y)
