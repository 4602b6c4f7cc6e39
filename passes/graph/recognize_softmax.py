"""ix-recognize-softmax: softmax and log-softmax from exponentials and sums.

e / reduce_sum(e, axis)  →  softmax(x, axis)           e = exp(x − reduce_max(x, axis)),
                                                       or exp(x)
z − log(reduce_sum(exp(z), axis))  →  log_softmax(x, axis)        z = x − max, or x
softmax(cast(x)) cast back  →  softmax(x)              of short floats

Both ops subtract the maximum whether the program did or not. Short floats qualify:
their sums accumulate in f32 in either form, and the op rounds less often.
"""

from __future__ import annotations

from ix.dialects import ix
from ix.dialects.ix.shapes import is_float
from ix.mlir import defining_op, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import bare, behind, commuted, is_reduced


@pattern(ix.DivOp)
def recognize_quotient(op: ix.DivOp) -> ir.Value | None:
    return _softmax(op.a, op.b)


@pattern(ix.MulOp)
def recognize_product(op: ix.MulOp) -> ir.Value | None:
    for exponential, inverse in commuted(op):
        reciprocal = defining_op(inverse, ix.ReciprocalOp)
        if reciprocal is not None:
            found = _softmax(exponential, reciprocal.input)
            if found is not None:
                return found
    return None


def _softmax(exponential: ir.Value, total: ir.Value) -> ir.Value | None:
    e = defining_op(exponential, ix.ExpOp)
    axis = None if e is None else _summed_axis(total, exponential)
    if axis is None:
        return None
    return ix.SoftmaxOp.build(_unshifted(e.input, axis), axis=axis)


@pattern(ix.SubOp)
def recognize_log_softmax(op: ix.SubOp) -> ir.Value | None:
    log = behind(op.b, ix.LogOp)
    total = None if log is None else behind(log.input, ix.ReduceSumOp)
    if total is None or len(total.axes) != 1:
        return None
    e = defining_op(total.input, ix.ExpOp)
    if e is None or e.input != op.a:
        return None
    shape = list(op.a.type.shape)
    shape[total.axes[0]] = 1
    if list(op.b.type.shape) != shape:
        return None
    axis = total.axes[0]
    return ix.LogSoftmaxOp.build(_unshifted(op.a, axis), axis=axis)


def _summed_axis(total: ir.Value, exponential: ir.Value) -> int | None:
    """The one axis that `total` sums the exponentials over, if it does."""
    op = behind(total, ix.ReduceSumOp)
    if op is None or len(op.axes) != 1:
        return None
    if not is_reduced(total, ix.ReduceSumOp, exponential, op.axes):
        return None
    return int(op.axes[0])


def _unshifted(value: ir.Value, axis: int) -> ir.Value:
    """x where the value is x − reduce_max(x, axis); else the value."""
    op = defining_op(value, ix.SubOp)
    if op is not None and is_reduced(op.b, ix.ReduceMaxOp, op.a, [axis]):
        return op.a
    return value


@pattern(ix.CastOp)
def absorb_casts(op: ix.CastOp) -> ir.Value | None:
    inner = defining_op(op.input)
    if not isinstance(inner, ix.SoftmaxOp | ix.LogSoftmaxOp):
        return None
    source = bare(inner.input)
    if source == inner.input or source.type != op.result.type:
        return None
    if str(inner.result.type.element_type) != "f32" or not is_float(
        source.type.element_type
    ):
        return None
    return type(inner).build(source, axis=inner.axis)


recognize_softmax = rewrite_pass(
    "ix-recognize-softmax",
    [recognize_quotient, recognize_product, recognize_log_softmax, absorb_casts],
)
