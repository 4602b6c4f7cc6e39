"""Resize: `ix.resize` where it says the same, else one constant matrix for each axis.

Interpolation treats the axes one by one, and for static sizes each is a product with
a matrix of weights. So every rare mode of the standard has a form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.dims import DimExpr, same
from ix.importer.onnx.node import Unsupported

__all__ = ["Resize", "resized", "scaled"]

_COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
_MAX_WEIGHTS = 1 << 22

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Resize:
    """What a Resize node asks for; one scale, size and region for each axis."""

    scales: Sequence[float]
    sizes: Sequence[Any]
    mode: str
    coordinates: str
    nearest: str
    cubic: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False
    extrapolation: float = 0.0
    roi: Sequence[tuple[float, float]] = field(default_factory=list)


def scaled(size: Any, scale: float) -> Any:
    """⌊size · scale⌋; a dynamic size takes whole scales.

    Raises:
        Unsupported: A dynamic size and a fraction.
    """
    if not isinstance(size, DimExpr):
        return math.floor(size * scale)
    if not scale.is_integer():
        raise Unsupported(f"scales a dynamic size by {scale}")
    return size * int(scale)


def resized(x: Any, plan: Resize) -> Any:
    """The tensor sampled as the plan says."""
    old = list(b.shape(x))
    if plan.mode not in ("nearest", "linear", "cubic"):
        raise Unsupported(f"has mode {plan.mode!r}")
    if not _has_op(plan, old):
        return _by_matrices(x, plan, old)
    return b.resize(
        x,
        plan.sizes,
        scales=plan.scales,
        mode=plan.mode,
        coordinates=plan.coordinates,
        nearest=plan.nearest,
        cubic_coefficient=plan.cubic,
        antialias=plan.antialias,
    )


def _has_op(plan: Resize, old: Sequence[Any]) -> bool:
    """Whether `ix.resize` computes what the plan says."""
    if plan.coordinates not in _COORDINATES or plan.exclude_outside:
        return False
    # The standard repeats the border under a widened kernel; ix.resize leaves it out.
    if plan.antialias and min(plan.scales) < 1:
        return False
    # The standard aligns the corners of the exact size, before it is rounded down.
    return plan.coordinates != "align_corners" or all(
        isinstance(size, DimExpr) or float(scale * size).is_integer()
        for scale, size in zip(plan.scales, old, strict=True)
    )


def _by_matrices(x: Any, plan: Resize, old: Sequence[Any]) -> Any:
    """Each axis multiplied by its weights; float results of the input's type."""
    dtype = b.dtype(x)
    if dtype.kind in "iub":
        raise Unsupported(f"resizes {dtype} by {plan.coordinates}")
    for axis, (before, after) in enumerate(zip(old, plan.sizes, strict=True)):
        region = plan.roi[axis] if axis < len(plan.roi) else (0.0, 1.0)
        if same(before, after) and region == (0.0, 1.0) and plan.scales[axis] == 1.0:
            continue
        if isinstance(before, DimExpr) or isinstance(after, DimExpr):
            raise Unsupported(f"resizes a dynamic size by {plan.coordinates}")
        if before * after > _MAX_WEIGHTS:
            raise Unsupported(f"resizes {before} to {after} by {plan.coordinates}")
        place = _places(before, after, plan.scales[axis], plan.coordinates, region)
        weights = _weights(place, before, plan.scales[axis], plan)
        moved = b.moveaxis(x, axis, -1)
        moved = b.matmul(moved, weights.T.astype(dtype))
        x = b.moveaxis(moved, -1, axis)
        if plan.coordinates == "tf_crop_and_resize":
            outside = (place < 0) | (place > before - 1)
            shape = [after if at == axis else 1 for at in range(len(old))]
            x = b.select(outside.reshape(shape), plan.extrapolation, x)
    return x


def _places(
    before: int, after: int, scale: float, coordinates: str, region: tuple[float, float]
) -> Array:
    """Where each position of the result reads, in pixels of the input."""
    o = np.arange(after, dtype=np.float64)
    exact = scale * before
    if coordinates == "align_corners":
        return o * 0 if exact == 1 else o * (before - 1) / (exact - 1)
    if coordinates == "asymmetric":
        return o / scale
    if coordinates == "tf_half_pixel_for_nn":
        return (o + 0.5) / scale
    if coordinates == "pytorch_half_pixel" and after == 1:
        return o * 0
    if coordinates == "half_pixel_symmetric":
        centre = before / 2
        return centre * (1 - after / exact) + (o + 0.5) / scale - 0.5
    if coordinates == "tf_crop_and_resize":
        start, end = region
        if after == 1:
            return o * 0 + (start + end) * (before - 1) / 2
        step = (end - start) * (before - 1) / (after - 1)
        return start * (before - 1) + o * step
    if coordinates in ("half_pixel", "pytorch_half_pixel"):
        return (o + 0.5) / scale - 0.5
    raise Unsupported(f"has coordinates {coordinates!r}")


def _weights(places: Array, size: int, scale: float, plan: Resize) -> Array:
    """weights[result, input] of one axis."""
    result = np.zeros((len(places), size))
    widen = min(scale, 1.0) if plan.antialias else 1.0
    for row, place in enumerate(places):
        if plan.mode == "nearest":
            indices, factors = [_nearest(float(place), plan.nearest)], np.ones(1)
        else:
            reach = (1 if plan.mode == "linear" else 2) / widen
            low = math.floor(place - reach) + 1
            indices = list(range(low, math.ceil(place + reach)))
            distance = (np.array(indices) - place) * widen
            factors = _kernel(np.abs(distance), plan)
        known = np.array([0 <= index < size for index in indices])
        if plan.exclude_outside:
            factors = factors * known
        if plan.exclude_outside or plan.antialias:
            factors = factors / factors.sum()
        for index, factor in zip(indices, factors, strict=True):
            result[row, min(max(index, 0), size - 1)] += factor
    return result


def _nearest(place: float, rule: str) -> int:
    if rule == "floor":
        return math.floor(place)
    if rule == "ceil":
        return math.ceil(place)
    if rule == "round_prefer_ceil":
        return math.floor(place + 0.5)
    return math.ceil(place - 0.5)


def _kernel(distance: Array, plan: Resize) -> Array:
    """Weights by distance: a tent, or Keys' cubic."""
    t = distance
    if plan.mode == "linear":
        return np.maximum(1 - t, 0)
    a = plan.cubic
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))
