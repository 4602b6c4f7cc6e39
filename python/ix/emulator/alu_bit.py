"""Bits: and, or, xor, not, cnot, lop3, shl, shr, shf, popc, clz, bfind, brev, fns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words, same_type
from ix.emulator.ptx_types import bytes_of, dtype_of

__all__ = ["FORMS", "highest_bit"]


def _logic(function: Callable[..., Any], count: int) -> Callable[[Words], Operation]:
    return lambda words: same_type(words["type"], count, function)


def _is_zero(words: Words) -> Operation:
    dtype = dtype_of(words["type"])
    return same_type(words["type"], 1, lambda a: np.equal(a, 0).astype(dtype))


def _of_bits(table: int, b: Array, c: Array) -> Any:
    """The function of two bits with the truth table `table` (bit 2·b + c)."""
    ones = ~np.uint32(0)
    # Where b is clear and where b is set: 0, ~c, c or 1.
    low, high = ((np.uint32(0), ~c, c, ones)[table >> k & 3] for k in (0, 2))
    return low ^ (b & (low ^ high))


def _lop3(words: Words) -> Operation:
    """The function of three bits that a table states, bit 4·a + 2·b + c for a, b, c."""

    def logic(a: Array, b: Array, c: Array, table: Any) -> Any:
        bits = int(table)
        low, high = _of_bits(bits & 15, b, c), _of_bits(bits >> 4 & 15, b, c)
        return low ^ (a & (low ^ high))

    if "boolean" not in words:
        return Operation(("b32", "b32", "b32", "u32"), ("b32",), logic)
    combine = np.logical_or if words["boolean"] == "or" else np.logical_and

    def combined(a: Array, b: Array, c: Array, table: Any, q: Array) -> Any:
        result = logic(a, b, c, table)
        return result, combine(result != 0, q)

    return Operation(("b32", "b32", "b32", "u32", "pred"), ("b32", "pred"), combined)


def _shift(
    step: Callable[[Any, Any], Any], beyond: Callable[[Array], Any], name: str
) -> Operation:
    """A shift by any amount.

    Args:
        step: Shifts by less than the width.
        beyond: What remains after a shift by the width or more.
        name: The type of what is shifted.
    """
    dtype, bits = dtype_of(name), 8 * bytes_of(name)

    def shift(a: Array, amount: Array) -> Any:
        if amount.ndim == 0:  # an immediate, as nearly always
            return step(a, dtype.type(amount)) if amount < bits else beyond(a)
        inside = np.minimum(amount, np.uint32(bits - 1)).astype(dtype)
        return np.where(amount < bits, step(a, inside), beyond(a))

    return Operation((name, "u32"), (name,), shift)


def _shift_left(words: Words) -> Operation:
    return _shift(np.left_shift, np.zeros_like, words["type"])


def _shift_right(words: Words) -> Operation:
    name = words["type"]
    if name[0] != "s":
        return _shift(np.right_shift, np.zeros_like, name)
    top = dtype_of(name).type(8 * bytes_of(name) - 1)
    return _shift(np.right_shift, lambda a: a >> top, name)


def _funnel_shift(words: Words) -> Operation:
    """Shifts [b, a], 64 bits: `l` gives the upper half of it, `r` the lower."""
    left = words["direction"] == "l"

    def shift(a: Array, b: Array, amount: Array) -> Any:
        both = (np.asarray(b, np.uint64) << np.uint64(32)) | np.asarray(a, np.uint64)
        if words["mode"] == "wrap":
            count = amount & np.uint32(31)
        else:
            count = np.minimum(amount, np.uint32(32))
        count = count.astype(np.uint64)
        shifted = (both << count) >> np.uint64(32) if left else both >> count
        return shifted.astype(np.uint32)

    return Operation(("b32", "b32", "u32"), ("b32",), shift)


def _ones(a: Array) -> Any:
    """The number of bits set in uint64, summed in ever wider fields."""
    pairs = a - ((a >> np.uint64(1)) & np.uint64(0x5555555555555555))
    mask = np.uint64(0x3333333333333333)
    fours = (pairs & mask) + ((pairs >> np.uint64(2)) & mask)
    bytes_ = (fours + (fours >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (bytes_ * np.uint64(0x0101010101010101)) >> np.uint64(56)


def highest_bit(a: Array) -> Any:
    """The position of the highest bit set in uint64, as int64; -1 where none is."""
    filled = np.asarray(a, np.uint64)
    for distance in (1, 2, 4, 8, 16, 32):
        filled = filled | (filled >> np.uint64(distance))
    return _ones(filled).astype(np.int64) - 1


def _count_ones(words: Words) -> Operation:
    return Operation(
        (words["type"],),
        ("u32",),
        lambda a: _ones(np.asarray(a, np.uint64)).astype(np.uint32),
    )


def _count_leading_zeros(words: Words) -> Operation:
    name = words["type"]
    top = 8 * bytes_of(name) - 1
    return Operation(
        (name,), ("u32",), lambda a: (top - highest_bit(a)).astype(np.uint32)
    )


def _find_highest(words: Words) -> Operation:
    """The highest bit that differs from the sign; all bits set where none does."""
    name = words["type"]
    top, unsigned = 8 * bytes_of(name) - 1, np.dtype(f"u{bytes_of(name)}")

    def find(a: Array) -> Any:
        bits = np.asarray(a ^ (a >> a.dtype.type(top)) if name[0] == "s" else a)
        found = highest_bit(bits.view(unsigned))
        if words["shiftamt"]:
            found = np.where(found < 0, found, top - found)
        return found.astype(np.uint32)

    return Operation((name,), ("u32",), find)


def _reverse(words: Words) -> Operation:
    name = words["type"]
    dtype, bits = dtype_of(name), 8 * bytes_of(name)
    # Swaps neighbours, then pairs, then fours, and so on up to the halves.
    steps = []
    distance = 1
    while distance < bits:
        period = (1 << 2 * distance) - 1
        mask = ((1 << bits) - 1) // period * ((1 << distance) - 1)
        steps.append((dtype.type(distance), dtype.type(mask)))
        distance *= 2

    def reverse(a: Array) -> Any:
        for shift, mask in steps:
            a = ((a >> shift) & mask) | ((a & mask) << shift)
        return a

    return same_type(name, 1, reverse)


def _find_nth(words: Words) -> Operation:
    """The n-th bit set from `base` on: upwards for n > 0, downwards for n < 0."""

    def find(mask: Array, base: Array, offset: Array) -> Any:
        mask, base, offset = np.broadcast_arrays(mask, base, offset)
        found = np.full(mask.shape, -1, np.int64)
        seen = np.zeros(mask.shape, np.int64)
        wanted = np.abs(offset.astype(np.int64))
        step = np.where(offset < 0, -1, 1)
        for distance in range(32):
            place = base.astype(np.int64) + step * distance
            inside = (place >= 0) & (place < 32)
            bit = mask >> np.clip(place, 0, 31).astype(np.uint32) & np.uint32(1)
            here = inside & (bit == 1)
            seen += here
            # n = 0 asks for the base itself.
            hit = here & np.where(wanted == 0, distance == 0, seen == wanted)
            found = np.where(hit & (found < 0), place, found)
        return found.astype(np.uint32)

    return Operation(("b32", "b32", "s32"), ("b32",), find)


_BITS: Final = "type=pred|b16|b32|b64"

FORMS: Final = (
    Form("and", _BITS, _logic(np.bitwise_and, 2)),
    Form("or", _BITS, _logic(np.bitwise_or, 2)),
    Form("xor", _BITS, _logic(np.bitwise_xor, 2)),
    Form("not", _BITS, _logic(np.invert, 1)),
    Form("cnot", "type=b16|b32|b64", _is_zero),
    Form("lop3", "type=b32", _lop3),
    Form("lop3", "boolean=or|and type=b32", _lop3),
    Form("shl", "type=b16|b32|b64", _shift_left),
    Form("shr", "type=b16|b32|b64|u16|u32|u64|s16|s32|s64", _shift_right),
    Form("shf", "direction=l|r mode=wrap|clamp type=b32", _funnel_shift),
    Form("popc", "type=b32|b64", _count_ones),
    Form("clz", "type=b32|b64", _count_leading_zeros),
    Form("bfind", "[shiftamt] type=u32|u64|s32|s64", _find_highest),
    Form("brev", "type=b32|b64", _reverse),
    Form("fns", "type=b32", _find_nth),
)
