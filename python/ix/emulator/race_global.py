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
from ix.emulator.race_report import (
    AMONG_CTAS,
    AMONG_LANES,
    AMONG_WARPS,
    differing,
    name_lane,
    raise_race,
)
from ix.emulator.race_shadow import (
    LANES,
    agent_of,
    by_several,
    granules,
    in_lane,
    lane_of,
    pack,
    scope_of,
    time_of,
)
from ix.emulator.scopes import GPU, needed_scope

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

    def access(self, access: Access, values: Array | None = None) -> None:
        """Checks and records an access by the warps themselves.

        Args:
            values: What a write writes, (n, count).
        """
        heap = self.batch.memory.heap
        low, high = access.bounds
        allocation = heap.find(low)
        assert allocation is not None
        if high < allocation.end:
            self._record(self._shadow(allocation), access, values)
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
                scope=access.scope,
            )
            self._record(
                self._shadow(found), part, None if values is None else values[inside]
            )
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

    def _record(
        self, shadow: Shadow, access: Access, values: Array | None = None
    ) -> None:
        offset = (access.addresses - np.uint64(shadow.start)).view(np.int64)
        at = granules(offset, access.size, self.granule)
        warps, lanes = np.divmod(access.threads, WARP)
        every = np.arange(len(self.clocks.known))
        by_warp = pack(
            self.syncs.number(every),
            access.scope,
            0,
            self.batch.pc,
            self.clocks.now,
        )
        packed = by_warp.take(warps) | in_lane(lanes)
        if len(at) > len(warps):
            count = len(at) // len(warps)
            warps, packed = np.repeat(warps, count), np.repeat(packed, count)
        earlier = shadow.writes.take(at)
        if earlier.any():
            self._check(access, warps, packed, earlier, "wrote")
            if access.is_nc:
                self._report_stale(access, earlier)
        if access.kind == "read":
            if not access.scope:
                self._note_read(shadow, at, warps, packed)
            return
        read = shadow.reads.take(at)
        if read.any():
            self._check(access, warps, packed, read, "read")
            self._check_shared(access, warps, shadow, at, read)
        shadow.writes[at] = packed
        if access.scope < GPU:
            bad = shadow.writes.take(at) != packed
            if bad.any():
                others = shadow.writes.take(at)
                bad &= self._are_apart(access, at, packed, others, values)
                if bad.any():
                    self._report(access, bad, packed, others, "wrote")

    def _are_apart(
        self,
        access: Access,
        at: Array,
        packed: Array,
        others: Array,
        values: Array | None,
    ) -> Array:
        """Which writes of the same granules in the same step race.

        Lanes of a warp may write the same value: it does not matter who is last.
        """
        own, agent = agent_of(packed), agent_of(others)
        if not access.scope:
            return np.asarray((own != agent) | differing(at, values))
        needed = needed_scope(own, agent, self.batch.cta_warps, self.clocks.peers)
        return np.asarray(needed > access.scope)

    def _report_stale(self, access: Access, earlier: Array) -> None:
        """Reports a load through the non-coherent cache of what the launch has written.

        Source: PTX ISA, "ld.global.nc": the memory must be read-only for the kernel.
        """
        bad = earlier != 0
        first = int(earlier[int(np.argmax(bad))])
        remedy = "load it without .nc"
        raise_race(self.batch, access, bad, first, "wrote", self._name(first), remedy)

    def _note_read(
        self, shadow: Shadow, at: Array, warps: Array, packed: Array
    ) -> None:
        earlier = shadow.reads.take(at)
        if earlier.any():
            packed = self._with_others(shadow, at, warps, packed, earlier)
        shadow.reads[at] = packed
        # Those that read a granule in the same step overwrite one another.
        after = shadow.reads.take(at)
        if (after != packed).any():
            shadow.reads[at] = self._with_others(shadow, at, warps, packed, after)

    def _with_others(
        self, shadow: Shadow, at: Array, warps: Array, packed: Array, others: Array
    ) -> Array:
        """Reads with those of other lanes; notes where other clusters have read."""
        clocks, agents, readers = self.clocks, agent_of(others), agent_of(packed)
        differs = agents != readers
        if differs.any():
            foreign = differs & (others != 0)
            if clocks.peers > 1:
                foreign &= agents // clocks.peers != readers // clocks.peers
            shadow.is_shared[at[foreign]] = True
        fresh = (others ^ packed) & LANES != 0
        fresh &= ~differs
        if fresh.any():
            fresh &= time_of(others) > clocks.known[warps, SEEN, clocks.own[warps]]
            return np.where(fresh, by_several(packed), packed)
        return packed

    def _check(
        self, access: Access, warps: Array, packed: Array, earlier: Array, verb: str
    ) -> None:
        """Reports earlier accesses that are not known to the accessing warps."""
        agent, peers = agent_of(earlier), self.clocks.peers
        own = agent_of(packed)
        same = agent // peers == own // peers
        known = self.clocks.known[warps, SEEN, np.where(same, agent % peers, 0)]
        bad = np.where(same, time_of(earlier) > known, True) & (earlier != 0)
        if access.scope and bad.any():
            needed = needed_scope(own, agent, self.batch.cta_warps, peers)
            bad &= np.minimum(scope_of(earlier), access.scope) < needed
        if not bad.any():
            return
        bad = self.clocks.beyond_lane(
            bad, earlier, warps, lane_of(packed), agent == own
        )
        foreign = np.flatnonzero(bad & ~same)
        if len(foreign):
            bad[foreign] = self.syncs.is_unknown(
                warps[foreign], agent[foreign], time_of(earlier[foreign])
            )
        if bad.any():
            self._report(access, bad, packed, earlier, verb)

    def _report(
        self, access: Access, bad: Array, packed: Array, earlier: Array, verb: str
    ) -> None:
        at, peers = int(np.argmax(bad)), self.batch.cta_warps
        first, name = int(earlier[at]), self._name(int(earlier[at]))
        if agent_of(earlier)[at] == agent_of(packed)[at]:
            name, remedy = f"{name_lane(first)} {name}", AMONG_LANES
        elif int(agent_of(earlier)[at]) // peers == int(agent_of(packed)[at]) // peers:
            remedy = AMONG_WARPS
        else:
            remedy = AMONG_CTAS
        raise_race(self.batch, access, bad, first, verb, name, remedy)

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
