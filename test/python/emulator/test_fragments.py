"""Fragment layouts, element by element, as the PTX ISA's formulas place them."""

import numpy as np
import pytest

from ix.emulator.fragments import (
    SparsityError,
    a_matrix,
    accumulator_matrix,
    accumulator_registers,
    b_matrix,
    expand_sparse,
    metadata_chunks,
    registers_of_tiles,
    tiles_of_registers,
    transpose_tile,
)

WARPS = 3


def element(register, index, bits):
    """Element `index` of a register, lowest bits first."""
    return int(register) >> (index * bits) & ((1 << bits) - 1)


def draw(shape):
    return np.random.default_rng().integers(0, 2**32, shape, dtype=np.uint32)


# (bits, registers of A, registers of B, K): the shapes m16n8k*
SHAPES = [
    (32, 2, 1, 4), (32, 4, 2, 8), (16, 2, 1, 8), (16, 4, 2, 16), (8, 2, 1, 16),
    (8, 4, 2, 32), (4, 2, 1, 32), (4, 4, 2, 64), (1, 2, 1, 128), (1, 4, 2, 256),
]  # fmt: skip


@pytest.mark.parametrize(("bits", "count_a", "count_b", "depth"), SHAPES)
def test_factors_of_m16n8(bits, count_a, count_b, depth):
    a, b = draw((WARPS, 32, count_a)), draw((WARPS, 32, count_b))
    matrix_a, matrix_b = a_matrix(a, bits), b_matrix(b, bits)
    assert matrix_a.shape == (WARPS, 16, depth)
    assert matrix_b.shape == (WARPS, depth, 8)
    per = 32 // bits
    for warp, lane in np.ndindex(WARPS, 32):
        group, thread = lane >> 2, lane % 4
        for i in range(count_a * per):
            row = group if (i // per) % 2 == 0 else group + 8
            column = thread * per + i % per + (4 * per if i >= 2 * per else 0)
            want = element(a[warp, lane, i // per], i % per, bits)
            assert matrix_a[warp, row, column] == want
        for i in range(count_b * per):
            row = thread * per + i % per + (4 * per if i >= per else 0)
            want = element(b[warp, lane, i // per], i % per, bits)
            assert matrix_b[warp, row, group] == want


@pytest.mark.parametrize(("bits", "depth"), [(8, 16), (4, 32), (1, 128)])
def test_factors_of_m8n8(bits, depth):
    a, per = draw((WARPS, 32, 1)), 32 // bits
    matrix = a_matrix(a, bits, rows=8)
    assert matrix.shape == (WARPS, 8, depth)
    for warp, lane, i in np.ndindex(WARPS, 32, per):
        want = element(a[warp, lane, 0], i, bits)
        assert matrix[warp, lane >> 2, lane % 4 * per + i] == want


@pytest.mark.parametrize(("rows", "count"), [(8, 1), (16, 2), (16, 4), (16, 8)])
def test_double_precision_factors(rows, count):
    random = np.random.default_rng()
    a = random.integers(0, 2**64, (WARPS, 32, count), dtype=np.uint64)
    matrix = a_matrix(a, 64, rows)
    for warp, lane, i in np.ndindex(WARPS, 32, count):
        if rows == 8:
            row, column = lane >> 2, lane % 4
        else:
            row = (lane >> 2) + 8 * (i % 2)
            column = lane % 4 + 4 * (i // 2)
        assert matrix[warp, row, column] == a[warp, lane, i]


@pytest.mark.parametrize("columns", [8, 16, 24, 256])
def test_accumulators_of_wgmma_and_mma(columns):
    values = np.random.default_rng().standard_normal((WARPS, 32, columns // 2))
    matrix = accumulator_matrix(values)
    for warp, lane, i in np.ndindex(WARPS, 32, columns // 2):
        row = (lane >> 2) + (8 if i % 4 >= 2 else 0)
        column = 8 * (i // 4) + lane % 4 * 2 + i % 2
        assert matrix[warp, row, column] == values[warp, lane, i]
    np.testing.assert_array_equal(accumulator_registers(matrix), values)


def test_accumulators_of_m8n8():
    values = np.random.default_rng().standard_normal((WARPS, 32, 2))
    matrix = accumulator_matrix(values, rows=8)
    for warp, lane, i in np.ndindex(WARPS, 32, 2):
        assert matrix[warp, lane >> 2, lane % 4 * 2 + i] == values[warp, lane, i]
    np.testing.assert_array_equal(accumulator_registers(matrix), values)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_tiles_of_ldmatrix_and_stmatrix(count, transposed):
    random = np.random.default_rng()
    tiles = random.integers(0, 2**16, (WARPS, count, 8, 8), dtype=np.uint16)
    registers = registers_of_tiles(tiles, transposed)
    for warp, tile, lane in np.ndindex(WARPS, count, 32):
        for half in range(2):
            row, column = lane // 4, lane % 4 * 2 + half
            if transposed:
                row, column = column, row
            value = element(registers[warp, tile, lane], half, 16)
            assert value == tiles[warp, tile, row, column]
    back = tiles_of_registers(registers.swapaxes(1, 2), transposed)
    np.testing.assert_array_equal(back, tiles)


def test_movmatrix_transposes():
    registers = draw((WARPS, 32))
    turned = transpose_tile(registers)
    for warp, row, column in np.ndindex(WARPS, 8, 8):
        before = element(registers[warp, row * 4 + column // 2], column % 2, 16)
        after = element(turned[warp, column * 4 + row // 2], row % 2, 16)
        assert before == after


# bits, K, selectors, and which lane of the four and which bits hold the chunk
# (row, chunk): `Tk: [m..n]` in the ISA's figures of the metadata layouts.
def place_16(row, chunk, lanes):
    return chunk // 4, chunk % 4 * 4 + (16 if row >= 8 else 0)


def place_8(row, chunk, lanes):
    return chunk // 8 * 2 + (row >= 8), chunk % 8 * 4


SPARSE = [
    (16, 16, 4, place_16), (16, 32, 2, place_16), (32, 8, 4, place_16),
    (32, 16, 2, place_16), (8, 32, 2, place_8), (8, 64, 1, place_8),
]  # fmt: skip


@pytest.mark.parametrize(("bits", "depth", "selectors", "place"), SPARSE)
def test_sparse_factor_is_spread_by_its_metadata(bits, depth, selectors, place):
    random = np.random.default_rng()
    size = 2 if bits == 32 else 4
    kinds = (0b0100, 0b1110) if bits == 32 else (4, 8, 9, 12, 13, 14)
    chunks = random.choice(kinds, (WARPS, 16, depth // size)).astype(np.uint8)
    kept = random.integers(1, 2**bits, (WARPS, 16, depth // 2), dtype=np.uint64)
    for selector in range(selectors):
        metadata = draw((WARPS, 32))  # lanes that do not contribute hold noise
        lanes = 4 // selectors
        for warp, row, chunk in np.ndindex(*chunks.shape):
            lane, shift = place(row, chunk, lanes)
            at = (warp, row % 8 * 4 + selector * lanes + lane)
            cleared = int(metadata[at]) & ~(15 << shift)
            metadata[at] = cleared | int(chunks[warp, row, chunk]) << shift
        found = metadata_chunks(metadata, selector, depth, bits)
        np.testing.assert_array_equal(found, chunks)
        dense = expand_sparse(kept, found, bits)
        want = np.zeros((WARPS, 16, depth), np.uint64)
        for warp, row, chunk in np.ndindex(*chunks.shape):
            code = int(chunks[warp, row, chunk])
            if bits == 32:
                at = 2 * chunk + (code == 0b1110)
                want[warp, row, at] = kept[warp, row, chunk]
            else:
                for i, position in enumerate((code & 3, code >> 2)):
                    want[warp, row, 4 * chunk + position] = kept[
                        warp, row, 2 * chunk + i
                    ]
        np.testing.assert_array_equal(dense, want)


def test_meaningless_metadata_is_refused():
    metadata = np.full((1, 32), 0x4444_4444, np.uint32)
    metadata[0, 8] = 0x4444_4044  # lane 8: row 2, third chunk
    chunks = metadata_chunks(metadata, 0, 16, 16)
    kept = np.ones((1, 16, 8), np.uint16)
    with pytest.raises(SparsityError, match="row 2, chunk 2 has 0b0000"):
        expand_sparse(kept, chunks, 16)


@pytest.mark.parametrize(("bits", "depth", "selectors", "place"), SPARSE)
def test_selectors_of_lanes_that_do_not_exist_are_refused(
    bits, depth, selectors, place
):
    with pytest.raises(SparsityError, match=f"selector below {selectors}, but it is"):
        metadata_chunks(draw((1, 32)), selectors, depth, bits)
