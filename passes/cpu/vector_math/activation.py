"""Activations of neural networks, each as one function: none cancels or overflows.

With e = e^(−|x|) ≤ 1, sigmoid(x) is 1 / (1 + e) above 0 and e / (1 + e) below.
"""

from __future__ import annotations

from ix.passes.cpu.vector_math.coefficients import GELU_OFFSET, GELU_SCALE, LN2
from ix.passes.cpu.vector_math.exponential import polynomial_exp, scaled, steps
from ix.passes.cpu.vector_math.lanes import (
    F32,
    Floats,
    at_least,
    exact_fma,
    multiply_add,
    quotient,
    select,
)
from ix.passes.cpu.vector_math.logarithm import log1p_tail

__all__ = ["gelu_tanh", "sigmoid", "silu", "softplus"]


def _times_sigmoid(x: Floats | float, v: Floats, lost: Floats | None = None) -> Floats:
    """x·sigmoid(v + lost), `lost` the bits that v had no room for.

    The last power of two is applied at the end, so that a denormal is rounded once.
    """
    negative = v < 0.0
    if lost is not None:
        lost = select(negative, lost, -lost)
    r, scale = steps(-abs(v), lost)
    small = polynomial_exp(r)
    first = multiply_add(scale.first, small, scale.first)
    product = first if isinstance(x, float) else multiply_add(x, small, x) * scale.first
    y = quotient(select(negative, product, x), multiply_add(first, scale.second, 1.0))
    return y * select(negative, scale.second, 1.0)


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^(−x))."""
    bound = 104.0 if x.format == F32 else 746.0
    return _times_sigmoid(1.0, _clamped(x, bound))


def _clamped(x: Floats, bound: float) -> Floats:
    """x, its magnitude at most `bound`."""
    return at_least(-at_least(-x, -bound), -bound)


def silu(x: Floats) -> Floats:
    """x·sigmoid(x); −0 at −∞."""
    bound = 110.0 if x.format == F32 else 755.0
    return _times_sigmoid(at_least(x, -bound), _clamped(x, bound))


def softplus(x: Floats) -> Floats:
    """log(1 + e^x) = max(x, 0) + log1p(e^(−|x|))."""
    kind = x.format
    r, scale = steps(at_least(-abs(x), -104.0 if kind == F32 else -746.0))
    e = scaled(polynomial_exp(r), scale)
    # 1 + e = 2·(1 + f) where it exceeds √2.
    above = e > 0.4142
    f = select(above, multiply_add(e, 0.5, -0.5), e)
    high, low = kind.parts(LN2, 2)
    tail = log1p_tail(f) + select(above, x.constant(low), 0.0)
    return at_least(x, 0.0) + (select(above, x.constant(high), 0.0) + (f + tail))


def gelu_tanh(x: Floats) -> Floats:
    """x / 2·(1 + tanh(√(2/π)·(x + 0.044715·x³))) = x·sigmoid(v); −0 at −∞.

    v = scale·x·(x² + offset) in two parts, the errors of products taken by fma and that
    of the sum by Knuth's TwoSum: an error of v is one of the result, relative to it.
    """
    kind = x.format
    bound = 12.0 if kind == F32 else 24.0
    bounded = _clamped(x, bound)
    scale_high, scale_low = kind.parts(GELU_SCALE, 2)
    offset_high, offset_low = kind.parts(GELU_OFFSET, 2)

    square = bounded * bounded
    square_low = exact_fma(bounded, bounded, -square)
    total = square + offset_high
    stretched = total - square
    total_low = (offset_high - stretched) + (square - (total - stretched))
    total_low = total_low + (square_low + offset_low)

    factor = bounded * scale_high
    factor_low = exact_fma(bounded, scale_low, exact_fma(bounded, scale_high, -factor))
    v = factor * total
    lost = exact_fma(factor, total, -v)
    lost = exact_fma(factor, total_low, exact_fma(factor_low, total, lost))
    return _times_sigmoid(at_least(x, -bound), v, lost)
