"""What PTX's bit instructions compute, for one thread, bit by bit as the ISA says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ptx_reference_integer import Modifiers, bits_of, low, number, signed

__all__ = ["BITS"]

ONES: Final = (1 << 32) - 1


def width(mods: Modifiers) -> int:
    return 1 if mods[-1] == "pred" else bits_of(mods[-1])


def lop3(mods: Modifiers, a: int, b: int, c: int, table: int, *q: int) -> Any:
    result = 0
    for i in range(32):
        index = (a >> i & 1) << 2 | (b >> i & 1) << 1 | c >> i & 1
        result |= (table >> index & 1) << i
    if not q:
        return result
    p = result != 0
    return result, int(p or q[0] if "or" in mods else p and q[0])


def shl(mods: Modifiers, a: int, amount: int) -> int:
    bits = width(mods)
    return low(a << min(amount, bits), bits)


def shr(mods: Modifiers, a: int, amount: int) -> int:
    bits = width(mods)
    return low(number(a, mods[-1]) >> min(amount, bits), bits)


def shf(mods: Modifiers, a: int, b: int, amount: int) -> int:
    n = min(amount, 32) if "clamp" in mods else amount & 31
    both = b << 32 | a
    return low((both << n) >> 32, 32) if mods[0] == "l" else low(both >> n, 32)


def clz(mods: Modifiers, a: int) -> int:
    return width(mods) - a.bit_length()


def bfind(mods: Modifiers, a: int) -> int:
    bits = width(mods)
    value = number(a, mods[-1])
    magnitude = ~value if value < 0 else value
    if magnitude == 0:
        return ONES
    found = magnitude.bit_length() - 1
    return bits - 1 - found if "shiftamt" in mods else found


def brev(mods: Modifiers, a: int) -> int:
    return int(format(a, f"0{width(mods)}b")[::-1], 2)


def fns(mods: Modifiers, mask: int, base: int, offset: int) -> int:
    n = signed(offset, 32)
    if n == 0:
        return base if mask >> base & 1 else ONES
    places = range(base, 32) if n > 0 else range(base, -1, -1)
    found = [place for place in places if mask >> place & 1]
    return found[abs(n) - 1] if len(found) >= abs(n) else ONES


def prmt(mods: Modifiers, a: int, b: int, c: int) -> int:
    source = (b << 32 | a).to_bytes(8, "little")
    n = c & 3
    mode = mods[1] if len(mods) > 1 else ""
    selectors = {
        "": [c >> 4 * i & 15 for i in range(4)],
        "f4e": [n + i for i in range(4)],
        "b4e": [(n - i) % 8 for i in range(4)],
        "rc8": [n] * 4,
        "ecl": [max(i, n) for i in range(4)],
        "ecr": [min(i, n) for i in range(4)],
        "rc16": [2 * (n & 1) + i % 2 for i in range(4)],
    }[mode]
    result = []
    for selector in selectors:
        byte = source[selector & 7]
        if selector & 8:
            byte = 0xFF if byte & 0x80 else 0
        result.append(byte)
    return int.from_bytes(bytes(result), "little")


def bfe(mods: Modifiers, a: int, position: int, length: int) -> int:
    bits = width(mods)
    pos, size = position & 255, length & 255
    sign = 0
    if mods[-1][0] == "s" and size:
        sign = a >> min(pos + size - 1, bits - 1) & 1
    result = 0
    for i in range(bits):
        bit = a >> (pos + i) & 1 if i < size and pos + i < bits else sign
        result |= bit << i
    return result


def bfi(mods: Modifiers, a: int, b: int, position: int, length: int) -> int:
    bits = width(mods)
    pos, size = position & 255, length & 255
    for i in range(size):
        if pos + i < bits:
            place = 1 << (pos + i)
            b = b | place if a >> i & 1 else b & ~place
    return b


def bmsk(mods: Modifiers, a: int, b: int) -> int:
    if mods[0] == "wrap":
        a, b = a & 31, b & 31
    return sum(1 << i for i in range(32) if a <= i < a + b)


def szext(mods: Modifiers, a: int, n: int) -> int:
    n = n & 31 if mods[0] == "wrap" else min(n, 32)
    value = low(a, n)
    if n and mods[-1] == "s32":
        value = signed(value, n)
    return low(value, 32)


BITS: Final[dict[str, Callable[..., Any]]] = {
    "and": lambda mods, a, b: a & b,
    "or": lambda mods, a, b: a | b,
    "xor": lambda mods, a, b: a ^ b,
    "not": lambda mods, a: low(~a, width(mods)),
    "cnot": lambda mods, a: int(a == 0),
    "lop3": lop3,
    "shl": shl,
    "shr": shr,
    "shf": shf,
    "popc": lambda mods, a: a.bit_count(),
    "clz": clz,
    "bfind": bfind,
    "brev": brev,
    "fns": fns,
    "prmt": prmt,
    "bfe": bfe,
    "bfi": bfi,
    "bmsk": bmsk,
    "szext": szext,
}
