"""Races in shared memory, within a CTA or cluster."""

from __future__ import annotations

import numpy as np

from ix.emulator.access import Access, Pattern
from ix.emulator.batch import WARP, Array, Batch
from ix.emulator.race_clocks import ASYNC, QUEUES, SEEN, Clocks
from ix.emulator.race_report import (
    AMONG_LANES,
    AMONG_WARPS,
    differing,
    name_lane,
    raise_race,
)
from ix.emulator.race_shadow import (
    SEVERAL,
    agent_of,
    by_several,
    granules,
    lane_of,
    pack,
    scope_of,
    time_of,
)
from ix.emulator.scopes import needed_scope
from ix.emulator.tensor_errors import ProxyFenceError

__all__ = ["SharedRaces"]

_QUEUE_NAMES = {
    "wgmma": "a wgmma of warp {}",
    "store": "a bulk copy of warp {}",
    "copy": "a cp.async of warp {}",
}


class SharedRaces:
    """The last accesses of the shared memory of a batch.

    Attributes:
        writes: The last write of each granule, packed.
        reads: int32 (granules, agents): when each agent last read it.
        readers: The last read of each granule, packed; names the line.
        strict: Whether generic writes that asynchronous operations read without
            fence.proxy.async are reported, although a barrier orders them.
    """

    def __init__(
        self,
        batch: Batch,
        clocks: Clocks,
        granule: int,
        strict: bool = True,
    ) -> None:
        self.strict = strict
        self.batch = batch
        self.clocks = clocks
        self.granule = granule
        size = len(batch.memory.shared) // granule
        self.writes = np.zeros(size, np.int64)
        self.readers = np.zeros(size, np.int64)
        self._patterns: dict[int, Pattern] = {}
        # Most kernels have no asynchronous readers: warps alone need columns.
        self.reads = np.zeros((size, clocks.peers), np.int32)

    def access(self, access: Access, index: Array, values: Array | None = None) -> None:
        """Checks and records an access by the warps themselves.

        Args:
            values: What a write writes, (n, count).
        """
        if access.kind == "read":
            access, index, lanes = self._distinct(access, index)
        else:
            lanes = access.threads % WARP
        if access.is_collective:
            lanes = np.full(len(lanes), SEVERAL)
        warps = access.threads // WARP
        agents, times = self.clocks.own[warps], self.clocks.now[warps]
        self._record(
            access, index, warps, lanes, agents, times, is_async=False, values=values
        )

    def _distinct(self, access: Access, index: Array) -> tuple[Access, Array, Array]:
        """The reads without those that another lane of the warp does as well.

        Which they are is the same each time an instruction runs, but for the address
        that all of them begin at.

        Returns:
            The reads, where they lie, and the lane of each, or SEVERAL.
        """
        threads, offsets = access.threads, index - index[0]
        known = self._patterns.get(self.batch.pc)
        if known is None or not known.fits(offsets, threads):
            keys = offsets + (threads // WARP << 40)
            _, chosen, counts = np.unique(keys, return_index=True, return_counts=True)
            order = np.argsort(chosen)
            chosen, counts = chosen[order], counts[order]
            lanes = np.where(counts > 1, SEVERAL, threads[chosen] % WARP)
            known = Pattern(offsets, threads, (chosen, lanes))
            self._patterns[self.batch.pc] = known
        chosen, lanes = known.found
        if len(chosen) == len(index):
            return access, index, lanes
        assert access.ctas is not None
        fewer = Access(
            access.space,
            access.kind,
            access.addresses[chosen],
            access.size,
            threads[chosen],
            access.ctas[chosen],
            scope=access.scope,
            is_collective=access.is_collective,
        )
        return fewer, index[chosen], lanes

    def issue(
        self,
        access: Access,
        index: Array,
        agents: Array,
        times: Array,
        *,
        is_async: bool,
    ) -> None:
        """Checks what warps issue, and records it for the agent that does it."""
        warps = access.threads // WARP
        shape = (len(warps),)
        lane: Array | int = SEVERAL if access.is_collective else access.threads % WARP
        self._record(
            access,
            index,
            warps,
            np.broadcast_to(lane, shape),
            np.broadcast_to(agents, shape),
            np.broadcast_to(times, shape),
            is_async=is_async,
        )

    def _record(
        self,
        access: Access,
        index: Array,
        warps: Array,
        lanes: Array,
        agents: Array,
        times: Array,
        *,
        is_async: bool,
        values: Array | None = None,
    ) -> None:
        at = granules(index, access.size, self.granule)
        if len(at) > len(warps):
            count = len(at) // len(warps)
            warps, lanes = np.repeat(warps, count), np.repeat(lanes, count)
            agents, times = np.repeat(agents, count), np.repeat(times, count)
        packed = pack(agents, access.scope, lanes, self.batch.pc, times)
        self._check_writes(access, at, warps, lanes, is_async)
        if access.kind == "read":
            if not access.scope:
                self._note_read(at, warps, agents, times, packed)
            return
        self._check_reads(access, at, warps, lanes)
        self.writes[at] = packed
        if not access.scope:
            self._check_same_step(access, at, warps, packed, values)

    def _check_writes(
        self, access: Access, at: Array, warps: Array, lanes: Array, is_async: bool
    ) -> None:
        earlier = self.writes.take(at)
        if not earlier.any():
            return
        writer, known = agent_of(earlier), self.clocks.known
        bad = time_of(earlier) > known[warps, SEEN, writer]
        if bad.any():
            bad &= ~self._are_strong(access, warps, earlier)
            bad = self._beyond_lane(bad & (earlier != 0), earlier, warps, lanes)
            if bad.any():
                self._report(access, bad, earlier, warps)
        if is_async and self.strict:
            # Generic writes must be fenced before asynchronous operations see them.
            peers = self.clocks.peers
            is_generic = (writer < peers) | (writer // peers == QUEUES["copy"])
            bad = is_generic & (time_of(earlier) > known[warps, ASYNC, writer])
            bad &= ~self._are_strong(access, warps, earlier) & (earlier != 0)
            if bad.any():
                packed = int(earlier[int(np.argmax(bad))])
                remedy = "put fence.proxy.async behind the write"
                raise_race(
                    self.batch, access, bad, packed, "wrote", self._name(packed),
                    remedy, ProxyFenceError,
                )  # fmt: skip

    def _are_strong(self, access: Access, warps: Array, earlier: Array) -> Array:
        """Where earlier accesses and this one are strong towards one another."""
        if not access.scope:
            return np.zeros(len(earlier), np.bool_)
        peers = self.clocks.peers
        own, other = self.clocks.own[warps], agent_of(earlier) % peers
        needed = needed_scope(own, other, self.batch.cta_warps, peers)
        return np.minimum(scope_of(earlier), access.scope) >= needed

    def _beyond_lane(
        self, bad: Array, earlier: Array, warps: Array, lanes: Array
    ) -> Array:
        """The bad earlier accesses that the accessing lanes do not know either."""
        clocks, agents, own = self.clocks, agent_of(earlier), self.clocks.own[warps]
        bad = clocks.beyond_lane(bad, earlier, warps, lanes, agents == own)
        if bad.any():
            same = (lane_of(earlier) == lanes) & (lanes != SEVERAL)
            for queue, waited in clocks.waited.items():
                done = agents == clocks.column_of_queue(queue, warps)
                bad = bad & ~(same & done & (time_of(earlier) <= waited[warps]))
        return bad

    def _report(
        self,
        access: Access,
        bad: Array,
        earlier: Array,
        warps: Array,
        verb: str = "wrote",
        agent: int | None = None,
    ) -> None:
        """Reports earlier accesses, by the agents that they name or by another."""
        first = int(np.argmax(bad))
        packed = int(earlier[first])
        who = int(agent_of(np.array([packed]))[0]) if agent is None else agent
        if who == int(self.clocks.own[warps[first]]):
            name = f"{name_lane(packed)} warp {who}"
            remedy = AMONG_LANES
        else:
            name, remedy = self._name_agent(who), AMONG_WARPS
        raise_race(self.batch, access, bad, packed, verb, name, remedy)

    def _check_reads(
        self, access: Access, at: Array, warps: Array, lanes: Array
    ) -> None:
        width = self.reads.shape[1]
        rows = self.reads.take(at, axis=0)
        if not rows.any():
            return
        late = rows > self.clocks.known[warps, SEEN, :width]
        bad = np.asarray(late.any(1))
        if not bad.any():
            return
        # Of the own warp and its queue, only the lanes of the last read are known.
        readers, every = self.readers.take(at), np.arange(len(at))
        for columns in (
            self.clocks.own[warps],
            self.clocks.column_of_queue("store", warps),
        ):
            if int(columns.max()) < width:
                last = late[every, columns] & (agent_of(readers) == columns)
                late[every, columns] = self._beyond_lane(last, readers, warps, lanes)
        bad = np.asarray(late.any(1))
        if bad.any():
            agent = int(np.argmax(late[int(np.argmax(bad))]))
            self._report(access, bad, readers, warps, "read", agent)

    def _note_read(
        self, at: Array, warps: Array, agents: Array, times: Array, packed: Array
    ) -> None:
        if self.reads.shape[1] < self.clocks.columns and (
            agents.max(initial=0) >= self.reads.shape[1]
        ):
            self.reads = self.clocks.fit(self.reads)
        earlier = self.readers.take(at)
        fresh = time_of(earlier) > self.clocks.known[warps, SEEN, agents]
        if fresh.any():
            fresh &= agent_of(earlier) == agents
            fresh &= lane_of(earlier) != lane_of(packed)
            packed = np.where(fresh, by_several(packed), packed)
        self.reads[at, agents] = times
        self.readers[at] = packed

    def _check_same_step(
        self,
        access: Access,
        at: Array,
        warps: Array,
        packed: Array,
        values: Array | None,
    ) -> None:
        """Two threads that write the same granule in one step, but not the same.

        Two lanes of a warp may write the same value: it does not matter who is last.
        """
        bad = self.writes.take(at) != packed
        if bad.any():
            earlier = self.writes.take(at)
            bad &= (agent_of(earlier) != agent_of(packed)) | differing(at, values)
            if bad.any():
                self._report(access, bad, earlier, warps)

    def _name(self, packed: int) -> str:
        """Names the agent of a packed access."""
        return self._name_agent(int(agent_of(np.array([packed]))[0]))

    def _name_agent(self, agent: int) -> str:
        peers = self.clocks.peers
        if agent < peers:
            return f"warp {agent}"
        for queue, name in _QUEUE_NAMES.items():
            if agent // peers == QUEUES[queue]:
                return name.format(agent % peers)
        return "a bulk copy"
