"""Scatters of rows that lie side by side: each thread owns some rows of some lines.

    thread (line, g of G):  for r = g, g + G …:  y[r, line] = x[r, line]
                            for p in order:      r = indices[p]
                              y[r, line] ∘= updates[p, line]      where r mod G is g

Whoever owns an element takes all its updates, in order: nobody waits, and equal indices
give the bits that one thread alone would. Every thread reads all indices, which lie in
the caches, so that this is for few updates of many neighbouring elements: rows of an
embedding, a cache of keys.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith
from ix.passes.gpu.kernel import ALIGNMENT, GpuCode, GpuFrame, build_kernel
from ix.passes.gpu.scatter_lines import LinePoint, ScatterLines
from ix.passes.schedule import storage
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, loop
from ix.runtime.sizes import combine, product
from ix.target import Target

__all__ = ["apply"]

THREADS = 128
LEAST_NEIGHBOURS = 32
MOST_UPDATES = 1 << 14
MOST_THREADS = 1 << 18
"""Threads of a grid: some times as many as a large GPU holds at once."""


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes scatters of not too many updates of neighbouring lines."""
    if kernel.family not in ("scatter", "scatter_nd"):
        return None
    lines = ScatterLines.of(kernel)
    most = kernel.most
    if not (
        kernel.needs(most(lines.neighbours) >= LEAST_NEIGHBOURS, "few-neighbours")
        and kernel.needs(most(lines.updates) <= MOST_UPDATES, "many-updates")
    ):
        return None
    width = _width(lines)
    vectors = combine("div", product(lines.sizes), width)
    # A thread copies about as many rows as it looks at updates.
    groups = most(lines.rows) // max(most(lines.updates), 1)
    groups = min(groups, MOST_THREADS // max(most(vectors), 1))
    groups = max(groups, 1)
    threads = combine("mul", vectors, groups)
    return build_kernel(
        kernel,
        lambda frame: _emit(lines, frame, width, groups),
        family="scatter",
        blocks=combine("div", combine("add", threads, THREADS - 1), THREADS),
        threads=THREADS,
        lanes=width,
    )


def _width(lines: ScatterLines) -> int:
    """Lines that a thread takes at once: those of a slice have the same indices."""
    width = 8 * ALIGNMENT // (8 * storage.element_bytes(lines.scatter.element))
    last = lines.sizes[-1]
    whole = isinstance(last, int) and last % width == 0
    return width if lines.scatter.nd and whole else 1


def _emit(lines: ScatterLines, frame: GpuFrame, width: int, groups: int) -> None:
    math, elemental = frame.math, frame.elemental
    sizes = [elemental.base(s) for s in lines.sizes]
    sizes[-1] = math.compute("div", sizes[-1], width)
    first = math.compute("mul", frame.block, THREADS)
    number = math.compute("add", first, frame.thread)
    group, *at = math.delinearize(Index(number), [groups, *sizes])
    if width > 1:
        at[-1] = Index(math.compute("mul", at[-1].base, width), 1, width)
    exists = arith.cmpi(
        arith.CmpIPredicate.ult, math.value(group.base), math.value(groups)
    )
    point = LinePoint(lines, frame, at)
    lanes = Lanes(width, width)
    with frame.when(exists):
        _copy(point, group.base, groups, lanes)
        reached = point.has_updates()
        if reached is None:
            _update_all(point, group.base, groups, lanes)
        else:
            with frame.when(reached):
                _update_all(point, group.base, groups, lanes)


def _copy(point: LinePoint, group: Any, groups: int, lanes: Lanes) -> None:
    scatter = point.scatter
    rows = point.frame.elemental.base(point.lines.rows)

    def row(number: Any) -> None:
        at = point.place(number)
        scatter.store(point.frame, at, point.value(scatter.input, at, lanes), lanes)

    loop(group, rows, groups, row, point.frame.elemental)


def _update_all(point: LinePoint, group: Any, groups: int, lanes: Lanes) -> None:
    scatter, math = point.scatter, point.math
    updates = point.frame.elemental.base(point.lines.updates)

    def update(number: Any) -> None:
        valid, row = point.row(number)
        if groups > 1:
            owner = math.compute("mod", row, groups)
            mine = arith.cmpi(arith.CmpIPredicate.eq, owner, math.value(group))
            valid = arith.andi(valid, mine)
        with point.frame.when(valid):
            at = point.place(row)
            new = point.value(scatter.updates, point.update(number), lanes)
            if scatter.reduction != "none":
                new = scatter.combined(_loaded(point, at, lanes), new)
            scatter.store(point.frame, at, new, lanes)

    loop(0, updates, 1, update, point.frame.elemental)


def _loaded(point: LinePoint, at: list[Index], lanes: Lanes) -> Any:
    """What the thread wrote at a place of the result."""
    raw = point.frame.elemental.load(point.frame.outputs[0], at, lanes)
    return storage.from_storage(raw, point.scatter.element)
