"""Races in shared memory, within a CTA or cluster."""

from __future__ import annotations

import numpy as np

from ix.emulator.access import Access, Pattern
from ix.emulator.batch import WARP, Array, Batch
from ix.emulator.errors import RaceError
from ix.emulator.race_clocks import ASYNC, QUEUES, SEEN, Clocks
from ix.emulator.race_report import raise_race
from ix.emulator.race_shadow import (
    agent_of,
    granules,
    is_strong,
    pack,
    time_of,
)
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

    def access(self, access: Access, index: Array) -> None:
        """Checks and records an access by the warps themselves."""
        if access.kind == "read":
            access, index = self._distinct(access, index)
        warps = access.threads // WARP
        agents = self.clocks.own[warps]
        self._record(
            access, index, warps, agents, self.clocks.time(warps), is_async=False
        )

    def _distinct(self, access: Access, index: Array) -> tuple[Access, Array]:
        """The reads without those that another lane of the warp does as well.

        Which they are is the same each time an instruction runs, but for the address
        that all of them begin at.
        """
        threads, offsets = access.threads, index - index[0]
        known = self._patterns.get(self.batch.pc)
        if known is None or not known.fits(offsets, threads):
            keys = offsets + (threads // WARP << 40)
            _, chosen = np.unique(keys, return_index=True)
            known = Pattern(offsets, threads, np.sort(chosen))
            self._patterns[self.batch.pc] = known
        chosen = known.found
        if len(chosen) == len(index):
            return access, index
        assert access.ctas is not None
        fewer = Access(
            access.space,
            access.kind,
            access.addresses[chosen],
            access.size,
            threads[chosen],
            access.ctas[chosen],
            is_strong=access.is_strong,
        )
        return fewer, index[chosen]

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
        self._record(
            access,
            index,
            warps,
            np.broadcast_to(agents, shape),
            np.broadcast_to(times, shape),
            is_async=is_async,
        )

    def _record(
        self,
        access: Access,
        index: Array,
        warps: Array,
        agents: Array,
        times: Array,
        *,
        is_async: bool,
    ) -> None:
        at = granules(index, access.size, self.granule)
        if len(at) > len(warps):
            count = len(at) // len(warps)
            warps, agents = np.repeat(warps, count), np.repeat(agents, count)
            times = np.repeat(times, count)
        packed = pack(agents, access.is_strong, self.batch.pc, times)
        self._check_writes(access, at, warps, agents, is_async)
        if access.kind == "read":
            if not access.is_strong:
                self._note_read(at, agents, times, packed)
            return
        self._check_reads(access, at, warps)
        self.writes[at] = packed
        if not access.is_strong:
            self._check_same_step(access, at, packed)

    def _check_writes(
        self, access: Access, at: Array, warps: Array, agents: Array, is_async: bool
    ) -> None:
        earlier = self.writes.take(at)
        if not earlier.any():
            return
        writer, known = agent_of(earlier), self.clocks.known
        row: Array | int = SEEN
        if is_async:
            # Generic writes must be fenced before asynchronous operations see them.
            peers = self.clocks.peers
            is_generic = (writer < peers) | (writer // peers == QUEUES["copy"])
            row = np.where(is_generic, ASYNC, SEEN)
        bad = time_of(earlier) > known[warps, row, writer]
        if access.is_strong and bad.any():
            bad &= ~is_strong(earlier)
        bad &= earlier != 0
        if bad.any():
            seen = time_of(earlier) <= known[warps, SEEN, writer]
            self._report_write(access, bad, earlier, is_unfenced=seen)

    def _report_write(
        self, access: Access, bad: Array, earlier: Array, is_unfenced: Array
    ) -> None:
        """Reports earlier writes: those without an order, else those without a fence.

        Args:
            is_unfenced: Which writes are ordered before, but want a proxy fence.
        """
        kind, remedy = RaceError, "put a barrier or a wait between them"
        if (bad & ~is_unfenced).any():
            bad = bad & ~is_unfenced
        elif self.strict:
            kind, remedy = ProxyFenceError, "put fence.proxy.async behind the write"
        else:
            return
        packed = int(earlier[int(np.argmax(bad))])
        raise_race(
            self.batch, access, bad, packed, "wrote", self._name(packed), remedy, kind
        )

    def _check_reads(self, access: Access, at: Array, warps: Array) -> None:
        width = self.reads.shape[1]
        rows = self.reads.take(at, axis=0)
        if not rows.any():
            return
        late = rows > self.clocks.known[warps, SEEN, :width]
        bad = np.asarray(late.any(1))
        if bad.any():
            first = int(np.argmax(bad))
            packed = int(self.readers[at[first]])
            agent = np.array([int(np.argmax(late[first]))])
            name = self._name(int(pack(agent, False, 0, agent)[0]))
            raise_race(self.batch, access, bad, packed, "read", name)

    def _note_read(self, at: Array, agents: Array, times: Array, packed: Array) -> None:
        if self.reads.shape[1] < self.clocks.columns and (
            agents.max(initial=0) >= self.reads.shape[1]
        ):
            self.reads = self.clocks.fit(self.reads)
        self.reads[at, agents] = times
        self.readers[at] = packed

    def _check_same_step(self, access: Access, at: Array, packed: Array) -> None:
        """Two warps that write the same granule in one step."""
        bad = self.writes.take(at) != packed
        if bad.any():
            earlier = int(self.writes[at[int(np.argmax(bad))]])
            raise_race(self.batch, access, bad, earlier, "wrote", self._name(earlier))

    def _name(self, packed: int) -> str:
        """Names the agent of a packed access."""
        agent, peers = int(agent_of(np.array([packed]))[0]), self.clocks.peers
        if agent < peers:
            return f"warp {agent}"
        for queue, name in _QUEUE_NAMES.items():
            if agent // peers == QUEUES[queue]:
                return name.format(agent % peers)
        return "a bulk copy"
