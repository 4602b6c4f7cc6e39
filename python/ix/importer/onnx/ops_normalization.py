"""Softmax and the normalisations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.dims import product, same
from ix.importer.onnx.node import Handler, Node, Unsupported

__all__ = ["NORMALIZATION"]


def _softmax(function: Callable[..., Any]) -> Handler:
    def handle(node: Node) -> Any:
        x, sizes = node.input(0), node.shape(0)
        if node.opset >= 13:
            return function(x, node.axis("axis", -1, len(sizes)))
        # Before opset 13 all axes from `axis` on are one.
        axis = node.axis("axis", 1, len(sizes))
        flat = b.reshape(x, [product(sizes[:axis]), product(sizes[axis:])])
        return b.reshape(function(flat, 1), sizes)

    return handle


def _layer_norm(node: Node) -> Any:
    x, sizes = node.input(0), node.shape(0)
    axis = node.axis("axis", -1, len(sizes))
    narrow = node.integer("stash_type", 1) == 1 and node.dtype(0) == np.float64
    covers = all(
        len(node.shape(index)) == len(sizes) - axis
        and all(map(same, node.shape(index), sizes[axis:]))
        for index in (1, 2)
        if node.has(index)
    )
    if sum(map(bool, node.outputs)) > 1 or not covers or narrow:
        return NotImplemented
    epsilon = node.number("epsilon", 1e-5)
    return b.layer_norm(x, node.input(1), node.optional(2), axis, epsilon)


def _rms_norm(node: Node) -> Any:
    sizes, scale = node.shape(0), node.shape(1)
    axis = node.axis("axis", -1, len(sizes))
    covers = len(scale) == len(sizes) - axis and all(map(same, scale, sizes[axis:]))
    if not covers or node.dtype(0) != node.dtype(1):
        return NotImplemented
    epsilon = node.number("epsilon", 1e-5)
    return b.rms_norm(node.input(0), node.input(1), axis, epsilon)


def _batch_norm(node: Node) -> Any:
    x, scale, bias, mean, variance = (node.input(index) for index in range(5))
    epsilon = node.number("epsilon", 1e-5)
    if node.opset >= 14 and node.flag("training_mode"):
        return _batch_norm_training(node, epsilon)
    if node.opset < 9 and not node.flag("spatial", True):
        raise Unsupported("normalises each position; convert the model to opset 9")
    return b.batch_norm(x, scale, bias, mean, variance, 1, epsilon)


def _batch_norm_training(node: Node, epsilon: float) -> Sequence[Any]:
    """Normalises by the batch's own statistics, and gives the running ones too."""
    x, scale, bias, mean, variance = (node.input(index) for index in range(5))
    momentum = node.number("momentum", 0.9)
    axes = [axis for axis in range(node.rank(0)) if axis != 1]
    own_mean, own_variance = b.mean(x, axes), b.var(x, axes)
    y = b.batch_norm(x, scale, bias, own_mean, own_variance, 1, epsilon)
    running = [
        b.add(b.mul(old, momentum), b.mul(new, 1 - momentum))
        for old, new in ((mean, own_mean), (variance, own_variance))
    ]
    return [y, *running][: max(1, len(node.outputs))]


def _instance_norm(node: Node) -> Any:
    x, scale, bias = (node.input(index) for index in range(3))
    return b.instance_norm(x, scale, bias, node.number("epsilon", 1e-5))


def _group_norm(node: Node) -> Any:
    x, scale, bias = (node.input(index) for index in range(3))
    groups = node.integer("num_groups")
    if node.opset < 21:  # one scale for each group
        each = node.size(0, 1) // groups
        scale, bias = b.repeat(scale, each, 0), b.repeat(bias, each, 0)
    return b.group_norm(x, groups, scale, bias, node.number("epsilon", 1e-5))


def _lrn(node: Node) -> Any:
    """x / (bias + alpha / size · Σ of squares over `size` neighbour channels)^beta."""
    x, sizes = node.input(0), list(node.shape(0))
    size = node.integer("size")
    pads = [(0, 0)] * len(sizes)
    pads[1] = ((size - 1) // 2, size // 2)
    squares = b.pad(b.square(x), pads, value=np.zeros((), node.dtype(0)))
    total = None
    for start in range(size):
        part = b.slice_axis(squares, 1, start, start + sizes[1])
        total = part if total is None else b.add(total, part)
    scaled = b.mul(total, node.number("alpha", 1e-4) / size)
    base = b.add(scaled, node.number("bias", 1.0))
    return b.div(x, b.pow(base, node.number("beta", 0.75)))


def _lp_normalization(node: Node) -> Any:
    """x / ‖x‖ₚ; 0 where the norm is 0."""
    x, axis = node.input(0), node.axis("axis", -1, node.rank(0))
    order = node.integer("p", 2)
    length = b.norm(x, order, axis, keepdims=True)
    return b.select(b.eq(length, 0.0), 0.0, b.div(x, length))


NORMALIZATION: dict[str, Handler] = {
    "BatchNormalization": _batch_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LRN": _lrn,
    "LayerNormalization": _layer_norm,
    "LogSoftmax": _softmax(b.log_softmax),
    "LpNormalization": _lp_normalization,
    "RMSNormalization": _rms_norm,
    "Softmax": _softmax(b.softmax),
}
"""Op type → handler."""
