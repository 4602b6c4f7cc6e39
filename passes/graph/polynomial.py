"""Arithmetic on one tensor and constants, as coefficients: however it is spelled.

0.79788 · (x + 0.044715 · x³) and 0.79788 · x · (1 + 0.044715 · x · x) both are
{1: 0.79788, 3: 0.035677} of x.
"""

from __future__ import annotations

from typing import Any

from ix.dialects import ix
from ix.mlir import defining_op, ir
from ix.passes.graph.matching import bare, close, scalar

Polynomial = dict[int, float]

_DEEPEST = 10
_HIGHEST = 4


def polynomial(value: ir.Value, x: ir.Value, depth: int = _DEEPEST) -> Polynomial:
    """Coefficients by power of x; empty where the value is no polynomial of x.

    Casts of floats to wider ones count as their input.
    """
    value = bare(value)
    if value == x:
        return {1: 1.0}
    number = scalar(value)
    if number is not None:
        return {0: number}
    op = defining_op(value)
    step = _STEPS.get(type(op))
    return step(op, x, depth - 1) if step is not None and depth else {}


def _sum(op: Any, x: ir.Value, depth: int) -> Polynomial:
    a, b = polynomial(op.a, x, depth), polynomial(op.b, x, depth)
    sign = -1 if isinstance(op, ix.SubOp) else 1
    if not a or not b:
        return {}
    return {power: a.get(power, 0) + sign * b.get(power, 0) for power in {**a, **b}}


def _product(op: Any, x: ir.Value, depth: int) -> Polynomial:
    a = polynomial(op.a, x, depth)
    b = polynomial(op.b, x, depth) if a else {}
    return _multiplied(a, b)


def _multiplied(a: Polynomial, b: Polynomial) -> Polynomial:
    result: Polynomial = {}
    for power, factor in a.items():
        for other, number in b.items():
            result[power + other] = result.get(power + other, 0) + factor * number
    return result if max(result, default=0) <= _HIGHEST else {}


def _quotient(op: Any, x: ir.Value, depth: int) -> Polynomial:
    divisor = scalar(op.b)
    if not divisor:
        return {}
    return {p: f / divisor for p, f in polynomial(op.a, x, depth).items()}


def _negative(op: Any, x: ir.Value, depth: int) -> Polynomial:
    return {p: -f for p, f in polynomial(op.input, x, depth).items()}


def _power(op: Any, x: ir.Value, depth: int) -> Polynomial:
    exponent = scalar(op.b)
    if exponent not in (2, 3):
        return {}
    base = polynomial(op.a, x, depth)
    result = base
    for _ in range(int(exponent) - 1):
        result = _multiplied(result, base)
    return result


_STEPS = {
    ix.AddOp: _sum,
    ix.SubOp: _sum,
    ix.MulOp: _product,
    ix.DivOp: _quotient,
    ix.NegOp: _negative,
    ix.PowOp: _power,
}


def is_polynomial(value: ir.Value, x: ir.Value, wanted: Polynomial) -> bool:
    """Whether a value is the polynomial of x, up to the digits models write."""
    actual = {p: f for p, f in polynomial(value, x).items() if f}
    element = x.type.element_type
    return actual.keys() == wanted.keys() and all(
        close(factor, wanted[power], element) for power, factor in actual.items()
    )


def factors(value: ir.Value, depth: int = _DEEPEST) -> tuple[float, list[ir.Value]]:
    """A product's number and its other factors, across products inside."""
    value = bare(value)
    number = scalar(value)
    if number is not None:
        return number, []
    op = defining_op(value)
    if depth and isinstance(op, ix.MulOp):
        (a, rest_a), (b, rest_b) = factors(op.a, depth - 1), factors(op.b, depth - 1)
        return a * b, rest_a + rest_b
    if depth and isinstance(op, ix.DivOp):
        divisor = scalar(op.b)
        if divisor:
            number, rest = factors(op.a, depth - 1)
            return number / divisor, rest
    if depth and isinstance(op, ix.NegOp):
        number, rest = factors(op.input, depth - 1)
        return -number, rest
    return 1.0, [value]
