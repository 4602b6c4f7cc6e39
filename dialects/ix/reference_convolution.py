"""NumPy semantics of the ops of `convolution.py` and `pooling.py`.

Each walks over the taps of the window and sees the input through a strided view.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ix.dialects.ix.reference_contraction import factor, finished
from ix.dialects.ix.reference_precision import Array, is_float, rounded, widened

__all__ = ["CONVOLUTION"]

Attributes = dict[str, Any]
Index = tuple[Any, ...]


def conv(
    operands: Sequence[Array], attributes: Attributes, result_types: Sequence[Any]
) -> list[Array]:
    x, filter = _channels_first(factor(operands[0]), attributes), factor(operands[1])
    if attributes["layout"] == "NHWC":
        filter = np.moveaxis(filter, (-1, -2), (0, 1))
    groups, kernel = int(attributes["groups"]), filter.shape[2:]
    padded = _padded(x, attributes["padding_low"], attributes["padding_high"], 0)
    sizes = _window_counts(padded.shape[2:], kernel, attributes)
    split = padded.reshape(x.shape[0], groups, filter.shape[1], *padded.shape[2:])
    filter = filter.reshape(groups, filter.shape[0] // groups, *filter.shape[1:])
    shape = (x.shape[0], groups, filter.shape[1], *sizes)
    total = np.zeros(shape, dtype=x.dtype)
    with np.errstate(all="ignore"):
        for tap, view in _taps(kernel, sizes, attributes):
            total += _mixed(filter[tap], split[view])
    total = total.reshape(x.shape[0], groups * filter.shape[1], *sizes)
    return finished(_with_bias(total, operands, attributes), result_types)


def conv_transpose(
    operands: Sequence[Array], attributes: Attributes, result_types: Sequence[Any]
) -> list[Array]:
    x, filter = _channels_first(factor(operands[0]), attributes), factor(operands[1])
    if attributes["layout"] == "NHWC":
        filter = np.moveaxis(filter, (-1, -2), (0, 1))
    groups, kernel, sizes = int(attributes["groups"]), filter.shape[2:], x.shape[2:]
    low, high = attributes["padding_low"], attributes["padding_high"]
    reach = [
        (size - 1) * stride + (k - 1) * dilation + 1
        for size, stride, k, dilation in zip(
            sizes, attributes["strides"], kernel, attributes["dilations"], strict=True
        )
    ]
    full = np.add(reach, attributes["output_padding"])
    split = x.reshape(x.shape[0], groups, x.shape[1] // groups, *sizes)
    filter = filter.reshape(groups, filter.shape[0] // groups, *filter.shape[1:])
    total = np.zeros((x.shape[0], groups, filter.shape[2], *full), dtype=x.dtype)
    with np.errstate(all="ignore"):
        for tap, view in _taps(kernel, sizes, attributes):
            total[view] += _mixed(np.swapaxes(filter[tap], 1, 2), split)
    total = total.reshape(x.shape[0], groups * filter.shape[2], *full)
    kept: Index = (
        ...,
        *(slice(a, size - b) for a, b, size in zip(low, high, full, strict=True)),
    )
    return finished(_with_bias(total[kept], operands, attributes), result_types)


def max_pool(operands: Sequence[Array], attributes: Attributes, _: Any) -> list[Array]:
    x = operands[0]
    lowest = _lowest(x.dtype)
    padded = _padded(
        _channels_first(widened(x), attributes),
        attributes["padding_low"],
        attributes["padding_high"],
        lowest,
    )
    kernel = attributes["kernel"]
    sizes = _window_counts(padded.shape[2:], kernel, attributes)
    best = np.full((*padded.shape[:2], *sizes), lowest, dtype=padded.dtype)
    for _tap, view in _taps(kernel, sizes, attributes):
        best = np.maximum(best, padded[view])
    return [rounded(_original(best, attributes), x.dtype)]


def avg_pool(operands: Sequence[Array], attributes: Attributes, _: Any) -> list[Array]:
    x = operands[0]
    first = _channels_first(widened(x), attributes)
    low, high = attributes["padding_low"], attributes["padding_high"]
    last = attributes["ceil_padding"]
    none = [0] * len(last)
    counted = np.ones((1, 1, *first.shape[2:]))
    counted = _padded(counted, low, high, float(attributes["count_include_pad"]))
    counted = _padded(counted, none, last, 0)
    padded = _padded(first, low, np.add(high, last), 0)
    kernel = attributes["kernel"]
    sizes = _window_counts(padded.shape[2:], kernel, attributes)
    total = np.zeros((*padded.shape[:2], *sizes))
    count = np.zeros((1, 1, *sizes))
    with np.errstate(all="ignore"):
        for _tap, view in _taps(kernel, sizes, attributes):
            total += padded[view]
            count += counted[view]
        return [rounded(_original(total / count, attributes), x.dtype)]


def _lowest(dtype: Any) -> float:
    """−∞, or the least number of a type that has none."""
    if not is_float(dtype):
        return int(ml_dtypes.iinfo(dtype).min)
    with np.errstate(over="ignore"):
        has_infinity = np.isinf(np.asarray(-np.inf).astype(dtype))
    return -np.inf if has_infinity else float(ml_dtypes.finfo(dtype).min)


def _channels_first(x: Array, attributes: Attributes) -> Array:
    return np.moveaxis(x, -1, 1) if attributes["layout"] == "NHWC" else x


def _original(y: Array, attributes: Attributes) -> Array:
    """A result of channels first in the layout of the op."""
    return np.moveaxis(y, 1, -1) if attributes["layout"] == "NHWC" else y


def _padded(x: Array, low: Any, high: Any, value: float) -> Array:
    """The spatial axes, those from 2 on, padded with a value."""
    widths = [(0, 0), (0, 0), *zip(low, high, strict=True)]
    return np.pad(x, widths, constant_values=value)


def _window_counts(
    sizes: Sequence[int], kernel: Sequence[int], attributes: Attributes
) -> list[int]:
    return [
        (size - (k - 1) * dilation - 1) // stride + 1
        for size, k, dilation, stride in zip(
            sizes, kernel, attributes["dilations"], attributes["strides"], strict=True
        )
    ]


def _taps(
    kernel: Sequence[int], counts: Sequence[int], attributes: Attributes
) -> Iterator[tuple[Index, Index]]:
    """The index of each place in the window, and of what all windows see there."""
    strides, dilations = attributes["strides"], attributes["dilations"]
    for tap in np.ndindex(*kernel):
        seen = (
            slice(k * d, k * d + max((count - 1) * s + 1, 0), s)
            for k, d, count, s in zip(tap, dilations, counts, strides, strict=True)
        )
        yield (..., *tap), (..., *seen)


def _mixed(filter: Array, image: Array) -> Array:
    """Σ over i of filter[g, o, i] · image[n, g, i, …], by one matmul."""
    batch, groups, inputs, *places = image.shape
    flat = image.reshape(batch, groups, inputs, math.prod(places))
    return np.matmul(filter, flat).reshape(batch, groups, filter.shape[1], *places)


def _with_bias(
    total: Array, operands: Sequence[Array], attributes: Attributes
) -> Array:
    """The sum, channels first, plus the bias, in the layout of the op."""
    if attributes["has_bias"]:
        bias = factor(operands[2])
        total = total + bias.reshape(-1, *[1] * (total.ndim - 2))
    return _original(total, attributes)


CONVOLUTION = {
    "ix.conv": conv,
    "ix.conv_transpose": conv_transpose,
    "ix.max_pool": max_pool,
    "ix.avg_pool": avg_pool,
}
"""Op name → (operands, attributes as Python values, result types) → results."""
