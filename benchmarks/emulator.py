"""How fast the emulator runs whole tensor-core kernels, counters on.

    python benchmarks/emulator.py [name ...] [--rounds 5]

Each kernel is launched anew with fresh operands, checked against float64, and timed
from launch to result, in processor time of the one thread that it runs on; the best
round counts, since other loads only slow it down. "+ races" adds the race detector.
"""

import os

# The library reads this when it is imported; the matrices are too small for threads.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "python"))

from ptx_kernels import CASES, Case, text_of

from ix.emulator import Emulator

# Seconds that a launch may take, counters on.
GOALS = {
    "pyptx_ampere_gemm": 0.3,
    "pyptx_ampere_gemm_pipelined": 0.3,
    "pyptx_ampere_gemm_stages": 0.3,
    "pyptx_hopper_gemm": 0.3,
    "llvm_ampere_attention": 0.1,
    "pyptx_hopper_attention_tiles": 0.1,
}


def seconds(case: Case, races: bool) -> tuple[float, int]:
    """Seconds of one launch, and the warp instructions that it executed."""
    emulator = Emulator(case.target, **{**case.options, "races": races})
    module = emulator.load(text_of(case.name))
    kernel = module.kernels[0]
    emulator.compile(module, kernel)
    made = case.make(emulator, np.random.default_rng())
    arguments, address, dtype, finish, expected = made
    start = time.process_time()
    counters = emulator.launch(
        module, kernel, case.grid, case.block, arguments, case.shared_bytes,
        case.cluster,
    )  # fmt: skip
    end = time.process_time()
    found = finish(emulator.read(address, dtype, expected.size))
    worst = np.abs(found - expected).max() / np.abs(expected).max()
    if not worst <= case.tolerance:
        raise SystemExit(f"{case.name}: the result is wrong by {worst:.1e}")
    return end - start, counters["warp_instructions"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="all by default")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'kernel':32} {'counters':>9} {'+ races':>9} {'goal':>6} {'warp-inst':>10}")
    for name in arguments.names or CASES:
        case = CASES[name]
        times: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(arguments.rounds):
            for races in times:
                took, executed = seconds(case, races)
                times[races].append(took)
        plain, checked = (min(each) for each in times.values())
        goal = f"{GOALS[name]:.1f} s" if name in GOALS else ""
        print(f"{name:32} {plain:7.3f} s {checked:7.3f} s {goal:>6} {executed:10,}")


if __name__ == "__main__":
    main()
