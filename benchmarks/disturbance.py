"""Whether other processes use the processors while something is timed.

    watch = Watch()
    …
    watch.others()      # processors that others used meanwhile, 0.0 …

The kernel counts in ticks of 10 ms: over a tenth of a second the answer is off by up to
0.1 for each processor.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

__all__ = ["Watch", "wait_until_idle"]

IDLE = 0.1
"""Processors' worth of other work that still counts as idle."""


class Watch:
    """Counts from when it is made; children that still run count as others.

    Without /proc/stat it sees no one.
    """

    def __init__(self) -> None:
        self.busy_s = _busy_seconds()
        self.own_s = _own_seconds()
        self.start = time.perf_counter()

    def others(self) -> float:
        """Processors that other processes, or other virtual machines, used."""
        seconds = time.perf_counter() - self.start
        own = _own_seconds() - self.own_s
        return max((_busy_seconds() - self.busy_s - own) / seconds, 0.0)


def wait_until_idle(limit_s: float) -> bool:
    """Sleeps until others leave the processors alone; False after so many seconds."""
    end = time.perf_counter() + limit_s
    while time.perf_counter() < end:
        watch = Watch()
        time.sleep(0.3)
        if watch.others() < IDLE:
            return True
    return False


def _own_seconds() -> float:
    """Processor time of this process, and of its children that have ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(
            resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
    )


def _busy_seconds() -> float:
    """Seconds of all processors that were not idle, since the system started.

    Source: Linux, Documentation/filesystems/proc.rst, "kernel/system statistics".
    """
    try:
        first = Path("/proc/stat").read_text().partition("\n")[0]
    except OSError:
        return _own_seconds()
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, first.split()[1:])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")
