"""Scalar references for tensor-core and asynchronous instructions, for tests.

Placements are written as the PTX ISA's figures and formulas state them, element by
element; nothing here is shared with the emulator.
"""

import numpy as np

BITS = {"f64": 64, "tf32": 32, "f16": 16, "bf16": 16, "e4m3": 8, "e5m2": 8, "s8": 8,
        "u8": 8, "s4": 4, "u4": 4, "b1": 1}  # fmt: skip


def draw_codes(random, shape, kind):
    """Random finite codes of an element type, with zeros and both signs."""
    bits = BITS[kind]
    if kind in ("f64", "tf32", "f16", "bf16"):
        values = random.standard_normal(shape)
        values[random.random(shape) < 0.1] = 0
        if kind == "f64":
            return values.view(np.uint64)
        if kind == "f16":
            return values.astype(np.float16).view(np.uint16)
        wide = values.astype(np.float32).view(np.uint32)
        return (wide >> 16).astype(np.uint16) if kind == "bf16" else wide
    codes = random.integers(0, 1 << bits, shape).astype(np.uint8)
    if kind in ("e4m3", "e5m2"):
        codes &= 0xBF if kind == "e5m2" else 0xF7  # no infinity, no NaN
    return codes


def number(code, kind):
    """The value of a code, as a Python number."""
    code, bits = int(code), BITS[kind]
    if kind == "b1" or kind.startswith("u"):
        return code
    if kind.startswith("s"):
        return code - (1 << bits) if code >> (bits - 1) else code
    if kind == "f64":
        return float(np.uint64(code).view(np.float64))
    if kind == "f16":
        return float(np.uint16(code).view(np.float16))
    if kind in ("bf16", "tf32"):
        wide = code << 16 if kind == "bf16" else code & 0xFFFFE000
        return float(np.uint32(wide).view(np.float32))
    mantissa_bits, bias = (3, 7) if kind == "e4m3" else (2, 15)
    exponent = (code & 0x7F) >> mantissa_bits
    mantissa = code & ((1 << mantissa_bits) - 1)
    if exponent:
        mantissa, exponent = mantissa + (1 << mantissa_bits), exponent - 1
    size = mantissa * 2.0 ** (exponent + 1 - bias - mantissa_bits)
    return -size if code >> 7 else size


def numbers(codes, kind):
    """The values of codes, float64 (exact for all types)."""
    values = [number(code, kind) for code in codes.reshape(-1)]
    return np.array(values, np.float64).reshape(codes.shape)


def pack_a(codes, kind):
    """Registers [32, R] of A[M, K]: rows g and g + 8, chunks of the lane's columns."""
    return _pack(codes, kind, lambda lane, r, e, per, rows: (
        lane // 4 + 8 * (r % (rows // 8)),
        per * (lane % 4 + 4 * (r // (rows // 8))) + e,
    ))  # fmt: skip


def pack_b(codes, kind):
    """Registers [32, R] of B[K, 8]: column g."""
    return _pack(codes, kind, lambda lane, r, e, per, rows: (
        per * (lane % 4 + 4 * r) + e, lane // 4,
    ))  # fmt: skip


def _pack(codes, kind, place):
    bits = BITS[kind]
    width = 64 if bits == 64 else 32
    per = width // bits
    count = codes.size // 32 // per
    registers = np.zeros((32, count), f"u{width // 8}")
    for lane in range(32):
        for r in range(count):
            word = 0
            for e in range(per):
                row, column = place(lane, r, e, per, codes.shape[0])
                word |= int(codes[row, column]) << (bits * e)
            registers[lane, r] = word
    return registers


def unpack_d(values, rows, columns):
    """D[rows, columns] from values [lanes, V] of a warp (or of 4 warps for 64 rows)."""
    matrix = np.zeros((rows, columns), values.dtype)
    halves = 1 if rows == 8 else 2
    for thread in range(len(values)):
        warp, lane = divmod(thread, 32)
        for index in range(values.shape[1]):
            tile, rest = divmod(index, 2 * halves)
            row = 16 * warp + lane // 4 + 8 * (rest // 2)
            matrix[row, 8 * tile + lane % 4 * 2 + rest % 2] = values[thread, index]
    return matrix


def swizzled(address, swizzle):
    """Where a byte of shared memory goes: chunks of 16 bytes change by their row."""
    if not swizzle:
        return address
    row, chunk = address // 128 % 8, address // 16 % 8
    chunk ^= row % (swizzle // 16)
    return address // 128 * 128 + chunk * 16 + address % 16


def tile_bytes(array, tensor, coordinates, start):
    """The shared memory that a tensor copy writes: {address: byte}.

    Args:
        array: The bytes of global memory from the map's address on.
        tensor: The map.
        start: Address of the tile.
    """
    size, written = tensor.element_bytes, {}
    fill = [0] * size
    if tensor.fill == "nan":
        fill = [0xFF] * (size - 1) + [0x7F]
    steps = [1, *tensor.element_strides[1:]]
    shape = [-(-b // s) for b, s in zip(tensor.box, steps, strict=True)]
    strides = [size, *tensor.strides]
    for order, index in enumerate(np.ndindex(*shape[::-1])):
        place = [
            c + i * s for c, i, s in zip(coordinates, index[::-1], steps, strict=True)
        ]
        inside = all(0 <= p < d for p, d in zip(place, tensor.dims, strict=True))
        source = sum(p * s for p, s in zip(place, strides, strict=True))
        for byte in range(size):
            value = int(array[source + byte]) if inside else fill[byte]
            written[swizzled(start + order * size + byte, tensor.swizzle)] = value
    return written
