"""Ops that read or write where an index tensor says, sorting and cumulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.onnx.fold import pack
from ix.importer.onnx.node import Handler, Node, Unsupported, materialized
from ix.importer.onnx.ops_movement import positions

__all__ = ["INDEXING"]

_REDUCTIONS = ("none", "add", "mul", "max", "min")


def _gather(node: Node) -> Any:
    return b.take(node.input(0), node.input(1), node.axis("axis", 0, node.rank(0)))


def _gather_elements(node: Node) -> Any:
    """One element for each index; other axes of the indices may be shorter."""
    x, indices = node.input(0), node.input(1)
    axis = node.axis("axis", 0, node.rank(0))
    sizes, wanted = node.shape(0), node.shape(1)
    limits = [
        size if at == axis else want
        for at, (size, want) in enumerate(zip(sizes, wanted, strict=True))
    ]
    x = b.slice(x, [0] * len(sizes), limits, [1] * len(sizes))
    return b.take_along_axis(x, indices, axis)


def _gather_nd(node: Node) -> Any:
    batch = node.integer("batch_dims", 0)
    return b.gather_nd(node.input(0), _wrapped(node, batch), batch)


def _wrapped(node: Node, batch: int = 0) -> Any:
    """Index tuples with negative entries counted from the start."""
    indices = node.input(1)
    length = b.shape(indices)[-1]
    if isinstance(indices, np.ndarray) and (indices >= 0).all():
        return indices
    sizes = materialized(pack(node.shape(0)[batch : batch + length]), None)
    return b.select(b.lt(indices, 0), b.add(indices, sizes), indices)


def _reduction(node: Node) -> str:
    reduction = node.text("reduction", "none")
    if reduction not in _REDUCTIONS:
        raise Unsupported(f"has reduction {reduction!r}, which ix does not have")
    return reduction


def _scatter_elements(node: Node) -> Any:
    x, indices, updates = (node.input(index) for index in range(3))
    axis = node.axis("axis", 0, node.rank(0))
    return b.scatter(x, indices, updates, axis, _reduction(node))


def _scatter_nd(node: Node) -> Any:
    x, updates = node.input(0), node.input(2)
    return b.scatter_nd(x, _wrapped(node), updates, _reduction(node))


def _tensor_scatter(node: Node) -> Any:
    """Writes `update` at each sample's write index: a gather of the two and a choice.

    With p = position − write index (modulo the cache's size if circular), the result
    is update[p] where 0 ≤ p < the update's length, and the cache elsewhere.
    """
    cache, update = node.input(0), node.input(1)
    rank = node.rank(0)
    axis = node.axis("axis", -2, rank)
    size, length = node.shape(0)[axis], node.shape(1)[axis]
    start: Any = np.zeros((1,), np.int64)
    if node.has(2):
        start = b.cast(node.input(2), np.int64)
    start = b.reshape(start, [b.shape(start)[0], *[1] * (rank - 1)])
    places = b.reshape(positions(size), _along(axis, rank, size))
    position = b.sub(places, start)
    if node.text("mode", "linear") == "circular":
        position = b.mod(position, size)
    inside = b.logical_and(b.ge(position, 0), b.lt(position, length))
    source = b.take_along_axis(update, b.clip(position, 0, length - 1), axis)
    return b.select(inside, source, cache)


def _along(axis: int, rank: int, size: Any) -> list[Any]:
    """A shape that has `size` on one axis and 1 on the others."""
    return [size if at == axis else 1 for at in range(rank)]


def _top_k(node: Node) -> Sequence[Any]:
    k = node.integer("k") if node.opset < 10 else int(node.scalar(1, "k"))
    axis = node.axis("axis", -1, node.rank(0))
    values, indices = b.topk(node.input(0), k, axis, node.flag("largest", True))
    return values, indices


def _arg(function: Any) -> Handler:
    def handle(node: Node) -> Any:
        return function(
            node.input(0),
            node.axis("axis", 0, node.rank(0)),
            keepdims=node.flag("keepdims", True),
            select_last=node.flag("select_last_index"),
        )

    return handle


def _cumulative(function: Any) -> Handler:
    def handle(node: Node) -> Any:
        axis = node.normal(int(node.scalar(1, "axis")), node.rank(0))
        exclusive, reverse = node.flag("exclusive"), node.flag("reverse")
        return function(node.input(0), axis, node.dtype(0), exclusive, reverse)

    return handle


def _hardmax(node: Node) -> Any:
    x, rank = node.input(0), node.rank(0)
    if node.opset < 13:
        sizes = node.shape(0)
        axis = node.axis("axis", 1, rank)
        flat = b.reshape(x, [*sizes[:axis], -1])
        return b.reshape(_first_largest(flat, axis), sizes)
    return _first_largest(x, node.axis("axis", -1, rank))


def _first_largest(x: Any, axis: int) -> Any:
    """1 at the first largest element along an axis, 0 elsewhere."""
    best = b.argmax(x, axis, keepdims=True)
    size = b.shape(x)[axis]
    places = b.reshape(positions(size), _along(axis, b.rank(x), size))
    return b.cast(b.eq(places, best), b.dtype(x))


INDEXING: dict[str, Handler] = {
    "ArgMax": _arg(b.argmax),
    "ArgMin": _arg(b.argmin),
    "CumProd": _cumulative(b.cumprod),
    "CumSum": _cumulative(b.cumsum),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Hardmax": _hardmax,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "TensorScatter": _tensor_scatter,
    "TopK": _top_k,
}
"""Op type → handler."""
