"""Attention: O = softmax(scale · Q Kᵀ + mask) V, whose scores never leave the cache.

    per head of K and V, per block of keys (all of them, where they fit):
      Kt[panel, c, 0:NR] = K[j, c]                 transposed, unless rows are few
      Vc[panel, j, 0:NR] = V[j, c]                 copied, where rows are many
      per tile of rows:
        S[r, j] = scale·Q[i + r, :] · Kt[:, j]     register tiles, or dot products
        P = exp(S − max), sum                      attention_softmax.py
        O[i + r, :] = (P · V) / sum                register tiles

Queries of the heads of a group are rows of one head of K and V. A tile beyond the last
row computes that row again, so there is one micro-kernel. Causal rows are shorter:
their scores are computed up to the longest of the tile, and are 0 behind each's end.

Where keys do not fit at once, every block of keys rescales what the blocks before it
added up (online softmax). Source: Dao et al., "FlashAttention", arXiv:2205.14135.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ix.mlir import ir
from ix.passes.schedule.microkernel.attention_plan import AttentionPlan, plan_attention
from ix.passes.schedule.microkernel.attention_softmax import SoftmaxTile, emit_softmax
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector
from ix.passes.schedule.microkernel.register_tile import emit_register_tile
from ix.passes.schedule.microkernel.transpose import emit_transpose, group_rows

__all__ = ["AttentionPlan", "emit_attention", "plan_attention"]

Read = Callable[[Index, Index, Index, Lanes], Vector]


def emit_attention(
    b: Builder,
    plan: AttentionPlan,
    *,
    low: Index,
    high: Index,
    scratch: ir.Value,
    read_q: Read,
    read_k: Read,
    read_v: Read,
    store_o: Callable[[Index, Index, Index, Lanes, Vector], None],
    scale: float | ir.Value,
    mask: Read | None = None,
) -> None:
    """Emits the work items low … high of attention.

    Args:
        plan: From `plan_attention`.
        low, high: Range of work items, within 0 … plan.items.
        scratch: memref<N x i8>, N ≥ plan.scratch_bytes, one for each thread.
        read_q: read_q(h, i, c, lanes) is Q[h, i, c : c + lanes]; h counts the heads of
            all batches. Dead lanes may hold anything; narrower floats are widened.
        read_k, read_v: The same of K and V; h is h // plan.group there.
        store_o: store_o(h, i, c, lanes, vector) stores O[h, i, c : c + lanes]. A row
            may be stored twice, with the same values.
        scale: Factor of the scores, a number or a scalar of the element type.
        mask: mask(h, i, j, lanes) is added to the scores of keys j : j + lanes, or, of
            i1, is false where they do not count; None for neither.
    """
    buffers = b.carve(scratch, plan.buffers())
    s, t = b.size(plan.s), b.size(plan.t)
    kernel = _Kernel(
        b, plan, s, t, buffers, read_q, read_k, read_v, store_o, scale, mask
    )
    segment = kernel.online_segment if plan.online else kernel.segment
    b.segments(low, high, b.ceildiv(kernel.rows, plan.block_rows), segment)


@dataclass
class _Tile:
    """The rows that are worked on: `row` is the first, `positions` their (h, i)."""

    kv: Index
    row: Index
    positions: list[tuple[Index, Index]]


@dataclass
class _Kernel:
    """The callbacks of `emit_attention`, and what they emit together."""

    b: Builder
    plan: AttentionPlan
    s: Index
    t: Index
    buffers: dict[str, ir.Value]
    read_q: Read
    read_k: Read
    read_v: Read
    store_o: Callable[[Index, Index, Index, Lanes, Vector], None]
    scale: float | ir.Value
    mask: Read | None

    @property
    def rows(self) -> Index:
        """Rows of one head of K and V: the queries of all heads of its group."""
        return self.b.mul(self.s, self.plan.group)

    def segment(self, kv: Index, first: Index, last: Index) -> None:
        """Computes row blocks of a head all of whose keys fit into the scratch."""
        b, plan = self.b, self.plan
        low = b.mul(first, plan.block_rows)
        high = b.min(b.mul(last, plan.block_rows), self.rows)
        seen = self.seen_by_rows(high)
        self.transpose_keys(kv, 0, seen)
        if plan.copies:
            self.copy_values(kv, seen)
        b.loop(low, high, plan.tile.rows, lambda row: self.tile(kv, row, 0, self.t))

    def online_segment(self, kv: Index, first: Index, last: Index) -> None:
        """Computes row blocks of a head, one block of keys after the other."""
        b, plan = self.b, self.plan

        def row_block(block: Index) -> None:
            low = b.mul(block, plan.block_rows)
            high = b.min(b.add(low, plan.block_rows), self.rows)
            self.reset_state()
            end = self.seen_by_rows(high)

            def key_block(j: Index) -> None:
                keys = b.min(b.sub(end, j), plan.block_keys)
                self.transpose_keys(kv, j, keys)
                b.loop(
                    low,
                    high,
                    plan.tile.rows,
                    lambda row: self.tile(kv, row, j, keys, b.sub(row, low)),
                )

            b.loop(0, end, plan.block_keys, key_block)
            b.loop(low, high, 1, lambda row: self.finish_row(kv, row, b.sub(row, low)))

        b.loop(first, last, 1, row_block)

    # Rows and columns

    def position(self, kv: Index, row: Index) -> tuple[Index, Index]:
        """Head and query of a row of a head of K and V."""
        b, plan = self.b, self.plan
        if plan.group == 1:
            return kv, row
        head = b.add(b.mul(kv, plan.group), b.floordiv(row, self.s))
        return head, b.mod(row, self.s)

    def clamped(self, row: Index) -> Index:
        """The row, or the last one where it is beyond."""
        rows = self.rows
        if isinstance(rows, int) and rows % self.plan.tile.rows == 0:
            return row
        return self.b.min(row, self.b.sub(rows, 1))

    def seen(self, i: Index) -> Index:
        """The number of keys that query i sees."""
        b, plan = self.b, self.plan
        if not plan.causal:
            return self.t
        return b.max(b.add(b.add(i, 1), b.sub(self.t, self.s)), 0)

    def seen_by_rows(self, high: Index) -> Index:
        """The keys that any row below `high` sees."""
        if self.plan.group == 1:
            return self.seen(self.b.sub(high, 1))
        return self.t

    def columns(
        self, width: int, step: int, body: Callable[[Index, int], None]
    ) -> None:
        """Runs body(c, live columns) for c = 0, step … < width."""
        whole = width // step * step
        self.b.loop(0, whole, step, lambda c: body(c, step))
        if width > whole:
            body(whole, width - whole)

    # Stages

    def transpose_keys(self, kv: Index, first: Index, keys: Index) -> None:
        """Kt[panel, c, :] = K[first + j, c]; keys beyond the last are copies of it."""
        b, plan = self.b, self.plan
        if plan.dots:
            return
        group = group_rows(b)
        whole = isinstance(self.t, int) and self.t % group == 0
        lanes_left = plan.d % b.lanes

        def rows(j: Index) -> None:
            panel = b.floordiv(j, plan.panel_columns)
            lane = b.mod(j, plan.panel_columns)
            last = b.sub(self.t, 1)
            keys = [b.add(b.add(first, j), r) for r in range(group)]
            keys = keys if whole else [b.min(key, last) for key in keys]

            def columns(c: Index) -> None:
                lanes = b.live(b.sub(plan.d, c)) if lanes_left else b.lanes
                emit_transpose(
                    b,
                    lambda r: b.widen(self.read_k(kv, keys[r], c, lanes)),
                    self.buffers["keys"],
                    lambda column: (panel, b.add(c, column), lane),
                )

            b.loop(0, plan.d, b.lanes, columns)

        b.loop(0, keys, group, rows)

    def copy_values(self, kv: Index, keys: Index) -> None:
        """Vc[panel, j, :] = V[j, c]."""
        b, plan = self.b, self.plan

        def row(j: Index) -> None:
            def columns(c: Index, live: int) -> None:
                panel = b.floordiv(c, plan.panel_columns)
                lane = b.mod(c, plan.panel_columns)
                value = b.widen(self.read_v(kv, j, c, live))
                b.store(value, self.buffers["values"], panel, j, lane)

            self.columns(plan.e, b.lanes, columns)

        b.loop(0, keys, 1, row)

    def tile(
        self, kv: Index, row: Index, first: Index, keys: Index, state: Index = None
    ) -> None:
        """Works a tile of rows through the keys first … first + keys.

        Args:
            state: The tile's first row in the state of online softmax.
        """
        b, plan = self.b, self.plan
        rows = [self.clamped(b.add(row, r)) for r in range(plan.tile.rows)]
        tile = _Tile(kv, row, [self.position(kv, r) for r in rows])
        width = keys
        if plan.causal:
            width = self.seen(tile.positions[-1][1])
            if plan.group > 1:
                for _, i in tile.positions[:-1]:
                    width = b.max(width, self.seen(i))
            width = b.max(b.min(b.sub(width, first), keys), 0)
        self.copy_queries(tile)
        if plan.dots:
            self.dot_scores(tile, first, width)
        else:
            self.tile_scores(width)
        emit_softmax(
            b,
            SoftmaxTile(plan.tile.rows, width, self.buffers, state),
            row_width=lambda r: self.row_width(kv, row, r, first, width),
            mask=self.row_mask(kv, row, first),
        )
        self.values(tile, first, width, state)

    def row_width(
        self, kv: Index, row: Index, r: Index, first: Index, width: Index
    ) -> Index:
        """The keys of this block that row r of the tile sees."""
        if not self.plan.causal:
            return width
        b = self.b
        _, i = self.position(kv, self.clamped(b.add(row, r)))
        return b.min(b.sub(self.seen(i), first), width)

    def row_mask(
        self, kv: Index, row: Index, first: Index
    ) -> Callable[[Index, Index, Lanes], Vector] | None:
        mask = self.mask
        if mask is None:
            return None

        def of_row(r: Index, j: Index, lanes: Lanes) -> Vector:
            h, i = self.position(kv, self.clamped(self.b.add(row, r)))
            return mask(h, i, self.b.add(first, j), lanes)

        return of_row

    def copy_queries(self, tile: _Tile) -> None:
        """queries[r, c] = scale · Q[i + r, c]."""
        b, plan = self.b, self.plan
        scale = (
            b.broadcast(self.scale)
            if isinstance(self.scale, ir.Value)
            else b.splat(self.scale)
        )

        def row(r: Index) -> None:
            h, i = self.position(tile.kv, self.clamped(b.add(tile.row, r)))

            def columns(c: Index, live: int) -> None:
                value = b.widen(self.read_q(h, i, c, live))
                b.store(b.multiply(value, scale), self.buffers["queries"], r, c)

            self.columns(plan.d, b.lanes, columns)

        b.loop(0, plan.tile.rows, 1, row)

    def tile_scores(self, width: Index) -> None:
        b, plan = self.b, self.plan
        queries, keys = self.buffers["queries"], self.buffers["keys"]

        def panel(p: Index) -> None:
            acc = emit_register_tile(
                b,
                rows=plan.tile.rows,
                vectors=plan.tile.vectors,
                depth=plan.d,
                left=lambda r, c: b.load_scalar(queries, r, c),
                right=lambda c, v: b.load(keys, p, c, v * b.lanes),
            )
            column = b.mul(p, plan.panel_columns)
            for r, values in enumerate(acc):
                for v, value in enumerate(values):
                    at = b.add(column, v * b.lanes)
                    b.store(value, self.buffers["scores"], r, at)

        b.loop(0, b.ceildiv(width, plan.panel_columns), 1, panel)

    def dot_scores(self, tile: _Tile, first: Index, width: Index) -> None:
        """Scores of few rows: each key is read once, as it lies."""
        b, plan = self.b, self.plan
        rows = plan.tile.rows

        def key(j: Index) -> None:
            acc = [b.splat(0)] * rows

            def columns(c: Index, live: int, sums: list[Vector]) -> list[Vector]:
                k = b.widen(self.read_k(tile.kv, b.add(first, j), c, live))
                return [
                    b.multiply_add(k, b.load(self.buffers["queries"], r, c), sums[r])
                    for r in range(rows)
                ]

            for c in range(0, plan.d, b.lanes):
                acc = columns(c, min(b.lanes, plan.d - c), acc)
            for r in range(rows):
                total = b.first_lane(b.across(acc[r], b.plus))
                b.store_scalar(total, self.buffers["scores"], r, j)

        b.loop(0, width, 1, key)

    def values(self, tile: _Tile, first: Index, width: Index, state: Index) -> None:
        """Adds P · V to the output, or to the state of online softmax."""
        b, plan = self.b, self.plan
        scores, factors = self.buffers["scores"], self.buffers["factors"]

        def panel(c: Index, columns: int) -> None:
            live = [
                (b.add(c, start), min(b.lanes, columns - start))
                for start in range(0, columns, b.lanes)
            ]
            initial = None
            if plan.online:
                initial = self.rescaled(state, live)

            def right(k: Index, v: int) -> Vector:
                if plan.copies:
                    at = b.floordiv(c, plan.panel_columns)
                    return b.load(self.buffers["values"], at, k, v * b.lanes)
                return b.widen(self.read_v(tile.kv, b.add(first, k), *live[v]))

            acc = emit_register_tile(
                b,
                rows=plan.tile.rows,
                vectors=len(live),
                depth=width,
                left=lambda r, k: b.load_scalar(scores, r, k),
                right=right,
                initial=initial,
            )
            for r, sums in enumerate(acc):
                for (at, lanes), value in zip(live, sums, strict=True):
                    if plan.online:
                        into = self.buffers["sum_of_values"]
                        b.store(value, into, b.add(state, r), at)
                    else:
                        value = b.multiply(value, b.load(factors, r, 0))
                        self.store_o(*tile.positions[r], at, lanes, value)

        self.columns(plan.e, plan.panel_columns, panel)

    # Online softmax

    def rescaled(
        self, state: Index, live: list[tuple[Index, int]]
    ) -> list[list[Vector]]:
        b = self.b
        result = []
        for r in range(self.plan.tile.rows):
            factor = b.load(self.buffers["factors"], r, 0)
            row = b.add(state, r)
            sums = [b.load(self.buffers["sum_of_values"], row, c) for c, _ in live]
            result.append([b.multiply(value, factor) for value in sums])
        return result

    def reset_state(self) -> None:
        b, plan = self.b, self.plan
        zero, lowest = b.splat(0), b.splat(float("-inf"))

        def row(r: Index) -> None:
            b.store(lowest, self.buffers["maxima"], r, 0)
            b.store(zero, self.buffers["sums"], r, 0)
            into = self.buffers["sum_of_values"]
            self.columns(
                plan.padded(plan.e), b.lanes, lambda c, _: b.store(zero, into, r, c)
            )

        b.loop(0, plan.block_rows, 1, row)

    def finish_row(self, kv: Index, row: Index, state: Index) -> None:
        """Divides a row by its sum and stores it."""
        b, plan = self.b, self.plan
        h, i = self.position(kv, row)
        inverse = b.inverse_or_zero(b.load(self.buffers["sums"], state, 0))

        def columns(c: Index, live: int) -> None:
            value = b.load(self.buffers["sum_of_values"], state, c)
            self.store_o(h, i, c, live, b.multiply(value, inverse))

        self.columns(plan.e, b.lanes, columns)
