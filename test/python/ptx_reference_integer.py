"""What PTX's integer, bit and comparison instructions compute, for one thread.

Operands and results are bits, as Python integers without sign; a predicate is 0 or 1.
Written from the ISA's pseudo-code, apart from the emulator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ptx_numbers import decode

__all__ = ["INTEGER", "bits_of", "compare", "signed"]

Modifiers = tuple[str, ...]


def bits_of(name: str) -> int:
    """Bits of an integer type."""
    return int(name[1:])


def signed(value: int, bits: int) -> int:
    """The number that bits in two's complement mean."""
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def number(value: int, name: str) -> int:
    """The number that bits of an integer type mean."""
    return signed(value, bits_of(name)) if name[0] == "s" else value


def low(value: int, bits: int) -> int:
    return value & ((1 << bits) - 1)


def clamp(value: int, name: str) -> int:
    """A number held within a type, as bits."""
    bits = bits_of(name)
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1)
    if name[0] == "u":
        least, most = 0, (1 << bits) - 1
    return low(min(max(value, least), most), bits)


def by_halves(function: Callable[[int, int], int], *values: int) -> int:
    """Applies a function to both 16-bit halves."""
    lower = function(*(low(v, 16) for v in values))
    upper = function(*(v >> 16 for v in values))
    return lower | upper << 16


def arithmetic(step: Callable[[int, int], int]) -> Callable[..., Any]:
    """add and sub."""

    def run(mods: Modifiers, *values: int) -> Any:
        name = mods[-1]
        if name.endswith("x2"):
            return by_halves(lambda a, b: low(step(a, b), 16), *values)
        a, b = (number(v, name) for v in values)
        if "sat" in mods:
            return clamp(step(a, b), name)
        result = low(step(a, b), bits_of(name))
        if "cc" in mods:
            return result, int(step(*values) not in range(1 << bits_of(name)))
        return result

    return run


def with_carry(sign: int) -> Callable[..., Any]:
    """addc and subc."""

    def run(mods: Modifiers, a: int, b: int, carry: int) -> Any:
        bits = bits_of(mods[-1])
        total = a + sign * (b + carry)
        result = low(total, bits)
        return (result, int(total != result)) if "cc" in mods else result

    return run


def product(mods: Modifiers, a: int, b: int) -> tuple[int, int]:
    """The part of a product that the mode selects, as a number, and its bits."""
    name = mods[-1]
    bits = bits_of(name)
    full = number(a, name) * number(b, name)
    if "wide" in mods:
        return full, 2 * bits
    return (full >> bits if "hi" in mods else full), bits


def mul(mods: Modifiers, a: int, b: int) -> int:
    value, bits = product(mods, a, b)
    return low(value, bits)


def mad(mods: Modifiers, a: int, b: int, c: int) -> Any:
    value, bits = product(mods, a, b)
    if "sat" in mods:
        return clamp(value + number(c, mods[-1]), "s32")
    total = low(value, bits) + c
    result = low(total, bits)
    return (result, int(total != result)) if "cc" in mods else result


def madc(mods: Modifiers, a: int, b: int, c: int, carry: int) -> Any:
    value, bits = product(mods, a, b)
    total = low(value, bits) + c + carry
    result = low(total, bits)
    return (result, int(total != result)) if "cc" in mods else result


def product_24(mods: Modifiers, a: int, b: int) -> int:
    x, y = low(a, 24), low(b, 24)
    if mods[-1] == "s32":
        x, y = signed(x, 24), signed(y, 24)
    return x * y >> (16 if "hi" in mods else 0)


def mul24(mods: Modifiers, a: int, b: int) -> int:
    return low(product_24(mods, a, b), 32)


def mad24(mods: Modifiers, a: int, b: int, c: int) -> int:
    if "sat" in mods:
        part = signed(low(product_24(mods, a, b), 32), 32)
        return clamp(part + signed(c, 32), "s32")
    return low(product_24(mods, a, b) + c, 32)


def divided(want_rest: bool) -> Callable[..., int]:
    def run(mods: Modifiers, a: int, b: int) -> int:
        name = mods[-1]
        bits = bits_of(name)
        if b == 0:
            return (1 << bits) - 1
        x, y = number(a, name), number(b, name)
        quotient = abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
        return low(x - quotient * y if want_rest else quotient, bits)

    return run


def extreme(choose: Callable[[int, int], int]) -> Callable[..., int]:
    """min and max."""

    def run(mods: Modifiers, *values: int) -> int:
        name = mods[-1]
        if name.endswith("x2"):
            single = (*mods[:-1], name.removesuffix("x2"))
            return by_halves(lambda a, b: run(single, a, b), *values)
        result = choose(*(number(v, name) for v in values))
        return low(max(result, 0) if "relu" in mods else result, bits_of(name))

    return run


