"""cvt to and from f16x2, tf32 and floats of 8, 6 and 4 bits, and cvt.pack."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_convert import exact_bf16_bits
from ix.emulator.alu_form import Array, Form, Operation, Words
from ix.emulator.alu_half import relu
from ix.emulator.alu_packed import lanes_of
from ix.emulator.alu_rounding import (
    BF16,
    F16,
    Format,
    canonical,
    round_nearest_bf16,
    round_to,
)
from ix.emulator.ptx_types import dtype_of

__all__ = ["FORMS"]

Function = Callable[..., Any]

_TF32: Final = Format(11, -126, float.fromhex("0x1.ffcp127"))

# The small formats: their numbers, and the bits of one code.
# Source: OCP Microscaling Formats (MX) Specification 1.0, section 5.3; OFP8.
_SMALL: Final = {
    "e4m3x2": (Format(4, -6, 448.0), 8),
    "e5m2x2": (Format(3, -14, 57344.0), 8),
    "e2m3x2": (Format(4, 0, 7.5), 6),
    "e3m2x2": (Format(3, -2, 28.0), 6),
    "e2m1x2": (Format(2, 0, 6.0), 4),
}
_F16_EXPONENT: Final = -14  # of the smallest normal float16
# The type that stands for a pair in `types`.
_HELD: Final = {"e2m3x2": "b16", "e3m2x2": "b16"}


def _held_as(name: str) -> str:
    return _HELD.get(name, name)


@functools.cache
def _magnitudes(name: str) -> Any:
    """The numbers of the codes without sign, in order, as float64, without NaN."""
    target, bits = _SMALL[name]
    codes = np.arange(1 << bits - 1)
    fraction_bits = target.precision - 1
    exponent, fraction = codes >> fraction_bits, codes & (1 << fraction_bits) - 1
    significand = fraction + (exponent > 0) * (1 << fraction_bits)
    values = np.ldexp(
        significand.astype(np.float64),
        np.maximum(exponent, 1) - 1 + target.min_exponent - fraction_bits,
    )
    return values[values <= target.largest]


def _code(x: Array, name: str) -> Array:
    """The codes of float64 numbers, rounded to nearest and held within the largest."""
    target, bits = _SMALL[name]
    held = np.minimum(np.abs(round_to(x, target, "rn")), target.largest)
    # Scaled to float16's exponents, a number has the fields of its code at the top.
    scaled = (held * 2.0 ** (_F16_EXPONENT - target.min_exponent)).astype(np.float16)
    codes = np.asarray(scaled).view(np.uint16) >> np.uint16(11 - target.precision)
    codes = codes | np.signbit(x).astype(np.uint16) << np.uint16(bits - 1)
    # Formats without a NaN have the largest number in its place.
    largest = len(_magnitudes(name)) - 1
    return np.where(np.isnan(x), np.uint16(0x7F if bits == 8 else largest), codes)


def _values(codes: Array, name: str) -> Any:
    """The float16 of codes."""
    bits = _SMALL[name][1]
    known = _magnitudes(name).astype(np.float16)
    table = np.full(1 << bits - 1, _canonical_f16(), np.float16)
    table[: len(known)] = known
    if name == "e5m2x2":
        table[0x7C] = np.inf
    table = np.concatenate([table, np.where(np.isnan(table), table, -table)])
    return table[codes & ((1 << bits) - 1)]


def _canonical_f16() -> Any:
    return np.uint16(0x7FFF).view(np.float16)


def _to_small(words: Words) -> Operation:
    """Two f32, or an f16x2, to a pair of codes; the first input is the upper one."""
    name, source = words["target"], words["source"]
    step = 4 if name == "e2m1x2" else 8
    held = _held_as(name)
    dtype = dtype_of(held)

    def code(x: Array) -> Array:
        wide = np.asarray(x, np.float64)
        return _code(relu(wide) if words["relu"] else wide, name)

    def pack(upper: Array, lower: Array) -> Any:
        return ((code(upper) << np.uint16(step)) | code(lower)).astype(dtype)

    if source == "f32":
        return Operation(("f32", "f32"), (held,), pack)

    def from_f16x2(a: Array) -> Any:
        halves = lanes_of(a, np.dtype(np.float16)).reshape(-1, 2)
        return pack(halves[:, 1], halves[:, 0])

    return Operation(("f16x2",), (held,), from_f16x2)


def _from_small(words: Words) -> Operation:
    """A pair of codes to an f16x2."""
    name = words["source"]
    step = 4 if name == "e2m1x2" else 8

    def unpack(a: Array) -> Any:
        codes = np.asarray(a).astype(np.uint16)
        halves = [_values(codes >> np.uint16(shift), name) for shift in (step, 0)]
        if words["relu"]:
            halves = [relu(half) for half in halves]
        upper, lower = (half.view(np.uint16).astype(np.uint32) for half in halves)
        return (upper << np.uint32(16)) | lower

    return Operation((_held_as(name),), ("f16x2",), unpack)


def _narrowed(
    words: Words, target: Format, encode: Function, nearest: Function | None
) -> Function:
    """A conversion of f32 with `relu` and `satfinite`.

    Args:
        words: The modifiers.
        target: The format.
        encode: Gives the bits or the float for float64 numbers of the format.
        nearest: The same from float32 that is still to be rounded to nearest.
    """
    mode, sat = words["rnd"], bool(words["satfinite"])

    def convert(x: Array) -> Any:
        if words["relu"]:
            x = relu(x)
        if nearest and mode == "rn" and not sat:
            return nearest(x)
        rounded = round_to(x.astype(np.float64), target, mode)
        if sat:
            rounded = np.clip(rounded, -target.largest, target.largest)
        return encode(rounded)

    return convert


def _half_bits(words: Words, name: str) -> Function:
    """A conversion of f32 to the bits of f16 or bf16."""
    if name == "bf16":
        return _narrowed(words, BF16, exact_bf16_bits, round_nearest_bf16)

    def encode(x: Array) -> Any:
        return np.asarray(canonical(x.astype(np.float16))).view(np.uint16)

    return _narrowed(words, F16, encode, encode)


def _to_half(words: Words) -> Operation:
    name = words["target"]
    bits = _half_bits(words, name)
    if name == "f16":
        return Operation(("f32",), ("f16",), lambda x: bits(x).view(np.float16))
    return Operation(("f32",), ("bf16",), bits)


def _to_pair(words: Words) -> Operation:
    """Two f32 to an f16x2 or bf16x2; the first is the upper half."""
    name = words["target"]
    bits = _half_bits(words, name.removesuffix("x2"))

    def pack(upper: Array, lower: Array) -> Any:
        # Both are widened: NumPy 1 lets an array outweigh a scalar of a wider type.
        low = bits(lower).astype(np.uint32)
        return (bits(upper).astype(np.uint32) << np.uint32(16)) | low

    return Operation(("f32", "f32"), (name,), pack)


def _to_tf32(words: Words) -> Operation:
    """f32 to tf32: float32 bits whose last 13 are 0."""

    def encode(x: Array) -> Any:
        return np.asarray(canonical(x.astype(np.float32))).view(np.uint32)

    return Operation(
        ("f32",), ("tf32",), _narrowed({"relu": "", **words}, _TF32, encode, None)
    )


def _pack(words: Words) -> Operation:
    """Two s32, clamped, the first one above; what is left above has c's low bits."""
    kind, bits = words["to"][0], int(words["to"][1:])
    low, high = (
        (0, (1 << bits) - 1) if kind == "u" else (-(1 << bits - 1), (1 << bits - 1) - 1)
    )
    mask = np.uint32((1 << bits) - 1)

    def field(x: Array) -> Any:
        clamped = np.clip(x, np.int32(low), np.int32(high))
        return np.asarray(clamped).astype(np.uint32) & mask

    def pack(a: Array, b: Array) -> Any:
        return (field(a) << np.uint32(bits)) | field(b)

    if bits == 16:
        return Operation(("s32", "s32"), ("u32",), pack)
    return Operation(
        ("s32", "s32", "b32"),
        ("u32",),
        lambda a, b, c: (c << np.uint32(2 * bits)) | pack(a, b),
    )


FORMS: Final = (
    Form("cvt", "rnd=rn|rz [relu] [satfinite] target=f16|bf16 source=f32", _to_half),
    Form(
        "cvt", "rnd=rn|rz [relu] [satfinite] target=f16x2|bf16x2 source=f32", _to_pair
    ),
    Form("cvt", "rnd=rna [satfinite] tf32 f32", _to_tf32),
    Form("cvt", "rnd=rn|rz [satfinite] [relu] tf32 f32", _to_tf32),
    Form("cvt", "rn satfinite [relu] target=e4m3x2|e5m2x2 source=f32|f16x2", _to_small),
    Form("cvt", "rn [relu] f16x2 source=e4m3x2|e5m2x2", _from_small),
    Form(
        "cvt", "rn satfinite [relu] target=e2m1x2|e2m3x2|e3m2x2 source=f32", _to_small
    ),
    Form("cvt", "rn [relu] f16x2 source=e2m1x2|e2m3x2|e3m2x2", _from_small),
    Form("cvt", "pack sat to=u16|s16 s32", _pack),
    Form("cvt", "pack sat to=u2|s2|u4|s4|u8|s8 s32 b32", _pack),
)
