"""Walking an axis vector by vector, with the edge masked.

    sweep(frame, 0, size, body, carried)

runs `body(j, lanes, way, value)` for each vector of the axis; `carried[way]` is the
running value of independent accumulators, which hide the latency of the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.mlir import arith, ir, scf
from ix.passes.schedule.elemental import Elemental, Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import carry

__all__ = ["WAYS", "sweep"]

WAYS = 4
"""Independent accumulators: enough to hide the latency of max, add and fma."""

Body = Callable[[Index, Lanes, int, Any], Any]


def sweep(
    elemental: Elemental,
    low: Any,
    high: Any,
    body: Body,
    carried: Sequence[Sequence[Any]],
) -> list[list[Any]]:
    """Visits low ≤ j < high in vectors.

    Args:
        elemental: Emits; its lanes are the vector's length.
        low: A multiple of the lanes, or 0.
        high: The end: an int or a value of type index.
        body: Gets the vector's first index, its lanes, the number of the accumulator
            and that accumulator's values; returns the new values.
        carried: First values, a list for each accumulator.

    Returns:
        The last values, a list for each accumulator.
    """
    math = elemental.math
    lanes = math.lanes
    ways = len(carried)
    values = [list(each) for each in carried]
    full = Lanes(lanes, lanes)
    length = math.compute("sub", high, low)
    vectors = math.compute("div", length, lanes)
    groups = math.compute("div", vectors, ways)

    def end(count: Any, width: int) -> Any:
        return math.compute("add", low, math.compute("mul", count, width))

    # Whole groups: one vector for each accumulator.
    group_end = end(groups, ways * lanes)
    values = _loop(elemental, low, group_end, ways * lanes, full, body, values)
    # Vectors left over: into the first accumulator.
    vector_end = end(vectors, lanes)
    if isinstance(group_end, int) and isinstance(vector_end, int):
        for way, j in enumerate(range(group_end, vector_end, lanes)):
            values[way] = list(body(Index(j, 1, lanes), full, way, values[way]))
    else:
        values[:1] = _loop(
            elemental, group_end, vector_end, lanes, full, body, values[:1]
        )
    return _edge(elemental, vector_end, high, body, values)


def _loop(
    elemental: Elemental,
    low: Any,
    high: Any,
    step: int,
    full: Lanes,
    body: Body,
    values: list[list[Any]],
) -> list[list[Any]]:
    widths = [len(each) for each in values]
    lanes = elemental.math.lanes

    def each(j: Any, *flat: Any) -> list[Any]:
        running = _split(flat, widths)
        result: list[Any] = []
        for way, value in enumerate(running):
            at = elemental.math.compute("add", j, way * lanes)
            result += body(Index(at, 1, lanes), full, way, value)
        return result

    flat = [v for each_way in values for v in each_way]
    return _split(carry(low, high, step, each, flat, elemental), widths)


def _split(flat: Sequence[Any], widths: list[int]) -> list[list[Any]]:
    result, first = [], 0
    for width in widths:
        result.append(list(flat[first : first + width]))
        first += width
    return result


def _edge(
    elemental: Elemental, at: Any, high: Any, body: Body, values: list[list[Any]]
) -> list[list[Any]]:
    """The last, partial vector."""
    math = elemental.math
    live = math.compute("sub", high, at)
    index = Index(at, 1, math.lanes)
    if isinstance(live, int):
        if live:
            values[0] = list(body(index, Lanes(math.lanes, live), 0, values[0]))
        return values
    some = arith.cmpi(arith.CmpIPredicate.sgt, live, math.value(0))
    branch = scf.IfOp(some, [v.type for v in values[0]], has_else=bool(values[0]))
    with ir.InsertionPoint(branch.then_block), elemental.scope():
        scf.YieldOp(list(body(index, Lanes(math.lanes, live), 0, values[0])))
    if values[0]:
        with ir.InsertionPoint(branch.else_block):
            scf.YieldOp(values[0])
    values[0] = list(branch.results)
    return values
