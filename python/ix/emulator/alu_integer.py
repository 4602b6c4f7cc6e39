"""Integer arithmetic: add, sub, mul, mad, div, rem, abs, neg, min, max, sad, 24-bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words, same_type
from ix.emulator.ptx_types import bytes_of, dtype_of

__all__ = ["FORMS", "multiply_high", "saturated_sum"]

Binary = Callable[[Any, Any], Any]


def multiply_high(name: str) -> Binary:
    """The upper half of the product of two integers of a type."""
    if bytes_of(name) == 8:
        return _multiply_high_s64 if name == "s64" else _multiply_high_u64
    dtype, wide = dtype_of(name), dtype_of(_wide(name))
    shift = wide.type(8 * bytes_of(name))

    def high(a: Array, b: Array) -> Any:
        return (np.multiply(a, b, dtype=wide) >> shift).astype(dtype)

    return high


def saturated_sum(a: Array, b: Array) -> Any:
    """The sum of wide integers, held within s32."""
    return np.clip(a + b, -(2**31), 2**31 - 1).astype(np.int32)


def _wide(name: str) -> str:
    """The type of twice the width: s16 → s32."""
    return f"{name[0]}{16 * bytes_of(name)}"


def _multiply_high_u64(a: Array, b: Array) -> Any:
    # Schoolbook on halves: (a1·2³² + a0)·(b1·2³² + b0), carries kept apart.
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    a0, a1, b0, b1 = a & mask, a >> half, b & mask, b >> half
    middle = a1 * b0 + (a0 * b0 >> half)
    other = a0 * b1 + (middle & mask)
    return a1 * b1 + (middle >> half) + (other >> half)


def _multiply_high_s64(a: Array, b: Array) -> Any:
    # As unsigned, a negative a counts 2⁶⁴ too much: b too much in the upper half.
    x, y = a.view(np.uint64), b.view(np.uint64)
    high = _multiply_high_u64(x, y)
    high = high - np.where(a < 0, y, np.uint64(0)) - np.where(b < 0, x, np.uint64(0))
    return high.view(np.int64)


def _divide(name: str) -> Binary:
    """a / b towards zero; all bits set where b is 0, as ptxas computes it."""
    dtype = dtype_of(name)
    ones = np.invert(dtype.type(0))
    if name[0] == "u":
        return lambda a, b: np.where(b == 0, ones, a // np.where(b == 0, ones, b))

    def divide(a: Array, b: Array) -> Any:
        safe = np.where(b == 0, dtype.type(1), b)
        # NumPy rounds down; an inexact negative quotient is one too small.
        quotient = a // safe
        quotient = quotient + ((quotient * safe != a) & ((a < 0) != (safe < 0)))
        return np.where(b == 0, ones, quotient)

    return divide


def _remainder(name: str) -> Binary:
    """a - (a / b)·b, so it has the sign of a; all bits set where b is 0."""
    divide, ones = _divide(name), np.invert(dtype_of(name).type(0))
    return lambda a, b: np.where(b == 0, ones, a - divide(a, b) * b)


def _absolute_difference(a: Array, b: Array) -> Any:
    return np.where(a < b, b - a, a - b)


def _low_24(name: str) -> Callable[[Array], Any]:
    """The low 24 bits of a 32-bit integer as a 64-bit one, with their sign."""
    if name == "u32":
        return lambda x: (x & np.uint32(0xFFFFFF)).astype(np.uint64)
    return lambda x: ((x << np.int32(8)) >> np.int32(8)).astype(np.int64)


def _product(words: Words, name: str) -> tuple[Binary, str]:
    """The product that `hi`, `lo` or `wide` selects, and its type."""
    if words["mode"] == "hi":
        return multiply_high(name), name
    if words["mode"] == "lo":
        return np.multiply, name
    wide = dtype_of(_wide(name))
    return lambda a, b: np.multiply(a, b, dtype=wide), _wide(name)


def _product_24(words: Words) -> Binary:
    """The low 32 bits of the 48-bit product, or bits 16 to 47."""
    low, dtype = _low_24(words["type"]), dtype_of(words["type"])
    shift = 16 if words["mode"] == "hi" else 0

    def product(a: Array, b: Array) -> Any:
        wide = low(a) * low(b)
        return (wide >> wide.dtype.type(shift)).astype(dtype)

    return product


def _add(words: Words) -> Operation:
    return same_type(words["type"], 2, np.add)


def _subtract(words: Words) -> Operation:
    return same_type(words["type"], 2, np.subtract)


def _add_saturated(words: Words) -> Operation:
    return same_type("s32", 2, lambda a, b: saturated_sum(a.astype(np.int64), b))


def _subtract_saturated(words: Words) -> Operation:
    # -b of the wider type: the smallest s32 has no negative of its own width.
    return same_type(
        "s32", 2, lambda a, b: saturated_sum(a.astype(np.int64), -b.astype(np.int64))
    )


def _multiply(words: Words) -> Operation:
    name = words["type"]
    function, result = _product(words, name)
    return Operation((name, name), (result,), function)


def _multiply_add(words: Words) -> Operation:
    name = words["type"]
    product, result = _product(words, name)
    return Operation((name, name, result), (result,), lambda a, b, c: product(a, b) + c)


def _multiply_add_saturated(words: Words) -> Operation:
    high = multiply_high("s32")
    return same_type(
        "s32", 3, lambda a, b, c: saturated_sum(high(a, b).astype(np.int64), c)
    )


def _multiply_24(words: Words) -> Operation:
    return same_type(words["type"], 2, _product_24(words))


def _multiply_add_24(words: Words) -> Operation:
    product = _product_24(words)
    if "sat" in words:
        return same_type(
            "s32", 3, lambda a, b, c: saturated_sum(product(a, b).astype(np.int64), c)
        )
    return same_type(words["type"], 3, lambda a, b, c: product(a, b) + c)


def _quotient(words: Words) -> Operation:
    return same_type(words["type"], 2, _divide(words["type"]))


def _rest(words: Words) -> Operation:
    return same_type(words["type"], 2, _remainder(words["type"]))


def _minimum(words: Words) -> Operation:
    return same_type(words["type"], 2, _with_relu(np.minimum, words))


def _maximum(words: Words) -> Operation:
    return same_type(words["type"], 2, _with_relu(np.maximum, words))


def _with_relu(function: Binary, words: Words) -> Binary:
    if "relu" not in words:
        return function
    zero = dtype_of(words["type"]).type(0)
    return lambda a, b: np.maximum(function(a, b), zero)


def _sum_of_differences(words: Words) -> Operation:
    return same_type(words["type"], 3, lambda a, b, c: c + _absolute_difference(a, b))


INTEGER: Final = "type=u16|u32|u64|s16|s32|s64"

FORMS: Final = (
    Form("add", INTEGER, _add),
    Form("add", "sat type=s32", _add_saturated),
    Form("sub", INTEGER, _subtract),
    Form("sub", "sat type=s32", _subtract_saturated),
    Form("mul", f"mode=hi|lo {INTEGER}", _multiply),
    Form("mul", "mode=wide type=u16|u32|s16|s32", _multiply),
    Form("mad", f"mode=hi|lo {INTEGER}", _multiply_add),
    Form("mad", "mode=wide type=u16|u32|s16|s32", _multiply_add),
    Form("mad", "mode=hi sat type=s32", _multiply_add_saturated),
    Form("mul24", "mode=hi|lo type=u32|s32", _multiply_24),
    Form("mad24", "mode=hi|lo type=u32|s32", _multiply_add_24),
    Form("mad24", "mode=hi sat type=s32", _multiply_add_24),
    Form("div", INTEGER, _quotient),
    Form("rem", INTEGER, _rest),
    Form("abs", "type=s16|s32|s64", lambda words: same_type(words["type"], 1, np.abs)),
    Form(
        "neg",
        "type=s16|s32|s64",
        lambda words: same_type(words["type"], 1, np.negative),
    ),
    Form("min", INTEGER, _minimum),
    Form("min", "relu type=s32", _minimum),
    Form("max", INTEGER, _maximum),
    Form("max", "relu type=s32", _maximum),
    Form("sad", INTEGER, _sum_of_differences),
)
