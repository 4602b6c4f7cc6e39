"""The memory of a batch: loads and stores with every check, counter and race hook.

    memory.load("shared", addresses, np.float32, 4, active.lanes)   →  (n, 4)
    memory.store("global", addresses, values, active.lanes)

Addresses are uint64, one for each accessing thread. An access must be aligned to its
whole size, lie in one allocation or in the CTA's shared memory, and a read must find
bytes that somebody has written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ix.emulator import faults
from ix.emulator.access import INITIALISED_WORD, Access, gather, scatter
from ix.emulator.batch import Array, Batch
from ix.emulator.errors import UnsupportedInstruction
from ix.emulator.heap import (
    FREE,
    IN_FLIGHT,
    INITIALISED,
    POISON,
    UNWRITTEN,
    Heap,
)
from ix.emulator.layout import (
    CLUSTER_SHIFT,
    GLOBAL_BASE,
    LOCAL_WINDOW,
    SHARED_WINDOW,
    WINDOW_BYTES,
    align_up,
)
from ix.emulator.ptx_types import STORAGE
from ix.emulator.scopes import WEAK

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = ["Memory", "space_of"]

_CLUSTER_MASK = np.uint64((1 << CLUSTER_SHIFT) - 1)


class Memory:
    """Shared and local memory of a batch, and its view of global memory.

    Attributes:
        shared: The bytes of all CTAs; CTA c begins at c · shared_stride.
        shared_states: FREE, UNWRITTEN, INITIALISED or IN_FLIGHT of each byte.
        local: The bytes of all threads; thread t begins at t · local_stride.
    """

    def __init__(
        self,
        heap: Heap,
        ctas: int,
        threads: int,
        shared_bytes: int,
        local_bytes: int,
    ) -> None:
        self.heap = heap
        self.batch: Batch
        self.shared_bytes = shared_bytes
        self.shared_stride = align_up(max(shared_bytes, 1), 128)
        self.shared = np.full(ctas * self.shared_stride, POISON, np.uint8)
        self.shared_states = np.full(ctas * self.shared_stride, UNWRITTEN, np.uint8)
        self.local_bytes = local_bytes
        self.local_stride = align_up(max(local_bytes, 1), 16)
        size = threads * self.local_stride if local_bytes else 0
        self.local = np.full(size, POISON, np.uint8)
        self.local_states = np.full(size, UNWRITTEN, np.uint8)

    # What instructions use

    def load(
        self,
        space: str,
        addresses: Array,
        dtype: DTypeLike,
        count: int,
        threads: Array,
        *,
        scope: int = WEAK,
        is_nc: bool = False,
        is_collective: bool = False,
        counted: bool = True,
        ctas: Array | None = None,
    ) -> Array:
        """Reads `count` consecutive elements at each address.

        Args:
            space: "global", "const", "param", "shared", "local" or "generic".
            addresses: uint64 (n,).
            threads: Who reads, as indices in the batch, (n,).
            scope: Of an access that is ordered by itself (volatile, relaxed, ...).
            is_nc: Whether it goes through the non-coherent cache.
            is_collective: Whether the lanes of a warp read for one another.
            counted: Whether sectors or wavefronts are counted.
            ctas: For shared memory, the CTA that each address belongs to; by default
                that of the thread, or of the rank in a shared::cluster address.

        Returns:
            (n, count) of dtype.
        """
        kind = np.dtype(dtype)
        size = kind.itemsize * count
        if space == "generic":
            return self._load_generic(addresses, kind, count, threads, scope)
        access = self.access(space, "read", addresses, size, threads, ctas)
        access.scope, access.is_nc = scope, is_nc
        access.is_collective = is_collective
        buffer, index = self.locate(access)
        self.require_written(access, index)
        self.note(access, index, counted)
        return gather(buffer, index, size).view(kind).reshape(-1, count)

    def store(
        self,
        space: str,
        addresses: Array,
        values: Array,
        threads: Array,
        *,
        scope: int = WEAK,
        is_collective: bool = False,
        counted: bool = True,
        ctas: Array | None = None,
    ) -> None:
        """Writes consecutive elements at each address; values as (n, count)."""
        values = np.ascontiguousarray(values)
        size = values.dtype.itemsize * values.shape[1]
        if space == "generic":
            self._store_generic(addresses, values, threads, scope)
            return
        access = self.access(space, "write", addresses, size, threads, ctas)
        access.scope, access.is_collective = scope, is_collective
        buffer, index = self.locate(access)
        self.note(access, index, counted, values)
        scatter(buffer, index, size, values)
        self.mark(access, index, INITIALISED)

    # The parts of an access, for instructions that need them one by one

    def access(
        self,
        space: str,
        kind: str,
        addresses: Array,
        size: int,
        threads: Array,
        ctas: Array | None = None,
    ) -> Access:
        """Makes an access; resolves the CTA of shared addresses."""
        if space in ("const", "param"):
            space = "global"
        access = Access(space, kind, addresses, size, threads, ctas)
        if space == "shared" and ctas is None:
            access.ctas = self.batch.cta[threads]
            if access.bounds[1] >> CLUSTER_SHIFT:
                self._resolve_ranks(access)
        return access

    def _resolve_ranks(self, access: Access) -> None:
        """Takes the rank out of shared::cluster addresses."""
        assert access.ctas is not None
        cluster = self.batch.cluster_ctas
        rank = (access.addresses >> np.uint64(CLUSTER_SHIFT)).astype(np.int64) - 1
        if int(rank.max()) >= cluster:
            faults.raise_outside(self, access, int(np.argmax(rank)))
        first = access.ctas // cluster * cluster
        access.ctas = np.where(rank < 0, access.ctas, first + rank)
        access.addresses = access.addresses & _CLUSTER_MASK
        access._bounds = None
        self._check_running(access)

    def _check_running(self, access: Access) -> None:
        """Checks that the CTAs whose shared memory is accessed have not ended.

        Raises:
            OutOfBoundsError: One has: its shared memory may belong to another CTA.
        """
        assert access.ctas is not None
        batch = self.batch
        exited = batch.scheduler.exited.reshape(batch.ctas, -1)
        ended: Array = np.asarray(exited.all(1))
        if batch.race.strict and ended.any():
            bad = ended[access.ctas]
            if bad.any():
                faults.raise_ended(self, access, int(np.argmax(bad)))

    def locate(self, access: Access) -> tuple[Array, Array]:
        """The buffer that holds the bytes, and the index of each access in it.

        Raises:
            MisalignedError: An address is no multiple of the size.
            OutOfBoundsError: Some byte lies outside.
        """
        addresses, size = access.addresses, access.size
        if size > 1:
            low = int(np.bitwise_or.reduce(addresses)) & (size - 1)
            if low:
                faults.raise_misaligned(self, access)
        if access.space == "global":
            index = (addresses - np.uint64(GLOBAL_BASE)).view(np.int64)
            self._check_global(access, index)
            return self.heap.bytes, index
        if access.space == "shared":
            assert access.ctas is not None
            if addresses.size and access.bounds[1] + size > self.shared_bytes:
                faults.raise_outside(self, access, int(np.argmax(addresses)))
            return self.shared, access.ctas * self.shared_stride + addresses.view(
                np.int64
            )
        if addresses.size and access.bounds[1] + size > self.local_bytes:
            faults.raise_outside(self, access, int(np.argmax(addresses)))
        return self.local, access.threads * self.local_stride + addresses.view(np.int64)

    def _check_global(self, access: Access, index: Array) -> None:
        """Checks bounds; one look is enough where all lies in one allocation."""
        addresses = access.addresses
        if not addresses.size:
            return
        low, high = access.bounds
        allocation = self.heap.find(low)
        if allocation is None or high + access.size > allocation.end:
            # Allocations are aligned and stand apart: the two ends decide.
            in_range = (index >= 0) & (index < len(self.heap.states) - access.size)
            for offset in (0, access.size - 1):
                at = np.where(in_range, index + offset, 0)
                in_range &= self.heap.states[at] != FREE
            if not in_range.all():
                faults.raise_outside(self, access, int(np.argmin(in_range)))
        elif access.kind != "read" and not allocation.is_writable:
            faults.raise_read_only(self, access, str(allocation))

    def states_of(self, space: str) -> Array:
        """The states of the bytes of a space."""
        if space == "global":
            return self.heap.states
        return self.shared_states if space == "shared" else self.local_states

    def require_written(self, access: Access, index: Array) -> None:
        """Checks that reads find bytes that somebody has written.

        Raises:
            UninitialisedError: Some byte was never written, or is still in flight.
        """
        if access.space == "global" and self._is_known_written(access):
            return
        states, unit = self.states_of(access.space), min(access.size, 8)
        view, at = states.view(STORAGE[unit]), index // unit
        for i in range(access.size // unit):
            bad = view.take(at + i) != INITIALISED_WORD[unit]
            if bad.any():
                faults.raise_unwritten(self, access, index, int(np.argmax(bad)))

    def _is_known_written(self, access: Access) -> bool:
        """Whether all bytes lie where an allocation is known to be initialised."""
        low, high = access.bounds
        allocation = self.heap.find(low)
        if allocation is None:
            return False
        return high + access.size <= allocation.start + allocation.written

    def mark(self, access: Access, index: Array, state: int) -> None:
        """Sets the state of all bytes of an access."""
        is_global = access.space == "global"
        if is_global and state == INITIALISED and self._is_known_written(access):
            return
        states, unit = self.states_of(access.space), min(access.size, 8)
        word = STORAGE[unit].type(int.from_bytes(bytes([state]) * unit, "little"))
        view, at = states.view(STORAGE[unit]), index // unit
        for i in range(access.size // unit):
            view[at + i] = word

    def poison(self, access: Access, index: Array) -> None:
        """Marks bytes as in flight: whoever reads them reads too early."""
        buffer = self.heap.bytes if access.space == "global" else self.shared
        unit = min(access.size, 16)
        view, at = buffer.view(STORAGE[unit]), index // unit
        filler = np.full(unit, POISON, np.uint8).view(STORAGE[unit])[0]
        for i in range(access.size // unit):
            view[at + i] = filler
        self.mark(access, index, IN_FLIGHT)

    def note(
        self,
        access: Access,
        index: Array,
        counted: bool = True,
        values: Array | None = None,
    ) -> None:
        """Counts an access and hands it to the race detector."""
        batch = self.batch
        if counted:
            batch.counter.access(batch.pc, access)
        if batch.race.enabled and access.space != "local":
            batch.race.access(access, index, values)

    # Generic addresses

    def spaces_of(self, addresses: Array) -> list[tuple[str, Array, np.uint64]]:
        """Splits generic addresses: (space, bool (n,), start of its window)."""
        found: list[tuple[str, Array, np.uint64]] = []
        rest = np.ones(addresses.shape, np.bool_)
        for space, start in (("shared", SHARED_WINDOW), ("local", LOCAL_WINDOW)):
            inside = (addresses - np.uint64(start)) < np.uint64(WINDOW_BYTES)
            if inside.any():
                found.append((space, inside, np.uint64(start)))
                rest &= ~inside
        if rest.any():
            found.append(("global", rest, np.uint64(0)))
        return found

    def _load_generic(
        self,
        addresses: Array,
        dtype: np.dtype[Any],
        count: int,
        threads: Array,
        scope: int,
    ) -> Array:
        out = np.empty((len(addresses), count), dtype)
        for space, inside, start in self.spaces_of(addresses):
            out[inside] = self.load(
                space,
                addresses[inside] - start,
                dtype,
                count,
                threads[inside],
                scope=scope,
            )
        return out

    def _store_generic(
        self, addresses: Array, values: Array, threads: Array, scope: int
    ) -> None:
        for space, inside, start in self.spaces_of(addresses):
            self.store(
                space,
                addresses[inside] - start,
                values[inside],
                threads[inside],
                scope=scope,
            )


def space_of(modifiers: tuple[str, ...]) -> str:
    """The state space that an instruction names; "generic" if none.

    Raises:
        UnsupportedInstruction: A space that is not emulated (textures, surfaces).
    """
    for modifier in modifiers:
        space = modifier.partition("::")[0]
        if space in ("global", "shared", "local", "const", "param"):
            return space
        if space in ("tex", "surf"):
            raise UnsupportedInstruction(
                f"'{modifier}' needs texture hardware, but that is not emulated; "
                "load from global memory"
            )
    return "generic"
