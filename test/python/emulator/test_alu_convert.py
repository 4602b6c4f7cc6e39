"""Conversions of the emulator's ALU against exact fractions."""

import alu_cases
from ptx_reference_convert import CONVERT


def test_cvt() -> None:
    assert alu_cases.check("cvt", CONVERT["cvt"], count=40) > 800
