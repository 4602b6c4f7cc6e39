"""Start-up times that users feel: each the best of several fresh interpreters.

Processor time is measured, not wall time, so that a busy machine changes nothing; what
starts takes no other time, for it neither waits nor reads much.
"""

import os
import subprocess
import sys

IMPORT_BUDGET = 0.15  # seconds
OPT_BUDGET = 0.5  # seconds


def best_of(count: int, *arguments: str) -> float:
    """The least processor time of `python <arguments>`, in seconds."""
    times = []
    for _ in range(count):
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        times.append(usage.ru_utime + usage.ru_stime)
    return min(times)


def test_import_ix_is_fast() -> None:
    empty = best_of(5, "-c", "pass")
    assert best_of(5, "-c", "import ix") - empty < IMPORT_BUDGET


def test_ix_opt_starts_fast() -> None:
    assert best_of(5, "-m", "ix.tools.ix_opt", "/dev/null") < OPT_BUDGET


def test_a_slow_start_is_seen() -> None:
    busy = "import time\nend = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
    assert best_of(2, "-c", busy) > IMPORT_BUDGET
