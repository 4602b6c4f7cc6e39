"""Scatters in chunks: a block owns some neighbouring elements of one line.

    replacing:   last[e] = max of the p whose index is e               in shared memory
                 y[e] = updates[last[e]], or x[e] where there is none
    combining:   y[e] = x[e]                                           in shared memory
                 for each tile of updates, one to a thread:
                   until all are taken: of those for one e the first is y[e] ∘= update

Every block reads all indices of its line. What is combined is so in the order of the
updates: equal indices give the bits that one thread alone would, on every run.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, gpu, ir, memref, scf
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel
from ix.passes.gpu.scatter_lines import LinePoint, ScatterLines
from ix.passes.schedule import storage
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, loop
from ix.runtime.sizes import Size, combine, product
from ix.target import Target

__all__ = ["apply"]

THREADS = 256
CHUNK_BYTES = 32 << 10
"""Shared memory of a block, at 8 or 12 bytes an element."""

SHORT = 64
"""Rows and updates of a line that one thread takes alone."""

NOBODY = THREADS


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes scatters whose lines have work for the threads of a block."""
    if kernel.family not in ("scatter", "scatter_nd"):
        return None
    lines = ScatterLines.of(kernel)
    length = kernel.most(combine("add", lines.rows, lines.updates))
    if not kernel.needs(length > SHORT, "short-line"):
        return None
    element = storage.element_bytes(lines.scatter.element)
    chunk = CHUNK_BYTES // (16 if element == 8 else 8)
    while chunk > THREADS and chunk // 2 >= kernel.most(lines.rows):
        chunk //= 2
    chunks = combine("div", combine("add", lines.rows, chunk - 1), chunk)
    code = _Combining if lines.scatter.reduction != "none" else _Replacing
    return build_kernel(
        kernel,
        lambda frame: code(lines, frame, chunk, chunks).emit(),
        family="scatter",
        blocks=combine("mul", product(lines.sizes), chunks),
        threads=THREADS,
    )


class _Chunk:
    """Emits the code of one thread."""

    def __init__(
        self, lines: ScatterLines, frame: GpuFrame, chunk: int, chunks: Size
    ) -> None:
        self.frame, self.math, self.elemental = frame, frame.math, frame.elemental
        self.scatter, self.chunk = lines.scatter, chunk
        sizes = [self.elemental.base(s) for s in [*lines.sizes, chunks]]
        *at, number = self.math.delinearize(Index(frame.block), sizes)
        self.line = LinePoint(lines, frame, at)
        self.first = self.math.compute("mul", number.base, chunk)
        rows = self.elemental.base(lines.rows)
        left = self.math.compute("sub", rows, self.first)
        self.count = self.math.compute("min", left, chunk)
        self.updates = self.elemental.base(lines.updates)
        self.i32 = ir.IntegerType.get_signless(32)

    def emit(self) -> None:
        """Starts the elements of the chunk, takes the updates, writes the elements."""
        self._strided(self.count, self._start)
        gpu.BarrierOp()
        reached = self.line.has_updates()
        if reached is None:
            self._take()
        else:
            # A block has one line, so that all its threads branch alike.
            with self.frame.when(reached):
                self._take()
        gpu.BarrierOp()
        self._strided(self.count, self._write)

    def _start(self, place: Any) -> None:
        raise NotImplementedError

    def _take(self) -> None:
        raise NotImplementedError

    def _write(self, place: Any) -> None:
        raise NotImplementedError

    def _strided(self, count: Any, body: Any) -> None:
        """body(i) for i = thread, thread + THREADS, … below count."""
        loop(self.frame.thread, count, THREADS, body, self.elemental)

    def _target(self, number: Any) -> tuple[Any, Any]:
        """Whether an update is for the chunk, and its place there."""
        valid, row = self.line.row(number)
        place = arith.subi(row, self.math.value(self.first))
        inside = arith.cmpi(arith.CmpIPredicate.ult, place, self.math.value(self.count))
        return arith.andi(valid, inside), place

    def _result(self, place: Any) -> list[Index]:
        return self.line.place(self.math.compute("add", self.first, place))

    def _input(self, place: Any) -> Any:
        return self.line.value(self.scatter.input, self._result(place), Lanes())


