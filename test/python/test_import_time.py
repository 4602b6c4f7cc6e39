"""Start-up times that users feel: each the best of several fresh interpreters."""

import os
import subprocess
import sys
import time

# Seconds. A loaded or slow machine sets IX_TEST_SLOWNESS to a factor.
IMPORT_BUDGET = 0.15
OPT_BUDGET = 0.5
SLOWNESS = float(os.environ.get("IX_TEST_SLOWNESS", "1"))


def best_of(count: int, *arguments: str) -> float:
    """The shortest wall time of `python <arguments>`, in seconds."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - started)
    return min(times)


def test_import_ix_is_fast() -> None:
    empty = best_of(5, "-c", "pass")
    assert best_of(5, "-c", "import ix") - empty < IMPORT_BUDGET * SLOWNESS


def test_ix_opt_starts_fast() -> None:
    assert best_of(5, "-m", "ix.tools.ix_opt", "/dev/null") < OPT_BUDGET * SLOWNESS
