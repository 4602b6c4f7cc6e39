"""Integer and bit instructions of the emulator's ALU against a scalar reference."""

import alu_cases
import pytest
from ptx_reference_bits import BITS
from ptx_reference_float import is_float_type
from ptx_reference_integer import INTEGER

COMPARISONS = ("setp", "set", "selp", "slct")


def is_integer(mods: tuple[str, ...]) -> bool:
    return not is_float_type(mods[-1])


@pytest.mark.parametrize("opcode", sorted(set(INTEGER) - set(COMPARISONS)))
def test_integer_arithmetic(opcode: str) -> None:
    assert alu_cases.check(opcode, INTEGER[opcode], is_integer, count=60)


def in_range(opcode: str, columns: list[list[int]]) -> list[list[int]]:
    """Holds operands within what the ISA defines: fns has a base up to 31."""
    if opcode == "fns":
        columns[1] = [base & 31 for base in columns[1]]
        columns[2] = [
            offset if i % 3 else (offset % 9 - 4) & 0xFFFFFFFF
            for i, offset in enumerate(columns[2])
        ]
    return columns


@pytest.mark.parametrize("opcode", sorted(set(BITS) - {"lop3"}))
def test_bits(opcode: str) -> None:
    assert alu_cases.check(
        opcode, BITS[opcode], count=60, adjust=lambda c: in_range(opcode, c)
    )


@pytest.mark.parametrize("table", range(0, 256, 5))
def test_lop3(table: int) -> None:
    # The table is an immediate: all threads have the same.
    for mods, _ in alu_cases.spellings("lop3"):
        operation = alu_cases.alu.lookup("lop3", mods)
        columns = alu_cases.operands(operation.sources, 8, f"{mods}{table}")
        arrays = [
            alu_cases.values_of(c, t)
            for c, t in zip(columns, operation.sources, strict=True)
        ]
        arrays[3] = arrays[3].dtype.type(table)
        found = operation.function(*arrays)
        results = found if isinstance(found, tuple) else (found,)
        bits = [
            alu_cases.bits_of_result(r, t, len(columns[0]))
            for r, t in zip(results, operation.results, strict=True)
        ]
        for thread, (a, b, c, _, *q) in enumerate(zip(*columns, strict=True)):
            expected = BITS["lop3"](mods, a, b, c, table, *q)
            expected = expected if isinstance(expected, tuple) else (expected,)
            assert tuple(column[thread] for column in bits) == expected


@pytest.mark.parametrize("opcode", COMPARISONS)
def test_comparison_and_choice(opcode: str) -> None:
    assert alu_cases.check(opcode, INTEGER[opcode], count=6)


def test_setp_on_more_operands() -> None:
    plain = ("f32", "f16", "bf16", "f64", "f16x2", "bf16x2", "s32", "u64")
    assert alu_cases.check(
        "setp",
        INTEGER["setp"],
        lambda mods: len(mods) == 2 and mods[1] in plain,
        count=100,
    )
