"""Binary floating-point numbers as exact fractions: what their bits mean, rounding.

Written for tests, apart from the emulator: a value is a sign and a Fraction, rounding
is integer division.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

__all__ = ["FORMATS", "INFINITE", "NAN", "Format", "Value", "decode", "encode", "exact"]

INFINITE: Final = Fraction(-1)  # no magnitude is negative
UNKNOWN: Final = Fraction(-2)


@dataclass(frozen=True)
class Format:
    """Fields of a format from the top: sign, exponent, fraction."""

    exponent_bits: int
    fraction_bits: int

    @property
    def bias(self) -> int:
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def special(self) -> int:
        """The exponent field of infinities and NaN."""
        return 2**self.exponent_bits - 1

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def canonical(self) -> int:
        return 2 ** (self.bits - 1) - 1

    @property
    def largest(self) -> Fraction:
        return (2 - Fraction(1, 2**self.fraction_bits)) * Fraction(2) ** self.bias


FORMATS: Final = {
    "f16": Format(5, 10),
    "bf16": Format(8, 7),
    "f32": Format(8, 23),
    "f64": Format(11, 52),
    "tf32": Format(8, 10),
}


@dataclass(frozen=True)
class Value:
    """A number, an infinity or a NaN; zeros have signs."""

    negative: bool
    magnitude: Fraction

    @property
    def is_nan(self) -> bool:
        return self.magnitude == UNKNOWN

    @property
    def is_infinite(self) -> bool:
        return self.magnitude == INFINITE

    @property
    def is_finite(self) -> bool:
        return self.magnitude >= 0

    def __neg__(self) -> Value:
        return Value(not self.negative, self.magnitude)


NAN: Final = Value(False, UNKNOWN)


def exact(value: Value) -> Fraction:
    """The number that a finite value is."""
    assert value.is_finite
    return -value.magnitude if value.negative else value.magnitude


def decode(bits: int, name: str, ftz: bool = False) -> Value:
    """What bits of a format mean; with ftz subnormals mean a zero of their sign."""
    form = FORMATS[name]
    negative = bool(bits >> (form.bits - 1) & 1)
    field = bits >> form.fraction_bits & form.special
    fraction = bits & (2**form.fraction_bits - 1)
    if field == form.special:
        return Value(negative, UNKNOWN if fraction else INFINITE)
    if field == 0 and ftz:
        return Value(negative, Fraction(0))
    significand = fraction + (2**form.fraction_bits if field else 0)
    power = max(field, 1) - form.bias - form.fraction_bits
    return Value(negative, significand * Fraction(2) ** power)


def encode(value: Value, name: str, mode: str = "rn", ftz: bool = False) -> int:
    """The bits of a value rounded to a format; NaN give the canonical one."""
    form = FORMATS[name]
    sign = int(value.negative) << (form.bits - 1)
    infinity = form.special << form.fraction_bits
    if value.is_nan:
        return form.canonical
    if value.is_infinite:
        return sign | infinity
    if value.magnitude == 0:
        return sign
    lowest = 1 - form.bias
    power = max(floor_log2(value.magnitude), lowest)
    steps = round_steps(
        value.magnitude / Fraction(2) ** (power - form.fraction_bits),
        value.negative,
        mode,
    )
    # A subnormal number has as many steps as its fraction field says; one more than
    # fits carries into the exponent, as it should.
    bits = steps + ((power - lowest) << form.fraction_bits)
    if bits >= infinity:
        stops = mode == "rz" or mode == ("rp" if value.negative else "rm")
        return sign | (infinity - 1 if stops else infinity)
    if ftz and bits < 2**form.fraction_bits:
        return sign
    return sign | bits


def floor_log2(magnitude: Fraction) -> int:
    """The largest n with 2ⁿ ≤ magnitude."""
    n = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    return n if Fraction(2) ** n <= magnitude else n - 1


def round_steps(steps: Fraction, negative: bool, mode: str) -> int:
    """A positive fraction to a whole number; `negative` is the sign of the number."""
    whole, rest = divmod(steps, 1)
    up = {
        "rn": rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2 == 1),
        "rna": rest >= Fraction(1, 2),
        "rz": False,
        "rm": rest > 0 and negative,
        "rp": rest > 0 and not negative,
    }[mode]
    return int(whole) + up
