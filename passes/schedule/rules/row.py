"""Rows: reductions over the last axes, and what is done with the row around them.

    for each row:                                          the work items
      for each phase: one sweep over the row, all reductions that depend on no other
      values that are one a row (rsqrt of a variance …), once
      one sweep that writes the outputs

The row is read from memory once and stays in L1 for the later sweeps. What costs more
than a load and is needed by two sweeps (the exponentials of a softmax) is kept in
scratch. Where the tensors lie beyond the level-2 cache, the last sweep that reduces
fetches the next row and the lines that this one is written to: reading, computing and
writing would take turns otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.mlir import defining_op, ir, memref
from ix.passes.schedule import storage
from ix.passes.schedule.body import widen
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, build, carry
from ix.passes.schedule.reduction import (
    accumulate,
    combiner_of,
    initial_values,
    neutral_value,
)
from ix.passes.schedule.rules.loop import arithmetic, op_cost, stream
from ix.passes.schedule.structure import (
    body_ops,
    kind_of,
    reduction_axes,
    tensor_operands,
)
from ix.passes.schedule.sweep import WAYS, sweep
from ix.runtime.sizes import Size, product
from ix.target import Target

__all__ = ["Row", "apply", "iteration_space"]

LINE_BYTES = 64

ROWS_IN_L1 = 8
ROWS_IN_L2 = 16
"""Rows are fetched into a cache that holds so many of them."""

CACHE_BYTES = 1 << 20
"""Rows whose kept values need more scratch than this are computed again instead."""

Fetch = Callable[[list[Index], int], None]
"""Gets the indices within the row and the number of the accumulator."""


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes kernels of family `row`."""
    if kernel.family != "row":
        return None
    row = Row(kernel, target)
    kernel.needs(row.fits_cache, "long-row", "kept_row")
    elements = kernel.most(product(row.domain))
    work = sum(op_cost(op) for op in kernel.ops)
    rows = product(row.domain[: row.rows])
    ns = max(kernel.traffic / 10, elements * work / 16)
    return build(
        kernel,
        target,
        row.emit,
        family="row",
        items=rows,
        item_ns=ns / max(kernel.most(rows), 1),
        lanes=target.lanes(32),
        scratch_bytes=row.scratch_bytes,
        flops=elements * sum(arithmetic(op) for op in kernel.ops),
    )


