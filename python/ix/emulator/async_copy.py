"""cp.async: copies of 4, 8 or 16 bytes for each thread, from global to shared memory.

The source is read when the copy is issued; the bytes land when their thread waits for
them ("late") or at once ("early"). Until then they are poisoned.

A thread's copies since its last commit form its next group; `wait_group N` waits for
all of its groups but the last N.

Source: PTX ISA, "Data Movement and Conversion Instructions: Non-bulk copy".
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ix.emulator.access import Access, scatter
from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.heap import INITIALISED
from ix.emulator.kernel_code import KernelCode, Reader
from ix.emulator.mbarrier import barriers_of
from ix.emulator.mbarrier_table import MBarrier, MBarrierTable
from ix.emulator.memory import space_of
from ix.emulator.outcome import Step
from ix.emulator.ptx_types import STORAGE
from ix.emulator.shared_address import check_shared, shared_reader
from ix.emulator.syntax import Immediate, Instruction, Operand, Register

__all__ = ["INSTRUCTIONS", "CopyQueue"]


@dataclass(slots=True)
class _Flight:
    """What one instruction copies: `size` bytes for each thread.

    threads: who copies, (n,)
    groups:  the group of each thread's copy, (n,)
    index:   where the bytes go in the batch's shared memory, (n,)
    values:  (n, size) uint8
    """

    access: Access
    groups: Array
    index: Array
    values: Array

    def part(self, chosen: Array) -> _Flight:
        """The copies of some of the threads."""
        access = self.access
        ctas = access.ctas
        return _Flight(
            Access(
                access.space,
                access.kind,
                access.addresses[chosen],
                access.size,
                access.threads[chosen],
                None if ctas is None else ctas[chosen],
            ),
            self.groups[chosen],
            self.index[chosen],
            self.values[chosen],
        )


@dataclass(slots=True)
class CopyQueue:
    """The copies in flight of a batch, in the order of issue.

    committed: how many groups each thread has committed
    """

    batch: Batch
    committed: Array = field(init=False)
    flights: list[_Flight] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.committed = np.zeros(self.batch.threads, np.int64)

    @staticmethod
    def of(batch: Batch) -> CopyQueue:
        """The queue of a batch."""
        return batch.extension(CopyQueue)

    def issue(self, access: Access, values: Array) -> None:
        """Starts copies to shared memory: poisons the bytes, or lands at once."""
        memory, batch = self.batch.memory, self.batch
        _, index = memory.locate(access)
        batch.counter.access(batch.pc, access)
        groups = self.committed[access.threads]
        if batch.race.enabled:
            batch.race.issue_copies(access, index, groups)
        flight = _Flight(access, groups, index, values)
        if batch.completion == "early":
            self._land(flight)
            return
        memory.poison(access, index)
        self.flights.append(flight)

    def wait(self, active: Active, left: int) -> None:
        """Lands the groups of the active threads but the last `left`."""
        limits = np.full(self.batch.threads, -1, np.int64)
        limits[active.lanes] = self.committed[active.lanes] - left
        self.land_below(limits)
        if self.batch.race.enabled:
            self.batch.race.wait_copies(active, limits)

    def land_below(self, limits: Array) -> None:
        """Lands the copies whose group is below the limit of their thread."""
        kept: list[_Flight] = []
        for flight in self.flights:
            due = flight.groups < limits[flight.access.threads]
            if due.all():
                self._land(flight)
            elif due.any():
                self._land(flight.part(due))
                kept.append(flight.part(~due))
            else:
                kept.append(flight)
        self.flights = kept

    def _land(self, flight: _Flight) -> None:
        memory, access = self.batch.memory, flight.access
        scatter(memory.shared, flight.index, access.size, flight.values)
        memory.mark(access, flight.index, INITIALISED)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Reads how many bytes of the source count, (count,); the rest is zero."""

    size: int
    read: Reader | None
    ignores: bool

    def of(self, batch: Batch, active: Active) -> Array | None:
        """None where every thread copies all bytes."""
        if self.read is None:
            return None
        values = active.select(self.read(batch))
        counts = np.where(values, 0, self.size) if self.ignores else values
        counts = np.minimum(counts.astype(np.int64), self.size)
        return None if (counts == self.size).all() else counts


