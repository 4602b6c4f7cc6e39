"""Finds races: two accesses of the same bytes, one a write, that nothing orders.

Every warp has a vector clock; barriers, mbarriers, cluster barriers and fences with
atomics join them. Asynchronous work (cp.async groups, bulk copies, wgmma groups) is
done by agents of its own, which a warp knows of once it has waited for them. Every
granule of shared and global memory remembers who wrote it last, and who has read it.

Warps are the agents, but what one lane did is ordered before another lane of the warp
only where they met: at bar.warp.sync, a barrier, or through memory. Accesses that are
both atomic, volatile or relaxed do not race. Between CTAs, an order comes from releases
and acquires whose scopes have both CTAs.

    race.access(access, index)                   by the warps themselves
    race.issue_copies(access, index, groups)     cp.async  → wait_copies
    race.issue_bulk(access, index, barrier)      bulk copy → the mbarrier's phase
    race.issue_store(access, index, group)       bulk copy → wait_stores
    race.issue_mma(access, index, group)         wgmma     → wait_mma

`index` is where each access lies in the buffer that `memory.locate` gives.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ix.emulator.access import Access
from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.kernel_code import KernelCode
from ix.emulator.race_clocks import SEEN, Clocks
from ix.emulator.race_global import GlobalRaces
from ix.emulator.race_shadow import granule_of
from ix.emulator.race_shared import SharedRaces
from ix.emulator.race_sync import Order, Syncs, has_order
from ix.emulator.scopes import CLUSTER

__all__ = ["RaceDetector"]

_WARPGROUP = 4  # warps
_MBARRIER_BYTES = 8


class RaceDetector:
    """The race detector of one launch.

    Attributes:
        enabled: Whether anything is recorded and reported.
        strict: Whether races are reported that hardware is known to forgive.
        clocks: Of the running batch.
    """

    batch: Batch
    clocks: Clocks
    shared: SharedRaces
    syncs: Syncs

    def __init__(self, kernel: KernelCode, enabled: bool, strict: bool = True) -> None:
        self.enabled = enabled
        self.strict = strict
        self.granule = granule_of(kernel) if enabled else 16
        self.has_order = enabled and has_order(kernel)
        self.in_global = GlobalRaces(self.granule)

    def begin(self, batch: Batch, first_cta: int) -> None:
        """Begins a batch, whose CTAs come after `first_cta` others of the launch."""
        self.batch = batch
        if not self.enabled:
            return
        self.clocks = Clocks(batch)
        self.shared = SharedRaces(batch, self.clocks, self.granule, self.strict)
        earlier = self.syncs if first_cta else None
        self.syncs = Syncs(batch, self.clocks, first_cta, self.has_order)
        if earlier is not None:
            self.syncs.follow(earlier)
        self.in_global.begin(batch, self.clocks, self.syncs)

    # Accesses by the warps themselves

    def access(self, access: Access, index: Array, values: Array | None = None) -> None:
        """Records an access, and reports those that it races with.

        Args:
            values: What a write writes, (n, count).

        Raises:
            RaceError: Another access of the same bytes is not ordered before it.
        """
        if not len(index):
            return
        if access.space == "global":
            self.in_global.access(access, values)
        elif access.space == "shared":
            self.shared.access(access, index, values)

    # Barriers

    def meet(self, warps: Array) -> None:
        """All lanes of warps wait for one another, and see what the others did."""
        if self.enabled:
            self.clocks.meet(warps)

    def meet_some(self, warp: int, lanes: Array) -> None:
        """Some lanes of a warp wait for one another; bool (32,)."""
        if self.enabled:
            self.clocks.meet_some(warp, lanes)

    def meet_in_passing(self, active: Active) -> None:
        """Lanes execute an instruction that waits for them all, but orders nothing.

        Hardware orders their accesses all the same, so that is forgiven.
        """
        if self.enabled and not self.strict:
            self.clocks.meet(active.warps)

    def arrive(self, clock: Array | None, warps: Array) -> Array | None:
        """Warps arrive at a barrier without waiting; what all who did so know."""
        if self.enabled:
            for warp in warps.tolist():
                clock = self.clocks.release(clock, warp)
        return clock

    def join(self, warps: Array, clock: Array | None) -> None:
        """A barrier completes for warps that wait; `clock` is of those that do not."""
        if self.enabled and len(warps):
            self.clocks.join(warps, clock)
            self.syncs.join(warps)

    def join_ctas(self) -> None:
        """A barrier of all warps in every CTA of the batch."""
        if self.enabled:
            self.clocks.join_ctas()
            self.syncs.join_ctas()

    def arrive_cluster(self, warps: Array, releases: bool) -> None:
        """Warps arrive at the barrier of their cluster."""
        if self.enabled:
            self.syncs.arrive_cluster(warps, releases)

    def release_cluster(self, cluster: int, warps: Array) -> None:
        """The barrier of a cluster completes."""
        if self.enabled:
            self.syncs.release_cluster(cluster)

    def observe_cluster(self, warps: Array) -> None:
        """Warps have waited for the barrier of their cluster."""
        if self.enabled:
            self.syncs.observe_cluster(warps)

    # Fences and atomics

    def fence(self, warps: Array, scope: int) -> None:
        """A fence of memory by warps."""
        if self.enabled:
            self.syncs.fence(warps, scope)

    def proxy_fence(self, warps: Array) -> None:
        """fence.proxy.async by warps."""
        if self.enabled:
            self.clocks.proxy_fence(warps)

    def atomic(
        self, space: str, addresses: Array, active: Active, order: Order
    ) -> None:
        """An atomic operation: releases, then acquires."""
        if self.enabled:
            self.syncs.store(space, addresses, active, order, keeps=True)
            self.syncs.load(space, addresses, active, order)

    def loaded(
        self, space: str, addresses: Array, active: Active, order: Order
    ) -> None:
        """A volatile, relaxed or acquiring load."""
        if self.enabled:
            self.syncs.load(space, addresses, active, order)

    def stored(
        self, space: str, addresses: Array, active: Active, order: Order
    ) -> None:
        """A volatile, relaxed or releasing store."""
        if self.enabled:
            self.syncs.store(space, addresses, active, order, keeps=False)

    # mbarriers

    def release_to(self, barrier: Any, warp: int, order: Order) -> None:
        """A warp arrives at an mbarrier, maybe one of another CTA."""
        if not (self.enabled and order.releases):
            return
        if warp // self.batch.cta_warps == barrier.cta:
            barrier.clock = self.clocks.release(barrier.clock, warp)
        elif order.scope >= CLUSTER or not self.strict:
            barrier.remote = self.clocks.release(barrier.remote, warp)

    def release_copies_to(self, barrier: Any, warp: int, group: int) -> None:
        """The cp.async groups below `group` of a warp arrive at an mbarrier."""
        if self.enabled:
            column = int(self.clocks.column_of_queue("copy", np.array([warp]))[0])
            barrier.clock = self.clocks.note(barrier.clock, column, group)

    def complete_phase(self, barrier: Any) -> None:
        """The phase of an mbarrier completes; `barrier.phase` counts it already."""
        if self.enabled:
            column = self.clocks.column_of_barrier(barrier)
            clock = self.clocks.note(barrier.clock, column, barrier.phase)
            barrier.clock, barrier.released = clock, (clock.copy(), barrier.remote)

    def acquire_from(self, barrier: Any, warps: Array, order: Order) -> None:
        """Warps have waited for the last completed phase of an mbarrier."""
        if not self.enabled or barrier.released is None or not order.acquires:
            return
        own, remote = barrier.released
        self.clocks.learn(warps, own)
        if remote is not None and (order.scope >= CLUSTER or not self.strict):
            self.clocks.learn(warps, remote)

    # Asynchronous work

    def issue_copies(self, access: Access, index: Array, groups: Array) -> None:
        """Threads issue cp.async writes in their groups, (n,)."""
        if self.enabled:
            columns = self.clocks.column_of_queue("copy", access.threads // WARP)
            self.shared.issue(access, index, columns, groups + 1, is_async=False)

    def wait_copies(self, active: Active, limits: Array) -> None:
        """Active threads have waited for all their groups below their limits."""
        if self.enabled:
            self._wait("copy", active.lanes, limits[active.lanes])

    def issue_bulk(self, access: Access, index: Array, barrier: Any) -> None:
        """A thread issues a bulk copy that completes the running phase."""
        if self.enabled:
            column = np.asarray(self.clocks.column_of_barrier(barrier))
            time = np.asarray(barrier.phase + 1)
            self.shared.issue(access, index, column, time, is_async=True)
            # The copy signals the mbarrier: it must see that it was initialised.
            signal = Access(
                "shared",
                "read",
                np.array([barrier.offset], np.uint64),
                _MBARRIER_BYTES,
                access.threads[:1],
                np.array([barrier.cta]),
                scope=CLUSTER,
            )
            start = barrier.cta * self.batch.memory.shared_stride + barrier.offset
            self.shared.issue(signal, np.array([start]), column, time, is_async=True)

    def issue_store(self, access: Access, index: Array, group: int) -> None:
        """A thread issues a bulk copy out of shared memory, in its bulk group."""
        if self.enabled:
            columns = self.clocks.column_of_queue("store", access.threads // WARP)
            time = np.asarray(group + 1)
            self.shared.issue(access, index, columns, time, is_async=True)

    def wait_stores(self, limits: dict[int, int]) -> None:
        """Threads have waited for all their bulk groups below their limits."""
        if self.enabled and limits:
            self._wait("store", np.array([*limits]), np.array([*limits.values()]))

    def issue_mma(self, access: Access, index: Array, group: Array | int) -> None:
        """Warpgroups issue wgmma reads of shared memory, in their wgmma groups.

        Args:
            access: One address for each piece; its threads are the warpgroups' first.
        """
        if not self.enabled:
            return
        if self.strict:
            # Each of the four warps reads, and has to wait for itself.
            access, index = _of_four_warps(access), np.tile(index, _WARPGROUP)
        columns = self.clocks.column_of_queue("wgmma", access.threads // WARP)
        time = np.asarray(group) + 1
        self.shared.issue(access, index, columns, time, is_async=True)

    def wait_mma(self, threads: Array, limits: Array) -> None:
        """Threads have waited for all wgmma groups below the limits of their warps."""
        if not self.enabled:
            return
        warps, first = np.unique(threads // WARP, return_index=True)
        queues = warps if self.strict else warps // _WARPGROUP * _WARPGROUP
        columns = self.clocks.column_of_queue("wgmma", queues)
        known = self.clocks.known
        known[warps, SEEN, columns] = np.maximum(
            known[warps, SEEN, columns], limits[first]
        )

    def _wait(self, queue: str, threads: Array, limits: Array) -> None:
        warps = threads // WARP
        # The lanes of a warp share a queue: the least of them is what is done.
        times = np.full(len(self.clocks.known), np.iinfo(np.int32).max, np.int64)
        np.minimum.at(times, warps, limits)
        waited = self.clocks.waited[queue]
        waited[warps] = np.maximum(waited[warps], times[warps])


def _of_four_warps(access: Access) -> Access:
    """The same access by each warp of a warpgroup."""
    count = len(access.addresses)
    offsets = np.repeat(np.arange(_WARPGROUP) * WARP, count)
    return Access(
        access.space,
        access.kind,
        np.tile(access.addresses, _WARPGROUP),
        access.size,
        np.tile(access.threads, _WARPGROUP) + offsets,
        None if access.ctas is None else np.tile(access.ctas, _WARPGROUP),
        is_collective=True,
    )
