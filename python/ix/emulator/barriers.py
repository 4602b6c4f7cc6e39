"""Barriers of a CTA and of a cluster: bar, barrier, bar.warp.sync, barrier.cluster.

A barrier without a count waits for every thread of its CTA that has not exited; with a
count, for so many threads. `.arrive` counts and goes on; `.red` gives a result to those
that waited.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.errors import BarrierError
from ix.emulator.kernel_code import KernelCode
from ix.emulator.outcome import Outcome, Step, Wait
from ix.emulator.syntax import Instruction

__all__ = ["INSTRUCTIONS"]

_BARRIERS = 16  # of a CTA
_ALL_LANES = 0xFFFFFFFF


@dataclass(slots=True)
class Phase:
    """The threads of a CTA that arrived at a barrier since it last completed.

    arrived:  bool over the threads of the CTA
    waiting:  those of them that wait for it
    expected: how many threads complete it; None for all that live
    values:   the predicates of `.red`
    clock:    for the race detector: what those that do not wait knew as they arrived
    """

    arrived: Array
    waiting: Array
    expected: int | None
    values: Array
    finish: Finish | None = None
    clock: Array | None = None


@dataclass(slots=True)
class Barriers:
    """The barriers of the CTAs of a batch, by (CTA, number)."""

    batch: Batch
    phases: dict[tuple[int, int], Phase] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.batch.scheduler.on_exit.append(self.exited)

    @staticmethod
    def of(batch: Batch) -> Barriers:
        """The barriers of a batch."""
        return batch.extension(Barriers)

    def slice(self, cta: int) -> slice:
        """The threads of a CTA of the batch."""
        size = self.batch.cta_threads
        return slice(cta * size, (cta + 1) * size)

    def phase(self, key: tuple[int, int], expected: int | None) -> Phase:
        """The running phase of a barrier; checks that all expect the same."""
        found = self.phases.get(key)
        if found is None:
            none = np.zeros(self.batch.cta_threads, np.bool_)
            found = Phase(none, none.copy(), expected, none.copy())
            self.phases[key] = found
        if found.expected != expected:
            raise self.batch.error(
                BarrierError,
                f"needs one thread count for barrier {key[1]}, but {expected or 'all'} "
                f"and {found.expected or 'all'} threads are expected; give every "
                "bar.sync and bar.arrive of it the same count",
            )
        return found

    def arrive(self, key: tuple[int, int], phase: Phase, mask: Array) -> None:
        """Adds threads to a phase."""
        twice = phase.arrived & mask
        if twice.any():
            raise self.batch.error(
                BarrierError,
                f"needs each thread to arrive once at barrier {key[1]}, but one "
                "arrives again before it completes; use another barrier or wait in "
                "between",
                self.slice(key[0]).start + int(np.argmax(twice)),
            )
        phase.arrived |= mask

    def is_complete(self, key: tuple[int, int]) -> bool:
        """Whether enough threads have arrived; raises if there are too many."""
        phase = self.phases[key]
        exited = self.batch.scheduler.exited[self.slice(key[0])]
        if phase.expected is None:
            return bool((phase.arrived | exited).all())
        # A warp counts as 32 threads, also where some of them have exited.
        by_warp = phase.arrived.reshape(-1, WARP)
        whole = (by_warp | exited.reshape(-1, WARP)).all(1) & by_warp.any(1)
        count = WARP * int(np.count_nonzero(whole))
        if count > phase.expected:
            raise self.batch.error(
                BarrierError,
                f"needs {phase.expected} threads at barrier {key[1]}, but {count} "
                "arrive; correct the count or who arrives",
            )
        return count == phase.expected

    def complete(self, key: tuple[int, int]) -> None:
        """Ends a phase: orders its warps and wakes who waits."""
        phase, batch = self.phases.pop(key), self.batch
        first = key[0] * batch.cta_warps
        waiting = np.unique(np.flatnonzero(phase.waiting) // WARP) + first
        batch.race.join(waiting, phase.clock)
        if phase.finish is not None:
            mask = np.zeros(batch.threads, np.bool_)
            mask[self.slice(key[0])] = phase.waiting
            phase.finish(batch, mask, phase)
        batch.scheduler.wake(_event(batch, key))

    def exited(self, mask: Array) -> None:
        """Completes the barriers that waited only for threads that have now ended."""
        for key in list(self.phases):
            if self.phases[key].expected is None and self.is_complete(key):
                self.complete(key)


# Gives the results of a `.red` to the threads of a mask, from the phase's predicates.
Finish = Callable[[Batch, Array, Phase], None]


def _event(batch: Batch, key: tuple[int, int]) -> tuple[str, int, str, int]:
    return ("barrier", key[1], "of CTA", int(batch.cta_ids[key[0]]))


def compile_barrier(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles bar.sync, bar.arrive, bar.red and barrier[.cta].{sync,arrive,red}."""
    operands = list(instruction.operands)
    red = next((m for m in ("popc", "and", "or") if instruction.has(m)), None)
    finish = _finish(instruction, kernel, red) if red else None
    if red:
        operands.pop(0)
    read_value = kernel.reader(operands.pop(), "pred") if red else None
    read_id = kernel.reader(operands[0], "u32")
    read_count = kernel.reader(operands[1], "u32") if len(operands) > 1 else None
    waits = not instruction.has("arrive")

    def step(batch: Batch, active: Active) -> Outcome | None:
        batch.counter.add(batch.pc, "barriers", active.warp_count)
        barriers, number = Barriers.of(batch), read_id(batch)
        count = None if read_count is None else read_count(batch)
        if red is None and waits and _is_met_by_all(barriers, active, number, count):
            batch.race.join_ctas()
            return None
        value = None if read_value is None else read_value(batch)
        events: list[tuple[Hashable, Array]] = []
        for key, mask in _parties(batch, active, number):
            phase = barriers.phase(key, _expected(batch, count, key, mask))
            barriers.arrive(key, phase, mask)
            if value is not None:
                own = np.broadcast_to(value, (batch.threads,))[barriers.slice(key[0])]
                phase.values |= mask & own
                phase.finish = finish
            if waits:
                phase.waiting |= mask
            else:
                warps = np.unique(np.flatnonzero(mask) // WARP)
                first = key[0] * batch.cta_warps
                phase.clock = batch.race.arrive(phase.clock, warps + first)
            if barriers.is_complete(key):
                barriers.complete(key)
            elif waits:
                waiting = np.zeros(batch.threads, np.bool_)
                waiting[barriers.slice(key[0])] = mask
                events.append((_event(batch, key), waiting))
        return Wait(events, retry=False) if events else None

    return step


def _is_met_by_all(
    barriers: Barriers, active: Active, number: Array, count: Array | None
) -> bool:
    """Whether every thread of every CTA arrives at once, as in lock step."""
    if active.write_mask is not None or number.ndim or int(number) >= _BARRIERS:
        return False
    if any(key[1] == int(number) for key in barriers.phases):
        return False
    if count is None:
        return True
    return (
        count.ndim == 0
        and active.mask is None
        and (int(count) == barriers.batch.cta_threads)
    )


def _parties(
    batch: Batch, active: Active, number: Array
) -> Iterator[tuple[tuple[int, int], Array]]:
    """The barriers that the active threads use: key, and who of the CTA."""
    size = batch.cta_threads
    numbers = np.broadcast_to(number, (batch.threads,)).reshape(-1, size)
    masks = active.full_mask.reshape(-1, size)
    for cta in active.groups(size):
        for each in np.unique(numbers[cta][masks[cta]]):
            if each >= _BARRIERS:
                raise batch.error(
                    BarrierError,
                    f"needs a barrier number below {_BARRIERS}, but it is {int(each)}; "
                    "use one of 0 to 15",
                )
            yield (int(cta), int(each)), masks[cta] & (numbers[cta] == each)


def _expected(
    batch: Batch, count: Array | None, key: tuple[int, int], mask: Array
) -> int | None:
    if count is None:
        return None
    size = batch.cta_threads
    own = np.broadcast_to(count, (batch.threads,)).reshape(-1, size)[key[0]]
    counts = np.unique(own[mask])
    wanted = int(counts[0])
    if len(counts) > 1 or wanted % WARP or wanted == 0:
        raise batch.error(
            BarrierError,
            f"needs one thread count, a multiple of {WARP}, but it is "
            f"{', '.join(map(str, counts))}; count whole warps",
        )
    return wanted


def _finish(instruction: Instruction, kernel: KernelCode, red: str) -> Finish:
    """Compiles what `.red` gives: the number of true predicates, all, or any."""
    write = kernel.writer(instruction.operands[0], "u32" if red == "popc" else "pred")

    def finish(batch: Batch, waiting: Array, phase: Phase) -> None:
        result: Array
        if red == "popc":
            result = np.asarray(np.count_nonzero(phase.values), np.uint32)
        elif red == "or":
            result = np.asarray(phase.values.any())
        else:
            result = np.asarray((phase.values | ~phase.arrived).all())
        count = int(np.count_nonzero(waiting))
        write(batch, result[()], Active(len(waiting), waiting, count, False))

    return finish


def compile_warp_barrier(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `bar.warp.sync mask`: waits for the named lanes, wherever they are."""
    read = kernel.reader(instruction.operands[0], "u32")

    def step(batch: Batch, active: Active) -> Outcome | None:
        masks = np.broadcast_to(read(batch), (batch.threads,))
        named = (masks >> batch.lane.astype(np.uint32)) & np.uint32(1)
        outside = active.full_mask & (named == 0)
        if outside.any():
            raise batch.error(
                BarrierError,
                "needs a mask that names the executing lane, but it does not; pass "
                "the mask of all lanes that come here",
                int(np.argmax(outside)),
            )
        arrived = batch.extensions.setdefault(
            "warp_barriers", np.zeros(batch.threads, np.bool_)
        )
        is_whole = active.write_mask is None and bool((masks == _ALL_LANES).all())
        if is_whole and not arrived.any():
            batch.race.meet(active.warps)
            return None
        arrived |= active.full_mask
        events: list[tuple[Hashable, Array]] = []
        for warp, bits, mine in _named_together(active, masks):
            at = slice(warp * WARP, (warp + 1) * WARP)
            wanted = (bits >> np.arange(WARP)) & 1 != 0
            exited = batch.scheduler.exited[at]
            event = ("lanes", hex(bits), "of warp", warp)
            if (arrived[at] | ~wanted | exited).all():
                arrived[at] &= ~wanted
                batch.race.meet_some(warp, wanted | exited)
                batch.scheduler.wake(event)
            else:
                events.append((event, mine))
        return Wait(events, retry=False) if events else None

    return step


def _named_together(active: Active, masks: Array) -> Iterator[tuple[int, int, Array]]:
    """(warp, mask, who of the batch) for each mask that threads of a warp have."""
    for warp in active.warps.tolist():
        at = slice(warp * WARP, (warp + 1) * WARP)
        own = active.full_mask[at]
        for bits in np.unique(masks[at][own]).tolist():
            mine = np.zeros(active.threads, np.bool_)
            mine[at] = own & (masks[at] == bits)
            yield warp, bits, mine


@dataclass(slots=True)
class ClusterBarriers:
    """The barrier of each cluster of a batch.

    phases:   how often each has completed
    arrived:  bool over the threads: who has arrived in the running phase
    owed:     the phase that each thread has arrived in and not yet waited for; -1
    """

    batch: Batch
    phases: Array = field(init=False)
    arrived: Array = field(init=False)
    owed: Array = field(init=False)

    def __post_init__(self) -> None:
        batch = self.batch
        self.phases = np.zeros(batch.ctas // batch.cluster_ctas, np.int64)
        self.arrived = np.zeros(batch.threads, np.bool_)
        self.owed = np.full(batch.threads, -1, np.int64)
        batch.scheduler.on_exit.append(lambda mask: self.settle())

    @staticmethod
    def of(batch: Batch) -> ClusterBarriers:
        """The cluster barriers of a batch."""
        return batch.extension(ClusterBarriers)

    def cluster(self) -> Array:
        """The cluster of each thread."""
        return self.batch.cta // self.batch.cluster_ctas

    def settle(self) -> None:
        """Completes the phases in which every live thread has arrived."""
        size = self.batch.cta_threads * self.batch.cluster_ctas
        arrived = self.arrived.reshape(-1, size)
        exited = self.batch.scheduler.exited.reshape(-1, size)
        done = (arrived | exited).all(1) & arrived.any(1)
        for cluster in np.flatnonzero(done):
            warps = np.arange(size // WARP) + cluster * (size // WARP)
            self.batch.race.release_cluster(int(cluster), warps)
            self.phases[cluster] += 1
            arrived[cluster] = False
            self.batch.scheduler.wake(("the barrier of cluster", int(cluster)))


def compile_cluster_barrier(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles barrier.cluster.arrive and barrier.cluster.wait."""
    if not instruction.has("arrive"):
        return _cluster_wait
    releases = not instruction.has("relaxed")
    return lambda batch, active: _cluster_arrive(batch, active, releases)


def _cluster_arrive(batch: Batch, active: Active, releases: bool) -> None:
    state = ClusterBarriers.of(batch)
    mask = active.full_mask
    again = mask & (state.owed >= 0)
    if again.any():
        raise batch.error(
            BarrierError,
            "needs a wait between two arrivals of a thread, but there is none; add "
            "barrier.cluster.wait",
            int(np.argmax(again)),
        )
    batch.counter.add(batch.pc, "barriers", active.warp_count)
    state.owed = np.where(mask, state.phases[state.cluster()], state.owed)
    state.arrived |= mask
    batch.race.arrive_cluster(active.warps, releases)
    state.settle()


def _cluster_wait(batch: Batch, active: Active) -> Outcome | None:
    state = ClusterBarriers.of(batch)
    mask = active.full_mask
    early = mask & (state.owed < 0)
    if early.any():
        raise batch.error(
            BarrierError,
            "needs an arrival of the thread before, but there is none; add "
            "barrier.cluster.arrive",
            int(np.argmax(early)),
        )
    cluster = state.cluster()
    pending = mask & (state.owed >= state.phases[cluster])
    done = mask & ~pending
    state.owed[done] = -1
    batch.race.observe_cluster(np.unique(np.flatnonzero(done) // WARP))
    if not pending.any():
        return None
    events = [
        (("the barrier of cluster", int(each)), pending & (cluster == each))
        for each in np.unique(cluster[pending])
    ]
    return Wait(events, retry=True)


INSTRUCTIONS = {
    "bar": compile_barrier,
    "barrier": compile_barrier,
    "bar.warp": compile_warp_barrier,
    "barrier.cluster": compile_cluster_barrier,
}
