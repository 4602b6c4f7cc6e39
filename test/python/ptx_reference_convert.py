"""What PTX's cvt computes, for one thread, with exact fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from ptx_numbers import (
    FORMATS,
    INFINITE,
    NAN,
    Value,
    decode,
    encode,
    exact,
    floor_log2,
    round_steps,
)
from ptx_reference_float import clamped, mode_of
from ptx_reference_integer import Modifiers, bits_of, clamp, low, number, signed

__all__ = ["CONVERT"]

INTEGRAL: Final = {"rni": "rn", "rzi": "rz", "rmi": "rm", "rpi": "rp"}
# (exponent bits, fraction bits, bits of a pair's element, the largest number)
SMALL: Final = {
    "e4m3x2": (4, 3, 8, Fraction(448)),
    "e5m2x2": (5, 2, 8, Fraction(57344)),
    "e2m3x2": (2, 3, 6, Fraction(15, 2)),
    "e3m2x2": (3, 2, 6, Fraction(28)),
    "e2m1x2": (2, 1, 4, Fraction(6)),
}


def is_integer(name: str) -> bool:
    return name[0] in "us" and name[1:].isdigit()


def to_whole(value: Value, mode: str) -> Value:
    """Rounds to an integral value of the same sign."""
    if not value.is_finite:
        return value
    steps = round_steps(value.magnitude, value.negative, INTEGRAL[mode])
    return Value(value.negative, Fraction(steps))


def to_integer(value: Value, source: str, target: str, mode: str) -> int:
    bits = bits_of(target)
    if value.is_nan:
        return 1 << (bits - 1) if source == "f64" or bits == 64 else 0
    if value.is_infinite:
        return clamp((-1 if value.negative else 1) << 200, target)
    return clamp(int(exact(to_whole(value, mode))), target)


def limited(value: Value, largest: Fraction) -> Value:
    """What .satfinite makes of a value."""
    if value.is_infinite or (value.is_finite and value.magnitude > largest):
        return Value(value.negative, largest)
    return value


def to_float(value: Value, target: str, mods: Modifiers, ftz: bool) -> int:
    if "satfinite" in mods:
        value = limited(value, FORMATS[target].largest)
    mode = "rna" if "rna" in mods else mode_of(mods)
    bits = encode(value, target, mode, ftz)
    return encode(clamped(decode(bits, target), mods), target)


def plain(mods: Modifiers, a: int) -> int:
    """Between two numeric types."""
    target, source = mods[-2:]
    ftz = "ftz" in mods
    if is_integer(source) and is_integer(target):
        value = number(a, source)
        return clamp(value, target) if "sat" in mods else low(value, bits_of(target))
    if is_integer(source):
        whole = number(a, source)
        return to_float(
            Value(whole < 0, Fraction(abs(whole))),
            target,
            mods,
            ftz and target == "f32",
        )
    number_ = decode(a, source, ftz and source == "f32")
    rounding = next((m for m in mods if m in INTEGRAL), "")
    if is_integer(target):
        return to_integer(number_, source, target, rounding)
    if rounding:
        number_ = to_whole(number_, rounding)
    if target == "tf32":
        return to_tf32(number_, mods)
    return to_float(number_, target, mods, ftz and target == "f32")


def to_tf32(value: Value, mods: Modifiers) -> int:
    """The 19 bits of tf32 at the top of 32; the canonical NaN is that of f32."""
    if value.is_nan:
        return FORMATS["f32"].canonical
    return to_float(value, "tf32", mods, False) << 13


def pair(mods: Modifiers, a: int, b: int) -> int:
    """Two f32 to f16x2 or bf16x2."""
    single = mods[-2].removesuffix("x2")
    upper, lower = (to_float(decode(v, "f32"), single, mods, False) for v in (a, b))
    return upper << 16 | lower


def small_code(value: Value, name: str, mods: Modifiers) -> int:
    exponent_bits, fraction_bits, bits, largest = SMALL[name]
    if value.is_nan:
        return 0x7F if bits == 8 else (1 << bits - 1) - 1
    if "relu" in mods and value.negative:
        return 0
    bias = 2 ** (exponent_bits - 1) - 1
    value = limited(value, largest)
    sign = int(value.negative) << (bits - 1)
    if value.magnitude == 0:
        return sign
    power = max(floor_log2(value.magnitude), 1 - bias)
    steps = value.magnitude / Fraction(2) ** (power - fraction_bits)
    code = round_steps(steps, value.negative, "rn") + (
        (power - 1 + bias) << fraction_bits
    )
    return sign | code


def small_value(code: int, name: str) -> Value:
    exponent_bits, fraction_bits, bits, largest = SMALL[name]
    bias = 2 ** (exponent_bits - 1) - 1
    negative = bool(code >> (bits - 1) & 1)
    field = code >> fraction_bits & (2**exponent_bits - 1)
    fraction = code & (2**fraction_bits - 1)
    significand = fraction + (2**fraction_bits if field else 0)
    magnitude = significand * Fraction(2) ** (max(field, 1) - bias - fraction_bits)
    if magnitude > largest:
        return Value(negative, INFINITE) if name == "e5m2x2" and not fraction else NAN
    return Value(negative, magnitude)


def to_small(mods: Modifiers, *values: int) -> int:
    name, source = mods[-2:]
    if source == "f16x2":
        numbers = [decode(values[0] >> 16, "f16"), decode(values[0] & 0xFFFF, "f16")]
    else:
        numbers = [decode(v, "f32") for v in values]
    upper, lower = (small_code(n, name, mods) for n in numbers)
    return upper << (4 if name == "e2m1x2" else 8) | lower


def from_small(mods: Modifiers, a: int) -> int:
    name = mods[-1]
    bits = SMALL[name][2]
    step = 4 if bits == 4 else 8
    result = 0
    for shift, place in ((step, 16), (0, 0)):
        value = small_value(a >> shift & (1 << bits) - 1, name)
        result |= encode(clamped(value, mods), "f16") << place
    return result


def pack(mods: Modifiers, a: int, b: int, *c: int) -> int:
    name = mods[2]
    bits = bits_of(name)
    upper, lower = (clamp(signed(v, 32), name) for v in (a, b))
    packed = upper << bits | lower
    return low(c[0] << 2 * bits | packed, 32) if c else packed


def cvt(mods: Modifiers, *values: int) -> Any:
    if mods[0] == "pack":
        return pack(mods, *values)
    if mods[-1] in SMALL:
        return from_small(mods, *values)
    if mods[-2] in SMALL:
        return to_small(mods, *values)
    if mods[-2].endswith("x2"):
        return pair(mods, *values)
    return plain(mods, *values)


CONVERT: Final[dict[str, Callable[..., Any]]] = {"cvt": cvt}
