"""The mbarrier objects of a batch: phases, arrivals and transactions.

An mbarrier completes a phase when no arrival and no byte of a transaction is missing;
then the next phase begins with the expected arrivals. The 8 bytes in shared memory hold
its state, so that whoever overwrites them is found out.

Source: PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ix.emulator.batch import Array, Batch
from ix.emulator.errors import BarrierError
from ix.emulator.heap import INITIALISED

__all__ = ["BYTES", "MBarrier", "MBarrierTable"]

BYTES: Final = 8
MAX_COUNT: Final = (1 << 20) - 1


@dataclass(eq=False, slots=True)
class MBarrier:
    """One mbarrier.

    Attributes:
        cta: CTA of the batch whose shared memory it is in.
        offset: Its address there.
        expected: Arrivals of each phase.
        pending: Arrivals that the running phase still misses.
        bytes: Bytes that the running phase still misses; below 0 if more came.
        phase: How many phases have completed.
        landings: Copies in flight that will complete bytes of it.
        clock: For the race detector: what has been released to the running phase.
        remote: The same by other CTAs of the cluster.
        timed_out: Who has given up on the running phase once, bool over the batch.
        released: Both, as waiting for the last completed phase acquires them.
    """

    cta: int
    offset: int
    expected: int
    pending: int
    bytes: int = 0
    phase: int = 0
    landings: list[Callable[[], None]] = field(default_factory=list)
    clock: Any = None
    remote: Any = None
    timed_out: Array | None = None
    released: Any = None

    @property
    def event(self) -> tuple[str, MBarrier]:
        """What threads wait for."""
        return ("mbarrier", self)

    @property
    def word(self) -> int:
        """The 64 bits that stand for the state in memory."""
        count = self.pending | self.expected << 20
        return count | (self.bytes & 0x1FFFFF) << 40 | (self.phase & 7) << 61

    def __str__(self) -> str:
        return (
            f"at shared address {self.offset:#x} (phase {self.phase}: {self.pending} "
            f"of {self.expected} arrivals and {self.bytes} bytes missing)"
        )


class MBarrierTable:
    """All mbarriers of a batch, by (CTA, address)."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._barriers: dict[tuple[int, int], MBarrier] = {}
        batch.scheduler.on_idle.append(self._land_one)

    @staticmethod
    def of(batch: Batch) -> MBarrierTable:
        """The mbarriers of a batch."""
        return batch.extension(MBarrierTable)

    def init(self, cta: int, offset: int, count: int, thread: int) -> None:
        """Makes an mbarrier.

        Raises:
            BarrierError: There is one already, or the count is out of range.
        """
        if not 1 <= count <= MAX_COUNT:
            raise self._error(
                f"needs a count of 1 to {MAX_COUNT}, but it is {count}; count arrivals",
                thread,
            )
        old = self._barriers.get((cta, offset))
        if old is not None and self._is_intact(old):
            raise self._error(
                f"needs memory without an mbarrier, but there is one {old}; "
                "initialise it once, or use mbarrier.inval before",
                thread,
            )
        self._barriers[cta, offset] = barrier = MBarrier(cta, offset, count, count)
        self._store(barrier)

    def inval(self, cta: int, offset: int, thread: int) -> None:
        """Ends an mbarrier."""
        self.find(cta, offset, thread)
        del self._barriers[cta, offset]

    def find(self, cta: int, offset: int, thread: int) -> MBarrier:
        """The mbarrier at an address.

        Raises:
            BarrierError: There is none, or something else wrote over it.
        """
        barrier = self._barriers.get((cta, offset))
        if barrier is None:
            raise self._error(
                f"needs an mbarrier at shared address {offset:#x}, but none was "
                "initialised there; use mbarrier.init and a barrier before",
                thread,
            )
        if not self._is_intact(barrier):
            raise self._error(
                f"needs an mbarrier at shared address {offset:#x}, but its bytes were "
                "overwritten; place data and barriers apart",
                thread,
            )
        return barrier

    def arrive(self, barrier: MBarrier, count: int, thread: int) -> None:
        """Counts arrivals, and completes the phase if nothing is missing.

        Raises:
            BarrierError: More arrive than are expected.
        """
        if count > barrier.pending:
            raise self._error(
                f"needs at most {barrier.pending} more arrivals in this phase, but "
                f"{count} come at the mbarrier {barrier}; correct the count of "
                "mbarrier.init or who arrives",
                thread,
            )
        barrier.pending -= count
        self.settle(barrier)

    def transact(self, barrier: MBarrier, count: int, thread: int) -> None:
        """Adds bytes that a phase expects; bytes that came are below 0.

        Raises:
            BarrierError: The bytes leave their range.
        """
        barrier.bytes += count
        if abs(barrier.bytes) > MAX_COUNT:
            raise self._error(
                f"needs fewer than 2^20 bytes in flight, but the mbarrier {barrier} "
                "has more; expect as many bytes as the copies of a phase bring",
                thread,
            )
        self.settle(barrier)

    def settle(self, barrier: MBarrier) -> None:
        """Completes the phase if nothing is missing; stores the state."""
        if barrier.pending == 0 and barrier.bytes == 0:
            barrier.phase += 1
            barrier.timed_out = None
            barrier.pending = barrier.expected
            self.batch.race.complete_phase(barrier)
            self.batch.scheduler.wake(barrier.event)
        self._store(barrier)

    def times_out(self, barrier: MBarrier, lanes: Array) -> bool:
        """Whether threads that wait for the running phase give up now: once each."""
        if not self.batch.timeouts:
            return False
        before = barrier.timed_out
        if before is None:
            before = barrier.timed_out = np.zeros(self.batch.threads, np.bool_)
        again = bool(before[lanes].all())
        before[lanes] = True
        return not again

    def land(self, barrier: MBarrier) -> bool:
        """Lets the copies in flight for an mbarrier land; whether there were any."""
        landings, barrier.landings = barrier.landings, []
        for landing in landings:
            landing()
        return bool(landings)

    def _land_one(self) -> bool:
        """Nobody can run: the copies of the first barrier that has some land."""
        flying = (b for b in self._barriers.values() if b.landings)
        barrier = next(flying, None)
        return barrier is not None and self.land(barrier)

    def _at(self, barrier: MBarrier) -> slice:
        start = barrier.cta * self.batch.memory.shared_stride + barrier.offset
        return slice(start, start + BYTES)

    def _store(self, barrier: MBarrier) -> None:
        at, memory = self._at(barrier), self.batch.memory
        memory.shared[at] = np.array([barrier.word], np.uint64).view(np.uint8)
        memory.shared_states[at] = INITIALISED

    def _is_intact(self, barrier: MBarrier) -> bool:
        stored: Array = self.batch.memory.shared[self._at(barrier)]
        return int(stored.view(np.uint64)[0]) == barrier.word

    def _error(self, message: str, thread: int) -> BarrierError:
        return self.batch.error(BarrierError, message, thread)
