"""Products of any number of axes, convolutions too: tiles in shared memory.

    block:   for k in steps of `depth`:
               A[k …, rows], B[k …, columns] → shared memory     the next step's loads
               c[i, j] += A[k, i] · B[k, j]                      are under way meanwhile
    then     the epilogue on each thread's c[i, j], in registers

A convolution is read as the matrix of its windows (implicit GEMM): indices of rows,
columns and depth are taken apart into its loops, and pads, views and prologues are
asked for their elements.

Shared memory holds both tiles with the depth outermost. An input that is contiguous
along the depth is written across it: an exclusive or keeps 32 lanes on 32 banks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ix.mlir import arith, gpu, ir, math, memref, scf, vector
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel
from ix.passes.gpu.product import Product, ProductPlan, Side
from ix.passes.gpu.split_depth import WHOLE, SplitDepth, sum_of
from ix.passes.gpu.tile_shape import TileShape, choose_tile
from ix.passes.schedule import storage
from ix.passes.schedule.body import clone_op, widen
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, carry
from ix.passes.schedule.reduction import initial_values
from ix.passes.schedule.rules.contraction import finish_outputs
from ix.runtime.sizes import combine
from ix.target import Target

__all__ = ["apply", "build_product", "fused_multiply_add", "plan_of"]

WIDTH = 4
"""Elements that a thread loads at once."""

BANKS = 32

LEAST_STEPS = 8
"""Steps of the depth for each block at least, where blocks share a tile."""


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes kernels whose anchor multiplies two inputs and adds."""
    plan = plan_of(kernel)
    return None if plan is None else build_product(kernel, plan)


def plan_of(kernel: Kernel, *, may_split: bool = True) -> ProductPlan | None:
    """How the rule computes a kernel; None where it does not apply.

    Args:
        may_split: Whether several blocks may share a tile.
    """
    product = Product.of(kernel)
    if product is None:
        return None
    rows, columns, batch, depth = (
        kernel.most(product.size(loops))
        for loops in (product.rows, product.columns, product.batch, product.depth)
    )
    tile = choose_tile(rows, columns, batch)
    blocks = product.size(product.batch)
    for loops, step in ((product.rows, tile.rows), (product.columns, tile.columns)):
        size = combine("add", product.size(loops), step - 1)
        blocks = combine("mul", blocks, combine("div", size, step))
    split = WHOLE
    if may_split:
        split = SplitDepth.of(
            kernel,
            product.size(product.depth),
            tile.depth,
            LEAST_STEPS,
            blocks,
            tile.threads,
            tile.thread_rows * tile.thread_columns,
        )
    return ProductPlan(
        product,
        family="conv" if product.windows else "matmul",
        blocks=split.blocks(blocks),
        threads=tile.threads,
        rows=tile.rows,
        columns=tile.columns,
        lanes=WIDTH,
        flops=2 * rows * columns * batch * depth,
        emit=lambda frame: _TileCode(kernel, product, tile, split, frame).emit(),
        scratch_bytes=split.scratch_bytes,
    )


def build_product(kernel: Kernel, plan: ProductPlan) -> GpuCode:
    """The kernel of a product alone."""
    return build_kernel(
        kernel,
        plan.emit,
        family=plan.family,
        blocks=plan.blocks,
        threads=plan.threads,
        lanes=plan.lanes,
        scratch_bytes=plan.scratch_bytes,
        flops=plan.flops,
    )


