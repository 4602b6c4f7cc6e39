"""Accesses to memory of one element or of a vector of them, by its lanes' indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, ir, memref, scf, vector
from ix.passes.schedule import storage
from ix.passes.schedule.body import widen
from ix.passes.schedule.index import Index, IndexMath

__all__ = ["LaneAccess", "Lanes"]


@dataclass(frozen=True)
class Lanes:
    """How many elements an access covers along its last index.

    count: 1 for a scalar, else the vector's length.
    live: how many of them exist, an int or a value of type index; a partial vector
        reads and writes only these.
    """

    count: int = 1
    live: Any = 1

    @property
    def partial(self) -> bool:
        """Whether some lanes may lie beyond the edge."""
        return not isinstance(self.live, int) or self.live < self.count

    def mask(self) -> ir.Value:
        """vector<count x i1>, true in the live lanes."""
        kind = ir.VectorType.get([self.count], ir.IntegerType.get_signless(1))
        if isinstance(self.live, int):
            return vector.constant_mask(kind, [self.live])
        return vector.create_mask(kind, [self.live])


class LaneAccess:
    """Loads and stores at the current insertion point.

    Args:
        math: Index arithmetic.
        aligned: Bytes that every buffer is aligned to, where the code must say so: a
            GPU reads a vector at once only at a multiple of its size.

    Attributes:
        split: Whether some vector was accessed element by element.
    """

    def __init__(self, math: IndexMath, aligned: int) -> None:
        self.math = math
        self.aligned = aligned
        self.split = False

    def load(
        self, buffer: ir.Value, indices: Sequence[Index], lanes: Lanes
    ) -> ir.Value:
        """One scalar, one vector, or one gather from a memref with unit last stride."""
        element = buffer.type.element_type
        if lanes.count == 1 or all(index.uniform for index in indices):
            return memref.load(buffer, [self.math.value(i.base) for i in indices])
        *outer, last = indices
        kind = ir.VectorType.get([lanes.count], element)
        if last.stride == 1 and all(index.uniform for index in outer):
            at = [self.math.value(index.base) for index in indices]
            if not lanes.partial:
                alignment = self._alignment(buffer, indices, lanes)
                return vector.load(kind, buffer, at, alignment=alignment)
            filler = vector.broadcast(kind, storage.zero(element))
            return vector.maskedload(kind, buffer, at, lanes.mask(), filler)
        self.split = True
        scalars = []
        static = isinstance(lanes.live, int)
        for lane in range(lanes.live if static else lanes.count):
            # A lane beyond a live count known at run time reads the last live one.
            here = lane if static else self._at_most(lane, lanes.live)
            at = [self.math.value(self.math.at_lane(i, here)) for i in indices]
            scalars.append(memref.load(buffer, at))
        scalars += [scalars[0]] * (lanes.count - len(scalars))
        return vector.from_elements(kind, scalars)

    def _alignment(
        self, buffer: ir.Value, indices: Sequence[Index], lanes: Lanes
    ) -> int | None:
        """The bytes that a whole vector is aligned to, where that can be said."""
        if not self.aligned:
            return None
        row = 1
        for index, size in zip(
            reversed(indices), reversed(buffer.type.shape), strict=True
        ):
            if index.known * row % lanes.count:
                self.split = True
                return None
            row *= max(size, 1)  # a dynamic size may be any number
        return min(self.aligned, lanes.count * buffer.type.element_type.width // 8)

    def _at_most(self, lane: int, live: Any) -> Any:
        if lane == 0:
            return 0
        last = self.math.compute("sub", live, 1)
        return self.math.compute("min", last, lane)

    def store(
        self,
        value: ir.Value,
        buffer: ir.Value,
        indices: Sequence[Index],
        lanes: Lanes,
        element: ir.Type,
        nontemporal: bool = False,
    ) -> None:
        """Writes a value of the register type of `element`."""
        value = storage.to_storage(value, element)
        if lanes.count == 1:
            memref.store(value, buffer, [self.math.value(i.base) for i in indices])
            return
        value = widen(value, lanes.count)
        if not indices:  # a scalar has one lane that counts
            self._store_lane(value, buffer, indices, 0)
            return
        *outer, last = indices
        if last.stride == 1 and all(index.uniform for index in outer):
            at = [self.math.value(index.base) for index in indices]
            if lanes.partial:
                vector.maskedstore(buffer, at, lanes.mask(), value)
            elif nontemporal:
                vector.store(value, buffer, at, nontemporal=True, alignment=64)
            else:
                alignment = self._alignment(buffer, indices, lanes)
                vector.store(value, buffer, at, alignment=alignment)
            return
        self.split = True
        for lane in range(lanes.count):
            if isinstance(lanes.live, int):
                if lane < lanes.live:
                    self._store_lane(value, buffer, indices, lane)
                continue
            below = arith.cmpi(
                arith.CmpIPredicate.slt, self.math.value(lane), lanes.live
            )
            branch = scf.IfOp(below)
            self.math.push()
            with ir.InsertionPoint(branch.then_block):
                self._store_lane(value, buffer, indices, lane)
                scf.YieldOp([])
            self.math.pop()

    def _store_lane(
        self, value: ir.Value, buffer: ir.Value, indices: Sequence[Index], lane: int
    ) -> None:
        at = [self.math.value(self.math.at_lane(i, lane)) for i in indices]
        one = vector.extract(value, dynamic_position=[], static_position=[lane])
        memref.store(one, buffer, at)
