"""Tensor-core arithmetic: exact mode bit by bit, integers, and 8-bit floats.

The vectors come from mmasim 2.1.1 (microsoft/MMA-Sim, MIT licence): random operands of
wide range, with zeros, and ("special") with subnormals, infinities and NaNs.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ix.emulator.element_types import decode
from ix.emulator.tensorcore import Operation, fused_sum, multiply_add

ORACLE = np.load(Path(__file__).parent / "Inputs" / "tensorcore_oracle.npz")
CASES = sorted({name.rsplit(" ", 1)[0] for name in ORACLE.files})


def operands(case):
    a, b, c, d = (ORACLE[f"{case} {name}"] for name in "ABCD")
    instruction, sm, shape_and_types, _ = case.split()
    types = shape_and_types.split(".")
    return a, b, c, d, instruction, int(sm), types[1], types[2], types[3]


@pytest.mark.parametrize("case", CASES)
def test_exact_mode_agrees_with_the_oracle_in_every_bit(case):
    a, b, c, want, instruction, sm, d, a_type, b_type = operands(case)
    operation = Operation(
        a_type, b_type, d, fused=fused_sum(sm, instruction, a_type, d)
    )
    accumulator = c.view(np.float16 if d == "f16" else np.float32)
    got = multiply_add(decode(a, a_type), decode(b, b_type), accumulator, operation)
    np.testing.assert_array_equal(got.view(want.dtype), want)


def test_fast_mode_is_near_the_exact_sum_and_differs_in_its_last_bits():
    differing = 0
    for case in CASES:
        a, b, c, want, _, _, d, a_type, b_type = operands(case)
        if d == "f16" or a_type in ("e4m3", "e5m2") or "special" in case:
            continue
        left, right = decode(a, a_type), decode(b, b_type)
        got = multiply_add(
            left, right, c.view(np.float32), Operation(a_type, b_type, d)
        )
        exact = left.astype(np.float64) @ right + c.view(np.float32)
        size = np.abs(left).astype(np.float64) @ np.abs(right) + np.abs(
            c.view(np.float32)
        )
        assert (np.abs(got - exact) <= 2.0**-20 * size).all()
        differing += int((got.view(np.uint32) != want).sum())
    assert differing > 0


def scalar_float8(code, exponent_bits, mantissa_bits, bias):
    """OFP8 by its definition, as a fraction, or a string for what is no number."""
    sign = -1 if code & 0x80 else 1
    exponent = (code & 0x7F) >> mantissa_bits
    mantissa = code & ((1 << mantissa_bits) - 1)
    top = (1 << exponent_bits) - 1
    if exponent_bits == 4 and exponent == top and mantissa == 7:
        return "nan"
    if exponent_bits == 5 and exponent == top:
        return "nan" if mantissa else "inf"
    if exponent == 0:
        return sign * Fraction(mantissa, 1 << mantissa_bits) * Fraction(2) ** (1 - bias)
    value = 1 + Fraction(mantissa, 1 << mantissa_bits)
    return sign * value * Fraction(2) ** (exponent - bias)


@pytest.mark.parametrize(
    ("name", "layout"), [("e4m3", (4, 3, 7)), ("e5m2", (5, 2, 15))]
)
def test_every_8_bit_float_decodes_to_its_definition(name, layout):
    values = decode(np.arange(256, dtype=np.uint8), name)
    for code, value in enumerate(values.tolist()):
        want = scalar_float8(code, *layout)
        if want == "nan":
            assert np.isnan(value)
        elif want == "inf":
            assert np.isinf(value)
            assert (value < 0) == (code > 127)
        else:
            assert Fraction(value) == want


def test_tf32_operands_lose_their_low_13_bits():
    codes = np.array([0x3F801FFF, 0x3F803FFF, 0xBF801000], np.uint32)
    want = np.array([0x3F800000, 0x3F802000, 0xBF800000], np.uint32)
    np.testing.assert_array_equal(decode(codes, "tf32").view(np.uint32), want)


@pytest.mark.parametrize(
    ("a_type", "b_type", "depth"),
    [("s8", "s8", 32), ("u8", "s8", 32), ("s8", "u8", 16), ("u8", "u8", 64),
     ("s4", "u4", 64)],
)  # fmt: skip
@pytest.mark.parametrize("saturate", [False, True])
def test_integers_wrap_or_saturate(a_type, b_type, depth, saturate):
    random = np.random.default_rng()
    high = {"8": 256, "4": 16}
    a = random.integers(0, high[a_type[1]], (3, 16, depth)).astype(np.uint8)
    b = random.integers(0, high[b_type[1]], (3, depth, 8)).astype(np.uint8)
    c = random.integers(-(2**31), 2**31, (3, 16, 8)).astype(np.int32)
    c[0, :, 0] = 2**31 - 1
    c[0, :, 1] = -(2**31)
    left, right = decode(a, a_type), decode(b, b_type)
    got = multiply_add(left, right, c, Operation(a_type, b_type, "s32", saturate))

    def number(code, kind):
        bits = int(kind[1])
        return code - (1 << bits) if kind[0] == "s" and code >> (bits - 1) else code

    for index in np.ndindex(*got.shape):
        batch, row, column = index
        total = int(c[index]) + sum(
            number(int(x), a_type) * number(int(y), b_type)
            for x, y in zip(a[batch, row], b[batch, :, column], strict=True)
        )
        if saturate:
            total = min(max(total, -(2**31)), 2**31 - 1)
        assert int(got[index]) == (total + 2**31) % 2**32 - 2**31


@pytest.mark.parametrize("bit_operation", ["xor", "and"])
def test_bits_are_counted(bit_operation):
    random = np.random.default_rng()
    a = random.integers(0, 2, (2, 16, 256)).astype(np.uint8)
    b = random.integers(0, 2, (2, 256, 8)).astype(np.uint8)
    c = random.integers(-9, 9, (2, 16, 8)).astype(np.int32)
    operation = Operation("b1", "b1", "s32", bit_operation=bit_operation)
    got = multiply_add(decode(a, "b1"), decode(b, "b1"), c, operation)
    both = a[:, :, :, None], b[:, None]
    bits = both[0] ^ both[1] if bit_operation == "xor" else both[0] & both[1]
    np.testing.assert_array_equal(got, c + bits.sum(2, dtype=np.int32))


def test_f64_chains_fused_multiply_adds():
    random = np.random.default_rng()
    a, b = random.standard_normal((1, 8, 4)), random.standard_normal((1, 4, 8))
    c = random.standard_normal((1, 8, 8))
    operation = Operation("f64", "f64", "f64", fused=fused_sum(90, "mma", "f64", "f64"))
    got = multiply_add(a, b, c, operation)
    for row, column in np.ndindex(8, 8):
        total = float(c[0, row, column])
        for x, y in zip(a[0, row], b[0, :, column], strict=True):
            total = float(Fraction(float(x)) * Fraction(float(y)) + Fraction(total))
        assert got[0, row, column] == total
