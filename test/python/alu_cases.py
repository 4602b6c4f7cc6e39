"""Runs every spelling of an opcode on the emulator's ALU and on the scalar reference."""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ix.emulator import alu
from ix.emulator.ptx_types import dtype_of

__all__ = ["bits_of_result", "check", "compare", "operands", "spellings", "values_of"]

Array = NDArray[Any]

# Special bits: zeros, the smallest and largest subnormal and normal numbers, halves,
# ones, infinities, quiet and signalling NaN with a payload, each with both signs.
_F16: Final = (
    0,
    1,
    0x3FF,
    0x400,
    0x3800,
    0x3C00,
    0x3C01,
    0x7BFF,
    0x7C00,
    0x7D55,
    0x7E01,
)
_BF16: Final = (
    0,
    1,
    0x7F,
    0x80,
    0x3F00,
    0x3F80,
    0x3F81,
    0x7F7F,
    0x7F80,
    0x7F95,
    0x7FC1,
)
_F32: Final = (
    *(0, 1, 0x7FFFFF, 0x800000, 0x33800000, 0x3F000000, 0x3F7FFFFF, 0x3F800000),
    *(0x3F800001, 0x40490FDB, 0x4EFFFFFF, 0x4F000000, 0x5F000000, 0x7F000000),
    *(0x7F7FFFFF, 0x7F800000, 0x7F955555, 0x7FC00001),
    # Halfway between two tf32 and two f16, two bf16, two e4m3, two e5m2.
    *(0x3F801000, 0x3F803000, 0x3F808000, 0x3F818000, 0x3F880000, 0x3F900000),
)
_F64: Final = (
    *(0, 1, (1 << 52) - 1, 1 << 52, 0x3CA0 << 48, 0x3FE0 << 48, 0x3FF0 << 48),
    *((0x3FF0 << 48) + 1, 0x41DFFFFFFFC00000, 0x43E0 << 48, 0x47EFFFFFE0000000),
    *(0x5FE0 << 48, (0x7FF0 << 48) - 1, 0x7FF0 << 48, 0x7FF5555555555555),
    (0x7FF8 << 48) + 1,
    # Halfway between two f32, two f16, two bf16.
    *(0x3FF0000010000000, 0x3FF0000030000000, 0x3FF0020000000000, 0x3FF0100000000000),
)
_FLOATS: Final = {"f16": (16, _F16), "bf16": (16, _BF16), "f32": (32, _F32)}


def spellings(opcode: str) -> list[tuple[tuple[str, ...], int | None]]:
    """The modifiers and the number of inputs of every spelling of an opcode."""
    return [(mods, inputs) for name, mods, inputs in alu.spellings() if name == opcode]


def specials(name: str) -> list[int]:
    """Bits of a type that are likely to go wrong."""
    bits = 8 * dtype_of(name).itemsize
    if name == "pred":
        return [0, 1]
    if name == "f64":
        return [*_F64, *(1 << 63 | v for v in _F64)]
    if name in _FLOATS:
        width, values = _FLOATS[name]
        return [*values, *(1 << (width - 1) | v for v in values)]
    if name.endswith("x2") and (lane := name.removesuffix("x2")) in _FLOATS:
        width = _FLOATS[lane][0]
        single = specials(lane)
        turned = single[3:] + single[:3]
        return [
            upper << width | lower for upper, lower in zip(turned, single, strict=True)
        ]
    edges = (0, 1, 2, 5, 31, 32, 33, 63, 64, 65, 255, 256, 1 << (bits - 1))
    ends = ((1 << bits) - 1, (1 << bits) - 2, (1 << bits - 1) - 1, (1 << bits - 1) + 1)
    return sorted(
        {v & (1 << bits) - 1 for v in (*edges, *ends, 1 << 31, (1 << 31) - 1)}
    )


def values_of(bits: list[int], name: str) -> Array:
    """Bits as an array of a type."""
    dtype = dtype_of(name)
    if name == "pred":
        return np.array(bits, np.bool_)
    return np.array(bits, f"u{dtype.itemsize}").view(dtype)


