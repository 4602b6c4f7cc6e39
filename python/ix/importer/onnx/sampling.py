"""Reading an image between its pixels: the core of GridSample, RoiAlign, DeformConv.

An image is x[n, c, s0, s1, …] of static spatial sizes. A place is one coordinate for
each spatial axis, in pixels, each place[n, p] or broadcasting to it. The result is
[n, c, p].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b

__all__ = ["PADDINGS", "pixel", "sample"]

PADDINGS = ("zeros", "border", "reflection")

_CUBIC = -0.75
"""Keys' coefficient, as in PyTorch and ONNX."""


def sample(x: Any, places: Sequence[Any], mode: str, padding: str, align: bool) -> Any:
    """The image at fractional places.

    Args:
        mode: "nearest" rounds half to even; "linear" weights 2 and "cubic" 4
            neighbours on each axis.
        padding: What lies outside: zeros, the border's pixels, or their reflection.
        align: Whether reflection is about the centres of the border's pixels.
    """
    sizes = [int(size) for size in b.shape(x)[2:]]
    if padding != "zeros":
        places = [
            _inside(place, size, padding, align)
            for place, size in zip(places, sizes, strict=True)
        ]
    if mode == "nearest":
        return pixel(x, [b.rint(place) for place in places], padding, align)
    neighbours = [_NEIGHBOURS[mode](place) for place in places]
    total = None
    for corner in itertools.product(*neighbours):
        weight = corner[0][1]
        for _, factor in corner[1:]:
            weight = b.mul(weight, factor)
        value = pixel(x, [position for position, _ in corner], padding, align)
        part = b.mul(value, b.expand_dims(weight, 1))
        total = part if total is None else b.add(total, part)
    return total


def pixel(x: Any, places: Sequence[Any], padding: str, align: bool) -> Any:
    """The image at whole places (floats without a fraction), [n, c, p]."""
    n, c, *sizes = b.shape(x)
    inside: Any = None
    flat: Any = np.zeros((1, 1), np.int64)
    for place, size in zip(places, sizes, strict=True):
        if padding == "zeros":
            within = b.logical_and(b.ge(place, 0.0), b.le(place, float(size - 1)))
            inside = within if inside is None else b.logical_and(inside, within)
        elif padding == "reflection":
            place = b.trunc(_reflected(place, size, align))
        bounded = b.cast(b.clip(place, 0.0, float(size - 1)), np.int64)
        flat = b.add(b.mul(flat, size), bounded)
    flat = b.broadcast_to(flat, [n, b.shape(flat)[1]])
    rows = b.reshape(x, [n, c, math.prod(sizes)])
    value = b.take_along_axis(rows, b.expand_dims(flat, 1), 2)
    return value if inside is None else b.select(b.expand_dims(inside, 1), value, 0.0)


def _inside(place: Any, size: int, padding: str, align: bool) -> Any:
    """A place moved onto the image, as the padding says."""
    if padding == "border":
        return b.clip(place, 0.0, float(size - 1))
    return _reflected(place, size, align)


def _reflected(place: Any, size: int, align: bool) -> Any:
    """A place mirrored at the borders until it is inside: a triangle wave."""
    low = 0.0 if align else -0.5
    span = float(size - 1 if align else size)
    if span == 0:
        return b.mul(place, 0.0)
    distance = b.abs(b.sub(place, low))
    turns = b.floor(b.div(distance, span))
    rest = b.sub(distance, b.mul(turns, span))
    odd = b.eq(b.mod(turns, 2.0), 1.0)
    mirrored = b.add(b.select(odd, b.sub(span, rest), rest), low)
    outside = b.logical_or(b.lt(place, low), b.gt(place, low + span))
    return b.select(outside, mirrored, place)


def _linear(place: Any) -> list[tuple[Any, Any]]:
    """The two neighbours of a place and their weights."""
    low = b.floor(place)
    rest = b.sub(place, low)
    return [(low, b.sub(1.0, rest)), (b.add(low, 1.0), rest)]


def _cubic(place: Any) -> list[tuple[Any, Any]]:
    """The four neighbours of a place and their weights."""
    low = b.floor(place)
    t = b.sub(place, low)
    u = b.sub(1.0, t)
    weights = [_far(b.add(t, 1.0)), _near(t), _near(u), _far(b.add(u, 1.0))]
    return [(b.add(low, at - 1.0), weight) for at, weight in enumerate(weights)]


def _near(t: Any) -> Any:
    """Keys' kernel for 0 ≤ t ≤ 1: (a + 2) t³ − (a + 3) t² + 1."""
    square = b.mul(t, t)
    return b.add(b.mul(b.sub(b.mul(t, _CUBIC + 2), _CUBIC + 3), square), 1.0)


def _far(t: Any) -> Any:
    """Keys' kernel for 1 ≤ t ≤ 2: a t³ − 5 a t² + 8 a t − 4 a."""
    inner = b.add(b.mul(b.sub(b.mul(t, _CUBIC), 5 * _CUBIC), t), 8 * _CUBIC)
    return b.sub(b.mul(inner, t), 4 * _CUBIC)


_NEIGHBOURS = {"linear": _linear, "cubic": _cubic}
