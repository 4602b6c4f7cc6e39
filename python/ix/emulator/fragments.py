"""How the lanes of a warp hold matrices: mma, sparse mma, ldmatrix, movmatrix, wgmma.

A lane is 4 · g + t, g = 0..7, t = 0..3. An element of w bits shares a 32-bit register
with 32 / w - 1 others ("per" = 32 / w of them; 64-bit elements have one each):

    A: register r, element e  →  row g + 8 (r mod 2), column per (t + 4 (r div 2)) + e
    B: register r, element e  →  row per (t + 4 r) + e, column g
    C: register r             →  row g + 8 (r div 2), column 2 t + r mod 2

so every fragment is a transposition of [g, t, r, e]. A warpgroup holds a matrix of 64
rows as four of its warps' fragments, 16 rows each.

Source: PTX ISA, "Matrix Fragments for mma.m16n8k*", "Sparse matrix storage", "Register
fragments and shared memory matrix layouts" of wgmma, and ldmatrix.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ix.emulator.element_types import Array, unpack

__all__ = [
    "ORDERED_PAIRS",
    "SparsityError",
    "a_matrix",
    "accumulator_matrix",
    "accumulator_registers",
    "b_matrix",
    "check_chunks",
    "expand_sparse",
    "metadata_chunks",
    "registers_of_tiles",
    "tiles_of_registers",
    "transpose_tile",
]

ORDERED_PAIRS: Final = (0b0100, 0b1000, 0b1001, 0b1100, 0b1101, 0b1110)
PAIR_OF_TWO: Final = (0b0100, 0b1110)  # the one element of a chunk of two


class SparsityError(ValueError):
    """Metadata or selector of a sparse product that the ISA gives no meaning."""


def a_matrix(registers: Array, bits: int, rows: int = 16) -> Array:
    """A[W, rows, K] codes from registers [W, 32, R]; see the module's formula."""
    warps, _, count = registers.shape
    halves = rows // 8
    codes = unpack(registers, bits)
    per = codes.shape[-1]
    split = codes.reshape(warps, 8, 4, count // halves, halves, per)
    return split.transpose(0, 4, 1, 3, 2, 5).reshape(warps, rows, -1)


def b_matrix(registers: Array, bits: int) -> Array:
    """B[W, K, 8] codes from registers [W, 32, R]; see the module's formula."""
    warps, _, count = registers.shape
    codes = unpack(registers, bits)
    split = codes.reshape(warps, 8, 4, count, codes.shape[-1])
    return split.transpose(0, 3, 2, 4, 1).reshape(warps, -1, 8)


def accumulator_matrix(values: Array, rows: int = 16) -> Array:
    """C[W, rows, N] from values [W, 32, V], V = rows N / 32; f16 pairs split before.

    Also wgmma's accumulator: N = 8 columns for every 4 values of a lane.
    """
    warps, _, count = values.shape
    halves = rows // 8
    split = values.reshape(warps, 8, 4, count // (2 * halves), halves, 2)
    return split.transpose(0, 4, 1, 3, 2, 5).reshape(warps, rows, -1)


def accumulator_registers(matrix: Array) -> Array:
    """The values [W, 32, V] of D[W, rows, N]: `accumulator_matrix`, inverted."""
    warps, rows, columns = matrix.shape
    split = matrix.reshape(warps, rows // 8, 8, columns // 8, 4, 2)
    return split.transpose(0, 2, 4, 3, 1, 5).reshape(warps, 32, -1)


def tiles_of_registers(registers: Array, transposed: bool = False) -> Array:
    """8×8 tiles of b16 [W, n, 8, 8] from registers [W, 32, n], as stmatrix stores."""
    warps, _, count = registers.shape
    halves = np.ascontiguousarray(registers).view(np.uint16)
    tiles = halves.reshape(warps, 8, 4, count, 2).transpose(0, 3, 1, 2, 4)
    tiles = tiles.reshape(warps, count, 8, 8)
    return tiles.swapaxes(-1, -2) if transposed else tiles


def registers_of_tiles(tiles: Array, transposed: bool = False) -> Array:
    """Registers [W, n, 32] from 8×8 tiles of b16 [W, n, 8, 8], as ldmatrix loads."""
    if transposed:
        tiles = tiles.swapaxes(-1, -2)
    warps, count = tiles.shape[:2]
    words: Array = np.ascontiguousarray(tiles).view(np.uint32)
    return words.reshape(warps, count, 32)


def transpose_tile(registers: Array) -> Array:
    """movmatrix: the registers [W, 32] of a transposed 8×8 tile of b16."""
    return registers_of_tiles(tiles_of_registers(registers[..., None]), True)[:, 0]


def metadata_chunks(metadata: Array, selector: int, depth: int, bits: int) -> Array:
    """Sorts metadata into rows: one 4-bit index for each chunk of A.

    Args:
        metadata: `[W, 32]` uint32, one register a lane.
        selector: Which lanes of each four contribute.
        depth: K of the whole product, in elements.
        bits: Bits of an element: 32 (chunks of 2), 16 or 8 (chunks of 4).

    Returns:
        `[W, 16, chunks]` uint8.

    Raises:
        SparsityError: The selector names lanes that do not exist.

    Where lanes of 16-bit and 32-bit types hold rows g and g + 8 in their halves, lanes
    of 8-bit types alternate between the two rows.
    """
    chunks = depth // (2 if bits == 32 else 4)
    lanes = 16 * chunks * 4 // 256  # of each four: 1, 2 or 4
    if not 0 <= selector < 4 // lanes:
        raise SparsityError(
            f"needs a sparsity selector below {4 // lanes}, but it is {selector}; "
            f"{lanes} of every 4 lanes hold the metadata of this shape"
        )
    warps = len(metadata)
    quads = metadata.reshape(warps, 8, 4)
    chosen = quads[:, :, selector * lanes : (selector + 1) * lanes]
    shifts = np.arange(0, 32, 4, dtype=np.uint32)
    nibbles = (chosen[..., None] >> shifts & np.uint32(15)).astype(np.uint8)
    if bits == 8:  # [g, (column half, row half), chunk]
        split = nibbles.reshape(warps, 8, lanes // 2, 2, 8)
        return split.transpose(0, 3, 1, 2, 4).reshape(warps, 16, chunks)
    split = nibbles.reshape(warps, 8, lanes, 2, 4)
    return split.transpose(0, 3, 1, 2, 4).reshape(warps, 16, chunks)


def check_chunks(chunks: Array, bits: int) -> None:
    """Checks the 4-bit indices `[..., M, chunks]` of a sparse matrix.

    Raises:
        SparsityError: An index that the ISA gives no meaning.
    """
    valid = PAIR_OF_TWO if bits == 32 else ORDERED_PAIRS
    wrong = ~np.isin(chunks, valid)
    if wrong.any():
        row, chunk = (int(i[0]) for i in np.nonzero(wrong)[-2:])
        raise SparsityError(
            f"needs metadata among {', '.join(f'{v:#06b}' for v in valid)}, but row "
            f"{row}, chunk {chunk} has {int(chunks[wrong][0]):#06b}; "
            "check the selector and the order of the metadata"
        )


def expand_sparse(kept: Array, chunks: Array, bits: int) -> Array:
    """A[..., M, K] with its zeros, from the elements that were kept.

    Args:
        kept: `[..., M, K / 2]` codes.
        chunks: `[..., M, chunks]`, the 4-bit index of each chunk of 4 (or 2) elements.
        bits: Bits of an element.

    Raises:
        SparsityError: An index that the ISA gives no meaning.
    """
    check_chunks(chunks, bits)
    size = 2 if bits == 32 else 4
    dense = np.zeros((*chunks.shape, size), kept.dtype)
    if bits == 32:
        places = (chunks == PAIR_OF_TWO[1]).astype(np.int64)[..., None]
    else:
        places = np.stack([chunks & 3, chunks >> 2], -1).astype(np.int64)
    np.put_along_axis(dense, places, kept.reshape(places.shape), -1)
    return dense.reshape(*kept.shape[:-1], -1)
