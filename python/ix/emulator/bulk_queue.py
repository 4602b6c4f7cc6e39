"""Bulk copies in flight: what lands at an mbarrier, and what a thread's groups hold.

A copy into shared memory takes its source when it is issued, and lands when somebody
waits for its mbarrier ("late") or at once ("early"); until then its bytes are poisoned.

A copy out of shared memory belongs to the next bulk group of its thread. Late, it takes
its source when `wait_group.read` covers it, and writes when `wait_group` does, or when
its thread ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ix.emulator.access import Access, gather, scatter
from ix.emulator.batch import Active, Array, Batch
from ix.emulator.heap import INITIALISED
from ix.emulator.mbarrier_table import MBarrier, MBarrierTable

__all__ = ["CHUNK", "BulkQueue", "SharedPiece"]

CHUNK = 16  # bytes: bulk copies move whole chunks of shared memory


@dataclass(slots=True)
class SharedPiece:
    """Chunks of a CTA's shared memory, in the order of the copy.

    access:  one address for each chunk
    index:   where the chunks are in the batch's shared memory
    """

    access: Access
    index: Array

    @classmethod
    def of(
        cls, batch: Batch, kind: str, cta: int, addresses: Array, thread: int
    ) -> SharedPiece:
        """Checks the bounds of chunks at some addresses of a CTA.

        Args:
            kind: "read" or "write".
            addresses: int64, of each chunk.
            thread: Who issues the copy.
        """
        count = len(addresses)
        access = batch.memory.access(
            "shared",
            kind,
            addresses.astype(np.uint64),
            CHUNK,
            np.full(count, thread),
            np.full(count, cta),
        )
        _, index = batch.memory.locate(access)
        return cls(access, index)

    def part(self, unit: int, chosen: Array) -> SharedPiece:
        """Those of the units of so many bytes that matter, as accesses of that size."""
        count = CHUNK // unit
        steps = np.arange(0, CHUNK, unit)
        access = self.access
        addresses = access.addresses[:, None] + steps.astype(np.uint64)
        threads, ctas = np.repeat(access.threads, count), access.ctas
        assert ctas is not None
        return SharedPiece(
            Access(
                access.space,
                access.kind,
                addresses.reshape(-1)[chosen],
                unit,
                threads[chosen],
                np.repeat(ctas, count)[chosen],
            ),
            (self.index[:, None] + steps).reshape(-1)[chosen],
        )

    def load(self, batch: Batch, needed: SharedPiece | None = None) -> Array:
        """The bytes, (chunks, 16); checks that those needed were written."""
        needed = self if needed is None else needed
        batch.memory.require_written(needed.access, needed.index)
        chunks = gather(batch.memory.shared, self.index, CHUNK)
        return chunks.view(np.uint8).reshape(-1, CHUNK)

    def store(self, batch: Batch, values: Array) -> None:
        """Writes the bytes, (chunks, 16)."""
        scatter(batch.memory.shared, self.index, CHUNK, values)
        batch.memory.mark(self.access, self.index, INITIALISED)


@dataclass(slots=True)
class _Flight:
    """A copy out of shared memory.

    values:  its bytes, once they have been taken
    finish:  writes them
    """

    thread: int
    group: int
    source: SharedPiece
    needed: SharedPiece
    finish: Callable[[Array], None]
    values: Array | None = None

    def take(self, batch: Batch) -> None:
        """Reads the source, if that has not happened yet."""
        if self.values is None:
            self.values = self.source.load(batch, self.needed)


@dataclass(slots=True)
class BulkQueue:
    """The bulk copies in flight of a batch.

    committed:  how many bulk groups each thread has committed
    """

    batch: Batch
    committed: Array = field(init=False)
    flights: list[_Flight] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.committed = np.zeros(self.batch.threads, np.int64)
        self.batch.scheduler.on_exit.append(self.exited)

    @staticmethod
    def of(batch: Batch) -> BulkQueue:
        """The queue of a batch."""
        return batch.extension(BulkQueue)

    def copy_in(
        self, piece: SharedPiece, values: Array, barrier: MBarrier, thread: int
    ) -> None:
        """Issues a copy into shared memory that completes bytes at an mbarrier."""
        batch = self.batch
        if batch.race.enabled:
            batch.race.issue_bulk(piece.access, piece.index, barrier)
        count = values.size

        def land() -> None:
            piece.store(batch, values)
            MBarrierTable.of(batch).transact(barrier, -count, thread)

        if batch.completion == "early":
            land()
            return
        batch.memory.poison(piece.access, piece.index)
        barrier.landings.append(land)

    def copy_within(
        self,
        source: SharedPiece,
        piece: SharedPiece,
        combine: Callable[[Array], Array],
        barrier: MBarrier,
    ) -> None:
        """Issues a copy between the shared memories of a cluster.

        Args:
            source: What is read when the copy is issued.
            piece: What is written.
            combine: Makes the bytes to write of those read.
        """
        thread = int(source.access.threads[0])
        batch = self.batch
        if batch.race.enabled:
            batch.race.issue_bulk(source.access, source.index, barrier)
        values = source.load(batch)
        self.copy_in(piece, combine(values), barrier, thread)

    def copy_out(
        self,
        source: SharedPiece,
        finish: Callable[[Array], None],
        needed: SharedPiece | None = None,
    ) -> None:
        """Issues a copy out of shared memory, in the next group of its thread.

        Args:
            needed: The part of the source whose bytes are written anywhere.
        """
        batch, thread = self.batch, int(source.access.threads[0])
        needed = source if needed is None else needed
        group = int(self.committed[thread])
        if batch.race.enabled:
            batch.race.issue_store(needed.access, needed.index, group)
        flight = _Flight(thread, group, source, needed, finish)
        if batch.completion == "early":
            finish(source.load(batch, needed))
        else:
            self.flights.append(flight)

    def wait(self, active: Active, left: int, *, reads_only: bool) -> None:
        """Completes the groups of the active threads but the last `left`."""
        limits = dict.fromkeys(active.lanes.tolist(), 0)
        for thread in limits:
            limits[thread] = int(self.committed[thread]) - left
        due = [f for f in self.flights if f.group < limits.get(f.thread, -1)]
        self._complete(due, reads_only)
        if self.batch.race.enabled:
            self.batch.race.wait_stores(limits)

    def exited(self, mask: Array) -> None:
        """Completes what threads that have ended left behind."""
        self._complete([f for f in self.flights if mask[f.thread]], False)

    def _complete(self, due: list[_Flight], reads_only: bool) -> None:
        for flight in due:
            flight.take(self.batch)
            if not reads_only:
                assert flight.values is not None
                flight.finish(flight.values)
                self.flights.remove(flight)
