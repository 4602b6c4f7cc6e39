"""Races in global memory, between the warps of a CTA and between CTAs of a launch.

A warp of a launch is numbered through all clusters. A granule remembers its last write,
its last read, and whether several clusters have read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ix.emulator.access import Access
from ix.emulator.batch import WARP, Array, Batch
from ix.emulator.race_clocks import SEEN, Clocks
from ix.emulator.race_report import raise_race
from ix.emulator.race_shadow import agent_of, granules, is_strong, pack, time_of

if TYPE_CHECKING:
    from ix.emulator.heap import Allocation
    from ix.emulator.race_sync import Syncs

__all__ = ["GlobalRaces"]


@dataclass(slots=True)
class Shadow:
    """The last accesses of one allocation.

    writes, reads: packed, by granule
    is_shared:     whether warps of several clusters have read the granule
    """

    start: int
    writes: Array
    reads: Array
    is_shared: Array


class GlobalRaces:
    """The last accesses of global memory in a launch."""

    def __init__(self, granule: int) -> None:
        self.granule = granule
        self.shadows: dict[int, Shadow] = {}
        self.batch: Batch
        self.clocks: Clocks
        self.syncs: Syncs

    def begin(self, batch: Batch, clocks: Clocks, syncs: Syncs) -> None:
        """Begins a batch."""
        self.batch, self.clocks, self.syncs = batch, clocks, syncs

    def access(self, access: Access) -> None:
        """Checks and records an access by the warps themselves."""
        heap = self.batch.memory.heap
        low, high = access.bounds
        allocation = heap.find(low)
        assert allocation is not None
        if high < allocation.end:
            self._record(self._shadow(allocation), access)
            return
        rest = np.ones(len(access.addresses), np.bool_)
        while rest.any():
            found = heap.find(int(access.addresses[rest].min()))
            assert found is not None
            inside = rest & (access.addresses < np.uint64(found.end))
            part = Access(
                access.space,
                access.kind,
                access.addresses[inside],
                access.size,
                access.threads[inside],
                is_strong=access.is_strong,
            )
            self._record(self._shadow(found), part)
            rest &= ~inside

    def _shadow(self, allocation: Allocation) -> Shadow:
        found = self.shadows.get(allocation.start)
        if found is None:
            size = -(-allocation.size // self.granule)
            found = Shadow(
                allocation.start,
                np.zeros(size, np.int64),
                np.zeros(size, np.int64),
                np.zeros(size, np.bool_),
            )
            self.shadows[allocation.start] = found
        return found

    def _record(self, shadow: Shadow, access: Access) -> None:
        offset = (access.addresses - np.uint64(shadow.start)).view(np.int64)
        at = granules(offset, access.size, self.granule)
        warps = access.threads // WARP
        every = np.arange(len(self.clocks.known))
        by_warp = pack(
            self.syncs.number(every),
            access.is_strong,
            self.batch.pc,
            self.clocks.time(every),
        )
        packed = by_warp.take(warps)
        if len(at) > len(warps):
            count = len(at) // len(warps)
            warps, packed = np.repeat(warps, count), np.repeat(packed, count)
        earlier = shadow.writes.take(at)
        if earlier.any():
            self._check(access, warps, earlier, "wrote")
            if access.is_nc:
                self._report_stale(access, earlier)
        if access.kind == "read":
            if not access.is_strong:
                self._note_read(shadow, at, packed)
            return
        read = shadow.reads.take(at)
        if read.any():
            self._check(access, warps, read, "read")
            self._check_shared(access, warps, shadow, at, read)
        shadow.writes[at] = packed
        if not access.is_strong:
            bad = shadow.writes.take(at) != packed
            if bad.any():
                first = int(shadow.writes[at[int(np.argmax(bad))]])
                raise_race(self.batch, access, bad, first, "wrote", self._name(first))

    def _report_stale(self, access: Access, earlier: Array) -> None:
        """Reports a load through the non-coherent cache of what the launch has written.

        Source: PTX ISA, "ld.global.nc": the memory must be read-only for the kernel.
        """
        bad = earlier != 0
        first = int(earlier[int(np.argmax(bad))])
        remedy = "load it without .nc"
        raise_race(self.batch, access, bad, first, "wrote", self._name(first), remedy)

    def _note_read(self, shadow: Shadow, at: Array, packed: Array) -> None:
        earlier = shadow.reads.take(at)
        if earlier.any():
            peers = self.clocks.peers
            others = agent_of(earlier) // peers != agent_of(packed) // peers
            others &= earlier != 0
            if others.any():
                shadow.is_shared[at[others]] = True
        shadow.reads[at] = packed
        # Clusters that read a granule in the same step overwrite one another.
        after = shadow.reads.take(at)
        if (after != packed).any():
            peers = self.clocks.peers
            others = agent_of(after) // peers != agent_of(packed) // peers
            shadow.is_shared[at[others]] = True

    def _check(self, access: Access, warps: Array, earlier: Array, verb: str) -> None:
        """Reports earlier accesses that are not known to the accessing warps."""
        agent, peers = agent_of(earlier), self.clocks.peers
        own = self.syncs.number(warps)
        same = agent // peers == own // peers
        known = self.clocks.known[warps, SEEN, np.where(same, agent % peers, 0)]
        bad = np.where(same, time_of(earlier) > known, True) & (earlier != 0)
        if access.is_strong and bad.any():
            bad &= ~is_strong(earlier)
        if not bad.any():
            return
        foreign = np.flatnonzero(bad & ~same)
        if len(foreign):
            bad[foreign] = self.syncs.is_unknown(
                warps[foreign], agent[foreign], time_of(earlier[foreign])
            )
        if bad.any():
            first = int(earlier[int(np.argmax(bad))])
            raise_race(self.batch, access, bad, first, verb, self._name(first))

    def _check_shared(
        self, access: Access, warps: Array, shadow: Shadow, at: Array, read: Array
    ) -> None:
        """Reports a write of what several clusters have read, unless they synchronise.

        Which of them read last is not kept: any acquire from another cluster is taken
        for the one that orders the write.
        """
        bad = shadow.is_shared.take(at) & ~self.syncs.has_acquired(warps)
        if bad.any():
            first = int(read[int(np.argmax(bad))])
            who = f"{self._name(first)} and others"
            raise_race(self.batch, access, bad, first, "read", who)

    def _name(self, packed: int) -> str:
        """Names the warp of a packed access."""
        agent = int(agent_of(np.array([packed]))[0])
        warps = self.batch.cta_warps
        return f"warp {agent % warps} of CTA number {agent // warps}"
