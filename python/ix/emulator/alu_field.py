"""Fields of a register: prmt, bfe, bfi, bmsk, szext."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words
from ix.emulator.ptx_types import bytes_of, dtype_of

__all__ = ["FORMS"]

# Which byte of {b, a} goes to each byte of the result, lowest first, by the low two
# bits of the control. Source: PTX ISA, prmt, the table of modes.
_SELECTORS: Final = {
    "f4e": ((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (3, 4, 5, 6)),
    "b4e": ((0, 7, 6, 5), (1, 0, 7, 6), (2, 1, 0, 7), (3, 2, 1, 0)),
    "rc8": ((0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2), (3, 3, 3, 3)),
    "ecl": ((0, 1, 2, 3), (1, 1, 2, 3), (2, 2, 2, 3), (3, 3, 3, 3)),
    "ecr": ((0, 0, 0, 0), (0, 1, 1, 1), (0, 1, 2, 2), (0, 1, 2, 3)),
    "rc16": ((0, 1, 0, 1), (2, 3, 2, 3), (0, 1, 0, 1), (2, 3, 2, 3)),
}


def _byte_control(mode: str) -> Callable[[Array], Array]:
    """Gives the control of the generic form, a nibble for each byte, for a mode."""
    if not mode:
        return lambda control: control
    table = np.array(
        [sum(b << 4 * i for i, b in enumerate(row)) for row in _SELECTORS[mode]],
        np.uint32,
    )
    return lambda control: table[control & np.uint32(3)]


def _permute(words: Words) -> Operation:
    generic = _byte_control(words["mode"])

    def permute(a: Array, b: Array, control: Array) -> Any:
        selectors = generic(control)
        if np.ndim(control) == 0:  # an immediate, as nearly always
            return _permute_alike(a, b, int(selectors))
        both = (np.asarray(b, np.uint64) << np.uint64(32)) | np.asarray(a, np.uint64)
        result: Any = np.uint32(0)
        for place in range(4):
            selector = selectors >> np.uint32(4 * place)
            shift = (selector & np.uint32(7)).astype(np.uint64) << np.uint64(3)
            byte = (both >> shift).astype(np.uint8)
            byte = np.where(selector & np.uint32(8), _sign_of_byte(byte), byte)
            result = result | (byte.astype(np.uint32) << np.uint32(8 * place))
        return result

    return Operation(("b32", "b32", "b32"), ("b32",), permute)


def _permute_alike(a: Array, b: Array, selectors: int) -> Any:
    """The permutation where all threads have the same selectors."""
    result: Any = np.uint32(0)
    for place in range(4):
        selector = selectors >> 4 * place
        source = b if selector & 4 else a
        byte = (source >> np.uint32(8 * (selector & 3))).astype(np.uint8)
        if selector & 8:
            byte = _sign_of_byte(byte)
        result = result | (byte.astype(np.uint32) << np.uint32(8 * place))
    return result


def _sign_of_byte(byte: Array) -> Any:
    """The sign of bytes, eight times."""
    return (byte.view(np.int8) >> np.int8(7)).view(np.uint8)


def _low_bits(length: Array, dtype: np.dtype[Any]) -> Any:
    """A mask of so many bits; all of them from the width of the type on."""
    bits = 8 * dtype.itemsize
    inside = np.minimum(length, np.uint32(bits - 1)).astype(dtype)
    mask = (dtype.type(1) << inside) - dtype.type(1)
    return np.where(length < bits, mask, ~dtype.type(0))


def _extract(words: Words) -> Operation:
    name = words["type"]
    dtype, bits = dtype_of(name), 8 * bytes_of(name)
    unsigned = np.dtype(f"u{bytes_of(name)}")

    def extract(a: Array, position: Array, length: Array) -> Any:
        a = np.asarray(a).view(unsigned)
        position, length = position & np.uint32(255), length & np.uint32(255)
        inside = np.minimum(position, np.uint32(bits - 1)).astype(unsigned)
        field = np.where(position < bits, a >> inside, unsigned.type(0))
        mask = _low_bits(length, unsigned)
        if name[0] == "u":
            return field & mask
        top = np.minimum(position + length - np.uint32(1), np.uint32(bits - 1))
        sign = (a >> top.astype(unsigned)) & unsigned.type(1)
        # The sign fills what the field, or the register above its start, leaves.
        beyond = ~(mask & _low_bits(bits - np.minimum(position, bits), unsigned))
        filled = np.where(sign != 0, field & mask | beyond, field & mask)
        return np.where(length == 0, unsigned.type(0), filled).view(dtype)

    return Operation((name, "u32", "u32"), (name,), extract)


def _insert(words: Words) -> Operation:
    name = words["type"]
    dtype, bits = dtype_of(name), 8 * bytes_of(name)

    def insert(a: Array, b: Array, position: Array, length: Array) -> Any:
        position, length = position & np.uint32(255), length & np.uint32(255)
        inside = np.minimum(position, np.uint32(bits - 1)).astype(dtype)
        mask = _low_bits(length, dtype) << inside
        inserted = (b & ~mask) | ((a << inside) & mask)
        return np.where(position < bits, inserted, b)

    return Operation((name, name, "u32", "u32"), (name,), insert)


def _mask(words: Words) -> Operation:
    clamp = words["mode"] == "clamp"

    def mask(start: Array, length: Array) -> Any:
        if clamp:
            # Neither may pass bit 31, and their sum cannot overflow then.
            start, length = np.minimum(start, np.uint32(32)), np.minimum(length, 32)
        else:
            start, length = start & np.uint32(31), length & np.uint32(31)
        above = _low_bits(start + length, np.dtype(np.uint32))
        return above & ~_low_bits(start, np.dtype(np.uint32))

    return Operation(("u32", "u32"), ("b32",), mask)


def _extend(words: Words) -> Operation:
    """The low n bits of a, extended by zeros or by their sign."""
    name = words["type"]
    dtype = dtype_of(name)

    def extend(a: Array, length: Array) -> Any:
        if words["mode"] == "wrap":
            length = length & np.uint32(31)
        bits = np.asarray(a).view(np.uint32)
        mask = _low_bits(length, np.dtype(np.uint32))
        low = bits & mask
        if name[0] == "s":
            top = (length - np.uint32(1)) & np.uint32(31)
            negative = ((bits >> top) & np.uint32(1) != 0) & (length > 0)
            low = np.where(negative, low | ~mask, low)
        return low.view(dtype)

    return Operation((name, "u32"), (name,), extend)


FORMS: Final = (
    Form("prmt", "type=b32 [mode=f4e|b4e|rc8|ecl|ecr|rc16]", _permute),
    Form("bfe", "type=u32|u64|s32|s64", _extract),
    Form("bfi", "type=b32|b64", _insert),
    Form("bmsk", "mode=clamp|wrap type=b32", _mask),
    Form("szext", "mode=clamp|wrap type=u32|s32", _extend),
)