def random_bits(rng: np.random.Generator, name: str, count: int) -> list[int]:
    """Random bits; half of the floats have an exponent near one."""
    size = dtype_of(name).itemsize
    if name == "pred":
        return [int(v) for v in rng.integers(0, 2, count)]
    bits = [int.from_bytes(rng.bytes(size), "little") for _ in range(count)]
    if name in ("f16", "bf16", "f32", "f64"):
        near = rng.standard_normal(count // 2) * 2.0 ** rng.integers(-6, 7, count // 2)
        top = {"f16": np.float16, "f64": np.float64}.get(name, np.float32)
        close = near.astype(top).view(f"u{np.dtype(top).itemsize}")
        bits[: count // 2] = [int(v) >> (16 if name == "bf16" else 0) for v in close]
    return bits


def operands(types: tuple[str, ...], count: int, seed: str) -> list[list[int]]:
    """Bits of the operands of an instruction: pairs of specials, then random ones.

    Args:
        types: The types of the operands.
        count: The number of random ones.
        seed: What they depend on, besides the run.
    """
    rng = np.random.default_rng([zlib.crc32(seed.encode()), _run_seed()])
    columns: list[list[int]] = []
    first, second = ((types + types)[:2]) if len(types) > 1 else (types[0], types[0])
    if len(types) == 1:
        pairs: list[tuple[int, ...]] = [(v,) for v in specials(first)]
    else:
        pairs = list(itertools.product(specials(first), specials(second)))
        if len(pairs) > 3 * count:
            chosen = rng.choice(len(pairs), 3 * count, replace=False)
            pairs = [pairs[i] for i in chosen]
    for i, name in enumerate(types):
        if i < 2:
            column = [pair[i] for pair in pairs]
        else:
            column = [
                int(v) for v in rng.choice(np.array(specials(name), object), len(pairs))
            ]
        columns.append(column + random_bits(rng, name, count))
    return columns


def _run_seed() -> int:
    """Fresh in every run; a failure prints the operands, so it need not come again."""
    return int.from_bytes(os.urandom(4), "little")


def bits_of_result(value: Any, name: str, count: int) -> list[int]:
    """The bits of a result for every thread."""
    dtype = dtype_of(name)
    value = np.broadcast_to(np.asarray(value), (count,))
    assert value.dtype == dtype, (value.dtype, name)
    if name == "pred":
        return [int(v) for v in value]
    return [int(v) for v in np.ascontiguousarray(value).view(f"u{dtype.itemsize}")]


def same(actual: int, expected: int, name: str) -> bool:
    """Equal bits; the payload of an f64 NaN is free."""
    if actual == expected:
        return True
    infinity, magnitude = 0x7FF0 << 48, (1 << 63) - 1
    return (
        name == "f64"
        and actual & magnitude > infinity
        and expected & magnitude > infinity
    )


def evaluate(
    opcode: str, mods: tuple[str, ...], inputs: int | None, columns: list[list[int]]
) -> list[list[int]]:
    """The results of the emulator as bits, [results][threads]."""
    operation = alu.lookup(opcode, mods, inputs)
    arrays = [values_of(c, t) for c, t in zip(columns, operation.sources, strict=True)]
    kept = [array.copy() for array in arrays]
    with np.errstate(all="ignore"):
        found = operation.function(*arrays)
    for array, copy in zip(arrays, kept, strict=True):
        assert array.tobytes() == copy.tobytes(), f"{opcode} changed an operand"
    results = found if isinstance(found, tuple) else (found,)
    assert len(results) == len(operation.results)
    return [
        bits_of_result(r, t, len(columns[0]))
        for r, t in zip(results, operation.results, strict=True)
    ]


def check(
    opcode: str,
    reference: Callable[..., Any],
    wanted: Callable[[tuple[str, ...]], bool] = lambda mods: True,
    count: int = 48,
    adjust: Callable[[list[list[int]]], list[list[int]]] = lambda columns: columns,
) -> int:
    """Compares all spellings of an opcode with the reference; gives how many there are.

    Args:
        opcode: The opcode.
        reference: Takes the modifiers and the bits of one thread's operands.
        wanted: Which spellings to check, by their modifiers.
        count: How many random operands besides the special ones.
        adjust: Changes operands that must lie in a range.
    """
    number = 0
    for mods, inputs in spellings(opcode):
        if not wanted(mods):
            continue
        number += 1
        sources = alu.lookup(opcode, mods, inputs).sources
        columns = adjust(operands(sources, count, ".".join((opcode, *mods))))
        compare(opcode, mods, inputs, reference, columns)
    return number


def compare(
    opcode: str,
    mods: tuple[str, ...],
    inputs: int | None,
    reference: Callable[..., Any],
    columns: list[list[int]],
) -> None:
    """Asserts that one spelling gives what the reference gives, for given operands."""
    results = alu.lookup(opcode, mods, inputs).results
    found = evaluate(opcode, mods, inputs, columns)
    check_places(opcode, mods, inputs, columns, found)
    for thread, given in enumerate(zip(*columns, strict=True)):
        expected = reference(mods, *given)
        expected = expected if isinstance(expected, tuple) else (expected,)
        actual = tuple(column[thread] for column in found)
        assert all(map(same, actual, expected, results)), (
            f"{'.'.join((opcode, *mods))}({show(given)}) = {show(actual)}, "
            f"not {show(expected)}"
        )


def check_places(
    opcode: str,
    mods: tuple[str, ...],
    inputs: int | None,
    columns: list[list[int]],
    found: list[list[int]],
) -> None:
    """Asserts that a few threads get the same when they are alone, in arrays of one."""
    count = len(columns[0])
    for thread in np.random.default_rng().integers(0, count, 5):
        alone = evaluate(opcode, mods, inputs, [[c[thread]] for c in columns])
        assert [[c[thread]] for c in found] == alone, (
            f"{'.'.join((opcode, *mods))}({show([c[thread] for c in columns])}) depends "
            "on the other threads"
        )


def show(values: Sequence[int]) -> str:
    return ", ".join(map(hex, values))
