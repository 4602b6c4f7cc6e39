"""Elementwise ix ops as linalg.generic with bodies of arith and math ops."""

from __future__ import annotations

import math as scalar_math
from collections.abc import Callable
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.shapes import is_float, is_unsigned
from ix.mlir import DYNAMIC, arith, ir, math
from ix.passes.linalg.functions import (
    Scalar,
    add,
    binary,
    constant_like,
    divide,
    float_floor_divide,
    float_modulo,
    float_power,
    integer_absolute,
    integer_floor_divide,
    integer_fmod,
    integer_maximum,
    integer_minimum,
    integer_modulo,
    integer_negative,
    integer_relu,
    integer_sign,
    is_finite,
    is_infinite,
    is_nan,
    multiply,
    named,
    one_plus_exp_minus,
    reciprocal,
    sign,
    softplus,
    subtract,
    unary,
)
from ix.passes.linalg.generic import (
    Lowered,
    Size,
    broadcast_sizes,
    elementwise,
    lowered_type,
    scalar,
)
from ix.passes.linalg.integer_power import integer_power
from ix.passes.linalg.scalars import (
    compare,
    convert,
    narrow,
    quotient,
    select,
    widen,
)

Values = list[ir.Value]


def pointwise(op: Any, operands: Values, body: Scalar) -> ir.Value:
    """One generic over the op's result, its static sizes taken from the result type."""
    type_ = op.result.type
    element = lowered_type(type_.element_type)
    return elementwise(operands, element, body, result_sizes(type_, operands))


def result_sizes(type_: ir.RankedTensorType, operands: Values) -> list[Size]:
    """The sizes of a broadcast result, static where its type says so."""
    known = list(type_.shape)
    if DYNAMIC not in known:
        return known
    sizes = broadcast_sizes(operands)
    return [s if k == DYNAMIC else k for k, s in zip(known, sizes, strict=True)]


def floats(function: Scalar) -> Callable[[Any, Values], Lowered]:
    """Lowers an op whose body is a function of floats in their compute type."""

    def lower(op: Any, operands: Values) -> Lowered:
        element = op.result.type.element_type
        return pointwise(
            op,
            operands,
            lambda *xs: narrow(function(*(widen(x, element) for x in xs)), element),
        )

    return lower


def numbers(
    of_floats: Scalar, of_integers: Callable[..., ir.Value] | None
) -> Callable[[Any, Values], Lowered]:
    """Lowers an op on floats and integers.

    `of_integers` gets the scalars and whether they are unsigned; None leaves integers
    as they are.
    """

    def lower(op: Any, operands: Values) -> Lowered:
        element = op.result.type.element_type
        if is_float(element):
            return floats(of_floats)(op, operands)
        if of_integers is None:
            return operands[0]
        unsigned = is_unsigned(element)
        return pointwise(
            op,
            operands,
            lambda *xs: narrow(
                of_integers(*(widen(x, element) for x in xs), unsigned), element
            ),
        )

    return lower


def gelu(op: ix.GeluOp, operands: Values) -> Lowered:
    """x·½·(1 + erf(x / √2)), or its approximation by tanh."""

    def by_erf(x: ir.Value) -> ir.Value:
        inner = multiply(x, constant_like(scalar_math.sqrt(0.5), x))
        return math.ErfOp(inner).result

    def by_tanh(x: ir.Value) -> ir.Value:
        cube = multiply(multiply(x, x), x)
        inner = add(x, multiply(cube, constant_like(0.044715, x)))
        scaled = multiply(inner, constant_like(scalar_math.sqrt(2 / scalar_math.pi), x))
        return math.TanhOp(scaled).result

    tanh = op.approximate == "tanh"

    def body(x: ir.Value) -> ir.Value:
        step = by_tanh(x) if tanh else by_erf(x)
        share = multiply(add(step, constant_like(1, x)), constant_like(0.5, x))
        y = multiply(x, share)
        return y if tanh else named("gelu_erf", y)

    return floats(body)(op, operands)


