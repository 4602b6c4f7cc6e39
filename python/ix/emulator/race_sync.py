"""Order through memory: fences, atomics, and the barriers of clusters.

A store or atomic operation releases what its warp knew at its last fence (or now, with
`.release`); a load or atomic operation acquires it, at its next fence (or now, with
`.acquire`). Both reach as far as the narrowest scope among them: what is released is
kept for the CTA, the cluster and the device of the warp, up to its scope, and acquired
from those that the other warp is in, up to its own. What is known of other clusters is
kept apart, cluster by cluster, since clocks have columns for the own cluster alone.

Source: PTX ISA, "Memory Consistency Model": release and acquire patterns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.kernel_code import KernelCode
from ix.emulator.layout import CLUSTER_SHIFT, SHARED_WINDOW, WINDOW_BYTES
from ix.emulator.race_clocks import SEEN, Clocks
from ix.emulator.scopes import CLUSTER, CTA, GPU

__all__ = ["Order", "Syncs", "has_order"]

# Cluster of the launch → clocks (2, columns).
Knowledge = dict[int, Array]
# (scope, number of the CTA or cluster) → what was released to the threads in it.
Released = dict[tuple[int, int], Knowledge]
# (space, CTA, address)
Location = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Order:
    """What a strong access orders: in which scope, and whether by itself."""

    scope: int
    acquires: bool = False
    releases: bool = False


class Syncs:
    """What the warps of a batch release and acquire through memory."""

    _locations: dict[Location, Released]

    def __init__(
        self, batch: Batch, clocks: Clocks, first_cta: int, is_needed: bool
    ) -> None:
        self.batch = batch
        self.clocks = clocks
        self.first_warp = first_cta * batch.cta_warps
        self.is_needed = is_needed
        self._locations = {}
        # Warp → scope → what its last fence of that scope or a wider one releases.
        self._fenced: dict[int, dict[int, Knowledge]] = {}
        self._pending: dict[int, dict[Location, tuple[Released, int]]] = {}
        self._foreign: dict[int, Knowledge] = {}
        self._arrived: dict[int, Array] = {}
        self._completed: dict[int, Array] = {}

    def follow(self, earlier: Syncs) -> None:
        """Keeps what an earlier batch of the launch has released in global memory."""
        self._locations.update(
            (location, known)
            for location, known in earlier._locations.items()
            if location[0] != "shared"
        )

    def number(self, warps: Array) -> Array:
        """The numbers of warps in the launch."""
        return np.asarray(warps + self.first_warp)

    def cluster_of(self, warp: int) -> int:
        """The cluster of the launch of a warp of the batch."""
        return (warp + self.first_warp) // self.clocks.peers

    # Order within and between clusters

    def fence(self, warps: Array, scope: int) -> None:
        """Acquires what strong loads have seen, and prepares what stores release."""
        if not self.is_needed:
            return
        for warp in warps.tolist():
            pending = self._pending.get(warp, {})
            for location, (released, reach) in list(pending.items()):
                self._acquire_within(warp, released, min(scope, reach))
                if scope >= reach:
                    del pending[location]
            known = self._snapshot(warp)
            self._fenced.setdefault(warp, {}).update(
                (narrower, known) for narrower in range(CTA, scope + 1)
            )

    def store(
        self, space: str, addresses: Array, active: Active, order: Order, keeps: bool
    ) -> None:
        """Releases to each location; `keeps` what others have released there."""
        if not self.is_needed:
            return
        for warp, location in self._locate(space, addresses, active):
            now = self._snapshot(warp) if order.releases else None
            fenced = self._fenced.get(warp, {})
            released = dict(self._locations.get(location, {})) if keeps else {}
            for group in self._groups(warp, order.scope):
                given = fenced.get(group[0]) if now is None else now
                if given is not None:
                    released[group] = self._joined(released.get(group, {}), given)
            self._locations[location] = released

    def load(self, space: str, addresses: Array, active: Active, order: Order) -> None:
        """Acquires from each location, now or at the next fence."""
        if not self.is_needed:
            return
        for warp, location in self._locate(space, addresses, active):
            found = self._locations.get(location)
            if found is None:
                continue
            if order.acquires:
                self._acquire_within(warp, found, order.scope)
            else:
                self._pending.setdefault(warp, {})[location] = found, order.scope

    def _groups(self, warp: int, scope: int) -> list[tuple[int, int]]:
        """The groups of threads that a warp is in, up to a scope."""
        cta = (warp + self.first_warp) // self.batch.cta_warps
        groups = [(CTA, cta), (CLUSTER, self.cluster_of(warp)), (GPU, 0)]
        return groups[:scope]

    def _acquire_within(self, warp: int, released: Released, scope: int) -> None:
        """A warp acquires what was released to the groups that it is in."""
        for group in self._groups(warp, scope):
            if group in released:
                self._acquire(warp, released[group])

    def _locate(
        self, space: str, addresses: Array, active: Active
    ) -> Iterator[tuple[int, Location]]:
        """The distinct (warp, location) pairs of the active threads."""
        chosen = active.select(addresses).tolist()
        lanes = active.lanes.tolist()
        pairs = dict.fromkeys(zip(lanes, chosen, strict=True))
        seen: set[tuple[int, int]] = set()
        for thread, address in pairs:
            warp = thread // WARP
            if (warp, address) not in seen:
                seen.add((warp, address))
                yield warp, self._location(space, int(self.batch.cta[thread]), address)

    def _location(self, space: str, cta: int, address: int) -> Location:
        """Where an address of a CTA lies, however it is written."""
        if (
            space == "generic"
            and SHARED_WINDOW <= address < SHARED_WINDOW + WINDOW_BYTES
        ):
            space, address = "shared", address - SHARED_WINDOW
        if space != "shared":
            return "global", -1, address
        rank = (address >> CLUSTER_SHIFT) - 1
        if rank >= 0:
            first = cta // self.batch.cluster_ctas * self.batch.cluster_ctas
            cta, address = first + rank, address & ((1 << CLUSTER_SHIFT) - 1)
        return "shared", cta, address

    def _snapshot(self, warp: int) -> Knowledge:
        """What a warp knows now; a new time begins for it."""
        own = self.clocks.release(None, warp)
        return {**self._foreign.get(warp, {}), self.cluster_of(warp): own}

    def _acquire(self, warp: int, knowledge: Knowledge) -> None:
        own = self.cluster_of(warp)
        for cluster, clocks in knowledge.items():
            if cluster == own:
                self.clocks.learn(np.array([warp]), clocks)
            else:
                mine = self._foreign.setdefault(warp, {})
                mine[cluster] = self._merged(mine.get(cluster), clocks)

    def _joined(self, a: Knowledge, b: Knowledge) -> Knowledge:
        joined = dict(a)
        for cluster, clocks in b.items():
            joined[cluster] = self._merged(joined.get(cluster), clocks)
        return joined

    def _merged(self, a: Array | None, b: Array) -> Array:
        if a is None:
            return b
        return np.asarray(np.maximum(self.clocks.fit(a), self.clocks.fit(b)))

    # What is known of other clusters

    def is_unknown(self, warps: Array, agents: Array, times: Array) -> Array:
        """Whether accesses of warps of other clusters are not known, (n,)."""
        bad = np.ones(len(warps), np.bool_)
        peers = self.clocks.peers
        for i, (warp, agent, time) in enumerate(
            zip(warps.tolist(), agents.tolist(), times.tolist(), strict=True)
        ):
            clocks = self._foreign.get(warp, {}).get(agent // peers)
            if clocks is not None:
                bad[i] = time > int(clocks[SEEN, agent % peers])
        return bad

    def has_acquired(self, warps: Array) -> Array:
        """Whether warps have acquired anything from other clusters, (n,)."""
        if not self._foreign:
            return np.zeros(len(warps), np.bool_)
        return np.isin(warps, [*self._foreign])

    # Barriers

    def join(self, warps: Array) -> None:
        """A barrier: what is known of other clusters spreads as well."""
        if not self._foreign:
            return
        together: Knowledge = {}
        for warp in warps.tolist():
            for cluster, clocks in self._foreign.get(warp, {}).items():
                together[cluster] = self._merged(together.get(cluster), clocks)
        if together:
            for warp in warps.tolist():
                self._acquire(warp, together)

    def join_ctas(self) -> None:
        """A barrier of all warps in every CTA of the batch."""
        if not self._foreign:
            return
        warps = self.batch.cta_warps
        for cta in range(self.batch.ctas):
            own = np.arange(cta * warps, (cta + 1) * warps)
            self.join(own)

    def arrive_cluster(self, warps: Array, releases: bool) -> None:
        """Warps arrive at the barrier of their cluster.

        Args:
            releases: Whether they release what they know; else what they knew at their
                last fence.
        """
        for warp in warps.tolist():
            cluster = warp // self.clocks.peers
            arrived = self._arrived.get(cluster)
            if releases:
                arrived = self.clocks.release(arrived, warp)
            else:
                fenced = self._fenced.get(warp, {}).get(CLUSTER, {})
                known = fenced.get(self.cluster_of(warp), self.clocks.nothing())
                arrived = self._merged(arrived, known)
            self._arrived[cluster] = arrived

    def release_cluster(self, cluster: int) -> None:
        """The barrier of a cluster of the batch completes."""
        self._completed[cluster] = self._arrived.pop(cluster)

    def observe_cluster(self, warps: Array) -> None:
        """Warps have waited for the barrier of their cluster."""
        for warp in warps.tolist():
            clocks = self._completed.get(warp // self.clocks.peers)
            if clocks is not None:
                self.clocks.learn(np.array([warp]), clocks)


def has_order(kernel: KernelCode) -> bool:
    """Whether a kernel orders anything through memory."""
    instructions = (compiled.instruction for compiled in kernel.code)
    return any(
        (i.opcode in ("fence", "membar") and not i.has("proxy"))
        or i.has("acquire", "release", "acq_rel")
        for i in instructions
        if i.opcode not in ("mbarrier", "barrier")
    )
