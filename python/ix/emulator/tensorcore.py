"""Arithmetic of tensor cores: D = A · B + C of one matrix instruction.

Fast mode multiplies in float32, whose rounding differs from the hardware's in the last
bits. Exact mode repeats the hardware bit by bit, as far as it has been measured:
within a group along K the products and the accumulator are aligned to the largest
exponent, cut to `fraction_bits` fractional bits, added exactly, and rounded once.
Integers are exact in both.

Source: Xie et al., "MMA-Sim: Bit-Accurate Reference Model of Tensor Cores and Matrix
Cores", arXiv 2511.10909 (truncated fused dot-product-add, tables of parameters).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from ix.emulator.element_types import ELEMENT_TYPES, Array

__all__ = ["FusedSum", "Operation", "fused_sum", "multiply_add"]

FLOAT8: Final = ("e4m3", "e5m2")
INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1


@dataclass(frozen=True)
class FusedSum:
    """What the hardware does within one group along K.

    Attributes:
        fraction_bits: Fractional bits that survive the alignment.
        group_bytes: Bytes of a row of A that are added at once.
        zero_exponent: The exponent that a zero term counts with.
        result_bits: Fractional bits of a float32 result, rounded toward zero.
    """

    fraction_bits: int
    group_bytes: int
    zero_exponent: int
    result_bits: int = 23


@dataclass(frozen=True)
class Operation:
    """Types of one matrix instruction; names as in PTX, without the dot.

    Attributes:
        a, b: Element types of the factors.
        d: Element type of accumulator and result.
        saturate: Integer results stop at the ends of s32 instead of wrapping.
        bit_operation: `xor` or `and` for b1 factors.
        fused: Exact mode's parameters; None selects fast mode.
    """

    a: str
    b: str
    d: str
    saturate: bool = False
    bit_operation: str = ""
    fused: FusedSum | None = None


def fused_sum(sm: int, instruction: str, a: str, d: str) -> FusedSum:
    """The parameters of an architecture's tensor cores.

    Args:
        sm: Compute capability as in `sm_<sm>`: 80, 86, 89, 90, 100, 120.
        instruction: `mma` or `wgmma`.
        a, d: Element types of A and of the result.
    """
    hopper = sm >= 90
    fraction_bits, group_bytes = (25, 32) if hopper else (24, 16)
    narrow = a in FLOAT8 and (sm == 89 or instruction == "wgmma")
    zero_exponent = (-20 if d == "f16" else -132) - hopper
    if narrow:
        return FusedSum(13, group_bytes, zero_exponent, 13)
    return FusedSum(fraction_bits, group_bytes, zero_exponent)


def multiply_add(a: Array, b: Array, c: Array, operation: Operation) -> Array:
    """A[..., M, K] · B[..., K, N] + C[..., M, N], rounded as `operation` says.

    Args:
        a, b: Decoded factors: float32 (float64 for f64) or int32.
        c: The accumulator: float32, float16, float64 or int32.
        operation: Types, and fast or exact mode.

    Returns:
        D[..., M, N], of C's type.
    """
    if c.dtype == np.int32:
        return _integers(a, b, c, operation)
    with np.errstate(all="ignore"):
        if operation.fused is None:
            result: Array = (np.matmul(a, b) + c).astype(c.dtype)
            return result
        if operation.d == "f64":
            return _chained_fma(a, b, c)
        return _fused_groups(a, b, c, operation, operation.fused)


def _integers(a: Array, b: Array, c: Array, operation: Operation) -> Array:
    """Exact: sums of at most 256 products stay below 2^24, so float32 suffices."""
    left, right = a.astype(np.float32), b.astype(np.float32)
    products = np.matmul(left, right)
    if operation.bit_operation == "xor":
        ones = left.sum(-1)[..., :, None] + right.sum(-2)[..., None, :]
        products = ones - 2 * products
    total = products.astype(np.int64) + c
    if operation.saturate:
        total = np.clip(total, INT32_MIN, INT32_MAX)
    wrapped: Array = total.astype(np.int32)
    return wrapped


def _chained_fma(a: Array, b: Array, c: Array) -> Array:
    """f64: one fused multiply-add after the other along K."""
    result = c.copy()
    for index in np.ndindex(*result.shape):
        *batch, row, column = index
        left, right = a[(*batch, row)], b[(*batch, slice(None), column)]
        total = float(result[index])
        for x, y in zip(left.tolist(), right.tolist(), strict=True):
            total = _fma(x, y, total)
        result[index] = total
    return result


def _fma(x: float, y: float, z: float) -> float:
    """x · y + z with one rounding; Python's division of integers rounds correctly."""
    plain = x * y + z
    if not np.isfinite(plain) or plain == 0:
        return plain
    try:
        return float(Fraction(x) * Fraction(y) + Fraction(z))
    except OverflowError:
        return plain


def _fused_groups(
    a: Array, b: Array, c: Array, operation: Operation, fused: FusedSum
) -> Array:
    kind_a, kind_b = ELEMENT_TYPES[operation.a], ELEMENT_TYPES[operation.b]
    group = fused.group_bytes * 8 // kind_a.bits
    transposed = np.swapaxes(b, -1, -2)
    for start in range(0, a.shape[-1], group):
        at = slice(start, start + group)
        factor_a, exponent_a = _normalize(a[..., :, None, at], kind_a.min_exponent)
        factor_b, exponent_b = _normalize(
            transposed[..., None, :, at], kind_b.min_exponent
        )
        factor_c, exponent_c = _normalize(c, -14 if operation.d == "f16" else -126)
        terms = np.concatenate([factor_a * factor_b, factor_c[..., None]], -1)
        exponents = np.concatenate([exponent_a + exponent_b, exponent_c[..., None]], -1)
        exponents = np.where(terms == 0, fused.zero_exponent, exponents)
        largest = exponents.max(-1)
        shift = exponents - largest[..., None] + fused.fraction_bits
        # Integers below 2^53: their sum in float64 is exact.
        total = np.trunc(np.ldexp(terms, shift)).sum(-1)
        exact = np.ldexp(total, largest - fused.fraction_bits)
        c = _round_half(exact) if operation.d == "f16" else _round_zero(exact, fused)
    return c


def _normalize(x: Array, min_exponent: int) -> tuple[Array, Array]:
    """Significand with 1 ≤ |s| < 2 (less for subnormal x) and exponent of x."""
    significand, exponent = np.frexp(x.astype(np.float64))
    significand, exponent = significand * 2, exponent - 1
    below = exponent < min_exponent
    significand = np.where(
        below, np.ldexp(significand, exponent - min_exponent), significand
    )
    return significand, np.where(below | (significand == 0), min_exponent, exponent)


def _round_zero(x: Array, fused: FusedSum) -> Array:
    """Toward zero to `result_bits` fractional bits; every NaN is 0x7FFFFFFF."""
    significand, exponent = _normalize(x, -126)
    cut = np.trunc(np.ldexp(significand, fused.result_bits))
    result: Array = np.ldexp(cut, exponent - fused.result_bits).astype(np.float32)
    result += np.float32(0)  # -0 becomes +0
    result.view(np.uint32)[np.isnan(result)] = 0x7FFFFFFF
    return result


def _round_half(x: Array) -> Array:
    """To nearest even in float16; NumPy rounds float64 once. Every NaN is 0x7FFF."""
    result: Array = x.astype(np.float16) + np.float16(0)
    result.view(np.uint16)[np.isnan(result)] = 0x7FFF
    return result
