"""Tensors whose axes have names, and the contraction that pairs axes of one name.

Convolutions have too many axes to number: `n` batch, `g` group, `o` output and `i`
input channel in a group, `p0` … places of the result, `k0` … places in the filter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ix.mlir import ir
from ix.passes.linalg.generic import (
    Size,
    collapse,
    contract,
    projection_map,
    remove_unit_axes,
    size_of,
)
from ix.passes.linalg.normalization import split_axis


@dataclass(frozen=True)
class Named:
    """A tensor and the names of its axes."""

    value: ir.Value
    axes: tuple[str, ...]

    def size(self, name: str) -> Size:
        """The size of an axis."""
        return size_of(self.value, self.axes.index(name))

    def split(self, name: str, outer: str, count: int, inner: str) -> Named:
        """Axis `name` as `outer`, of size `count`, and `inner`."""
        at = self.axes.index(name)
        axes = (*self.axes[:at], outer, inner, *self.axes[at + 1 :])
        return Named(split_axis(self.value, at, count), axes)

    def join(self, outer: str, inner: str, name: str) -> Named:
        """The neighbours `outer` and `inner` as one axis `name`."""
        at = self.axes.index(outer)
        assert self.axes[at + 1] == inner
        groups = [[axis + (axis > at)] for axis in range(len(self.axes) - 1)]
        groups[at] = [at, at + 1]
        axes = (*self.axes[:at], name, *self.axes[at + 2 :])
        return Named(collapse(self.value, groups), axes)

    def drop(self, names: Sequence[str]) -> Named:
        """Without the axes `names`, which have size 1."""
        units = [at for at, axis in enumerate(self.axes) if axis in names]
        kept = tuple(axis for axis in self.axes if axis not in names)
        return Named(remove_unit_axes(self.value, units), kept)

    def rename(self, old: str, new: str) -> Named:
        """With another name for an axis."""
        return Named(self.value, tuple(new if a == old else a for a in self.axes))


@dataclass(frozen=True)
class Affine:
    """An index Σ factor · loop + offset, by loop names."""

    factors: Mapping[str, int]
    offset: int = 0

    def expr(self, loops: Sequence[str]) -> ir.AffineExpr:
        """The index as an affine expression over `loops`."""
        total = ir.AffineConstantExpr.get(0)
        for name, factor in self.factors.items():
            total = total + ir.AffineDimExpr.get(loops.index(name)) * factor
        return total + self.offset


def contract_named(
    a: Named,
    b: Named,
    result: Sequence[str],
    sizes: Mapping[str, Size],
    accumulator: ir.Type,
    unsigned: tuple[bool, bool],
    places: Mapping[str, Affine],
) -> Named:
    """Sums a · b over the axes that `result` does not have.

    Args:
        a, b: The factors.
        result: The axes of the result, in order.
        sizes: The size of each of them.
        accumulator: The element type of the result.
        unsigned: Whether the integers of a, and of b, are unsigned.
        places: Axis of a → where it is read, if not at the loop of its name.
    """
    reduced = [name for name in (*a.axes, *b.axes) if name not in result]
    loops = [*result, *dict.fromkeys(n for n in reduced if n not in places)]

    def exprs(tensor: Named) -> list[ir.AffineExpr]:
        return [
            places.get(name, Affine({name: 1})).expr(loops)
            if tensor is a
            else ir.AffineDimExpr.get(loops.index(name))
            for name in tensor.axes
        ]

    rank = len(loops)
    maps = [ir.AffineMap.get(rank, 0, exprs(tensor)) for tensor in (a, b)]
    maps.append(projection_map(rank, range(len(result))))
    iterators = ["parallel"] * len(result) + ["reduction"] * (rank - len(result))
    shape = [sizes[name] for name in result]
    total = contract(a.value, b.value, maps, iterators, shape, accumulator, unsigned)
    return Named(total, tuple(result))
