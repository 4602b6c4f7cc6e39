"""NumPy semantics of the ops of `normalization.py`; the variance takes two passes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.dialects.ix.reference_precision import Array, rounded, widened

__all__ = ["NORMALIZATION"]

Attributes = dict[str, Any]


def softmax(operands: Sequence[Array], attributes: Attributes, _: Any) -> list[Array]:
    (x,) = operands
    shifted = _shifted(x, int(attributes["axis"]))
    with np.errstate(all="ignore"):
        power = np.exp(shifted)
        total = power.sum(axis=int(attributes["axis"]), keepdims=True)
        return [rounded(power / total, x.dtype)]


def log_softmax(
    operands: Sequence[Array], attributes: Attributes, _: Any
) -> list[Array]:
    (x,) = operands
    shifted = _shifted(x, int(attributes["axis"]))
    with np.errstate(all="ignore"):
        total = np.exp(shifted).sum(axis=int(attributes["axis"]), keepdims=True)
        return [rounded(shifted - np.log(total), x.dtype)]


def _shifted(x: Array, axis: int) -> Array:
    """x − max(x) along the axis, in float64."""
    wide = widened(x)
    with np.errstate(all="ignore"):
        return np.asarray(wide - wide.max(axis=axis, keepdims=True, initial=-np.inf))


def layer_norm(
    operands: Sequence[Array], attributes: Attributes, _: Any
) -> list[Array]:
    x = operands[0]
    axes = tuple(range(int(attributes["axis"]), x.ndim))
    y = _standardised(widened(x), axes, float(attributes["epsilon"]))
    return [rounded(_affine(y, operands, attributes, 0), x.dtype)]


def rms_norm(operands: Sequence[Array], attributes: Attributes, _: Any) -> list[Array]:
    x = operands[0]
    axes = tuple(range(int(attributes["axis"]), x.ndim))
    wide = widened(x)
    with np.errstate(all="ignore"):
        square = np.mean(wide * wide, axis=axes, keepdims=True)
        y = wide / np.sqrt(square + float(attributes["epsilon"]))
    return [rounded(_affine(y, operands, attributes, 0), x.dtype)]


def batch_norm(
    operands: Sequence[Array], attributes: Attributes, _: Any
) -> list[Array]:
    x = operands[0]
    axis = int(attributes["axis"])
    scale, bias, mean, variance = (
        _along(widened(vector), axis, x.ndim) for vector in operands[1:]
    )
    with np.errstate(all="ignore"):
        y = (widened(x) - mean) / np.sqrt(variance + float(attributes["epsilon"]))
    return [rounded(y * scale + bias, x.dtype)]


def group_norm(
    operands: Sequence[Array], attributes: Attributes, _: Any
) -> list[Array]:
    x = operands[0]
    groups = int(attributes["groups"])
    grouped = widened(x).reshape(x.shape[0], groups, x.shape[1] // groups, *x.shape[2:])
    axes = tuple(range(2, grouped.ndim))
    y = _standardised(grouped, axes, float(attributes["epsilon"])).reshape(x.shape)
    return [rounded(_affine(y, operands, attributes, 1), x.dtype)]


def instance_norm(
    operands: Sequence[Array], attributes: Attributes, _: Any
) -> list[Array]:
    x = operands[0]
    y = _standardised(widened(x), tuple(range(2, x.ndim)), float(attributes["epsilon"]))
    return [rounded(_affine(y, operands, attributes, 1), x.dtype)]


def _standardised(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """(x − mean) / √(variance + ε) over the axes."""
    with np.errstate(all="ignore"):
        centred = x - np.sum(x, axis=axes, keepdims=True) / _count(x, axes)
        square = np.sum(centred * centred, axis=axes, keepdims=True)
        return np.asarray(centred / np.sqrt(square / _count(x, axes) + epsilon))


def _count(x: Array, axes: tuple[int, ...]) -> float:
    return float(np.prod([x.shape[axis] for axis in axes]))


def _affine(
    y: Array, operands: Sequence[Array], attributes: Attributes, channel: int
) -> Array:
    """y · scale + bias, of those that the op has.

    Args:
        channel: The axis that rank-1 operands run along; 0: they cover the last axes.
    """
    rest = [widened(operand) for operand in operands[1:]]
    if channel:
        rest = [_along(vector, channel, y.ndim) for vector in rest]
    with np.errstate(all="ignore"):
        if attributes.get("has_scale"):
            y = y * rest.pop(0)
        if attributes.get("has_bias"):
            y = y + rest.pop(0)
    return y


def _along(vector: Array, axis: int, rank: int) -> Array:
    """A rank-1 array shaped to broadcast along one axis of `rank` axes."""
    return vector.reshape([-1 if at == axis else 1 for at in range(rank)])


NORMALIZATION = {
    "ix.softmax": softmax,
    "ix.log_softmax": log_softmax,
    "ix.layer_norm": layer_norm,
    "ix.rms_norm": rms_norm,
    "ix.batch_norm": batch_norm,
    "ix.group_norm": group_norm,
    "ix.instance_norm": instance_norm,
}
"""Op name → (operands, attributes as Python values, result types) → results."""
