"""Sliding windows of convolutions and pools: strides, dilations and padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ix.importer.onnx.node import Node, Unsupported

__all__ = ["Window", "window", "window_indices"]

_MAX_INDICES = 1 << 24


class Window(NamedTuple):
    """One entry for each spatial axis.

    low, high:  padding before and after
    ceil:       what `ceil_mode` adds after `high`
    extra:      output padding of a transposed convolution
    """

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    low: list[int]
    high: list[int]
    ceil: list[int]
    extra: list[int]


def window(node: Node, kernel: Sequence[Any] | None = None) -> Window:
    """The window that a node's attributes describe.

    Raises:
        Unsupported: The kernel or, where the padding needs them, sizes are dynamic.
    """
    if kernel is None or node.has_attribute("kernel_shape"):
        kernel = node.integers("kernel_shape")
    if not all(isinstance(size, int) for size in kernel):
        raise Unsupported("needs a kernel of static size")
    count = len(kernel)
    strides = node.integers("strides", [1] * count)
    dilations = node.integers("dilations", [1] * count)
    pads = node.integers("pads", [0] * (2 * count))
    low, high = pads[:count], pads[count:]
    automatic = node.text("auto_pad", "NOTSET")
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        low, high = _same(node, kernel, strides, dilations, automatic)
    elif automatic == "VALID":
        low, high = [0] * count, [0] * count
    ceil = [0] * count
    if node.flag("ceil_mode"):
        ceil = _ceil(node, list(kernel), strides, dilations, low, high)
    return Window(list(kernel), strides, dilations, low, high, ceil, [0] * count)


def window_indices(sizes: Sequence[int], place: Window) -> np.ndarray[Any, Any]:
    """For each window and each place in it the flat index into the image.

    Returns:
        i64[windows…, kernel…]; −1 in the padding.

    Raises:
        Unsupported: There are too many to list.
    """
    count = len(sizes)
    axes = []
    for axis, size in enumerate(sizes):
        reach = (place.kernel[axis] - 1) * place.dilations[axis] + 1
        span = size + place.low[axis] + place.high[axis] + place.ceil[axis] - reach
        axes.append((span // place.strides[axis] + 1, place.kernel[axis]))
    if math.prod(windows * kernel for windows, kernel in axes) > _MAX_INDICES:
        raise Unsupported(f"has more than {_MAX_INDICES} places in its windows")
    flat: Any = np.zeros((), np.int64)
    inside: Any = np.ones((), bool)
    for axis, (size, (windows, kernel)) in enumerate(zip(sizes, axes, strict=True)):
        starts = np.arange(windows) * place.strides[axis] - place.low[axis]
        steps = np.arange(kernel) * place.dilations[axis]
        shape = [1] * (2 * count)
        shape[axis], shape[count + axis] = windows, kernel
        position = np.add.outer(starts, steps).reshape(shape)
        flat = flat * size + position
        inside = inside & (position >= 0) & (position < size)
    return np.where(inside, flat, -1)


def _same(
    node: Node,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    automatic: str,
) -> tuple[list[int], list[int]]:
    """Padding that gives ⌈size / stride⌉ windows; the odd one goes to the end."""
    low, high = [], []
    sizes = node.spatial(0)
    for size, reach, step, gap in zip(sizes, kernel, strides, dilations, strict=True):
        windows = -(-size // step)
        total = max((windows - 1) * step + (reach - 1) * gap + 1 - size, 0)
        small, large = total // 2, total - total // 2
        upper = automatic == "SAME_UPPER"
        low.append(small if upper else large)
        high.append(large if upper else small)
    return low, high


def _ceil(
    node: Node,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    low: Sequence[int],
    high: Sequence[int],
) -> list[int]:
    """Further padding for a last window that would stick out.

    A window that starts in the padding after the input is left out.
    """
    extra = []
    for axis, size in enumerate(node.spatial(0)):
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        span = size + low[axis] + high[axis] - reach
        windows = -(-span // strides[axis]) + 1
        if (windows - 1) * strides[axis] >= size + low[axis]:
            windows -= 1
        extra.append(max((windows - 1) * strides[axis] - span, 0))
    return extra
