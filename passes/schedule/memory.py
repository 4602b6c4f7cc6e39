"""Where every tensor between kernels lies: one arena, offsets by lifetime.

Two buffers may share bytes if no launch needs both. Buffers are placed largest first,
each at the lowest offset that is free over its lifetime.
"""

from __future__ import annotations

from dataclasses import dataclass

from ix.runtime.plan import ALIGNMENT

__all__ = ["Buffer", "place"]


@dataclass(eq=False)
class Buffer:
    """A tensor in the arena.

    first: The launch that writes it.
    last: The last launch that reads it.
    offset: Bytes from the start of the arena, once placed.
    """

    name: str
    size_bytes: int
    first: int
    last: int
    offset: int = 0


def place(buffers: list[Buffer]) -> int:
    """Gives every buffer its offset and returns the arena's bytes.

    Source: "Efficient Memory Management for Deep Neural Net Inference" (Pisarchyk and
    Lee, 2020), greedy by size.
    """
    placed: list[Buffer] = []
    total = 0
    for buffer in sorted(buffers, key=lambda b: (-b.size_bytes, b.first, b.name)):
        alive = sorted(
            (b for b in placed if b.first <= buffer.last and buffer.first <= b.last),
            key=lambda b: b.offset,
        )
        offset = 0
        for other in alive:
            if offset + buffer.size_bytes <= other.offset:
                break
            offset = max(offset, _end(other))
        buffer.offset = offset
        placed.append(buffer)
        total = max(total, _end(buffer))
    return total


def _end(buffer: Buffer) -> int:
    end = buffer.offset + buffer.size_bytes
    return (end + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
