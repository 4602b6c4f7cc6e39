"""Functions of scalars, built from arith and math ops, that elementwise bodies use.

Floats are in their compute type; functions of integers also get whether these are
unsigned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from ix.mlir import arith, defining_op, ir, math
from ix.passes.linalg.generic import scalar
from ix.passes.linalg.scalars import compare, quotient, remainder, select

Scalar: TypeAlias = Callable[..., ir.Value]
"""Scalars → a scalar."""


FUNCTION = "ix.function"
"""On the last of the ops that write a function out: its name in `ix.passes.cpu`.

The function is of that op's first operand. A compiler that knows it may leave out what
the other operands are made of.
"""


def named(name: str, value: ir.Value) -> ir.Value:
    """Notes the function that an op, of whose first operand, computes."""
    op = defining_op(value)
    assert op is not None
    op.operation.attributes[FUNCTION] = ir.StringAttr.get(name)
    return value


def unary(op_class: Any) -> Scalar:
    """A function of one float that is one op."""
    return lambda x: op_class(x).result


def binary(op_class: Any) -> Scalar:
    """A function of two scalars that is one op; a third argument is left."""
    return lambda a, b, *_: op_class(a, b).result


def constant_like(value: float, x: ir.Value) -> ir.Value:
    """A constant of the type of x."""
    return scalar(value, x.type)


def add(a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.AddFOp(a, b).result


def subtract(a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.SubFOp(a, b).result


def multiply(a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.MulFOp(a, b).result


def divide(a: ir.Value, b: ir.Value) -> ir.Value:
    return arith.DivFOp(a, b).result


def reciprocal(x: ir.Value) -> ir.Value:
    return divide(constant_like(1, x), x)


def one_plus_exp_minus(x: ir.Value) -> ir.Value:
    """1 + e⁻ˣ; overflows to infinity, whose reciprocal is the right limit."""
    return add(math.ExpOp(arith.NegFOp(x).result).result, constant_like(1, x))


def softplus(x: ir.Value) -> ir.Value:
    """max(x, 0) + log1p(e^−|x|), which never overflows."""
    decay = math.ExpOp(arith.NegFOp(math.AbsFOp(x).result).result).result
    positive = arith.MaximumFOp(x, constant_like(0, x)).result
    return add(positive, math.Log1pOp(decay).result)


def sign(x: ir.Value) -> ir.Value:
    """±1 by the sign of x; 0 and NaN stay."""
    zero = constant_like(0, x)
    negative = select(compare("lt", x, zero), constant_like(-1, x), x)
    return select(compare("gt", x, zero), constant_like(1, x), negative)


def integer_sign(x: ir.Value, unsigned: bool) -> ir.Value:
    if unsigned:
        return arith.MinUIOp(x, constant_like(1, x)).result
    limited = arith.MinSIOp(x, constant_like(1, x)).result
    return arith.MaxSIOp(limited, constant_like(-1, x)).result


def integer_negative(x: ir.Value, unsigned: bool) -> ir.Value:
    return arith.SubIOp(constant_like(0, x), x).result


def integer_absolute(x: ir.Value, unsigned: bool) -> ir.Value:
    return x if unsigned else arith.MaxSIOp(x, integer_negative(x, unsigned)).result


def integer_relu(x: ir.Value, unsigned: bool) -> ir.Value:
    return x if unsigned else arith.MaxSIOp(x, constant_like(0, x)).result


def integer_maximum(a: ir.Value, b: ir.Value, unsigned: bool) -> ir.Value:
    return (arith.MaxUIOp if unsigned else arith.MaxSIOp)(a, b).result


def integer_minimum(a: ir.Value, b: ir.Value, unsigned: bool) -> ir.Value:
    return (arith.MinUIOp if unsigned else arith.MinSIOp)(a, b).result


def signs_differ(a: ir.Value, b: ir.Value) -> ir.Value:
    """Whether exactly one of two numbers is below zero."""
    negative = (compare("lt", x, constant_like(0, x)) for x in (a, b))
    return arith.XOrIOp(*negative).result


def needs_correction(rest: ir.Value, b: ir.Value) -> ir.Value:
    """Whether a remainder toward zero is not yet the one with the sign of b."""
    nonzero = compare("ne", rest, constant_like(0, rest))
    return arith.AndIOp(nonzero, signs_differ(rest, b)).result


def zero_like(x: ir.Value) -> ir.Value:
    """0 with the sign of x."""
    zero = constant_like(0, x)
    negative = select(compare("lt", x, zero), constant_like(-0.0, x), zero)
    return select(compare("eq", x, zero), x, negative)


def float_modulo(a: ir.Value, b: ir.Value) -> ir.Value:
    """numpy.mod: fmod, moved to the sign of b; a zero has the sign of b too."""
    rest = arith.RemFOp(a, b).result
    moved = select(needs_correction(rest, b), add(rest, b), rest)
    return select(compare("eq", rest, constant_like(0, rest)), zero_like(b), moved)


def float_floor_divide(a: ir.Value, b: ir.Value) -> ir.Value:
    """numpy.floor_divide: (a − mod(a, b)) / b, which is nearly whole, made whole.

    ⌊a / b⌋ would be one too large where a / b rounds up to a whole number.
    """
    rest = arith.RemFOp(a, b).result
    exact = divide(subtract(a, rest), b)
    one, zero = constant_like(1, a), constant_like(0, a)
    exact = select(needs_correction(rest, b), subtract(exact, one), exact)
    floor = math.FloorOp(exact).result
    above_half = compare("gt", subtract(exact, floor), constant_like(0.5, a))
    whole = select(above_half, add(floor, one), floor)
    plain = divide(a, b)
    result = select(compare("eq", exact, zero), zero_like(plain), whole)
    return select(compare("eq", b, zero), plain, result)


def integer_modulo(a: ir.Value, b: ir.Value, unsigned: bool) -> ir.Value:
    rest = remainder(a, b, unsigned)
    if unsigned:
        return rest
    moved = select(needs_correction(rest, b), arith.AddIOp(rest, b).result, rest)
    return select(compare("eq", b, constant_like(0, b)), constant_like(0, b), moved)


def integer_floor_divide(a: ir.Value, b: ir.Value, unsigned: bool) -> ir.Value:
    toward_zero = quotient(a, b, unsigned)
    if unsigned:
        return toward_zero
    lower = arith.SubIOp(toward_zero, constant_like(1, a)).result
    floor = select(needs_correction(remainder(a, b, unsigned), b), lower, toward_zero)
    return select(compare("eq", b, constant_like(0, b)), constant_like(0, b), floor)


def integer_fmod(a: ir.Value, b: ir.Value, unsigned: bool) -> ir.Value:
    rest = remainder(a, b, unsigned)
    return select(compare("eq", b, constant_like(0, b)), constant_like(0, b), rest)


def is_nan(x: ir.Value) -> ir.Value:
    return arith.CmpFOp(arith.CmpFPredicate.UNO, x, x).result


def is_infinite(x: ir.Value) -> ir.Value:
    return compare("eq", math.AbsFOp(x).result, constant_like(float("inf"), x))


def is_finite(x: ir.Value) -> ir.Value:
    return compare("lt", math.AbsFOp(x).result, constant_like(float("inf"), x))


def float_power(a: ir.Value, b: ir.Value) -> ir.Value:
    """aᵇ; small constant exponents take the forms that NumPy's ** has for them."""
    exponent = constant_of(b)
    if exponent == 3:
        return multiply(multiply(a, a), a)
    if exponent == 2:
        return multiply(a, a)
    if exponent == 0.5:
        return math.SqrtOp(a).result
    if exponent == -1:
        return reciprocal(a)
    return a if exponent == 1 else math.PowFOp(a, b).result


def constant_of(value: ir.Value) -> float | None:
    """The number that a captured scalar is, or None."""
    owner = value.owner
    if isinstance(owner, ir.Block) or not isinstance(owner.opview, arith.ConstantOp):
        return None
    return float(owner.opview.value.value)
