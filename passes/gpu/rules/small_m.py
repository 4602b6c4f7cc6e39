"""Products with few rows, where time is what reading the right input takes.

    block: all rows, 32 · V columns; each of its 8 warps takes an eighth of the depth
      for each chunk of the depth:
        A[chunk, rows] → shared memory
        lane: for k: c[i, j] += A[k, i] · B[k, j]      one read of each element of B
      partial sums of the warps → shared memory, added in order, then the epilogue

So every weight is read once, by whole sectors, and many loads are under way. A line of
the shared tile is an odd number of 16-byte groups long: eight lanes write eight lines
without conflicts, and reading a line is a broadcast.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, gpu, ir, memref, vector
from ix.passes.gpu.kernel import GpuCode, GpuFrame
from ix.passes.gpu.product import Product, ProductPlan, Side
from ix.passes.gpu.rules.contraction import build_product, fused_multiply_add
from ix.passes.gpu.split_depth import WHOLE, SplitDepth
from ix.passes.gpu.tile_shape import BUSY_BLOCKS
from ix.passes.schedule import storage
from ix.passes.schedule.body import clone_op, widen
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, carry
from ix.passes.schedule.reduction import initial_values
from ix.passes.schedule.rules.contraction import finish_outputs
from ix.runtime.sizes import combine
from ix.target import Target

__all__ = ["apply", "plan_of"]

NAME = "small_m"
MOST_ROWS = 16
LEAST_DEPTH = 64
WARPS = 8
WARP = 32
THREADS = WARPS * WARP
CHUNK = 256
"""Depth of the left tile in shared memory: a multiple of THREADS / 4 and of WARPS."""

LEAST_CHUNKS = 2
"""Chunks of the depth for each block at least, where blocks share a tile."""

UNROLL = 4
"""Steps of the depth whose loads are issued together."""


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes products of up to 16 rows whose right input is contiguous along columns."""
    plan = plan_of(kernel)
    return None if plan is None else build_product(kernel, plan)


