"""sin, cos and tan: x less n·π/2, then a polynomial on ±π/4.

Up to `_NEAR` the multiple is subtracted in three parts (Cody and Waite): by fma the
first difference is exact, and the other parts hold all the bits that cancellation can
reveal. Beyond, a branch that the CPU predicts: f32 goes to f64, where x·2/π modulo 4
comes from parts of 2/π for any finite x (the idea of Payne and Hanek, without
integers), and f64 calls libm.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

from ix.mlir import ir, math, scf
from ix.passes.cpu.vector_math.coefficients import (
    COS,
    PI,
    SIN,
    TWO_OVER_PI,
)
from ix.passes.cpu.vector_math.lanes import (
    F32,
    F64,
    Floats,
    Integers,
    Mask,
    any_lane,
    exact_fma,
    horner,
    multiply_add,
    select,
)

__all__ = ["ENDS", "cos", "sin", "tan"]

_End = Callable[[Floats, Integers], Floats]

_NEAR = {F32: 2.0**16, F64: 2.0**30}
"""Up to this, x·2/π is within 0.01 of the truth, and n times a part of π/2 fits an fma
that is exact where it cancels."""

_PART_BITS = 29
"""Bits of a part of 2/π: with the 24 of an f32, a product fits f64 exactly."""

_PARTS = 7
"""Parts of 2/π: 128 bits for the greatest exponent, 60 for the nearest approach of an
f32 to a multiple of π/2 and the precision that is left there, 15 to spare."""


def _parts(value: Decimal, count: int, bits: int, first_ulp: int) -> list[float]:
    """Non-negative numbers of `bits` bits whose sum is `value`, the largest first.

    They are cut, not rounded: with parts of one sign, a reduction leaves −0 as it is.
    """
    found = []
    with localcontext() as context:
        context.prec = 80
        for part in range(count):
            ulp = Decimal(2) ** (first_ulp - bits * part)
            found.append(float(int(value / ulp) * ulp))
            value %= ulp
    return found


def _near(x: Floats) -> tuple[Floats, Integers]:
    """r and n with x = n·π/2 + r, for |x| ≤ `_NEAR`; n in the low bits."""
    kind = x.format
    shifted = multiply_add(x, kind.nearest(TWO_OVER_PI), kind.round_shift)
    n = shifted - kind.round_shift
    r = x
    precision = kind.mantissa_bits + 1
    for part in _parts(PI / 2, count=3, bits=precision, first_ulp=1 - precision):
        r = exact_fma(n, -part, r)
    return r, shifted.bits()


def _far(x: Floats) -> tuple[Floats, Integers]:
    """The same for every finite f32; NaN for infinity.

    A product with a part of 2/π is exact, and so is its residue modulo 4, which is all
    that counts. After each sum the whole quarters go into n, so that where the fraction
    cancels almost to nothing an exact number is left for the next part.
    """
    wide = x.widened()
    fraction = count = wide.constant(0.0)
    for part in _parts(TWO_OVER_PI, _PARTS, _PART_BITS, first_ulp=-_PART_BITS):
        product = wide * part
        product = multiply_add((product * 0.25).rounded(), -4.0, product)
        fraction = fraction + product
        whole = fraction.rounded()
        fraction = fraction - whole
        count = count + whole
    r = (fraction * F64.nearest(PI / 2)).narrowed()
    return r, (count + F64.round_shift).bits().narrowed()


def _evaluated(x: Floats, end: _End, libm: Callable[[ir.Value], ir.Value]) -> Floats:
    """end(r, n) for x = n·π/2 + r; libm(x) where x is too large for that."""
    far = abs(x) > _NEAR[x.format]
    r, n = _near(x)
    if x.format == F32:
        return end(*_with_far(x, far, r, n))
    near = end(r, n).value
    branch = scf.IfOp(any_lane(far), [near.type], has_else=True)
    with ir.InsertionPoint(branch.then_block):
        scf.YieldOp([select(far, Floats(libm(x.value)), Floats(near)).value])
    with ir.InsertionPoint(branch.else_block):
        scf.YieldOp([near])
    return Floats(branch.results[0])


def _with_far(x: Floats, far: Mask, r: Floats, n: Integers) -> tuple[Floats, Integers]:
    """r and n, taken from `_far` where `far` says so."""
    branch = scf.IfOp(any_lane(far), [r.value.type, n.value.type], has_else=True)
    with ir.InsertionPoint(branch.then_block):
        far_r, far_n = _far(x)
        scf.YieldOp([select(far, far_r, r).value, far_n.where(far, n).value])
    with ir.InsertionPoint(branch.else_block):
        scf.YieldOp([r.value, n.value])
    return Floats(branch.results[0]), Integers(branch.results[1])


def _sine_and_cosine(r: Floats) -> tuple[Floats, Floats]:
    """Both for |r| ≤ π/4; the sine has the sign of r for 0."""
    square = r * r
    sine = multiply_add(r * square, horner(square, SIN[r.format]), r).with_sign_of(r)
    half = square * 0.5
    first = 1.0 - half
    # What 1 − r²/2 has lost goes to the small term, as in fdlibm's k_cos.c.
    lost = (1.0 - first) - half
    fourth = square * square
    return sine, multiply_add(fourth, horner(square, COS[r.format]), lost) + first


def _sine(r: Floats, n: Integers) -> Floats:
    """sin(n·π/2 + r)."""
    sine, cosine = _sine_and_cosine(r)
    top = r.format.bits - 1
    y = select((n << top).is_negative(), cosine, sine)
    return (y.bits() ^ ((n & 2) << (top - 1))).as_floats()


def _cosine(r: Floats, n: Integers) -> Floats:
    """cos(n·π/2 + r), the sine of a quarter turn more."""
    return _sine(r, n + 1)


def _tangent(r: Floats, n: Integers) -> Floats:
    """sin r / cos r for an even n, −cos r / sin r for an odd one."""
    sine, cosine = _sine_and_cosine(r)
    sign = n << (r.format.bits - 1)
    odd = sign.is_negative()
    quotient = select(odd, cosine, sine) / select(odd, sine, cosine)
    return (quotient.bits() ^ sign).as_floats()


ENDS: dict[str, _End] = {"sin": _sine, "cos": _cosine, "tan": _tangent}
"""Each function of n·π/2 + r."""


def sin(x: Floats) -> Floats:
    """sin x, for every finite x."""
    return _evaluated(x, _sine, math.sin)


def cos(x: Floats) -> Floats:
    """cos x, for every finite x."""
    return _evaluated(x, _cosine, math.cos)


def tan(x: Floats) -> Floats:
    """tan x, for every finite x."""
    return _evaluated(x, _tangent, math.tan)
