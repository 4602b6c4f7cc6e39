"""Reductions over any axes: the fallback of everything that reduces.

    for each tile of the output, vectors along its last axis:       the work items
      acc = initial
      for each point of the reduced axes: acc = body(inputs, acc)
      y = acc

A tile is several vectors, whose accumulators hide each other's latency, and for
products several rows, which share what is loaded. Contractions that no faster rule
takes come here too, those of integers: the body is just a multiply and an add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ix.mlir import defining_op
from ix.passes.schedule.body import widen
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, build, carry, loop
from ix.passes.schedule.microkernel.byte_product import BytePairs, byte_pairs
from ix.passes.schedule.reduction import initial_values
from ix.passes.schedule.rules.loop import arithmetic, op_cost
from ix.passes.schedule.rules.row import iteration_space
from ix.passes.schedule.structure import kind_of, reduction_axes
from ix.passes.schedule.sweep import WAYS, sweep
from ix.runtime.sizes import Size, combine, product
from ix.target import Target

__all__ = ["apply", "output_point", "reaches"]

COLUMNS = 256
"""Of the output, in one work item."""

MOST_TILED_OPS = 8
"""A kernel of more ops is not written out several times."""


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes kernels whose anchor is a generic that reduces."""
    anchors = [op for op in kernel.ops if kind_of(op) in ("reduce", "contraction")]
    if kernel.family not in ("reduce", "contraction") or len(anchors) != 1:
        return None
    anchor = anchors[0]
    points = kernel.most(product(iteration_space(anchor, kernel)))
    tile = _tile(kernel, anchor, target)
    items = tile.items()
    ns = points * op_cost(anchor) / (8 * tile.vectors)

    reduction = _Reduction(anchor, _pairs_of(anchor, target))

    def emit(frame: Frame) -> None:
        frame.for_items(lambda item: _emit_tile(frame, reduction, tile, item))

    return build(
        kernel,
        target,
        emit,
        family="reduce",
        items=items,
        item_ns=ns / max(kernel.most(items), 1),
        lanes=target.lanes(32),
        flops=points * arithmetic(anchor),
    )


@dataclass(frozen=True)
class _Reduction:
    """The generic that reduces, and how, where it multiplies bytes."""

    op: Any
    pairs: BytePairs | None


def _pairs_of(anchor: Any, target: Target) -> BytePairs | None:
    return byte_pairs(anchor, target) if kind_of(anchor) == "contraction" else None


@dataclass(frozen=True)
class _Tile:
    """What is reduced at once, and the columns that a work item walks through.

    domain: Sizes of the output.
    rows: Of its last axis but one.
    vectors: Along its last axis.
    columns: Of one item; 0: all.
    """

    domain: tuple[Size, ...]
    rows: int
    vectors: int
    columns: int

    def items(self) -> Size:
        return product(self.counts())

    def counts(self) -> list[Size]:
        """How many items lie along each axis of the output."""
        if not self.domain:
            return []
        *outer, last = self.domain
        counts: list[Size] = [*outer]
        if self.rows > 1:
            counts[-1] = _blocks(counts[-1], self.rows)
        return [*counts, _blocks(last, self.columns) if self.columns else 1]


def _blocks(size: Size, block: int) -> Size:
    return combine("div", combine("add", size, block - 1), block)


