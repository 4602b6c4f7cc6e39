"""Shared-memory matrix descriptors of wgmma (sm_90) and the addresses they stand for.

    bits  0–13  start address / 16          bits 49–51  base offset
    bits 16–29  leading byte offset / 16    bits 62–63  swizzle: none, 128, 64, 32 bytes
    bits 32–45  stride byte offset / 16

A matrix of R rows (M or N) and K columns consists of core matrices: 8 lines of S bytes,
S the swizzle or 16 without one. With r a row, b the byte of column k in its row
(K-major), or b the byte of row r in its line (MN-major):

    K-major   S = 16   (r div 8) stride + (b div 16) leading + 16 (r mod 8) + b mod 16
    K-major   S > 16   (r div 8) stride + S (r mod 8) + b
    MN-major  S = 16   (b div 16) stride + (k div 8) leading + 16 (k mod 8) + b mod 16
    MN-major  S > 16   (b div S) leading + (k div 8) stride + S (k mod 8) + b mod S

plus the start address; then bits 4–6 are flipped by the swizzle's bits 7–9, less the
base offset.

Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Shared Memory Layout" and "Matrix
Descriptor Format".
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np

from ix.emulator.element_types import Array

__all__ = [
    "SWIZZLE_MASK",
    "DescriptorError",
    "MatrixDescriptor",
    "matrix_of_chunks",
    "parse_descriptor",
    "swizzle",
]

CHUNK: Final = 16  # bytes that swizzles keep together
SWIZZLE_OF_MODE: Final = {0: 0, 1: 128, 2: 64, 3: 32}
SWIZZLE_MASK: Final = {0: 0, 32: 1, 64: 3, 128: 7}
RESERVED: Final = ~(0x3FFF | 0x3FFF << 16 | 0x3FFF << 32 | 7 << 49 | 3 << 62)


class DescriptorError(ValueError):
    """A matrix descriptor that no layout of shared memory belongs to."""


def swizzle(address: Array, swizzle_bytes: int, base_offset: int = 0) -> Array:
    """Where the byte at a linear shared-memory address lies under a swizzle.

    Args:
        address: Bytes, signed or unsigned integers.
        swizzle_bytes: 0 (none), 32, 64 or 128.
        base_offset: Row of the pattern, of 128 bytes, that address 0 is in.
    """
    mask = SWIZZLE_MASK[swizzle_bytes]
    if not mask:
        return address
    kind = address.dtype.type
    row = (address >> kind(7)) - kind(base_offset) & kind(mask)
    flipped: Array = address ^ row << kind(4)
    return flipped


@dataclass(frozen=True)
class MatrixDescriptor:
    """The fields of a descriptor, offsets in bytes."""

    start: int
    leading: int
    stride: int
    base_offset: int
    swizzle_bytes: int

    def addresses(
        self, rows: int, depth: int, element_bytes: int, mn_major: bool = False
    ) -> Array:
        """Byte addresses `[rows, depth]` of the elements, int64.

        Args:
            rows: M of A or N of B.
            depth: K, in elements.
            element_bytes: 1, 2 or 4.
            mn_major: Rows, not columns, are contiguous ("transposed").

        Raises:
            DescriptorError: The layout is not one that wgmma reads.
        """
        if mn_major and element_bytes != 2:
            raise DescriptorError(
                "needs K-major factors of 8-bit and 32-bit types, but the transpose "
                "immediate asks for MN-major; only 16-bit types can be transposed"
            )
        linear = _linear(
            rows, depth, element_bytes, mn_major, self.swizzle_bytes,
            self.leading, self.stride,
        )  # fmt: skip
        return swizzle(linear + self.start, self.swizzle_bytes, self.base_offset)

    def chunks(
        self, rows: int, depth: int, element_bytes: int, mn_major: bool = False
    ) -> Array:
        """Addresses (n,) of the chunks of 16 bytes that the matrix consists of."""
        places = self.addresses(rows, depth, element_bytes, mn_major)
        per = CHUNK // element_bytes
        return (places[::per] if mn_major else places[:, ::per]).reshape(-1)


def matrix_of_chunks(
    chunks: Array, rows: int, depth: int, element_bytes: int, mn_major: bool = False
) -> Array:
    """The codes `[rows, depth]` in the bytes (n, 16) at `MatrixDescriptor.chunks`."""
    codes = chunks.view(f"u{element_bytes}")
    if not mn_major:
        return codes.reshape(rows, depth)
    split = codes.reshape(-1, depth, CHUNK // element_bytes)
    return split.transpose(0, 2, 1).reshape(rows, depth)


@functools.lru_cache(256)
def _linear(
    rows: int,
    depth: int,
    element_bytes: int,
    mn_major: bool,
    swizzle_bytes: int,
    leading: int,
    stride: int,
) -> Array:
    """Offsets from the start address before the swizzle; see the module's table."""
    row = np.arange(rows, dtype=np.int64)[:, None]
    column = np.arange(depth, dtype=np.int64)[None, :]
    line = swizzle_bytes or 16
    if mn_major:
        byte, index = row * element_bytes, column
        outer, inner = (leading, stride) if swizzle_bytes else (stride, leading)
        offset = byte // line * outer + index // 8 * inner
        return offset + index % 8 * line + byte % line
    byte = column * element_bytes
    within = byte if swizzle_bytes else byte // 16 * leading + byte % 16
    return row // 8 * stride + row % 8 * line + within


def parse_descriptor(descriptor: int) -> MatrixDescriptor:
    """Takes the 64 bits of a descriptor apart.

    Raises:
        DescriptorError: Reserved bits are set, as in descriptors for other machines.
    """
    if descriptor & RESERVED & (1 << 64) - 1:
        raise DescriptorError(
            f"needs zero in the reserved bits of {descriptor:#018x}, but bits "
            f"{descriptor & RESERVED & (1 << 64) - 1:#x} are set; "
            "sm_90 has the swizzle in bits 62-63 and the base offset in bits 49-51"
        )
    return MatrixDescriptor(
        start=(descriptor & 0x3FFF) << 4,
        leading=(descriptor >> 16 & 0x3FFF) << 4,
        stride=(descriptor >> 32 & 0x3FFF) << 4,
        base_offset=descriptor >> 49 & 7,
        swizzle_bytes=SWIZZLE_OF_MODE[descriptor >> 62],
    )