class Row:
    """The plan of one row kernel: phases of sweeps, and what is kept between them."""

    def __init__(self, kernel: Kernel, target: Target) -> None:
        self.kernel = kernel
        first = next(op for op in kernel.ops if kind_of(op) == "reduce")
        space = iteration_space(first, kernel)
        self.domain = space
        self.rows = len(space) - len(reduction_axes(first))
        self.vectors = all(
            combiner_of(op) is not None for op in kernel.ops if kind_of(op) == "reduce"
        )
        streams = [stream(kernel, v, target) for v in kernel.outputs]
        self.fetch_hint = self._fetch_hint(target, any(streams))
        self.streams = [each and not self.fetch_hint for each in streams]
        self.phases = self._phases()
        self.kept = self._kept_values()
        width = kernel.most(product(self.domain[self.rows :]))
        self.slot_bytes = (width * 4 + 127) // 64 * 64
        self.fits_cache = len(self.kept) * self.slot_bytes <= CACHE_BYTES
        if not self.fits_cache:
            self.kept = []
        self.scratch_bytes = len(self.kept) * self.slot_bytes

    def _phases(self) -> list[tuple[list[Any], list[Any]]]:
        """(reductions of one sweep, row values computed after it), in order."""
        phases: list[tuple[list[Any], list[Any]]] = []
        pending: list[Any] = []
        row_ops: list[Any] = []
        for op in self.kernel.ops:
            if kind_of(op) == "reduce":
                if row_ops or self._depends(op, pending):
                    phases.append((pending, row_ops))
                    pending, row_ops = [], []
                pending = [*pending, op]
            elif self._is_row_value(op) and self._depends(op, [*pending, *row_ops]):
                row_ops = [*row_ops, op]
        phases.append((pending, row_ops))
        return phases

    def _is_row_value(self, op: Any) -> bool:
        """Whether an op's result is one value a row."""
        if kind_of(op) not in ("loop", "alias") or not op.operation.results:
            return False
        shape = self.kernel.shape(op.operation.results[0])
        return (
            shape != self.domain
            and shape[: self.rows] == self.domain[: self.rows]
            and all(size == 1 for size in shape[self.rows :])
        )

    def _depends(self, op: Any, others: Sequence[Any]) -> bool:
        results = {r for other in others for r in other.operation.results}
        return bool(results) and self._reaches(op, results, set())

    def _reaches(self, op: Any, results: set[Any], seen: set[Any]) -> bool:
        for value in tensor_operands(op):
            if value in results:
                return True
            if value in seen:
                continue
            seen.add(value)
            producer = defining_op(value)
            if producer is not None and self._reaches(producer, results, seen):
                return True
        return False

    def _kept_values(self) -> list[Any]:
        """Costly values over the row that more than one sweep needs."""
        sweeps = [
            [v for op in reductions for v in tensor_operands(op)]
            for reductions, _ in self.phases
        ]
        sweeps.append(
            [v for v in self.kernel.outputs if self.kernel.shape(v) == self.domain]
        )
        needed: dict[Any, int] = {}
        for roots in sweeps:
            for value in self._reachable(roots):
                needed[value] = needed.get(value, 0) + 1
        return [
            op.operation.results[0]
            for op in self.kernel.ops
            if kind_of(op) == "loop"
            and needed.get(op.operation.results[0], 0) > 1
            and self._is_costly(op)
        ]

    def _is_costly(self, op: Any) -> bool:
        if op.operation.name != "linalg.generic":
            return False
        result = op.operation.results[0]
        element = storage.element_type(result.type.element_type)
        if self.kernel.shape(result) != self.domain or str(element) != "f32":
            return False
        return any(
            o.operation.name.startswith("math.") or o.operation.name == "arith.divf"
            for o in body_ops(op)
        )

    def _reachable(self, roots: Sequence[Any]) -> set[Any]:
        found: set[Any] = set()
        pending = list(roots)
        while pending:
            value = pending.pop()
            if value in found or self._is_reduced(value):
                continue
            found.add(value)
            producer = defining_op(value)
            if producer is not None:
                pending += tensor_operands(producer)
        return found

    def _is_reduced(self, value: Any) -> bool:
        """Whether a value is known before the sweep: one value a row."""
        producer = defining_op(value)
        if producer is None:
            return False
        return kind_of(producer) == "reduce" or self._is_row_value(producer)

    def _fetch_hint(self, target: Target, streams: bool) -> int:
        """The locality with which rows are fetched ahead of time; 0 where they are not.

        What may be written past the caches is fetched where the last level holds all
        of it in half its size; beyond, memory is the limit.
        """
        caches, traffic = target.cache_bytes, self.kernel.traffic
        row_bytes = 4 * self.kernel.most(product(self.domain[self.rows :]))
        if (
            not self.vectors
            or traffic <= caches.l2
            or row_bytes * ROWS_IN_L2 > caches.l2
        ):
            return 0
        if streams and traffic * 2 > caches.l3:
            return 0
        return 3 if row_bytes * ROWS_IN_L1 <= caches.l1 else 2

    # Emission.

    def emit(self, frame: Frame) -> None:
        frame.for_items(lambda item: self._emit_row(frame, item))

    def _emit_row(self, frame: Frame, item: Index) -> None:
        elemental = frame.elemental
        sizes = [elemental.base(s) for s in self.domain[: self.rows]]
        outer = elemental.math.delinearize(item, sizes)
        cache = _Cache(self, frame)
        for number, (reductions, row_ops) in enumerate(self.phases):
            if reductions:
                last = number == len(self.phases) - 1
                fetch = self._fetcher(frame, item, outer) if last else None
                self._reduce(frame, outer, reductions, fetch)
            cache.filled()
            for op in row_ops:
                self._row_value(frame, outer, op)
        self._write(frame, outer)

    def _fetcher(self, frame: Frame, item: Index, outer: list[Index]) -> Fetch | None:
        """What a sweep calls at each of its points, where it is to fetch."""
        if not self.fetch_hint:
            return None
        kernel, math = self.kernel, frame.math
        last = math.compute("sub", frame.high, 1)
        following = math.compute("min", math.compute("add", item.base, 1), last)
        sizes = [frame.elemental.base(s) for s in self.domain[: self.rows]]
        ahead = math.delinearize(Index(following), sizes)
        values = [*kernel.inputs, *kernel.outputs]
        buffers = [*frame.inputs, *frame.outputs]
        rows = [ahead] * len(kernel.inputs) + [outer] * len(kernel.outputs)
        whole = [
            (value.type.element_type, buffer, row)
            for value, buffer, row in zip(values, buffers, rows, strict=True)
            if kernel.shape(value) == self.domain
        ]

        def fetch(inner: list[Index], way: int) -> None:
            for element, buffer, row in whole:
                vector_bytes = math.lanes * storage.element_bytes(element)
                if way % max(LINE_BYTES // vector_bytes, 1) == 0:
                    at = [math.value(index.base) for index in [*row, *inner]]
                    memref.prefetch(buffer, at, row is outer, self.fetch_hint, True)

        return fetch

    def _reduce(
        self,
        frame: Frame,
        outer: list[Index],
        ops: list[Any],
        fetch: Fetch | None = None,
    ) -> None:
        """One sweep for several reductions; binds their results."""
        elemental = frame.elemental
        combiners = [combiner_of(op) for op in ops]
        initial = [initial_values(op, elemental) for op in ops]
        if self.vectors:
            finals = self._vector_sweep(frame, outer, ops, combiners, initial, fetch)
        else:
            finals = self._scalar_sweep(frame, outer, ops, initial)
        for op, values in zip(ops, finals, strict=True):
            for result, value in zip(op.operation.results, values, strict=True):
                elemental.providers[result] = lambda at, lanes, v=value: v

    def _vector_sweep(
        self,
        frame: Frame,
        outer: list[Index],
        ops: list[Any],
        combiners: list[Any],
        initial: list[list[Any]],
        fetch: Fetch | None,
    ) -> list[list[Any]]:
        lanes = frame.math.lanes
        neutral = [
            neutral_value(c, values[0].type, lanes)
            for c, values in zip(combiners, initial, strict=True)
        ]

        def at_row(inner: list[Index], carried: list[list[Any]]) -> list[list[Any]]:
            def vector(j: Index, n: Lanes, way: int, running: Any) -> list[Any]:
                dims = [*outer, *inner, j]
                if fetch is not None:
                    fetch([*inner, j], way)
                return [
                    accumulate(op, frame.elemental, dims, n, [value], c.running)[0]
                    for op, c, value in zip(ops, combiners, running, strict=True)
                ]

            high = frame.elemental.base(self.domain[-1])
            return sweep(frame.elemental, 0, high, vector, carried)

        ways = self._over_inner(frame, at_row, [list(neutral)] * WAYS)
        finals = []
        for number, (combine, start) in enumerate(zip(combiners, initial, strict=True)):
            values = [way[number] for way in ways]
            while len(values) > 1:
                values = [
                    combine.running(values[i], values[i + 1])
                    for i in range(0, len(values), 2)
                ]
            finals.append([combine.running(combine.across(values[0]), start[0])])
        return finals

    def _scalar_sweep(
        self, frame: Frame, outer: list[Index], ops: list[Any], initial: list[list[Any]]
    ) -> list[list[Any]]:
        """Element by element: for bodies that are no single associative op."""
        widths = [len(values) for values in initial]

        def at_row(inner: list[Index], carried: list[list[Any]]) -> list[list[Any]]:
            def each(j: Any, *flat: Any) -> list[Any]:
                dims = [*outer, *inner, Index(j)]
                result: list[Any] = []
                first = 0
                for op, width in zip(ops, widths, strict=True):
                    running = list(flat[first : first + width])
                    result += accumulate(op, frame.elemental, dims, Lanes(), running)
                    first += width
                return result

            high = frame.elemental.base(self.domain[-1])
            return [carry(0, high, 1, each, carried[0], frame.elemental)]

        start = [v for values in initial for v in values]
        flat = self._over_inner(frame, at_row, [start])[0]
        finals, first = [], 0
        for width in widths:
            finals.append(flat[first : first + width])
            first += width
        return finals

    def _over_inner(
        self, frame: Frame, at_row: Any, carried: list[list[Any]]
    ) -> list[list[Any]]:
        """Runs a sweep of the last axis for each point of the other reduced axes."""
        middle = self.domain[self.rows : -1]
        elemental = frame.elemental
        if all(size == 1 for size in middle):
            result: list[list[Any]] = at_row([Index(0)] * len(middle), carried)
            return result
        sizes = [elemental.base(s) for s in middle]
        widths = [len(each) for each in carried]

        def each(i: Any, *flat: Any) -> list[Any]:
            inner = elemental.math.delinearize(Index(i), sizes)
            running, first = [], 0
            for width in widths:
                running.append(list(flat[first : first + width]))
                first += width
            return [v for way in at_row(inner, running) for v in way]

        count = elemental.base(product(middle))
        start = [v for way in carried for v in way]
        flat = carry(0, count, 1, each, start, elemental)
        result, first = [], 0
        for width in widths:
            result.append(flat[first : first + width])
            first += width
        return result

    def _row_value(self, frame: Frame, outer: list[Index], op: Any) -> None:
        """Computes a value that is one a row, and binds it."""
        result = op.operation.results[0]
        rank = len(result.type.shape)
        at = [*outer, *[Index(0)] * (rank - len(outer))]
        value = frame.elemental.value_at(result, at, Lanes())
        frame.elemental.providers[result] = lambda at, lanes, v=value: v

    def _write(self, frame: Frame, outer: list[Index]) -> None:
        kernel = frame.kernel
        elemental = frame.elemental
        whole = []
        for value, buffer, streamed in zip(
            kernel.outputs, frame.outputs, self.streams, strict=True
        ):
            shape = kernel.shape(value)
            if shape == self.domain:
                whole.append((value, buffer, streamed))
                continue
            at = [*outer, *[Index(0)] * (len(shape) - len(outer))]
            found = elemental.value_at(value, at, Lanes())
            elemental.store(found, buffer, at, Lanes(), value.type.element_type)
        if not whole:
            return

        def at_row(inner: list[Index], carried: Any) -> list[list[Any]]:
            def vector(j: Index, lanes: Lanes, way: int, running: Any) -> list[Any]:
                dims = [*outer, *inner, j]
                for value, buffer, streamed in whole:
                    found = elemental.value_at(value, dims, lanes)
                    kind = value.type.element_type
                    elemental.store(found, buffer, dims, lanes, kind, streamed)
                return []

            high = elemental.base(self.domain[-1])
            return sweep(elemental, 0, high, vector, [[]])

        self._over_inner(frame, at_row, [[]])


class _Cache:
    """Keeps costly values of the row in scratch, from the first sweep on."""

    def __init__(self, row: Row, frame: Frame) -> None:
        self.row = row
        self.frame = frame
        self.computed: list[Any] = []
        self.buffers = {}
        element = ir.F32Type.get()
        for number, value in enumerate(row.kept):
            width = row.slot_bytes // 4
            kind = ir.MemRefType.get([width], element)
            shift = frame.math.value(number * row.slot_bytes)
            self.buffers[value] = memref.view(kind, frame.scratch, shift, [])
            frame.elemental.providers[value] = self._compute(value)

    def _position(self, at: Sequence[Index]) -> list[Index]:
        inner: Sequence[Size] = self.row.domain[self.row.rows :]
        elemental = self.frame.elemental
        sizes = [elemental.base(s) for s in inner]
        return [elemental.math.linearize(at[self.row.rows :], sizes)]

    def _compute(self, value: Any) -> Any:
        elemental = self.frame.elemental
        element = ir.F32Type.get()

        def provide(at: Sequence[Index], lanes: Lanes) -> Any:
            found = elemental._computed(value, at, lanes)
            found = widen(found, lanes.count)
            to = self._position(at)
            elemental.store(found, self.buffers[value], to, lanes, element)
            self.computed.append(value)
            return found

        return provide

    def filled(self) -> None:
        """From here on the values of the sweeps so far are loaded."""
        elemental = self.frame.elemental
        for value in self.computed:
            buffer = self.buffers[value]
            elemental.providers[value] = lambda at, lanes, b=buffer: elemental.load(
                b, self._position(at), lanes
            )
        self.computed.clear()


def iteration_space(op: Any, kernel: Kernel) -> tuple[Size, ...]:
    """The sizes of a generic's iteration space."""
    space: dict[int, Size] = {}
    values = [*op.inputs, *op.operation.results]
    for value, map_ in zip(values, op.indexing_maps, strict=True):
        for axis, expr in enumerate(map_.value.results):
            if isinstance(expr, ir.AffineDimExpr):
                space[expr.position] = kernel.shape(value)[axis]
    return tuple(space.get(d, 1) for d in range(len(op.iterator_types)))
