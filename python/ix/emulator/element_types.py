"""Element types of tensor cores: their bits, and the numbers that the bits mean."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ELEMENT_TYPES", "Array", "ElementType", "decode", "unpack"]

Array = NDArray[Any]


@dataclass(frozen=True)
class ElementType:
    """How a number is stored in the registers or in shared memory.

    Attributes:
        name: As in PTX, without the dot.
        bits: Bits of one element in its container (tf32 takes 32).
        kind: `float`, `signed`, `unsigned` or `bit`.
        min_exponent: Exponent of the smallest normal number (floats).
    """

    name: str
    bits: int
    kind: str
    min_exponent: int = 0


ELEMENT_TYPES: Final = {
    each.name: each
    for each in (
        ElementType("f64", 64, "float", -1022),
        ElementType("f32", 32, "float", -126),
        ElementType("tf32", 32, "float", -126),
        ElementType("f16", 16, "float", -14),
        ElementType("bf16", 16, "float", -126),
        ElementType("e4m3", 8, "float", -6),
        ElementType("e5m2", 8, "float", -14),
        ElementType("s32", 32, "signed"),
        ElementType("s8", 8, "signed"),
        ElementType("u8", 8, "unsigned"),
        ElementType("s4", 4, "signed"),
        ElementType("u4", 4, "unsigned"),
        ElementType("b1", 1, "bit"),
    )
}


@functools.cache
def _float8_values(name: str) -> Array:
    """The 256 values of an 8-bit float, as float32.

    Source: OCP 8-bit Floating Point Specification (OFP8), section 5.
    """
    exponent_bits, bias = (4, 7) if name == "e4m3" else (5, 15)
    mantissa_bits = 7 - exponent_bits
    codes = np.arange(256)
    exponent = codes >> mantissa_bits & (1 << exponent_bits) - 1
    mantissa = codes & (1 << mantissa_bits) - 1
    significand = mantissa + (exponent > 0) * (1 << mantissa_bits)
    scale = np.maximum(exponent, 1) - bias - mantissa_bits
    values = np.ldexp(significand.astype(np.float64), scale)
    if name == "e4m3":
        values[codes & 0x7F == 0x7F] = np.nan
    else:
        values[(exponent == 31) & (mantissa == 0)] = np.inf
        values[(exponent == 31) & (mantissa > 0)] = np.nan
    signed: Array = np.where(codes >> 7, -values, values).astype(np.float32)
    return signed


def decode(codes: Array, name: str) -> Array:
    """The numbers that codes of the element type `name` mean.

    Args:
        codes: Unsigned integers as wide as the type's container (4-bit and 1-bit
            elements: one byte each).
        name: A key of `ELEMENT_TYPES`.

    Returns:
        float64 for f64, float32 for the other floats, int32 for integers and bits.
        Tensor cores ignore the low 13 bits of a tf32 operand, and so does this.
    """
    if name == "f16":
        return codes.view(np.float16).astype(np.float32)
    if name == "bf16":
        return (codes.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if name == "tf32":
        return (codes & np.uint32(0xFFFFE000)).view(np.float32)
    if name in ("e4m3", "e5m2"):
        return _float8_values(name)[codes]
    if name in ("f32", "f64"):
        return codes.view(np.float32 if name == "f32" else np.float64)
    if name == "s8":
        return codes.view(np.int8).astype(np.int32)
    if name == "s4":
        return (codes.astype(np.int32) ^ 8) - 8
    return codes.astype(np.int32)


def unpack(registers: Array, bits: int) -> Array:
    """Splits registers into the codes that they hold, lowest bits first.

    Args:
        registers: `[..., R]`, 32-bit (or 64-bit for 64-bit elements) unsigned.
        bits: Bits of an element.

    Returns:
        `[..., R, 32 / bits]` unsigned, at least a byte each; `[..., R, 1]` for 64-bit.
    """
    registers = np.ascontiguousarray(registers)
    if bits >= 8:
        per = registers.itemsize * 8 // bits
        codes = registers.view(f"u{bits // 8}")
        return codes.reshape(*registers.shape, per)
    codes = registers.view(np.uint8).reshape(*registers.shape, 4, 1)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    split = codes >> shifts & np.uint8((1 << bits) - 1)
    return split.reshape(*registers.shape, 32 // bits)
