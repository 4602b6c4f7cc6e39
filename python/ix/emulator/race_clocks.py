"""Vector clocks of the warps of a batch: what each knows to have happened.

The agents of a cluster are the columns of its clocks, in this order:

    warps | wgmma queues | bulk-store queues | cp.async queues | mbarriers

A warp's own column counts its releases. The column of a queue counts its groups, that
of an mbarrier the phases, which stand for the copies that complete them.

What a warp knows of itself, its cp.async queue and its bulk stores is what all of its
lanes know: it was before they last met. What lanes know of their own is kept beside.

Each warp has two rows: what is ordered before it, and what of that a proxy fence has
made visible to asynchronous operations as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ix.emulator.batch import WARP, Array, Batch
from ix.emulator.race_shadow import SEVERAL, lane_of, time_of

__all__ = ["ASYNC", "QUEUES", "SEEN", "WAITED", "Clocks"]

SEEN, ASYNC = 0, 1  # the rows of a warp
QUEUES = {"wgmma": 1, "store": 2, "copy": 3}  # blocks of columns behind the warps
WAITED = ("store", "copy")  # queues that lanes wait for one by one
_BARRIERS = 32  # columns for mbarriers to begin with


class Clocks:
    """The clocks of a batch.

    Attributes:
        peers: Warps of a cluster.
        known: int32 (warps of the batch, 2, columns).
        now: The time of each warp, that its accesses are recorded with.
        waited: The groups of "store" and "copy" that lanes of a warp have waited for.
    """

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.peers = batch.cta_warps * batch.cluster_ctas
        warps = batch.threads // 32
        self.known = np.zeros((warps, 2, 4 * self.peers + _BARRIERS), np.int32)
        self.own = np.arange(warps) % self.peers
        self.now = np.ones(warps, np.int32)
        self.waited = {queue: np.zeros(warps, np.int32) for queue in WAITED}
        self._every = np.arange(warps)
        # Warp → (lanes, lanes): until when the column's lane is known to the row's.
        self._pairs: dict[int, Array] = {}
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

    # Lanes

    def meet(self, warps: Array) -> None:
        """All lanes of warps meet: each knows what the others did until now."""
        self._publish(warps)
        self.now[warps] += 1

    def meet_some(self, warp: int, lanes: Array) -> None:
        """Some lanes of a warp meet; bool (32,)."""
        if lanes.all():
            self.meet(np.array([warp]))
            return
        pairs = self._pairs.setdefault(warp, np.zeros((WARP, WARP), np.int32))
        each = np.flatnonzero(lanes)
        joined = pairs[each].max(0)
        joined[each] = self.now[warp]
        pairs[each] = joined
        self._publish_waits(np.array([warp]), SEEN)
        self.now[warp] += 1

    def _publish(self, warps: Array, row: int = SEEN) -> None:
        """What lanes know of their own becomes known to the whole warp."""
        self.known[warps, row, self.own[warps]] = self.now[warps]
        self._publish_waits(warps, row)

    def _publish_waits(self, warps: Array, row: int) -> None:
        for queue, waited in self.waited.items():
            columns = self.column_of_queue(queue, warps)
            known = np.maximum(self.known[warps, row, columns], waited[warps])
            self.known[warps, row, columns] = known

    def beyond_lane(
        self, bad: Array, earlier: Array, warps: Array, lanes: Array, is_own: Array
    ) -> Array:
        """The bad earlier accesses that the accessing lanes do not know either.

        Args:
            bad: Which earlier accesses the accessing warps as a whole do not know.
            earlier: Packed accesses.
            warps: Who accesses now.
            lanes: Its lanes, or SEVERAL.
            is_own: Which earlier accesses its own warp did.
        """
        bad = bad & ~(is_own & (lane_of(earlier) == lanes) & (lanes != SEVERAL))
        if self._pairs:
            for i in np.flatnonzero(bad & is_own).tolist():
                bad[i] = not self._have_met(int(warps[i]), int(lanes[i]), earlier[i])
        return bad

    def _have_met(self, warp: int, lane: int, earlier: Array) -> bool:
        """Whether a lane has met that of an earlier access of its warp since.

        Which several lanes did something is not kept: one that was met is enough.
        """
        pairs, other = self._pairs.get(warp), int(lane_of(earlier))
        if pairs is None:
            return False
        rows = pairs if lane == SEVERAL else pairs[lane : lane + 1]
        columns = rows if other == SEVERAL else rows[:, other]
        return int(time_of(earlier)) <= int(columns.max())

    # Warps

    def learn(self, warps: Array, clocks: Array) -> None:
        """Warps acquire what clocks (2, columns) say."""
        self.known[warps] = np.maximum(self.known[warps], self.fit(clocks))

    def join(self, warps: Array, clock: Array | None) -> None:
        """A barrier: warps learn what all of them know, and what a clock says."""
        self._publish(warps)
        clocks = self.known[warps].max(0)
        if clock is not None:
            clocks = np.maximum(clocks, self.fit(clock))
        self.learn(warps, clocks)
        self.now[warps] += 1

    def join_ctas(self) -> None:
        """A barrier in every CTA of the batch, of all its warps."""
        self._publish(self._every)
        known, warps = self.known, self.batch.cta_warps
        by_cta = known.reshape(-1, warps, *known.shape[1:])
        by_cta[:] = by_cta.max(1, keepdims=True)
        self.now += 1

    def proxy_fence(self, warps: Array) -> None:
        """What warps know becomes visible to their asynchronous operations."""
        known = self.known
        known[warps, ASYNC] = np.maximum(known[warps, ASYNC], known[warps, SEEN])
        self._publish(warps, ASYNC)
        self.now[warps] += 1

    def release(self, clocks: Array | None, warp: int) -> Array:
        """Adds what a warp knows to clocks, and begins a new time for it."""
        mine, own = np.array(self.known[warp]), self.own[warp]
        mine[SEEN, own] = self.now[warp]
        for queue, waited in self.waited.items():
            column = QUEUES[queue] * self.peers + own
            mine[SEEN, column] = max(mine[SEEN, column], waited[warp])
        self.now[warp] += 1
        return mine if clocks is None else np.maximum(self.fit(clocks), mine)

    def nothing(self) -> Array:
        """Clocks of nobody."""
        return np.zeros((2, self.columns), np.int32)

    def note(self, clocks: Array | None, column: int, time: int) -> Array:
        """Adds the time of one agent to clocks."""
        joined = self.nothing() if clocks is None else self.fit(clocks)
        joined[SEEN, column] = max(int(joined[SEEN, column]), time)
        return joined
