"""ix-simplify-algebra: removes arithmetic that changes nothing.

x + 0, x − 0, x · 1, x / 1, x¹, −(−x), max(x, x), x and true   →  x
x − x, x · 0 of integers                                       →  0
x², x^0.5, x^−1, x^−0.5       →  x · x, sqrt(x), reciprocal(x), rsqrt(x)
x / 2ⁿ, 1 / x, x · −1, 0 − x  →  x · 2⁻ⁿ, reciprocal(x), −x, −x
x + (−y), x − (−y), −(x − y)  →  x − y, x + y, y − x
max(x, 0)                     →  relu(x)
cast(cast(x))                 →  cast(x), or x     the inner cast keeps every value
select(true, x, y), select(c, x, x), select(not c, x, y)  →  x, x, select(c, y, x)
f(broadcast(x), y)            →  f(x, y)           f broadcasts as much itself
constant [c, c, c]            →  constant c        where an elementwise op reads it

The last bit of every result stays as it was; only the sign of a zero may change.
`simplify_movement.py` has the rules for ops that move elements.
"""

from __future__ import annotations

import math
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.elementwise import BinaryOp
from ix.dialects.ix.shapes import ShapeError, is_bool, is_float
from ix.mlir import defining_op, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import commuted, scalar
from ix.passes.graph.simplify_movement import MOVEMENT_PATTERNS

_BROADCASTING = (BinaryOp, ix.SelectOp, ix.ClampOp)


def _element(op: Any) -> ir.Type:
    return op.results[0].type.element_type


def _constant(number: float, like: Any) -> ir.Value:
    """A rank-0 constant of the element type of an op's result."""
    return ix.ConstantOp.build(number, str(_element(like)))


def _filled(number: float, op: Any) -> ir.Value | None:
    """The op's result as one number everywhere; None where its sizes are unknown."""
    if not op.results[0].type.has_static_shape:
        return None
    return ix.BroadcastOp.build(_constant(number, op), op.results[0].type.shape)


def _whole(value: ir.Value, op: Any) -> ir.Value | None:
    """The value, if it has the type of the op's result; else None."""
    return value if value.type == op.results[0].type else None


@pattern(ix.AddOp)
def simplify_sum(op: ix.AddOp) -> ir.Value | None:
    for x, other in commuted(op):
        if scalar(other) == 0:
            return _whole(x, op)
        negative = defining_op(other, ix.NegOp)
        if negative is not None:
            return ix.SubOp.build(x, negative.input)
    return None


@pattern(ix.SubOp)
def simplify_difference(op: ix.SubOp) -> ir.Value | None:
    if op.a == op.b and not is_float(_element(op)):
        return _filled(0, op)
    if scalar(op.b) == 0:
        return _whole(op.a, op)
    if scalar(op.a) == 0 and op.b.type == op.result.type:
        return ix.NegOp.build(op.b)
    negative = defining_op(op.b, ix.NegOp)
    return None if negative is None else ix.AddOp.build(op.a, negative.input)


@pattern(ix.MulOp)
def simplify_product(op: ix.MulOp) -> ir.Value | None:
    for x, other in commuted(op):
        number = scalar(other)
        if number == 1:
            return _whole(x, op)
        if number == -1 and x.type == op.result.type:
            return ix.NegOp.build(x)
        if number == 0 and not is_float(_element(op)):
            return _filled(0, op)
    return None


@pattern(ix.DivOp)
def simplify_quotient(op: ix.DivOp) -> ir.Value | None:
    number = scalar(op.b)
    if number == 1:
        return _whole(op.a, op)
    if not is_float(_element(op)):
        return None
    if scalar(op.a) == 1 and op.b.type == op.result.type:
        return ix.ReciprocalOp.build(op.b)
    if number is not None and _has_exact_inverse(number, _element(op)):
        return ix.MulOp.build(op.a, _constant(1 / number, op))
    return None


def _has_exact_inverse(number: float, element_type: ir.Type) -> bool:
    """Whether the number is a power of two whose inverse is a normal number as well."""
    if number == 0 or not math.isfinite(number) or abs(math.frexp(number)[0]) != 0.5:
        return False
    exponent = math.frexp(number)[1]
    return abs(exponent) < _LARGEST_EXPONENT.get(str(element_type), 0)


_LARGEST_EXPONENT = {"f64": 1000, "f32": 120, "bf16": 120, "f16": 12, "f8E5M2": 12}


@pattern(ix.PowOp)
def simplify_power(op: ix.PowOp) -> ir.Value | None:
    exponent = scalar(op.b)
    if exponent is None or op.a.type != op.result.type:
        return None
    if exponent == 1:
        return op.a
    if exponent == 2:
        return ix.MulOp.build(op.a, op.a)
    root = _ROOTS.get(exponent) if is_float(_element(op)) else None
    return None if root is None else root.build(op.a)


_ROOTS = {0.5: ix.SqrtOp, -1.0: ix.ReciprocalOp, -0.5: ix.RsqrtOp}


@pattern(ix.NegOp)
def simplify_negation(op: ix.NegOp) -> ir.Value | None:
    inner = defining_op(op.input)
    if isinstance(inner, ix.NegOp):
        return inner.input
    if isinstance(inner, ix.SubOp):
        return ix.SubOp.build(inner.b, inner.a)
    return None


