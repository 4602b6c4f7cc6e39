"""Quantised integers and floats: scales, zero points, and products of them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from ix.importer import builder as b
from ix.importer.onnx.node import Handler, Node, Unsupported
from ix.importer.onnx.ops_contraction import integer_conv, integer_matmul
from ix.importer.onnx.ops_elementwise import convert

__all__ = ["QUANTIZATION"]

_LIMITS = {
    np.dtype(np.int8): (-128.0, 127.0),
    np.dtype(np.uint8): (0.0, 255.0),
    np.dtype(np.int16): (-32768.0, 32767.0),
    np.dtype(ml_dtypes.int4): (-8.0, 7.0),
}


def _quantize_linear(node: Node) -> Any:
    """saturate(round(x / scale) + zero point)."""
    if node.has(2):
        dtype = node.dtype(2)
    elif node.integer("output_dtype", 0):
        dtype = node.dtype_attribute("output_dtype")
    else:
        dtype = np.dtype(np.uint8)
    kind = node.dtype(1)
    if node.integer("precision", 0):
        kind = node.dtype_attribute("precision")
    scale = _spread(node, 1)
    zero = _spread(node, 2) if node.has(2) else None
    scaled = b.true_divide(b.cast(node.input(0), kind), b.cast(scale, kind))
    return requantized(scaled, zero, dtype, node.flag("saturate", True))


def requantized(scaled: Any, zero: Any, dtype: Any, saturate: bool = True) -> Any:
    """Floats in units of the scale, rounded half to even, in a quantised type."""
    if dtype not in _LIMITS:
        return convert(scaled, dtype, saturate)
    low, high = _LIMITS[dtype]
    rounded = b.rint(b.cast(scaled, np.float32))
    if zero is not None:
        rounded = b.add(rounded, b.cast(zero, np.float32))
    return b.cast(b.clip(rounded, low, high), dtype)


def _dequantize_linear(node: Node) -> Any:
    """(x − zero point) · scale."""
    x = node.input(0)
    kind = node.dtype(1)
    if node.dtype(0) in _LIMITS or node.dtype(0) == np.int32:
        x = b.cast(x, np.int32)
        if node.has(2):
            x = b.sub(x, b.cast(_spread(node, 2), np.int32))
    wide = np.dtype(np.float32) if kind.itemsize < 4 else kind
    result = b.mul(b.cast(x, wide), b.cast(_spread(node, 1), wide))
    if node.integer("output_dtype", 0):
        kind = node.dtype_attribute("output_dtype")
    return b.cast(result, kind)


def _spread(node: Node, index: int) -> Any:
    """A scale or zero point, shaped to meet the tensor: one, per axis, or per block."""
    value, shape = node.input(index), node.shape(index)
    rank = node.rank(0)
    if not shape or shape == (1,):
        return b.reshape(value, ())
    axis = node.axis("axis", 1, rank)
    block = node.integer("block_size", 0)
    if len(shape) == 1 and not (block and rank == 1):
        return b.reshape(value, [shape[0] if at == axis else 1 for at in range(rank)])
    if len(shape) != rank or not block:
        raise Unsupported(f"has a scale of shape {shape} for a tensor of rank {rank}")
    spread = b.repeat(value, block, axis)
    return b.slice_axis(spread, axis, 0, node.shape(0)[axis])


def _qlinear_matmul(node: Node) -> Any:
    a, c = node.input(0), node.input(3)
    product = integer_matmul(a, node.optional(2), c, node.optional(5))
    scale = b.mul(_column(node.input(1)), node.input(4))
    scaled = b.mul(b.cast(product, np.float32), _ratio(scale, node.input(6)))
    return requantized(scaled, node.input(7), node.dtype(7))


def _column(scale: Any) -> Any:
    """Scales of a's rows, shaped to meet the product."""
    return b.expand_dims(scale, 1) if b.shape(scale) not in ((), (1,)) else scale


def _ratio(scale: Any, output: Any) -> Any:
    return b.true_divide(b.cast(scale, np.float32), b.cast(output, np.float32))


def _qlinear_conv(node: Node) -> Any:
    rank = node.rank(0)
    weight_scale, weight_zero = node.input(4), node.input(5)
    product = integer_conv(node, (0, 2), (3, 5), node.shape(3)[2:])
    along = [-1, *[1] * (rank - 2)]
    if node.has(8):
        product = b.add(product, b.reshape(node.input(8), along))
    scale = b.mul(node.input(1), weight_scale)
    if b.shape(weight_zero) not in ((), (1,)) or b.shape(weight_scale) not in (
        (),
        (1,),
    ):
        scale = b.reshape(scale, along)
    scaled = b.mul(b.cast(product, np.float32), _ratio(scale, node.input(6)))
    return requantized(scaled, node.input(7), node.dtype(7))


QUANTIZATION: dict[str, Handler] = {
    "DequantizeLinear": _dequantize_linear,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize_linear,
}
"""Op type → handler."""
