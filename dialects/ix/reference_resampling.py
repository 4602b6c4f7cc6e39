"""NumPy semantics of `ix.resize`: one weight matrix for each resized axis."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ix.dialects.ix.reference_movement import sized
from ix.dialects.ix.reference_precision import Array, rounded, widened

__all__ = ["RESAMPLING"]


def coordinates(kind: str, size: int, wanted: int, scale: float) -> Array:
    """The input position x(o) of each of `wanted` outputs on an axis of `size`."""
    outputs = np.arange(wanted, dtype=np.float64)
    if kind == "asymmetric":
        return outputs / scale
    if kind == "align_corners":
        return outputs * ((size - 1) / (wanted - 1)) if wanted > 1 else outputs * 0
    if kind == "pytorch_half_pixel" and wanted == 1:
        return outputs * 0
    return (outputs + 0.5) / scale - 0.5


NEAREST: dict[str, Callable[[Array], Array]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def linear_kernel(distance: Array, _: float) -> Array:
    return np.maximum(1 - np.abs(distance), 0)


def cubic_kernel(distance: Array, a: float) -> Array:
    """Keys' cubic convolution kernel."""
    x = np.abs(distance)
    inner = ((a + 2) * x - (a + 3)) * x * x + 1
    outer = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0))


def weights(x: Array, size: int, scale: float, attributes: dict[str, Any]) -> Array:
    """W[output, input]: what each input adds to each output."""
    if attributes["mode"] == "nearest":
        chosen = np.clip(NEAREST[attributes["nearest"]](x), 0, size - 1)
        return np.asarray(chosen[:, None] == np.arange(size), np.float64)
    kernel = linear_kernel if attributes["mode"] == "linear" else cubic_kernel
    stretch = min(scale, 1.0) if attributes["antialias"] else 1.0
    reach = int(np.ceil(2 / stretch)) + 1
    taps = np.floor(x)[:, None] + np.arange(-reach, reach + 1)
    share = kernel((taps - x[:, None]) * stretch, attributes["cubic_coefficient"])
    if attributes["antialias"]:
        share = np.where((taps >= 0) & (taps < size), share, 0)
        share = share / share.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(x), size))
    rows = np.broadcast_to(np.arange(len(x))[:, None], taps.shape)
    np.add.at(matrix, (rows, np.clip(taps, 0, size - 1).astype(np.int64)), share)
    return matrix


def resize(
    operands: Sequence[Array], attributes: dict[str, Any], _: Any
) -> list[Array]:
    shape = sized(attributes["shape"], iter(operands[1:]))
    result = operands[0]
    if 0 in shape:
        return [np.zeros(shape, result.dtype)]
    for axis, (wanted, given) in enumerate(
        zip(shape, attributes["scales"], strict=True)
    ):
        size = result.shape[axis]
        scale = given or wanted / size
        if wanted == size and scale == 1:
            continue
        x = coordinates(attributes["coordinates"], size, wanted, scale)
        matrix = weights(x, size, scale, attributes)
        if attributes["mode"] == "nearest":
            result = np.take(result, matrix.argmax(axis=1), axis)
            continue
        product = np.tensordot(matrix, widened(result), axes=(1, axis))
        result = np.moveaxis(product, 0, axis)
    return [rounded(result, operands[0].dtype)]


RESAMPLING = {"ix.resize": resize}
"""Op name → (operands, attributes as Python values, result types) → results."""
