"""What the indexing maps of a generic say about where it reads and writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ix.mlir import ir
from ix.passes.schedule.structure import reduction_axes
from ix.runtime.sizes import Size

__all__ = [
    "is_identity",
    "matching_axes",
    "output_map",
    "reads",
    "reads_row",
    "reduces_last",
]


def reads(op: Any) -> Iterable[tuple[Any, Any]]:
    """The inputs of a generic, each with its indexing map."""
    return zip(op.inputs, [m.value for m in op.indexing_maps], strict=False)


def output_map(op: Any) -> Any:
    """The indexing map of a generic's first output."""
    return op.indexing_maps[len(list(op.inputs))].value


def reduces_last(op: Any) -> bool:
    """Whether a generic reduces its last axes alone, to one value a row.

    Windows are no rows: neighbours share most of theirs, and have few elements.
    """
    axes = reduction_axes(op)
    count = len(op.iterator_types)
    rows = count - len(axes)
    if axes != list(range(rows, count)) or not reads_row(output_map(op), rows):
        return False
    return not any(has_window(map_) for _, map_ in reads(op))


def has_window(map_: Any) -> bool:
    """Whether an index of a map is a sum of loops."""
    return any("+" in str(result) for result in map_.results)


def is_identity(map_: Any, rank: int) -> bool:
    """Whether a map is (d0, …, d(rank−1))."""
    return [str(r) for r in map_.results] == [f"d{i}" for i in range(rank)]


def reads_row(map_: Any, rows: int) -> bool:
    """Whether a map reads one value a row: (d0, …, d(rows−1)), then zeros."""
    results = [str(r) for r in map_.results]
    return results[:rows] == [f"d{i}" for i in range(rows)] and all(
        r == "0" for r in results[rows:]
    )


def matching_axes(
    map_: Any,
    member: tuple[int, ...],
    shape: tuple[Size, ...],
    domain: tuple[Size, ...],
) -> tuple[int, ...] | None:
    """The domain axis of each axis of an op that reads a member through `map_`.

    None where the op does not visit each of the member's points exactly once.
    """
    axes: dict[int, int] = {}
    units = []
    for position, expr in enumerate(map_.results):
        axis = member[position]
        if isinstance(expr, ir.AffineDimExpr):
            if expr.position in axes:
                return None
            axes[expr.position] = axis
        elif str(expr) == "0" and domain[axis] == 1:
            units.append(axis)
        else:
            return None
    for d in range(len(shape)):
        if d not in axes:
            if shape[d] != 1 or not units:
                return None
            axes[d] = units.pop(0)
    if len(axes) != len(domain) or any(
        shape[d] != domain[axis] for d, axis in axes.items()
    ):
        return None
    return tuple(axes[d] for d in range(len(shape)))
