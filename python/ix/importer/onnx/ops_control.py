"""Control flow: If, Loop and Scan, as far as they are known on import.

A Loop or Scan with a constant trip count is unrolled. An If on a constant is its
branch; on a computed condition, small branches of equal types are both computed and
one is selected, which a program without side effects cannot tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.importer import builder as b
from ix.importer.dims import DimExpr
from ix.importer.onnx.node import Handler, NeedsValue, Node, Unsupported
from ix.importer.onnx.scope import UNKNOWN
from ix.importer.onnx.tensors import dtype_of

__all__ = ["CONTROL", "MAX_TRIPS"]

MAX_TRIPS = 64
"""The most iterations that are unrolled."""

_MAX_SELECTED_NODES = 64
"""The largest two branches that are both computed."""


def _if(node: Node) -> Sequence[Any]:
    branches = (node.graph("then_branch"), node.graph("else_branch"))
    try:
        condition = bool(node.scalar(0, "condition"))
    except NeedsValue as unknown:
        return _select(node, branches, unknown)
    chosen = branches[0] if condition else branches[1]
    return node.importer.subgraph(chosen, node.scope, [])


def _select(node: Node, branches: Sequence[Any], unknown: NeedsValue) -> list[Any]:
    """Both branches, and for each output a selection."""
    if sum(len(branch.node) for branch in branches) > _MAX_SELECTED_NODES:
        raise unknown
    with node.importer.attempt() as issues:
        then, other = (
            node.importer.subgraph(branch, node.scope, []) for branch in branches
        )
        if issues or not all(map(_alike, then, other)):
            raise unknown
    condition = b.reshape(node.input(0), ())
    return [b.select(condition, x, y) for x, y in zip(then, other, strict=True)]


def _alike(x: Any, y: Any) -> bool:
    """Whether two values have one static shape and dtype."""
    if any(value is UNKNOWN or isinstance(value, DimExpr) for value in (x, y)):
        return False
    return tuple(b.shape(x)) == tuple(b.shape(y)) and b.dtype(x) == b.dtype(y)


def _loop(node: Node) -> Sequence[Any]:
    trips = int(node.scalar(0, "trip count")) if node.has(0) else None
    going = bool(node.scalar(1, "condition")) if node.has(1) else True
    if trips is not None and going and trips > MAX_TRIPS:
        raise Unsupported(f"runs {trips} times, but at most {MAX_TRIPS} are unrolled")
    body = node.graph("body")
    carried = list(node.raw_inputs[2:])
    count = len(carried)
    scanned: list[list[Any]] = [[] for _ in body.output[1 + count :]]
    trip = 0
    while going and (trips is None or trip < trips):
        if trip >= MAX_TRIPS:
            raise Unsupported(f"runs more than {MAX_TRIPS} times")
        arguments = [np.asarray(trip, np.int64), np.asarray(True), *carried]
        outputs = node.importer.subgraph(body, node.scope, arguments)
        _require_known(outputs)
        going = _known_condition(node, outputs[0])
        carried = outputs[1 : 1 + count]
        for column, value in zip(scanned, outputs[1 + count :], strict=True):
            column.append(value)
        trip += 1
    formals = body.output[1 + count :]
    return [*carried, *map(_stacked, scanned, formals)]


def _known_condition(node: Node, value: Any) -> bool:
    known = node.importer.fold(value)
    if not isinstance(known, np.ndarray):
        raise NeedsValue(known, "computes its condition, but needs it constant")
    return bool(known)


def _require_known(values: Sequence[Any]) -> None:
    if any(value is UNKNOWN for value in values):
        raise Unsupported("has a body that ix cannot import (see the other items)")


def _stacked(values: list[Any], formal: Any, axis: int = 0) -> Any:
    """The scan output of a loop; of no iteration, an empty one."""
    if values:
        return b.stack(values, axis)
    tensor = formal.type.tensor_type
    dtype = dtype_of(tensor.elem_type)
    known = tensor.HasField("shape") and all(
        dim.HasField("dim_value") for dim in tensor.shape.dim
    )
    if dtype is None or not known:
        raise Unsupported("runs 0 times and does not declare the shape of its outputs")
    return np.zeros((0, *(dim.dim_value for dim in tensor.shape.dim)), dtype)


def _scan(node: Node) -> Sequence[Any]:
    if node.opset < 9:
        raise Unsupported("has the batched form of opset 8; convert it to opset 9")
    body = node.graph("body")
    inputs = node.integer("num_scan_inputs")
    states = len(node.raw_inputs) - inputs
    columns = _columns(node, inputs, states)
    state = list(node.raw_inputs[:states])
    count = len(body.output) - states
    scanned: list[list[Any]] = [[] for _ in range(count)]
    for row in zip(*columns, strict=True):
        outputs = node.importer.subgraph(body, node.scope, [*state, *row])
        _require_known(outputs)
        state = outputs[:states]
        for column, value in zip(scanned, outputs[states:], strict=True):
            column.append(value)
    axes = node.integers("scan_output_axes", [0] * count)
    reverse = node.integers("scan_output_directions", [0] * count)
    results = []
    for index, column in enumerate(scanned):
        ordered = column[::-1] if reverse[index] else column
        results.append(_stacked(ordered, body.output[states + index], axes[index]))
    return [*state, *results]


def _columns(node: Node, inputs: int, states: int) -> list[list[Any]]:
    """Each scan input as its slices, in the order in which they are scanned."""
    axes = node.integers("scan_input_axes", [0] * inputs)
    reverse = node.integers("scan_input_directions", [0] * inputs)
    columns = []
    for index in range(inputs):
        place = states + index
        axis = node.normal(axes[index], node.rank(place))
        length = node.size(place, axis)
        if length > MAX_TRIPS:
            raise Unsupported(
                f"runs {length} times, but at most {MAX_TRIPS} are unrolled"
            )
        value = node.input(place)
        column = [b.take(value, np.asarray(i), axis) for i in range(length)]
        columns.append(column[::-1] if reverse[index] else column)
    return columns


CONTROL: dict[str, Handler] = {"If": _if, "Loop": _loop, "Scan": _scan}
"""Op type → handler."""
