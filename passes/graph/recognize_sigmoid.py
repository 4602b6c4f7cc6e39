"""ix-recognize-sigmoid: sigmoid, silu and softplus from exponentials.

1 / (1 + exp(−x)), exp(x) / (1 + exp(x)), 0.5 · (1 + tanh(x / 2))  →  sigmoid(x)
x / (1 + exp(−y))                                                   →  x · sigmoid(y)
x · sigmoid(x)                                                      →  silu(x)
log(1 + exp(x)), log1p(exp(x)), relu(x) + log1p(exp(−|x|))          →  softplus(x)
select(isnan(x), x, softplus(x))                                    →  softplus(x)

The ops do not overflow where exp does; short floats compute in f32 and round once.
"""

from __future__ import annotations

from ix.dialects import ix
from ix.mlir import defining_op, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import commuted, scalar
from ix.passes.graph.polynomial import factors


@pattern(ix.ReciprocalOp)
def recognize_reciprocal(op: ix.ReciprocalOp) -> ir.Value | None:
    exponent = _exponent_beside_one(op.input)
    return None if exponent is None else ix.SigmoidOp.build(_negated(exponent))


@pattern(ix.DivOp)
def recognize_quotient(op: ix.DivOp) -> ir.Value | None:
    exponent = _exponent_beside_one(op.b)
    if exponent is None or exponent.type != op.result.type:
        return None
    if scalar(op.a) == 1:
        return ix.SigmoidOp.build(_negated(exponent))
    top = defining_op(op.a, ix.ExpOp)
    if top is not None and top.input == exponent:
        return ix.SigmoidOp.build(exponent)
    return ix.MulOp.build(op.a, ix.SigmoidOp.build(_negated(exponent)))


@pattern(ix.MulOp)
def recognize_product(op: ix.MulOp) -> ir.Value | None:
    for x, gate in commuted(op):
        sigmoid = defining_op(gate, ix.SigmoidOp)
        if sigmoid is not None and sigmoid.input == x:
            return ix.SiluOp.build(x)
    return _sigmoid_of_tanh(op)


def _sigmoid_of_tanh(op: ix.MulOp) -> ir.Value | None:
    number, rest = factors(op.result)
    if number != 0.5 or len(rest) != 1 or rest[0].type != op.result.type:
        return None
    tanh = _beside_one(rest[0], ix.TanhOp)
    half, inner = (0.0, []) if tanh is None else factors(tanh.input)
    if half != 0.5 or len(inner) != 1 or inner[0].type != op.result.type:
        return None
    return ix.SigmoidOp.build(inner[0])


@pattern(ix.LogOp)
def recognize_logarithm(op: ix.LogOp) -> ir.Value | None:
    exponent = _exponent_beside_one(op.input)
    return None if exponent is None else ix.SoftplusOp.build(exponent)


@pattern(ix.Log1pOp)
def recognize_log1p(op: ix.Log1pOp) -> ir.Value | None:
    exponential = defining_op(op.input, ix.ExpOp)
    if exponential is None or _magnitude(exponential.input) is not None:
        return None  # its sum with relu(x) is the softplus
    return ix.SoftplusOp.build(exponential.input)


@pattern(ix.AddOp)
def recognize_stable_softplus(op: ix.AddOp) -> ir.Value | None:
    for linear, logarithm in commuted(op):
        log = defining_op(_before_guard(logarithm), ix.Log1pOp)
        exponential = None if log is None else defining_op(log.input, ix.ExpOp)
        x = None if exponential is None else _magnitude(exponential.input)
        if x is not None and _is_relu(linear, x):
            return ix.SoftplusOp.build(x)
    return None


@pattern(ix.SelectOp)
def drop_guard(op: ix.SelectOp) -> ir.Value | None:
    test = defining_op(op.condition, ix.IsnanOp)
    softplus = defining_op(op.b, ix.SoftplusOp)
    if test is None or softplus is None:
        return None
    return op.b if softplus.input == op.a == test.input else None


def _before_guard(value: ir.Value) -> ir.Value:
    """f(|x|) where the value is select(isnan(|x|), 0, f(|x|)); relu(x) is NaN then."""
    op = defining_op(value, ix.SelectOp)
    test = None if op is None else defining_op(op.condition, ix.IsnanOp)
    if op is None or test is None or scalar(op.a) != 0:
        return value
    return op.b if defining_op(test.input, ix.AbsOp) is not None else value


def _magnitude(value: ir.Value) -> ir.Value | None:
    """x where the value is −|x|."""
    negative = defining_op(value, ix.NegOp)
    absolute = None if negative is None else defining_op(negative.input, ix.AbsOp)
    return None if absolute is None else absolute.input


def _is_relu(value: ir.Value, x: ir.Value) -> bool:
    op = defining_op(value)
    if isinstance(op, ix.ReluOp):
        return bool(op.input == x)
    return isinstance(op, ix.MaxOp) and any(
        a == x and scalar(b) == 0 for a, b in commuted(op)
    )


def _beside_one(value: ir.Value, kind: type) -> ix.IxOp | None:
    """The op of class `kind` whose result and 1 the value is the sum of."""
    op = defining_op(value, ix.AddOp)
    for other, number in [] if op is None else commuted(op):
        found = defining_op(other, kind)
        if found is not None and scalar(number) == 1 and other.type == value.type:
            return found
    return None


def _exponent_beside_one(value: ir.Value) -> ir.Value | None:
    """v where the value is 1 + exp(v)."""
    op = _beside_one(value, ix.ExpOp)
    return None if op is None else op.input


def _negated(value: ir.Value) -> ir.Value:
    """−v, without a negation where v is one or has a number to negate."""
    op = defining_op(value)
    if isinstance(op, ix.NegOp):
        return op.input
    if isinstance(op, ix.MulOp):
        for other, number in commuted(op):
            factor = scalar(number)
            if factor is None or other.type != value.type:
                continue
            if factor == -1:
                return other
            element = str(value.type.element_type)
            return ix.MulOp.build(other, ix.ConstantOp.build(-factor, element))
    return ix.NegOp.build(value)


recognize_sigmoid = rewrite_pass(
    "ix-recognize-sigmoid",
    [
        recognize_reciprocal,
        recognize_quotient,
        recognize_product,
        recognize_logarithm,
        recognize_log1p,
        recognize_stable_softplus,
        drop_guard,
    ],
)