@pattern(ix.LogicalNotOp)
def simplify_not(op: ix.LogicalNotOp) -> ir.Value | None:
    inner = defining_op(op.input, ix.LogicalNotOp)
    return None if inner is None else inner.input


@pattern(ix.AbsOp, ix.ReluOp)
def simplify_repeated(op: ix.AbsOp | ix.ReluOp) -> ir.Value | None:
    inner = defining_op(op.input)
    if type(inner) is type(op):
        return inner.result
    if isinstance(op, ix.AbsOp) and isinstance(inner, ix.NegOp):
        return ix.AbsOp.build(inner.input)
    return None


@pattern(ix.MaxOp, ix.MinOp, ix.AndOp, ix.OrOp)
def simplify_idempotent(op: Any) -> ir.Value | None:
    if op.a == op.b:
        return op.a
    for x, other in commuted(op):
        number = scalar(other)
        if number is None or x.type != op.result.type:
            continue
        if isinstance(op, ix.MaxOp) and number == 0:
            return ix.ReluOp.build(x)
        if is_bool(_element(op)) and number == isinstance(op, ix.AndOp):
            return x
        if is_bool(_element(op)) and not isinstance(op, ix.MaxOp | ix.MinOp):
            return _filled(number, op)
    return None


@pattern(ix.NeOp)
def simplify_truth(op: ix.NeOp) -> ir.Value | None:
    for x, other in commuted(op):
        cast = defining_op(x, ix.CastOp)
        flag = cast is not None and is_bool(cast.input.type.element_type)
        if flag and scalar(other) == 0:
            return _whole(cast.input, op)
    return None


@pattern(ix.SelectOp)
def simplify_select(op: ix.SelectOp) -> ir.Value | None:
    if op.a == op.b:
        return _whole(op.a, op)
    inner = defining_op(op.condition, ix.LogicalNotOp)
    if inner is not None:
        return ix.SelectOp.build(inner.input, op.b, op.a)
    flag = scalar(op.condition)
    return None if flag is None else _whole(op.a if flag else op.b, op)


@pattern(ix.CastOp)
def simplify_cast(op: ix.CastOp) -> ir.Value | None:
    if op.input.type == op.result.type:
        return op.input
    inner = defining_op(op.input, ix.CastOp)
    if inner is None:
        return None
    source, middle, target = (
        str(value.type.element_type) for value in (inner.input, op.input, op.result)
    )
    if not _keeps_values(source, middle):
        return None
    # A float saturates where an integer would wrap.
    if middle in _FLOATS and source in _INTEGERS and not _keeps_values(source, target):
        return None
    return ix.CastOp.build(inner.input, op.result.type.element_type)


_FLOATS = {  # bits of the significand, of the exponent
    "f64": (53, 11),
    "f32": (24, 8),
    "f16": (11, 5),
    "bf16": (8, 8),
    "f8E5M2": (3, 5),
    "f8E4M3FN": (4, 4),
}
_INTEGERS = {  # bits of the magnitude, whether there is a sign
    "i64": (63, 1),
    "i32": (31, 1),
    "i16": (15, 1),
    "i8": (7, 1),
    "i4": (3, 1),
    "ui8": (8, 0),
    "i1": (1, 0),
}


def _keeps_values(source: str, target: str) -> bool:
    """Whether the target type has every value of the source type."""
    if target == "i1":
        return source == "i1"
    if source in _FLOATS:
        return target in _FLOATS and all(
            map(int.__le__, _FLOATS[source], _FLOATS[target])
        )
    if target in _FLOATS:
        significand, exponent = _FLOATS[target]
        bits = _INTEGERS[source][0]
        return bits <= significand and bits < 2 ** (exponent - 1)
    return all(map(int.__le__, _INTEGERS[source], _INTEGERS[target]))


@pattern(*_BROADCASTING)
def drop_operand_broadcast(op: Any) -> Any | None:
    for place, value in enumerate(op.operands):
        source = _before_broadcast(value)
        if source is None:
            continue
        operands = list(op.operands)
        operands[place] = source
        if _result_stays(op, operands):
            return type(op).create(operands, **op.python_attributes()).result
    return None


def _before_broadcast(value: ir.Value) -> ir.Value | None:
    """What an operand broadcasts from: a smaller tensor, or one number."""
    op = defining_op(value)
    if isinstance(op, ix.BroadcastOp):
        return op.input
    if isinstance(op, ix.ConstantOp) and value.type.rank:
        elements = op.attributes["value"]
        if elements.is_splat:
            return ix.ConstantOp.build(
                ir.DenseElementsAttr.get_splat(
                    ir.RankedTensorType.get([], value.type.element_type),
                    elements.get_splat_value(),
                )
            )
    return None


def _result_stays(op: Any, operands: list[ir.Value]) -> bool:
    types = [value.type for value in operands]
    try:
        return list(type(op).infer(*types)) == [op.results[0].type]
    except ShapeError:
        return False


simplify_algebra = rewrite_pass(
    "ix-simplify-algebra",
    [
        simplify_sum,
        simplify_difference,
        simplify_product,
        simplify_quotient,
        simplify_power,
        simplify_negation,
        simplify_not,
        simplify_repeated,
        simplify_idempotent,
        simplify_truth,
        simplify_select,
        simplify_cast,
        drop_operand_broadcast,
        *MOVEMENT_PATTERNS,
    ],
)
