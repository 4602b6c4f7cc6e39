"""Reductions over the last axes, and what is done with the row around them.

    thread t of T:   for c:  x[c] = row[(c · T + t) · V …]      one read of the row
                     for each phase: partial results of the thread, then of all T
                     for c:  y[row, (c · T + t) · V …] = …

The loop over c is written out, so that everything a sweep computes stays in registers
for the next: rows of up to twice `row_shape.REGISTER_ELEMENTS` a thread are read once.
Of longer ones a part stays in registers, and as much as there is room for in shared
memory (`kept_row.py`). What is beyond is read again by each sweep; two reductions that
depend on each other then share one where that is possible (`online.py`). A short row
takes a part of a warp, others a block.

A row of odd length starts anywhere in a sector of 32 bytes. Its elements are counted
from the sector's first one, so that a warp reads four sectors and not parts of five.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ix.mlir import arith, ir, scf
from ix.passes.gpu.kept_row import KeptRow, element_bytes, kept_values
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel, shared_room
from ix.passes.gpu.online import OnlinePair, Point, online_pair
from ix.passes.gpu.reduce_threads import Threads, across_lanes
from ix.passes.gpu.row_shape import RowShape, row_width
from ix.passes.schedule.body import widen
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, carry
from ix.passes.schedule.reduction import (
    accumulate,
    associative,
    initial_values,
    neutral_value,
)
from ix.passes.schedule.rules.loop import arithmetic
from ix.passes.schedule.rules.row import Row
from ix.runtime.sizes import bounds, combine, product
from ix.target import Target

__all__ = ["RowCode", "apply", "row_of"]


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes kernels of family `row` whose rows are never empty."""
    row = row_of(kernel, target)
    if row is None:
        return None
    width = row_width(kernel, row)
    kernel.needs(width > 1, "partial-vectors", "vector_row")
    return _code(kernel, row, width, target) or _code(kernel, row, 1, target)


def row_of(kernel: Kernel, target: Target) -> Row | None:
    """The phases of a kernel's rows; None for rows that may be empty, or no rows."""
    if kernel.family != "row":
        return None
    row = Row(kernel, target)
    inner = product(row.domain[row.rows :])
    filled = bounds(inner, kernel.ranges)[0] > 0
    if not row.vectors or not kernel.needs(filled, "may-be-empty"):
        return None
    return row


def _code(kernel: Kernel, row: Row, width: int, target: Target) -> GpuCode | None:
    """The kernel, or None where its vectors would fall into single accesses."""
    kept = kept_values(kernel, row)
    shape = RowShape.of(kernel, row, width, kept=kept, room=shared_room(target))
    if kept:  # Else one sweep reads the row, however long.
        registers = not (shape.shared or shape.more)
        kernel.needs(registers, "long-row", "row_in_registers")
        kernel.needs(not shape.more, "long-row", "row_in_shared_memory")
    rows = product(row.domain[: row.rows])
    frames: list[GpuFrame] = []

    def emit(frame: GpuFrame) -> None:
        frames.append(frame)
        RowCode(kernel, row, shape, frame, kept if shape.shared else ()).emit()

    elements = kernel.most(product(row.domain))
    code = build_kernel(
        kernel,
        emit,
        family="row",
        blocks=combine("div", combine("add", rows, shape.rows - 1), shape.rows),
        threads=shape.threads * shape.rows,
        lanes=width,
        dynamic_shared_bytes=shape.shared_vectors * width * element_bytes(kept),
        flops=elements * sum(arithmetic(op) for op in kernel.ops),
    )
    whole = width == 1 or not frames[0].elemental.split
    return code if kernel.needs(whole, "scattered-vectors", "vector_row") else None


