"""Says why no thread of a batch can go on."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from ix.emulator.batch import Array, shorten

if TYPE_CHECKING:
    from ix.emulator.scheduler import Scheduler

__all__ = ["deadlock_message", "missing_message"]

_LISTED = 6  # groups of threads that a message names


def deadlock_message(scheduler: Scheduler) -> str:
    """Lists where the threads of a batch wait, and for what."""
    events: dict[tuple[int, str], int] = {}
    for event, masks in scheduler.waiting.items():
        for mask in masks:
            for pc, count in _places(scheduler, mask):
                key = (pc, event_name(event))
                events[key] = events.get(key, 0) + count
    code = scheduler.code
    lines = [
        f"{count} threads wait for {name} near line "
        f"{code[pc].instruction.line} `{shorten(code[pc].instruction.text)}`"
        for (pc, name), count in sorted(events.items())
    ]
    listed = "; ".join(lines[:_LISTED])
    more = f"; and {len(lines) - _LISTED} more" if len(lines) > _LISTED else ""
    exited = int(np.count_nonzero(scheduler.exited))
    return (
        f"needs others to arrive, but no thread can go on ({exited} have exited): "
        f"{listed}{more}; check counts, phases and who skips the barrier"
    )


def missing_message(scheduler: Scheduler, missing: Array) -> str:
    """Says which threads an aligned instruction waits for in vain."""
    thread = int(np.argmax(missing))
    place = scheduler.code[int(scheduler.pcs[thread])].instruction
    state = "has exited" if scheduler.exited[thread] else "stands"
    return (
        f"needs all threads that it names to execute it together, but "
        f"{int(np.count_nonzero(missing))} do not come: "
        f"{scheduler.batch.thread_name(thread)} {state} at line {place.line} "
        f"`{shorten(place.text)}`; keep the threads of a warp on one path"
    )


def event_name(event: Hashable) -> str:
    """An event as text: the words of its tuple."""
    return " ".join(map(str, event)) if isinstance(event, tuple) else str(event)


def _places(scheduler: Scheduler, mask: Array) -> list[tuple[int, int]]:
    """Where the blocked threads of a mask stand: (instruction, how many)."""
    blocked = mask & scheduler.blocked & ~scheduler.exited
    found, counts = np.unique(scheduler.pcs[blocked], return_counts=True)
    last = len(scheduler.code) - 1
    # Threads that do not retry stand behind the instruction that they wait in.
    places = np.clip(found - 1, 0, last)
    return [(int(p), int(c)) for p, c in zip(places, counts, strict=True)]
