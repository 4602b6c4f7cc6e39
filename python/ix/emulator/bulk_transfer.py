"""What bulk copies of bytes and of tensors have in common: addresses and their ends."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ix.emulator.batch import Active, Array, Batch
from ix.emulator.bulk_queue import CHUNK, BulkQueue, SharedPiece
from ix.emulator.errors import MisalignedError
from ix.emulator.heap import INITIALISED
from ix.emulator.kernel_code import Reader
from ix.emulator.layout import CLUSTER_SHIFT, SHARED_WINDOW, WINDOW_BYTES
from ix.emulator.mbarrier_table import MBarrier, MBarrierTable

__all__ = [
    "barrier_at",
    "checked_size",
    "copy_to_ctas",
    "one",
    "owner",
    "write_global",
]


def one(batch: Batch, active: Active, read: Reader, index: int) -> int:
    """The value of one of the active threads."""
    return int(active.select(read(batch))[index])


def owner(batch: Batch, thread: int, address: int) -> tuple[int, int]:
    """The CTA of the batch and the offset that a shared (cluster) address names."""
    if SHARED_WINDOW <= address < SHARED_WINDOW + WINDOW_BYTES:
        address -= SHARED_WINDOW
    access = batch.memory.access(
        "shared", "read", np.array([address], np.uint64), 1, np.array([thread])
    )
    assert access.ctas is not None
    return int(access.ctas[0]), int(access.addresses[0])


def barrier_at(batch: Batch, thread: int, address: int) -> MBarrier:
    """The mbarrier that a shared (cluster) address names."""
    return MBarrierTable.of(batch).find(*owner(batch, thread, address), thread)


def checked_size(batch: Batch, *values: int) -> int:
    """The last of addresses and a size, all of which must be multiples of 16.

    Raises:
        MisalignedError: One is not.
    """
    for value in values:
        if value % CHUNK:
            raise batch.error(
                MisalignedError,
                f"needs addresses and a size that are multiples of {CHUNK} bytes, but "
                f"one is {value:#x}; align the buffer and pad the size",
            )
    return values[-1]


def copy_to_ctas(
    batch: Batch,
    thread: int,
    chunks: Array,
    target: int,
    barrier: int,
    ranks: int | None,
    values: Array,
) -> None:
    """Issues copies of the same bytes to one CTA, or to those of a multicast.

    Args:
        chunks: Where each chunk goes, as `target` is an address, int64.
        target: Address of the destination, with the rank of its CTA if it has one.
        barrier: Address of the mbarrier.
        ranks: Bit mask of CTAs of the cluster; None for the CTA of `target`.
        values: (chunks, 16) uint8.
    """
    batch.counter.add(batch.pc, "bulk_copies", 1)
    batch.counter.add(batch.pc, "bulk_copy_bytes", values.size)
    cta, _ = owner(batch, thread, target)
    barrier_cta, offset = owner(batch, thread, barrier)
    places = chunks - (target >> CLUSTER_SHIFT << CLUSTER_SHIFT)
    pairs = [(cta, barrier_cta)]
    if ranks is not None:
        first = cta // batch.cluster_ctas * batch.cluster_ctas
        named = [r for r in range(batch.cluster_ctas) if ranks >> r & 1]
        pairs = [(first + rank, first + rank) for rank in named]
    table, queue = MBarrierTable.of(batch), BulkQueue.of(batch)
    for to, signal in pairs:
        found = table.find(signal, offset, thread)
        piece = SharedPiece.of(batch, "write", to, places, thread)
        queue.copy_in(piece, values, found, thread)


def write_global(
    batch: Batch,
    pc: int,
    addresses: Array,
    thread: int,
    combine: Callable[[Array, Array], Array] | None,
    values: Array,
) -> None:
    """Writes or reduces rows of bytes at addresses, on account of an instruction.

    Args:
        pc: The instruction that issued the copy.
        addresses: uint64, of each row.
        combine: Makes the new bytes of old ones and `values`; None to replace them.
        values: (rows, 1, 2, 4, 8 or 16) uint8.
    """
    running, batch.pc = batch.pc, pc
    memory, size = batch.memory, values.shape[1]
    access = memory.access(
        "global", "write", addresses, size, np.full(len(addresses), thread)
    )
    buffer, index = memory.locate(access)
    batch.counter.access(pc, access)
    if batch.race.enabled:
        batch.race.access(access, index, values)
    places = index[:, None] + np.arange(size)
    if combine is not None:
        memory.require_written(access, index)
        values = combine(buffer[places], values)
    buffer[places] = values
    memory.mark(access, index, INITIALISED)
    batch.pc = running
