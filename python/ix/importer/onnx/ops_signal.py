"""Fourier transforms as products with constant matrices, and filter banks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.onnx.node import Handler, Node, Unsupported

__all__ = ["SIGNAL"]

_MAX_LENGTH = 4096
"""The longest transform: its matrix has the square of it in elements."""


def _dft(node: Node) -> Any:
    rank = node.rank(0)
    if node.opset >= 20:
        axis = int(node.scalar(2, "axis")) if node.has(2) else -2
    else:
        axis = node.integer("axis", 1)
    axis = node.normal(axis, rank)
    inverse, onesided = node.flag("inverse"), node.flag("onesided")
    size = node.size(0, axis)
    length = size
    if inverse and onesided:
        length = 2 * (size - 1)
    if node.has(1):
        length = int(node.scalar(1, "length"))
    return transformed(node.input(0), axis, length, inverse, onesided)


def transformed(x: Any, axis: int, length: int, inverse: bool, onesided: bool) -> Any:
    """The discrete Fourier transform along an axis.

    The last axis of x and of the result holds the real part, or real and imaginary.
    The products are those of float64: a row of the matrix has as many terms as the
    transform has points, where a fast transform's sums have the logarithm of that.
    """
    if not 0 < length <= _MAX_LENGTH:
        raise Unsupported(f"transforms {length} points, but the limit is {_MAX_LENGTH}")
    dtype = b.dtype(x)
    x = b.cast(b.moveaxis(x, axis, -2), np.float64)
    x = _fitted(x, length, inverse and onesided)
    count = b.shape(x)[-2]
    real = b.squeeze(b.slice_axis(x, b.rank(x) - 1, 0, 1), -1)
    imaginary = None
    if b.shape(x)[-1] == 2:
        imaginary = b.squeeze(b.slice_axis(x, b.rank(x) - 1, 1, 2), -1)
    if inverse and onesided:
        signal = _real_inverse(real, imaginary, count, length)
        return b.moveaxis(b.cast(signal, dtype), -2, axis)
    outputs = length // 2 + 1 if onesided else length
    angle = 2 * np.pi * np.outer(np.arange(length), np.arange(outputs)) / length
    scale = 1 / length if inverse else 1.0
    cosine = np.cos(angle) * scale
    sine = np.sin(angle) * (scale if inverse else -scale)
    # (a + ib)(c + is) = (ac − bs) + i(as + bc)
    parts = [b.matmul(real, cosine), b.matmul(real, sine)]
    if imaginary is not None:
        parts = [
            b.sub(parts[0], b.matmul(imaginary, sine)),
            b.add(parts[1], b.matmul(imaginary, cosine)),
        ]
    return b.moveaxis(b.cast(b.stack(parts, -1), dtype), -2, axis)


def _fitted(x: Any, length: int, onesided: bool) -> Any:
    """The second last axis cut or padded with zeros to what the transform reads."""
    wanted = length // 2 + 1 if onesided else length
    size, axis = b.shape(x)[-2], b.rank(x) - 2
    if size >= wanted:
        return b.slice_axis(x, axis, 0, wanted)
    widths = [(0, 0)] * b.rank(x)
    widths[axis] = (0, wanted - size)
    return b.pad(x, widths)


def _real_inverse(real: Any, imaginary: Any, count: int, length: int) -> Any:
    """A real signal from the first half of its spectrum, which is symmetric."""
    angle = 2 * np.pi * np.outer(np.arange(count), np.arange(length)) / length
    # Every frequency but 0 and, for even lengths, the last stands for its mirror too.
    twice = np.full((count, 1), 2.0)
    twice[0] = 1.0
    if length % 2 == 0:
        twice[-1] = 1.0
    signal = b.matmul(real, np.cos(angle) * twice / length)
    if imaginary is not None:
        sine = np.sin(angle) * twice / length
        signal = b.sub(signal, b.matmul(imaginary, sine))
    return b.expand_dims(signal, -1)


def _stft(node: Node) -> Any:
    """Windowed frames of a signal [batch, length, 1 or 2], transformed one by one."""
    x = node.input(0)
    step = int(node.scalar(1, "frame step"))
    if node.has(3):
        length = int(node.scalar(3, "frame length"))
    elif node.has(2):
        length = node.size(2, 0)
    else:
        length = node.size(0, 1)
    frames = 1 + (node.size(0, 1) - length) // step
    where = np.arange(frames)[:, None] * step + np.arange(length)[None, :]
    cut = b.take(x, where.astype(np.int64), 1)  # [batch, frames, length, parts]
    if node.has(2):
        window = node.input(2)
        if node.size(2, 0) != length:
            raise Unsupported("has a window of another length than its frames")
        cut = b.mul(cut, b.expand_dims(window, 1))
    return transformed(cut, 2, length, False, node.flag("onesided", True))


def _mel_weight_matrix(node: Node) -> Any:
    """Triangular filters on the mel scale, a constant.

    Source: onnx/docs/Operators.md, MelWeightMatrix; tf.signal's
    linear_to_mel_weight_matrix.
    """
    bins = int(node.scalar(0, "number of bins"))
    length = int(node.scalar(1, "transform length"))
    rate = int(node.scalar(2, "sample rate"))
    low, high = (
        2595 * math.log10(1 + float(node.scalar(index, "edge")) / 700)
        for index in (3, 4)
    )
    mel = np.arange(bins + 2) * (high - low) / (bins + 2) + low
    edges = ((length + 1) * (700 * (10 ** (mel / 2595) - 1)) // rate).astype(int)
    result = np.zeros((length // 2 + 1, bins))
    for column in range(bins):
        left, centre, right = edges[column : column + 3]
        if centre == left:
            result[centre, column] = 1
        else:
            rising = np.arange(left, centre + 1)
            result[rising, column] = (rising - left) / (centre - left)
        falling = np.arange(centre, right)
        if right > centre:
            result[falling, column] = (right - falling) / (right - centre)
    return result.astype(node.dtype_attribute("output_datatype", 1))


SIGNAL: dict[str, Handler] = {
    "DFT": _dft,
    "MelWeightMatrix": _mel_weight_matrix,
    "STFT": _stft,
}
"""Op type → handler."""
