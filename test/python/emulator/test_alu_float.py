"""Float arithmetic of the emulator's ALU against exact fractions."""

from collections.abc import Callable

import alu_cases
import numpy as np
import pytest
from numpy.typing import NDArray
from ptx_reference_float import FLOAT, is_float_type


def is_exact_float(mods: tuple[str, ...]) -> bool:
    return is_float_type(mods[-1]) and not {"approx", "full"} & set(mods)


@pytest.mark.parametrize("opcode", sorted(FLOAT))
def test_float_arithmetic(opcode: str) -> None:
    assert alu_cases.check(opcode, FLOAT[opcode], is_exact_float, count=60)


NARROW = {"f32": np.float32, "f16": np.float16, "f64": np.float64, "bf16": np.float32}
PRECISION = {"f32": 24, "f16": 11, "f64": 53, "bf16": 8}
LOWEST = {"f32": -126, "f16": -14, "f64": -1022, "bf16": -126}


def bits_of(values: NDArray[np.float64], name: str) -> list[int]:
    """The bits of numbers that a format represents exactly."""
    narrow = values.astype(NARROW[name])
    assert (narrow.astype(np.float64) == values).all()
    shift = 16 if name == "bf16" else 0
    return [int(v) >> shift for v in narrow.view(f"u{narrow.dtype.itemsize}")]


def half_a_unit_more(name: str, count: int) -> list[list[int]]:
    """Operands of fma: a · b is half a unit in the last place of c, or next to that."""
    rng = np.random.default_rng()
    precision = PRECISION[name]
    unit, lowest = 2.0 ** (1 - precision), LOWEST[name]
    exponent = np.maximum(rng.integers(lowest - precision, 4, count), lowest)
    steps = rng.integers(1, 2**precision, count)
    normal = steps | 2 ** (precision - 1)
    steps = np.where(exponent > lowest, normal, steps)
    c = np.ldexp(steps.astype(np.float64), exponent + 1 - precision)
    i, j = rng.integers(-1, 3, (2, count))
    # Factors that are normal, however small their product is.
    split = rng.integers(precision + 1, precision + 3, count)
    a = np.ldexp(1 + i * unit, exponent - precision + split)
    b = np.ldexp(1 + np.maximum(j, 0) * unit, -split) * rng.choice([-1, 1], count)
    return [bits_of(values, name) for values in (a, b, c)]


def a_little_beside_halfway(name: str, count: int) -> list[list[int]]:
    """Operands of fma: a · b is halfway between two numbers, c is much less, or 0."""
    rng = np.random.default_rng()
    precision = PRECISION[name]
    # An odd a · 3 of precision + 1 bits.
    a = rng.integers(2 ** (precision - 2), 2 ** (precision + 1) // 6, count) * 2 + 1
    b = rng.choice([-1.5, 1.5], count)
    depth = rng.integers(precision, -LOWEST[name] // 2 + precision, count)
    c = np.ldexp(rng.choice([-1.0, 0.0, 1.0], count), 1 - depth)
    scaled = np.ldexp(a.astype(np.float64), 1 - precision)
    return [bits_of(values, name) for values in (scaled, b, c)]


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("operands", [half_a_unit_more, a_little_beside_halfway])
def test_fma_close_to_halfway(
    name: str, operands: Callable[[str, int], list[list[int]]]
) -> None:
    columns = operands(name, 800)
    for mods, inputs in alu_cases.spellings("fma"):
        if mods[-1] != name or "f32" in mods[:-1]:
            continue
        alu_cases.compare("fma", mods, inputs, FLOAT["fma"], columns)
