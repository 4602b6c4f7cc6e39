"""Attention without the score matrix in memory.

    block: ROWS queries of one head, ROWS / 4 to a warp
      for each tile of 32 keys:
        lane j:   s[r] = scale · q[r] · k[j] + mask            one key to a lane
        warp:     m' = max(m, max s), p = exp(s − m'), l = l · exp(m − m') + Σ p
        lane c:   o[r, c] = o[r, c] · exp(m − m') + Σ_j p[r, j] · v[j, c]
      o / l, then the epilogue

Where rows of keys and values are too wide for shared memory, a tile of them goes
through it in chunks of CHUNK columns: scores are summed over the chunks of k, outputs
belong to a chunk of v each.

Keys lie in shared memory across, so that lanes read neighbouring banks; a line has one
element more than there are banks, so that they are written without conflicts too.
Source: Dao et al., "FlashAttention", 2022, algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, gpu, ir, math, memref, vector
from ix.passes.cpu import vector_math
from ix.passes.gpu.kernel import STATIC_SHARED, GpuCode, GpuFrame, build_kernel
from ix.passes.gpu.reduce_threads import WARP, shuffle_xor
from ix.passes.gpu.row_copy import RowCopy
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, carry
from ix.passes.schedule.rules.attention import broadcast_indices
from ix.passes.schedule.rules.contraction import finish_outputs
from ix.runtime.sizes import Size, combine
from ix.target import Target

__all__ = ["apply"]

WARPS = 4
WARP_ROWS = 4
ROWS = WARPS * WARP_ROWS
KEYS = WARP
THREADS = WARPS * WARP
CHUNK = 32
"""Columns of a chunk of keys or values; ptxas spills what twice as many read ahead."""

KEY_PADDING = 1
"""Elements that a line of keys is longer than the banks are many."""


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes ix.attention of floats with known head sizes."""
    if kernel.family != "attention":
        return None
    (op,) = [op for op in kernel.ops if op.operation.name == "ix.attention"]
    shape = _Shape.of(kernel, op)
    if not isinstance(shape.depth, int) or not isinstance(shape.width, int):
        return None
    keys, values = _chunks(shape.depth, shape.width)
    whole = keys >= shape.depth and values >= shape.width
    kernel.needs(whole, "wide-heads", "whole_heads")
    most = kernel.most
    work = most(shape.queries) * most(shape.keys) * (shape.depth + shape.width)
    tiles = combine("div", combine("add", shape.queries, ROWS - 1), ROWS)
    heads = combine("mul", shape.batch, shape.heads)
    return build_kernel(
        kernel,
        lambda frame: _AttentionCode(kernel, op, shape, frame).emit(),
        family="attention",
        blocks=combine("mul", heads, tiles),
        threads=THREADS,
        lanes=4,
        flops=2 * most(heads) * work,
    )


@dataclass(frozen=True)
class _Shape:
    """q[batch, heads, queries, depth], k[…, groups, keys, depth], v[…, keys, width]."""

    batch: Size
    heads: Size
    groups: Size
    queries: Size
    keys: Size
    depth: Size
    width: Size

    @staticmethod
    def of(kernel: Kernel, op: Any) -> _Shape:
        q, k, v = (kernel.shape(value) for value in list(op.operation.operands)[:3])
        return _Shape(q[0], q[1], k[1], q[2], k[2], q[3], v[3])


def _chunks(depth: int, width: int) -> tuple[int, int]:
    """Columns of keys and values that shared memory has at once: all, if they fit.

    Beside them are all columns of the queries, and the weights.
    """
    room = STATIC_SHARED // 4 - ROWS * (depth + KEYS)
    if (KEYS + KEY_PADDING) * depth + KEYS * width <= room:
        return max(depth, 1), max(width, 1)
    return max(min(depth, CHUNK), 1), max(min(width, CHUNK), 1)