def _tile(kernel: Kernel, anchor: Any, target: Target) -> _Tile:
    domain = kernel.shape(anchor.operation.results[0])
    if not domain or len(kernel.ops) > MOST_TILED_OPS:
        return _Tile(domain, 1, 1, 0)
    rows = 1
    if kind_of(anchor) == "contraction" and len(domain) > 1:
        # Half of the registers accumulate.
        rows = min(target.registers // 2 // WAYS, kernel.most(domain[-2]))
    columns = COLUMNS if kernel.most(domain[-1]) > COLUMNS else 0
    return _Tile(domain, max(rows, 1), WAYS, columns)


def _emit_tile(frame: Frame, reduction: _Reduction, tile: _Tile, item: Index) -> None:
    """The rows and columns of one item."""
    elemental, math = frame.elemental, frame.math
    if not tile.domain:
        _emit_points(frame, reduction, [([], Lanes())])
        return
    sizes = [elemental.base(size) for size in tile.domain]
    *outer, block = math.delinearize(item, [elemental.base(c) for c in tile.counts()])
    rows = [outer]
    if tile.rows > 1:
        # Rows beyond the last are the last one, computed and stored again.
        first = math.compute("mul", outer[-1].base, tile.rows)
        last = math.compute("sub", sizes[-2], 1)
        places = [math.compute("add", first, row) for row in range(tile.rows)]
        rows = [
            [*outer[:-1], Index(math.compute("min", place, last))] for place in places
        ]
    low: Any = 0
    high = sizes[-1]
    if tile.columns:
        low = math.compute("mul", block.base, tile.columns)
        high = math.compute("min", high, math.compute("add", low, tile.columns))
    step = tile.vectors * math.lanes
    groups = math.compute("div", math.compute("sub", high, low), step)
    middle = math.compute("add", low, math.compute("mul", groups, step))
    full = Lanes(math.lanes, math.lanes)

    def at_once(columns: list[tuple[Index, Lanes]]) -> None:
        points = [([*row, column], n) for row in rows for column, n in columns]
        _emit_points(frame, reduction, points)

    def group(j: Any) -> None:
        starts = [math.compute("add", j, n * math.lanes) for n in range(tile.vectors)]
        at_once([(Index(start, 1, math.lanes), full) for start in starts])

    def vector(j: Index, lanes: Lanes, way: int, carried: Any) -> list[Any]:
        at_once([(j, lanes)])
        return []

    loop(low, middle, step, group, elemental)
    sweep(elemental, middle, high, vector, [[]])


def _emit_points(
    frame: Frame, reduction: _Reduction, points: list[tuple[list[Index], Lanes]]
) -> None:
    """Reduces at points (or vectors of points) at once and stores the outputs."""
    elemental = frame.elemental
    results = list(reduction.op.operation.results)
    found = _Walk(frame, reduction, points).values()
    for (at, lanes), values in zip(points, found, strict=True):
        for result, value in zip(results, values, strict=True):
            elemental.providers[result] = lambda _, __, v=value: v
        for output, buffer in zip(frame.kernel.outputs, frame.outputs, strict=True):
            to = output_point(output, results[0], at)
            value = elemental.value_at(output, to, lanes)
            elemental.store(value, buffer, to, lanes, output.type.element_type)


def output_point(output: Any, root: Any, at: list[Index]) -> list[Index]:
    """The indices of an output at a point of the anchor's result.

    Epilogues read the anchor through permutations: they are undone from the root up.
    """
    if output.owner == root.owner:  # any result of the anchor: argmax has two
        return at
    op = defining_op(output)
    assert op is not None and op.operation.name == "linalg.generic"
    for operand, map_ in zip(op.inputs, op.indexing_maps, strict=False):
        if not reaches(operand, root):
            continue
        inner = output_point(operand, root, at)
        dims = [Index(0)] * map_.value.n_dims
        for expr, index in zip(map_.value.results, inner, strict=True):
            if hasattr(expr, "position"):
                dims[expr.position] = index
        return dims
    raise AssertionError("an output of the kernel does not come from its anchor")


def reaches(value: Any, root: Any) -> bool:
    """Whether `value` comes from the op of `root`, inside the kernel."""
    if value.owner == root.owner:
        return True
    op = defining_op(value)
    if op is None or op.operation.name != "linalg.generic":
        return False
    return any(reaches(v, root) for v in op.inputs)


class _Walk:
    """Walks the reduced axes once for several points (or vectors of points)."""

    def __init__(
        self,
        frame: Frame,
        reduction: _Reduction,
        points: list[tuple[list[Index], Lanes]],
    ) -> None:
        self.elemental = frame.elemental
        self.op, self.pairs = reduction.op, reduction.pairs
        self.axes = reduction_axes(self.op)
        self.space = iteration_space(self.op, frame.kernel)
        self.lanes = [lanes for _, lanes in points]
        self.places: list[list[Index]] = []
        results = self.op.indexing_maps[len(list(self.op.inputs))].value.results
        for at, _ in points:
            dims = [Index(0)] * len(self.space)
            for expr, index in zip(results, at, strict=True):
                if hasattr(expr, "position"):
                    dims[expr.position] = index
            self.places.append(dims)

    def values(self) -> list[list[Any]]:
        """The values of the op's results at each of the points."""
        start = initial_values(self.op, self.elemental)
        initial = [widen(v, lanes.count) for lanes in self.lanes for v in start]
        return _in_parts(self._nest(0, initial), len(self.lanes))

    def _nest(self, depth: int, running: list[Any]) -> list[Any]:
        if depth == len(self.axes):
            return running
        axis = self.axes[depth]
        high = self.elemental.base(self.space[axis])
        low: Any = 0
        if depth < len(self.axes) - 1:

            def step(i: Any, *carried: Any) -> list[Any]:
                self._at(axis, i)
                return self._nest(depth + 1, list(carried))

        else:
            step = self._one
            if self.pairs is not None and self.lanes[0].count > 1:
                math = self.elemental.math
                low = math.compute("mul", math.compute("div", high, 2), 2)
                running = carry(0, low, 2, self._two, running, self.elemental)
        return carry(low, high, 1, step, running, self.elemental)

    def _at(self, axis: int, index: Any) -> list[list[Index]]:
        """The points with an index of a reduced axis."""
        for dims in self.places:
            dims[axis] = Index(index)
        return [list(dims) for dims in self.places]

    def _one(self, i: Any, *running: Any) -> list[Any]:
        """Takes one index of the innermost reduced axis in."""
        values: list[Any] = []
        places = self._at(self.axes[-1], i)
        parts = _in_parts(running, len(places))
        for dims, lanes, own in zip(places, self.lanes, parts, strict=True):
            values += self._accumulated(dims, lanes, own)
        return values

    def _two(self, i: Any, *running: Any) -> list[Any]:
        """Takes two indices of the innermost reduced axis in."""
        assert self.pairs is not None
        axis = self.axes[-1]
        following = self.elemental.math.compute("add", i, 1)
        both = zip(self._at(axis, i), self._at(axis, following), strict=True)
        return [
            self.pairs.accumulate(self.elemental, pair, lanes, value)
            for pair, lanes, value in zip(both, self.lanes, running, strict=True)
        ]

    def _accumulated(
        self, dims: list[Index], lanes: Lanes, running: list[Any]
    ) -> list[Any]:
        """As `accumulate`, without masks: nobody stores lanes beyond the edge."""
        inputs = [
            widen(v, lanes.count)
            for v in self.elemental.generic_operands(self.op, dims, lanes)
        ]
        values = self.elemental.generic_body(self.op, [*inputs, *running], dims, lanes)
        return [widen(v, lanes.count) for v in values]


def _in_parts(values: Sequence[Any], count: int) -> list[list[Any]]:
    """A flat list as `count` lists of one length."""
    size = len(values) // count
    return [list(values[n * size : (n + 1) * size]) for n in range(count)]