def plan_of(kernel: Kernel, *, may_split: bool = True) -> ProductPlan | None:
    """How the rule computes a kernel; None where it does not apply.

    Args:
        may_split: Whether several blocks may share a tile.
    """
    product = Product.of(kernel)
    if product is None or product.windows:
        return None
    rows, columns, batch, depth = (
        kernel.most(product.size(loops))
        for loops in (product.rows, product.columns, product.batch, product.depth)
    )
    result = product.anchor.operation.results[0].type.element_type
    across = not product.right.along_depth(product.depth)
    if rows < 1 or not (
        kernel.needs(rows <= MOST_ROWS, "many-rows", NAME)
        and kernel.needs(depth >= LEAST_DEPTH, "short-depth", NAME)
        and kernel.needs(str(result) == "f32", "other-elements", NAME)
        and kernel.needs(across, "along-depth", NAME)
    ):
        return None
    size = product.size(product.columns)
    wide = isinstance(size, int) and size % 4 == 0
    width = 4 if wide and batch * columns // (WARP * 4) >= BUSY_BLOCKS else 1
    step = WARP * width
    tiles = combine("div", combine("add", size, step - 1), step)
    blocks = combine("mul", product.size(product.batch), tiles)
    split = WHOLE
    if may_split:
        values = -(-(-(-rows // 4) * 4 * step) // THREADS)
        split = SplitDepth.of(
            kernel,
            product.size(product.depth),
            CHUNK,
            LEAST_CHUNKS,
            blocks,
            THREADS,
            values,
        )
    return ProductPlan(
        product,
        family=NAME,
        blocks=split.blocks(blocks),
        threads=THREADS,
        rows=MOST_ROWS,
        columns=step,
        lanes=4,
        flops=2 * rows * columns * batch * depth,
        emit=lambda frame: SmallRows(kernel, product, frame, rows, width, split).emit(),
        scratch_bytes=split.scratch_bytes,
    )


class SmallRows:
    """Emits the code of one thread.

    Args:
        most_rows: Upper bound of the rows.
        width: Columns of a lane.
        split: How blocks share tiles.
    """

    def __init__(
        self,
        kernel: Kernel,
        product: Product,
        frame: GpuFrame,
        most_rows: int,
        width: int,
        split: SplitDepth,
    ) -> None:
        self.kernel, self.product, self.frame = kernel, product, frame
        self.elemental, self.math = frame.elemental, frame.math
        self.width, self.split = width, split
        self.count = -(-most_rows // 4) * 4
        self.element = storage.element_type(
            product.anchor.operation.results[0].type.element_type
        )
        math = self.math
        self.rows = self.elemental.base(product.size(product.rows))
        self.columns = self.elemental.base(product.size(product.columns))
        self.depth = self.elemental.base(product.size(product.depth))
        self.warp = math.compute("div", frame.thread, WARP)
        self.lane = math.compute("mod", frame.thread, WARP)
        step = WARP * width
        tiles = math.compute("add", self.columns, step - 1)
        tiles = math.compute("div", tiles, step)
        batch = self.elemental.base(product.size(product.batch))
        place, part = split.place(frame)
        self.first_depth = math.compute("mul", part, split.share)
        number, tile = math.delinearize(Index(place), [batch, tiles])
        self.batch = self.product.coordinates(self.elemental, product.batch, number)
        self.first = math.compute("mul", tile.base, step)
        groups = self.count // 4
        self.pitch = 4 * (groups + 1 - groups % 2)
        self.tile = frame.shared("left", [CHUNK, self.pitch], self.element)
        self.partial = frame.shared(
            "partial_sums", [WARPS, self.count, step], self.element
        )

    def _below(self, number: Any, limit: Any) -> Any:
        return arith.cmpi(
            arith.CmpIPredicate.ult, self.math.value(number), self.math.value(limit)
        )

    def emit(self) -> None:
        """The loop over chunks of the depth, then the sum over warps."""
        math = self.math
        left = math.compute("sub", self.depth, self.first_depth)
        if self.split.parts > 1:
            left = math.compute("min", left, self.split.share)
        chunks = math.compute("add", left, CHUNK - 1)
        chunks = math.compute("div", chunks, CHUNK)
        zero = widen(storage.zero(self.element), self.width)

        def chunk(number: Any, *sums: Any) -> list[Any]:
            start = math.compute("mul", number, CHUNK)
            start = math.compute("add", self.first_depth, start)
            self._fill(start)
            gpu.BarrierOp()
            result = self._multiply(start, list(sums))
            gpu.BarrierOp()
            return result

        sums = carry(0, chunks, 1, chunk, [zero] * self.count, self.elemental)
        self._leave(sums)
        gpu.BarrierOp()
        self._finish()

    # The left tile.

    def _fill(self, start: Any) -> None:
        """A[start + k, i …] for the chunk: a thread brings four rows at one depth."""
        math = self.math
        groups = self.count // 4
        for number in range(-(-CHUNK * groups // THREADS)):
            place = math.compute("add", self.frame.thread, number * THREADS)
            k = math.compute("mod", place, CHUNK)
            row = math.compute("mul", math.compute("div", place, CHUNK), 4)
            at = math.compute("add", start, k)
            kind = ir.VectorType.get([4], self.element)
            lanes = [self._left(at, math.compute("add", row, n)) for n in range(4)]
            value = vector.from_elements(kind, lanes)
            to = [math.value(k), math.value(row)]
            vector.store(value, self.tile, to, alignment=16)

    def _left(self, k: Any, row: Any) -> Any:
        """A[k, row], 0 beyond the depth; some number beyond the rows."""
        inside = self._below(k, self.depth)
        row = self._clamped(row, self.rows)
        index = Index(self._clamped(k, self.depth))
        value = self._read(self.product.left, Index(row), index, Lanes())
        return arith.select(inside, value, storage.zero(self.element))

    def _clamped(self, at: Any, limit: Any, room: int = 1) -> Any:
        return self.math.compute("min", at, self.math.compute("sub", limit, room))

    def _read(self, side: Side, place: Index, depth: Index, lanes: Lanes) -> Any:
        where = dict(self.batch)
        where |= self.product.coordinates(self.elemental, side.loops, place)
        where.update(
            self.product.coordinates(self.elemental, self.product.depth, depth)
        )
        dims = [where.get(n, Index(0)) for n in range(len(self.product.sizes))]
        at = [self.math.affine(r, dims) for r in side.map.results]
        with self.elemental.scope():
            value = widen(self.elemental.value_at(side.value, at, lanes), lanes.count)
        if side.extension is not None:
            (value,) = clone_op(side.extension, [value], lanes.count)
        return value

    # The products.

    def _multiply(self, start: Any, sums: list[Any]) -> list[Any]:
        """A warp's share of a chunk: CHUNK / WARPS steps of the depth."""
        math = self.math
        share = CHUNK // WARPS
        first = math.compute("mul", self.warp, share)
        column = math.compute("mul", self.lane, self.width)
        column = math.compute("add", self.first, column)
        at = self._clamped(column, self.columns, self.width)
        place = Index(at, int(self.width > 1), self.width)
        lanes = Lanes(self.width, self.width)

        def steps(k: Any, *running: Any) -> list[Any]:
            within = [
                math.compute("add", math.compute("add", first, k), n)
                for n in range(UNROLL)
            ]
            right = []
            for each in within:
                depth = self._clamped(math.compute("add", start, each), self.depth)
                # Beyond the depth the left input is 0: any finite number will do.
                right.append(self._read(self.product.right, place, Index(depth), lanes))
            result = list(running)
            for each, b in zip(within, right, strict=True):
                result = self._outer(each, b, result)
            return result

        # A warp whose share lies beyond the depth reads nothing.
        left = math.compute("sub", self.depth, math.compute("add", start, first))
        left = math.compute("max", left, 0)
        high = math.compute("min", left, share)
        return carry(0, high, UNROLL, steps, sums, self.elemental)

    def _outer(self, k: Any, b: Any, sums: list[Any]) -> list[Any]:
        kind = ir.VectorType.get([4], self.element)
        result = []
        for group in range(0, self.count, 4):
            at = [self.math.value(k), self.math.value(group)]
            a = vector.load(kind, self.tile, at, alignment=16)
            for n in range(4):
                one = vector.extract(a, dynamic_position=[], static_position=[n])
                one = widen(one, self.width)
                result.append(fused_multiply_add(one, b, sums[group + n]))
        return result

    # The sum over warps.

    def _leave(self, sums: list[Any]) -> None:
        """A warp's sums → shared memory."""
        math = self.math
        column = math.value(math.compute("mul", self.lane, self.width))
        for row, value in enumerate(sums):
            at = [math.value(self.warp), math.value(row), column]
            if self.width == 1:
                memref.store(value, self.partial, at)
            else:
                vector.store(value, self.partial, at, alignment=16)

    def _finish(self) -> None:
        """Adds the warps' sums, one element for each thread in turn; the epilogue."""
        (start,) = initial_values(self.product.anchor, self.elemental)
        if self.split.parts > 1:
            start = storage.zero(self.element)
        count = -(-self.count * WARP * self.width // THREADS)
        totals = [self._total(number, start) for number in range(count)]
        self.split.joined(self.frame, totals, self._store_all)

    def _place(self, number: int) -> tuple[Any, Any]:
        """Row and column, in the block's tile, of the thread's element."""
        math, step = self.math, WARP * self.width
        place = math.compute("add", self.frame.thread, number * THREADS)
        return math.compute("div", place, step), math.compute("mod", place, step)

    def _total(self, number: int, start: Any) -> Any:
        math = self.math
        row, within = self._place(number)
        row = math.compute("min", row, self.count - 1)
        total = start
        for warp in range(WARPS):
            at = [math.value(warp), math.value(row), math.value(within)]
            total = arith.addf(total, memref.load(self.partial, at))
        return total

    def _store_all(self, totals: list[Any]) -> None:
        """The epilogue; the initial value is added to what parts have started at 0."""
        (initial,) = initial_values(self.product.anchor, self.elemental)
        for number, total in enumerate(totals):
            row, within = self._place(number)
            column = self.math.compute("add", self.first, within)
            exists = arith.andi(
                self._below(row, self.rows), self._below(column, self.columns)
            )
            with self.frame.when(exists):
                if self.split.parts > 1:
                    total = arith.addf(initial, total)
                self._store(row, column, total)

    def _store(self, row: Any, column: Any, value: Any) -> None:
        where = dict(self.batch)
        where.update(
            self.product.coordinates(self.elemental, self.product.rows, Index(row))
        )
        where.update(
            self.product.coordinates(
                self.elemental, self.product.columns, Index(column)
            )
        )
        at = [Index(0) if x is None else where[x] for x in self.product.out]
        result = self.product.anchor.operation.results[0]
        finish_outputs(self.frame, result, at, Lanes(), value)
