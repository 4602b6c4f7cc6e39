"""x^y, the cube root, and the reciprocal square root."""

from __future__ import annotations

from ix.mlir import ir, scf
from ix.passes.cpu.vector_math.coefficients import POWER_EXP2, POWER_LOG2
from ix.passes.cpu.vector_math.exponential import exp2, power_of_two
from ix.passes.cpu.vector_math.lanes import (
    F32,
    F64,
    Floats,
    Format,
    Integers,
    any_lane,
    at_least,
    at_most,
    horner_by_pairs,
    multiply_add,
    select,
)
from ix.passes.cpu.vector_math.logarithm import mantissa_and_exponent, small_integer
from ix.passes.cpu.vector_math.logarithm_in_parts import log2_in_parts, product_in_parts

__all__ = ["cbrt", "powf", "rsqrt"]

_INFINITY = float("inf")
_NAN = float("nan")


def powf(x: Floats, y: Floats) -> Floats:
    """x^y = ±2^(y·log2|x|) with a logarithm of more than x's precision.

    Special cases, as in C's pow, are left to a branch that the CPU predicts: it is not
    taken where x is positive and both are finite.
    """
    kind = x.format
    power = (_power_f32 if kind == F32 else _power_f64)(abs(x), y)
    # Only a positive finite x gives bits below those of infinity; 0 is lowered to all
    # ones. y − y is 0 or NaN.
    special = (x.bits() - 1).is_not_below(_infinity_bits(kind) - 1)
    special = special | (y - y).differs(0.0)
    branch = scf.IfOp(any_lane(special), [power.value.type], has_else=True)
    with ir.InsertionPoint(branch.then_block):
        scf.YieldOp([_with_special_cases(x, y, power).value])
    with ir.InsertionPoint(branch.else_block):
        scf.YieldOp([power.value])
    return Floats(branch.results[0])


def _infinity_bits(number_format: Format) -> int:
    return (2 * number_format.bias + 1) << number_format.mantissa_bits


def _power_f32(a: Floats, y: Floats) -> Floats:
    """a^y by f64, for a > 0 and finite numbers."""
    f, e = mantissa_and_exponent(a.widened())
    log2 = multiply_add(f, horner_by_pairs(f, f * f, POWER_LOG2), small_integer(e, F64))
    return _short_exp2(log2 * y.widened()).narrowed()


def _short_exp2(z: Floats) -> Floats:
    """2^z in f64, error 2^−29; |z| is cut to 200, beyond the range of f32."""
    z = at_most(at_least(z, -200.0), 200.0)
    shift = F64.round_shift + F64.bias
    shifted = z + shift
    r = z - (shifted - shift)
    scale = power_of_two(shifted)
    return multiply_add(scale, r * horner_by_pairs(r, r * r, POWER_EXP2), scale)


def _power_f64(a: Floats, y: Floats) -> Floats:
    """a^y by two numbers for y·log2 a, for a > 0 and finite numbers."""
    z, lost = product_in_parts(y, log2_in_parts(a))
    # Where the product overflows, what it has lost is NaN.
    return exp2(z, select(abs(z) < 2000.0, lost, 0.0))


def _with_special_cases(x: Floats, y: Floats, power: Floats) -> Floats:
    """x^y from |x|^y, which is right where both are finite and x is not 0."""
    a = abs(x)
    # A limit of |x|^y is 0 or ∞, by whether the exponent grows or falls.
    grows = ((a > 1.0) & (y > 0.0)) | ((a < 1.0) & (y < 0.0))
    limit = select(grows, x.constant(_INFINITY), 0.0)
    limit = select(a.equals(1.0), 1.0, limit)
    at_limit = a.equals(0.0) | a.equals(_INFINITY) | abs(y).equals(_INFINITY)
    power = select(at_limit, limit, power)

    whole = y.rounded().equals(y)
    half = y * 0.5
    odd = whole.and_not(half.rounded().equals(half))
    signed = power.with_sign_of(x)
    power = select(odd, signed, power)
    # A negative number has no root; −∞ has, as a limit.
    power = select(((x < 0.0) & (a < _INFINITY)).and_not(whole), _NAN, power)
    power = select(x.differs(x) | y.differs(y), _NAN, power)
    # x^0 and 1^y are 1 even for a NaN.
    return select(y.equals(0.0) | x.equals(1.0), 1.0, power)


def cbrt(x: Floats) -> Floats:
    """The cube root: a third of the exponent by its bits, then Halley's iteration.

    One step triples the correct bits, from 5; the last takes the residue t³ − a by fma.
    """
    kind = x.format
    by = 24 if kind == F32 else 54
    magnitude = abs(x)
    # Away from both ends of the range: denormals have fewer bits, and 2t³ + a is 3a.
    small = magnitude < 1.0
    a = magnitude * select(small, x.constant(2.0**by), 2.0**-by)
    t = _third_of_exponent(a)
    for _ in range(2 if kind == F32 else 3):
        square = t * t
        t = t - t * (multiply_add(square, t, -a) / multiply_add(square * t, 2.0, a))
    t = t * select(small, x.constant(2.0 ** (-by // 3)), 2.0 ** (by // 3))
    ordinary = (magnitude > 0.0) & (magnitude < _INFINITY)
    return select(ordinary, t, magnitude).with_sign_of(x)


def _third_of_exponent(a: Floats) -> Floats:
    """A number within 4 % of the cube root of a positive normal one.

    The bits of a float are its log2, scaled and shifted: they are divided by 3 as a
    float, from which 2^mantissa_bits takes them into its low bits and out again.
    """
    kind = a.format
    dropped = kind.bits - kind.mantissa_bits
    unit = 2.0**kind.mantissa_bits
    pattern = (kind.bias + kind.mantissa_bits) << kind.mantissa_bits
    log = ((a.bits() >> dropped) | pattern).as_floats() - unit
    # Two thirds of the bits of 1.0, less 3 % that balance the error of this logarithm.
    origin = (kind.bias - 0.05) * 2.0 / 3.0 * 2.0 ** (kind.mantissa_bits - dropped)
    third: Integers = multiply_add(log, 1.0 / 3.0, unit + round(origin)).bits()
    return (third << dropped).as_floats()


def rsqrt(x: Floats) -> Floats:
    """1 / √x."""
    return 1.0 / x.sqrt()
