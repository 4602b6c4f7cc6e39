"""Activation functions that PyTorch and ONNX name, composed of elementwise ops."""

from __future__ import annotations

from typing import Any

from ix.errors import InputError
from ix.importer.builder import elementwise as e
from ix.importer.builder.composite import clip
from ix.importer.builder.values import rank, shape, size

__all__ = [
    "celu",
    "elu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "prelu",
    "quick_gelu",
    "relu6",
    "selu",
    "softshrink",
    "softsign",
    "tanhshrink",
    "thresholded_relu",
]


def relu6(x: Any) -> Any:
    """min(max(x, 0), 6)."""
    return clip(x, 0, 6)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """x where x ≥ 0, else negative_slope · x."""
    return e.select(e.ge(x, 0), x, e.mul(x, negative_slope))


def prelu(x: Any, slope: Any, axis: int = 1) -> Any:
    """`leaky_relu` with one slope for all, or one for each index of `axis`."""
    from ix.importer.builder.movement import reshape

    if rank(slope) == 1 and shape(slope) != (1,) and rank(x) > 1:
        sizes: list[Any] = [1] * rank(x)
        sizes[axis] = size(slope, 0)
        slope = reshape(slope, sizes)
    return e.select(e.ge(x, 0), x, e.mul(x, slope))


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else α · (eˣ − 1)."""
    return e.select(e.gt(x, 0), x, e.mul(alpha, e.expm1(e.min(x, 0))))


def selu(
    x: Any, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805
) -> Any:
    """γ · elu(x, α)."""
    return e.mul(gamma, elu(x, alpha))


def celu(x: Any, alpha: float = 1.0) -> Any:
    """max(x, 0) + min(0, α · (e^(x/α) − 1))."""
    negative = e.mul(alpha, e.expm1(e.min(e.true_divide(x, alpha), 0)))
    return e.add(e.max(x, 0), e.min(negative, 0))


def hardsigmoid(x: Any, alpha: float = 1 / 6, beta: float = 0.5) -> Any:
    """clip(α · x + β, 0, 1); ONNX's default α is 0.2."""
    return clip(e.add(e.mul(x, alpha), beta), 0.0, 1.0)


def hardswish(x: Any) -> Any:
    """x · clip(x + 3, 0, 6) / 6."""
    return e.true_divide(e.mul(x, clip(e.add(x, 3.0), 0.0, 6.0)), 6.0)


def hardtanh(x: Any, low: float = -1.0, high: float = 1.0) -> Any:
    """clip(x, low, high)."""
    return clip(x, low, high)


def mish(x: Any) -> Any:
    """x · tanh(softplus(x))."""
    return e.mul(x, e.tanh(e.softplus(x)))


def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return e.true_divide(x, e.add(1.0, e.abs(x)))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)) = −softplus(−x)."""
    return e.neg(e.softplus(e.neg(x)))


def tanhshrink(x: Any) -> Any:
    """x − tanh(x)."""
    return e.sub(x, e.tanh(x))


def softshrink(x: Any, threshold: float = 0.5, bias: float | None = None) -> Any:
    """x moved toward 0 by `bias` (default: threshold) where |x| > threshold, else 0."""
    bias = threshold if bias is None else bias
    small = e.select(e.lt(x, -threshold), e.add(x, bias), e.mul(x, 0.0))
    return e.select(e.gt(x, threshold), e.sub(x, bias), small)


def hardshrink(x: Any, threshold: float = 0.5) -> Any:
    """x where |x| > threshold, else 0; NaN stays."""
    return e.select(e.le(e.abs(x), threshold), 0.0, x)


def thresholded_relu(x: Any, alpha: float = 1.0) -> Any:
    """x where x > α, else 0."""
    return e.select(e.gt(x, alpha), x, 0.0)


def quick_gelu(x: Any) -> Any:
    """x · sigmoid(1.702 · x)."""
    return e.mul(x, e.sigmoid(e.mul(x, 1.702)))


def glu(x: Any, axis: int = -1) -> Any:
    """The first half of an axis times the sigmoid of the second.

    Raises:
        InputError: The axis has an odd size.
    """
    from ix.importer.builder.joining import split

    amount = size(x, axis)
    if isinstance(amount, int) and amount % 2:
        raise InputError(f"'glu' needs an even size on axis {axis}, but it is {amount}")
    a, b = split(x, 2, axis)
    return e.mul(a, e.sigmoid(b))
