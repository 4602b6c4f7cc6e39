"""ix-recognize-gelu: gelu from the error function or from tanh.

0.5 · x · (1 + erf(x / √2)), 0.5 · x · erfc(−x / √2)        →  gelu(x)
0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))           →  gelu(x) {tanh}
x · sigmoid(2 · √(2/π) · (x + 0.044715 · x³))                →  gelu(x) {tanh}

Factors stand in any order, and the cubic in any form. Constants match to the five
digits that papers give. Short floats compute in f32 and round once.
"""

from __future__ import annotations

import math

from ix.dialects import ix
from ix.mlir import defining_op, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import bare, close, commuted, scalar
from ix.passes.graph.polynomial import factors, is_polynomial

_ROOT = math.sqrt(0.5)
_LINEAR = math.sqrt(2 / math.pi)
_CUBIC = 0.044715 * _LINEAR


@pattern(ix.MulOp)
def recognize(op: ix.MulOp) -> ir.Value | None:
    number, rest = factors(op.result)
    if len(rest) != 2:
        return None
    for x, gate in (rest, rest[::-1]):
        approximate = _kind_of_gate(number, gate, x)
        if approximate is not None and _same_shape(x, op.result):
            x = ix.CastOp.build(x, op.result.type.element_type)
            return ix.GeluOp.build(x, approximate=approximate)
    return None


def _same_shape(a: ir.Value, b: ir.Value) -> bool:
    return list(a.type.shape) == list(b.type.shape)


def _kind_of_gate(number: float, gate: ir.Value, x: ir.Value) -> str | None:
    """The form of gelu where number · gate is Φ(x), or None."""
    element = x.type.element_type
    op = defining_op(gate)
    if isinstance(op, ix.SigmoidOp):
        doubled = {1: 2 * _LINEAR, 3: 2 * _CUBIC}
        return "tanh" if number == 1 and is_polynomial(op.input, x, doubled) else None
    if isinstance(op, ix.ErfcOp):
        matches = close(number, 0.5, element) and is_polynomial(
            op.input, x, {1: -_ROOT}
        )
        return "none" if matches else None
    if not isinstance(op, ix.AddOp):
        return None
    for constant, other in commuted(op):
        offset = scalar(constant)
        factor, inner = (0.0, []) if offset is None else factors(other)
        if len(inner) == 1 and close(number * factor, 0.5, element):
            kind = _kind_of_function(inner[0], x)
            if kind is not None and close(number * (offset or 0), 0.5, element):
                return kind
    return None


def _kind_of_function(value: ir.Value, x: ir.Value) -> str | None:
    op = defining_op(bare(value))
    if isinstance(op, ix.ErfOp) and is_polynomial(op.input, x, {1: _ROOT}):
        return "none"
    cubic = {1: _LINEAR, 3: _CUBIC}
    if isinstance(op, ix.TanhOp) and is_polynomial(op.input, x, cubic):
        return "tanh"
    return None


recognize_gelu = rewrite_pass("ix-recognize-gelu", [recognize])
