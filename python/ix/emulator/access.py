"""One access to memory by some threads, and the lookup of where its bytes lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ix.emulator.batch import Array
from ix.emulator.ptx_types import STORAGE

__all__ = ["INITIALISED_WORD", "Access", "Pattern", "gather", "scatter"]

# The states of so many initialised bytes, as one integer.
INITIALISED_WORD = {
    1: np.uint8(0x01),
    2: np.uint16(0x0101),
    4: np.uint32(0x01010101),
    8: np.uint64(0x0101010101010101),
}


@dataclass(slots=True)
class Access:
    """An access of `size` bytes at each of n addresses.

    space:      "global", "shared" or "local"
    kind:       "read" or "write"; an atomic operation is a write
    addresses:  uint64 (n,), in the space; shared ones without the rank of the CTA
    threads:    index in the batch of each accessing thread, (n,)
    ctas:       for shared memory: the CTA of the batch that the bytes belong to, (n,)
    scope:      of an atomic, volatile, relaxed, acquire or release access; else WEAK
    is_nc:      a load through the non-coherent cache
    is_collective: whether the lanes of each warp access together, each for the others
    """

    space: str
    kind: str
    addresses: Array
    size: int
    threads: Array
    ctas: Array | None = None
    scope: int = 0
    is_nc: bool = False
    is_collective: bool = False
    _bounds: tuple[int, int] | None = None

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest address; (0, 0) if there is none."""
        if self._bounds is None:
            found = self.addresses
            self._bounds = (
                (int(found.min()), int(found.max())) if found.size else (0, 0)
            )
        return self._bounds


@dataclass(frozen=True, slots=True)
class Pattern:
    """What was found out about an access, for the next time that it is the same.

    An instruction in a loop mostly accesses the same pattern at another beginning.

    offsets:  the addresses, less the first of them
    threads:  who accesses
    found:    what was found out
    """

    offsets: Array
    threads: Array
    found: Any

    def fits(self, offsets: Array, threads: Array) -> bool:
        """Whether an access is of this pattern."""
        if len(offsets) != len(self.offsets):
            return False
        same_threads = threads is self.threads or np.array_equal(threads, self.threads)
        return same_threads and np.array_equal(offsets, self.offsets)


def gather(buffer: Array, index: Array, size: int) -> Array:
    """Reads `size` bytes at each byte index, as n rows of wide units."""
    unit = min(size, 16)
    found = buffer.view(STORAGE[unit]).take(index // unit if unit > 1 else index)
    if size == unit:
        return found
    rest = [
        buffer.view(STORAGE[unit]).take(index // unit + i)
        for i in range(1, size // unit)
    ]
    return np.stack([found, *rest], 1)


def scatter(buffer: Array, index: Array, size: int, values: Array) -> None:
    """Writes `size` bytes at each byte index; values contiguous, size bytes a row."""
    unit = min(size, 16)
    wide = values.reshape(-1).view(STORAGE[unit])
    view, at = buffer.view(STORAGE[unit]), index // unit if unit > 1 else index
    if size == unit:
        view[at] = wide
        return
    for i, column in enumerate(wide.reshape(-1, size // unit).T):
        view[at + i] = column