class _AttentionCode:
    """Emits the code of one thread."""

    def __init__(self, kernel: Kernel, op: Any, shape: _Shape, frame: GpuFrame) -> None:
        self.kernel, self.shape, self.frame = kernel, shape, frame
        self.elemental, self.math = frame.elemental, frame.math
        self.rows = RowCopy(kernel, frame, THREADS)
        self.q, self.k, self.v, *masks = op.operation.operands
        self.mask = masks[0] if masks else None
        self.result = op.operation.results[0]
        attributes = op.operation.attributes
        self.scale = ir.FloatAttr(attributes["scale"]).value
        self.causal = bool(ir.BoolAttr(attributes["causal"]).value)
        self.f32 = ir.F32Type.get()
        assert isinstance(shape.depth, int) and isinstance(shape.width, int)
        self.depth, self.width = shape.depth, shape.width
        self.columns = -(-self.width // WARP)
        math_ = self.math
        self.queries = self.elemental.base(shape.queries)
        self.keys = self.elemental.base(shape.keys)
        self.warp = math_.compute("div", frame.thread, WARP)
        self.lane = math_.compute("mod", frame.thread, WARP)
        tiles = math_.compute("add", self.queries, ROWS - 1)
        tiles = math_.compute("div", tiles, ROWS)
        heads = self.elemental.base(shape.heads)
        number, head, tile = math_.delinearize(
            Index(frame.block), [self.elemental.base(shape.batch), heads, tiles]
        )
        groups = self.elemental.base(shape.groups)
        share = math_.compute("div", heads, groups)
        self.head = [number, head]
        self.group = [number, math_.divide(head, share)]
        self.first = math_.compute("mul", tile.base, ROWS)
        # Whole vectors or none: LLVM would join scalars, and read what was not written.
        self.vectors = self.depth % 4 == 0
        pitch = max(self.depth, 1)
        self.q_tile = frame.shared("queries", [ROWS, pitch], self.f32)
        self.k_chunk, self.v_chunk = _chunks(self.depth, self.width)
        self.k_tile = frame.shared("keys", [self.k_chunk, KEYS + KEY_PADDING], self.f32)
        self.v_tile = frame.shared("values", [KEYS, self.v_chunk], self.f32)
        self.p_tile = frame.shared("weights", [ROWS, KEYS], self.f32)

    def emit(self) -> None:
        """The loop over tiles of keys, then the division and the epilogue."""
        every = range(self.depth)
        self.rows.copy(
            self.q, self.head, self.first, self.queries, ROWS, every, self._put_q
        )
        rows = range(WARP_ROWS)
        low = self._number(float("-inf"))
        zero = self._number(0.0)
        start = [low] * WARP_ROWS + [zero] * WARP_ROWS
        start += [zero] * (WARP_ROWS * self.columns)
        tiles = self.math.compute("add", self._last_key(), KEYS - 1)
        tiles = self.math.compute("div", tiles, KEYS)

        def tile(number: Any, *state: Any) -> list[Any]:
            return self._tile(self.math.compute("mul", number, KEYS), list(state))

        final = carry(0, tiles, 1, tile, start, self.elemental)
        sums = final[WARP_ROWS : 2 * WARP_ROWS]
        outputs = final[2 * WARP_ROWS :]
        for r in rows:
            self._finish(r, sums[r], outputs[r * self.columns :][: self.columns])

    def _last_key(self) -> Any:
        """The keys that some query of the block sees."""
        if not self.causal:
            return self.keys
        math_ = self.math
        # Query i sees key j ≤ i + keys − queries; none where that is negative.
        seen = math_.compute("add", self.first, self.keys)
        seen = math_.compute("add", seen, ROWS)
        seen = math_.compute("max", math_.compute("sub", seen, self.queries), 0)
        return math_.compute("min", seen, self.keys)

    def _number(self, value: float) -> Any:
        return arith.constant(self.f32, value)

    def _row(self, r: int) -> Any:
        """A row of the warp, counted in the block."""
        first = self.math.compute("mul", self.warp, WARP_ROWS)
        return self.math.compute("add", first, r)

    def _put_q(self, line: Any, column: Any, value: Any) -> None:
        self.rows.put(self.q_tile, line, column, value)

    def _put_k(self, line: Any, column: Any, value: Any) -> None:
        self.rows.put_across(self.k_tile, line, column, value)

    # One tile.

    def _tile(self, key: Any, state: list[Any]) -> list[Any]:
        """The running maxima, sums and outputs after 32 more keys."""
        chunked = self.k_chunk < self.depth or self.v_chunk < self.width
        if chunked:
            scores = self._scores_by_chunks(key)
        else:
            self._copy_keys(key, range(self.depth))
            self._copy_values(key, range(self.width))
            gpu.BarrierOp()
            scores = self._scores([self._number(0.0)] * WARP_ROWS, range(self.depth))
        maxima, sums, scales = [], [], []
        for r in range(WARP_ROWS):
            score = self._masked(scores[r], r, key)
            maximum, total, scale = self._weigh(
                r, score, state[r], state[WARP_ROWS + r]
            )
            maxima.append(maximum)
            sums.append(total)
            scales.append(scale)
        gpu.BarrierOp()
        outputs = [
            arith.mulf(value, scales[n // self.columns])
            for n, value in enumerate(state[2 * WARP_ROWS :])
        ]
        if chunked:
            outputs = self._weighted_by_chunks(key, outputs)
        else:
            outputs = self._weighted(outputs, range(self.width))
            gpu.BarrierOp()
        return [*maxima, *sums, *outputs]

    def _copy_keys(self, key: Any, columns: range) -> None:
        self.rows.copy(self.k, self.group, key, self.keys, KEYS, columns, self._put_k)

    def _copy_values(self, key: Any, columns: range) -> None:
        def put(line: Any, column: Any, value: Any) -> None:
            self.rows.put(self.v_tile, line, column, value)

        self.rows.copy(self.v, self.group, key, self.keys, KEYS, columns, put)

    def _scores_by_chunks(self, key: Any) -> list[Any]:
        """The scores of a tile of keys, a chunk of columns in shared memory at once."""
        sums = [self._number(0.0)] * WARP_ROWS
        for start in range(0, self.depth, self.k_chunk):
            columns = range(start, min(start + self.k_chunk, self.depth))
            self._copy_keys(key, columns)
            gpu.BarrierOp()
            sums = self._scores(sums, columns)
            gpu.BarrierOp()
        return sums

    def _weighted_by_chunks(self, key: Any, outputs: list[Any]) -> list[Any]:
        """The outputs after a tile of values, a chunk of columns at once."""
        for start in range(0, self.width, self.v_chunk):
            columns = range(start, min(start + self.v_chunk, self.width))
            self._copy_values(key, columns)
            gpu.BarrierOp()
            outputs = self._weighted(outputs, columns)
            gpu.BarrierOp()
        return outputs

    def _scores(self, sums: list[Any], columns: range) -> list[Any]:
        """Adds q[r] · k[lane] over some columns, for the rows of the warp."""
        length = len(columns)
        whole = length if self.vectors else 0
        kind = ir.VectorType.get([4], self.f32)
        math_ = self.math

        def four(d: Any, *running: Any) -> list[Any]:
            result = list(running)
            k = [self._k_at(math_.compute("add", d, n)) for n in range(4)]
            for r in range(WARP_ROWS):
                column = math_.compute("add", d, columns.start)
                at = [math_.value(self._row(r)), math_.value(column)]
                q = vector.load(kind, self.q_tile, at, alignment=16)
                for n in range(4):
                    one = vector.extract(q, dynamic_position=[], static_position=[n])
                    result[r] = math.fma(one, k[n], result[r])
            return result

        sums = carry(0, whole, 4, four, sums, self.elemental)
        for d in range(whole, length):
            k = self._k_at(d)
            for r in range(WARP_ROWS):
                at = [math_.value(self._row(r)), math_.value(columns.start + d)]
                sums[r] = math.fma(memref.load(self.q_tile, at), k, sums[r])
        return sums

    def _k_at(self, d: Any) -> Any:
        at = [self.math.value(d), self.math.value(self.lane)]
        return memref.load(self.k_tile, at)

    def _masked(self, score: Any, r: int, key: Any) -> Any:
        """The scaled score of the lane's key; −∞ where the row does not see it."""
        math_ = self.math
        at = math_.compute("add", key, self.lane)
        row = math_.compute("add", self.first, self._row(r))
        seen = self.rows.below(at, self.keys)
        if self.causal:
            end = math_.compute("add", row, self.keys)
            early = arith.cmpi(
                arith.CmpIPredicate.slt,
                math_.value(math_.compute("add", at, self.queries)),
                math_.value(math_.compute("add", end, 1)),
            )
            seen = arith.andi(seen, early)
        score = arith.mulf(score, self._number(self.scale))
        if self.mask is not None:
            score, seen = self._with_mask(score, seen, row, at)
        return arith.select(seen, score, self._number(float("-inf")))

    def _with_mask(self, score: Any, seen: Any, row: Any, at: Any) -> tuple[Any, Any]:
        math_ = self.math

        def within(number: Any, size: Any) -> Index:
            last = math_.compute("max", math_.compute("sub", size, 1), 0)
            return Index(math_.compute("min", number, last))

        where = [*self.head, within(row, self.queries), within(at, self.keys)]
        where = broadcast_indices(where, self.kernel.shape(self.mask))
        with self.elemental.scope():
            value = self.elemental.value_at(self.mask, where, Lanes())
        if isinstance(value.type, ir.IntegerType):
            return score, arith.andi(seen, value)
        return arith.addf(score, self.rows.as_f32(value)), seen

    def _weigh(
        self, r: int, score: Any, maximum: Any, total: Any
    ) -> tuple[Any, Any, Any]:
        """The new maximum and sum of a row, and what its outputs are scaled by."""
        largest = score
        step = 1
        while step < WARP:
            largest = arith.maximumf(largest, shuffle_xor(largest, step))
            step *= 2
        largest = arith.maximumf(maximum, largest)
        # A row that has seen nothing has no maximum to subtract.
        low = self._number(float("-inf"))
        nothing = arith.cmpf(arith.CmpFPredicate.OEQ, largest, low)
        base = arith.select(nothing, self._number(0.0), largest)
        weight = vector_math.exp_non_positive(arith.subf(score, base))
        scale = vector_math.exp_non_positive(arith.subf(maximum, base))
        at = [self.math.value(self._row(r)), self.math.value(self.lane)]
        memref.store(weight, self.p_tile, at)
        step, mine = 1, weight
        while step < WARP:
            mine = arith.addf(mine, shuffle_xor(mine, step))
            step *= 2
        return largest, math.fma(total, scale, mine), scale

    def _weighted(self, outputs: list[Any], columns: range) -> list[Any]:
        """Adds p[r, j] · v[j, c] over the tile's keys, for some columns."""
        math_ = self.math
        kind = ir.VectorType.get([4], self.f32)

        def four(j: Any, *running: Any) -> list[Any]:
            result = list(running)
            weights = [
                vector.load(
                    kind,
                    self.p_tile,
                    [math_.value(self._row(r)), math_.value(j)],
                    alignment=16,
                )
                for r in range(WARP_ROWS)
            ]
            for n in range(4):
                line = math_.compute("add", j, n)
                for c in range(columns.start // WARP, -(-columns.stop // WARP)):
                    at = [math_.value(line), math_.value(self._column(c, columns))]
                    v = memref.load(self.v_tile, at)
                    for r in range(WARP_ROWS):
                        p = vector.extract(
                            weights[r], dynamic_position=[], static_position=[n]
                        )
                        place = r * self.columns + c
                        result[place] = math.fma(p, v, result[place])
            return result

        return carry(0, KEYS, 4, four, outputs, self.elemental)

    def _column(self, c: int, columns: range) -> Any:
        """A column of the lane in the tile; the last one stands for those beyond."""
        at = self.math.compute("add", self.lane, c * WARP - columns.start)
        if (c + 1) * WARP <= columns.stop:
            return at
        return self.math.compute("min", at, len(columns) - 1)

    def _finish(self, r: int, total: Any, values: list[Any]) -> None:
        """Divides, and stores the outputs of one row where it exists."""
        math_ = self.math
        row = math_.compute("add", self.first, self._row(r))
        zero = self._number(0.0)
        empty = arith.cmpf(arith.CmpFPredicate.OEQ, total, zero)
        divisor = arith.select(empty, self._number(1.0), total)
        exists = self.rows.below(row, self.queries)
        for c, value in enumerate(values):
            column = math_.compute("add", self.lane, c * WARP)
            condition = exists
            if (c + 1) * WARP > self.width:
                condition = arith.andi(exists, self.rows.below(column, self.width))
            value = arith.divf(value, divisor)
            element = self.result.type.element_type
            if element != self.f32:
                value = arith.truncf(element, value)
            self.rows.guarded(
                condition,
                lambda v=value, col=column: finish_outputs(
                    self.frame,
                    self.result,
                    [*self.head, Index(row), Index(col)],
                    Lanes(),
                    v,
                ),
            )
