"""Float arithmetic of the emulator's ALU against exact fractions."""

import alu_cases
import numpy as np
import pytest
from ptx_reference_float import FLOAT, is_float_type


def is_exact_float(mods: tuple[str, ...]) -> bool:
    return is_float_type(mods[-1]) and not {"approx", "full"} & set(mods)


@pytest.mark.parametrize("opcode", sorted(FLOAT))
def test_float_arithmetic(opcode: str) -> None:
    assert alu_cases.check(opcode, FLOAT[opcode], is_exact_float, count=60)


NARROW = {"f32": np.float32, "f16": np.float16, "f64": np.float64, "bf16": np.float32}
PRECISION = {"f32": 24, "f16": 11, "f64": 53, "bf16": 8}


def close_to_halfway(name: str, count: int) -> list[list[int]]:
    """Operands of fma whose sum lies at, or very near, the middle of two numbers.

    c is any number, a · b half a unit of its last place, or next to that.
    """
    rng = np.random.default_rng()
    precision = PRECISION[name]
    unit = 2.0 ** (1 - precision)
    lowest = {"f16": -14, "f64": -1022}.get(name, -126)
    exponent = rng.integers(lowest - precision, 4, count)
    steps = rng.integers(2 ** (precision - 1), 2**precision, count)
    steps = np.where(
        exponent < lowest, steps >> np.minimum(lowest - exponent, 52), steps
    )
    exponent = np.maximum(exponent, lowest)
    c = np.ldexp(steps.astype(np.float64), exponent + 1 - precision)
    i, j = rng.integers(-2, 3, (2, count))
    split = rng.integers(0, min(-lowest - precision, 10), count)
    a = np.ldexp(1 + i * unit, exponent - precision + split)
    b = np.ldexp(1 + j * unit, -split) * rng.choice([-1, 1], count)
    shift = 16 if name == "bf16" else 0
    columns = []
    for values in (a, b, c):
        narrow = values.astype(NARROW[name])
        bits = narrow.view(f"u{narrow.dtype.itemsize}")
        columns.append([int(v) >> shift for v in bits])
    return columns


@pytest.mark.parametrize("name", NARROW)
def test_fma_close_to_halfway(name: str) -> None:
    columns = close_to_halfway(name, 1500)
    for mods, inputs in alu_cases.spellings("fma"):
        if mods[-1] != name or "f32" in mods[:-1]:
            continue
        alu_cases.compare("fma", mods, inputs, FLOAT["fma"], columns)
