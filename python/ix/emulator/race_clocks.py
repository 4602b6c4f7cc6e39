"""Vector clocks of the warps of a batch: what each knows to have happened.

The agents of a cluster are the columns of its clocks, in this order:

    warps | wgmma queues | bulk-store queues | cp.async queues | mbarriers

A warp's own column counts its releases. The column of a queue counts its groups, that
of an mbarrier the phases, which stand for the copies that complete them.

Each warp has two rows: what is ordered before it, and what of that a proxy fence has
made visible to asynchronous operations as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ix.emulator.batch import Array, Batch

__all__ = ["ASYNC", "QUEUES", "SEEN", "Clocks"]

SEEN, ASYNC = 0, 1  # the rows of a warp
QUEUES = {"wgmma": 1, "store": 2, "copy": 3}  # blocks of columns behind the warps
_BARRIERS = 32  # columns for mbarriers to begin with


class Clocks:
    """The clocks of a batch.

    Attributes:
        peers: Warps of a cluster.
        known: int32 (warps of the batch, 2, columns).
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.peers = batch.cta_warps * batch.cluster_ctas
        warps = batch.threads // 32
        self.known = np.zeros((warps, 2, 4 * self.peers + _BARRIERS), np.int32)
        self.own = np.arange(warps) % self.peers
        self.known[np.arange(warps), SEEN, self.own] = 1
        self._columns: dict[Any, int] = {}
        self._counts = np.zeros(warps // self.peers, np.int64)

    @property
    def columns(self) -> int:
        """How many agents a cluster has."""
        return self.known.shape[2]

    def column_of_queue(self, queue: str, warps: Array) -> Array:
        """The columns of the queues of warps."""
        return QUEUES[queue] * self.peers + self.own[warps]

    def column_of_barrier(self, barrier: Any) -> int:
        """The column of an mbarrier; a new one the first time."""
        found = self._columns.get(barrier)
        if found is None:
            cluster = barrier.cta // self.batch.cluster_ctas
            found = 4 * self.peers + int(self._counts[cluster])
            self._counts[cluster] += 1
            self._columns[barrier] = found
            if found >= self.columns:
                self.known = self.fit(self.known, 2 * found)
        return found

    def fit(self, clocks: Array, columns: int = 0) -> Array:
        """Clocks widened to as many columns as there are now."""
        missing = max(columns, self.columns) - clocks.shape[-1]
        if missing <= 0:
            return clocks
        widths = [(0, 0)] * (clocks.ndim - 1) + [(0, missing)]
        return np.pad(clocks, widths)

    def time(self, warps: Array) -> Array:
        """The time of each warp, that its accesses are recorded with."""
        now = self.known[np.arange(len(self.known)), SEEN, self.own]
        return np.asarray(now[warps])

    def tick(self, warps: Array) -> None:
        """Begins a new time after a release: later accesses are not covered by it."""
        self.known[warps, SEEN, self.own[warps]] += 1

    def learn(self, warps: Array, clocks: Array) -> None:
        """Warps acquire what clocks (2, columns) say."""
        self.known[warps] = np.maximum(self.known[warps], self.fit(clocks))

    def join(self, warps: Array, clock: Array | None) -> None:
        """A barrier: warps learn what all of them know, and what a clock says."""
        clocks = self.known[warps].max(0)
        if clock is not None:
            clocks = np.maximum(clocks, self.fit(clock))
        self.learn(warps, clocks)
        self.tick(warps)

    def join_ctas(self) -> None:
        """A barrier in every CTA of the batch, of all its warps."""
        known, warps = self.known, self.batch.cta_warps
        by_cta = known.reshape(-1, warps, *known.shape[1:])
        by_cta[:] = by_cta.max(1, keepdims=True)
        known[np.arange(len(known)), SEEN, self.own] += 1

    def proxy_fence(self, warps: Array) -> None:
        """What warps know becomes visible to their asynchronous operations."""
        known = self.known
        known[warps, ASYNC] = np.maximum(known[warps, ASYNC], known[warps, SEEN])

    def release(self, clocks: Array | None, warp: int) -> Array:
        """Adds what a warp knows to clocks, and begins a new time for it."""
        mine = self.known[warp]
        known = mine if clocks is None else np.maximum(self.fit(clocks), mine)
        joined = np.array(known)
        self.known[warp, SEEN, self.own[warp]] += 1
        return joined

    def note(self, clocks: Array | None, column: int, time: int) -> Array:
        """Adds the time of one agent to clocks."""
        joined = (
            np.zeros((2, self.columns), np.int32)
            if clocks is None
            else self.fit(clocks)
        )
        joined[SEEN, column] = max(int(joined[SEEN, column]), time)
        return joined