class _Replacing(_Chunk):
    """Of equal indices the last one stays."""

    def emit(self) -> None:
        self.last = self.frame.shared("last", [self.chunk], self.i32)
        super().emit()

    def _start(self, place: Any) -> None:
        none = arith.constant(self.i32, -1)
        memref.store(none, self.last, [self.math.value(place)])

    def _take(self) -> None:
        def update(number: Any) -> None:
            mine, place = self._target(number)
            with self.frame.when(mine):
                order = arith.index_cast(self.i32, self.math.value(number))
                kind = arith.AtomicRMWKind.maxs
                memref.atomic_rmw(kind, order, self.last, [place])

        self._strided(self.updates, update)

    def _write(self, place: Any) -> None:
        number = memref.load(self.last, [self.math.value(place)])
        none = arith.cmpi(arith.CmpIPredicate.slt, number, arith.constant(self.i32, 0))
        kind = storage.element_type(self.scatter.element)
        branch = scf.IfOp(none, [kind], has_else=True)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            scf.YieldOp([self._input(place)])
        with ir.InsertionPoint(branch.else_block), self.elemental.scope():
            index = arith.index_cast(ir.IndexType.get(), number)
            at = self.line.update(index)
            scf.YieldOp([self.line.value(self.scatter.updates, at, Lanes())])
        self.scatter.store(self.frame, self._result(place), branch.results[0], Lanes())


class _Combining(_Chunk):
    """Updates of one element are combined in order."""

    def emit(self) -> None:
        kind = storage.storage_type(self.scatter.element)
        self.values = self.frame.shared("values", [self.chunk], kind)
        self.owners = self.frame.shared("owners", [self.chunk], self.i32)
        self.flag = self.frame.shared("pending", [1], self.i32)
        with self.frame.when(self._is_first()):
            self._clear_flag()
        super().emit()

    def _is_first(self) -> Any:
        thread, zero = self.math.value(self.frame.thread), self.math.value(0)
        return arith.cmpi(arith.CmpIPredicate.eq, thread, zero)

    def _clear_flag(self) -> None:
        zero = arith.constant(self.i32, 0)
        memref.store(zero, self.flag, [self.math.value(0)])

    def _start(self, place: Any) -> None:
        at = [self.math.value(place)]
        value = storage.to_storage(self._input(place), self.scatter.element)
        memref.store(value, self.values, at)
        memref.store(arith.constant(self.i32, NOBODY), self.owners, at)

    def _take(self) -> None:
        def tile(first: Any) -> None:
            number = self.math.compute("add", first, self.frame.thread)
            exists = arith.cmpi(
                arith.CmpIPredicate.ult,
                self.math.value(number),
                self.math.value(self.updates),
            )
            last = self.math.compute("sub", self.updates, 1)
            number = self.math.compute("min", number, last)
            mine, place = self._target(number)
            pending = arith.andi(exists, mine)
            place = arith.select(pending, place, self.math.value(0))
            self._rounds(number, pending, place)

        loop(0, self.updates, THREADS, tile, self.elemental)

    def _rounds(self, number: Any, pending: Any, place: Any) -> None:
        """Rounds until no thread of the block has an update left."""
        bit = ir.IntegerType.get_signless(1)
        op = scf.WhileOp([bit], [pending])
        before = op.before.blocks.append(bit)
        with ir.InsertionPoint(before), self.elemental.scope():
            left, any_left = self._round(number, before.arguments[0], place)
            scf.ConditionOp(any_left, [left])
        after = op.after.blocks.append(bit)
        with ir.InsertionPoint(after):
            scf.YieldOp(list(after.arguments))

    def _round(self, number: Any, pending: Any, place: Any) -> tuple[Any, Any]:
        """Who still has an update, and whether anybody had one.

        Between two barriers nobody writes what another thread reads.
        """
        thread = arith.index_cast(self.i32, self.math.value(self.frame.thread))
        with self.frame.when(pending):
            memref.atomic_rmw(arith.AtomicRMWKind.minu, thread, self.owners, [place])
            one = arith.constant(self.i32, 1)
            zero = self.math.value(0)
            memref.atomic_rmw(arith.AtomicRMWKind.ori, one, self.flag, [zero])
        gpu.BarrierOp()
        flag = memref.load(self.flag, [self.math.value(0)])
        owner = memref.load(self.owners, [place])
        gpu.BarrierOp()
        first = arith.cmpi(arith.CmpIPredicate.eq, owner, thread)
        turn = arith.andi(pending, first)
        with self.frame.when(turn):
            self._combine(number, place)
            nobody = arith.constant(self.i32, NOBODY)
            memref.store(nobody, self.owners, [place])
        with self.frame.when(self._is_first()):
            self._clear_flag()
        gpu.BarrierOp()
        true = arith.constant(ir.IntegerType.get_signless(1), 1)
        left = arith.andi(pending, arith.xori(turn, true))
        some = arith.cmpi(arith.CmpIPredicate.ne, flag, arith.constant(self.i32, 0))
        return left, some

    def _combine(self, number: Any, place: Any) -> None:
        element = self.scatter.element
        old = storage.from_storage(memref.load(self.values, [place]), element)
        new = self.line.value(self.scatter.updates, self.line.update(number), Lanes())
        value = storage.to_storage(self.scatter.combined(old, new), element)
        memref.store(value, self.values, [place])

    def _write(self, place: Any) -> None:
        value = memref.load(self.values, [self.math.value(place)])
        value = storage.from_storage(value, self.scatter.element)
        self.scatter.store(self.frame, self._result(place), value, Lanes())