def sad(mods: Modifiers, a: int, b: int, c: int) -> int:
    name = mods[-1]
    return low(c + abs(number(a, name) - number(b, name)), bits_of(name))


def fields(value: int, bits: int, name: str) -> list[int]:
    parts = [low(value >> i, bits) for i in range(0, 32, bits)]
    return [signed(p, bits) for p in parts] if name == "s32" else parts


def dp4a(mods: Modifiers, a: int, b: int, c: int) -> int:
    pairs = zip(fields(a, 8, mods[0]), fields(b, 8, mods[1]), strict=True)
    return low(c + sum(x * y for x, y in pairs), 32)


def dp2a(mods: Modifiers, a: int, b: int, c: int) -> int:
    chosen = fields(b, 8, mods[2])[0 if mods[0] == "lo" else 2 :][:2]
    pairs = zip(fields(a, 16, mods[1]), chosen, strict=True)
    return low(c + sum(x * y for x, y in pairs), 32)


def compare(name: str, relation: str, a: int, b: int, ftz: bool = False) -> bool:
    """Whether a relation of `setp` holds between bits of a type."""
    if name in ("f16", "bf16", "f32", "f64"):
        x, y = decode(a, name, ftz), decode(b, name, ftz)
        unordered = x.is_nan or y.is_nan
        if relation in ("num", "nan"):
            return unordered == (relation == "nan")
        if unordered:
            return len(relation) == 3
        top = 2**1200
        order = [
            (-1 if v.negative else 1) * (top if v.is_infinite else v.magnitude)
            for v in (x, y)
        ]
        left, right = order
        relation = relation[:2]
    elif name[0] == "b":
        left, right = a, b
    else:
        left, right = number(a, name), number(b, name)
    return {
        "eq": left == right,
        "ne": left != right,
        "lt": left < right,
        "le": left <= right,
        "gt": left > right,
        "ge": left >= right,
        "lo": left < right,
        "ls": left <= right,
        "hi": left > right,
        "hs": left >= right,
    }[relation]


def boolean(mods: Modifiers, p: bool, c: tuple[int, ...]) -> int:
    if not c:
        return int(p)
    return int(
        {"and": p and c[0], "or": p or c[0], "xor": p != bool(c[0])}[
            next(m for m in mods if m in ("and", "or", "xor"))
        ]
    )


def setp(mods: Modifiers, a: int, b: int, *c: int) -> Any:
    name, ftz = mods[-1], "ftz" in mods
    if name.endswith("x2"):
        single = name.removesuffix("x2")
        halves = ((low(a, 16), low(b, 16)), (a >> 16, b >> 16))
        return tuple(
            boolean(mods, compare(single, mods[0], *h, ftz), c) for h in halves
        )
    p = compare(name, mods[0], a, b, ftz)
    if name in ("f16", "bf16"):
        return boolean(mods, p, c)
    return boolean(mods, p, c), boolean(mods, not p, c)


ONE: Final = {"f32": 0x3F800000, "f16": 0x3C00, "bf16": 0x3F80}


def set_(mods: Modifiers, a: int, b: int, *c: int) -> int:
    target, name, ftz = mods[-2], mods[-1], "ftz" in mods
    if name.endswith("x2"):
        single, half = name.removesuffix("x2"), target.removesuffix("x2")
        true = ONE.get(half, 0xFFFF)
        result = 0
        for shift in (0, 16):
            p = compare(single, mods[0], low(a >> shift, 16), low(b >> shift, 16), ftz)
            result |= true * boolean(mods, p, c) << shift
        return result
    true = ONE.get(target) or (1 << bits_of(target)) - 1
    return true * boolean(mods, compare(name, mods[0], a, b, ftz), c)


def selp(mods: Modifiers, a: int, b: int, p: int) -> int:
    return a if p else b


def slct(mods: Modifiers, a: int, b: int, c: int) -> int:
    return a if compare(mods[-1], "ge", c, 0, "ftz" in mods) else b


INTEGER: Final[dict[str, Callable[..., Any]]] = {
    "add": arithmetic(lambda a, b: a + b),
    "sub": arithmetic(lambda a, b: a - b),
    "addc": with_carry(1),
    "subc": with_carry(-1),
    "mul": mul,
    "mad": mad,
    "madc": madc,
    "mul24": mul24,
    "mad24": mad24,
    "div": divided(want_rest=False),
    "rem": divided(want_rest=True),
    "abs": lambda mods, a: low(abs(number(a, mods[-1])), bits_of(mods[-1])),
    "neg": lambda mods, a: low(-a, bits_of(mods[-1])),
    "min": extreme(min),
    "max": extreme(max),
    "sad": sad,
    "dp4a": dp4a,
    "dp2a": dp2a,
    "setp": setp,
    "set": set_,
    "selp": selp,
    "slct": slct,
}
