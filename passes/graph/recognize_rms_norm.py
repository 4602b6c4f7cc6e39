"""ix-recognize-rms-norm: root-mean-square normalisation from its parts.

x · rsqrt(mean(x²) + ε) · scale  →  rms_norm(x, scale) {axis, ε}

The mean runs over the last axes. A division by the root, and a sum of squares divided
by the number of elements count as well. The scale has the shape of the normalised axes.
"""

from __future__ import annotations

from ix.dialects import ix
from ix.dialects.ix.contraction import is_short_float
from ix.mlir import ir
from ix.passes.framework import pattern, rewrite_pass
from ix.passes.graph.matching import aligned, averaged, is_square
from ix.passes.graph.norms import absorbed, last_axes, quotients, vector, without_casts


@pattern(ix.DivOp, ix.MulOp)
def recognize_quotient(op: ix.DivOp | ix.MulOp) -> ir.Value | None:
    for quotient in quotients(op):
        x, mean = quotient.value, averaged(quotient.radicand)
        if x.type != op.result.type or is_short_float(x.type.element_type):
            continue
        if mean is None or not is_square(mean[0], x):
            continue
        axes = mean[1]
        if not last_axes(axes, x.type.rank) or aligned(quotient.root, x, axes) is None:
            continue
        scale = quotient.scale
        if scale is not None:
            scale = vector(scale, list(x.type.shape), axes[0])
            if scale is None:
                continue
        return ix.RmsNormOp.build(x, scale, axis=axes[0], epsilon=quotient.epsilon)
    return None


@pattern(ix.MulOp)
def absorb_scale(op: ix.MulOp) -> ir.Value | None:
    return absorbed(op, ix.RmsNormOp, "scale")


@pattern(ix.CastOp)
def absorb_casts(op: ix.CastOp) -> ir.Value | None:
    return without_casts(op, ix.RmsNormOp)


recognize_rms_norm = rewrite_pass(
    "ix-recognize-rms-norm", [recognize_quotient, absorb_scale, absorb_casts]
)
