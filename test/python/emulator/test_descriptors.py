"""wgmma descriptors against a walk over the canonical layouts of the PTX ISA."""

import numpy as np
import pytest

from ix.emulator.descriptors import (
    DescriptorError,
    MatrixDescriptor,
    parse_descriptor,
    swizzle,
)

MODES = {0: 0, 128: 1, 64: 2, 32: 3}


def encode(start, leading, stride, swizzle_bytes, base_offset=0):
    return (
        start >> 4
        | leading >> 4 << 16
        | stride >> 4 << 32
        | base_offset << 49
        | MODES[swizzle_bytes] << 62
    )


def scalar_swizzle(address, swizzle_bytes):
    """The chunk of 16 bytes is exchanged by the row of 128 bytes that it is in."""
    if not swizzle_bytes:
        return address
    row, chunk = address // 128 % 8, address // 16 % 8
    chunk ^= row % (swizzle_bytes // 16)
    return address // 128 * 128 + chunk * 16 + address % 16


@pytest.mark.parametrize("swizzle_bytes", [0, 32, 64, 128])
def test_swizzle_moves_chunks_of_16_bytes(swizzle_bytes):
    addresses = np.arange(4096)
    moved = swizzle(addresses, swizzle_bytes)
    assert [scalar_swizzle(int(a), swizzle_bytes) for a in addresses] == moved.tolist()
    assert sorted(moved.tolist()) == addresses.tolist()


def store_like_tma(matrix, swizzle_bytes, start):
    """Lays out [rows, line] boxes as TMA would; returns byte address → element."""
    memory = {}
    rows, columns = matrix.shape
    line = columns * matrix.itemsize
    for row, column in np.ndindex(rows, columns):
        linear = start + row * line + column * matrix.itemsize
        memory[scalar_swizzle(linear, swizzle_bytes)] = matrix[row, column]
    return memory


def gather(memory, addresses):
    return np.array([[memory[int(a)] for a in row] for row in addresses])


@pytest.mark.parametrize("swizzle_bytes", [32, 64, 128])
@pytest.mark.parametrize("element_bytes", [1, 2, 4])
def test_k_major_swizzled_reads_what_tma_wrote(swizzle_bytes, element_bytes):
    kind = np.dtype(f"u{element_bytes}")
    columns, depth = swizzle_bytes // element_bytes, 32 // element_bytes
    matrix = np.random.default_rng().integers(0, 200, (64, columns)).astype(kind)
    memory = store_like_tma(matrix, swizzle_bytes, 2048)
    for step in range(columns // depth):
        bits = encode(2048 + 32 * step, 16, 8 * swizzle_bytes, swizzle_bytes)
        found = parse_descriptor(bits).addresses(64, depth, element_bytes)
        want = matrix[:, step * depth : (step + 1) * depth]
        np.testing.assert_array_equal(gather(memory, found), want)


@pytest.mark.parametrize("swizzle_bytes", [32, 64, 128])
def test_mn_major_swizzled_reads_what_tma_wrote(swizzle_bytes):
    columns, depth, rows = swizzle_bytes // 2, 16, 128
    parts = rows // columns  # boxes of `columns` of M or N, side by side
    matrix = np.random.default_rng().integers(0, 2**16, (depth, rows), np.uint16)
    memory, size = {}, depth * swizzle_bytes
    for part in range(parts):
        box = matrix[:, part * columns : (part + 1) * columns]
        memory |= store_like_tma(box, swizzle_bytes, 4096 + part * size)
    bits = encode(4096, size, 8 * swizzle_bytes, swizzle_bytes)
    found = parse_descriptor(bits).addresses(rows, depth, 2, mn_major=True)
    np.testing.assert_array_equal(gather(memory, found), matrix.T)


@pytest.mark.parametrize("mn_major", [False, True])
def test_core_matrices_without_a_swizzle(mn_major):
    """Core matrices of 8 × 16 bytes anywhere: rows by one offset, lines by the other."""
    rows, depth, start = 24, 16, 512
    across_k, across_rows = 640, 160
    leading, stride = across_k, across_rows
    found = parse_descriptor(encode(start, leading, stride, 0)).addresses(
        rows, depth, 2, mn_major
    )
    for row, column in np.ndindex(rows, depth):
        if mn_major:
            core = row // 8 * stride + column // 8 * leading
            want = start + core + column % 8 * 16 + row % 8 * 2
        else:
            core = row // 8 * stride + column // 8 * leading
            want = start + core + row % 8 * 16 + column % 8 * 2
        assert found[row, column] == want


def test_base_offset_turns_the_pattern():
    turned = MatrixDescriptor(128 * 3, 0, 1024, 3, 128).addresses(8, 16, 2)
    plain = MatrixDescriptor(0, 0, 1024, 0, 128).addresses(8, 16, 2)
    np.testing.assert_array_equal(turned - 128 * 3, plain)


def test_fields():
    found = parse_descriptor(encode(0x3FF0, 0x1230, 0x450, 64, 5))
    assert found == MatrixDescriptor(0x3FF0, 0x1230, 0x450, 5, 64)


def test_reserved_bits_are_refused():
    with pytest.raises(DescriptorError, match=r"zero in the reserved bits .* are set"):
        parse_descriptor(encode(0, 0, 0, 128) | 1 << 46)


@pytest.mark.parametrize("element_bytes", [1, 4])
def test_only_16_bit_types_are_transposed(element_bytes):
    with pytest.raises(DescriptorError, match="only 16-bit types can be transposed"):
        parse_descriptor(0).addresses(8, 8, element_bytes, mn_major=True)
