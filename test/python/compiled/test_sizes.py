"""Sizes: one meaning in Python, in generated code, and as polynomials."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from ix.passes.cpu.kernel_object import size_ir
from ix.passes.cpu.object_code import compile_object
from ix.runtime import sizes
from ix.runtime.elf import load_object
from ix.target import Target

N = ("dim", 0)
EXPRESSIONS = [
    ("div", ("sub", 5, N), 3),
    ("mod", ("sub", 5, N), 3),
    ("div", ("mul", N, -7), 4),
    ("min", ("sub", N, 4), 9),
    ("max", ("sub", N, 4), 0),
    ("add", ("mul", N, N), ("div", N, 2)),
]


@pytest.mark.parametrize("size", EXPRESSIONS, ids=str)
def test_generated_code_rounds_as_python_does(size: Any) -> None:
    text, operand = size_ir(size, "q", "%n{0}")
    body = f"define i64 @f(i64 %n0) {{\n{text}\n  ret i64 {operand}\n}}\n"
    code = load_object(compile_object(body, Target.parse("cpu")))
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(code.address("f"))
    for n in range(40):
        assert function(n) == sizes.evaluate(size, [n])
    code.close()


def test_equal_polynomials_are_equal_sizes() -> None:
    last = sizes.combine("add", N, -1)
    assert sizes.combine("sub", N, last) == 1
    twice = sizes.combine("add", N, N)
    assert twice == sizes.combine("mul", 2, N)
    assert sizes.combine("div", sizes.combine("mul", twice, 12), 24) == N
    assert sizes.combine("mod", twice, 2) == 0


def test_an_inexact_quotient_stays_one() -> None:
    assert sizes.combine("div", N, 2) == ("div", N, 2)
    assert sizes.evaluate(sizes.combine("div", N, 2), [5]) == 2


def test_bounds_enclose_every_value() -> None:
    for size in EXPRESSIONS:
        low, high = sizes.bounds(size, [(0, 39)])
        values = [sizes.evaluate(size, [n]) for n in range(40)]
        assert low <= min(values) and max(values) <= high
