"""Reshape as tensor.collapse_shape and tensor.expand_shape, reassociated finely."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ix.mlir import ir, tensor
from ix.passes.linalg.generic import (
    Size,
    collapse,
    empty,
    expand,
    sizes_of,
    static_shape,
)
from ix.passes.linalg.symbolic import total


class Group(NamedTuple):
    """Neighbouring axes of the input that become neighbouring axes of the result."""

    source: list[int]
    target: list[int]


def reshape(value: ir.Value, sizes: Sequence[Size]) -> ir.Value:
    """A tensor with other sizes, whose product is the same."""
    old = sizes_of(value)
    if 0 in sizes or 0 in old:
        return empty(sizes, value.type.element_type)
    if static_shape(sizes) == static_shape(old) and total_equal(old, sizes):
        return value
    groups = match_axes(old, sizes)
    if not groups:
        return _scalar_reshape(value, sizes)
    if any(len(group.source) > 1 for group in groups):
        value = collapse(value, [group.source for group in groups])
    if any(len(group.target) > 1 for group in groups):
        value = expand(value, sizes, [group.target for group in groups])
    return value


def total_equal(old: Sequence[Size], new: Sequence[Size]) -> bool:
    """Whether sizes are surely equal one by one."""
    return all(total([a]) == total([b]) for a, b in zip(old, new, strict=True))


def match_axes(old: Sequence[Size], new: Sequence[Size]) -> list[Group]:
    """The finest partition of both shapes into groups of surely equal product.

    What is left when no more is surely equal makes one group, which is right because
    the whole products are equal. A scalar on either side gives no group.
    """
    if not old or not new:
        return []
    groups: list[Group] = []
    i = j = 0
    while i < len(old) and j < len(new):
        end = _next_boundary(old, new, i, j)
        if end is None:
            break
        groups.append(Group(list(range(i, end[0])), list(range(j, end[1]))))
        i, j = end
    rest = Group(list(range(i, len(old))), list(range(j, len(new))))
    if rest.source and rest.target:
        groups.append(rest)
    elif groups:
        groups[-1].source.extend(rest.source)
        groups[-1].target.extend(rest.target)
    return groups


def _next_boundary(
    old: Sequence[Size], new: Sequence[Size], i: int, j: int
) -> tuple[int, int] | None:
    """The nearest i' > i, j' > j such that old[i:i'] and new[j:j'] hold the same."""
    ends = [
        (a, b) for a in range(i + 1, len(old) + 1) for b in range(j + 1, len(new) + 1)
    ]
    for a, b in sorted(ends, key=sum):
        if total(old[i:a]) == total(new[j:b]):
            return a, b
    return None


def _scalar_reshape(value: ir.Value, sizes: Sequence[Size]) -> ir.Value:
    """To or from rank 0: every size is 1."""
    if value.type.rank:
        return collapse(_all_units(value), [])
    return expand(value, sizes, []) if sizes else value


def _all_units(value: ir.Value) -> ir.Value:
    """The tensor with static 1s, which one element implies."""
    units = ir.RankedTensorType.get([1] * value.type.rank, value.type.element_type)
    return value if value.type == units else tensor.CastOp(units, value).result