class _TileCode:
    """Emits the code of one thread."""

    def __init__(
        self,
        kernel: Kernel,
        product_: Product,
        tile: TileShape,
        split: SplitDepth,
        frame: GpuFrame,
    ) -> None:
        self.kernel, self.product, self.tile, self.frame = kernel, product_, tile, frame
        self.elemental, self.math = frame.elemental, frame.math
        result = product_.anchor.operation.results[0]
        self.element = storage.element_type(result.type.element_type)
        self.depth = self.elemental.base(product_.size(product_.depth))
        math_ = self.math
        self.split = split
        place, part = split.place(frame)
        self.first_depth = math_.compute("mul", part, split.share)
        left = math_.compute("sub", self.depth, self.first_depth)
        if split.parts > 1:
            left = math_.compute("min", left, split.share)
        steps = math_.compute("add", left, tile.depth - 1)
        self.steps = math_.compute("div", steps, tile.depth)
        across = self._tiles(product_.columns, tile.columns)
        down = self._tiles(product_.rows, tile.rows)
        sizes = [self.elemental.base(product_.size(product_.batch)), down, across]
        number, row, column = math_.delinearize(Index(place), sizes)
        self.batch = self.product.coordinates(self.elemental, product_.batch, number)
        self.first_row = math_.compute("mul", row.base, tile.rows)
        self.first_column = math_.compute("mul", column.base, tile.columns)
        wide = tile.columns // tile.thread_columns
        self.thread_column = math_.compute("mod", frame.thread, wide)
        self.thread_row = math_.compute("div", frame.thread, wide)
        self.left = _Loader(self, "left", product_.left, tile.rows, self.first_row)
        self.right = _Loader(
            self, "right", product_.right, tile.columns, self.first_column
        )

    def _tiles(self, loops: Sequence[int], step: int) -> Any:
        size = self.elemental.base(self.product.size(loops))
        return self.math.compute("div", self.math.compute("add", size, step - 1), step)

    def emit(self) -> None:
        """The loop over the depth, then the epilogue."""
        tile, math_ = self.tile, self.math
        loaders = (self.left, self.right)
        for loader in loaders:
            loader.store(loader.load(self.first_depth))
        gpu.BarrierOp()
        (start,) = initial_values(self.product.anchor, self.elemental)
        if self.split.parts > 1:
            start = storage.zero(start.type)
        count = tile.thread_rows * tile.thread_columns
        last = math_.compute("sub", self.steps, 1)
        loop = scf.ForOp(
            math_.value(0), math_.value(last), math_.value(1), [start] * count
        )
        with ir.InsertionPoint(loop.body), self.elemental.scope():
            following = math_.compute("add", loop.induction_variable, 1)
            at = math_.compute("mul", following, tile.depth)
            at = math_.compute("add", self.first_depth, at)
            loaded = [loader.load(at) for loader in loaders]
            sums = self._multiply(list(loop.inner_iter_args))
            gpu.BarrierOp()
            for loader, values in zip(loaders, loaded, strict=True):
                loader.store(values)
            gpu.BarrierOp()
            scf.YieldOp(sums)
        sums = self._multiply(list(loop.results))
        self.split.joined(self.frame, sums, self._finish_sums)

    def _finish_sums(self, sums: list[Any]) -> None:
        """The epilogue; the initial value is added to what parts have started at 0."""
        if self.split.parts > 1:
            (start,) = initial_values(self.product.anchor, self.elemental)
            sums = [sum_of(start, each) for each in sums]
        self._finish(sums)

    def _multiply(self, sums: list[Any]) -> list[Any]:
        """The sums after one step: tile.depth outer products of a thread's elements."""
        chunks = self.tile.depth // WIDTH
        if self.is_written_out:
            for chunk in range(chunks):
                sums = self._outer_products(chunk, sums)
            return sums
        return carry(
            0,
            chunks,
            1,
            lambda chunk, *running: self._outer_products(chunk, list(running)),
            sums,
            self.elemental,
        )

    @property
    def is_written_out(self) -> bool:
        """Whether a step is code without a loop.

        Registers would run out where sums of integers are reordered, where elements of
        more than two chunks are read ahead, and where they are of 64 bits. LLVM makes
        one step of two.
        """
        is_short = self.element.width <= 32 and self.tile.depth <= 2 * WIDTH
        is_float = not isinstance(self.element, ir.IntegerType)
        return is_float and is_short and self.steps != 2

    def _outer_products(self, chunk: Any, sums: list[Any]) -> list[Any]:
        """The sums after WIDTH steps of the depth."""
        rows, columns = self.tile.thread_rows, self.tile.thread_columns
        for step in range(WIDTH):
            a = self.left.read(chunk, step, self.thread_row, rows)
            b = self.right.read(chunk, step, self.thread_column, columns)
            for i in range(rows):
                for j in range(columns):
                    at = i * columns + j
                    sums[at] = fused_multiply_add(a[i], b[j], sums[at])
        return sums

    # The epilogue.

    def _finish(self, sums: list[Any]) -> None:
        tile = self.tile
        columns = self.elemental.base(self.product.size(self.product.columns))
        groups = tile.thread_columns // WIDTH
        for i in range(tile.thread_rows):
            row = self._place(self.first_row, self.thread_row, tile.rows, i)
            for group in range(groups):
                column = self._place(
                    self.first_column,
                    self.thread_column,
                    tile.columns,
                    group * WIDTH,
                )
                first = i * tile.thread_columns + group * WIDTH
                self._finish_group(row, column, columns, sums[first : first + WIDTH])

    def _place(self, first: Any, thread: Any, tile: int, number: int) -> Any:
        """Where element `number` of a thread lies: in groups, spread over a tile."""
        return self.math.compute("add", first, self.offset(thread, tile, number))

    def offset(self, thread: Any, tile: int, number: int) -> Any:
        """As `_place`, from the start of the tile."""
        mine = self.tile.thread_rows if tile == self.tile.rows else 0
        mine = mine or self.tile.thread_columns
        group, within = divmod(number, WIDTH)
        start = group * (tile // (mine // WIDTH)) + within
        return self.math.compute("add", self.math.compute("mul", thread, WIDTH), start)

    def _finish_group(
        self, row: Any, column: Any, columns: Any, values: list[Any]
    ) -> None:
        """The epilogue of neighbouring elements of one row, where they exist."""
        rows = self.elemental.base(self.product.size(self.product.rows))
        inside = self._below(row, rows)
        if isinstance(columns, int) and columns % WIDTH == 0:
            kind = ir.VectorType.get([WIDTH], self.element)
            whole = arith.andi(inside, self._below(column, columns))
            self._when(
                whole,
                row,
                Index(column, 1, WIDTH),
                Lanes(WIDTH, WIDTH),
                vector.from_elements(kind, values),
            )
            return
        for lane, value in enumerate(values):
            at = self.math.compute("add", column, lane)
            exists = arith.andi(inside, self._below(at, columns))
            self._when(exists, row, Index(at), Lanes(), value)

    def _below(self, number: Any, limit: Any) -> Any:
        return arith.cmpi(
            arith.CmpIPredicate.ult, self.math.value(number), self.math.value(limit)
        )

    def _when(
        self, exists: Any, row: Any, column: Index, lanes: Lanes, value: Any
    ) -> None:
        product_ = self.product
        branch = scf.IfOp(exists)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            where = dict(self.batch)
            where.update(
                self.product.coordinates(self.elemental, product_.rows, Index(row))
            )
            where.update(
                self.product.coordinates(self.elemental, product_.columns, column)
            )
            at = [Index(0) if x is None else where[x] for x in product_.out]
            result = product_.anchor.operation.results[0]
            finish_outputs(self.frame, result, at, lanes, value)
            scf.YieldOp([])


def fused_multiply_add(a: Any, b: Any, c: Any) -> Any:
    """a · b + c, rounded once where it is a float."""
    if isinstance(c.type, ir.IntegerType):
        return arith.addi(c, arith.muli(a, b))
    return math.fma(a, b, c)


class _Loader:
    """Moves one input's tile to shared memory: array[depth, rows or columns]."""

    def __init__(
        self, code: _TileCode, name: str, side: Side, size: int, first: Any
    ) -> None:
        self.code, self.side, self.size, self.first = code, side, size, first
        self.elemental, self.math = code.elemental, code.math
        depth = code.tile.depth
        self.across = side.along_depth(code.product.depth)
        self.chunks = (depth if self.across else size) // WIDTH
        self.count = max(size * depth // WIDTH // code.tile.threads, 1)
        # A line holds all banks, so that any column can be turned into another.
        line = max(size, BANKS) if self.across else size
        self.array = code.frame.shared(name, [depth, line], code.element)
        thread = code.frame.thread
        self.chunk = self.math.compute("mod", thread, self.chunks)
        self.line = self.math.compute("div", thread, self.chunks)
        self.lines = code.tile.threads // self.chunks

    def load(self, k: Any) -> list[Any]:
        """The vectors of a thread, of the step that begins at depth k."""
        values = []
        for number in range(self.count):
            line = self.math.compute("add", self.line, number * self.lines)
            chunk = self.math.compute("mul", self.chunk, WIDTH)
            within, depth = (line, chunk) if self.across else (chunk, line)
            values.append(
                self._vector(
                    self.math.compute("add", self.first, within),
                    self.math.compute("add", k, depth),
                )
            )
        return values

    def _vector(self, at: Any, k: Any) -> Any:
        """WIDTH elements along one axis; 0 beyond the depth, any number elsewhere."""
        code = self.code
        limit = self.elemental.base(code.product.size(self.side.loops))
        inside: Any
        if self.across:
            place = Index(self._clamped(at, limit, 1))
            depth, inside = self._along(k, code.depth)
        else:
            place, _ = self._along(at, limit)
            depth = Index(self._clamped(k, code.depth, 1))
            inside = code._below(k, code.depth)
        where = dict(code.batch)
        where |= code.product.coordinates(code.elemental, self.side.loops, place)
        where.update(
            code.product.coordinates(code.elemental, code.product.depth, depth)
        )
        dims = [where.get(n, Index(0)) for n in range(len(code.product.sizes))]
        at_map = [self.math.affine(r, dims) for r in self.side.map.results]
        lanes = Lanes(WIDTH, WIDTH)
        with self.elemental.scope():
            value = widen(
                self.elemental.value_at(self.side.value, at_map, lanes), WIDTH
            )
        if self.side.extension is not None:
            (value,) = clone_op(self.side.extension, [value], WIDTH)
        zero = widen(storage.zero(code.element), WIDTH)
        return arith.select(inside, value, zero)

    def _clamped(self, at: Any, limit: Any, room: int) -> Any:
        last = self.math.compute("sub", limit, room)
        return self.math.compute("min", at, last)

    def _along(self, at: Any, limit: Any) -> tuple[Index, Any]:
        """The index of a vector that starts at `at`, kept below the limit; what is."""
        code, math_ = self.code, self.math
        if isinstance(limit, int) and limit % WIDTH == 0:
            start = self._clamped(at, limit, WIDTH)
            return Index(start, 1, WIDTH), code._below(at, limit)
        lanes = math_.vector_of(Index(at, 1))
        bound = math_.vector_of(Index(limit))
        inside = arith.cmpi(arith.CmpIPredicate.ult, lanes, bound)
        last = math_.vector_of(Index(math_.compute("sub", limit, 1)))
        return Index(0, lanes=arith.minui(lanes, last)), inside

    def store(self, values: list[Any]) -> None:
        """Writes a thread's vectors to shared memory."""
        math_ = self.math
        for number, value in enumerate(values):
            line = math_.compute("add", self.line, number * self.lines)
            chunk = math_.compute("mul", self.chunk, WIDTH)
            if not self.across:
                at = [math_.value(line), math_.value(chunk)]
                vector.store(value, self.array, at, alignment=self._alignment())
                continue
            turned = self._turned(line, self.chunk)
            for lane in range(WIDTH):
                k = math_.compute("add", chunk, lane)
                one = vector.extract(value, dynamic_position=[], static_position=[lane])
                memref.store(one, self.array, [math_.value(k), math_.value(turned)])

    def _turned(self, at: Any, chunk: Any) -> Any:
        """The column in which an element is kept: at ⊕ chunk · (32 / chunks)."""
        shift = self.math.compute("mul", chunk, max(BANKS // self.chunks, WIDTH))
        if isinstance(shift, int) and shift == 0:
            return at
        return arith.xori(self.math.value(at), self.math.value(shift))

    def read(self, chunk: Any, step: int, thread: Any, count: int) -> list[Any]:
        """The elements of a thread's rows or columns, `step` into a chunk of depth."""
        math_ = self.math
        k = math_.compute("add", math_.compute("mul", chunk, WIDTH), step)
        kind = ir.VectorType.get([WIDTH], self.code.element)
        found = []
        for number in range(0, count, WIDTH):
            at = self.code.offset(thread, self.size, number)
            if self.across:
                at = self._turned(at, chunk)
            value = vector.load(
                kind,
                self.array,
                [math_.value(k), math_.value(at)],
                alignment=self._alignment(),
            )
            found += [
                vector.extract(value, dynamic_position=[], static_position=[n])
                for n in range(WIDTH)
            ]
        return found

    def _alignment(self) -> int:
        return min(16, WIDTH * self.code.element.width // 8)