def tested(of_float: Scalar, of_integer: bool) -> Callable[[Any, Values], Lowered]:
    """Lowers a predicate of floats; integers give the same answer always."""

    def lower(op: Any, operands: Values) -> Lowered:
        element = op.input.type.element_type
        if not is_float(element):
            i1 = ir.IntegerType.get_signless(1)
            return pointwise(op, operands, lambda x: scalar(of_integer, i1))
        return pointwise(op, operands, lambda x: of_float(widen(x, element)))

    return lower


def comparison(predicate: str) -> Callable[[Any, Values], Lowered]:
    """Lowers a comparison to i1."""

    def lower(op: Any, operands: Values) -> Lowered:
        element = op.a.type.element_type
        unsigned = is_unsigned(element)
        return pointwise(
            op,
            operands,
            lambda a, b: compare(
                predicate, widen(a, element), widen(b, element), unsigned
            ),
        )

    return lower


def shift(left: bool) -> Callable[[Any, Values], Lowered]:
    """Lowers a shift; amounts of the width or more shift everything out."""

    def lower(op: Any, operands: Values) -> Lowered:
        element = op.result.type.element_type
        unsigned = is_unsigned(element)

        def body(a: ir.Value, b: ir.Value) -> ir.Value:
            a, b = widen(a, element), widen(b, element)
            zero = constant_like(0, a)
            inside = compare("lt", b, constant_like(element.width, b), unsigned=True)
            if not left and not unsigned:
                last = select(inside, b, constant_like(element.width - 1, b))
                return narrow(arith.ShRSIOp(a, last).result, element)
            amount = select(inside, b, zero)
            op_class = arith.ShLIOp if left else arith.ShRUIOp
            shifted = select(inside, op_class(a, amount).result, zero)
            return narrow(shifted, element)

        return pointwise(op, operands, body)

    return lower


def bits(op_class: Any) -> Callable[[Any, Values], Lowered]:
    """Lowers a bitwise op, the same for every integer type."""
    return lambda op, operands: pointwise(op, operands, binary(op_class))


def invert(op: Any, operands: Values) -> Lowered:
    """Flips every bit."""
    return pointwise(
        op, operands, lambda x: arith.XOrIOp(x, constant_like(-1, x)).result
    )


def lower_select(op: ix.SelectOp, operands: Values) -> Lowered:
    return pointwise(op, operands, select)


