"""The right operand of a matmul: column panels, packed before or by the kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ix.mlir import ir
from ix.passes.schedule.microkernel.builder import Builder, Index, Lanes, Vector
from ix.passes.schedule.microkernel.register_tile import TileShape, live_lanes
from ix.passes.schedule.microkernel.transpose import emit_transpose, group_rows

__all__ = ["RightOperand", "pack_b", "unpack_b"]


def pack_b(array: npt.NDArray[Any], panel_columns: int) -> npt.NDArray[Any]:
    """Packs B[..., k, n] into panels [..., ⌈n / NR⌉, k, NR], padded with zeros."""
    *batch, k, n = array.shape
    panels = -(-n // panel_columns)
    wide = np.zeros((*batch, k, panels * panel_columns), array.dtype)
    wide[..., :n] = array
    split = wide.reshape(*batch, k, panels, panel_columns)
    return np.ascontiguousarray(np.moveaxis(split, -2, -3))


def unpack_b(packed: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """The inverse of `pack_b`: panels [..., p, k, NR] → B[..., k, n]."""
    *batch, panels, k, columns = packed.shape
    joined = np.moveaxis(packed, -3, -2).reshape(*batch, k, panels * columns)
    return np.ascontiguousarray(joined[..., :n])


class PanelPlan(Protocol):
    """What a plan says about panels."""

    @property
    def tile(self) -> TileShape: ...

    @property
    def panel_columns(self) -> int: ...

    @property
    def repacked(self) -> bool: ...

    @property
    def packed_rows(self) -> int: ...


@dataclass
class RightOperand:
    """Reads B[k, n] of a matmul; its fields are arguments of `emit_matmul`."""

    b: Builder
    plan: PanelPlan
    n: Index
    k: Index
    packed_b: ir.Value | None
    read_b: Callable[[Index, Index, Lanes], ir.Value] | None
    read_b_transposed: Callable[[Index, Index, Lanes], ir.Value] | None
    scratch: ir.Value | None

    def __post_init__(self) -> None:
        self.panel = None
        if self.plan.repacked:
            assert self.scratch is not None, "a repacked plan needs scratch"
            shape = (self.plan.packed_rows, self.plan.panel_columns)
            self.panel = self.b.carve(self.scratch, {"panel": shape})["panel"]

    @property
    def has_tail(self) -> bool:
        """Whether the last panel may have fewer columns than the others."""
        return not isinstance(self.n, int) or self.n % self.plan.panel_columns != 0

    def live(self, panel: Index, masked: bool) -> list[tuple[Index, Lanes]]:
        """First column and live lanes of a panel's vectors; all if not masked."""
        b, plan = self.b, self.plan
        column = b.mul(panel, plan.panel_columns)
        if masked:
            return live_lanes(b, self.n, column, plan.tile)
        starts = range(0, plan.panel_columns, b.lanes)
        return [(b.add(column, start), b.lanes) for start in starts]

    def prepare(self, panel: Index) -> None:
        """Packs a panel into the scratch, if the kernel packs at all."""
        if self.panel is None:
            return
        if self.read_b_transposed is not None:
            self._transpose(panel, self.read_b_transposed, self.panel)
        else:
            assert self.read_b is not None, "a repacked plan needs read_b"
            self._copy(panel, self.read_b, self.panel)

    def read(
        self, panel: Index, k: Index, v: int, live: list[tuple[Index, Lanes]]
    ) -> Vector:
        """Vector v of row k of a panel."""
        b = self.b
        if self.panel is not None:
            return b.load(self.panel, k, v * b.lanes)
        if self.packed_b is not None:
            return b.widen(b.load(self.packed_b, panel, k, v * b.lanes))
        assert self.read_b is not None, "emit_matmul needs packed_b or read_b"
        j, lanes = live[v]
        return b.widen(self.read_b(k, j, lanes))

    def _copy(
        self,
        panel: Index,
        read_b: Callable[[Index, Index, Lanes], ir.Value],
        into: ir.Value,
    ) -> None:
        b, live = self.b, self.live(panel, self.has_tail)

        def row(k: Index) -> None:
            for v, (j, lanes) in enumerate(live):
                b.store(b.widen(read_b(k, j, lanes)), into, k, v * b.lanes)

        b.loop(0, self.k, 1, row)

    def _transpose(
        self,
        panel: Index,
        read: Callable[[Index, Index, Lanes], ir.Value],
        into: ir.Value,
    ) -> None:
        """Columns of B beyond the last are copies of it, which nobody stores."""
        b = self.b
        whole = isinstance(self.k, int) and self.k % b.lanes == 0
        last = b.sub(self.n, 1)

        def group(column: Index, k: Index) -> None:
            lanes = b.lanes if whole else b.live(b.sub(self.k, k))
            first = b.add(b.mul(panel, self.plan.panel_columns), column)

            def row(r: int) -> Vector:
                j = b.add(first, r)
                j = b.min(j, last) if self.has_tail else j
                return b.widen(read(j, k, lanes))

            emit_transpose(b, row, into, lambda at: (b.add(k, at), column))

        b.loop(
            0,
            self.plan.panel_columns,
            group_rows(b),
            lambda column: b.loop(0, self.k, b.lanes, lambda k: group(column, k)),
        )
