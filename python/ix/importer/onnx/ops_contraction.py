"""Matrix products and convolutions, of floats and of quantised integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.onnx.node import Handler, Node, Unsupported
from ix.importer.onnx.windows import Window, window

_MAX_DET = 4

__all__ = ["CONTRACTION", "integer_conv", "integer_matmul"]


def _matmul(node: Node) -> Any:
    return b.matmul(node.input(0), node.input(1))


def _gemm(node: Node) -> Any:
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    left, right = node.input(0), node.input(1)
    flags = node.flag("transA"), node.flag("transB")
    return b.gemm(left, right, node.optional(2), alpha, beta, *flags)


def _matmul_integer(node: Node) -> Any:
    a, a_zero = node.input(0), node.optional(2)
    c, c_zero = node.input(1), node.optional(3)
    return integer_matmul(a, a_zero, c, c_zero)


def integer_matmul(a: Any, a_zero: Any, c: Any, c_zero: Any) -> Any:
    """(a − a_zero) · (c − c_zero) in i32; zero points of a are one for each row."""
    if a_zero is None and c_zero is None:
        return b.matmul(a, c, out_dtype=np.int32)
    if a_zero is not None and b.rank(a_zero) == 1 and b.shape(a_zero) != (1,):
        a_zero = b.expand_dims(a_zero, 1)
    return b.matmul(_centred(a, a_zero), _centred(c, c_zero))


def _centred(x: Any, zero: Any) -> Any:
    """x − zero in i32."""
    wide = b.cast(x, np.int32)
    return wide if zero is None else b.sub(wide, b.cast(zero, np.int32))


def _conv(node: Node) -> Any:
    x, weight = node.input(0), node.input(1)
    place = window(node, node.shape(1)[2:])
    return b.conv(
        x,
        weight,
        node.optional(2),
        strides=place.strides,
        padding_low=place.low,
        padding_high=place.high,
        dilations=place.dilations,
        groups=node.integer("group", 1),
    )


def _conv_integer(node: Node) -> Any:
    return integer_conv(node, (0, 2), (1, 3), node.shape(1)[2:])


def integer_conv(
    node: Node, input: tuple[int, int], weight: tuple[int, int], kernel: Any
) -> Any:
    """The convolution of quantised integers, in i32.

    Computed in f64, which holds every sum of products of bytes exactly.

    Args:
        input, weight: Which inputs of the node hold the integers and the zero point.
    """
    x = _centred(node.input(input[0]), node.optional(input[1]))
    zero = node.optional(weight[1])
    if zero is not None and b.shape(zero) not in ((), (1,)):
        zero = b.reshape(zero, [-1, *[1] * (node.rank(weight[0]) - 1)])
    filter_ = _centred(node.input(weight[0]), zero)
    place = window(node, kernel)
    result = b.conv(
        b.cast(x, np.float64),
        b.cast(filter_, np.float64),
        None,
        strides=place.strides,
        padding_low=place.low,
        padding_high=place.high,
        dilations=place.dilations,
        groups=node.integer("group", 1),
    )
    return b.cast(result, np.int32)


def _conv_transpose(node: Node) -> Any:
    x, weight = node.input(0), node.input(1)
    place = _transposed_window(node)
    extra = node.integers("output_padding", [0] * len(place.kernel))
    return b.conv_transpose(
        x,
        weight,
        node.optional(2),
        strides=place.strides,
        padding_low=place.low,
        padding_high=place.high,
        output_padding=place.extra or extra,
        dilations=place.dilations,
        groups=node.integer("group", 1),
    )


def _transposed_window(node: Node) -> Window:
    """The window of a transposed convolution, whose output may state its own shape."""
    kernel = [int(size) for size in node.shape(1)[2:]]
    count = len(kernel)
    strides = node.integers("strides", [1] * count)
    dilations = node.integers("dilations", [1] * count)
    extra = node.integers("output_padding", [0] * count)
    automatic = node.text("auto_pad", "NOTSET")
    pads = node.integers("pads", [0] * 2 * count)
    low, high = pads[:count], pads[count:]
    if automatic not in ("NOTSET", "VALID") or node.has_attribute("output_shape"):
        sizes = node.spatial(0)
        wanted = [size * step for size, step in zip(sizes, strides, strict=True)]
        wanted = node.integers("output_shape", wanted)[-count:]
        low, high = [], []
        for axis in range(count):
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            total = (sizes[axis] - 1) * strides[axis] + extra[axis] + reach
            total -= wanted[axis]
            if total < 0:
                extra[axis] -= total
                total = 0
            half = total // 2
            larger = total - half
            first = larger if automatic == "SAME_LOWER" else half
            low.append(first)
            high.append(total - first)
    if min([0, *low, *high]) < 0:
        raise Unsupported("has negative pads")
    return Window(kernel, strides, dilations, low, high, [0] * count, extra)


def _einsum(node: Node) -> Any:
    operands = [node.input(index) for index in range(len(node.raw_inputs))]
    return b.einsum(node.text("equation"), *operands)


def _det(node: Node) -> Any:
    """The determinant of small matrices, by minors of the first row."""
    size = node.size(0, -1)
    if size > _MAX_DET:
        raise Unsupported(f"has matrices of {size}, but the limit is {_MAX_DET}")
    x = node.input(0)
    rows = [
        [
            b.squeeze(
                b.slice_axis(b.slice_axis(x, -2, i, i + 1), -1, j, j + 1), [-2, -1]
            )
            for j in range(size)
        ]
        for i in range(size)
    ]
    return _minors(rows)


def _minors(rows: list[list[Any]]) -> Any:
    if len(rows) == 1:
        return rows[0][0]
    total = None
    for column, entry in enumerate(rows[0]):
        rest = [row[:column] + row[column + 1 :] for row in rows[1:]]
        part = b.mul(entry, _minors(rest))
        if total is None:
            total = part
        else:
            total = b.sub(total, part) if column % 2 else b.add(total, part)
    return total


CONTRACTION: dict[str, Handler] = {
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "ConvTranspose": _conv_transpose,
    "Det": _det,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul_integer,
}
"""Op type → handler."""
