"""Reductions over sliding windows, and over all spatial axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.onnx.node import Handler, Node, Unsupported
from ix.importer.onnx.windows import Window, window, window_indices

__all__ = ["POOLING"]


def _max_pool(node: Node) -> Any:
    place = window(node)
    if len([name for name in node.outputs if name]) > 1:
        return _max_pool_with_indices(node, place)
    return b.max_pool(
        node.input(0),
        place.kernel,
        place.strides,
        place.low,
        [high + more for high, more in zip(place.high, place.ceil, strict=True)],
        place.dilations,
    )


def _max_pool_with_indices(node: Node, place: Window) -> Sequence[Any]:
    """The greatest elements and where they stand in the flattened input.

    The windows are gathered by constant indices, the last axis being the window.
    """
    x, sizes = node.input(0), node.sizes(0)
    if node.integer("storage_order", 0):
        raise Unsupported("counts indices column by column")
    where = window_indices(sizes[2:], place)
    where = where.reshape(*where.shape[: len(sizes) - 2], -1)
    inside = where >= 0
    flat = b.reshape(x, [*sizes[:2], math.prod(sizes[2:])])
    windows = b.take(flat, np.maximum(where, 0), 2)
    lowest = _lowest(node.dtype(0))
    windows = b.select(inside, windows, lowest)
    best = b.argmax(windows, -1, keepdims=True)
    values = b.squeeze(b.take_along_axis(windows, best, -1), -1)
    grid = b.broadcast_to(np.maximum(where, 0), b.shape(windows))
    spatial = b.squeeze(b.take_along_axis(grid, best, -1), -1)
    planes = np.arange(sizes[0] * sizes[1], dtype=np.int64) * math.prod(sizes[2:])
    planes = planes.reshape(sizes[0], sizes[1], *[1] * (len(sizes) - 2))
    return values, b.add(spatial, planes)


def _lowest(dtype: np.dtype[Any]) -> Any:
    if dtype.kind in "iu":
        return np.asarray(np.iinfo(dtype).min, dtype)
    return np.asarray(-np.inf, np.float32).astype(dtype)


def _average_pool(node: Node) -> Any:
    place = window(node)
    return b.avg_pool(
        node.input(0),
        place.kernel,
        place.strides,
        place.low,
        place.high,
        place.dilations,
        ceil_mode=node.flag("ceil_mode"),
        count_include_pad=node.flag("count_include_pad"),
    )


def _lp_pool(node: Node) -> Any:
    """(Σ |x|ᵖ)^(1/p) over each window: the mean, padding included, times its size."""
    place, order = window(node), float(node.integer("p", 2))
    pads = [(0, 0), (0, 0)]
    for low, high, more in zip(place.low, place.high, place.ceil, strict=True):
        pads.append((low, high + more))
    powers = b.pow(b.abs(node.input(0)), order)
    powers = b.pad(powers, pads, value=np.zeros((), node.dtype(0)))
    mean = b.avg_pool(powers, place.kernel, place.strides, 0, 0, place.dilations)
    return b.pow(b.mul(mean, float(math.prod(place.kernel))), 1.0 / order)


def _spatial(node: Node) -> list[int]:
    return list(range(2, node.rank(0)))


def _global_lp_pool(node: Node) -> Any:
    order = float(node.integer("p", 2))
    powers = b.pow(b.abs(node.input(0)), order)
    return b.pow(b.sum(powers, _spatial(node), True), 1.0 / order)


POOLING: dict[str, Handler] = {
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda node: b.mean(node.input(0), _spatial(node), True),
    "GlobalLpPool": _global_lp_pool,
    "GlobalMaxPool": lambda node: b.amax(node.input(0), _spatial(node), True),
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
}
"""Op type → handler."""
