"""float64 arithmetic in all rounding modes, and a fused multiply-add that is exact.

NumPy rounds float64 to nearest alone and has no fused multiply-add. Sums are rounded
by their exact error. A product is split into two float64 where nothing over- or
underflows on the way; the few other finite elements, and quotients and roots in
directed modes, are computed with Python's integers, one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array
from ix.emulator.alu_rounding import step_toward, to_odd, two_sum

__all__ = ["add_f64", "divide_f64", "fma_f64", "multiply_f64", "sqrt_f64"]

_PRECISION: Final = 53
_MIN_EXPONENT: Final = -1074
_MAX: Final = float(np.finfo(np.float64).max)

# Between these magnitudes products, their errors and sums with c stay normal.
_SMALL: Final = 2.0**-400
_LARGE: Final = 2.0**400


def add_f64(a: Array, b: Array, mode: str) -> Any:
    """a + b in float64."""
    if mode == "rn":
        return np.add(a, b)
    s, e = two_sum(a, b)
    result = step_toward(s, e, mode)
    # A sum that is exactly zero is -0 where rounding goes down, unless both are +0.
    if mode == "rm":
        cancels = (s == 0) & ~((a == 0) & (b == 0) & ~np.signbit(a) & ~np.signbit(b))
        result = np.where(cancels, -0.0, result)
    overflows = np.isinf(s) & np.isfinite(a) & np.isfinite(b)
    return np.where(overflows, _held(s, mode), result)


def _held(infinite: Array, mode: str) -> Any:
    """Infinities that come from overflow, rounded in a directed mode."""
    stops: Any = {"rz": True, "rm": infinite > 0, "rp": infinite < 0}[mode]
    return np.where(stops, np.copysign(_MAX, infinite), infinite)


def multiply_f64(a: Array, b: Array, mode: str) -> Array:
    """a · b in float64."""
    product = np.multiply(a, b)
    if mode == "rn":
        return product
    usual = _usual(a) & _usual(b)
    result = step_toward(product, _product_error(a, b, product), mode)
    return _patched(
        result, ~usual, lambda x, y: _exact_product_sum(x, y, None, mode), a, b
    )


def fma_f64(a: Array, b: Array, c: Array, mode: str) -> Array:
    """a · b + c in float64, rounded once."""
    high = np.multiply(a, b)
    low = _product_error(a, b, high)
    total, part = two_sum(c, low)
    s, rest = two_sum(high, total)
    result = add_f64(s, to_odd(*two_sum(part, rest)), mode)
    usual = (_usual(a) | (a == 0)) & (_usual(b) | (b == 0)) & (_usual(c) | (c == 0))
    if np.all(usual & (s != 0)):
        return np.asarray(result)
    # A sum of exactly 0 has the sign of the plain sum, whose product is exact then.
    result = np.where((s == 0) & (part == 0), add_f64(high, c, mode), result)
    # Infinities and NaN are not rounded; c decides where the product is finite.
    is_product_finite = np.isfinite(a) & np.isfinite(b)
    is_finite = is_product_finite & np.isfinite(c)
    result = np.where(is_finite, result, np.where(is_product_finite, c, high + c))
    return _patched(
        result,
        is_finite & ~usual,
        lambda x, y, z: _exact_product_sum(x, y, z, mode),
        a,
        b,
        c,
    )


def divide_f64(a: Array, b: Array, mode: str) -> Array:
    """a / b in float64."""
    quotient = np.divide(a, b)
    if mode == "rn":
        return quotient
    return _patched(
        quotient,
        np.isfinite(a) & np.isfinite(b) & (a != 0) & (b != 0),
        lambda x, y: _rounded(Fraction(x) / Fraction(y), mode),
        a,
        b,
    )


def sqrt_f64(a: Array, mode: str) -> Array:
    """√a in float64."""
    root = np.sqrt(a)
    if mode == "rn":
        return root
    return _patched(root, np.isfinite(a) & (a > 0), lambda x: _exact_root(x, mode), a)


def _usual(x: Array) -> Any:
    magnitude = np.abs(x)
    return (magnitude > _SMALL) & (magnitude < _LARGE)


def _split(x: Array) -> tuple[Array, Array]:
    """x as the sum of two float64 of 26 bits each. Source: Veltkamp's splitting."""
    scaled = x * 134217729.0  # 2²⁷ + 1
    high = scaled - (scaled - x)
    return high, x - high


def _product_error(a: Array, b: Array, product: Array) -> Any:
    """a · b - product, exactly. Source: Dekker's multiplication."""
    a1, a0 = _split(np.asarray(a, np.float64))
    b1, b0 = _split(np.asarray(b, np.float64))
    return a0 * b0 - (((product - a1 * b1) - a0 * b1) - a1 * b0)


def _patched(
    result: Array, where: Array, function: Callable[..., float], *operands: Array
) -> Array:
    """`result`, with what lies at `where` computed one by one."""
    result = np.array(result, np.float64)
    where, *full = np.broadcast_arrays(where, *operands)
    if where.any():
        values = zip(*(x[where].tolist() for x in full), strict=True)
        result[where] = [function(*each) for each in values]
    return result


def _exact_product_sum(a: float, b: float, c: float | None, mode: str) -> float:
    """a · b + c for any floats; without c, a · b."""
    addend = -0.0 if c is None else c
    if not (math.isfinite(a) and math.isfinite(b)):
        return a * b + addend
    if not math.isfinite(addend):
        return addend
    exact = Fraction(a) * Fraction(b) + Fraction(addend)
    if exact:
        return _rounded(exact, mode)
    product = math.copysign(1.0, a) * math.copysign(1.0, b)
    if c is None or (a * b == c == 0 and product == math.copysign(1.0, c)):
        return math.copysign(0.0, product)
    return -0.0 if mode == "rm" else 0.0


def _exact_root(a: float, mode: str) -> float:
    """√a of a positive number, from the root of an integer of over 1000 bits."""
    numerator, denominator = a.as_integer_ratio()
    scaled = numerator << 2400 - (denominator.bit_length() - 1)  # a · 2²⁴⁰⁰
    root = math.isqrt(scaled)
    # A bit below stands for what the integer root leaves.
    return _rounded(Fraction(2 * root + (root * root != scaled), 2 << 1200), mode)


def _rounded(exact: Fraction, mode: str) -> float:
    """The float64 for a number other than zero."""
    magnitude = abs(exact)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** exponent:
        exponent -= 1
    last = max(exponent - _PRECISION + 1, _MIN_EXPONENT)
    units = magnitude / Fraction(2) ** last
    floor = math.floor(units)
    rest = units - floor
    away = {"rz": False, "rm": exact < 0, "rp": exact > 0}
    if mode == "rn":
        up = 2 * rest > 1 or (2 * rest == 1 and floor % 2 == 1)
    else:
        up = rest > 0 and away[mode]
    floor += up
    if floor.bit_length() + last > 1024:
        largest = _MAX if mode != "rn" and not away[mode] else math.inf
        return -largest if exact < 0 else largest
    result = math.ldexp(floor, last)
    return -result if exact < 0 else result
