"""ix-recognize-layer-norm: layer normalisation from means, squares and a square root.

(x − mean(x)) / sqrt(mean((x − mean(x))²) + ε) · scale + bias
    →  layer_norm(x, scale, bias) {axis, ε}
x · r + (bias − mean(x) · r), r = rsqrt(variance + ε) · scale  →  the same

The means run over the last axes. A product with rsqrt or a reciprocal, sums divided by
the number of elements, and mean(x²) − mean(x)² for the variance count as well. Scales
and biases have the shape of the normalised axes.
"""

from __future__ import annotations

from ix.dialects import ix
from ix.dialects.ix.contraction import is_short_float
from ix.mlir import defining_op, ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import (
    aligned,
    averaged,
    commuted,
    is_mean,
    is_square,
    squared,
)
from ix.passes.graph.norms import (
    Quotient,
    absorbed,
    last_axes,
    quotients,
    vector,
    without_casts,
)


@pattern(ix.DivOp, ix.MulOp)
def recognize_quotient(op: ix.DivOp | ix.MulOp) -> ir.Value | None:
    for quotient in quotients(op):
        difference = defining_op(quotient.value, ix.SubOp)
        if difference is None or difference.a.type != op.result.type:
            continue
        axes = _variance_axes(quotient, difference.a)
        if axes and is_mean(difference.b, difference.a, axes):
            return _layer_norm(difference.a, quotient, axes)
    return None


@pattern(ix.AddOp)
def recognize_scale_and_shift(op: ix.AddOp) -> ir.Value | None:
    for product, shift in commuted(op):
        scaled = defining_op(product, ix.MulOp)
        rest = defining_op(shift, ix.SubOp)
        moved = None if rest is None else defining_op(rest.b, ix.MulOp)
        if scaled is None or moved is None or scaled.result.type != op.result.type:
            continue
        for quotient in quotients(scaled):
            x = quotient.value
            axes = _variance_axes(quotient, x)
            if axes and _is_shift(moved, scaled, x, axes):
                bias = vector(rest.a, list(x.type.shape), axes[0])
                if bias is not None:
                    return _layer_norm(x, quotient, axes, bias)
    return None


def _is_shift(moved: ix.MulOp, scaled: ix.MulOp, x: ir.Value, axes: list[int]) -> bool:
    """Whether mean(x) is multiplied by just what x is multiplied by."""
    factor = scaled.b if scaled.a == x else scaled.a
    return any(
        other == factor and is_mean(mean, x, axes) for mean, other in commuted(moved)
    )


def _layer_norm(
    x: ir.Value, quotient: Quotient, axes: list[int], bias: ir.Value | None = None
) -> ir.Value | None:
    scale = None
    if quotient.scale is not None:
        scale = vector(quotient.scale, list(x.type.shape), axes[0])
        if scale is None:
            return None
    return ix.LayerNormOp.build(x, scale, bias, axis=axes[0], epsilon=quotient.epsilon)


def _variance_axes(quotient: Quotient, x: ir.Value) -> list[int]:
    """The axes over which the root is that of the variance of x; none if it is not."""
    if is_short_float(x.type.element_type):
        return []
    axes = _axes_of_variance(quotient.radicand, x)
    if not last_axes(axes, x.type.rank) or aligned(quotient.root, x, axes) is None:
        return []
    return axes


def _axes_of_variance(value: ir.Value, x: ir.Value) -> list[int]:
    difference = defining_op(value, ix.SubOp)
    if difference is not None:  # mean(x²) − mean(x)²
        mean, square = averaged(difference.a), squared(difference.b)
        if mean is None or square is None or averaged(square) != (x, mean[1]):
            return []
        return mean[1] if is_square(mean[0], x) else []
    mean = averaged(value)
    inner = None if mean is None else squared(mean[0])
    centered = None if inner is None else defining_op(inner, ix.SubOp)
    if (
        mean is None
        or centered is None
        or centered.a != x
        or not is_mean(centered.b, x, mean[1])
    ):
        return []
    return mean[1]


@pattern(ix.MulOp)
def absorb_scale(op: ix.MulOp) -> ir.Value | None:
    return absorbed(op, ix.LayerNormOp, "scale")


@pattern(ix.AddOp)
def absorb_bias(op: ix.AddOp) -> ir.Value | None:
    return absorbed(op, ix.LayerNormOp, "bias")


@pattern(ix.CastOp)
def absorb_casts(op: ix.CastOp) -> ir.Value | None:
    return without_casts(op, ix.LayerNormOp)


recognize_layer_norm = rewrite_pass(
    "ix-recognize-layer-norm",
    [
        recognize_quotient,
        recognize_scale_and_shift,
        absorb_scale,
        absorb_bias,
        absorb_casts,
    ],
)