def lower_clamp(op: ix.ClampOp, operands: Values) -> Lowered:
    def of_floats(x: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
        return arith.MinimumFOp(arith.MaximumFOp(x, low).result, high).result

    def of_integers(
        x: ir.Value, low: ir.Value, high: ir.Value, unsigned: bool
    ) -> ir.Value:
        return integer_minimum(integer_maximum(x, low, unsigned), high, unsigned)

    return numbers(of_floats, of_integers)(op, operands)


def lower_cast(op: ix.CastOp, operands: Values) -> Lowered:
    source = op.input.type.element_type
    target = op.result.type.element_type
    if lowered_type(source) == lowered_type(target):
        return operands[0]
    return pointwise(op, operands, lambda x: convert(x, source, target))


LOWERINGS: dict[type, Callable[[Any, Values], Lowered]] = {
    ix.ExpOp: floats(unary(math.ExpOp)),
    ix.Exp2Op: floats(unary(math.Exp2Op)),
    ix.Expm1Op: floats(unary(math.ExpM1Op)),
    ix.LogOp: floats(unary(math.LogOp)),
    ix.Log2Op: floats(unary(math.Log2Op)),
    ix.Log10Op: floats(unary(math.Log10Op)),
    ix.Log1pOp: floats(unary(math.Log1pOp)),
    ix.SqrtOp: floats(unary(math.SqrtOp)),
    ix.RsqrtOp: floats(unary(math.RsqrtOp)),
    ix.CbrtOp: floats(unary(math.CbrtOp)),
    ix.ReciprocalOp: floats(reciprocal),
    ix.SinOp: floats(unary(math.SinOp)),
    ix.CosOp: floats(unary(math.CosOp)),
    ix.TanOp: floats(unary(math.TanOp)),
    ix.AsinOp: floats(unary(math.AsinOp)),
    ix.AcosOp: floats(unary(math.AcosOp)),
    ix.AtanOp: floats(unary(math.AtanOp)),
    ix.SinhOp: floats(unary(math.SinhOp)),
    ix.CoshOp: floats(unary(math.CoshOp)),
    ix.TanhOp: floats(unary(math.TanhOp)),
    ix.AsinhOp: floats(unary(math.AsinhOp)),
    ix.AcoshOp: floats(unary(math.AcoshOp)),
    ix.AtanhOp: floats(unary(math.AtanhOp)),
    ix.ErfOp: floats(unary(math.ErfOp)),
    ix.ErfcOp: floats(unary(math.ErfcOp)),
    ix.GeluOp: gelu,
    ix.SiluOp: floats(lambda x: divide(x, one_plus_exp_minus(x))),
    ix.SigmoidOp: floats(lambda x: reciprocal(one_plus_exp_minus(x))),
    ix.SoftplusOp: floats(softplus),
    ix.ReluOp: numbers(
        lambda x: arith.MaximumFOp(x, constant_like(0, x)).result, integer_relu
    ),
    ix.NegOp: numbers(unary(arith.NegFOp), integer_negative),
    ix.AbsOp: numbers(unary(math.AbsFOp), integer_absolute),
    ix.SignOp: numbers(sign, integer_sign),
    ix.CeilOp: numbers(unary(math.CeilOp), None),
    ix.FloorOp: numbers(unary(math.FloorOp), None),
    ix.RoundOp: numbers(unary(math.RoundEvenOp), None),
    ix.TruncOp: numbers(unary(math.TruncOp), None),
    ix.BitwiseNotOp: invert,
    ix.LogicalNotOp: invert,
    ix.IsnanOp: tested(is_nan, of_integer=False),
    ix.IsinfOp: tested(is_infinite, of_integer=False),
    ix.IsfiniteOp: tested(is_finite, of_integer=True),
    ix.AddOp: numbers(add, binary(arith.AddIOp)),
    ix.SubOp: numbers(subtract, binary(arith.SubIOp)),
    ix.MulOp: numbers(multiply, binary(arith.MulIOp)),
    ix.DivOp: numbers(divide, quotient),
    ix.FloorDivOp: numbers(float_floor_divide, integer_floor_divide),
    ix.ModOp: numbers(float_modulo, integer_modulo),
    ix.FmodOp: numbers(binary(arith.RemFOp), integer_fmod),
    ix.PowOp: numbers(float_power, integer_power),
    ix.MaxOp: numbers(binary(arith.MaximumFOp), integer_maximum),
    ix.MinOp: numbers(binary(arith.MinimumFOp), integer_minimum),
    ix.Atan2Op: floats(binary(math.Atan2Op)),
    ix.AndOp: bits(arith.AndIOp),
    ix.OrOp: bits(arith.OrIOp),
    ix.XorOp: bits(arith.XOrIOp),
    ix.ShiftLeftOp: shift(left=True),
    ix.ShiftRightOp: shift(left=False),
    ix.EqOp: comparison("eq"),
    ix.NeOp: comparison("ne"),
    ix.LtOp: comparison("lt"),
    ix.LeOp: comparison("le"),
    ix.GtOp: comparison("gt"),
    ix.GeOp: comparison("ge"),
    ix.SelectOp: lower_select,
    ix.ClampOp: lower_clamp,
    ix.CastOp: lower_cast,
}
