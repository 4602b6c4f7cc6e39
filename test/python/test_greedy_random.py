"""The greedy driver on random programs: same meaning, fixpoint, valid IR."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ix.dialects import context as make_context
from ix.mlir import arith, defining_op, func, ir, ops_in
from ix.passes.framework import Rewriter, apply_patterns, pattern

CONTEXT = make_context()
MASK = (1 << 32) - 1


def constant_of(value: ir.Value) -> int | None:
    """The value of a constant, or None."""
    op = defining_op(value, arith.ConstantOp)
    return None if op is None else ir.IntegerAttr(op.attributes["value"]).value


@pattern(arith.AddIOp)
def add_zero(op: arith.AddIOp) -> ir.Value | None:
    return op.lhs if constant_of(op.rhs) == 0 else None


@pattern(arith.SubIOp)
def subtract_itself(op: arith.SubIOp) -> ir.Value | None:
    return arith.constant(op.result.type, 0) if op.lhs == op.rhs else None


@pattern(arith.SubIOp)
def undo_addition(op: arith.SubIOp) -> ir.Value | None:
    inner = defining_op(op.lhs, arith.AddIOp)
    return inner.lhs if inner is not None and inner.rhs == op.rhs else None


@pattern(arith.MulIOp)
def double_by_adding(op: arith.MulIOp) -> ir.Value | None:
    return arith.addi(op.lhs, op.lhs) if constant_of(op.rhs) == 2 else None


@pattern(arith.AddIOp, arith.SubIOp, arith.MulIOp)
def merge_duplicates(op: Any, rewriter: Rewriter) -> Any:
    twins = {
        hash(use.owner): use.owner
        for use in op.lhs.uses
        if use.owner.name == op.name and use.owner != op
    }
    merged = None
    for twin in twins.values():
        if (twin.operands[0], twin.operands[1]) != (op.lhs, op.rhs):
            continue
        if twin.operation.is_before_in_block(op.operation):
            return twin.results[0]
        rewriter.replace(twin, op.result)
        merged = op
    return merged


PATTERNS = [
    add_zero,
    subtract_itself,
    undo_addition,
    double_by_adding,
    merge_duplicates,
]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["addi", "subi", "muli"]),
        st.integers(0, 99),
        st.integers(0, 99),
    ),
    max_size=40,
)


def program(steps: list[tuple[str, int, int]]) -> Any:
    """A function of two integers whose ops take operands from those before them."""
    lines = ["%v2 = arith.constant 0 : i32", "%v3 = arith.constant 2 : i32"]
    for index, (name, a, b) in enumerate(steps, 4):
        lines.append(f"%v{index} = arith.{name} %v{a % index}, %v{b % index} : i32")
    last = len(steps) + 3
    lines.append(f"return %v{last}, %v{last // 2} : i32, i32")
    body = "\n".join(lines)
    with CONTEXT:
        return ir.Module.parse(
            f"func.func @f(%v0: i32, %v1: i32) -> (i32, i32) {{\n{body}\n}}"
        )


def value_of(module: Any, arguments: tuple[int, int]) -> list[int]:
    """What the function returns, by walking its ops."""
    (function,) = ops_in(module, func.FuncOp)
    values = dict(zip(map(hash, function.arguments), arguments, strict=True))
    compute = {
        "arith.addi": lambda a, b: a + b,
        "arith.subi": lambda a, b: a - b,
        "arith.muli": lambda a, b: a * b,
    }
    for op in ops_in(function):
        inputs = [values[hash(operand)] for operand in op.operands]
        if isinstance(op, arith.ConstantOp):
            values[hash(op.result)] = ir.IntegerAttr(op.attributes["value"]).value
        elif isinstance(op, func.ReturnOp):
            return inputs
        else:
            values[hash(op.result)] = compute[op.operation.name](*inputs) & MASK
    raise AssertionError("no return")


@settings(max_examples=60, deadline=None)
@given(STEPS, st.tuples(st.integers(0, MASK), st.integers(0, MASK)))
def test_rewriting_keeps_the_meaning(steps: Any, arguments: tuple[int, int]) -> None:
    module = program(steps)
    expected = value_of(module, arguments)
    apply_patterns(module, PATTERNS)
    module.operation.verify()
    assert value_of(module, arguments) == expected
    before = str(module)
    assert not apply_patterns(module, PATTERNS)
    assert str(module) == before
    for op in ops_in(module, (arith.AddIOp, arith.SubIOp, arith.MulIOp)):
        assert next(iter(op.result.uses), None) is not None, "a dead op was left"