class RowCode:
    """Emits the code of one thread."""

    def __init__(
        self,
        kernel: Kernel,
        row: Row,
        shape: RowShape,
        frame: GpuFrame,
        kept: Sequence[Any] = (),
    ) -> None:
        self.kernel, self.row, self.shape, self.frame = kernel, row, shape, frame
        self.elemental, self.math = frame.elemental, frame.math
        self.threads = Threads(frame, shape.threads, shape.rows)
        math = frame.math
        self.lane = math.compute("mod", frame.thread, shape.threads)
        self.in_block = math.compute("div", frame.thread, shape.threads)
        self.inner = [self.elemental.base(s) for s in row.domain[row.rows :]]
        self.length = self.elemental.base(product(row.domain[row.rows :]))
        self.lanes = Lanes(shape.width, shape.width)
        self.start: Any = 0
        self.shift: Any = 0
        self.kept = KeptRow(frame, kept, shape.shared, shape.threads, shape.width)

    def emit(self) -> None:
        """The rows of the block of a kernel of its own."""
        first = self.math.compute("mul", self.frame.block, self.shape.rows)
        self.emit_rows(first, self.shape.rows > 1)

    def emit_rows(self, first: Any, beyond: bool) -> None:
        """All phases of a row for each group of threads, then its outputs.

        Args:
            first: The row of the block's first threads.
            beyond: Whether a group may lie beyond the last row.
        """
        row, math = self.row, self.math
        rows = self.elemental.base(product(row.domain[: row.rows]))
        number = math.compute("add", first, self.in_block)
        exists = None
        if beyond:
            # A thread beyond the last row computes the last one again: shuffles need
            # whole warps. It stores nothing.
            exists = self._below(number, rows)
            number = math.compute("min", number, math.compute("sub", rows, 1))
        self.shift_row(number)
        sizes = [self.elemental.base(s) for s in row.domain[: row.rows]]
        outer = math.delinearize(Index(number), sizes)
        self._reduce_all(outer)
        if exists is None:
            self._write(outer)
            return
        branch = scf.IfOp(exists)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            self._write(outer)
            scf.YieldOp([])

    def shift_row(self, number: Any) -> None:
        """Counts the elements of row `number` from the start of a sector on."""
        if self.shape.slack:
            length = self.elemental.base(product(self.row.domain[self.row.rows :]))
            first = self.math.compute("mul", number, length)
            self.shift = self.math.compute("mod", first, self.shape.slack + 1)

    def _below(self, number: Any, limit: Any) -> Any:
        return arith.cmpi(
            arith.CmpIPredicate.ult, self.math.value(number), self.math.value(limit)
        )

    # Sweeps.

    def _position(self, step: Any) -> tuple[Any, Any]:
        """Where a thread's vector of a step starts, and whether it is in the row.

        A vector beyond an end is read at the last or first one in its place. The second
        value is None where no vector can be beyond.
        """
        math, shape = self.math, self.shape
        first = math.compute("mul", step, shape.threads * shape.width)
        shift = math.compute("mul", self.lane, shape.width)
        at = math.compute("add", self.start, math.compute("add", first, shift))
        if shape.slack:
            at = math.compute("sub", at, self.shift)
        if self._is_whole(step):
            return at, None
        last = math.compute("sub", self.length, shape.width)
        near = math.compute("min", at, last)
        if shape.slack:
            near = math.compute("max", near, 0)
        # What is before the row is not below its end as an unsigned number either.
        return near, self._below(at, self.length)

    def _is_whole(self, step: Any) -> bool:
        """Whether no thread's vector of a step is beyond an end."""
        if not (isinstance(step, int) and isinstance(self.length, int)):
            return False
        if self.shape.slack and not step:
            return False
        return (step + 1) * self.shape.threads * self.shape.width <= self.length

    def _point(self, outer: list[Index], at: Any) -> list[Index]:
        index = Index(at, int(self.shape.width > 1), self.shape.width)
        if len(self.inner) == 1:
            return [*outer, index]
        return [*outer, *self.math.delinearize(index, self.inner)]

    def _sweep(
        self, outer: list[Index], body: Any, carried: list[Any], tile: int = 1
    ) -> list[Any]:
        """body(points, values) → values, for the thread's vectors, `tile` at a time."""
        shape, math = self.shape, self.math
        for step in range(0, shape.steps, tile):
            steps = range(step, min(step + tile, shape.steps))
            carried = body([self._at_step(outer, s) for s in steps], carried)
        stride = shape.threads * shape.width
        end = math.compute("add", self.length, stride - 1 + shape.slack)
        end = math.compute("div", end, stride)
        first = shape.steps
        if shape.shared:
            last = first + shape.shared
            stop = end if not shape.more else math.compute("min", end, last)
            carried = self._loop(outer, body, carried, tile, (first, stop), True)
            first = last
        if shape.more:
            carried = self._loop(outer, body, carried, tile, (first, end), False)
        self.kept.end_sweep()
        return carried

    def _loop(
        self,
        outer: list[Index],
        body: Any,
        carried: list[Any],
        tile: int,
        bounds_: tuple[Any, Any],
        kept: bool,
    ) -> list[Any]:
        """The part of a sweep that is not written out."""
        low, high = bounds_

        def some(step: Any, *values: Any) -> list[Any]:
            points = []
            for number in range(tile):
                at = self.math.compute("add", step, number)
                point = self._at_step(outer, at)
                if kept:
                    place = self.math.compute("sub", at, self.shape.steps)
                    self.kept.at(place, point[0])
                points.append(point)
            found: list[Any] = body(points, list(values))
            self.kept.at(None, [])
            return found

        return carry(low, high, tile, some, carried, self.elemental)

    def _at_step(self, outer: list[Index], step: Any) -> Point:
        at, inside = self._position(step)
        return self._point(outer, at), inside

    def _reduce_all(self, outer: list[Index]) -> None:
        """All phases; binds what they compute."""
        phases = list(self.row.phases)
        while phases:
            ops, row_ops = phases.pop(0)
            pair = self._pair(ops, phases[0][0]) if phases else None
            if pair is not None:
                self._reduce_pair(outer, pair, row_ops)
                ops, row_ops = [], phases.pop(0)[1]
            if ops:
                self._bind(ops, self._totals(outer, ops))
            for op in row_ops:
                self._row_value(outer, op)

    def _pair(self, ops: list[Any], following: list[Any]) -> OnlinePair | None:
        """Two phases as one, where the row would be read from memory for each."""
        if not self.shape.more:
            return None
        pair = None
        if len(ops) == len(following) == 1:
            rows = self.row.rows
            pair = online_pair(ops[0], following[0], rows, self.elemental, self.lanes)
        self.kernel.needs(pair is not None, "no-online-pair", "online_row")
        return pair

    def _reduce_pair(
        self, outer: list[Index], pair: OnlinePair, row_ops: list[Any]
    ) -> None:
        """One sweep for two phases; row_ops: what the first one's result is for."""

        def body(points: list[Point], state: list[Any]) -> list[Any]:
            return pair.update(state, points)

        state = self._sweep(outer, body, pair.start(), self.shape.tile)
        state = self.threads.join(pair.join, pair.across(state))
        self._bind([pair.first], [pair.total_of_first(state)])
        for op in row_ops:
            self._row_value(outer, op)
        dims = [*outer, *[Index(0)] * len(self.inner)]
        self._bind([pair.second], [pair.total_of_second(state, dims)])

    def _totals(self, outer: list[Index], ops: list[Any]) -> list[Any]:
        """What each op makes of the row, in every thread; without its initial value."""
        elemental, lanes = self.elemental, self.lanes
        start = self._neutral(ops, lanes.count)

        def body(points: list[Point], running: list[Any]) -> list[Any]:
            ((dims, inside),) = points
            found = [
                accumulate(op, elemental, dims, lanes, [value])[0]
                for op, value in zip(ops, running, strict=True)
            ]
            if inside is None:
                return found
            return [
                arith.select(inside, new, old)
                for new, old in zip(found, running, strict=True)
            ]

        return self._across(ops, self._sweep(outer, body, start))

    def _neutral(self, ops: list[Any], lanes: int) -> list[Any]:
        """What each op's running value starts from, in every lane."""
        first = [initial_values(op, self.elemental)[0] for op in ops]
        return [
            neutral_value(associative(op), value.type, lanes)
            for op, value in zip(ops, first, strict=True)
        ]

    def _across(self, ops: list[Any], partials: list[Any]) -> list[Any]:
        """The partial values of all threads combined, in each of them."""
        totals = []
        for op, value in zip(ops, partials, strict=True):
            combiner = associative(op)
            totals.append(self.threads.reduce(combiner, across_lanes(combiner, value)))
        return totals

    def _bind(self, ops: list[Any], totals: list[Any]) -> None:
        """Gives each op its result."""
        for op, total in zip(ops, totals, strict=True):
            (first,) = initial_values(op, self.elemental)
            value = associative(op)(total, first)
            result = op.operation.results[0]
            self.elemental.providers[result] = lambda _, __, v=value: v

    def _row_value(self, outer: list[Index], op: Any) -> None:
        """Computes a value that is one a row, and binds it."""
        result = op.operation.results[0]
        rank = len(result.type.shape)
        at = [*outer, *[Index(0)] * (rank - len(outer))]
        value = self.elemental.value_at(result, at, Lanes())
        self.elemental.providers[result] = lambda _, __, v=value: v

    # Outputs.

    def _write(self, outer: list[Index]) -> None:
        whole: list[Any] = []
        single: list[Any] = []
        for value, buffer in zip(self.kernel.outputs, self.frame.outputs, strict=True):
            full = self.kernel.shape(value) == self.row.domain
            (whole if full else single).append((value, buffer))
        if single:
            branch = scf.IfOp(self._below(self.lane, 1))
            with ir.InsertionPoint(branch.then_block), self.elemental.scope():
                for value, buffer in single:
                    rank = len(value.type.shape)
                    at = [*outer, *[Index(0)] * (rank - len(outer))]
                    self._store(value, buffer, at, Lanes())
                scf.YieldOp([])
        if whole:
            self._sweep(outer, lambda points, _: self._write_step(points, whole), [])

    def _write_step(self, points: list[Point], whole: list[Any]) -> list[Any]:
        ((dims, inside),) = points
        if inside is None:
            for value, buffer in whole:
                self._store(value, buffer, dims, self.lanes)
            return []
        branch = scf.IfOp(inside)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            for value, buffer in whole:
                self._store(value, buffer, dims, self.lanes)
            scf.YieldOp([])
        return []

    def _store(self, value: Any, buffer: Any, at: list[Index], lanes: Lanes) -> None:
        found = widen(self.elemental.value_at(value, at, lanes), lanes.count)
        element = value.type.element_type
        with self.kernel.location_of(value):
            self.elemental.store(found, buffer, at, lanes, element)
