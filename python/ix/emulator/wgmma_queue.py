"""The wgmma operations in flight of a batch, and the registers that they use.

Operations since a warpgroup's last commit form its next group. Late, an operation reads
shared memory and computes when `wait_group` covers its group; until then its
accumulators hold a NaN. Operations on the same accumulators form a chain, whose matrix
stays out of the registers as long as one of them is in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.errors import DivergenceError
from ix.emulator.fragments import accumulator_matrix, accumulator_registers
from ix.emulator.kernel_code import Reader, Writer
from ix.emulator.tensor_errors import WgmmaOrderError

__all__ = ["WARPGROUP", "Accumulator", "Chain", "Pending", "WgmmaQueue"]

WARPGROUP: Final = 128  # threads
_POISON: Final = np.uint32(0xFFF0BAD1)  # a NaN that no arithmetic makes


@dataclass(frozen=True, slots=True)
class Accumulator:
    """The registers of an instruction's accumulator.

    Attributes:
        registers: Their indices.
        read, write: As 32 bits each.
        dtype: Of the matrix: float32, float16 (two in a register) or int32.
    """

    registers: tuple[int, ...]
    read: list[Reader]
    write: list[Writer]
    dtype: np.dtype[Any]

    def load(self, batch: Batch, active: Active) -> Array:
        """D[warpgroups, 64, N] of the active threads."""
        stacked = np.stack([active.select(read(batch)) for read in self.read], -1)
        values = stacked.view(self.dtype)
        matrix = accumulator_matrix(values.reshape(-1, WARP, values.shape[-1]))
        return matrix.reshape(active.count // WARPGROUP, 64, -1)

    def store(self, batch: Batch, active: Active, matrices: Array) -> None:
        """Writes D[warpgroups, 64, N] into the registers of the active threads."""
        by_warp = matrices.reshape(-1, 16, matrices.shape[-1])
        values = accumulator_registers(by_warp).reshape(active.count, -1)
        words = np.ascontiguousarray(np.ascontiguousarray(values).view(np.uint32).T)
        for write, word in zip(self.write, words, strict=True):
            write(batch, word, active)

    def poison(self, batch: Batch, active: Active) -> list[Array]:
        """Marks the registers of the active threads as in flight; what they hold."""
        for write in self.write:
            write(batch, _POISON, active)  # type: ignore[arg-type]
        return [batch.registers[index] for index in self.registers]

    def is_poisoned(self, batch: Batch, active: Active, marks: list[Array]) -> bool:
        """Whether nobody has written the registers since they were poisoned.

        Args:
            marks: What was in the registers then; a write replaces it.
        """
        return all(
            batch.registers[index] is mark
            or (active.select(read(batch)) == _POISON).all()
            for index, read, mark in zip(self.registers, self.read, marks, strict=True)
        )


@dataclass(slots=True)
class Chain:
    """Operations of a warpgroup on the same accumulators.

    Attributes:
        matrix: D[64, N] behind those that have been computed.
        pending: How many are in flight.
        marks: What the registers hold meanwhile; empty before they are poisoned.
    """

    accumulator: Accumulator
    matrix: Array
    pending: int = 0
    marks: list[Array] = field(default_factory=list)


@dataclass(slots=True)
class Pending:
    """One operation of one warpgroup.

    Attributes:
        pc: The instruction that issued it.
        number: The warpgroup.
        compute: Makes the new D of the old one; reads shared memory.
        held: What the registers of A held then, by their indices.
    """

    pc: int
    number: int
    chain: Chain
    compute: Callable[[Array], Array]
    held: dict[int, Array] = field(default_factory=dict)


@dataclass(slots=True)
class _Warpgroup:
    """The state of one warpgroup.

    Attributes:
        open: Operations of the group that is not committed yet.
        groups: The committed groups in flight, oldest first.
        committed: How many groups were committed.
        chains: In flight, by the registers of their accumulators.
        fenced: What the registers held at the last wgmma.fence; None before it.
        own: What wgmma itself has written to registers since.
    """

    open: list[Pending] = field(default_factory=list)
    groups: list[list[Pending]] = field(default_factory=list)
    committed: int = 0
    chains: dict[tuple[int, ...], Chain] = field(default_factory=dict)
    fenced: list[Array] | None = None
    own: dict[int, Array] = field(default_factory=dict)


class WgmmaQueue:
    """The warpgroups of a batch."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        if batch.cta_threads % WARPGROUP:
            raise batch.error(
                DivergenceError,
                f"needs CTAs of whole warpgroups, but they have {batch.cta_threads} "
                f"threads; launch a multiple of {WARPGROUP}",
            )
        count = batch.threads // WARPGROUP
        self.warpgroups = [_Warpgroup() for _ in range(count)]
        batch.scheduler.on_exit.append(self._exited)

    @staticmethod
    def of(batch: Batch) -> WgmmaQueue:
        """The queue of a batch."""
        return batch.extension(WgmmaQueue)

    def fence(self, active: Active) -> None:
        """Orders register accesses before it and operations behind it."""
        registers = list(self.batch.registers)
        for number in warpgroups_of(active):
            warpgroup = self.warpgroups[number]
            warpgroup.fenced, warpgroup.own = registers, {}

    def check_fenced(self, number: int, registers: Sequence[int]) -> None:
        """Checks that registers were not written since the last fence.

        Raises:
            WgmmaOrderError: They were, or there was none.
        """
        warpgroup, first = self.warpgroups[number], number * WARPGROUP
        if warpgroup.fenced is None:
            raise self.batch.error(
                WgmmaOrderError,
                "needs wgmma.fence before the first operation, but there is none; add "
                "it behind the writes of accumulators and factors",
                first,
            )
        lanes = slice(first, first + WARPGROUP)
        for index in registers:
            now = self.batch.registers[index]
            known = (warpgroup.fenced[index], warpgroup.own.get(index))
            if not any(old is now or _equal(old, now, lanes) for old in known):
                raise self.batch.error(
                    WgmmaOrderError,
                    "needs wgmma.fence between a write of its registers and the "
                    "operation, but a register has changed since the last fence; "
                    "add a fence",
                    first,
                )

    def chain(self, number: int, accumulator: Accumulator) -> Chain | None:
        """The chain in flight on these registers, if any.

        Raises:
            WgmmaOrderError: Some of them are in flight in another arrangement.
        """
        chains = self.warpgroups[number].chains
        found = chains.get(accumulator.registers)
        if found is not None or not chains:
            return found
        wanted = set(accumulator.registers)
        if any(wanted.intersection(registers) for registers in chains):
            raise self.batch.error(
                WgmmaOrderError,
                "needs accumulators that no operation of another shape has in flight, "
                "but one has; wait for it before",
                number * WARPGROUP,
            )
        return None

    def issue(self, operation: Pending) -> None:
        """Adds an operation to the open group of its warpgroup."""
        warpgroup, chain = self.warpgroups[operation.number], operation.chain
        chain.pending += 1
        warpgroup.chains[chain.accumulator.registers] = chain
        warpgroup.open.append(operation)

    def commit(self, active: Active) -> None:
        """Closes the open group of each warpgroup."""
        for number in warpgroups_of(active):
            warpgroup = self.warpgroups[number]
            warpgroup.groups.append(warpgroup.open)
            warpgroup.open = []
            warpgroup.committed += 1

    def wait(self, active: Active, left: int) -> None:
        """Computes the groups but the last `left`."""
        numbers = warpgroups_of(active)
        for number in numbers:
            warpgroup = self.warpgroups[number]
            while len(warpgroup.groups) > left:
                for operation in warpgroup.groups.pop(0):
                    self.run(operation)
        self.write_finished(numbers)

    def write_finished(self, numbers: list[int]) -> None:
        """Writes the chains back of which nothing is in flight any more."""
        finished: dict[tuple[int, ...], list[tuple[int, Chain]]] = {}
        for number in numbers:
            warpgroup = self.warpgroups[number]
            for registers, chain in list(warpgroup.chains.items()):
                if not chain.pending:
                    del warpgroup.chains[registers]
                    finished.setdefault(registers, []).append((number, chain))
        for chains in finished.values():
            self._write_back(chains)

    def run(self, operation: Pending) -> None:
        """Computes an operation; faults name the instruction that issued it."""
        running, self.batch.pc = self.batch.pc, operation.pc
        self._check_held(operation)
        chain = operation.chain
        chain.matrix = operation.compute(chain.matrix)
        chain.pending -= 1
        self.batch.pc = running

    def _check_held(self, operation: Pending) -> None:
        """Checks that nobody wrote the registers of A since the operation was issued.

        Raises:
            WgmmaOrderError: Somebody did.
        """
        first = operation.number * WARPGROUP
        lanes = slice(first, first + WARPGROUP)
        for index, old in operation.held.items():
            now = self.batch.registers[index]
            if now is not old and not _equal(old, now, lanes):
                raise self.batch.error(
                    WgmmaOrderError,
                    "needs registers of A that nobody writes while it is in flight, "
                    "but one was written before the wait; use them behind "
                    "wgmma.wait_group",
                    first,
                )

    def check_poisoned(self, number: int, chain: Chain) -> None:
        """Checks that nobody wrote the accumulators of a chain in flight.

        Raises:
            WgmmaOrderError: Somebody did.
        """
        batch = self.batch
        active = active_of(batch, [number])
        if chain.marks and not chain.accumulator.is_poisoned(
            batch, active, chain.marks
        ):
            raise batch.error(
                WgmmaOrderError,
                "needs accumulators that nobody writes while they are in flight, but "
                "one was written before the wait; use them behind wgmma.wait_group",
                number * WARPGROUP,
            )

    def _write_back(self, chains: list[tuple[int, Chain]]) -> None:
        batch, accumulator = self.batch, chains[0][1].accumulator
        active = active_of(batch, [number for number, _ in chains])
        for number, chain in chains:
            self.check_poisoned(number, chain)
        matrices = np.stack([chain.matrix for _, chain in chains])
        accumulator.store(batch, active, matrices)
        for number, _ in chains:
            own = self.warpgroups[number].own
            for index in accumulator.registers:
                own[index] = batch.registers[index]

    def _exited(self, mask: Array) -> None:
        for number in np.flatnonzero(mask.reshape(-1, WARPGROUP).any(1)).tolist():
            if self.warpgroups[number].chains:
                raise self.batch.error(
                    WgmmaOrderError,
                    "needs all operations of wgmma to be waited for, but the "
                    "warpgroup ends with some in flight; add wgmma.commit_group and "
                    "wgmma.wait_group 0",
                    number * WARPGROUP,
                )


def warpgroups_of(active: Active) -> list[int]:
    """The numbers of the warpgroups of the active threads."""
    numbers: list[int] = (active.lanes[::WARPGROUP] // WARPGROUP).tolist()
    return numbers


def active_of(batch: Batch, numbers: list[int]) -> Active:
    """The threads of some warpgroups."""
    mask = np.zeros((batch.threads // WARPGROUP, WARPGROUP), np.bool_)
    mask[numbers] = True
    count = len(numbers) * WARPGROUP
    whole = mask.reshape(-1)
    return Active(batch.threads, None if whole.all() else whole, count, False)


def _equal(old: Array | None, now: Array, lanes: slice) -> bool:
    """Whether two states of a register agree in the lanes of a warpgroup."""
    if old is None:
        return False
    left, right = (each if each.ndim == 0 else each[lanes] for each in (old, now))
    return bool((left == right).all())
