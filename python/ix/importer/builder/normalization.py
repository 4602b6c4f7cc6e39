"""Softmax and the normalisations."""

from __future__ import annotations

from typing import Any

from ix.importer import promotion
from ix.importer.builder import elementwise as e
from ix.importer.builder.movement import reshape
from ix.importer.builder.values import (
    as_value,
    cast,
    dtype,
    emit,
    normalize_axis,
    rank,
    shape,
)

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "log_softmax",
    "lp_normalize",
    "rms_norm",
    "softmax",
]


def _floats(x: Any) -> Any:
    value = as_value(x)
    return cast(value, promotion.mean_dtype(dtype(value)))


def _along(mnemonic: str, x: Any, axis: int) -> Any:
    value = _floats(x)
    if rank(value) == 0:
        return reshape(_along(mnemonic, reshape(value, [1]), 0), [])
    at = normalize_axis(mnemonic, axis, rank(value))
    return emit(mnemonic, value, axis=at, like=shape(value))


def softmax(x: Any, axis: int = -1) -> Any:
    """e^(x − max) / Σ e^(x − max) along an axis."""
    return _along("softmax", x, axis)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """log(softmax(x))."""
    return _along("log_softmax", x, axis)


def _optional(like: Any, *operands: Any) -> list[Any]:
    """The operands that are not None, of the dtype of `like`."""
    return [
        None if each is None else cast(as_value(each), dtype(like)) for each in operands
    ]


def layer_norm(
    x: Any, scale: Any = None, bias: Any = None, axis: int = -1, epsilon: float = 1e-5
) -> Any:
    """Gives the axes from `axis` on mean 0 and variance 1; scales and shifts."""
    value = _floats(x)
    at = normalize_axis("layer_norm", axis, rank(value))
    operands = _optional(value, scale, bias)
    if operands[0] is None and operands[1] is not None:
        plain = layer_norm(value, None, None, at, epsilon)
        return e.add(plain, operands[1])
    return emit(
        "layer_norm",
        value,
        *operands,
        axis=at,
        epsilon=float(epsilon),
        like=shape(value),
    )


def rms_norm(x: Any, scale: Any = None, axis: int = -1, epsilon: float = 1e-6) -> Any:
    """x / √(mean(x²) + ε) over the axes from `axis` on, scaled."""
    value = _floats(x)
    return emit(
        "rms_norm",
        value,
        *_optional(value, scale),
        axis=normalize_axis("rms_norm", axis, rank(value)),
        epsilon=float(epsilon),
        like=shape(value),
    )


def batch_norm(
    x: Any,
    scale: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    axis: int = 1,
    epsilon: float = 1e-5,
) -> Any:
    """(x − mean) / √(variance + ε) · scale + bias, each a vector along `axis`."""
    value = _floats(x)
    return emit(
        "batch_norm",
        value,
        *_optional(value, scale, bias, mean, variance),
        axis=normalize_axis("batch_norm", axis, rank(value)),
        epsilon=float(epsilon),
        like=shape(value),
    )


def group_norm(
    x: Any, groups: int, scale: Any = None, bias: Any = None, epsilon: float = 1e-5
) -> Any:
    """Normalises groups of channels (axis 1) with all later axes."""
    value = _floats(x)
    return emit(
        "group_norm",
        value,
        *_optional(value, scale, bias),
        groups=int(groups),
        epsilon=float(epsilon),
        like=shape(value),
    )


def instance_norm(
    x: Any, scale: Any = None, bias: Any = None, epsilon: float = 1e-5
) -> Any:
    """Normalises the axes from 2 on, for each sample and channel."""
    value = _floats(x)
    return emit(
        "instance_norm",
        value,
        *_optional(value, scale, bias),
        epsilon=float(epsilon),
        like=shape(value),
    )


def lp_normalize(
    x: Any, order: float = 2.0, axis: int = -1, epsilon: float = 0.0
) -> Any:
    """x / max(‖x‖, ε) along an axis."""
    from ix.importer.builder.reduction import norm

    length = norm(x, order, axis, keepdims=True)
    return e.true_divide(x, e.max(length, epsilon) if epsilon else length)