def compile_copy(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles everything whose name begins with `cp.async` and is no bulk copy."""
    if instruction.has("commit_group"):
        return _commit
    if instruction.has("wait_group", "wait_all"):
        return _compile_wait(instruction)
    if instruction.has("mbarrier"):
        return _compile_arrive(instruction, kernel)
    target, source, size_operand, *rest = instruction.operands
    size = size_operand.value if isinstance(size_operand, Immediate) else 0
    if size not in (4, 8, 16) or (instruction.has("cg") and size != 16):
        raise kernel.unsupported(instruction, f"it copies {size} bytes")
    if instruction.has("L2::cache_hint"):
        rest.pop()
    address = shared_reader(
        instruction, kernel, target,
        "shared" if instruction.has("shared", "shared::cta") else "generic",
    )  # fmt: skip
    read_source = kernel.address(source)
    space = "global" if instruction.has("global") else space_of(())
    sizes = _sizes_of(kernel, int(size), rest)

    def step(batch: Batch, active: Active) -> None:
        batch.counter.add(batch.pc, "async_copy_bytes", int(size) * active.count)
        at = check_shared(batch, active, address(batch))
        access = batch.memory.access("shared", "write", at, int(size), active.lanes)
        start = active.select(read_source(batch))
        counts = sizes.of(batch, active)
        values = _read(batch, space, start, int(size), active.lanes, counts)
        CopyQueue.of(batch).issue(access, values)

    return step


def _sizes_of(kernel: KernelCode, size: int, rest: list[Operand]) -> _Sizes:
    """Takes `src-size` and `ignore-src` apart: the latter is a predicate."""
    if not rest:
        return _Sizes(size, None, False)
    operand = rest[0]
    ignores = (
        isinstance(operand, Register)
        and kernel.register_dtypes[kernel.register(operand.name)] == np.bool_
    )
    return _Sizes(size, kernel.reader(operand, "pred" if ignores else "u32"), ignores)


def _read(
    batch: Batch,
    space: str,
    start: Array,
    size: int,
    threads: Array,
    counts: Array | None,
) -> Array:
    """The bytes of the sources, (n, size); zero behind each thread's count."""
    memory, kind = batch.memory, STORAGE[min(size, 8)]
    if counts is None:
        found = memory.load(space, start, kind, size // kind.itemsize, threads)
        return found.view(np.uint8).reshape(-1, size)
    values = np.zeros((len(start), size), np.uint8)
    for count in np.unique(counts[counts > 0]).tolist():
        rows = np.flatnonzero(counts == count)
        whole = kind.itemsize if count == size else 1
        steps = np.arange(0, count, whole, dtype=np.uint64)
        places = (start[rows, None] + steps).reshape(-1)
        found = memory.load(
            space, places, STORAGE[whole], 1, np.repeat(threads[rows], len(steps))
        )
        values[rows, :count] = found.view(np.uint8).reshape(len(rows), count)
    return values


def _commit(batch: Batch, active: Active) -> None:
    CopyQueue.of(batch).committed[active.lanes] += 1


def _compile_wait(instruction: Instruction) -> Step:
    is_all = instruction.has("wait_all")
    operand = None if is_all else instruction.operands[0]
    left = int(operand.value) if isinstance(operand, Immediate) else 0

    def step(batch: Batch, active: Active) -> None:
        queue = CopyQueue.of(batch)
        if is_all:
            queue.committed[active.lanes] += 1
        queue.wait(active, left)

    return step


def _compile_arrive(instruction: Instruction, kernel: KernelCode) -> Step:
    """cp.async.mbarrier.arrive: arrives when the thread's copies so far have landed."""
    (target,) = instruction.operands
    space = "shared" if instruction.has("shared", "shared::cta") else "generic"
    address = shared_reader(instruction, kernel, target, space)
    adds = not instruction.has("noinc")

    def step(batch: Batch, active: Active) -> None:
        queue = CopyQueue.of(batch)
        batch.counter.add(batch.pc, "mbarrier_arrivals", active.count)
        # What follows is of another group: only what came before must land.
        queue.committed[active.lanes] += 1
        for _, thread, barrier in barriers_of(batch, active, address(batch)):
            if adds:
                barrier.pending += 1
                MBarrierTable.of(batch).settle(barrier)
            _arrive_later(batch, queue, barrier, thread)

    return step


def _arrive_later(
    batch: Batch, queue: CopyQueue, barrier: MBarrier, thread: int
) -> None:
    group = int(queue.committed[thread])

    def land() -> None:
        limits = np.full(batch.threads, -1, np.int64)
        limits[thread] = group
        queue.land_below(limits)
        batch.race.release_copies_to(barrier, thread // WARP, group)
        MBarrierTable.of(batch).arrive(barrier, 1, thread)

    if batch.completion == "early":
        land()
    else:
        barrier.landings.append(land)


INSTRUCTIONS = {"cp.async": compile_copy}
