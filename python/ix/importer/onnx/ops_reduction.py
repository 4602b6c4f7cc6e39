"""Reductions over axes, plain and composed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.onnx.node import Handler, Node
from ix.importer.onnx.ops_movement import axes_of

__all__ = ["REDUCTION"]

Step = Callable[[Any], Any]


def _same(x: Any) -> Any:
    return x


def _reduce(function: Any, before: Step = _same, after: Step = _same) -> Handler:
    """after(Σ before(x)); the element type of the input throughout."""

    def handle(node: Node) -> Any:
        x = before(node.input(0))
        axes = axes_of(node, 1, node.rank(0))
        if not axes and node.flag("noop_with_empty_axes"):
            return b.cast(after(x), node.dtype(0))
        over = axes or list(range(node.rank(0)))
        reduced = function(x, over, keepdims=node.flag("keepdims", True))
        return b.cast(after(b.cast(reduced, node.dtype(0))), node.dtype(0))

    return handle


def _sum(x: Any, axes: list[int], keepdims: bool) -> Any:
    return b.sum(x, axes, keepdims, b.dtype(x))


def _prod(x: Any, axes: list[int], keepdims: bool) -> Any:
    return b.prod(x, axes, keepdims, b.dtype(x))


def _extremum(function: Any, of_nothing: float) -> Any:
    """A maximum or minimum; of no elements it is what any other would replace."""

    def reduced(x: Any, axes: list[int], keepdims: bool) -> Any:
        sizes = b.shape(x)
        if not any(isinstance(sizes[axis], int) and not sizes[axis] for axis in axes):
            return function(x, axes, keepdims)
        kept = [1 if at in axes else size for at, size in enumerate(sizes)]
        if not keepdims:
            kept = [size for at, size in enumerate(sizes) if at not in axes]
        return b.broadcast_to(_limit(b.dtype(x), of_nothing), kept)

    return reduced


def _limit(dtype: np.dtype[Any], sign: float) -> Any:
    """The least (sign −1) or greatest value of a type."""
    if dtype.kind == "b":
        return np.asarray(sign > 0)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.asarray(info.max if sign > 0 else info.min, dtype)
    return np.asarray(sign * np.inf, np.float32).astype(dtype)


def _mean(x: Any, axes: list[int], keepdims: bool) -> Any:
    """Of integers: the truncated quotient."""
    if b.dtype(x).kind not in "iu":
        return b.mean(x, axes, keepdims)
    count = math.prod(b.shape(x)[axis] for axis in axes)
    return b.div(_sum(x, axes, keepdims), np.asarray(count, b.dtype(x)))


def _log_sum_exp(node: Node) -> Any:
    """log Σ eˣ, with the maximum taken out first."""
    x = node.input(0)
    axes = axes_of(node, 1, node.rank(0))
    if not axes and node.flag("noop_with_empty_axes"):
        return x
    over = axes or list(range(node.rank(0)))
    keepdims = node.flag("keepdims", True)
    if 0 in [node.shape(0)[axis] for axis in over]:
        return _extremum(None, -1.0)(x, over, keepdims)
    return b.logsumexp(x, over, keepdims=keepdims)


REDUCTION: dict[str, Handler] = {
    "ReduceL1": _reduce(_sum, b.abs),
    "ReduceL2": _reduce(_sum, b.square, b.sqrt),
    "ReduceLogSum": _reduce(_sum, after=b.log),
    "ReduceLogSumExp": _log_sum_exp,
    "ReduceMax": _reduce(_extremum(b.amax, -1.0)),
    "ReduceMean": _reduce(_mean),
    "ReduceMin": _reduce(_extremum(b.amin, 1.0)),
    "ReduceProd": _reduce(_prod),
    "ReduceSum": _reduce(_sum),
    "ReduceSumSquare": _reduce(_sum, b.square),
}
"""Op type → handler."""
