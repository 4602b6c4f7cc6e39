"""Says what is wrong with an access: who, where, and what lies nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np

from ix.emulator.access import Access
from ix.emulator.batch import Array
from ix.emulator.errors import MisalignedError, OutOfBoundsError, UninitialisedError
from ix.emulator.heap import IN_FLIGHT, INITIALISED
from ix.emulator.layout import Placed

if TYPE_CHECKING:
    from ix.emulator.memory import Memory

__all__ = [
    "raise_ended",
    "raise_misaligned",
    "raise_outside",
    "raise_read_only",
    "raise_unwritten",
]


def nearest_variable(placed: dict[str, Placed], address: int, dynamic: int) -> str:
    """Says in, or behind, which variable of shared or local memory an address lies."""
    below = [each for each in placed.values() if each.offset <= address]
    if not below:
        return "in no variable"
    last = max(below, key=lambda each: (each.offset, each.size))
    size = last.size or max(dynamic - last.offset, 0)
    name = f"the {size}-byte variable '{last.name.partition(':')[2] or last.name}'"
    inside = address - last.offset
    if inside < size:
        return f"at byte {inside} of {name}"
    return f"{inside - size} bytes behind the end of {name}"


def where(memory: Memory, access: Access, address: int) -> str:
    """Names an address with the allocation or variable that lies nearest."""
    if access.space == "global":
        return f"{address:#x} lies {memory.heap.nearest(address)}"
    layout = memory.batch.kernel.layout
    placed, end = (
        (layout.shared, memory.shared_bytes)
        if access.space == "shared"
        else (layout.local, memory.local_bytes)
    )
    near = nearest_variable(placed, address, end)
    return f"{address:#x} lies {near}, with {end} bytes in all"


def raise_misaligned(memory: Memory, access: Access) -> NoReturn:
    """Raises for the first address that is no multiple of the access size."""
    bad = (access.addresses & np.uint64(access.size - 1)) != 0
    i = int(np.argmax(bad))
    address = int(access.addresses[i])
    raise memory.batch.error(
        MisalignedError,
        f"needs {access.space} addresses that are multiples of {access.size}, but "
        f"{where(memory, access, address)}; align the pointer or use narrower accesses",
        access.threads[i],
    )


def raise_outside(memory: Memory, access: Access, i: int) -> NoReturn:
    """Raises for the access i, of which some byte lies outside."""
    address = int(access.addresses[i])
    remedy = {
        "global": "check the index, its mask, and the size of the allocation",
        "shared": "launch with more shared memory, or check the index",
        "local": "check the index into the local array",
    }[access.space]
    raise memory.batch.error(
        OutOfBoundsError,
        f"needs {access.size} bytes of {access.space} memory to {access.kind}, but "
        f"{where(memory, access, address)}; {remedy}",
        access.threads[i],
    )


def raise_ended(memory: Memory, access: Access, i: int) -> NoReturn:
    """Raises for the access i, of shared memory whose CTA has ended."""
    raise memory.batch.error(
        OutOfBoundsError,
        f"needs {access.size} bytes of shared memory of a CTA that runs, but that CTA "
        "of the cluster has ended; put barrier.cluster before its end",
        access.threads[i],
    )


def raise_read_only(memory: Memory, access: Access, what: str) -> NoReturn:
    """Raises for a store to constants or parameters."""
    raise memory.batch.error(
        OutOfBoundsError,
        f"needs writable memory, but {int(access.addresses[0]):#x} lies in {what}, "
        "which is read-only; write to global memory",
        access.threads[0],
    )


def raise_unwritten(memory: Memory, access: Access, index: Array, i: int) -> NoReturn:
    """Raises for the access i, of which some byte has no value yet."""
    at = int(index[i])
    states = memory.states_of(access.space)[at : at + access.size]
    first = int(np.argmax(states != INITIALISED))
    is_flying = int(states[first]) == IN_FLIGHT
    fact = "is still in flight" if is_flying else "was never written"
    remedy = (
        "wait for the copy before reading"
        if is_flying
        else "write it first, or mask the load"
    )
    address = int(access.addresses[i])
    raise memory.batch.error(
        UninitialisedError,
        f"needs initialised {access.space} memory, but byte {first} of the access "
        f"{fact}: {where(memory, access, address)}; {remedy}",
        access.threads[i],
    )
