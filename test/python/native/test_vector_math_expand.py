"""`vector_math.expand`: which math ops it takes, on which types, and in how many ops."""

from __future__ import annotations

import pytest

from ix.errors import CompileError
from ix.mlir import PassManager, func, ir, ops_in
from ix.passes.cpu import vector_math
from ix.passes.cpu.vector_math import FUNCTIONS, expand

BINARY = ("powf", "atan2")
MATH_OPS = {
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "sinh", "cosh",
    "asinh", "acosh", "atanh", "erf", "erfc", "sin", "cos", "tan", "asin", "acos",
    "atan", "atan2", "powf", "cbrt", "rsqrt",
}  # fmt: skip


def _types() -> dict[str, ir.Type]:
    f32, f64, f16 = ir.F32Type.get(), ir.F64Type.get(), ir.F16Type.get()
    return {
        "f32": f32,
        "f64": f64,
        "f16": f16,
        "3xf32": ir.VectorType.get([3], f32),
        "16xf32": ir.VectorType.get([16], f32),
        "4x4xf32": ir.VectorType.get([4, 4], f32),
        "8xf64": ir.VectorType.get([8], f64),
    }


def _expanded(op_name: str, kind: str) -> tuple[str | None, int]:
    """The type that `expand` gives on arguments of type `kind`, and its count of ops."""
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.create()
        type_ = _types()[kind]
        count = 2 if op_name.removeprefix("math.") in BINARY else 1
        with ir.InsertionPoint(module.body):
            op = func.FuncOp("f", ([type_] * count, [type_]))
            with ir.InsertionPoint(op.add_entry_block()):
                value = expand(op_name, *op.arguments, fastmath=None)
                func.ReturnOp([value or op.arguments[0]])
        assert module.operation.verify()
        found = None if value is None else str(value.type)
        PassManager.parse("builtin.module(cse)").run(module.operation)
        return found, sum(1 for _ in ops_in(op))


@pytest.mark.parametrize("name", sorted(MATH_OPS))
def test_expand_keeps_the_type(name: str) -> None:
    assert _expanded(f"math.{name}", "f32")[0] == "f32"
    assert _expanded(f"math.{name}", "3xf32")[0] == "vector<3xf32>"
    assert _expanded(f"math.{name}", "8xf64")[0] == "vector<8xf64>"


@pytest.mark.parametrize(
    ("op_name", "kind"),
    [
        ("math.absf", "16xf32"),
        ("math.sqrt", "16xf32"),
        ("arith.exp", "16xf32"),
        ("exp", "16xf32"),
        ("math.exp", "f16"),
        ("math.exp", "4x4xf32"),
    ],
)
def test_expand_leaves_what_it_has_no_code_for(op_name: str, kind: str) -> None:
    assert _expanded(op_name, kind) == (None, 1)


@pytest.mark.parametrize("name", sorted(MATH_OPS))
def test_expansions_stay_small(name: str) -> None:
    # Compile time grows with the ops; constants count too.
    assert _expanded(f"math.{name}", "16xf32")[1] <= 180


def test_a_type_without_code_is_an_error() -> None:
    with ir.Context(), ir.Location.unknown():
        module = ir.Module.create()
        with ir.InsertionPoint(module.body):
            op = func.FuncOp("f", ([ir.F16Type.get()], []))
            with ir.InsertionPoint(op.add_entry_block()):
                wanted = r"sin needs scalars or 1-D vectors of f32 or f64, but got f16"
                with pytest.raises(CompileError, match=wanted):
                    vector_math.sin(op.arguments[0])
                func.ReturnOp([])


def test_all_functions_are_documented_and_public() -> None:
    named = {n for n in vector_math.__all__ if n.islower()} - {"expand", "function"}
    assert named == set(FUNCTIONS)
    for name, entry in FUNCTIONS.items():
        assert entry.name == name
        assert 0.5 <= entry.max_ulp_f32 <= 5.25
        assert 0.5 <= entry.max_ulp_f64 <= 7.0
        assert getattr(vector_math, name).__doc__
