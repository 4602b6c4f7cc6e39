"""What PTX's float arithmetic computes, for one thread, with exact fractions.

Operands and results are bits, as Python integers. NaN results are the canonical NaN,
except of neg, abs and copysign, which change the sign bit alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from ptx_numbers import FORMATS, INFINITE, NAN, Value, decode, encode, exact
from ptx_reference_integer import Modifiers

__all__ = ["FLOAT", "clamped", "is_float_type", "total"]

PACKED: Final = {"f16x2": ("f16", 16), "bf16x2": ("bf16", 16), "f32x2": ("f32", 32)}


def is_float_type(name: str) -> bool:
    return name in FORMATS or name in PACKED


def mode_of(mods: Modifiers) -> str:
    return next((m for m in mods if m in ("rn", "rz", "rm", "rp")), "rn")


def zero(negative: bool) -> Value:
    return Value(negative, Fraction(0))


def value_of(number: Fraction, negative_zero: bool) -> Value:
    return Value(number < 0 if number else negative_zero, abs(number))


def total(a: Value, b: Value, mode: str) -> Value:
    """a + b."""
    if a.is_nan or b.is_nan:
        return NAN
    if a.is_infinite or b.is_infinite:
        if a.is_infinite and b.is_infinite and a.negative != b.negative:
            return NAN
        return a if a.is_infinite else b
    same_zero = a.magnitude == 0 and b.magnitude == 0 and a.negative == b.negative
    negative_zero = a.negative if same_zero else mode == "rm"
    return value_of(exact(a) + exact(b), negative_zero)


def product(a: Value, b: Value) -> Value:
    if a.is_nan or b.is_nan:
        return NAN
    negative = a.negative != b.negative
    if a.is_infinite or b.is_infinite:
        if a.magnitude == 0 or b.magnitude == 0:
            return NAN
        return Value(negative, INFINITE)
    return Value(negative, a.magnitude * b.magnitude)


def quotient(a: Value, b: Value) -> Value:
    if a.is_nan or b.is_nan:
        return NAN
    negative = a.negative != b.negative
    if a.is_infinite:
        return NAN if b.is_infinite else Value(negative, INFINITE)
    if b.is_infinite:
        return zero(negative)
    if b.magnitude == 0:
        return NAN if a.magnitude == 0 else Value(negative, INFINITE)
    return Value(negative, a.magnitude / b.magnitude)


def root(a: Value) -> Value:
    """A number that every format here rounds as it would round √a."""
    if a.is_nan or a.magnitude == 0:
        return a
    if a.negative:
        return NAN
    if a.is_infinite:
        return a
    scale = 1 << 1400
    scaled = a.magnitude * scale * scale
    whole = math.isqrt(int(scaled))
    # Anything between this integer and the next rounds alike: a half stands for it.
    inexact = whole * whole != scaled
    return Value(False, (whole + Fraction(int(inexact), 2)) / scale)


def clamped(value: Value, mods: Modifiers) -> Value:
    """What .sat and .relu make of a value that is rounded already."""
    if "sat" in mods:
        if value.is_nan or value.negative:
            return zero(False)
        return min_of(value, Value(False, Fraction(1)))
    if "relu" in mods and not value.is_nan and value.negative:
        return zero(False)
    return value


def min_of(a: Value, b: Value) -> Value:
    return a if a.is_finite and a.magnitude < b.magnitude else b


def finish(value: Value, name: str, mods: Modifiers) -> int:
    bits = encode(value, name, mode_of(mods), "ftz" in mods)
    return encode(clamped(decode(bits, name), mods), name)


def on_lanes(single: Callable[..., int]) -> Callable[..., int]:
    """Applies a function of one type to a packed type too, lane by lane."""

    def run(mods: Modifiers, *values: int) -> int:
        name = mods[-1]
        if name not in PACKED:
            return single(mods, *values)
        lane, bits = PACKED[name]
        inner = (*mods[:-1], lane)
        mask = (1 << bits) - 1
        lower = single(inner, *(v & mask for v in values))
        return lower | single(inner, *(v >> bits for v in values)) << bits

    return run


def read(mods: Modifiers, *values: int) -> list[Value]:
    return [decode(v, mods[-1], "ftz" in mods) for v in values]


def is_mixed(mods: Modifiers) -> bool:
    """Whether the last two modifiers are the type of the sum and that of a factor."""
    return len(mods) > 1 and mods[-2] == "f32"


def mixed(mods: Modifiers, *values: int) -> list[Value]:
    *narrow, last = values
    return [*(decode(v, mods[-1]) for v in narrow), decode(last, "f32")]


def sum_of(sign: int) -> Callable[..., int]:
    def run(mods: Modifiers, a: int, b: int) -> int:
        x, y = mixed(mods, a, b) if is_mixed(mods) else read(mods, a, b)
        name = "f32" if is_mixed(mods) else mods[-1]
        return finish(total(x, y if sign > 0 else -y, mode_of(mods)), name, mods)

    return run


def mul(mods: Modifiers, a: int, b: int) -> int:
    return finish(product(*read(mods, a, b)), mods[-1], mods)


def fma(mods: Modifiers, a: int, b: int, c: int) -> int:
    x, y, z = mixed(mods, a, b, c) if is_mixed(mods) else read(mods, a, b, c)
    name = "f32" if is_mixed(mods) else mods[-1]
    return finish(total(product(x, y), z, mode_of(mods)), name, mods)


def div(mods: Modifiers, a: int, b: int) -> int:
    return finish(quotient(*read(mods, a, b)), mods[-1], mods)


def rcp(mods: Modifiers, a: int) -> int:
    one = Value(False, Fraction(1))
    return finish(quotient(one, *read(mods, a)), mods[-1], mods)


def sqrt(mods: Modifiers, a: int) -> int:
    return finish(root(*read(mods, a)), mods[-1], mods)


def with_sign(mods: Modifiers, a: int, negative: Callable[[int], int]) -> int:
    """The bits of a, flushed if asked for, with another sign bit."""
    form = FORMATS[mods[-1]]
    if "ftz" in mods and a >> form.fraction_bits & form.special == 0:
        a &= 1 << (form.bits - 1)
    sign = negative(a >> (form.bits - 1))
    return a & form.canonical | sign << (form.bits - 1)


def copysign(mods: Modifiers, a: int, b: int) -> int:
    return with_sign(mods, b, lambda _: a >> (FORMATS[mods[-1]].bits - 1))


def testp(mods: Modifiers, a: int) -> int:
    form, value = FORMATS[mods[-1]], decode(a, mods[-1])
    smallest = Fraction(2) ** (1 - form.bias)
    subnormal = value.is_finite and 0 < value.magnitude < smallest
    return int(
        {
            "finite": value.is_finite,
            "infinite": value.is_infinite,
            "number": not value.is_nan,
            "notanumber": value.is_nan,
            "normal": value.is_finite and not subnormal,
            "subnormal": subnormal,
        }[mods[0]]
    )


def key(value: Value) -> tuple[Fraction, int]:
    """Orders values; -0 is below +0."""
    magnitude = Fraction(2) ** 1200 if value.is_infinite else value.magnitude
    return (-magnitude, 0) if value.negative else (magnitude, 1)


def extreme(sign: int) -> Callable[..., int]:
    def two(mods: Modifiers, a: Value, b: Value) -> Value:
        if a.is_nan or b.is_nan:
            if "NaN" in mods or (a.is_nan and b.is_nan):
                return NAN
            return b if a.is_nan else a
        return min(a, b, key=key) if sign < 0 else max(a, b, key=key)

    def run(mods: Modifiers, *bits: int) -> int:
        values = read(mods, *bits)
        flip = values[0].negative != values[1].negative
        if "abs" in mods:
            values = [Value(False, v.magnitude) for v in values]
        result = values[0]
        for value in values[1:]:
            result = two(mods, result, value)
        if "xorsign" in mods and not result.is_nan:
            result = Value(flip, result.magnitude)
        return encode(result, mods[-1])

    return run


SINGLE: Final[dict[str, Callable[..., int]]] = {
    "add": sum_of(1),
    "sub": sum_of(-1),
    "mul": mul,
    "fma": fma,
    "mad": fma,
    "div": div,
    "rcp": rcp,
    "sqrt": sqrt,
    "neg": lambda mods, a: with_sign(mods, a, lambda sign: 1 - sign),
    "abs": lambda mods, a: with_sign(mods, a, lambda _: 0),
    "copysign": copysign,
    "testp": testp,
    "min": extreme(-1),
    "max": extreme(1),
}

FLOAT: Final[dict[str, Callable[..., Any]]] = {
    opcode: on_lanes(function) for opcode, function in SINGLE.items()
}
