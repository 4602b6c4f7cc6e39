"""Global memory: allocations with exact bounds in one flat array.

Each byte has a state: not allocated, allocated but never written, or initialised.
Allocations begin at multiples of 256 bytes and have at least 256 bytes between them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ix.emulator.batch import Array
from ix.emulator.errors import LaunchError
from ix.emulator.layout import GLOBAL_BASE, align_up

__all__ = [
    "FREE",
    "INITIALISED",
    "IN_FLIGHT",
    "PARAMETERS",
    "POISON",
    "UNWRITTEN",
    "Allocation",
    "Heap",
]

FREE, INITIALISED, UNWRITTEN, IN_FLIGHT = 0, 1, 2, 3  # states of a byte
_LOOK = 1 << 16  # bytes whose states are looked at at once
_ALIGN = 256  # bytes, as cuMemAlloc gives
PARAMETERS = "parameters"  # the name of what holds those of a launch
POISON = 0xFF  # bytes that nobody wrote: NaN in every floating-point type


@dataclass(slots=True)
class Allocation:
    """A piece of global memory.

    start:        address
    size:         bytes
    name:         of a module's variable or of the parameters; empty if allocated
    written:      so many of its first bytes are known to be initialised
    """

    start: int
    size: int
    name: str = ""
    is_writable: bool = True
    written: int = 0

    @property
    def end(self) -> int:
        """The address behind the last byte."""
        return self.start + self.size

    def __str__(self) -> str:
        what = f"variable '{self.name}'" if self.name else "allocation"
        return f"the {self.size}-byte {what} at {self.start:#x}"


class Heap:
    """The bytes of global memory, their states, and the allocations."""

    def __init__(self) -> None:
        capacity = 1 << 20
        self.bytes = np.empty(capacity, np.uint8)
        self.states = np.zeros(capacity, np.uint8)
        self.allocations: list[Allocation] = []
        self._starts: list[int] = []
        self._end = 0

    def __iter__(self) -> Iterator[Allocation]:
        return iter(self.allocations)

    def allocate(self, size: int, name: str = "") -> Allocation:
        """Allocates bytes that are poisoned and count as never written."""
        start = align_up(self._end, _ALIGN) + _ALIGN
        self._reserve(start + size + _ALIGN)
        self._end = start + size
        allocation = Allocation(GLOBAL_BASE + start, size, name)
        self.states[start : start + size] = UNWRITTEN
        self.bytes[start : start + size] = POISON
        self.allocations.append(allocation)
        self._starts.append(allocation.start)
        return allocation

    def _reserve(self, capacity: int) -> None:
        if capacity <= len(self.bytes):
            return
        size = align_up(max(capacity, 2 * len(self.bytes)), 4096)
        # Bytes are poisoned when they are allocated; zero states are free.
        found, states = np.empty(size, np.uint8), np.zeros(size, np.uint8)
        used = self._end
        found[:used], states[:used] = self.bytes[:used], self.states[:used]
        self.bytes, self.states = found, states

    def free(self, address: int) -> None:
        """Frees an allocation; later accesses are out of bounds."""
        allocation = self.find(address)
        if allocation is None or allocation.start != address:
            raise LaunchError(
                f"'free' needs the start of an allocation, but {address:#x} is none; "
                "pass an address that alloc gave"
            )
        self.states[self.slice(address, allocation.size)] = FREE
        index = self._starts.index(address)
        del self.allocations[index], self._starts[index]
        self._end = max((a.end - GLOBAL_BASE for a in self.allocations), default=0)

    def find(self, address: int) -> Allocation | None:
        """The allocation that an address lies in."""
        nearest = self.below(address)
        return nearest if nearest is not None and address < nearest.end else None

    def below(self, address: int) -> Allocation | None:
        """The last allocation that begins at or before an address."""
        index = bisect_right(self._starts, address) - 1
        return self.allocations[index] if index >= 0 else None

    def nearest(self, address: int) -> str:
        """Says where an address lies: in, behind or before which allocation."""
        inside = self.find(address)
        # Parameters lie among the allocations for the time of a launch only.
        others = [a for a in self.allocations if a.name != PARAMETERS]
        before = [a for a in others if a.start <= address]
        below = inside or (before[-1] if before else None)
        if below is None:
            if not others:
                return "and there is no allocation"
            return f"{others[0].start - address} bytes before {others[0]}"
        if address < below.end:
            return f"at byte {address - below.start} of {below}"
        return f"{address - below.end} bytes behind the end of {below}"

    @staticmethod
    def slice(address: int, size: int) -> slice:
        """Where bytes of global memory lie in the arrays."""
        start = address - GLOBAL_BASE
        return slice(start, start + size)

    def write(self, address: int, data: bytes | Array, what: str = "write") -> None:
        """Copies bytes from the host; they count as initialised."""
        view = np.frombuffer(data, np.uint8)
        self._check_host(address, view.size, what)
        at = self.slice(address, view.size)
        self.bytes[at] = view
        self.states[at] = INITIALISED

    def read(self, address: int, size: int) -> Array:
        """Copies bytes to the host, whether they are initialised or not."""
        self._check_host(address, size, "read")
        return self.bytes[self.slice(address, size)].copy()

    def is_initialised(self, address: int, size: int) -> bool:
        """Whether all of these bytes are allocated and were written."""
        return bool((self.states[self.slice(address, size)] == INITIALISED).all())

    def note_written(self) -> None:
        """Finds out how far each allocation is initialised from its beginning."""
        for allocation in self.allocations:
            while allocation.written < allocation.size:
                start = allocation.start + allocation.written
                size = min(_LOOK, allocation.size - allocation.written)
                missing = self.states[self.slice(start, size)] != INITIALISED
                if missing.any():
                    allocation.written += int(np.argmax(missing))
                    break
                allocation.written += size

    def _check_host(self, address: int, size: int, what: str) -> None:
        allocation = self.find(address) if size else None
        if size and (allocation is None or address + size > allocation.end):
            raise LaunchError(
                f"'{what}' needs {size} bytes of one allocation, but {address:#x} lies "
                f"{self.nearest(address)}; pass an address and size within it"
            )
