"""Reductions over axes, plain and composed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.dims import same
from ix.importer.onnx.node import Handler, Node
from ix.importer.onnx.ops_movement import axes_of

__all__ = ["REDUCTION"]

Step = Callable[[Any], Any]


def _same(x: Any) -> Any:
    return x


def _reduce(
    function: Any, of_nothing: float, before: Step = _same, after: Step = _same
) -> Handler:
    """after(Σ before(x)); the element type of the input throughout.

    Args:
        of_nothing: What the reduction of no elements gives; an infinity stands for
            the least or greatest value of the type.
    """

    def handle(node: Node) -> Any:
        x = node.input(0)
        axes = axes_of(node, 1, node.rank(0))
        dtype, keepdims = node.dtype(0), node.flag("keepdims", True)
        if not axes and node.flag("noop_with_empty_axes"):
            return b.cast(after(before(x)), dtype)
        over = axes or list(range(node.rank(0)))
        sizes = node.shape(0)
        if any(same(sizes[axis], 0) for axis in over):
            kept = [1 if at in over else size for at, size in enumerate(sizes)]
            if not keepdims:
                kept = [size for at, size in enumerate(sizes) if at not in over]
            reduced = b.broadcast_to(_number(dtype, of_nothing), kept)
        else:
            reduced = b.cast(function(before(x), over, keepdims), dtype)
        return b.cast(after(reduced), dtype)

    return handle


def _number(dtype: np.dtype[Any], number: float) -> Any:
    """A number of a type; an infinity of integers or bools is their end."""
    if dtype.kind == "b":
        return np.asarray(number > 0)
    if dtype.kind in "iu" and math.isinf(number):
        info = np.iinfo(dtype)
        return np.asarray(info.max if number > 0 else info.min, dtype)
    return np.asarray(number, np.float32).astype(dtype)


def _sum(x: Any, axes: list[int], keepdims: bool) -> Any:
    return b.sum(x, axes, keepdims, b.dtype(x))


def _prod(x: Any, axes: list[int], keepdims: bool) -> Any:
    return b.prod(x, axes, keepdims, b.dtype(x))


def _mean(x: Any, axes: list[int], keepdims: bool) -> Any:
    """Of integers: the truncated quotient."""
    if b.dtype(x).kind not in "iu":
        return b.mean(x, axes, keepdims)
    count = math.prod(b.shape(x)[axis] for axis in axes)
    return b.div(_sum(x, axes, keepdims), np.asarray(count, b.dtype(x)))


REDUCTION: dict[str, Handler] = {
    "ReduceL1": _reduce(_sum, 0, b.abs),
    "ReduceL2": _reduce(_sum, 0, b.square, b.sqrt),
    "ReduceLogSum": _reduce(_sum, 0, after=b.log),
    "ReduceLogSumExp": _reduce(b.logsumexp, -math.inf),
    "ReduceMax": _reduce(b.amax, -math.inf),
    "ReduceMean": _reduce(_mean, math.nan),
    "ReduceMin": _reduce(b.amin, math.inf),
    "ReduceProd": _reduce(_prod, 1),
    "ReduceSum": _reduce(_sum, 0),
    "ReduceSumSquare": _reduce(_sum, 0, b.square),
}
"""Op type → handler."""
