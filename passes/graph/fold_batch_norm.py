"""ix-fold-batch-norm: batch norms, scales and biases go into the weights before them.

batch_norm(x)             →  x · s + t     s = scale / √(variance + ε)
                                           t = bias − mean · s
conv(x, filter, b) · s    →  conv(x, filter · s, b · s)    s per output channel
conv(x, filter, b) + t    →  conv(x, filter, b + t)        t per output channel
matmul(x, w) · s          →  matmul(x, w · s)              s per column
(matmul(x, w) + b) · s    →  matmul(x, w · s) + b · s
(matmul(x, w) + b) + t    →  matmul(x, w) + (b + t)

What is multiplied or added depends on parameters alone, elements are floats, and
nothing else reads the product. In f16 and bf16, weights are scaled in f32 and round
once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.dialects import ix
from ix.dialects.ix.contraction import is_short_float
from ix.mlir import defining_op, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import commuted, is_constant, is_used_once, peeled

_CONVOLUTIONS = (ix.ConvOp, ix.ConvTransposeOp)


@pattern(ix.BatchNormOp)
def write_as_scale_and_bias(op: ix.BatchNormOp) -> ir.Value | None:
    if not all(is_constant(each) for each in list(op.operands)[1:]):
        return None
    element = op.result.type.element_type
    wide = "f32" if is_short_float(element) else str(element)
    scale, bias, mean, variance = (
        ix.CastOp.build(each, wide) for each in list(op.operands)[1:]
    )
    epsilon = ix.ConstantOp.build(op.epsilon, wide)
    root = ix.SqrtOp.build(ix.AddOp.build(variance, epsilon))
    scale = ix.DivOp.build(scale, root)
    bias = ix.SubOp.build(bias, ix.MulOp.build(mean, scale))
    rank = op.input.type.rank
    scale, bias = (
        _along(ix.CastOp.build(each, str(element)), rank, op.axis)
        for each in (scale, bias)
    )
    return ix.AddOp.build(ix.MulOp.build(op.input, scale), bias)


@pattern(ix.MulOp)
def fold_scale(op: ix.MulOp) -> ir.Value | None:
    for product, scale in commuted(op):
        source = _contraction(product)
        if source is None or not _is_scalable(source):
            continue
        if _is_row(scale, source):
            row = _row(scale, source)
            bias = _bias(source)
            bias = None if bias is None else ix.MulOp.build(bias, row)
            return _rebuilt(source, _scaled_weights(source, row), bias)
    return None


@pattern(ix.AddOp)
def fold_bias(op: ix.AddOp) -> ir.Value | None:
    for product, addend in commuted(op):
        source = _contraction(product)
        if not isinstance(source, _CONVOLUTIONS) or not _is_row(addend, source):
            continue
        bias, row = _bias(source), _row(addend, source)
        if bias is None or is_constant(bias):
            row = row if bias is None else ix.AddOp.build(bias, row)
            return _rebuilt(source, _weights(source), row)
    return None


@pattern(ix.MulOp, ix.AddOp)
def join_behind_matmul(op: ix.MulOp | ix.AddOp) -> ir.Value | None:
    for sum_, factor in commuted(op):
        inner = defining_op(sum_, ix.AddOp)
        if inner is None or not is_used_once(sum_):
            continue
        for product, bias in commuted(inner):
            source = _contraction(product)
            if not isinstance(source, ix.MatmulOp) or not _is_scalable(source):
                continue
            if _is_row(bias, source) and _is_row(factor, source):
                constant = type(op).build(_row(bias, source), _row(factor, source))
                if isinstance(op, ix.MulOp):
                    product = ix.MulOp.build(product, factor)
                return ix.AddOp.build(product, constant)
    return None


def _contraction(value: ir.Value) -> Any | None:
    """The convolution, or matmul with a matrix, that only one op reads; or None."""
    op = defining_op(value)
    if not isinstance(op, (*_CONVOLUTIONS, ix.MatmulOp)) or not is_used_once(value):
        return None
    if isinstance(op, ix.MatmulOp) and op.b.type.rank != 2:
        return None
    return op


def _is_scalable(op: Any) -> bool:
    """Whether the weights, and the bias if any, are constants that can be scaled."""
    weights, bias = _weights(op), _bias(op)
    element = weights.type.element_type
    grouped = isinstance(op, ix.ConvTransposeOp) and op.groups > 1
    return (
        is_constant(weights)
        and (bias is None or is_constant(bias))
        and isinstance(element, ir.FloatType)
        and element == op.result.type.element_type
        and not grouped
    )


def _weights(op: Any) -> ir.Value:
    return op.b if isinstance(op, ix.MatmulOp) else op.filter


def _bias(op: Any) -> ir.Value | None:
    return None if isinstance(op, ix.MatmulOp) else op.bias


def _channel_axis(op: Any) -> int:
    """The axis of the result that the output channels or columns are on."""
    if isinstance(op, ix.MatmulOp) or op.layout == "NHWC":
        return int(op.result.type.rank) - 1
    return 1


def _is_row(value: ir.Value, op: Any) -> bool:
    """Whether a constant varies with the output channel or column alone."""
    place = _place(value, op)
    shape = list(value.type.shape)
    return (
        value.type.rank <= op.result.type.rank
        and all(size == 1 or axis == place for axis, size in enumerate(shape))
        and is_constant(value)
    )


def _place(value: ir.Value, op: Any) -> int:
    """The axis of an operand that is aligned with the output channels."""
    return _channel_axis(op) - (int(op.result.type.rank) - int(value.type.rank))


def _row(value: ir.Value, op: Any) -> ir.Value:
    """A value for which `_is_row` holds as a vector of all output channels."""
    count = _weights(op).type.shape[_WEIGHTS_AXIS[type(op)](op)]
    source = peeled(value)
    if list(source.type.shape) == [count]:
        return source
    if all(size == 1 for size in value.type.shape):
        return ix.BroadcastOp.build(ix.ReshapeOp.build(value, [1]), [count])
    return ix.ReshapeOp.build(value, [count])


def _scaled_weights(op: Any, row: ir.Value) -> ir.Value:
    """The weights times a number for each output channel."""
    weights = _weights(op)
    element = weights.type.element_type
    wide = "f32" if is_short_float(element) else str(element)
    factor = ix.CastOp.build(row, wide)
    factor = _along(factor, weights.type.rank, _WEIGHTS_AXIS[type(op)](op))
    scaled = ix.MulOp.build(ix.CastOp.build(weights, wide), factor)
    return ix.CastOp.build(scaled, str(element))


def _matmul_axis(op: Any) -> int:
    return 0 if op.transpose_b else 1


def _conv_axis(op: Any) -> int:
    return 0 if op.layout == "NCHW" else int(op.filter.type.rank) - 1


def _conv_transpose_axis(op: Any) -> int:
    return 1 if op.layout == "NCHW" else int(op.filter.type.rank) - 2


_WEIGHTS_AXIS: dict[type, Callable[[Any], int]] = {
    ix.MatmulOp: _matmul_axis,
    ix.ConvOp: _conv_axis,
    ix.ConvTransposeOp: _conv_transpose_axis,
}


def _along(vector: ir.Value, rank: int, axis: int) -> ir.Value:
    """A vector of rank `rank` on one axis, which broadcasts along the others."""
    if axis == rank - 1:
        return vector
    shape = [1] * (rank - axis - 1)
    return ix.ReshapeOp.build(vector, [vector.type.shape[0], *shape])


def _rebuilt(op: Any, weights: ir.Value, bias: ir.Value | None) -> ir.Value:
    """The same contraction with other weights and another bias."""
    attributes = op.python_attributes()
    operands = [op.operands[0], weights]
    if not isinstance(op, ix.MatmulOp):
        attributes["has_bias"] = bias is not None
        operands += [] if bias is None else [bias]
    return type(op).create(operands, [op.result.type], **attributes).result


fold_batch_norm = rewrite_pass(
    "ix-fold-batch-norm",
    [write_as_scale_and_bias, fold_scale, fold_bias, join_behind_matmul],
)
