"""Measures what ix adds around the kernels: host cost, compile and load time, memory.

    python benchmarks/overheads.py --json benchmarks/results/overheads.json

Each figure is the median of processes of their own; MiniLM-L6 b1 s128 is the model.
Figures above their goals are listed like the others.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from cpu import DISTURBED, machine  # beside this file
from disturbance import Watch, wait_until_idle

TRIES = 4
"""Times that a process is started until what it measured is taken as it is."""
COUNT = "disturbed processes"
"""Processes that others disturbed, of which the figures were taken as they were."""
LENGTH = 128

# Children: one fresh process for each figure, named by its first argument. Each prints
# a line of JSON.


def host_cost(folder: Path, threads: int) -> dict[str, float]:
    """Microseconds of a call of x + 1 on 16 floats."""
    import ix

    function = ix.jit(lambda x: x + np.float32(1), num_threads=threads)
    x = np.zeros(16, np.float32)
    function(x)
    slices = []
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(2000):
            function(x)
        slices.append((time.perf_counter() - start) / 2000)
    return {"host cost of a call": statistics.median(slices) * 1e6}


def compile_model(folder: Path, threads: int) -> dict[str, float]:
    """Seconds from the weights to the executable; loading MLIR and LLVM apart."""
    start = time.perf_counter()
    import ix.compiler
    from ix.tools.demo import minilm

    loaded = time.perf_counter() - start
    weights = minilm.load_weights()
    tokens = np.zeros((1, LENGTH), np.int64)
    start = time.perf_counter()
    function = ix.jit(
        lambda tokens, mask: minilm.embed(weights, tokens, mask), num_threads=threads
    )
    compiled = function.lower(tokens, tokens + 1).compile()
    seconds = time.perf_counter() - start
    weight_bytes = sum(array.nbytes for array in weights.values())
    compiled.executable.save(folder / "minilm.ix")
    return {
        "loading the compiler": loaded,
        "compile": seconds,
        "compile peak memory above the weights": _peak_mb() - weight_bytes / 1e6,
    }


def run_saved(folder: Path, threads: int) -> dict[str, float]:
    """Loads the saved program and runs it once; all since the process started."""
    import ix

    executable = ix.load(folder / "minilm.ix")
    tokens = np.zeros((1, LENGTH), np.int64)
    executable.run_flat((tokens, tokens + 1))
    seconds = time.time() - float(os.environ["STARTED"])
    planned = sum(executable.memory_bytes.values())
    return {
        "load to first result": seconds,
        "run memory above weights and plan": _peak_mb() - planned / 1e6,
    }


def read_file(folder: Path, threads: int) -> dict[str, float]:
    """Seconds to read the saved program, weights included."""
    start = time.perf_counter()
    (folder / "minilm.ix").read_bytes()
    return {"reading the weights": time.perf_counter() - start}


def _peak_mb() -> float:
    """The most memory that this process had at once.

    Source: Linux, Documentation/filesystems/proc.rst, VmHWM.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/status needs VmHWM, but has none; use Linux")


CHILDREN: dict[str, Callable[[Path, int], dict[str, float]]] = {
    each.__name__: each for each in (host_cost, compile_model, run_saved, read_file)
}


# The parent.


def child(
    name: str, folder: Path, threads: int, *, cold: bool = False
) -> dict[str, float]:
    """What a child measured; again where others used the processors meanwhile."""
    cache = folder / "cache"
    for _ in range(TRIES):
        if cold:
            shutil.rmtree(cache, ignore_errors=True)
        wait_until_idle(20)
        watch = Watch()
        process = subprocess.run(
            [sys.executable, __file__, "--child", name, str(folder), str(threads)],
            env={
                **os.environ,
                "IX_CACHE_DIR": str(cache),
                "STARTED": str(time.time()),
            },
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        watched = watch.others()
        if watched < DISTURBED:
            break
    found: dict[str, float] = json.loads(process.stdout)
    return found | {COUNT: float(watched >= DISTURBED)}


def measure(rounds: int, threads: int) -> dict[str, list[float]]:
    """All figures of all rounds, by name."""
    found: dict[str, list[float]] = {}

    def note(figures: dict[str, float]) -> None:
        for name, value in figures.items():
            found.setdefault(name, []).append(value)

    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            note(child("host_cost", folder, threads))
            cold = child("compile_model", folder, threads, cold=True)
            cold["compile, cold"] = cold.pop("compile")
            note(cold)
            cached = child("compile_model", folder, threads)
            note({"compile, from the cache": cached["compile"], COUNT: cached[COUNT]})
            note(child("read_file", folder, threads))
            note(child("run_saved", folder, threads))
    return found


def rows_of(found: dict[str, list[float]]) -> list[dict[str, Any]]:
    """A row for each figure that has a goal: medians, the worst, the verdict."""
    reading = statistics.median(found["reading the weights"])
    goals: dict[str, tuple[str, float | None]] = {
        "host cost of a call": ("us", 15.0),
        "compile, cold": ("s", 8.0),
        "loading the compiler": ("s", None),
        "compile, from the cache": ("s", 0.5),
        "load to first result": ("s", 0.4 + reading),
        "compile peak memory above the weights": ("MB", 600.0),
        "run memory above weights and plan": ("MB", 60.0),
    }
    rows = []
    for name, (unit, goal) in goals.items():
        value = statistics.median(found[name])
        rows.append(
            {
                "figure": name,
                "unit": unit,
                "value": value,
                "worst": max(found[name]),
                "all": found[name],
                "goal": goal,
                "verdict": _verdict(value, goal),
            }
        )
    return rows


def _verdict(value: float, goal: float | None) -> str:
    if goal is None:
        return "no goal"
    return "met" if value <= goal else "missed"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="write one row for each figure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.child:
        name, folder, threads = options.child
        print(json.dumps(CHILDREN[name](Path(folder), int(threads))))
        return 0
    facts = machine()
    figures = measure(options.rounds, options.threads)
    rows = rows_of(figures)
    for row in rows:
        print(
            f"{row['figure']:<40} {row['value']:8.3f} {row['unit']:<3} "
            f"(goal {row['goal']})  {row['verdict']}"
        )
    if options.json:
        found = {
            "machine": facts,
            "processes": len(figures[COUNT]),
            "disturbed_processes": int(sum(figures[COUNT])),
            "rows": rows,
        }
        text = json.dumps(found, indent=1)
        Path(options.json).write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
